#!/usr/bin/env bash
# A store in which one byte was altered, here and there: `check` names paths, `check --repair` asks, makes the volume whole, and
# lists what is gone; everything else is as it was. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
mnt=$work/mnt
export CAIRN_RUN_DIR=$work/run
. "$root/tests/checks.sh"
mkdir "$mnt"
cleanup() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
key=(--key-file "$work/key")

# flip STORE N: alters one byte of the N-th block of 512 bytes that holds something, counted over all packs.
flip() {
    python3 - "$1" "$2" <<'PY'
import glob, sys
store, wanted = sys.argv[1], int(sys.argv[2])
for pack in sorted(glob.glob(store + "/packs/[0-9a-f]*")):
    data = open(pack, "rb").read()
    held = [at for at in range(0, len(data), 512) if any(data[at:at + 512])]
    if wanted < len(held):
        at = held[wanted] + 100
        with open(pack, "r+b") as file:
            file.seek(at)
            file.write(bytes([data[at] ^ 1]))
        sys.exit(0)
    wanted -= len(held)
sys.exit(1)
PY
}

sums() { (cd "$1" && find . -path ./lost+found -prune -o -type f -exec sha256sum {} + 2>/dev/null | sort -k2); }

"$cairn" create "$work/store" "${key[@]}" --record-size 4K >/dev/null &&
    "$cairn" mount "$work/store" "$mnt" "${key[@]}" || exit 1
mkdir -p "$mnt/many" "$mnt/dir/sub"
for n in $(seq 300); do printf 'file %s %0200d' "$n" "$n" >"$mnt/many/a-rather-long-name-of-a-small-file-$n"; done
for n in $(seq 12); do head -c $((n * 3000)) /dev/urandom >"$mnt/dir/sub/file-$n"; done
for n in $(seq 6); do ln "$mnt/dir/sub/file-$n" "$mnt/dir/link-$n"; done
"$cairn" snapshot create "$mnt" old >/dev/null
head -c 9000 /dev/urandom >"$mnt/dir/sub/file-12"
sums "$mnt" >"$work/before"
code 6 "a mounted volume is not repaired" "$cairn" check --repair "$mnt" --yes
ok "unmount" "$cairn" umount "$mnt"
ok "an untouched volume has nothing to repair" "$cairn" check --repair "$work/store" "${key[@]}"
cp "$work/out" "$work/said"
ok "that says so" grep -q "nothing to repair" "$work/said"

# Names whose inode lies in the table of hard links are listed without it.
"$cairn" create "$work/linked" "${key[@]}" >/dev/null && "$cairn" mount "$work/linked" "$mnt" "${key[@]}" || exit 1
for n in $(seq 20); do echo "$n" >"$mnt/file-$n" && ln "$mnt/file-$n" "$mnt/link-$n"; done
ok "unmount the linked files" "$cairn" umount "$mnt"
unread=0
for n in $(seq 0 99); do
    rm -rf "$work/altered" && cp -a "$work/linked" "$work/altered"
    flip "$work/altered" "$n" || break
    "$cairn" ls -l "$work/altered" / "${key[@]}" >"$work/listed" 2>/dev/null
    rc=$?
    ok "ls beside altered byte $n" test "$rc" = 0 -o "$rc" = 4
    [[ $rc == 4 && $(wc -l <"$work/listed") == 40 && $(grep -c '????' "$work/listed") == 40 ]] && unread=$((unread + 1))
done
ok "all names are listed when the table of hard links is damaged" test "$unread" -ge 1

repaired=0
for n in 1 9 17 40 77 110 150 190 230; do
    store=$work/store-$n
    cp -a "$work/store" "$store"
    flip "$store" "$n" || continue
    "$cairn" check "$store" "${key[@]}" >"$work/found" 2>&1
    # What nothing names any more may be altered; a commit block lies there, too.
    grep -q '^damaged: ' "$work/found" || continue
    repaired=$((repaired + 1))
    code 2 "$n: without a terminal it asks for --yes" "$cairn" check --repair "$store" "${key[@]}"
    code 4 "$n: and has done nothing" "$cairn" check "$store" "${key[@]}"
    ok "$n: the repair" "$cairn" --json check --repair --yes "$store" "${key[@]}"
    cp "$work/out" "$work/gone"
    ok "$n: is whole afterwards" "$cairn" check "$store" "${key[@]}"
    cp "$work/out" "$work/said"
    ok "$n: and says that it was repaired" grep -q "this volume was repaired in epoch" "$work/said"
    ok "$n: a second one has nothing to do" "$cairn" check --repair "$store" "${key[@]}"
    ok "$n: mount" "$cairn" mount "$store" "$mnt" "${key[@]}"
    ok "$n: status says that it was repaired" bash -c "'$cairn' status '$mnt' | grep -q 'was repaired in epoch'"
    sums "$mnt" >"$work/after"
    ok "$n: what is not listed is as it was, what is listed is not there" python3 - "$work/before" "$work/after" "$work/gone" <<'PY'
import json, sys
read = lambda path: dict(reversed(line.rstrip("\n").split("  ./", 1)) for line in open(path))
before, after = read(sys.argv[1]), read(sys.argv[2])
gone = [g for g in json.load(open(sys.argv[3]))["gone"] if not g["path"].startswith(("/.snapshots", "("))]
assert gone or before == after, "something changed, and nothing is listed"
files = {g["path"][1:] for g in gone if g["loss"] in ("file", "bytes")}
dirs = [g for g in gone if g["loss"] == "names"]
lost = set(before) - set(after)
for path in lost - files:
    assert any(("/" + path).startswith(g["path"]) for g in dirs), path + " is gone and not listed"
assert files <= lost, "listed and still there: " + str(files - lost)
assert all(before[path] == sum for path, sum in after.items()), "a file has other bytes"
PY
    ok "$n: unmount" "$cairn" umount "$mnt"
    rm -rf "$store"
done
ok "some of the bytes altered were in use" test "$repaired" -ge 3

"$cairn" mount "$work/store" "$mnt" "${key[@]}" --anchor "file:$work/anchor" >"$work/out" 2>&1
echo more >"$mnt/more"
ok "unmount with an anchor" "$cairn" umount "$mnt"
for n in 9 17 40 77; do
    flip "$work/store" "$n"
done
code 14 "an anchored volume is not repaired" "$cairn" check --repair --yes "$work/store" "${key[@]}"
"$cairn" check --repair --yes --force "$work/store" "${key[@]}" >"$work/out" 2>&1
ok "--force repairs it, the published version but for" bash -c "! grep '^damaged: /' <('$cairn' check '$work/store' ${key[*]} 2>&1)"
finish
