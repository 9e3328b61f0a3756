#!/usr/bin/env bash
# Freshness on a real mount, with a file as the anchor: what is old, forked or second is refused, and the pod can tell
# what is anchored. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
store=$work/store mnt=$work/mnt key=$work/key anchor=$work/anchor/file
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/twin-mnt" "$work/anchor"
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"

cleanup() {
    umount -l "$mnt" "$work/twin-mnt" 2>/dev/null
    local record pid
    for record in "$work"/run/*.json; do
        pid=$(grep -o '"pid":[0-9]*' "$record" 2>/dev/null | grep -o '[0-9]*')
        [[ -n $pid ]] && kill -9 "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap cleanup EXIT

# An hour: what is published is asked for, or is the last.
up() { "$cairn" mount "$store" "$mnt" --key-file "$key" --anchor "file:$anchor" --publish-interval 60m "$@"; }
down() { "$cairn" umount "$mnt"; }
field() { "$cairn" --json status "$mnt" | python3 -c "import json,sys; r=json.load(sys.stdin)
for k in '$1'.split('.'): r=r[k]
print(r)"; }
attribute() { python3 -c "import os,sys; print(os.getxattr(sys.argv[1], sys.argv[2]).decode())" "$1" "$2"; }

# told COMMAND...: keeps what it says.
told() { "$@" >"$work/told" 2>&1; }

ok "create" "$cairn" create "$store" --key-file "$key"
code 2 "an anchor is written as KIND:PLACE" up --anchor nonsense
ok "a new volume goes with a new anchor" told up
ok "the mount warns of an anchor that is a file" grep -q "for trying out" "$work/told"
echo one >"$mnt/file"
ok "sync --anchored" "$cairn" sync --anchored --timeout 2m "$mnt"
same "everything is anchored" 0 "$(field freshness.window.epochs)"
same "this instance has booted" booted "$(field freshness.trust)"
same "a file tells the anchored epoch" "$(field freshness.anchored.epoch)" "$(attribute "$mnt/file" cairn.anchored)"
same "which has the newest change" "$(attribute "$mnt" cairn.epoch)" "$(attribute "$mnt/file" cairn.anchored)"
same "attributes of versions are not listed" "[]" "$(python3 -c "import os,sys; print(os.listxattr(sys.argv[1]))" "$mnt/file")"
code 1 "nor can they be set" python3 -c "import os,sys; os.setxattr(sys.argv[1], 'cairn.anchored', b'9')" "$mnt/file"
ok "status shows it to people" grep -q "everything is anchored" <("$cairn" status "$mnt")
echo two >"$mnt/file"
ok "sync alone anchors nothing" "$cairn" sync "$mnt"
ok "what is not anchored is shown" test "$(field freshness.window.epochs)" -gt 0
ok "check understands what is held" "$cairn" check "$mnt"
ok "umount publishes the last" down
cp -a "$store" "$work/exact"
cp -a "$store" "$work/twin"

ok "mount it" up
ok "umount it" down
rm -rf "$store" && cp -a "$work/exact" "$store"
ok "put back to exactly what is anchored, it mounts" up
same "what was written is there" two "$(cat "$mnt/file")"
for n in 1 2 3; do
    echo "$n" >"$mnt/file-$n"
    ok "sync $n" "$cairn" sync "$mnt"
done
ok "umount" down
mv "$store" "$work/newest"

cp -a "$work/exact" "$store"
code 10 "an older copy of the store is stale" up
ok "and says by how many epochs" grep -qE "STALE by [0-9]+ epochs" "$work/said"
code 10 "also for whoever only reads" up --read-only
code 14 "without its anchor it is not mounted" "$cairn" mount "$store" "$mnt" --key-file "$key"
ok "but where somebody says so" "$cairn" mount "$store" "$mnt" --key-file "$key" --no-anchor
same "such a mount trusts nothing" none "$(field freshness.trust)"
for n in $(seq 12); do
    echo "$n" >"$mnt/lie"
    "$cairn" sync "$mnt"
done
ok "umount" down
code 11 "an older copy that went on is forked" up
ok "and says so" grep -q FORKED "$work/said"
rm -rf "$store"

cp -a "$work/newest" "$store"
mv "$work/anchor" "$work/away"
code 12 "an anchor that is away: refused" up
ok "or read-only, if the policy says so" up --anchor-policy read-only
same "and not verified" unverified "$(field freshness.trust)"
code 1 "nothing is written there" touch "$mnt/new"
code 12 "nor anchored" "$cairn" sync --anchored "$mnt"
ok "umount" down
up --anchor-policy wait >"$work/waited" 2>&1 &
waiting=$!
mv "$work/away" "$work/anchor"
ok "or the mount waits" wait "$waiting"
same "and is verified then" booted "$(field freshness.trust)"
echo three >"$mnt/file"
ok "sync --anchored" "$cairn" sync --anchored "$mnt"

# The anchor as it is now, and two copies of the volume at exactly that version.
ok "umount" down
rm -rf "$work/twin" && cp -a "$store" "$work/twin"
ok "the first instance" up
ok "the second, from a copy" "$cairn" mount "$work/twin" "$work/twin-mnt" --key-file "$key" --anchor "file:$anchor" --publish-interval 60m
echo first >"$mnt/first"
code 13 "the first cannot publish any more" "$cairn" sync --anchored "$mnt"
code 1 "and is read-only" touch "$mnt/more"
ok "and says why" grep -q "another instance" <("$cairn" status "$mnt")
echo second >"$work/twin-mnt/second"
ok "the second goes on" "$cairn" sync --anchored "$work/twin-mnt"
code 13 "unmounting the first says so too" down
ok "umount the second" "$cairn" umount "$work/twin-mnt"

finish
