#!/usr/bin/env bash
# An older copy of the store put back under a mount, file by file or whole: the volume stops, and nothing is published
# over it. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d) || exit 1
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"

cleanup() {
    umount -l "$mnt" 2>/dev/null
    local pid
    for pid in $(cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2); do kill -9 "$pid" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT

# Publishes only when it is asked to.
up() { "$cairn" mount "$store" "$mnt" --key-file "$key" --anchor "file:$work/anchor" --publish-interval 60m "$@"; }
anchored() { python3 -c "import os,sys; print(os.getxattr(sys.argv[1], 'cairn.anchored').decode())" "$mnt"; }

ok "create" "$cairn" create "$store" --key-file "$key"
ok "mount" up
ok "write and anchor" bash -c "echo one > '$mnt/file' && '$cairn' sync --anchored '$mnt'"
cp -a "$store" "$work/old"
ok "write more" bash -c "echo two > '$mnt/file' && '$cairn' sync '$mnt'"
before=$(anchored)

# Not over the files, which the daemon has open: in their place.
put_back() { for name in "$@"; do rm -rf "${store:?}/$name" && cp -a "$work/old/$name" "$store/$name"; done; }
put_back $(ls "$work/old")
code 12 "nothing is published over an older store" timeout 60 "$cairn" sync --anchored --timeout 10s "$mnt"
ok "it says so" grep -q "older copy was put in its place\|read-only" "$work/said"
same "the anchor has what it had" "$before" "$(anchored)"
ok "status says why" bash -c "'$cairn' status '$mnt' | grep -q 'read-only: the head of its store was moved'"
code 1 "the volume takes no more changes" touch "$mnt/more"
timeout 60 "$cairn" umount "$mnt" >/dev/null 2>&1
ok "it is unmounted" bash -c "! mountpoint -q '$mnt'"

# An old second copy of the head, beside a newest head that is whole, is a copy like any other that is not right.
store=$work/other
plain() { "$cairn" mount "$store" "$mnt" --key-file "$key"; }
ok "create another" "$cairn" create "$store" --key-file "$key"
ok "mount it" plain
ok "write" bash -c "echo one > '$mnt/file'"
ok "unmount" "$cairn" umount "$mnt"
rm -rf "$work/old" && cp -a "$store" "$work/old"
ok "mount again" plain
ok "write again" bash -c "echo two > '$mnt/file'"
ok "unmount again" "$cairn" umount "$mnt"
put_back twin-0 twin-1
code 4 "check names the copy" "$cairn" check "$store" --key-file "$key"
ok "it mounts" plain
ok "with the newest bytes" grep -qx two "$mnt/file"
ok "and goes on" bash -c "echo three > '$mnt/file' && '$cairn' sync '$mnt'"
ok "unmount at last" "$cairn" umount "$mnt"
ok "both copies are right again" "$cairn" check "$store" --key-file "$key"

finish
