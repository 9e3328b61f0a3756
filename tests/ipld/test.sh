#!/usr/bin/env bash
# A CAR of a real volume, read by readers that are not ours, and everything that can be wrong with one. Needs node and
# npm, and FUSE to fill a volume. Ends with `N passed, N failed`.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"
passed=0 failed=0
trap 'umount -l "$mnt" 2>/dev/null; rm -rf "$work"' EXIT

# ok NAME COMMAND...: must succeed.
ok() {
    local name=$1
    shift
    "$@" >"$work/now" 2>&1
    local got=$?
    # What is run may read what the one before it said.
    mv "$work/now" "$work/out"
    if ((got == 0)); then
        passed=$((passed + 1))
    else
        echo "FAIL $name: $* ended with $got"
        sed 's/^/    /' "$work/out"
        failed=$((failed + 1))
    fi
}

# code N NAME WORDS COMMAND...: must end with exit code N and say WORDS.
code() {
    local want=$1 name=$2 words=$3 got
    shift 3
    "$@" >"$work/out" 2>&1
    got=$?
    if ((got == want)) && grep -q -- "$words" "$work/out"; then
        passed=$((passed + 1))
    else
        echo "FAIL $name: $* ended with $got instead of $want, or did not say \`$words\`"
        sed 's/^/    /' "$work/out"
        failed=$((failed + 1))
    fi
}

up() { "$cairn" mount "$1" "$mnt" --key-file "$key" "${@:2}"; }
down() { "$cairn" umount "$mnt"; }
foreign() { node "$here/read.mjs" "$@"; }
# field NAME FILE: a field of JSON on one line.
field() { grep -o "\"$1\":[^,}]*" "$2" | head -n 1 | cut -d : -f 2- | tr -d '"'; }

PATH=$("$root/tests/node.sh") || { echo "0 passed, 1 failed"; exit 1; }
ok "the foreign readers install" npm --prefix "$here" ci --ignore-scripts --no-audit --no-fund

ok "create" "$cairn" create "$store" --key-file "$key" --record-size 16K
up "$store"
mkdir -p "$mnt/dir/deeper"
head -c 6000000 /dev/urandom >"$mnt/dir/large"
head -c 20000000 /dev/zero >"$mnt/dir/zeros"
echo "a small secret" >"$mnt/dir/deeper/small"
for n in $(seq 500); do echo "$n" >"$mnt/dir/deeper/file $n"; done
ln "$mnt/dir/large" "$mnt/linked"
"$cairn" snapshot create "$mnt" sunday >/dev/null
rm "$mnt/dir/deeper/file 7"
down

ok "audit of the store" "$cairn" --json audit "$store"
cp "$work/out" "$work/audit"
top=$(field root "$work/audit")
ok "export" "$cairn" export "$store" --car "$work/full.car"
ok "export as a stream" bash -c "'$cairn' export '$store' --v1 --car - >'$work/stream.car'"
code 1 "nothing is written over" "create" "$cairn" export "$store" --car "$work/full.car"
for car in full stream; do
    ok "a foreign reader takes $car.car" foreign "$work/$car.car"
    ok "and finds the commit block" grep -q "commit $top " "$work/out"
    ok "audit of $car.car" "$cairn" --json audit "$work/$car.car"
    ok "finds what that of the store found" diff "$work/out" "$work/audit"
    ok "check of $car.car" "$cairn" check "$work/$car.car" --key-file "$key"
    ok "cat from $car.car" bash -c "'$cairn' cat '$work/$car.car' '/dir/deeper/small' --key-file '$key' | grep -qx 'a small secret'"
    ok "ls of a snapshot in $car.car" bash -c "'$cairn' ls '$work/$car.car' /.snapshots/sunday/dir/deeper --key-file '$key' | grep -qx 'file 7'"
done
code 2 "a CAR is only read" "read-only" up "$work/full.car"
ok "mount of a CAR" up "$work/full.car" --read-only
ok "reads what was written" test "$(cat "$mnt/dir/deeper/file 499")" = 499
ok "by every name" cmp "$mnt/linked" "$mnt/dir/large"
ok "and is unmounted" down

up "$store"
head -c 300000 /dev/urandom >"$mnt/new"
rm "$mnt/dir/deeper/file 9"
down
ok "what is new since a CAR" "$cairn" export "$store" --car "$work/new.car" --since "$work/full.car"
ok "is little" test "$(stat -c %s "$work/new.car")" -lt 600000
ok "a foreign reader takes both together" foreign "$work/new.car" "$work/full.car"
code 1 "and misses blocks without the base" "is missing" foreign "$work/new.car"
code 15 "as the audit does" "missing" "$cairn" audit "$work/new.car"
ok "with the base it is whole" "$cairn" audit "$work/new.car" --base "$work/full.car"
ok "and is read" bash -c "'$cairn' cat '$work/new.car' /dir/deeper/small --base '$work/full.car' --key-file '$key' | grep -q secret"
ok "import of both" "$cairn" import "$work/new.car" "$work/copy" --base "$work/full.car"
code 8 "not over anything" "not empty" "$cairn" import "$work/full.car" "$work/copy"
ok "the copy is whole" "$cairn" check "$work/copy" --key-file "$key"
ok "and mounts" up "$work/copy"
ok "with the old files" test "$(cat "$mnt/dir/deeper/file 499")" = 499
ok "and without the removed ones" test ! -e "$mnt/dir/deeper/file 9"
ok "and can be written" bash -c "echo more >'$mnt/more'"
down

proof=$work/p
ok "prove" "$cairn" prove "$work/full.car" "/dir/deeper/small" --key-file "$key" -o "$proof.small"
ok "verify-proof" "$cairn" verify-proof "$proof.small" --root "$top" --output "$work/small"
ok "shows the bytes" grep -qx "a small secret" "$work/small"
ok "prove a large file" "$cairn" prove "$work/full.car" /linked --content --key-file "$key" -o "$proof.large"
ok "with its content" "$cairn" verify-proof "$proof.large" --root "$top" --output "$work/large"
ok "which is what was written" bash -c "'$cairn' cat '$work/full.car' /dir/large --key-file '$key' | cmp - '$work/large'"
ok "prove what is not there" "$cairn" prove "$work/full.car" "/dir/deeper/file 7" --key-file "$key" -o "$proof.absent"
ok "verifies" "$cairn" verify-proof "$proof.absent" --root "$top"
ok "as absent" grep -q "is absent: there is no /dir/deeper/file 7" "$work/out"
code 16 "under another root it does not" "not under" "$cairn" verify-proof "$proof.small" --root "$(printf '%064d' 1)"
printf '\x01' | dd of="$proof.small" bs=1 seek=900 conv=notrunc status=none
code 4 "nor altered" "does not hold" "$cairn" verify-proof "$proof.small" --root "$top"

# One byte in the middle of a leaf; one section less; half a file; two kinds of nothing.
cp "$work/stream.car" "$work/altered.car"
printf 'xyz' | dd of="$work/altered.car" bs=1 seek=3000000 conv=notrunc status=none
code 4 "an altered byte" "is not what was written" "$cairn" audit "$work/altered.car"
cid=$(grep -o 'block b[a-z2-7]* is not' "$work/out" | head -n 1 | cut -d ' ' -f 2)
code 1 "a foreign reader names the same block" "$cid" foreign "$work/altered.car"
code 4 "no import" "$cid" "$cairn" import "$work/altered.car" "$work/never"
ok "leaves nothing behind" test ! -e "$work/never"
head -c 3000000 "$work/stream.car" >"$work/cut.car"
code 4 "a truncated stream" "cut short" "$cairn" audit "$work/cut.car"
head -c 3000000 "$work/full.car" >"$work/cut2.car"
code 4 "a truncated file" "cut short" "$cairn" audit "$work/cut2.car"
code 15 "a root that is not there" "missing" "$cairn" audit "$work/full.car" --root "$(printf '%064d' 1)"
echo "this is a text" >"$work/text.car"
code 4 "what is no CAR" "CAR" "$cairn" audit "$work/text.car"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/other"
chmod 600 "$work/other"
code 3 "another key" "does not open" "$cairn" ls "$work/full.car" / --key-file "$work/other"

echo "$passed passed, $failed failed"
((failed == 0))
