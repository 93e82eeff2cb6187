#!/bin/bash
# Builds the disk image of the demo's reference PC: a small but real Debian 12 with systemd, udev, its own signed shim and GRUB, and a
# kernel that boots quickly without KVM.
#
#   images/demo-image/build.sh OUT.img [OVERLAY]
#
# OVERLAY is a directory whose files are copied over the root file system (tests put files of their own there).
# Nothing is mounted and no loop device is used, so it also runs in a container. Both stages are cached beside OUT.img: the root file
# system (a minute, keyed by its recipe; packages as they were on that day) and the image (seconds, keyed by this script and the
# overlay too).
# DISK_MIB (default 640) sets the size.
#
# Layout, GPT: 1 EFI system partition (FAT32: shim, GRUB, syslinux for BIOS, kernel, initrd)  2 swap  3 root (ext4, last, so it can grow).
# Host name `vorlage`, empty machine-id, DHCP on every wired card, serial console, root without a password, no SSH.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C MTOOLS_SKIP_CHECK=1
umask 022

die() { echo "demo-image: $*" >&2; exit 1; }
say() { echo "demo-image: $*"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f s", b - a }'; }

[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: $0 OUT.img [OVERLAY]"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
overlay=${2:-}
[ -z "$overlay" ] || [ -d "$overlay" ] || die "$overlay is not a directory"
cache=$(dirname "$out")/cache
mkdir -p "$cache"
suite=bookworm
disk_mib=${DISK_MIB:-640}
esp_mib=48 swap_mib=16
root_mib=$((disk_mib - esp_mib - swap_mib - 4)) # 1 MiB before, 3 MiB behind: room for the backup table and Hausmeister's reserved place
esp_id=6d1f0a52 swap_uuid=0f3d6c1e-4c8b-4b62-9a55-7d2f5a1c9e01 root_uuid=5b1f6a86-0c7e-4a3c-8d5e-2f9d1c7b6a02

for tool in mmdebstrap mke2fs mkfs.vfat mcopy mkswap sgdisk syslinux tar; do
  command -v $tool >/dev/null || die "$tool is missing (Debian packages mmdebstrap, e2fsprogs, dosfstools, mtools, util-linux, gdisk, syslinux, syslinux-common)"
done
mbr=/usr/lib/syslinux/mbr/gptmbr.bin ldlinux=/usr/lib/syslinux/modules/bios/ldlinux.c32
for file in $mbr $ldlinux; do [ -r $file ] || die "$file is missing (Debian package syslinux-common)"; done

exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

rootfs_key=$({ cat "$here/rootfs.sh"; echo $suite $root_uuid $swap_uuid; } | sha256sum | cut -c1-16)
rootfs=$cache/rootfs-$rootfs_key.tar
if [ ! -s "$rootfs" ]; then
  start=$(now)
  say "building the root file system with mmdebstrap"
  ROOT_UUID=$root_uuid SWAP_UUID=$swap_uuid SUITE=$suite bash "$here/rootfs.sh" "$work/rootfs.tar" >"$cache/mmdebstrap.log" 2>&1 || { tail -n 30 "$cache/mmdebstrap.log" >&2; die "mmdebstrap failed (log: $cache/mmdebstrap.log)"; }
  find "$cache" -maxdepth 1 -name 'rootfs-*.tar' -delete
  mv "$work/rootfs.tar" "$rootfs"
  say "root file system: $(du -m "$rootfs" | cut -f1) MiB, $(since "$start")"
fi

overlay_key=none
[ -z "$overlay" ] || overlay_key=$(cd "$overlay" && find . -printf '%P %y %m %l\n' | sort | { cat; find . -type f -print0 | sort -z | xargs -0 --no-run-if-empty sha256sum; } | sha256sum | cut -c1-16)
key="$(sha256sum <"$0" | cut -c1-16) $overlay_key $disk_mib $rootfs_key $(stat -c %Y "$rootfs")"
if [ -s "$out" ] && [ "$(cat "$out.key" 2>/dev/null)" = "$key" ]; then
  say "up to date: $out"
  exit 0
fi

start=$(now)
rm -f "$out" "$out.key"
tree=$work/tree
mkdir "$tree"
tar -C "$tree" --numeric-owner --xattrs --xattrs-include='*' -xf "$rootfs"
[ -z "$overlay" ] || cp -R --preserve=mode,links --no-target-directory "$overlay" "$tree"

esp=$work/esp
truncate -s ${esp_mib}M "$esp"
mkfs.vfat -F 32 -s 1 -i $esp_id -n ESP "$esp" >/dev/null
mmd -i "$esp" ::EFI ::EFI/BOOT ::EFI/debian
loader=$tree/demo-image-loader
mcopy -i "$esp" "$loader/usr/lib/shim/shimx64.efi.signed" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$esp" "$loader/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::EFI/BOOT/grubx64.efi
kernel=$(find "$tree/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
[ -n "$kernel" ] || die "the root file system has no kernel"
version=${kernel##*/vmlinuz-}
mcopy -i "$esp" "$kernel" ::vmlinuz
mcopy -i "$esp" "$tree/boot/initrd.img-$version" ::initrd
# The kernel's check whether timer interrupts arrive in time fails now and then on an emulated processor, and ends in a panic.
append="root=UUID=$root_uuid ro rootfstype=ext4 console=tty0 console=ttyS0,115200 quiet no_timer_check panic=10"
printf 'set timeout=0\nlinux /vmlinuz %s\ninitrd /initrd\nboot\n' "$append" >"$work/grub.cfg"
printf 'SERIAL 0 115200\nDEFAULT debian\nPROMPT 0\nLABEL debian\n LINUX /vmlinuz\n INITRD /initrd\n APPEND %s\n' "$append" >"$work/syslinux.cfg"
mcopy -i "$esp" "$work/grub.cfg" ::EFI/debian/grub.cfg
mcopy -i "$esp" "$work/syslinux.cfg" ::syslinux.cfg
mcopy -i "$esp" $ldlinux ::ldlinux.c32
syslinux --install "$esp"
rm -rf "$loader"

swap=$work/swap
truncate -s ${swap_mib}M "$swap"
mkswap -q -U $swap_uuid -L swap "$swap" 2>/dev/null
root=$work/root
mke2fs -q -F -t ext4 -L root -U $root_uuid -m 1 -E lazy_itable_init=0,lazy_journal_init=0,hash_seed=$root_uuid -d "$tree" "$root" ${root_mib}M

truncate -s "${disk_mib}M" "$work/disk"
sgdisk --disk-guid=9a1d4c7e-52b0-4f6b-8e43-6b0c1f2d3e04 \
  -n "1:1M:+${esp_mib}M" -t 1:ef00 -c 1:ESP -A 1:set:2 \
  -n "2:0:+${swap_mib}M" -t 2:8200 -c 2:swap \
  -n "3:0:+${root_mib}M" -t 3:8304 -c 3:root "$work/disk" >/dev/null
place() { dd if="$1" of="$work/disk" bs=1M seek="$2" conv=notrunc,sparse status=none; }
place "$esp" 1
place "$swap" $((1 + esp_mib))
place "$root" $((1 + esp_mib + swap_mib))
dd if=$mbr of="$work/disk" bs=440 count=1 conv=notrunc status=none
mv "$work/disk" "$out"
echo "$key" >"$out.key"
say "$out: ${disk_mib} MiB, $(du -m "$out" | cut -f1) MiB used, kernel $version, $(since "$start")"
