#!/usr/bin/env bash
# A mounted volume is audited, exported, proven, listed and read through its daemon, by its mount point and by its store, under
# writes, from a read-only mount, and by clients that go away. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-served.XXXXXX")
mnt=$work/mnt key=$work/key store=$work/store
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"
writer=

cleanup() {
    [[ -n $writer ]] && kill "$writer" 2>/dev/null
    "$cairn" umount --force "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
said() { grep -qE -- "$1" "$work/said"; }
field() { sed -nE "s/.*\"$1\":\"?([^\",}]*).*/\1/p" "$work/out"; }
daemon() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2 | head -n 1; }
threads() { cat /proc/"$(daemon)"/task/*/comm | grep -c control-client; }
no_client() { [[ $(threads) == 0 ]]; }
up() { "$cairn" mount "$store" "$mnt" --key-file "$key" "$@"; }
# Writes, commits and removes until it is ended: each commit drops what the one before had.
write_on() {
    local round
    for round in $(seq 100000); do
        head -c 3M /dev/urandom >"$mnt/busy/$((round % 7))"
        "$cairn" sync "$mnt" >/dev/null 2>&1 || exit
    done
}

ok "create" "$cairn" create "$store" --key-file "$key"
ok "mount" up
mkdir "$mnt/dir" "$mnt/busy"
seq 100000 >"$work/expected"
cp "$work/expected" "$mnt/dir/file"
head -c 60M /dev/urandom >"$mnt/large"
for name in $(seq 700); do echo "$name" >"$mnt/dir/small $name"; done
ok "snapshot" "$cairn" snapshot create "$mnt" first
echo later >"$mnt/later"

# --- Each command by the mount point and by the store, with no key, while others write.
write_on &
writer=$!
for place in "$mnt" "$store"; do
    code 0 "audit $place" "$cairn" --json audit "$place"
    ok "it is whole" said '"whole":true'
    ok "with two threads" "$cairn" audit "$place" --threads 2
    car=$work/car.${place##*/}
    ok "export $place" "$cairn" --json export "$place" --car "$car"
    version=$(field root)
    ok "the CAR is whole" "$cairn" audit "$car"
    ok "check of the CAR" "$cairn" check "$car" --key-file "$key"
    ok "it has what was written before" bash -c "'$cairn' cat '$car' /dir/file --key-file '$key' | cmp - '$work/expected'"
    ok "import" "$cairn" import "$car" "$work/imported"
    ok "what was imported is whole" "$cairn" check "$work/imported" --key-file "$key"
    rm -rf "$work/imported"
    ok "export --since" "$cairn" export "$place" --car "$work/since" --since "$car"
    ok "the rest is in the CAR before" "$cairn" audit "$work/since" --base "$car"
    rm "$work/since"
    ok "export as a stream" bash -c "'$cairn' export '$place' --v1 --car - >'$work/stream'"
    ok "it is whole" "$cairn" audit "$work/stream"
    ok "prove $place" "$cairn" --json prove "$place" /dir/file --content -o "$work/proof"
    version=$(field root)
    ok "the proof holds" "$cairn" verify-proof "$work/proof" --root "$version" --output "$work/proven"
    ok "it shows the bytes" cmp "$work/proven" "$work/expected"
    rm "$work/proof" "$work/proven"
    ok "prove that there is nothing" "$cairn" prove "$place" /nothing/at/all -o "$work/proof"
    rm "$work/proof"
    ok "ls $place" "$cairn" ls "$place" /dir
    same "all names" 701 "$(wc -l <"$work/out")"
    ok "in their order" sort -c "$work/out"
    ok "ls --long" "$cairn" ls "$place" / --long
    ok "cat $place" bash -c "'$cairn' cat '$place' /large | cmp - '$mnt/large'"
    ok "cat of a snapshot" bash -c "'$cairn' cat '$place' /.snapshots/first/dir/file | cmp - '$work/expected'"
    ok "ls of the snapshots" bash -c "'$cairn' ls '$place' /.snapshots | grep -x first"
    ok "ls in a snapshot" bash -c "'$cairn' ls '$place' /.snapshots/first/dir | grep -x file"
    code 2 "what is not there" "$cairn" cat "$place" /dir/nothing
    ok "it says so" said "no such file"
    code 2 "--base goes with a CAR" "$cairn" export "$place" --car "$work/refused" --base "$car"
    ok "check $place" "$cairn" check "$place"
done
ok "what is written last is read" bash -c "echo now >'$mnt/now'; '$cairn' cat '$mnt' /now | grep now"
ok "cat ends with its reader" bash -c "'$cairn' cat '$mnt' /large | head -c 10 >/dev/null; [[ \${PIPESTATUS[0]} == 141 ]]"
until_ok "and its thread" no_client
code 6 "what changes the store is refused" "$cairn" rekey "$store" --key-file "$key" --new-key-file "$work/new"
ok "a CAR may lie in the volume itself" "$cairn" export "$mnt" --car "$mnt/own.car"
ok "it is whole" "$cairn" audit "$mnt/own.car"
rm "$mnt/own.car"

# --- A version stays whole however long its reader takes, and is given back then.
mkfifo "$work/slow"
"$cairn" export "$mnt" --v1 --car - >"$work/slow" 2>/dev/null &
slow=$!
exec 7<"$work/slow"
head -c 1M <&7 >"$work/long"
for round in 1 2 3; do
    head -c 9M /dev/urandom >"$mnt/large"
    "$cairn" sync "$mnt"
done
cat <&7 >>"$work/long"
exec 7<&-
wait "$slow"
same "a slow export ends well" 0 "$?"
ok "what it wrote is whole" "$cairn" check "$work/long" --key-file "$key"
head -c 60M /dev/urandom >"$mnt/large"

# --- Clients that are killed: the version is let go of, and the next one is served.
for pause in 0.05 0.2 0.5; do
    "$cairn" export "$mnt" --v1 --car - 2>/dev/null | (sleep "$pause"; exit 0) &
    "$cairn" export "$mnt" --car "$work/killed" >/dev/null 2>&1 &
    pid=$!
    sleep "$pause"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    rm -f "$work/killed"
done
until_ok "clients that are gone cost nothing" no_client
same "nothing is left of their files" "" "$(find "$work" -maxdepth 1 -name 'killed*')"
"$cairn" export "$mnt" --v1 --car - >"$work/slow" 2>/dev/null &
stopped=$!
exec 7<"$work/slow"
until_ok "a client that hangs is served by one thread" bash -c "[[ \$(cat /proc/$(daemon)/task/*/comm | grep -c control-client) == 1 ]]"
ok "the next one does not wait for it" "$cairn" export "$mnt" --car "$work/next"
ok "nor does a status" "$cairn" status "$mnt"
ok "and is whole" "$cairn" audit "$work/next"
kill -9 "$stopped"
wait "$stopped" 2>/dev/null
exec 7<&-
until_ok "it is let go of" no_client
kill "$writer"
wait "$writer" 2>/dev/null
writer=
ok "sync" "$cairn" sync "$mnt"
ok "sync again: what was held for them is given back" "$cairn" sync "$mnt"
ok "check" "$cairn" --json check "$mnt"
same "nothing is leaked" 0 "$(field leaked_blocks)"

# --- A version by its root; with the key, from the daemon's blocks.
ok "the newest version" "$cairn" --json audit "$mnt"
version=$(field root)
ok "ls of it with the key" "$cairn" ls "$mnt" /dir --root "$version" --key-file "$key"
ok "check of it with the key" "$cairn" check "$mnt" --root "$version" --key-file "$key"
unknown=$(printf '0%.0s' $(seq 64))
code 15 "a version that is not there" "$cairn" audit "$mnt" --root "$unknown"
code 15 "nor exported" "$cairn" export "$store" --car "$work/none" --root "$unknown"
ok "without a file" test ! -e "$work/none"

# --- A daemon that ends in the middle.
"$cairn" export "$mnt" --v1 --car - >"$work/slow" 2>"$work/said" &
pid=$!
exec 7<"$work/slow"
head -c 1M <&7 >/dev/null
kill -9 "$(daemon)"
cat <&7 >/dev/null
exec 7<&-
wait "$pid"
same "the export ends with 9" 9 "$?"
ok "it names the daemon" said "the daemon \(pid [0-9]+\) answers no more"
umount -l "$mnt"
ok "mount again" up
"$cairn" export "$mnt" --car "$work/cut" >"$work/said" 2>&1 &
pid=$!
until_ok "an export is at work" bash -c "[[ \$(cat /proc/$(daemon)/task/*/comm | grep -c control-client) == 1 || ! -d /proc/$pid ]]"
kill -9 "$(daemon)"
wait "$pid"
got=$?
ok "it ended with 9 or was done" test "$got" = 9 -o "$got" = 0
[[ $got == 0 ]] || same "no file is left" "" "$(find "$work" -maxdepth 1 -name 'cut*')"
umount -l "$mnt"

# --- A mount that is only read, with changes in the log alone.
ok "mount --read-only" up --read-only
for place in "$mnt" "$store"; do
    rm -f "$work/car.ro" "$work/proof"
    ok "audit $place" "$cairn" audit "$place"
    ok "export $place" "$cairn" export "$place" --car "$work/car.ro"
    ok "the CAR is whole" "$cairn" check "$work/car.ro" --key-file "$key"
    ok "prove $place" "$cairn" prove "$place" /dir/file -o "$work/proof"
    ok "cat $place" bash -c "'$cairn' cat '$place' /dir/file | cmp - '$work/expected'"
    ok "ls $place" "$cairn" ls "$place" /
done
ok "umount" "$cairn" umount "$mnt"
ok "mount of a CAR" "$cairn" mount "$work/car.ro" "$mnt" --key-file "$key" --read-only
ok "audit" "$cairn" audit "$mnt"
ok "export" "$cairn" export "$mnt" --car "$work/car.again"
ok "the same bytes" cmp "$work/car.ro" "$work/car.again"
ok "umount" "$cairn" umount "$mnt"

# --- A daemon whose mount is gone has committed and ended before the store is read.
ok "mount" up
echo last >"$mnt/last"
ok "umount(8)" umount "$mnt"
ok "export waits for it" "$cairn" export "$store" --car "$work/car.last"
ok "and has what was written last" bash -c "'$cairn' cat '$work/car.last' /last --key-file '$key' | grep last"
code 5 "the mount point is no volume any more" "$cairn" audit "$mnt"

finish
