#!/usr/bin/env bash
# Cairn as mount(8), fstab and plain users know filesystems: the mount helper and its words, paths of any bytes, the type in
# the table of mounts, what a user may do, and what is refused with its remedy. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
if [[ ${1:-} != inside ]]; then
    # A namespace of our own, in which the helper can be installed without touching the machine.
    exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" inside
fi
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-fstab.XXXXXX")
chmod 755 "$work"
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"

cleanup() {
    local pid at
    for pid in $(cat "$work"/run/*.json "$work"/user/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2); do kill -9 "$pid" 2>/dev/null; done
    umount -l /usr/sbin 2>/dev/null
    for at in $(awk '{print $5}' /proc/self/mountinfo | grep "^$work" | tac); do umount -l "$(printf '%b' "${at//\\/\\0}")" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
said() { grep -qE -e "$1" "$work/said"; }
type_of() { findmnt -n -o FSTYPE --mountpoint "$1"; }
down() { "$cairn" umount "$1" >"$work/out" 2>&1; }

ok "create" "$cairn" create "$store" --key-file "$key"

# --- The helper, as `make install` lays it.
mkdir "$work/upper" "$work/overlay" "$work/root"
ok "make install" make -s -C "$root" install DESTDIR="$work/root" SBINDIR=/usr/sbin cairn="$cairn"
ok "it installs the helper" test -L "$work/root/usr/sbin/mount.cairn" -a -L "$work/root/usr/sbin/mount.fuse.cairn"
mount -t tmpfs none "$work/overlay" && mkdir "$work/overlay/upper" "$work/overlay/work"
if mount -t overlay none -o "lowerdir=/usr/sbin,upperdir=$work/overlay/upper,workdir=$work/overlay/work" /usr/sbin 2>/dev/null; then
    ln -sf "$cairn" /usr/sbin/mount.cairn
    ln -sf "$cairn" /usr/sbin/mount.fuse.cairn
    for type in cairn fuse.cairn; do
        echo "$store $mnt $type rw,nofail,_netdev,noauto,user,exec,x-systemd.automount,key-file=$key 0 0" >"$work/fstab"
        ok "mount by fstab, type $type" mount -T "$work/fstab" "$mnt"
        same "its type" fuse.cairn "$(type_of "$mnt")"
        same "its source is that of fstab" "$store" "$(findmnt -n -o SOURCE --mountpoint "$mnt")"
        ok "its flags" bash -c "findmnt -n -o OPTIONS --mountpoint '$mnt' | grep -q 'rw,nosuid,nodev' && ! findmnt -n -o OPTIONS --mountpoint '$mnt' | grep -q noexec"
        ok "mount -a leaves it" mount -a -T "$work/fstab"
        ok "umount(8)" umount "$mnt"
    done
    ok "mount -t cairn" mount -t cairn -o "ro,key-file=$key" "$store" "$mnt"
    ok "it is read-only" bash -c "! touch '$mnt/x' 2>/dev/null"
    ok "umount after -t" umount "$mnt"
    code 32 "an unknown word" bash -c "mount -t cairn -o bogus,key-file='$key' '$store' '$mnt'; (( \$? == 2 || \$? == 32 )) && exit 32"
    ok "it is named" said bogus
    comma=$work/'k,e\y' && cp "$key" "$comma"
    ok "a comma and a backslash in a word" mount.cairn "$store" "$mnt" -o "key-file=$work/k\\,e\\\\y"
    ok "umount after the comma" down "$mnt"
    umount -l /usr/sbin
else
    echo "no overlay here: mount(8) was not asked"
fi
for words in rw,nofail,_netdev,noauto,x-systemd.requires=network.target defaults,user,x-a ro,noexec; do
    ok "-o $words" "$cairn" mount "$store" "$mnt" --key-file "$key" -o "$words"
    ok "umount after -o $words" down "$mnt"
done

# --- Paths of any bytes.
n=0
for name in 'a,b' 'x,ro' 'a b' 'a\b' 'a\,b' $'a\nb' 'é' $'caf\xe9' 'x,fd=99'; do
    n=$((n + 1)) at="$work/p$n/$name" on="$work/p$n/m $name" shown=$(printf %q "$name")
    mkdir -p "$work/p$n" "$on"
    ok "$shown: create" "$cairn" --json create "$at" --key-file "$key"
    ok "$shown: mount" timeout 60 "$cairn" mount "$at" "$on" --key-file "$key"
    ok "$shown: write" bash -c 'echo hello >"$1/file"' write "$on"
    ok "$shown: status" "$cairn" --json status "$on"
    ok "$shown: status by the store" "$cairn" status "$at"
    ok "$shown: sync" "$cairn" --json sync "$on"
    ok "$shown: umount" "$cairn" --json umount "$on"
    ok "$shown: read" bash -c '[[ $("$1" cat "$2" /file --key-file "$3") == hello ]]' read "$cairn" "$at" "$key"
    ok "$shown: export" "$cairn" --json export "$at" --car "$at.car"
    ok "$shown: import" "$cairn" --json import "$at.car" "$at.new"
    ok "$shown: audit" "$cairn" --json audit "$at.new"
done

# --- A plain user, through fusermount3.
user=$work/user
# Some machines keep the device from users, and fusermount3 opens it as the user.
mknod -m 666 "$work/fuse" c 10 229 && mount --bind "$work/fuse" /dev/fuse
mkdir -m 777 "$user" && cp "$cairn" "$user/cairn" && chmod 755 "$user/cairn"
as_user() { timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$user" CAIRN_RUN_DIR="$user/run" "$@"; }
mkdir -m 777 "$user/m"
chown 65534:65534 "$user/m"
for name in plain 'a,b' 'x,ro' 'a\,b'; do
    ok "user: create $name" as_user "$user/cairn" create "$user/$name" --key-file "$user/key"
    ok "user: mount $name" as_user "$user/cairn" mount "$user/$name" "$user/m" --key-file "$user/key" --no-allow-other
    same "user: the type" fuse.cairn "$(type_of "$user/m")"
    same "user: the source" "cairn:$user/$name" "$(findmnt -n -o SOURCE --mountpoint "$user/m" | sed 's/\\x5c/\\/g')"
    ok "user: write" as_user bash -c "echo hi >'$user/m/f'"
    ok "user: umount" as_user "$user/cairn" umount "$user/m"
done
if ! grep -qx user_allow_other /etc/fuse.conf 2>/dev/null; then
    code 2 "user: others may not be let in" as_user "$user/cairn" mount "$user/plain" "$user/m" --key-file "$user/key"
    ok "user: says what helps" said "no-allow-other"
fi
code 1 "user: another's store is no missing store" as_user "$user/cairn" status "$store"
ok "user: says that it is not permitted" said "[Pp]ermission denied"
ok "user: and not that it is none" bash -c "! grep -q 'no Cairn' '$work/said'"

# --- A store that is a mount point.
mkdir "$work/disk" && mount -t tmpfs -o size=300m none "$work/disk"
ok "create on a disk of its own" "$cairn" create "$work/disk" --key-file "$key"
ok "status of it" "$cairn" status "$work/disk"
ok "check of it" "$cairn" check "$work/disk" --key-file "$key"
ok "snapshot list of it" "$cairn" snapshot list "$work/disk" --key-file "$key"
ok "mount of it" "$cairn" mount "$work/disk" "$mnt" --key-file "$key"
ok "status of it while mounted" "$cairn" status "$work/disk"
ok "umount of it" down "$mnt"
umount "$work/disk"

# --- Over a directory that is not empty.
mkdir "$work/lived" && echo mine >"$work/lived/file"
code 2 "over a directory that is not empty" "$cairn" mount "$store" "$work/lived" --key-file "$key"
ok "says what helps" said "nonempty"
ok "--nonempty" "$cairn" mount "$store" "$work/lived" --key-file "$key" --nonempty
ok "umount" down "$work/lived"
same "what was there is there" mine "$(cat "$work/lived/file")"

finish
