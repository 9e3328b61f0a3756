#!/usr/bin/env bash
# The real ZFS module where no kernel has it: User-Mode Linux 6.1 and zfs.ko 2.3.2, built from Debian's packages, as a guest that
# runs cairn-bench on this machine's own root.
#
#   bench/zfs/uml.sh build                 about 10 minutes on two processors, once; into ${CAIRN_CACHE:-~/.cache/cairn}/uml
#   bench/zfs/uml.sh run OUT [FLAGS...]    `cairn-bench run --systems disk,zfs --out OUT FLAGS...` in the guest
#
# Such a guest is two to four times slower than the machine, each system by its own factor: its figures are never shown beside
# others, only ZFS as a multiple of ext4 in the same guest. Cold rows are cold in the guest; the host may have the
# pool in its page cache. CAIRN_BENCH is the program (target/release/cairn-bench); UML_DIR is where the guest's disk lies (/var/tmp).
# Needs apt-get, dpkg, gcc, make, bc, flex, bison, e2fsprogs, and root. Licences: ZFS is CDDL; nothing of it is in this repository.
set -euo pipefail

kernel=6.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/fetch.sh"
out=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}/uml

say() { echo "uml: $*" >&2; }
need() { command -v "$1" >/dev/null || { echo "$1 is missing: apt install $2" >&2; exit 1; }; }

build() {
    need gcc gcc && need make make && need bc bc && need flex flex && need bison bison
    # Not in a trap's reach of a local: the folder is the build's.
    work=$(mktemp -d "${UML_DIR:-/var/tmp}/cairn-uml.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "fetching packages"
    local package wanted=(linux-source-$kernel kmod libkmod2)
    for package in zfs-dkms zfsutils-linux libzfs6linux libzpool6linux libnvpair3linux libuutil3linux; do
        wanted+=("$package/$suite")
    done
    fetch "$work" "${wanted[@]}"
    tar -C "$work" -xf "$work/root/usr/src/linux-source-$kernel.tar.xz"
    local source=$work/linux-source-$kernel
    # The static libc has had no such symbol since glibc 2.33.
    sed -i '/__xmknod/d' "$source/arch/um/os-Linux/user_syms.c"
    mkdir "$work/linux"
    cp "$here/uml.config" "$work/linux/.config"
    say "building Linux"
    make -s -C "$source" "O=$work/linux" ARCH=um olddefconfig
    make -s -C "$work/linux" ARCH=um "-j$(nproc)" linux modules
    say "building ZFS"
    local zfs=("$work"/root/usr/src/zfs-*)
    # The guest has the host's processor flags but osxsave, without which ZFS takes its slow AES-GCM.
    sed -i 's/^\thas_osxsave = !!boot_cpu_has(X86_FEATURE_OSXSAVE);/\thas_osxsave = B_TRUE;/' "${zfs[0]}/include/os/linux/kernel/linux/simd_x86.h"
    (cd "${zfs[0]}" && export KERNEL_ARCH=um ARCH=um &&
        ./configure -q --with-config=kernel "--with-linux=$source" "--with-linux-obj=$work/linux" && make -s "-j$(nproc)")
    mkdir -p "$out"
    cp "${zfs[0]}/module/spl.ko" "${zfs[0]}/module/zfs.ko" "$out"
    rm -rf "$out/root"
    mv "$work/root" "$out/root"
    rm -rf "$out/root/usr/src" "$out/root/usr/share"
    # Last: where it is, everything is.
    cp "$work/linux/linux" "$out/linux"
    echo "$out/linux"
}

# The first process of the guest; its arguments come in the environment, as the kernel hands them on.
guest() {
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t devtmpfs dev /dev 2>/dev/null || true
    mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm
    mount -t tmpfs run /run
    local lib
    lib=$(find "$out/root" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd :)
    export PATH=$out/root/usr/sbin:$out/root/sbin:$out/root/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LD_LIBRARY_PATH=$lib
    # It is what it is called as, and the package's links lead to where it is not.
    for module in spl zfs; do (exec -a insmod kmod "$out/$module.ko"); done
    mount -t ext4 -o noatime /dev/ubda "$work/disk"
    local flags=()
    mapfile -t flags <"$work/flags"
    "$work/cairn-bench" run --systems disk,zfs --dir "$work/disk/bench" "${flags[@]}" 2>&1 | cat || true
    umount "$work/disk" || true
}

run() { # OUT FLAGS...
    [[ -x $out/linux ]] || { echo "the guest is not built: bench/zfs/uml.sh build" >&2; exit 1; }
    local results=${1:?where results go} bench=${CAIRN_BENCH:-$here/../../target/release/cairn-bench}
    shift
    [[ -x $bench ]] || { echo "$bench is missing: cargo build --release" >&2; exit 1; }
    mkdir -p "$(dirname "$results")"
    results=$(realpath "$results")
    work=$(mktemp -d "${UML_DIR:-/var/tmp}/cairn-uml.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/disk"
    cp "$bench" "$work/cairn-bench"
    printf '%s\n' --out "$results" "$@" >"$work/flags"
    truncate -s 32G "$work/image"
    mke2fs -q -t ext4 "$work/image"
    {
        echo '#!/bin/bash'
        echo "export work=$work CAIRN_CACHE=${out%/uml} HOME=$work"
        echo "bash $here/uml.sh guest"
        echo "echo o >/proc/sysrq-trigger; sleep 60"
    } >"$work/init"
    chmod +x "$work/init"
    GLIBC_TUNABLES=glibc.pthread.rseq=0 TMPDIR=/dev/shm "$out/linux" mem=6G "ubd0=$work/image" \
        root=/dev/root rootfstype=hostfs rootflags=/ rw "init=$work/init" quiet con=null con0=null,fd:1 </dev/null
}

case ${1:-} in
build) build ;;
guest) guest ;;
run) shift && run "$@" ;;
*) sed -n '2,13p' "${BASH_SOURCE[0]}" | sed 's/^# \?//' >&2 && exit 2 ;;
esac
