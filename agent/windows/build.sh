#!/bin/bash
# Builds the agent for Windows in the chroot, and the Windows that its tests begin with.
#
#   agent/windows/build.sh DIR     DIR as for agent/windows/chroot.sh
#
# Result: DIR/agent.exe, and DIR/pcs/fresh, a Wine prefix in which nothing was installed. A second run builds what has changed. The standard
# library is built from Debian's source, since Debian has none for Windows of this version; hence RUSTC_BOOTSTRAP.
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 1; }
dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
target=x86_64-pc-windows-gnu
in_chroot() { "$here/chroot.sh" run "$dir" "$@"; }

in_chroot env RUSTC_BOOTSTRAP=1 cargo build --quiet --locked --profile agent -Zbuild-std=std,panic_abort --target $target -p agent
if ! cmp --silent "$dir/target/$target/agent/agent.exe" "$dir/agent.exe"; then
  cp "$dir/target/$target/agent/agent.exe" "$dir/agent.exe.new"
  mv "$dir/agent.exe.new" "$dir/agent.exe"
fi

# PCs of tests that were interrupted.
find "$dir/pcs" -mindepth 1 -maxdepth 1 -name '.tmp*' -mmin +240 -exec rm -rf {} +
if [ ! -e "$dir/pcs/fresh/system.reg" ]; then
  rm -rf "$dir/pcs/fresh"
  in_chroot env WINEPREFIX=/pcs/fresh wine64 wineboot -i 2>/dev/null
  in_chroot env WINEPREFIX=/pcs/fresh wineserver -w
fi
