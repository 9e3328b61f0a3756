#!/usr/bin/env bash
# Results appear whole or not at all: create, import and export that a full disk, a signal or a kill ends leave nothing that
# the next attempt stumbles over, and blame the side that failed. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-whole.XXXXXX")
mnt=$work/mnt key=$work/key store=$work/store
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/small"

cleanup() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    umount -l "$work/small" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
said() { grep -qE -- "$1" "$work/said"; }
# Ends a command with a signal once it is at work.
ended_by() {
    local signal=$1 pid
    shift
    "$@" >"$work/out" 2>&1 &
    pid=$!
    sleep "${pause:-0.3}"
    kill "-$signal" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    :
}

ok "create" "$cairn" create "$store" --key-file "$key"
ok "mount" "$cairn" mount "$store" "$mnt" --key-file "$key"
head -c 150M /dev/urandom >"$mnt/large"
ok "umount" "$cairn" umount "$mnt"
ok "export" "$cairn" export "$store" --car "$work/car"

# --- On a full disk.
mount -t tmpfs -o size=8m none "$work/small"
code 1 "export to a full disk" "$cairn" export "$store" --car "$work/small/car"
ok "says whose disk is full" said "cannot write $work/small/car: No space left.*make room"
same "leaves nothing" "" "$(ls -A "$work/small")"
code 7 "create on a full disk" "$cairn" create "$work/small/new" --key-file "$key"
ok "says whose disk is full" said "$work/small/new"
same "leaves nothing of the store" "" "$(ls -A "$work/small")"
dd if=/dev/zero of="$work/small/rest" bs=64K status=none 2>/dev/null
cat /dev/zero >>"$work/small/rest" 2>/dev/null
code 1 "a key on a full disk" "$cairn" create "$work/other" --key-file "$work/small/key"
ok "leaves no half of a key" test ! -e "$work/small/key" -a ! -e "$work/other"
umount "$work/small"
mount -t tmpfs -o size=180m none "$work/small"
code 7 "import to a full disk" "$cairn" import "$work/car" "$work/small/new"
ok "blames the store and not the CAR" said "the store $work/small/new"
ok "not the CAR" bash -c "! grep -q '$work/car' '$work/said'"
same "leaves nothing" "" "$(ls -A "$work/small")"
mkdir "$work/small/made"
code 7 "import into a directory that is there" "$cairn" import "$work/car" "$work/small/made"
same "leaves it empty" "" "$(ls -A "$work/small/made")"
umount "$work/small"

# --- By a signal.
for signal in INT TERM KILL; do
    for pause in 0.05 0.2 0.4; do
        ended_by $signal "$cairn" export "$store" --car "$work/car.$signal"
        [[ -e $work/car.$signal ]] && ok "export that was done before $signal is whole" "$cairn" audit "$work/car.$signal"
        rm -f "$work/car.$signal"
        same "export ended by $signal after $pause s leaves nothing" "" "$(find "$work" -maxdepth 1 -name "car.$signal*")"
        ended_by $signal "$cairn" import "$work/car" "$work/import"
        if [[ $signal != KILL && -e $work/import ]]; then
            ok "import that was done before $signal is whole" "$cairn" audit "$work/import"
            rm -rf "$work/import"
        fi
        if ! "$cairn" audit "$work/import" >/dev/null 2>&1; then
            ok "import after $signal" "$cairn" import "$work/car" "$work/import"
        fi
        ok "it is whole" "$cairn" audit "$work/import"
        rm -rf "$work/import"
        ended_by $signal "$cairn" create "$work/create" --key-file "$work/key.$signal"
        if ! "$cairn" status "$work/create" >/dev/null 2>&1; then
            ok "create after $signal" "$cairn" create "$work/create" --key-file "$work/key.$signal"
        fi
        ok "it opens" "$cairn" ls "$work/create" / --key-file "$work/key.$signal"
        rm -rf "$work/create" "$work/key.$signal"
    done
done

# --- What a kill left is no store, says so, and takes no other's place.
"$cairn" import "$work/car" "$work/import" >"$work/out" 2>&1 &
pid=$!
until_ok "an import is at work" test -e "$work/import/unfinished"
code 6 "no second one into the same place" "$cairn" import "$work/car" "$work/import"
kill -9 "$pid" && wait "$pid" 2>/dev/null
if [[ -e $work/import/unfinished ]]; then
    code 5 "what a kill left is no volume" "$cairn" status "$work/import"
    ok "it says what to do" said "cut short: create or import it again"
    touch "$work/import/mine"
    code 8 "a foreign file keeps it" "$cairn" import "$work/car" "$work/import"
    ok "the foreign file is there" test -e "$work/import/mine"
    rm "$work/import/mine"
fi
ok "import into its place" "$cairn" import "$work/car" "$work/import"
ok "it is whole" "$cairn" check "$work/import" --key-file "$key"
code 1 "export never writes over anything" "$cairn" export "$store" --car "$work/car"
ok "it says so" said "exists already"

finish
