#!/usr/bin/env bash
# A store on a small device is written full, over and over: what was acknowledged stays, deleting works, and what was
# deleted makes room again. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
mnt=$work/mnt store=$work/device/store key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/device"
cleanup() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    umount -l "$work/device" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

# Writes files until there is no more room; notes the sums of those that were fsynced.
fill() {
    local n file
    for n in $(seq 1000); do
        file=$mnt/$1-$n
        head -c "$2" /dev/urandom >"$work/data"
        if ! dd if="$work/data" of="$file" bs=1M conv=fsync status=none 2>"$work/why"; then
            rm -f "$file"
            grep -q "No space left on device" "$work/why"
            return
        fi
        (cd "$mnt" && sha256sum "$1-$n") >>"$work/sums"
    done
    false
}
# The kernel says a moment later that it has forgotten what was deleted: two more attempts, and no commit in between.
soon() { "$@" 2>/dev/null || { sleep 0.2; "$@" 2>/dev/null; } || { sleep 0.2; "$@"; }; }
# Fills what room is left with one file.
full() { ! dd if=/dev/zero of="$mnt/$1" bs=64K status=none 2>/dev/null; }
intact() { (cd "$mnt" && sha256sum --quiet -c "$work/sums"); }
# The kernel tells once more of what it could not write.
settle() { "$cairn" sync "$mnt" >/dev/null 2>&1 || "$cairn" sync "$mnt"; }
room() { for _ in $(seq 300); do (($(df --output=avail -m "$mnt" | tail -n 1) >= $1)) && return; sleep 0.1; done; df -m "$mnt"; false; }

mount -t tmpfs -o size=320m none "$work/device" || { echo "FAILED: cannot mount a tmpfs"; exit 1; }
"$cairn" create "$store" --key-file "$key" >/dev/null
ok "mount" "$cairn" mount "$store" "$mnt" --key-file "$key" --commit-interval 30s
for round in 1 2 3; do
    : >"$work/sums"
    ok "round $round: writing large files ends with ENOSPC" fill "large$round" 4M
    ok "round $round: writing small files ends with ENOSPC" fill "small$round" 70K
    ok "round $round: all that was fsynced is there" intact
    ok "round $round: a commit gets through" settle
    ok "round $round: a name can be changed" mv "$mnt/large$round-1" "$mnt/moved"
    ok "round $round: that can be committed" settle
    ok "round $round: umount" "$cairn" umount "$mnt"
    ok "round $round: nothing is damaged" "$cairn" check "$store" --key-file "$key"
    ok "round $round: mount" "$cairn" mount "$store" "$mnt" --key-file "$key" --commit-interval 30s
    mv "$mnt/moved" "$mnt/large$round-1"
    ok "round $round: all is there after a mount" intact
    # More than the store keeps back for commits.
    (cd "$mnt" && rm "large$round"-[1-9])
    ok "round $round: what was deleted makes room at once" soon mkdir "$mnt/directory"
    full "rest$round" && truncate -s 0 "$mnt/rest$round"
    ok "round $round: and so does what was cut off" mkdir "$mnt/directory/another"
    rm -r "$mnt/directory"
    ok "round $round: everything can be deleted" find "$mnt" -mindepth 1 -maxdepth 1 -type f -delete
    ok "round $round: that can be committed too" settle
    ok "round $round: there is room again" room 100
done
ok "umount" "$cairn" umount "$mnt"
ok "check" "$cairn" check "$store" --key-file "$key"
finish
