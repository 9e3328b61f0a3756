#!/usr/bin/env bash
# A volume for one long test, and a count of what held. Sourced by the scripts beside it; runs nothing by itself.
#
#   up | down | crash        mount, unmount, kill -9 of the daemon
#   holds NAME COMMAND...    one check, counted
#   finish                   the totals, as the last thing
#
# LONG_DIR is where stores lie (/var/tmp: a disk, for /tmp may be memory). CAIRN is the program under test.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
[[ -x $cairn ]] || { echo "FAILED: $cairn is missing: cargo build --release"; exit 1; }
work=$(mktemp -d "${LONG_DIR:-/var/tmp}/cairn-long.XXXXXX")
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"
chmod 755 "$work" "$mnt"
passed=0 failed=0

leave() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT

holds() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name: $* ended with $?"
        sed 's/^/    /' "$work/out" | tail -n 20
    fi
}

# atmost NAME VALUE LIMIT [UNIT]: a figure that must not be above its limit.
atmost() { holds "$1: $2${4:+ $4}, at most $3" awk -v value="$2" -v limit="$3" 'BEGIN {exit !(value <= limit)}'; }
# atleast NAME VALUE LIMIT [UNIT]
atleast() { holds "$1: $2${4:+ $4}, at least $3" awk -v value="$2" -v limit="$3" 'BEGIN {exit !(value >= limit)}'; }

up() { "$cairn" mount "$store" "$mnt" --key-file "$key" "$@"; }
down() { "$cairn" umount "$mnt"; }
crash() {
    local pid
    pid=$(daemon) || return
    kill -KILL "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}
daemon() { field pid "$("$cairn" --json status "$mnt")"; }

# field NAME JSON: one number.
field() { grep -o "\"$1\": *[0-9]*" <<<"$2" | grep -o '[0-9]*$'; }
store_mib() { du -sm "$store" | cut -f 1; }

# leaked: blocks that nothing names, and paths that are damaged, of the mounted volume; both must be none.
whole() {
    local report
    report=$("$cairn" --json check "$mnt") || { echo "$report"; return 1; }
    echo "$report"
    [[ $(field leaked_blocks "$report") == 0 ]]
}

# shrinks_to MIB: whether the store is below that within a minute of idling; says when.
shrinks_to() {
    for second in $(seq 0 60); do
        if (($(store_mib) < $1)); then
            echo "$(store_mib) MiB after $second s"
            return
        fi
        sleep 1
    done
    echo "still $(store_mib) MiB after a minute:"
    du -am "$store" | sort -n | tail -n 20
    return 1
}

finish() {
    echo "$passed passed, $failed failed"
    ((failed == 0))
}

"$cairn" create "$store" --key-file "$key" >/dev/null || exit 1
