#!/usr/bin/env bash
# The README's two commands on a machine that has nothing: Debian's smallest system in a root of its own, a clone, and
# the Rust toolchain that the README asks for. Prints how long each step took. Needs root, debootstrap and /dev/fuse.
#
#   tests/fresh.sh                  make up, make down, make test
#   tests/fresh.sh --up-only        without make test
#   tests/fresh.sh --tools-only     only installs what both need, and looks for every tool that the tests call
#   tests/fresh.sh --shell          as the first, with a shell in the root at the end
#
# SUITE (bookworm) and MIRROR say which system: an Ubuntu is SUITE=noble with a MIRROR of Ubuntu's. FRESH_DIR (/var/tmp)
# takes 15 GB. Where packages and crates come from is copied from this machine: apt's sources and settings, the
# certificates, cargo's and npm's settings, proxies of the environment. Nothing that was downloaded or built is.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
what=${1:-}
suite=${SUITE:-bookworm}
# The archive that this machine's apt uses, if it is one of a whole system; debootstrap knows one otherwise.
mirror=${MIRROR:-$(find /etc/apt -name sources.list -o -name '*.list' -o -name '*.sources' | xargs -r grep -hoE '^(URIs:|deb ).*' |
    grep -oE 'https?://[^ ]+/(debian|ubuntu)/?( |$)' | head -n 1 || true)}
mirror=${mirror% }
for tool in debootstrap unshare git; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done

# A namespace of mounts, so that none is left behind whatever happens.
if [[ -z ${FRESH_INSIDE:-} ]]; then
    FRESH_INSIDE=1 exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" "$@"
fi
work=$(mktemp -d "${FRESH_DIR:-/var/tmp}/cairn-fresh.XXXXXX")
bare=$work/root
cleanup() {
    # A mount that went with another is no reason to leave the rest.
    set +e
    # What still runs in there holds the mounts: a daemon whose `make down` never came.
    local pid
    for pid in /proc/[0-9]*; do
        [[ $(readlink "$pid/root" 2>/dev/null) == "$bare" ]] && kill -9 "${pid#/proc/}" 2>/dev/null
    done
    grep -oE " $bare/[^ ]*" /proc/self/mounts | tac | while read -r mount; do umount -l "$mount"; done
    umount -l "$bare" 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

times=()
# timed NAME COMMAND...: says how long it took, also when it fails.
timed() {
    local name=$1 from=$SECONDS rc=0
    shift
    echo "== $name"
    "$@" || rc=$?
    times+=("$(printf '%3d min %02d s  %s' $(((SECONDS - from) / 60)) $(((SECONDS - from) % 60)) "$name")")
    ((rc == 0)) || { printf '%s\n' "${times[@]}" "FAILED: $name"; exit 1; }
}

# in_root COMMAND: in the clone, with nothing of this machine's environment but its proxies and indexes.
in_root() {
    local keep=()
    mapfile -t keep < <(env | grep -iE '^[a-z_]*(proxy|_registry|index_url|find_links)=' || true)
    chroot "$bare" /usr/bin/env -i "${keep[@]}" HOME=/root USER=root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        bash -euo pipefail -c "cd /root/cairn; $1"
}

# copy FILE...: files and folders of this machine, where they are there, at the same place.
copy() {
    local file
    for file in "$@"; do
        [[ -e $file ]] || continue
        mkdir -p "$bare$(dirname "$file")"
        cp -aL --remove-destination "$file" "$bare$(dirname "$file")/"
    done
}

bare_system() { debootstrap --variant=minbase "$suite" "$bare" ${mirror:+"$mirror"} >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; return 1; }; }

settings() {
    # A mount of its own: in a root that is none, no namespace of mounts can be made.
    mount --bind "$bare" "$bare"
    mount --rbind /dev "$bare/dev" && mount --make-rslave "$bare/dev"
    mount -t proc proc "$bare/proc"
    mount --rbind /sys "$bare/sys" && mount --make-rslave "$bare/sys"
    mount -t tmpfs tmpfs "$bare/run"
    copy /etc/resolv.conf /etc/hosts
    copy /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/auth.conf /etc/apt/auth.conf.d
    # Another suite has other sources: those that debootstrap wrote.
    if grep -qE "^VERSION_CODENAME=$suite$" /etc/os-release; then
        rm -f "$bare/etc/apt/sources.list"
        copy /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/keyrings /etc/apt/trusted.gpg.d
    fi
    # Only what this machine added: the system's own certificates are for the installer to bring.
    copy /usr/local/share/ca-certificates /etc/npmrc "$HOME/.npmrc" "$HOME/.cargo/config.toml"
    local npm cargo=${CARGO_HOME:-$HOME/.cargo}
    npm=$(command -v npm >/dev/null && npm config get globalconfig 2>/dev/null || true)
    [[ -f $npm ]] && install -D -m 644 "$npm" "$bare/etc/npmrc"
    for file in "$HOME/.npmrc" "$cargo/config.toml" "$cargo/credentials.toml"; do
        [[ ! -e $file ]] || install -D -m 600 "$file" "$bare/root/${file#"$HOME"/}"
    done
}

# The toolchain alone, as rustup would leave it: compiler, cargo, rustfmt and clippy.
toolchain() {
    local sysroot tool
    sysroot=$(rustc --print sysroot)
    mkdir -p "$bare/root/.cargo/bin" "$bare/opt/rust"
    mount --bind "$sysroot" "$bare/opt/rust" && mount -o remount,bind,ro "$bare/opt/rust"
    for tool in "$sysroot"/bin/*; do ln -s "/opt/rust/bin/${tool##*/}" "$bare/root/.cargo/bin/"; done
}

# What the README asks for besides: git and make, and the clone.
clone() {
    in_tools() { chroot "$bare" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
    in_tools apt-get -qq update
    in_tools apt-get -qq install -y --no-install-recommends git make >/dev/null
    git clone -q --no-hardlinks "$root" "$bare/root/cairn"
}

volume() {
    in_root 'echo hello >volume/mnt/hello && target/release/cairn sync volume/mnt && [[ $(<volume/mnt/hello) == hello ]]
        target/release/cairn check volume/mnt'
}

# Every program that a script of the tests calls by its plain name.
tools() {
    in_root '.ci/install.sh test
        grep -ohE "^[^#]*" tests/*.sh tests/mounted/*.sh tests/ipld/*.sh contracts/*.sh .ci/* |
            grep -oE "(^|[|&;({]|\\$\(|if|then|do|!|ok \"[^\"]*\"|code [0-9]+ \"[^\"]*\") *[a-z][a-z0-9._-]+( |$)" |
            grep -oE "[a-z][a-z0-9._-]+ *$" | sort -u >/tmp/words
        # Not theirs: what this script itself and a build for other systems ask for, and the name of a variable.
        sed -i -E "/^(debootstrap|llvm-config|file)$/d" /tmp/words
        missing=0
        while read -r word; do
            # What this machine has in a folder of programs and the root lacks is a tool that is missing.
            [[ -e /host-tools/$word ]] && ! command -v "$word" >/dev/null && { echo "missing: $word"; missing=1; }
        done </tmp/words
        exit $missing'
}

timed "debootstrap $suite" bare_system
settings
toolchain
timed "git, make and a clone" clone
if [[ $what == --tools-only ]]; then
    mkdir "$bare/host-tools"
    for dir in /usr/sbin /usr/bin /sbin /bin; do find "$dir/" -mindepth 1 -maxdepth 1 -printf '%f\n'; done | sort -u |
        while read -r name; do : >"$bare/host-tools/$name"; done
    timed "tools" tools
else
    timed "make up" in_root 'make up'
    timed "the volume" volume
    timed "make down" in_root 'make down'
    [[ $what == --up-only ]] || timed "make test" in_root 'make test'
fi
[[ $what != --shell ]] || in_root 'bash -i' || true
printf '%s\n' "${times[@]}"
echo "${#times[@]} passed, 0 failed"
