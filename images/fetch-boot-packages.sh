#!/bin/bash
# Fetches the Debian packages that the boot environment is made of and unpacks them, without installing anything.
#
#   images/fetch-boot-packages.sh OUT
#
# Result:
#   OUT/kernel/   Debian's signed generic kernel (boot/vmlinuz-VER, lib/modules/VER with modules.dep, modules unpacked)
#   OUT/loader/   shim, signed GRUB and iPXE
#   OUT/tools/    e2fsck, resize2fs and ntfsresize with the libraries they need
#   OUT/VERSIONS  one line per package: part, package, version, suite, SHA-256 of the .deb
#
# Kernel, GRUB and friends come from Debian 13, whatever the host runs: its signed GRUB is the first with the http module, its
# kernel knows newer network cards and unpacks faster (zstd where Debian 12 has xz). The mirror is the one that the machine's own
# apt uses; apt checks the signatures against Debian's keyring. A second run within HAUSMEISTER_FETCH_HOURS (default 24) does
# nothing, and a run without network keeps a complete earlier result.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

die() { echo "fetch-boot-packages: $*" >&2; exit 1; }
say() { echo "fetch-boot-packages: $*"; }

[ $# = 1 ] || die "usage: $0 OUT"
mkdir -p "$1"
out=$(cd "$1" && pwd)
boot_suite=${HAUSMEISTER_BOOT_SUITE:-trixie}
max_age_hours=${HAUSMEISTER_FETCH_HOURS:-24}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
recipe="$(sha256sum "$0" | cut -c1-16) $boot_suite"

# What was fetched in place of the wanted suite is complete, but worth another try every time.
complete() { [ -s "$out/VERSIONS" ] && [[ "$(cat "$out/recipe" 2>/dev/null)" == "$recipe"* ]]; }
as_wanted() { complete && [ "$(cat "$out/recipe")" = "$recipe" ]; }

exec 9>"$out/lock"
flock 9
if as_wanted && [ -z "$(find "$out/recipe" -mmin +$((max_age_hours * 60)))" ]; then
  say "up to date ($(wc -l <"$out/VERSIONS") packages in $out)"
  exit 0
fi

for tool in apt-get apt-cache dpkg-deb gpgv xz depmod; do command -v $tool >/dev/null || die "$tool is missing (Debian packages apt, dpkg, gpgv, xz-utils, kmod)"; done
[ -r $keyring ] || die "$keyring is missing: install debian-archive-keyring"
host_suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$host_suite" ] || die "/etc/os-release names no VERSION_CODENAME"

# The mirrors the administrator chose, by what their Release file says they carry.
mirror_of() { apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | awk -F'|' -v l="$1" '$1 == "Debian" && $2 == l { print $3; exit }'; }
main_mirror=$(mirror_of Debian)
security_mirror=$(mirror_of Debian-Security)
[ -n "$main_mirror" ] || die "apt knows no Debian mirror yet: run 'apt-get update' once, or check /etc/apt/sources.list.d"
[ -n "$security_mirror" ] || say "apt has no security mirror: taking packages of the point release"

# A private apt: own sources, own lists, an empty dpkg status. The machine's proxies and transport settings still count.
apt_root=$out/apt
mkdir -p "$apt_root"/{state/lists/partial,cache/archives/partial,etc}
: >"$apt_root/status"
options=(-o Dir::State="$apt_root/state" -o Dir::State::status="$apt_root/status" -o Dir::Cache="$apt_root/cache"
  -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
  -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures::=amd64
  -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Get::List-Cleanup=0 -o Debug::NoLocking=1
  -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false)
sources() { # suite
  echo "deb [arch=amd64 signed-by=$keyring] $main_mirror $1 main"
  echo "deb [arch=amd64 signed-by=$keyring] $main_mirror $1-updates main"
  [ -z "$security_mirror" ] || echo "deb [arch=amd64 signed-by=$keyring] $security_mirror $1-security main"
}
apt_of() { local suite=$1 tool=$2; shift 2; "$tool" "${options[@]}" -o Dir::Etc::sourcelist="$apt_root/etc/$suite.list" -o Dir::Cache::pkgcache="$suite.bin" -o Dir::Cache::srcpkgcache="" "$@"; }
refresh() { sources "$1" >"$apt_root/etc/$1.list"; apt_of "$1" apt-get update -qq -o APT::Update::Error-Mode=any >"$apt_root/update-$1.log" 2>&1; }

if ! refresh "$host_suite"; then
  cat "$apt_root/update-$host_suite.log" >&2
  complete && { say "the mirror does not answer: keeping what was fetched before"; exit 0; }
  die "apt cannot read or verify $host_suite (messages above)"
fi
if [ "$boot_suite" != "$host_suite" ] && ! refresh "$boot_suite"; then
  cat "$apt_root/update-$boot_suite.log" >&2
  say "WARNING: cannot read or verify $boot_suite (messages above; an old debian-archive-keyring lacks its key)."
  say "WARNING: taking kernel and GRUB from $host_suite: before Debian 13 it has no http module, so Secure Boot PCs load the kernel by TFTP, and UEFI HTTP Boot does not work."
  boot_suite=$host_suite
  recipe="$recipe replaced"
fi

kernel=$(apt_of "$boot_suite" apt-cache depends --important linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
[ -n "$kernel" ] || die "linux-image-amd64 of $boot_suite depends on no kernel"

new=$out/new
rm -rf "$new"
mkdir -p "$new" "$out/debs"
: >"$new/VERSIONS"
unpack() { # part suite package...
  local part=$1 suite=$2 package version deb
  shift 2
  mkdir -p "$new/$part"
  for package in "$@"; do
    version=$(apt_of "$suite" apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2; exit }')
    [ -n "$version" ] || die "$suite has no package $package"
    deb=$(find "$out/debs" -name "${package}_${version//:/%3a}_*.deb" -print -quit)
    if [ -z "$deb" ]; then
      (cd "$out/debs" && apt_of "$suite" apt-get download -qq "$package=$version" 2>&1 | grep -v '^W: Download is performed unsandboxed' >&2) || true
      deb=$(find "$out/debs" -name "${package}_${version//:/%3a}_*.deb" -print -quit)
      [ -n "$deb" ] || die "cannot download $package $version from $suite"
    fi
    # A file of an earlier run is believed only when the signed index still vouches for it.
    local sum want
    sum=$(sha256sum "$deb" | cut -d' ' -f1)
    want=$(apt_of "$suite" apt-cache show "$package=$version" | awk '$1 == "SHA256:" { print $2; exit }')
    [ "$sum" = "$want" ] || { rm -f "$deb"; die "$package $version does not have the checksum of the signed index: removed, run again"; }
    dpkg-deb -x "$deb" "$new/$part"
    echo "$part $package $version $suite $sum" >>"$new/VERSIONS"
  done
}
unpack kernel "$boot_suite" "$kernel"
unpack loader "$boot_suite" shim-signed shim-helpers-amd64-signed grub-efi-amd64-signed ipxe
# Debian 12 links to the place where the installed package would put it.
[ -e "$new/loader/usr/lib/ipxe/ipxe.efi" ] || ln -sf ../../../boot/ipxe.efi "$new/loader/usr/lib/ipxe/ipxe.efi"
unpack tools "$host_suite" e2fsprogs libext2fs2 libcom-err2 libblkid1 libuuid1 ntfs-3g libntfs-3g89 libc6

# Debian 13 keeps modules under usr/lib and compressed. Compressed once as a whole, the initramfs is smaller, and the signature of a
# module lies inside the compression, so it stays valid.
[ -e "$new/kernel/lib" ] || ln -s usr/lib "$new/kernel/lib"
find "$new/kernel/lib/" -name '*.ko.xz' -print0 | xargs -0 --no-run-if-empty -P2 -n64 xz -d
depmod -b "$new/kernel" "${kernel#linux-image-}"

for part in kernel loader tools; do
  rm -rf "${out:?}/$part"
  mv "$new/$part" "$out/$part"
done
mv "$new/VERSIONS" "$out/VERSIONS"
rmdir "$new"
# Superseded packages go, so that a long-lived cache does not grow.
while read -r deb; do grep -q "$(sha256sum "$deb" | cut -d' ' -f1)" "$out/VERSIONS" || rm -f "$deb"; done < <(find "$out/debs" -name '*.deb')
echo "$recipe" >"$out/recipe"
awk '{ printf "%-8s%-36s%-36s%s\n", $1, $2, $3, $4 }' "$out/VERSIONS"
