#!/usr/bin/env bash
# Installs what building and mounting need and the machine lacks, on Debian or Ubuntu.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need fusermount3 fuse3
need clang clang
need pkg-config pkg-config
need unshare util-linux
need chattr e2fsprogs
need git git
ldconfig -p | grep -q libclang || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || missing+=(libclang-dev)

if ((${#missing[@]})); then
    command -v apt-get >/dev/null || { echo "install these yourself: ${missing[*]}" >&2; exit 1; }
    sudo=()
    ((EUID == 0)) || sudo=(sudo)
    echo "installing: ${missing[*]}"
    "${sudo[@]}" apt-get -qq update
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi
command -v cargo >/dev/null || { echo "there is no Rust toolchain: install one with rustup, then run this again" >&2; exit 1; }
[[ -c /dev/fuse ]] || { echo "there is no /dev/fuse: load the kernel module fuse, or give the container the device" >&2; exit 1; }
