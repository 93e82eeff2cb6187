#!/bin/bash
# The root file system of the demo image as a tar: rootfs.sh OUT.tar, called by build.sh with SUITE, ROOT_UUID and SWAP_UUID set.
# The mirror is the one that the machine's own apt uses.
set -euo pipefail
out=$1
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror_of() { apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | awk -F'|' -v l="$1" '$1 == "Debian" && $2 == l { print $3; exit }'; }
main_mirror=$(mirror_of Debian)
security_mirror=$(mirror_of Debian-Security)
[ -n "$main_mirror" ] || { echo "apt knows no Debian mirror yet: run apt-get update" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
  echo "deb [signed-by=$keyring] $main_mirror $SUITE main"
  [ -z "$security_mirror" ] || echo "deb [signed-by=$keyring] $security_mirror $SUITE-security main"
} >"$work/sources.list"

# Before the kernel is configured: what its initrd must be able to mount. tiny-initramfs starts no udev, which saves seconds.
cat >"$work/before" <<'HOOK'
set -e
mkdir -p "$1/etc/tiny-initramfs"
cat >"$1/etc/tiny-initramfs/tiny-initramfs.conf" <<'CONF'
AUTO_MODULES=no
MICROCODE=no
INCLUDE_MODULES=virtio_pci,virtio_blk,nvme,ext4,crc32c_generic
CONF
HOOK

cat >"$work/after" <<'HOOK'
set -e
root=$1
cat >"$root/etc/fstab" <<FSTAB
UUID=$ROOT_UUID / ext4 errors=remount-ro 0 1
UUID=$SWAP_UUID none swap sw 0 0
FSTAB
cat >"$root/etc/systemd/network/80-wired.network" <<'NET'
[Match]
Type=ether
Name=en* eth*

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
UseHostname=no
NET
echo vorlage >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 vorlage\n' >"$root/etc/hosts"
: >"$root/etc/machine-id"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/demo.conf"
# On a loaded machine an emulated PC may take minutes for what a real one does in a second.
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\nDefaultTimeoutStartSec=10min\nDefaultDeviceTimeoutSec=10min\nDefaultTimeoutStopSec=1min\n' >"$root/etc/systemd/system.conf.d/demo.conf"
chroot "$root" systemctl --quiet enable systemd-networkd.service
# Under emulation every program start costs a quarter of a second. What a machine with one serial console, one disk and one network card
# does not need is masked: session manager (no D-Bus here), nightly work, optional file systems, generators that find nothing. What the
# demo is to prove stays: fsck of the grown root, udev, swap, networkd.
mask() { for unit in "$@"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done; }
mask systemd-logind.service getty-static.service systemd-networkd-wait-online.service systemd-pstore.service systemd-network-generator.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer \
  modprobe@.service systemd-modules-load.service systemd-sysusers.service systemd-machine-id-commit.service systemd-journal-flush.service \
  systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-fsckd.socket kmod-static-nodes.service \
  systemd-ask-password-console.path systemd-ask-password-wall.path systemd-initctl.socket \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount
mkdir -p "$root/etc/systemd/system-generators" "$root/etc/systemd/system/systemd-udev-trigger.service.d"
for generator in bless-boot cryptsetup debug gpt-auto hibernate-resume integritysetup rc-local run system-update sysv veritysetup; do
  ln -s /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
# Hundreds of virtual terminals and processor features need no event.
cat >"$root/etc/systemd/system/systemd-udev-trigger.service.d/demo.conf" <<'UNIT'
[Service]
ExecStart=
ExecStart=-udevadm trigger --action=add --subsystem-match=pci --subsystem-match=virtio --subsystem-match=block --subsystem-match=net --subsystem-match=nvme
ExecStart=-udevadm trigger --action=add --subsystem-match=tty --sysname-match=ttyS0
UNIT
printf 'blacklist %s\n' psmouse pcspkr i2c_piix4 i2c_i801 lpc_ich ata_piix ata_generic sr_mod >"$root/etc/modprobe.d/demo.conf"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
chroot "$root" passwd --quiet --lock root
# Whoever sits at the serial console presses a key and is in; until then no shell is started.
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d"
cat >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/demo.conf" <<'GETTY'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --login-pause --keep-baud 115200,57600,38400,9600 - $TERM
GETTY
# Debian 12's own signed loaders, taken out of their packages: what they would pull in is not needed here.
loader=$root/demo-image-loader
mkdir "$loader"
cd "$loader"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download -qq shim-signed grub-efi-amd64-signed
for deb in *.deb; do dpkg-deb -x "$deb" .; done
rm -f ./*.deb
HOOK

# /usr/share/locale and friends are most of a small system's files.
mmdebstrap --variant=essential --format=tar --mode=root --architectures=amd64 \
  --include=systemd-sysv,udev,login,passwd,iproute2,e2fsprogs,tiny-initramfs,linux-image-cloud-amd64 \
  --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/i18n/*' --dpkgopt='path-exclude=/usr/lib/x86_64-linux-gnu/gconv/*' \
  --essential-hook="sh $work/before \"\$1\"" --customize-hook="sh $work/after \"\$1\"" \
  --skip=check/qemu \
  "$SUITE" "$out" "$work/sources.list"
