#!/usr/bin/env bash
# What is deleted gives its space back: 2 GiB are written, overwritten three times at random and deleted, and the store is
# small again within a minute of idling. Then the same with kill -9 in the middle of it, and no block leaks.
source "$(dirname "${BASH_SOURCE[0]}")/volume.sh"
limit_mib=128 files=8 file_mib=256

fill() {
    local n
    for n in $(seq "$files"); do
        dd if=/dev/urandom of="$mnt/file-$n" bs=1M count="$file_mib" conv=fsync status=none || return
    done
}

# overwrite TIMES SEED: as many bytes as there are, so many times over, at random places, in writes of 4 KiB to 1 MiB.
overwrite() {
    python3 - "$mnt" "$files" "$file_mib" "$1" "$2" <<'EOF'
import os, random, sys

mnt, files, mib, times, seed = sys.argv[1], *map(int, sys.argv[2:])
dice = random.Random(seed)
noise = dice.randbytes(2 << 20)
fds = [os.open(f"{mnt}/file-{n + 1}", os.O_WRONLY) for n in range(files)]
left = files * (mib << 20) * times
while left > 0:
    size = dice.choice([4, 16, 64, 128, 256, 1024]) << 10
    start = dice.randrange(len(noise) - size)
    fd = dice.choice(fds)
    os.pwrite(fd, noise[start : start + size], dice.randrange((mib << 20) - size))
    if dice.randrange(200) == 0:
        os.fsync(fd)
    left -= size
for fd in fds:
    os.fsync(fd)
EOF
}

# cut_off SECONDS SEED: the daemon is killed while files are overwritten.
cut_off() {
    overwrite 3 "$2" 2>/dev/null &
    local writer=$!
    sleep "$1"
    kill -0 "$writer" || { echo "it was over before the kill"; return 1; }
    crash && { wait "$writer" || true; }
}

holds "mount" up
holds "2 GiB are written" fill
holds "and overwritten three times at random" overwrite 3 1
# Garbage as much as data, and what the commits under way add.
atmost "the store then" "$(store_mib)" 6144 MiB
holds "and deleted" find "$mnt" -type f -delete
holds "the store is below $limit_mib MiB within a minute" shrinks_to "$limit_mib"
sed 's/^/     /' "$work/out"
holds "nothing leaks" whole

holds "2 GiB are written again" fill
for round in 1 2 3; do
    holds "kill -9 while they are overwritten, $round" cut_off $((2 + round)) "$round"
    holds "mount after that" up
    holds "nothing leaks after that" whole
    echo "     the store takes $(store_mib) MiB"
done
holds "all is deleted" find "$mnt" -type f -delete
holds "the store is below $limit_mib MiB within a minute" shrinks_to "$limit_mib"
sed 's/^/     /' "$work/out"
holds "nothing leaks" whole
holds "umount" down
atmost "the store of an empty volume after umount" "$(store_mib)" "$limit_mib" MiB
finish
