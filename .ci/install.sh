#!/usr/bin/env bash
# Installs what the machine lacks, on Debian or Ubuntu.
#
#   .ci/install.sh          what building and mounting need
#   .ci/install.sh test     also what the tests need
set -euo pipefail

what=${1:-build}
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }

# bindgen loads libclang while it runs, from where clang-sys looks. libclang-cpp, which comes with every clang, will not
# do: it is another library.
has_libclang() {
    local dirs=(/usr/lib* /usr/lib*/* /usr/lib*/*/* /usr/local/lib* /usr/local/lib*/* /usr/local/llvm*/lib*) IFS=: found
    # shellcheck disable=SC2206 # colons part them
    dirs+=(${LD_LIBRARY_PATH:-} ${LIBRARY_PATH:-})
    command -v llvm-config >/dev/null && dirs+=("$(llvm-config --prefix)/lib")
    # If set, it alone counts; it may also be the library itself.
    [[ -n ${LIBCLANG_PATH:-} ]] && dirs=("$LIBCLANG_PATH" "${LIBCLANG_PATH%/*}")
    found=$(for dir in "${dirs[@]}"; do compgen -G "$dir/libclang.so*" || compgen -G "$dir/libclang-*.so*"; done || true)
    grep -qve '-cpp\.' <<<"$found" && [[ -n $found ]]
}

# clang compiles against the C++ library of the newest gcc that it finds, whose headers may not be there.
need_cxx_headers() {
    command -v clang++ >/dev/null || return 0
    echo '#include <cstdint>' | clang++ -std=c++20 -fsyntax-only -x c++ - 2>/dev/null && return
    local gcc
    gcc=$(clang++ -v 2>&1 | sed -n 's|^Selected GCC installation: .*/||p')
    missing+=("${gcc:+libstdc++-${gcc%%.*}-dev}")
    [[ -n $gcc ]] || missing[-1]=g++
}

look_for_tools() {
    missing=()
    need fusermount3 fuse3
    need clang clang
    need cc gcc
    # cargo checks what it downloads against the system's certificates.
    [[ -s ${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} ]] || missing+=(ca-certificates)
    need unshare util-linux
    need mountpoint util-linux
    need chattr e2fsprogs
    [[ $what == test ]] || return 0
    need mount mount
    need git git
    need python3 python3
    need npm npm
}

# What a package above brings along on most systems, and not on all.
look_for_libraries() {
    missing=()
    need_cxx_headers
    has_libclang || missing+=(libclang-dev)
}

install() {
    command -v apt-get >/dev/null || { echo "install these yourself: ${missing[*]}" >&2; exit 1; }
    local sudo=()
    ((EUID == 0)) || sudo=(sudo)
    echo "installing: ${missing[*]}"
    "${sudo[@]}" apt-get -qq update
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

for look in look_for_tools look_for_libraries; do
    "$look"
    ((${#missing[@]} == 0)) && continue
    install
    "$look"
    ((${#missing[@]} == 0)) || { echo "still missing after installing: ${missing[*]}" >&2; exit 1; }
done

command -v cargo >/dev/null || { echo "there is no Rust toolchain: install one with rustup, then run this again" >&2; exit 1; }
if [[ $what == test ]]; then
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 ||
            { echo "cargo $component is missing: rustup component add rustfmt clippy" >&2; exit 1; }
    done
fi
[[ -c /dev/fuse ]] || { echo "there is no /dev/fuse: load the kernel module fuse, or give the container the device" >&2; exit 1; }
