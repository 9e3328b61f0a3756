#!/usr/bin/env bash
# Builds what stands in for ZFS on machines whose kernel has none, out of OpenZFS' engine (libzpool, from Debian's backports):
# zlfuse, the engine behind a small FUSE front, and zpoolbench, which measures it alone. Installs nothing: packages are fetched by an apt of its own and unpacked below the cache.
#
#   bench/zfs/build.sh            builds into ${CAIRN_CACHE:-~/.cache/cairn}/zlfuse, where cairn-bench looks for it
#
# Needs apt-get, dpkg, a C compiler, and the package fuse3. Licences: libzpool is CDDL; nothing of it is in this repository.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/fetch.sh"
out=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}/zlfuse
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wanted=(libfuse3-dev)
for package in libzfslinux-dev libzpool6linux libnvpair3linux libzfs6linux libuutil3linux; do wanted+=("$package/$suite"); done
fetch "$work" "${wanted[@]}"

# libzpool's headers expect to be found as <sys/...>, before the system's.
mkdir "$work/inc"
ln -s "$work/root/usr/include/libzpool" "$work/inc/sys"
lib=$(dirname "$(find "$work/root" -name 'libzpool.so.*' | head -n 1)")
mkdir -p "$out/lib"
cp -P "$lib"/*.so.* "$out/lib"
libs=()
for name in libzpool libnvpair; do libs+=("$(find "$out/lib" -name "$name.so.[0-9]" | head -n 1)"); done
compile() { # NAME LIBRARIES...
    local name=$1
    shift
    cc -O2 -D_GNU_SOURCE -DDEBUG -DZFS_DEBUG -w \
        -I"$work/inc" -I"$work/root/usr/include/libzfs" -I"$work/root/usr/include/libspl" -I"$work/root/usr/include/fuse3" \
        "$here/$name.c" -o "$out/$name.new" "${libs[@]}" "$@" -lpthread -Wl,-rpath-link,"$out/lib"
}
compile zpoolbench
compile zlfuse -l:libfuse3.so.3
dpkg-deb -f "$work"/debs/libzpool6linux*.deb Version >"$out/version"
# Last: what cairn-bench looks for is there only when everything is.
mv "$out/zpoolbench.new" "$out/zpoolbench"
mv "$out/zlfuse.new" "$out/zlfuse"
echo "$out/zlfuse"
