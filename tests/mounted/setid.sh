#!/usr/bin/env bash
# Set-id bits and file capabilities after each way of changing a file, by each kind of caller: what stays on a local
# filesystem of this machine may stay on ours, and no more; and what went is gone for the kernel too, at once.
# As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
if ((EUID != 0)); then
    echo "FAIL set-id bits: these tests have to be run as root"
    echo "0 passed, 1 failed"
    exit 1
fi
work=$(mktemp -d)
mnt=$work/mnt
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/local"
chmod 755 "$work"
cleanup() {
    "$cairn" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
"$cairn" create "$work/store" --key-file "$work/key" >/dev/null &&
    "$cairn" mount "$work/store" "$mnt" --key-file "$work/key" || exit 1

python3 - "$work/local" "$mnt" <<'EOF'
import ctypes, errno, mmap, os, socket, stat, struct, sys

local, ours = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
USER, GROUP, SIZE = 65534, 4242, 8192
passed = failed = 0


def check(name, good, why=""):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f"FAIL {name}: {why}")


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def fallocate(mode, size):
    def change(path):
        fd = os.open(path, os.O_RDWR)
        call(libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(size)))
    return change


def opened(flags, act):
    def change(path):
        act(os.open(path, flags))
    return change


def direct(flags):
    def change(path):
        fd, page = os.open(path, os.O_RDWR | os.O_DIRECT | flags), mmap.mmap(-1, 4096)
        os.writev(fd, [page])
    return change


def source(path):
    return os.open(os.path.join(os.path.dirname(path), "source"), os.O_RDONLY)


def mapped(path):
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, SIZE) as pages:
        pages[0:1] = b"m"
        pages.flush()


def spliced(path):
    out, (end, begin) = os.open(path, os.O_RDWR), os.pipe()
    os.write(begin, b"s" * 100)
    call(libc.splice(end, None, out, None, 100, 0))


WAYS = {
    "write": opened(os.O_RDWR, lambda fd: os.pwrite(fd, b"x", 0)),
    "append": opened(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"x")),
    "synchronous write": opened(os.O_WRONLY | os.O_SYNC, lambda fd: os.write(fd, b"x")),
    "writev": opened(os.O_WRONLY, lambda fd: os.writev(fd, [b"a", b"b"])),
    "direct write": direct(0),
    "direct synchronous write": direct(os.O_DSYNC),
    "map": mapped,
    "truncate": lambda path: os.truncate(path, 100),
    "truncate up": lambda path: os.truncate(path, 100000),
    "truncate to the same size": lambda path: os.truncate(path, SIZE),
    "ftruncate": opened(os.O_RDWR, lambda fd: os.ftruncate(fd, 10)),
    "O_TRUNC": opened(os.O_WRONLY | os.O_TRUNC, lambda fd: None),
    "fallocate": fallocate(0, 20000),
    "fallocate, keep size": fallocate(1, 20000),
    "punch": fallocate(3, 4096),
    "zero": fallocate(0x10, 4096),
    "zero, keep size": fallocate(0x11, 20000),
    "copy_file_range": lambda path: os.copy_file_range(source(path), os.open(path, os.O_RDWR), 4096),
    "sendfile": lambda path: os.sendfile(os.open(path, os.O_RDWR), source(path), 0, 4096),
    "splice": spliced,
    "write of nothing": opened(os.O_RDWR, lambda fd: os.write(fd, b"")),
    "open": opened(os.O_RDWR, lambda fd: None),
    "utime": lambda path: os.utime(path),
    "user attribute": lambda path: os.setxattr(path, "user.a", b"a"),
    "chown to the same": lambda path: os.chown(path, os.stat(path).st_uid, os.stat(path).st_gid),
    "chown to nobody": lambda path: os.chown(path, -1, -1),
    "chgrp": lambda path: os.chown(path, -1, os.getgid()),
    "access list": lambda path: os.setxattr(path, "system.posix_acl_access", ACCESS_LIST),
}
# u::rw- u:1:rw- g::rwx m::rwx o::rwx
ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, perm, who)
    for tag, perm, who in ((1, 6, 0xFFFFFFFF), (2, 6, 1), (4, 7, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 7, 0xFFFFFFFF)))


def without_fsetid():
    head, data = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0), 8), ctypes.create_string_buffer(24)
    call(libc.capget(head, data))
    sets = list(struct.unpack("6I", data.raw))
    sets[0] &= ~(1 << 4)
    call(libc.capset(head, ctypes.create_string_buffer(struct.pack("6I", *sets), 24)))


def become(uid, gid, groups=()):
    def act():
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    return act


def namespace(kind, then=lambda: None):
    def act():
        then()
        uid = os.getuid()
        call(libc.unshare(kind))
        if kind == 0x10000000:
            open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
    return act


# caller: (how a process becomes it, owner and group of the file)
CALLERS = {
    "root": (lambda: None, (1000, GROUP)),
    "root without CAP_FSETID": (without_fsetid, (1000, GROUP)),
    "root without CAP_FSETID, in the group": (lambda: (os.setgroups([GROUP]), without_fsetid()), (0, GROUP)),
    "root of a user namespace": (namespace(0x10000000), (0, GROUP)),
    "another user": (become(USER, USER), (1000, GROUP)),
    "a member of the group": (become(USER, USER, [GROUP]), (1000, GROUP)),
    "the owner, outside the group": (become(USER, USER), (USER, GROUP)),
    "the owner, in the group": (become(USER, GROUP), (USER, GROUP)),
    "a user who is root in a namespace": (namespace(0x10000000, become(USER, USER)), (USER, USER)),
}
MODES = (0o6777, 0o6767, 0o4777, 0o2777, 0o2767)


def run(become, change, path):
    """0, or the error, of a process that becomes somebody and changes a file."""
    pid = os.fork()
    if pid == 0:
        try:
            become()
            change(path)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
        except BaseException as error:
            print(error)
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def capable(path):
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return False


def outcome(where, caller, change, mode, capability):
    """What became of a file of that mode: the error, the mode, the capability, and the mode for a kernel that asks."""
    (become, (uid, gid)), path = CALLERS[caller], os.path.join(where, "file")
    with open(path, "wb") as file:
        file.write(b"a" * SIZE)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    if capability:
        os.setxattr(path, "security.capability", CAPABILITY)
    os.stat(path)
    code = run(become, change, path)
    seen = stat.S_IMODE(os.stat(path).st_mode), capable(path)
    os.sync()
    open("/proc/sys/vm/drop_caches", "w").write("2")
    later = stat.S_IMODE(os.stat(path).st_mode), capable(path)
    os.unlink(path)
    return code, seen, later


for where in (local, ours):
    os.chmod(where, 0o777)
    with open(os.path.join(where, "source"), "wb") as file:
        file.write(b"s" * SIZE)
only = os.environ.get("SETID_ONLY", "")
for caller in CALLERS:
    for way, change in WAYS.items():
        if only not in way:
            continue
        for mode, capability in [(mode, False) for mode in MODES] + [(0o4777, True)]:
            name = f"{caller}, {way}, {mode:o}{' with a capability' if capability else ''}"
            want, got = (outcome(where, caller, change, mode, capability) for where in (local, ours))
            # A `chown` to nobody has the kernel remove a capability before it asks us whether the caller may do that.
            more = [mine[1] and not theirs[1] for mine, theirs in zip(got[1:], want[1:])]
            modes = [(one[0], one[1][0], one[2][0]) for one in (want, got)]
            lost = capability and way == "chown to nobody"
            check(name, modes[0] == modes[1] and not any(more) and (got == want or lost), f"expected {want}, got {got}")


def made(where, kind):
    path = os.path.join(where, "node")
    if kind == "directory":
        os.mkdir(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(path)
    else:
        os.mknod(path, {"file": stat.S_IFREG, "fifo": stat.S_IFIFO, "device": stat.S_IFCHR,
                        "block device": stat.S_IFBLK}[kind] | 0o600, os.makedev(1, 3))
    return path


def chowned(where, kind, caller, mode, ids):
    (become, owner), path = CALLERS[caller], made(where, kind)
    os.chown(path, *owner)
    os.chmod(path, mode)
    code = run(become, lambda path: os.chown(path, *ids), path)
    seen = stat.S_IMODE(os.stat(path).st_mode)
    (os.rmdir if kind == "directory" else os.unlink)(path)
    return code, seen


for kind in ("file", "fifo", "socket", "device", "block device", "directory"):
    for caller in CALLERS:
        for mode in MODES:
            for ids in ((-1, -1), CALLERS[caller][1], (-1, USER)):
                want, got = (chowned(where, kind, caller, mode, ids) for where in (local, ours))
                check(f"{caller}, chown of a {kind} to {ids}, {mode:o}", got == want,
                      f"expected {want[0]} {want[1]:o}, got {got[0]} {got[1]:o}")


def created(where):
    """Modes of what a user makes in a set-group-id directory of a group that is not its own."""
    def make(path):
        os.umask(0o10)
        os.close(os.open(path + "/f", os.O_CREAT | os.O_WRONLY, 0o2775))
        os.mkdir(path + "/d")
        os.mknod(path + "/n", 0o2775 | stat.S_IFREG)
    path = os.path.join(where, "shared")
    os.mkdir(path)
    os.chown(path, 0, GROUP)
    os.chmod(path, 0o2777)
    code = run(become(USER, USER), make, path)
    return code, [(os.stat(f"{path}/{name}").st_mode, os.stat(f"{path}/{name}").st_gid) for name in "fdn"]


want, got = created(local), created(ours)
check("made in a set-group-id directory", got == want, f"expected {want}, got {got}")

# A set-user-id program that another user overwrote does not run as its owner, whatever the kernel kept of it.
path = os.path.join(ours, "program")
for way in ("write", "direct write", "copy_file_range", "fallocate, keep size"):
    with open("/bin/id", "rb") as program, open(path, "wb") as copy:
        copy.write(program.read())
    os.chmod(path, 0o6777)
    end, begin = os.pipe()

    def id_of(path):
        os.dup2(begin, 1)
        os.execv(path, ["id", "-u"])
    run(become(USER, USER), id_of, path)
    before = os.read(end, 100)
    run(become(USER, USER), WAYS[way], path)
    with open(path, "r+b") as copy, open("/bin/id", "rb") as program:
        os.pwrite(copy.fileno(), program.read(), 0)
    run(become(USER, USER), id_of, path)
    check(f"a program after {way} by a user", (before, os.read(end, 100)) == (b"0\n", b"65534\n"), before)
    os.unlink(path)

# Attributes under names that the kernel leaves to the filesystem: a user may not set them on a file of root.
closed = os.path.join(ours, "closed")
os.close(os.open(closed, os.O_CREAT | os.O_WRONLY, 0o600))
os.symlink("nowhere", os.path.join(ours, "link"))
for path in (closed, ours, os.path.join(ours, "link")):
    for name in ("system.x", "foo.bar", "Trusted.a"):
        def attribute(path):
            try:
                os.setxattr(path, name, b"1", follow_symlinks=False)
            except OSError as error:
                os._exit(error.errno)
        code = run(become(USER, USER), attribute, path)
        # The kernel itself asks for the right to write, but where the name begins with `system.`.
        check(f"{name} of {path}", code in (errno.EOPNOTSUPP, errno.EACCES), f"ended with {code}")

# An access list that takes rights away counts at once, also while its owner has the file open for writing.
NOBODY = 2**32 - 1
CLOSED = struct.pack("<I", 2)
CLOSED += b"".join(struct.pack("<HHI", *entry) for entry in ((1, 6, NOBODY), (4, 0, NOBODY), (32, 0, NOBODY)))


def opens(path):
    good = 0
    for _ in range(20):
        try:
            os.close(os.open(path, os.O_RDONLY))
            good += 1
        except PermissionError:
            pass
    os._exit(good)


late = 0
for n in range(40):
    path = os.path.join(ours, f"shared{n}")
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    os.fchmod(fd, 0o666)
    os.write(fd, b"secret" * 1000)
    os.close(fd)
    fd = os.open(path, os.O_RDWR)
    os.setxattr(path, "system.posix_acl_access", CLOSED)
    late += run(become(USER, USER), opens, path)
    os.close(fd)
check("an access list of a file that is open for writing", late == 0, f"{late} of 800 opens went by the old mode")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
EOF
