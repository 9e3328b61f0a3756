#!/usr/bin/env bash
# What `stat` says of a file right after each kind of change is what it says when the kernel has forgotten the file, and
# after a remount; blocks of files that are open for writing; and what a stat costs. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
if ((EUID != 0)); then
    echo "FAIL attributes: these tests have to be run as root"
    echo "0 passed, 1 failed"
    exit 1
fi
work=$(mktemp -d)
export CAIRN_RUN_DIR=$work/run
mkdir "$work/mnt"
cleanup() {
    "$cairn" umount "$work/mnt" >/dev/null 2>&1 || umount -l "$work/mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
"$cairn" create "$work/store" --key-file "$work/key" >/dev/null || exit 1

python3 - "$cairn" "$work" <<'EOF'
import ctypes, glob, json, mmap, os, subprocess, sys, time

cairn, work = sys.argv[1:]
mnt = work + "/mnt"
libc = ctypes.CDLL(None, use_errno=True)
FIELDS = ("mode", "ino", "nlink", "uid", "gid", "size", "blocks", "atime_ns", "mtime_ns", "ctime_ns")
passed = failed = 0


def check(name, good, why=""):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f"FAIL {name}: {why}")


def mount():
    subprocess.run([cairn, "mount", work + "/store", mnt, "--key-file", work + "/key"], check=True)


def umount():
    subprocess.run([cairn, "umount", mnt], check=True, stdout=subprocess.DEVNULL)


def attributes(path):
    seen = os.lstat(path)
    return {field: getattr(seen, "st_" + field) for field in FIELDS}


def forget():
    """The kernel forgets what it has of all files, but for those that are open."""
    os.sync()
    open("/proc/sys/vm/drop_caches", "w").write("3")
    open("/proc/sys/vm/drop_caches", "w").write("2")


def put(path, data, flags=os.O_CREAT | os.O_WRONLY, offset=0):
    fd = os.open(path, flags, 0o644)
    os.pwrite(fd, data, offset)
    os.close(fd)


def twice(path):
    """Two writes in one tick of the kernel's clock, the first of them written back before the second."""
    fd = os.open(path, os.O_RDWR)
    for n in range(50):
        os.pwrite(fd, b"%d" % n, 0)
        if n % 7 == 0:
            os.fsync(fd)
    os.close(fd)


def direct(path, offset=0):
    fd, page = os.open(path, os.O_RDWR | os.O_DIRECT), mmap.mmap(-1, 4096)
    page[:] = b"d" * 4096
    os.pwritev(fd, [page], offset)
    os.close(fd)


def fallocate(mode, offset, size):
    def change(path):
        fd = os.open(path, os.O_RDWR)
        assert libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(size)) == 0
        os.close(fd)
    return change


def mapped(path):
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 4096) as pages:
        pages[0:1] = b"m"
    os.close(fd)


def copied(path):
    source, target = os.open(path + ".other", os.O_RDONLY), os.open(path, os.O_RDWR)
    os.copy_file_range(source, target, 200000, 0, 4096)
    os.close(source)
    os.close(target)


def renamed_over(path):
    os.link(path, path + ".link")
    os.rename(path + ".other", path)
    os.rename(path + ".link", path)


def exchanged(path):
    assert libc.renameat2(-100, path.encode(), -100, (path + ".other").encode(), 2) == 0


def in_directory(act):
    def change(path):
        os.unlink(path)
        os.mkdir(path)
        act(path)
    return change


def tree(path):
    os.makedirs(path + "/a/b")
    os.mkdir(path + "/c")
    put(path + "/c/f", b"f")
    os.rename(path + "/a/b", path + "/c/b")
    os.rename(path + "/c/f", path + "/f")


def list_of(path):
    os.setxattr(path, "system.posix_acl_access", bytes.fromhex(
        "02000000" "01000600ffffffff" "0200060001000000" "04000400ffffffff" "10000600ffffffff" "20000000ffffffff"))


SIZE = 300000
CHANGES = {
    "nothing": lambda path: None,
    "a write": lambda path: put(path, b"x" * 5000),
    "a write at the end": lambda path: put(path, b"x" * 5000, offset=SIZE),
    "a write far behind the end": lambda path: put(path, b"x" * 5000, offset=10 * SIZE),
    "many quick writes": twice,
    "a direct write": direct,
    "a direct write at the end": lambda path: direct(path, 303104),
    "a map": mapped,
    "O_TRUNC": lambda path: put(path, b"short", os.O_WRONLY | os.O_TRUNC),
    "truncate": lambda path: os.truncate(path, 1000),
    "truncate up": lambda path: os.truncate(path, 2 * SIZE),
    "truncate to the same size": lambda path: os.truncate(path, SIZE),
    "truncate to nothing and up": lambda path: (os.truncate(path, 0), os.truncate(path, SIZE)),
    "fallocate": fallocate(0, 0, 2 * SIZE),
    "fallocate, keep size": fallocate(1, 0, 2 * SIZE),
    "punch": fallocate(3, 0, 131072),
    "punch a part": fallocate(3, 1000, 4096),
    "zero": fallocate(0x10, 0, 131072),
    "zero, growing": fallocate(0x10, 0, 2 * SIZE),
    "copy_file_range": copied,
    "chmod": lambda path: os.chmod(path, 0o4711),
    "chown": lambda path: os.chown(path, 5, 6),
    "utime": lambda path: os.utime(path),
    "utime far ahead": lambda path: os.utime(path, (20000000000, 20000000000)),
    "utime far back": lambda path: os.utime(path, (-20000000000, -20000000001)),
    "utime of all time": lambda path: os.utime(path, (2**62, -2**62)),
    "utime of the first and the last second": lambda path: os.utime(path, (-(2**63), 2**63 - 1)),
    "an attribute": lambda path: os.setxattr(path, "user.a", b"a"),
    "an attribute less": lambda path: (os.setxattr(path, "user.a", b"a"), os.removexattr(path, "user.a")),
    "an access list": list_of,
    "an access list less": lambda path: (list_of(path), os.removexattr(path, "system.posix_acl_access")),
    "a link": lambda path: os.link(path, path + ".link"),
    "a link less": lambda path: (os.link(path, path + ".link"), os.unlink(path + ".link")),
    "a rename": lambda path: (os.rename(path, path + ".new"), os.rename(path + ".new", path)),
    "a rename over it": lambda path: os.rename(path + ".other", path),
    "renames over names of several": renamed_over,
    "an exchange": exchanged,
    "a symbolic link": lambda path: (os.unlink(path), os.symlink("target", path)),
    "a pipe": lambda path: (os.unlink(path), os.mkfifo(path), os.chmod(path, 0o600)),
    "a directory": in_directory(lambda path: None),
    "a directory with a tree": in_directory(tree),
    "a directory with modes": in_directory(lambda path: (os.chmod(path, 0o2750), os.utime(path, (1, 2)))),
    "a directory with less": in_directory(lambda path: (tree(path), os.unlink(path + "/f"), os.rmdir(path + "/c/b"))),
}
# Bytes are counted anew by the commit where new ones lie over old ones in a file with holes.
UNSETTLED = {"a write far behind the end", "a direct write at the end", "truncate up", "truncate to nothing and up",
             "fallocate", "punch", "punch a part", "zero", "zero, growing"}


def differences(before, after, but=()):
    return {field: (before[field], after[field]) for field in FIELDS if before[field] != after[field] and field not in but}


def all_of(root):
    return {path: attributes(path) for path in [root] + [os.path.join(dir, name)
            for dir, dirs, files in os.walk(root) for name in dirs + files]}


mount()
os.mkdir(mnt + "/table")
seen = {}
for name, change in CHANGES.items():
    path = f"{mnt}/table/{name.replace(' ', '-').replace(',', '')}"
    os.mkdir(path)
    path += "/file"
    for file in (path, path + ".other"):
        put(file, os.urandom(SIZE))
        os.stat(file)
    change(path)
    seen[name] = all_of(os.path.dirname(path))
for again, act in (("the kernel has forgotten it", forget), ("a commit", lambda: subprocess.run(
        [cairn, "sync", mnt], check=True, stdout=subprocess.DEVNULL)), ("a remount", lambda: (umount(), mount()))):
    act()
    for name in CHANGES:
        but = ("blocks",) if name in UNSETTLED and again != "the kernel has forgotten it" else ()
        bad = {path: differences(before, attributes(path), but) for path, before in seen[name].items()}
        bad = {path: fields for path, fields in bad.items() if fields}
        check(f"{name}: after {again}", not bad, bad)

# What a file that is open for writing has in blocks, wherever its bytes are, and what a copy that spares holes makes of it.
for name, begin in (("new", lambda path: None), ("empty", lambda path: put(path, b"")),
                    ("a hole", lambda path: (put(path, b""), os.truncate(path, 1 << 24))),
                    ("there before", lambda path: put(path, b"before"))):
    path = f"{mnt}/open {name}"
    begin(path)
    forget()
    if os.path.exists(path):
        os.stat(path)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for synced in (False, True):
        os.write(fd, b"line of the log\n" * 20000)
        if synced:
            os.fsync(fd)
        blocks, size = os.stat(path).st_blocks, os.stat(path).st_size
        check(f"blocks of a file that is open, {name}", blocks > 0, blocks)
        subprocess.run(["tar", "--sparse", "-cf", work + "/tar", "-C", mnt, os.path.basename(path)], check=True)
        kept = subprocess.run(["tar", "-xOf", work + "/tar"], check=True, capture_output=True).stdout
        check(f"tar --sparse of a file that is open, {name}", kept == open(path, "rb").read())
        if name == "new":
            # The kernel believes the answer to its last question for a moment, so as not to ask before each write.
            end = time.monotonic() + 5
            while abs((blocks := os.stat(path).st_blocks) * 512 - size) > 8192 and time.monotonic() < end:
                pass
            check("its blocks are about its bytes", abs(blocks * 512 - size) < 8192, (blocks, size))
    os.close(fd)
    check(f"blocks after close, {name}", os.stat(path).st_blocks * 512 >= 640000, os.stat(path).st_blocks)

# A far time, to the nanosecond, and one that no clock has.
path = mnt + "/far"
put(path, b"")
subprocess.run(["touch", "-d", "2300-01-01", path], check=True)
before = attributes(path)
forget()
check("a far time when the kernel has forgotten the file", not differences(before, attributes(path)))

# A stat of a file that nobody writes asks the daemon nothing.
pid = json.load(open(glob.glob(work + "/run/*.json")[0]))["pid"]


def requests():
    """Answers of the daemon so far."""
    return int(dict(line.split(": ") for line in open(f"/proc/{pid}/io").read().splitlines())["syscw"])


os.mkdir(mnt + "/many")
for n in range(1000):
    put(f"{mnt}/many/{n}", b"x" * 5000)
for name, most in (("for the first time after they were written", 1300), ("again", 100)):
    begun = requests()
    for n in range(1000):
        os.stat(f"{mnt}/many/{n}")
    check(f"1000 stats {name}", requests() - begun < most, requests() - begun)
fd = os.open(mnt + "/many/0", os.O_RDWR)
begun = requests()
for n in range(10000):
    os.pwrite(fd, b"y", n)
check("10000 writes to the page cache", requests() - begun < 200, requests() - begun)
os.close(fd)
umount()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
EOF
