#!/bin/bash
# A Debian of its own for what the Windows agent needs and Debian 12 does not have: a compiler that can build the standard library for
# Windows, and a Wine that can start the result.
#
#   agent/windows/chroot.sh make DIR            makes DIR/chroot, once (about 70 seconds, 300 MB to fetch, 3 GB on the disk)
#   agent/windows/chroot.sh run DIR COMMAND...  runs a command in it, in a mount namespace of its own: nothing stays mounted
#
# In the chroot this folder of the repository is /src (read only), DIR/target is /target, DIR/pcs is /pcs (Windows PCs of the tests), and
# cargo's registry is the machine's own. The packages come from Debian sid through the mirror that the machine's apt uses, checked by its
# keyring. What was made stays as it is until this file changes or somebody removes it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

die() { echo "windows chroot: $*" >&2; exit 1; }

[ $# -ge 2 ] || die "usage: $0 make DIR | run DIR COMMAND..."
what=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
root=$dir/chroot
repository=$(cd "$(dirname "$0")/../.." && pwd)
packages=ca-certificates,cargo,gcc-mingw-w64-x86-64-win32,rust-src,rustc,wine64

make_chroot() {
  local recipe mirror
  recipe=$(sha256sum "$0" | cut -c1-16)
  exec 9>"$dir/lock"
  flock 9
  [ "$(cat "$root/recipe" 2>/dev/null)" = "$recipe" ] && return
  mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | awk -F'|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
  [ -n "$mirror" ] || die "apt knows no Debian mirror yet: run 'apt-get update' once"
  rm -rf "$root"
  # A mirror may be a snapshot that is older than its index says it may be.
  mmdebstrap --quiet --variant=apt --include=$packages \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' sid "$root" "$mirror"
  echo "$recipe" >"$root/recipe"
}

run_in_chroot() {
  [ -s "$root/recipe" ] || die "there is none in $dir yet: run make windows-agent"
  local registry=${CARGO_HOME:-$HOME/.cargo}/registry
  mkdir -p "$dir/target" "$dir/pcs" "$registry" "$root/src" "$root/target" "$root/pcs" "$root/cargo/registry" "$root/etc/ssl/certs"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  # The machine's authorities: its network may have one of its own.
  [ ! -s /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  export root dir repository registry
  exec unshare --mount --propagation private bash -euc '
    mount --bind /proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --bind -o ro "$repository" "$root/src"
    mount --bind "$dir/target" "$root/target"
    mount --bind "$dir/pcs" "$root/pcs"
    mount --bind "$registry" "$root/cargo/registry"
    cd "$root"
    exec chroot "$root" env -i --chdir=/src PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/lib/x86_64-linux-gnu/wine HOME=/root XDG_RUNTIME_DIR=/tmp \
      CARGO_HOME=/cargo CARGO_TARGET_DIR=/target WINEARCH=win64 WINEDEBUG=-all "$@"' sh "$@"
}

case $what in
  make) make_chroot ;;
  run) run_in_chroot "$@" ;;
  *) die "usage: $0 make DIR | run DIR COMMAND..." ;;
esac
