#!/usr/bin/env bash
# What cannot be written can be read, and what only reads writes nothing: each such command leaves every byte of the store as
# it was, also after a crash and behind damage, and works from a read-only and from a full disk. As root.
# Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-reading.XXXXXX")
mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/fixed" "$work/full"

cleanup() {
    local pid
    for pid in $(cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2); do kill -9 "$pid" 2>/dev/null; done
    umount -l "$mnt" "$work/fixed" "$work/full" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

daemon() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2 | head -n 1; }
gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; return 1; }
# Names, contents, lengths and times of all files.
state() { (cd "$1" && find . -printf '%p %s %T@ %m\n' | sort && find . -type f -print0 | sort -z | xargs -0 md5sum) | md5sum; }

# Each reading command, with the code it must end with, on a store.
reads() {
    local name=$1 store=$2 want=$3 before command
    local out=$work/out.$RANDOM
    mkdir -p "$out"
    declare -A commands=(
        [ls]="ls $store / --key-file $key"
        [cat]="cat $store /file --key-file $key"
        [check]="check $store --key-file $key"
        [audit]="audit $store"
        [export]="export $store --car $out/car"
        [prove]="prove $store /file --key-file $key -o $out/proof"
        [status]="status $store"
        [snapshots]="snapshot list $store --key-file $key"
    )
    for command in ls cat check audit export prove status snapshots; do
        before=$(state "$store")
        # shellcheck disable=SC2086
        code "$want" "$name: $command" timeout 60 "$cairn" --json ${commands[$command]}
        same "$name: $command writes nothing" "$before" "$(state "$store")"
    done
    before=$(state "$store")
    code "$want" "$name: mount --read-only" bash -c "timeout 60 '$cairn' mount '$store' '$mnt' --key-file '$key' --read-only; got=\$?; echo ended with \$got; exit \$got"
    ok "$name: what is mounted is read" bash -c "cat '$mnt/file' | cmp - '$work/expected'"
    ok "$name: umount" "$cairn" umount "$mnt"
    same "$name: mount --read-only writes nothing" "$before" "$(state "$store")"
    rm -rf "$out"
}

store=$work/store
ok "create" "$cairn" create "$store" --key-file "$key"
ok "mount" "$cairn" mount "$store" "$mnt" --key-file "$key"
seq 100000 >"$work/expected"
cp "$work/expected" "$mnt/file"
ok "snapshot" "$cairn" snapshot create "$mnt" first
ok "umount" "$cairn" umount "$mnt"
cp -a "$store" "$work/clean"
reads "a clean store" "$store" 0

# --- After a kill: RocksDB's log and the intent log hold what the tables do not.
ok "mount for a kill" "$cairn" mount "$store" "$mnt" --key-file "$key"
ok "write and fsync" dd if="$work/expected" of="$mnt/synced" conv=fsync status=none
ok "commit" "$cairn" sync "$mnt"
ok "write and fsync again" dd if="$work/expected" of="$mnt/logged" conv=fsync status=none
pid=$(daemon)
kill -9 "$pid" && gone "$pid"
umount -l "$mnt"
reads "a killed store" "$store" 0
ok "what was logged is read without being replayed for good" bash -c "'$cairn' cat '$store' /logged --key-file '$key' | cmp - '$work/expected'"

# --- A log of the index with a wrong byte in its middle stays as it is: a copy may mend it yet.
cp -a "$store" "$work/damaged"
wal=$(find "$work/damaged" -maxdepth 1 -name '*.log' -size +0 -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
printf '\xff\xff\xff\xff' | dd of="$wal" bs=1 seek=40 conv=notrunc status=none
for command in "ls $work/damaged / --key-file $key" "status $work/damaged" "check $work/damaged --key-file $key" "audit $work/damaged"; do
    before=$(state "$work/damaged")
    # shellcheck disable=SC2086
    timeout 60 "$cairn" $command >"$work/out" 2>&1
    same "damage in the log of the index: ${command%% *} leaves it" "$before" "$(state "$work/damaged")"
done

# --- From a read-only disk.
mount --bind "$work/clean" "$work/fixed" && mount -o remount,bind,ro "$work/fixed"
ok "the disk is read-only" bash -c "! touch '$work/fixed/x' 2>/dev/null"
reads "a read-only disk" "$work/fixed" 0
code 7 "mounting it for writing is refused" timeout 60 "$cairn" mount "$work/fixed" "$mnt" --key-file "$key"
ok "it says what works" grep -q -- "--read-only" "$work/said"
umount "$work/fixed"

# --- From a disk without a byte of room.
mount -t tmpfs -o size=200m none "$work/full"
cp -a "$work/clean" "$work/full/store"
dd if=/dev/zero of="$work/full/rest" bs=64K status=none 2>/dev/null
cat /dev/zero >>"$work/full/rest" 2>/dev/null
reads "a full disk" "$work/full/store" 0

# --- Several readers, and no writer beside them.
ok "mount --read-only" "$cairn" mount "$work/clean" "$mnt" --key-file "$key" --read-only
ok "audit beside it" "$cairn" audit "$work/clean"
code 6 "no writer beside it" timeout 60 "$cairn" rekey "$work/clean" --key-file "$key" --new-key-file "$work/new"
ok "umount the reader" "$cairn" umount "$mnt"

finish
