#!/usr/bin/env bash
# A killed daemon's intent log with a wrong bit: what a mount, a check and the other commands say of it, and how it goes
# on. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"

cleanup() {
    umount -l "$mnt" 2>/dev/null
    local pid
    pid=$(daemon)
    [[ -n $pid ]] && kill -9 "$pid" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

daemon() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | grep -o '[0-9]*' | head -n 1; }
up() { "$cairn" mount "$store" "$mnt" --key-file "$key" "$@"; }
down() { "$cairn" umount "$mnt"; }
gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; return 1; }
files() { find "$mnt" -maxdepth 1 -name 'f*' | wc -l; }
said() { grep -q -- "$1" "$work/said"; }
# Flips a bit of a byte of the log.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$store/intent/$1" | tr -d ' ')
    printf "%b" "\\x$(printf %02x $((byte ^ 1)))" | dd of="$store/intent/$1" bs=1 seek="$2" conv=notrunc status=none
}

ok "create" "$cairn" create "$store" --key-file "$key"
ok "mount" up --commit-interval 60m
for n in $(seq 100); do
    dd if=/dev/zero of="$mnt/f$n" bs=200 count=1 conv=fsync status=none
done
pid=$(daemon)
kill -9 "$pid"
ok "the daemon is gone" gone "$pid"
umount -l "$mnt"
cp -a "$store" "$work/killed"

# Heads and bytes of records, early and late; one in ten of the first bytes is within a head.
for at in 20 3000 4000 9001 16000; do
    rm -rf "$store" && cp -a "$work/killed" "$store"
    flip 00000 "$at"
    code 4 "byte $at: check is not whole" "$cairn" check "$store" --key-file "$key"
    ok "byte $at: check names the log" said "(intent log)"
    ok "byte $at: check never says whole" bash -c "! grep -q ^whole '$work/said'"
    code 17 "byte $at: ls says it" "$cairn" ls "$store" / --key-file "$key"
    code 17 "byte $at: a mount has a code of its own" up
    ok "byte $at: it says how many are lost" said " records (.* bytes) that were synced are lost, done "
    ok "byte $at: it says how to go on" said "--accept-log-loss"
    ok "byte $at: it is mounted all the same" mountpoint -q "$mnt"
    left=$(files)
    ok "byte $at: as it was before the damage" test "$left" -lt 100
    ok "byte $at: read-only" bash -c "! touch '$mnt/new' 2>/dev/null"
    ok "byte $at: status says it" bash -c "'$cairn' status '$mnt' | grep -q 'LOST .*records'"
    code 4 "byte $at: check of the mount" "$cairn" check "$mnt"
    ok "byte $at: umount" down
    code 17 "byte $at: it is told again" up --read-only
    ok "byte $at: umount again" down
done
code 17 "what would write is refused" "$cairn" snapshot create "$store" one --key-file "$key"
code 17 "so is a new key" "$cairn" rekey "$store" --key-file "$key" --new-key-file "$work/key2"
ok "the old key still opens it" bash -c "'$cairn' ls '$store' / --key-file '$key'; test \$? = 17"

ok "a loss that is accepted" up --accept-log-loss
same "nothing more is lost" "$left" "$(files)"
ok "status says what was lost" bash -c "'$cairn' status '$mnt' | grep -q 'LOST .*records'"
ok "it can be written to" touch "$mnt/new"
ok "umount of what was accepted" down
ok "check says whole again" bash -c "'$cairn' check '$store' --key-file '$key' | grep -q ^whole"
ok "mount, as ever" up
ok "what was written is there" test -e "$mnt/new"
ok "the last umount" down

rm -rf "$store" && cp -a "$work/killed" "$store"
ok "the log put back, nothing is lost" up
same "every file is there" 100 "$(files)"
ok "umount of the whole" down

finish
