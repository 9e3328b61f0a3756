#!/usr/bin/env bash
# The daemon stays within --memory, whatever is done over and over on the mount. Ends with `N passed, N failed`.
#
#   memory.sh [LOOP...]     only these; MEMORY_SECONDS for each, 5 unless told
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

"$cairn" create "$work/store" --key-file "$work/key" >/dev/null || exit 1

python3 - "$cairn" "$work" "${MEMORY_SECONDS:-5}" "$@" <<'EOF'
import fcntl, glob, json, mmap, os, resource, subprocess, sys, time

cairn, work, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
mnt = f"{work}/mnt"
LIMIT = 256 << 10  # KiB
NAME = "n" * 100


def mount():
    """A daemon for each loop. Commits that come in time would hide what is not admitted by what it holds."""
    options = ["--key-file", f"{work}/key", "--memory", "256M", "--commit-interval", "10m", "--snapshot-dirs"]
    subprocess.run([cairn, "mount", f"{work}/store", mnt, *options], check=True)


def umount():
    """The most the daemon took, in KiB."""
    os.chdir("/")
    pid = json.load(open(glob.glob(f"{work}/run/*.json")[0]))["pid"]
    with open(f"/proc/{pid}/status") as status:
        most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    subprocess.run([cairn, "umount", mnt], check=True, stdout=subprocess.DEVNULL)
    return most


def within(path, seconds):
    """Counts on while there is time, in a directory of its own."""
    os.mkdir(path)
    os.chdir(path)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield count
        count += 1


def fresh(name):
    with open(name, "w"):
        pass
    return name


def one_attribute(turns):
    value = os.urandom(60 << 10)
    for turn in turns:
        if turn == 0:
            fresh("f")
        os.setxattr("f", "user.a", value)


def attributes_of_many(turns):
    value = os.urandom(60 << 10)
    for turn in turns:
        os.setxattr(fresh(f"{NAME}{turn}"), "user.a", value)


def attributes_of_open_files(turns):
    value, handles = os.urandom(60 << 10), []
    for turn in turns:
        if turn < 900:
            handles.append(os.open(fresh(f"f{turn}"), os.O_RDWR))
        os.setxattr(handles[turn % len(handles)], f"user.{turn // 900 % 2}", value)
    for handle in handles:
        os.close(handle)


def attributes_of_deleted_files(turns):
    """Open until the end, as many as a process may have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    value, handles = os.urandom(60 << 10), []
    for turn in turns:
        if turn < min(limit - 100, 50_000):
            handles.append(os.open(fresh(f"f{turn}"), os.O_RDWR))
            os.setxattr(handles[turn], "user.a", value)
            os.unlink(f"f{turn}")
    assert all(len(os.getxattr(handle, "user.a")) == len(value) for handle in handles[:100])
    for handle in handles:
        os.close(handle)


# Each file takes its place in the table of unlinked ones first.
attributes_of_deleted_files.times = 3


def modes(turns):
    for turn in turns:
        if turn == 0:
            os.setxattr(fresh("f"), "user.a", os.urandom(60 << 10))
        os.chmod("f", turn % 512)


def new_files(turns):
    for turn in turns:
        os.unlink(fresh(f"{NAME}{turn}"))


def kept_files(turns):
    for turn in turns:
        fresh(f"{NAME}{turn}")


def directories(turns):
    for turn in turns:
        os.mkdir(f"{NAME}{turn}")
        os.rmdir(f"{NAME}{turn}")


def symlinks(turns):
    for turn in turns:
        os.symlink("t" * 4000, f"{NAME}{turn}")
        if turn % 2:
            os.unlink(f"{NAME}{turn}")


def links(turns):
    for turn in turns:
        if turn == 0:
            fresh("f")
        os.link("f", f"{NAME}{turn}")
        os.unlink(f"{NAME}{turn}")


def renames(turns):
    for turn in turns:
        if turn == 0:
            fresh(f"{NAME}0")
        os.rename(f"{NAME}{turn}", f"{NAME}{turn + 1}")


def exchanges(turns):
    for turn in turns:
        if turn == 0:
            fresh("a"), fresh("b")
        os.rename(*("ab" if turn % 2 else "ba"))
        fresh("ab"[turn % 2])


def truncates(turns):
    for turn in turns:
        if turn == 0:
            fresh("f")
        os.truncate("f", (turn * 7919) % (1 << 30))


def direct_bytes(turns):
    handle = None
    page = mmap.mmap(-1, 4096)
    for turn in turns:
        if handle is None:
            handle = os.open("f", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        os.pwrite(handle, page, turn * 131072 + turn % 16 * 8192)
    os.close(handle)


def holes(turns):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    handle = None
    for turn in turns:
        if handle is None:
            handle = os.open("f", os.O_RDWR | os.O_CREAT)
            os.pwrite(handle, bytes(64 << 20), 0)
        at = turn * 4099 % (64 << 20)
        libc.fallocate(handle, 3, ctypes.c_long(at), ctypes.c_long(100))
    os.close(handle)


def deleted_while_open(turns):
    handles = []
    for turn in turns:
        handle = os.open(f"f{turn}", os.O_RDWR | os.O_CREAT)
        os.write(handle, bytes(10_000))
        os.unlink(f"f{turn}")
        handles.append(handle)
        if len(handles) > 900:
            os.close(handles.pop(0))
    for handle in handles:
        os.close(handle)


def locks(turns):
    handle = None
    for turn in turns:
        handle = handle or os.open("f", os.O_RDWR | os.O_CREAT)
        fcntl.flock(handle, fcntl.LOCK_EX)
        fcntl.lockf(handle, fcntl.LOCK_EX, 1, turn)
    os.close(handle)


def snapshots(turns):
    for turn in turns:
        fresh(f"f{turn}")
        os.mkdir(f"{mnt}/.snapshots/{NAME}{turn}")
        os.listdir(f"{mnt}/.snapshots/{NAME}{turn}")


def listings(turns):
    for turn in turns:
        with os.scandir(mnt) as folders:
            for folder in folders:
                with os.scandir(folder) as entries:
                    for entry, _ in zip(entries, range(2000)):
                        entry.stat(follow_symlinks=False)


def synced_writes(turns):
    handle = None
    for turn in turns:
        handle = handle or os.open("f", os.O_RDWR | os.O_CREAT)
        os.pwrite(handle, bytes(3000), turn % 5000 * 5000)
        os.fsync(handle)
    os.close(handle)


def streams(turns):
    block, handle = os.urandom(1 << 20), None
    for turn in turns:
        handle = handle or os.open("f", os.O_RDWR | os.O_CREAT)
        os.pwrite(handle, block, turn % 2048 << 20)
    os.close(handle)


LOOPS = [
    one_attribute, attributes_of_many, attributes_of_open_files, attributes_of_deleted_files, modes,
    new_files, kept_files, directories, symlinks, links, renames, exchanges, truncates, direct_bytes, holes, deleted_while_open, locks, snapshots, synced_writes, streams, listings,
]
asked = sys.argv[4:]
LOOPS = [loop for loop in LOOPS if not asked or loop.__name__ in asked]
failed = 0
for number, loop in enumerate(LOOPS):
    count = 0
    mount()

    def turns():
        global count
        for count in within(f"{mnt}/{number}", seconds * getattr(loop, "times", 1)):
            yield count

    loop(turns())
    most = umount()
    print(f"{loop.__name__}: {count} times, {most >> 10} MiB")
    if most > LIMIT:
        failed += 1
        print(f"FAIL {loop.__name__}: the daemon took {most >> 10} MiB of {LIMIT >> 10}")
print(f"{len(LOOPS) - failed} passed, {failed} failed")
sys.exit(failed > 0)
EOF
