#!/usr/bin/env bash
# In the background as in the foreground: each option of `cairn mount` has the same effect, each warning is on the terminal,
# and a passphrase is the same bytes. And what the table of mounts says. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-modes.XXXXXX")
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
server=
mkdir "$mnt"

cleanup() {
    [[ -n $server ]] && kill -9 "$server" 2>/dev/null
    local pid
    for pid in $(cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2); do kill -9 "$pid" 2>/dev/null; done
    umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

# up MODE ARGUMENTS...: mounts in that mode; what the command says stays in $work/told, its code in $rc.
up() {
    local mode=$1
    shift
    rc=0
    if [[ $mode == back ]]; then
        timeout 60 "$cairn" mount "$@" 2>"$work/told" <"${words:-/dev/null}"
        rc=$?
        return
    fi
    "$cairn" mount "$@" --foreground 2>"$work/told" <"${words:-/dev/null}" &
    server=$!
    for _ in $(seq 600); do
        mountpoint -q "$mnt" && "$cairn" status "$mnt" >/dev/null 2>&1 && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    wait "$server"
    rc=$?
    server=
}

down() {
    "$cairn" umount "$mnt" >/dev/null 2>&1
    [[ -n $server ]] && wait "$server" 2>/dev/null
    server=
}

# What the mount is, as far as options show: the table of mounts, the state, threads, what is in it. A mount for writing
# begins with a commit, so its epoch says nothing.
looks() {
    if ((rc != 0)); then
        echo "code $rc"
        return
    fi
    awk -v at="$mnt" '$2 == at { print $1, $3, $4 }' /proc/mounts
    "$cairn" --json status "$mnt" | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(d["read_only"], d["read_only"] and d["epoch"], d["freshness"]["trust"])'
    cat /proc/"$(grep -o '"pid":[0-9]*' "$work"/run/*.json | cut -d: -f2)"/task/*/comm | grep -c '^fuser-[0-9]'
    ls "$mnt"
    cat "$mnt/file" 2>&1
}

# both NAME ARGUMENTS...: the same in both modes.
both() {
    local name=$1 fore back
    shift
    up fore "$@"
    fore=$(looks)
    down
    up back "$@"
    back=$(looks)
    down
    same "$name" "$fore" "$back"
}

ok "create" "$cairn" create "$store" --key-file "$key"
up back "$store" "$mnt" --key-file "$key"
echo first >"$mnt/file"
down
ok "export" "$cairn" export "$store" --car "$work/one.car"
old=$("$cairn" --json audit "$store" | python3 -c 'import json, sys; print(json.load(sys.stdin)["root"])')
up back "$store" "$mnt" --key-file "$key"
echo second >"$mnt/file"
touch "$mnt/more"
ok "snapshot" "$cairn" snapshot create "$mnt" keep
down
ok "export what is new" "$cairn" export "$store" --car "$work/two.car" --since "$work/one.car"

# --- Options.
both "no option" "$store" "$mnt" --key-file "$key"
both "--read-only" "$store" "$mnt" --key-file "$key" --read-only
both "-o" "$store" "$mnt" --key-file "$key" -o ro,nosuid,nodev,noexec,noatime
both "--no-allow-other" "$store" "$mnt" --key-file "$key" --no-allow-other
both "--fsname" "$store" "$mnt" --key-file "$key" --fsname 'a,b\c d'
both "--threads" "$store" "$mnt" --key-file "$key" --threads 5
both "--anchor" "$store" "$mnt" --key-file "$key" --read-only --anchor "file:$work/anchor" --anchor-policy read-only
both "--root wants --read-only" "$store" "$mnt" --key-file "$key" --root "$old"
both "a CAR wants its base" "$work/two.car" "$mnt" --key-file "$key" --read-only
both "--base" "$work/two.car" "$mnt" --key-file "$key" --read-only --base "$work/one.car"
both "--root, --base" "$work/two.car" "$mnt" --key-file "$key" --read-only --base "$work/one.car" --root "$old"
up back "$work/two.car" "$mnt" --key-file "$key" --read-only --base "$work/one.car" --root "$old"
same "the version that was asked for" first "$(cat "$mnt/file")"
down
up back "$store" "$mnt" --key-file "$key" --log-file "$work/log" --log-format json
ok "the log is where it was asked for" grep -q '"message":"mounted"' "$work/log"
down
ok "also relative paths" bash -c "cd '$work' && '$cairn' mount store mnt --key-file key --log-file log2 && '$cairn' umount mnt && test -s log2"

# --- Warnings.
warned() {
    local name=$1 mode
    shift
    for mode in fore back; do
        up "$mode" "${@:2}"
        ok "$name, $mode" grep -qE -- "$1" "$work/told"
        down
    done
}
quiet() {
    up back "$store" "$mnt" --key-file "$key"
    same "nothing is said of what is well" "" "$(cat "$work/told")"
    down
}
quiet
chmod 644 "$key"
warned "a key file that others can read" "can be read by others" "$store" "$mnt" --key-file "$key"
chmod 600 "$key"
warned "an anchor for trying out" "can roll the volume back" "$store" "$mnt" --key-file "$key" --anchor "file:$work/anchor"
warned "an anchor that does not answer" "NOT VERIFIED" "$store" "$mnt" --key-file "$key" \
    --anchor "file:$work/none/anchor" --anchor-policy read-only
warned "without its anchor" "WITHOUT ITS ANCHOR" "$store" "$mnt" --key-file "$key" --no-anchor
code 14 "an anchored volume wants its anchor" "$cairn" mount "$store" "$mnt" --key-file "$key"

# --- A passphrase file of two lines is one passphrase, wherever it is read.
rm -rf "$store"
printf 'correct horse\nbattery\n' >"$work/words" && chmod 600 "$work/words"
ok "create with two lines" "$cairn" create "$store" --passphrase-file "$work/words"
ok "ls with two lines" "$cairn" ls "$store" / --passphrase-file "$work/words"
both "two lines" "$store" "$mnt" --passphrase-file "$work/words"
up back "$store" "$mnt" --passphrase-file "$work/words"
ok "two lines mount" test "$rc" = 0
down

# --- The table of mounts.
up back "$store" "$mnt" --passphrase-file "$work/words"
same "its type" fuse.cairn "$(findmnt -n -o FSTYPE "$mnt")"
same "its source" "cairn:$store" "$(findmnt -n -o SOURCE "$mnt")"
down

finish
