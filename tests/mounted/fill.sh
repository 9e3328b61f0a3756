#!/usr/bin/env bash
# Small reads leave the rest of their record in the kernel's page cache. Whatever writes, truncates or maps the file at
# the same time, no reader may ever see older bytes afterwards. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
mnt=$work/mnt
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"
cleanup() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

# A small cache in the daemon, so that reads go to the store and fill.
"$cairn" create "$work/store" --key-file "$work/key" >/dev/null &&
    "$cairn" mount "$work/store" "$mnt" --key-file "$work/key" --memory 256M || exit 1

python3 - "$mnt/file" "${FILL_ROUNDS:-400}" <<'EOF'
import mmap, os, random, sys, threading

path, rounds = sys.argv[1], int(sys.argv[2])
size, page = 64 << 20, 4096
rng = random.Random(7)
model = bytearray(rng.randbytes(1 << 20) * (size >> 20))
with open(path, "wb") as f:
    f.write(model)
    os.fsync(f.fileno())
reader = os.open(path, os.O_RDONLY)
stop = threading.Event()


def cold():
    os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_DONTNEED)


def read_around(seed):
    """Cold random reads, which start fills all over the file."""
    mine = random.Random(seed)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    while not stop.is_set():
        os.pread(fd, page, mine.randrange(size // page) * page)
    os.close(fd)


def change(at, data):
    kind = rng.randrange(4)
    if kind == 0:
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, data, at)
        os.close(fd)
    elif kind == 1:
        fd = os.open(path, os.O_RDWR)
        with mmap.mmap(fd, size) as view:
            os.close(fd)
            view[at : at + len(data)] = data
    elif kind == 2:
        end = at + len(data)
        os.truncate(path, at)
        os.truncate(path, size)
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, data, at)
        os.close(fd)
        model[end:] = bytes(size - end)
    else:
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, data, at)
        os.fsync(fd)
        os.close(fd)
    model[at : at + len(data)] = data


threads = [threading.Thread(target=read_around, args=(seed,)) for seed in range(2)]
for thread in threads:
    thread.start()
wrong = 0
for turn in range(rounds):
    if turn % 4 == 0:
        cold()
    at = rng.randrange(size - (1 << 18))
    os.pread(reader, page, at // page * page)
    change(at, rng.randbytes(rng.randrange(1, 1 << 17)))
    window = max(0, at - (1 << 17))
    got = os.pread(reader, 1 << 19, window)
    if got != bytes(model[window : window + (1 << 19)]):
        wrong += 1
        print(f"FAIL turn {turn}: bytes around {at} are not what was written last")
stop.set()
for thread in threads:
    thread.join()
for what in ("in the page cache", "cold"):
    if os.pread(reader, size, 0) != bytes(model):
        wrong += 1
        print(f"FAIL the whole file, {what}")
    cold()
print(f"{rounds + 2 - wrong} passed, {wrong} failed")
sys.exit(wrong > 0)
EOF
