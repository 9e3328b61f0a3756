#!/usr/bin/env bash
# A volume whose room runs out, by quota or because its device is full: what a program was told is written is there, and
# what is not there is told by `write` or, at the latest, by `close`. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/device" "$work/plain" "$work/small"
cleanup() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    umount -l "$work/device" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

# up STORE [QUOTA [FLAG...]]: a new volume, mounted.
up() {
    local store=$1 quota=${2:-}
    "$cairn" create "$store" --key-file "$key" ${quota:+--quota "$quota"} >/dev/null &&
        "$cairn" mount "$store" "$mnt" --key-file "$key" "${@:3}"
}
# down STORE: unmounted, and whole.
down() {
    settle
    ok "$1: umount" "$cairn" umount "$mnt"
    ok "$1: check" "$cairn" check "$work/$1" --key-file "$key"
    rm -f "$key"
}
# fails COMMAND...: with a word on the room.
fails() {
    ! "$@" >"$work/why" 2>&1 && grep -q "No space left on device" "$work/why"
}
# Bytes that dd said it wrote.
said() { grep -o '^[0-9]* bytes' "$work/why" | cut -d' ' -f1; }
remount() { "$cairn" umount "$mnt" && "$cairn" mount "$work/$1" "$mnt" --key-file "$key" "${@:2}"; }
# Each file of a copy is the original's or was reported.
copies_are_whole() {
    python3 - "$work/small" "$mnt/copy" "$work/why" <<'PY'
import os, sys
origin, copy, why = sys.argv[1:]
told = open(why).read()
for name in os.listdir(origin):
    at = f"{copy}/{name}"
    whole = os.path.exists(at) and open(at, "rb").read() == open(f"{origin}/{name}", "rb").read()
    if not whole and f"/{name}'" not in told:
        sys.exit(f"{name} is neither whole nor reported")
PY
}
# Writes through one handle, opened while there is room, until `write` refuses: what is there is what was taken.
keeps_writing() {
    python3 - "$@" <<'PY'
import errno, os, sys
path, limit = sys.argv[1], int(sys.argv[2]) << 20
fd = os.open(path, os.O_WRONLY | os.O_CREAT)
block, at = os.urandom(256 << 10), 0
try:
    while at < limit:
        at += os.write(fd, block)
    sys.exit("write took everything")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.fsync(fd)
os.close(fd)
with open(path, "rb") as f:
    for offset in range(0, at, len(block)):
        assert f.read(len(block)) == block, f"what was taken at {offset} of {at} is not there"
PY
}

# `echo` into each of the old files; notes those for which it said that all is well.
written_or_told() {
    local n
    for n in $(seq 20); do bash -c "echo new >'$mnt/old$n'" 2>/dev/null && echo "$mnt/old$n" >>"$work/anew"; done
    anew_is_there
}
anew_is_there() { touch "$work/anew" && xargs -r cat <"$work/anew" | { ! grep -qv '^new$'; } && (($(xargs -r cat <"$work/anew" | wc -l) == $(wc -l <"$work/anew"))); }
# The kernel tells once more of what it could not write.
settle() { "$cairn" sync "$mnt" >/dev/null 2>&1 || "$cairn" sync "$mnt"; }
room() { for _ in $(seq 300); do (($(df --output=avail -m "$mnt" | tail -n 1) >= $1)) && return; sleep 0.1; done; df -m "$mnt"; false; }

for n in $(seq 800); do head -c $((n % 40 * 4000)) /dev/urandom >"$work/small/file$n"; done
head -c 100M /dev/urandom >"$work/plain/large"

# A quota of less than the margin: every write asks.
ok "quota: mount" up "$work/quota" 50M
ok "quota: dd is refused by write" fails dd if=/dev/zero of="$mnt/dd" bs=1M count=100
same "quota: what dd wrote is there" "$(said)" "$(stat -c %s "$mnt/dd")"
ok "quota: and is the quota" test "$(stat -c %s "$mnt/dd")" -ge $((48 << 20))
ok "quota: after a mount too" remount quota
same "quota: dd's file has its size" "$(said)" "$(stat -c %s "$mnt/dd")"
ok "quota: it reads" cmp -n "$(said)" "$mnt/dd" /dev/zero
ok "quota: a small file is refused" fails bash -c "head -c 100000 /dev/zero >'$mnt/none'"
ok "quota: an old file can be written anew" bash -c "echo other >'$mnt/dd'"
ok "quota: and has that" remount quota
same "quota: the new content" other "$(cat "$mnt/dd")"
ok "quota: cp is refused" fails cp "$work/plain/large" "$mnt/large"
rm -f "$mnt/large" "$mnt/none"
ok "quota: tar is refused" fails bash -o pipefail -c "tar -C '$work/plain' -cf - . | tar -C '$mnt' -xf -"
rm -f "$mnt/large"
mkdir "$mnt/copy"
ok "quota: many small files are refused" fails cp -r "$work/small/." "$mnt/copy/"
ok "quota: each is whole or reported" copies_are_whole
ok "quota: all can be deleted" rm -r "$mnt/copy" "$mnt/dd"
ok "quota: there is room again" bash -c "head -c 20M /dev/zero >'$mnt/again'"
ok "quota: a map is told at msync or close" python3 - "$mnt/map" <<'PY'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 100 << 20)
view = mmap.mmap(fd, 100 << 20)
view[:] = bytes([7]) * (100 << 20)
told = False
for step in (view.flush, lambda: os.fsync(fd), view.close, lambda: os.close(fd)):
    try:
        step()
    except OSError:
        told = True
sys.exit(not told)
PY
rm -f "$mnt/map"
down quota

# More room than the margin: files are written through the page cache until it is reached, by a handle opened before. The
# margin is as large as what the kernel may hold of the mount, which is made small here.
ok "margin: mount" up "$work/margin" 400M --full-margin 128M
bdi=/sys/class/bdi/$(stat -c %Hd:%Ld "$mnt")
ok "margin: the kernel may hold little" bash -c "echo 0 >'$bdi/min_ratio' && echo 1 >'$bdi/max_ratio' && ((\$(cat '$bdi/max_bytes') < 128 << 20))"
ok "margin: a handle opened before is refused by write" keeps_writing "$mnt/long" 600
ok "margin: an old file can be written anew" bash -c "echo other >'$mnt/long'"
ok "margin: there is room again" bash -c "head -c 200M /dev/zero >'$mnt/again'"
same "margin: it has its size" $((200 << 20)) "$(stat -c %s "$mnt/again")"
down margin

# A full device: what is overwritten or deleted makes room only once a commit has freed it.
mount -t tmpfs -o size=320m none "$work/device" || { echo "FAILED: cannot mount a tmpfs"; exit 1; }
ok "device: mount" up "$work/device/store"
mkdir "$mnt/copy"
for n in $(seq 20); do echo old >"$mnt/old$n"; done
head -c 300K "$work/plain/large" >"$mnt/middle"
"$cairn" sync "$mnt" >/dev/null
ok "device: dd is refused by write" fails dd if=/dev/zero of="$mnt/dd" bs=1M count=400
same "device: what dd wrote is there" "$(said)" "$(stat -c %s "$mnt/dd")"
ok "device: it reads" cmp -n "$(said)" "$mnt/dd" /dev/zero
ok "device: cp is refused" fails cp "$work/plain/large" "$mnt/large"
rm -f "$mnt/large"
ok "device: many small files are refused" fails cp -r "$work/small/." "$mnt/copy/"
ok "device: each is whole or reported" copies_are_whole
ok "device: old files are written anew, or say that they are not" written_or_told
ok "device: after a mount too" bash -c "'$cairn' umount '$mnt' && '$cairn' mount '$work/device/store' '$mnt' --key-file '$key'"
ok "device: what was written anew is there" anew_is_there
ok "device: everything can be deleted" rm -r "$mnt/dd" "$mnt/copy" "$mnt/middle"
ok "device: that can be committed" settle
ok "device: there is room again" room 100
ok "device: umount" "$cairn" umount "$mnt"
ok "device: check" "$cairn" check "$work/device/store" --key-file "$key"
finish
