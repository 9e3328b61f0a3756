#!/usr/bin/env bash
# What a user sees of mounts: `quota`, `list`, and `status` as the liveness probe, when the store goes away, fills up or
# fails, and when the daemon hangs or is gone. A check ends with its client. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-see.XXXXXX")
key=$work/key store=$work/store mnt=$work/mnt
export CAIRN_RUN_DIR=$work/run
faulty=cairn-see-$$ loop=

pids() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2; }
cleanup() {
    local at pid
    for pid in $(pids); do kill -CONT "$pid" 2>/dev/null; kill -9 "$pid" 2>/dev/null; done
    for at in $(awk '{print $5}' /proc/self/mountinfo | grep "^$work/" | tac); do umount -l "$at" 2>/dev/null; done
    dmsetup remove --retry "$faulty" >/dev/null 2>&1
    [[ -n $loop ]] && losetup -d "$loop" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

up() { timeout 60 "$cairn" mount "$1" "$2" --key-file "$key" --log-file "$work/log" "${@:3}"; }
down() { timeout 60 "$cairn" umount "$@"; }
said() { grep -qE -- "$1" "$work/said"; }
field() { timeout 60 "$cairn" --json "${@:2}" | head -n 1 | python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }
# The pid of the daemon that serves a mount point.
daemon() { grep -l "\"mountpoint\":\"$1\"" "$work"/run/*.json | xargs grep -oh '"pid":[0-9]*' | cut -d: -f2; }
# What the list says of a mount point, with single blanks.
row() { timeout 60 "$cairn" list "${@:2}" | grep -F " $1 " | tr -s ' '; }

mkdir "$mnt" "$work/mnt2" "$work/device"
ok "create" "$cairn" create "$store" --key-file "$key" --quota 1G
ok "mount" up "$store" "$mnt"

# --- Quota: shown, and one limit changed alone.
ok "write" bash -c "head -c 1M /dev/urandom >'$mnt/file' && '$cairn' sync '$mnt'"
same "limit and use of bytes" "bytes   1.00 MiB of 1.00 GiB (0 %)" "$("$cairn" quota "$mnt" | head -n 1)"
same "no limit is said" "inodes  2, no limit" "$("$cairn" quota "$mnt" | tail -n 1)"
ok "quota of inodes alone" "$cairn" quota "$mnt" --inodes 100
same "the bytes stay" 1073741824 "$(field "['bytes']['limit']" quota "$mnt")"
same "the inodes are limited" 100 "$(field "['inodes']['limit']" quota "$mnt")"
ok "quota of bytes alone" "$cairn" quota "$mnt" --bytes none
same "the bytes are free" None "$(field "['bytes']['limit']" quota "$mnt")"
same "the inodes stay" 100 "$(field "['inodes']['limit']" quota "$mnt")"
ok "status shows the limits" grep -q "^quota       no limit for bytes, 100 for inodes" <<<"$("$cairn" status "$mnt")"
same "status in JSON too" 100 "$(field "['quota']['inodes']['limit']" status "$mnt")"
ok "umount" down "$mnt"
ok "quota of a store" "$cairn" quota "$store" --key-file "$key" --bytes 2G
same "its inodes stay" "inodes  2 of 100 (2 %)" "$("$cairn" quota "$store" --key-file "$key" | tail -n 1)"
same "its bytes are set" 2147483648 "$(field "['bytes']['limit']" quota "$store" --key-file "$key")"

# --- List: all mounts; one that hangs holds nothing up.
same "nothing is mounted" "" "$(row "$mnt")"
ok "create another" "$cairn" create "$work/store2" --key-file "$key"
ok "mount again" up "$store" "$mnt"
ok "mount the other" up "$work/store2" "$work/mnt2" --read-only
ok "a live one" grep -qE "^live rw 1.00 MiB 2.00 GiB [0-9]+ $mnt $store$" <<<"$(row "$mnt")"
ok "a read-only one" grep -qE "^live ro .* - [0-9]+ $work/mnt2 $work/store2$" <<<"$(row "$work/mnt2")"
pid=$(daemon "$mnt")
ok "stop a daemon" kill -STOP "$pid"
ok "the list says which one hangs" grep -q "^not answering rw - - $pid $mnt" <<<"$(row "$mnt" --timeout 1s)"
ok "and lists the other" grep -q "^live ro" <<<"$(row "$work/mnt2" --timeout 1s)"
code 21 "status of a daemon that hangs" timeout 30 "$cairn" status "$mnt" --timeout 1s
ok "it names the daemon" said "pid $pid"
ok "continue it" kill -CONT "$pid"
ok "it is well again" "$cairn" status "$mnt"
ok "kill it" kill -9 "$pid"
gone() { row "$mnt" | grep -q "^daemon gone rw - - $pid $mnt"; }
until_ok "the list says that it is gone" gone
code 9 "status of a daemon that is gone" "$cairn" status "$mnt"
ok "take the dead mount away" down "$mnt"
same "it is not listed any more" "" "$(row "$mnt")"
ok "umount the other" down "$work/mnt2"

# --- Status: the store is taken away, replaced, full, or its device fails.
ok "mount to be left alone" up "$store" "$mnt"
ok "all is well" "$cairn" status "$mnt"
mv "$store" "$work/aside"
code 7 "status without the store" "$cairn" status "$mnt"
ok "which store" said "$store"
same "and in JSON" store "$(field "['trouble']['exit']" status "$mnt")"
ok "the list says so" grep -q "^troubled" <<<"$(row "$mnt")"
mkdir "$store"
code 7 "status with another directory in its place" "$cairn" status "$mnt"
rmdir "$store" && mv "$work/aside" "$store"
ok "it is back" "$cairn" status "$mnt"

# --- A check ends with its client.
many() { for n in $(seq 50); do head -c 100K /dev/urandom >"$mnt/many$n" || return; done; }
ok "files to check" many
ok "a check" "$cairn" check "$mnt"
ask_and_leave() {
    python3 - "$work"/run/*.sock <<'EOF'
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b'{"ask":"check"}\n')
client.close()
EOF
}
ok "a client that asks and goes away" ask_and_leave
until_ok "the daemon gives the check up" grep -q "a check was given up" "$work/log"
ok "and goes on" "$cairn" check "$mnt"
ok "umount after that" down "$mnt"

mount -t tmpfs -o size=160m none "$work/device" || { echo "FAILED: cannot mount a tmpfs"; exit 1; }
ok "create on a small device" "$cairn" create "$work/device/store" --key-file "$key"
ok "mount it" up "$work/device/store" "$mnt" --commit-interval 30s
head -c 40M /dev/urandom >"$work/device/filler1"
dd if=/dev/urandom of="$mnt/large" bs=1M count=8 status=none
head -c 160M /dev/zero >"$work/device/filler2" 2>/dev/null
full() {
    "$cairn" status "$mnt" >"$work/said" 2>&1
    said "it is full"
}
until_ok "a full store is told" full
code 7 "its code" "$cairn" status "$mnt"
rm "$work/device/filler1" "$work/device/filler2"
well() { "$cairn" sync "$mnt" && "$cairn" status "$mnt"; }
until_ok "with room it is well" well
ok "umount from the small device" down "$mnt"
umount "$work/device"

# Some machines have no device mapper.
disk() {
    truncate -s 300M "$work/disk" && loop=$(losetup -f --show "$work/disk") &&
        dmsetup create "$faulty" --table "0 614400 linear $loop 0" >/dev/null 2>&1
}
fail() {
    dmsetup suspend --nolockfs --noflush "$faulty" && dmsetup reload "$faulty" --table "0 614400 error" &&
        dmsetup resume "$faulty"
}
if disk; then
    mkfs.ext4 -q "/dev/mapper/$faulty" && mount "/dev/mapper/$faulty" "$work/device" || exit 1
    ok "create on a device" "$cairn" create "$work/device/store" --key-file "$key"
    ok "mount from it" up "$work/device/store" "$mnt"
    ok "it is well" "$cairn" status "$mnt"
    ok "the device fails" fail
    code 7 "status when the device fails" timeout 60 "$cairn" status "$mnt"
    ok "it speaks of the store" said "$work/device/store"
fi
finish
