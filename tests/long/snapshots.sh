#!/usr/bin/env bash
# A thousand snapshots on a mount: the last ones take no longer than the first, an old one reads the same while its files
# are written, and destroying all of them gives their space back.
source "$(dirname "${BASH_SOURCE[0]}")/volume.sh"
count=${LONG_SNAPSHOTS:-1000}

holds "mount" up --snapshot-dirs
dd if=/dev/urandom of="$mnt/large" bs=1M count=256 conv=fsync status=none
mkdir "$mnt/small" && (cd "$mnt/small" && seq 2000 | xargs touch)
"$cairn" sync "$mnt"
before=$("$cairn" --json check "$mnt")
sum=$(sha256sum <"$mnt/large")

# Each after a change of a few records, which is what it has to keep.
python3 - "$cairn" "$mnt" "$count" >"$work/times" <<'EOF'
import os, random, subprocess, sys, time

cairn, mnt, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
dice = random.Random(1)
fd = os.open(f"{mnt}/large", os.O_WRONLY)
for n in range(count):
    if n > 0:
        for _ in range(4):
            os.pwrite(fd, dice.randbytes(4096), dice.randrange(256 << 20))
    start = time.monotonic()
    subprocess.run([cairn, "snapshot", "create", mnt, f"s{n}"], check=True, stdout=subprocess.DEVNULL)
    print(time.monotonic() - start)
EOF
holds "all are there" test "$(ls "$mnt/.snapshots" | wc -l)" = "$count"
median() { sort -n | awk '{all[NR] = $1} END {printf "%.4f", all[int((NR + 1) / 2)]}'; }
first=$(head -n 10 "$work/times" | median)
last=$(tail -n 10 "$work/times" | median)
echo "     $(awk '{sum += $1} END {printf "%.1f s for all, %.1f ms each", sum, 1000 * sum / NR}' "$work/times")"
# A commit is a few device syncs, whose time scatters; what grows with the number of snapshots would be far above this.
atmost "median of the last 10 over the first 10 ($last s, $first s)" "$(awk -v a="$last" -v b="$first" 'BEGIN {printf "%.2f", a / b}')" 1.5

dd if=/dev/urandom of="$mnt/large" bs=1M count=256 conv=notrunc,fsync status=none &
writer=$!
same() { [[ $(sha256sum <"$mnt/.snapshots/s0/large") == "$sum" ]]; }
holds "the first reads as it was while its file is overwritten" same
wait "$writer"
holds "and cold, afterwards" bash -c "echo 3 >/proc/sys/vm/drop_caches; [[ \$(sha256sum <'$mnt/.snapshots/s0/large') == '$sum' ]]"
holds "nothing leaks" whole

start=$EPOCHREALTIME
ls "$mnt/.snapshots" | shuf --random-source=<(yes) | (cd "$mnt/.snapshots" && xargs rmdir)
echo "     $(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}') s to destroy all"
holds "none is left" test -z "$(ls "$mnt/.snapshots")"
holds "nothing leaks" whole
after=$("$cairn" --json check "$mnt")
# The live tree was rewritten as a whole, so its nodes differ in number by a few.
atmost "bytes named then and now ($(field bytes "$before"), $(field bytes "$after"))" \
    "$(awk -v a="$(field bytes "$after")" -v b="$(field bytes "$before")" 'BEGIN {printf "%.3f", a / b}')" 1.01
holds "the store has the space back within a minute" shrinks_to 400
sed 's/^/     /' "$work/out"
holds "umount" down
finish
