#!/usr/bin/env bash
# Nothing that a program does to a file of a snapshot changes what anybody reads of it, through maps neither: the kernel's
# page cache must not take what the store refuses. Ends with `N passed, N failed`.
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

"$cairn" create "$work/store" --key-file "$work/key" >/dev/null &&
    "$cairn" mount "$work/store" "$mnt" --key-file "$work/key" || exit 1
mkdir "$mnt/dir" && seq 100000 >"$mnt/dir/file" && ln "$mnt/dir/file" "$mnt/dir/link" && ln -s file "$mnt/dir/symlink" &&
    "$cairn" snapshot create "$mnt" old >/dev/null || exit 1

python3 - "$mnt" <<'EOF'
import errno, mmap, os, sys

mnt = sys.argv[1]
old = os.path.join(mnt, ".snapshots/old/dir")
file = os.path.join(old, "file")
expected = b"".join(b"%d\n" % n for n in range(1, 100001))
passed = failed = 0


def verdict(name, good, why=""):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f"FAIL {name}: {why}")


def refused(name, want, act):
    try:
        result = act()
    except OSError as error:
        verdict(name, error.errno == want, f"{error} instead of {errno.errorcode[want]}")
    else:
        verdict(name, False, f"went through: {result}")


def reads_as_before(name):
    same = open(file, "rb").read() == expected
    fd = os.open(file, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    same_cold = os.pread(fd, len(expected) + 1, 0) == expected
    os.close(fd)
    verdict(f"{name}: it reads as before", same and same_cold)


for path in (file, os.path.join(old, "link"), os.path.join(old, "symlink")):
    for how in ("O_WRONLY", "O_RDWR", "O_WRONLY|O_APPEND", "O_RDONLY|O_TRUNC", "O_RDWR|O_CREAT", "O_WRONLY|O_DIRECT", "O_RDWR|O_SYNC"):
        flags = 0
        for flag in how.split("|"):
            flags |= getattr(os, flag)
        refused(f"open {os.path.basename(path)} {how}", errno.EROFS, lambda: os.open(path, flags))
reads_as_before("open")

fd = os.open(file, os.O_RDONLY)
refused("a shared writable map", errno.EACCES, lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
private = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
private[0:4] = b"mine"
shared = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
verdict("a private map is private", shared[0:4] == expected[0:4])
refused("ftruncate", errno.EINVAL, lambda: os.ftruncate(fd, 0))
refused("truncate", errno.EROFS, lambda: os.truncate(file, 10))
live = os.open(os.path.join(mnt, "dir/file"), os.O_RDWR)
refused("copy_file_range onto it", errno.EBADF, lambda: os.copy_file_range(live, fd, 100, 0, 0))
verdict("copy_file_range from it", os.copy_file_range(fd, live, 100, 50, 0) == 100)
with mmap.mmap(live, 4096) as view:
    view[0:4] = b"live"
    view.flush()
os.fsync(live)
os.close(live)
private.close()
shared.close()
os.close(fd)
reads_as_before("maps and copies")

refused("chmod", errno.EROFS, lambda: os.chmod(file, 0o600))
refused("chown", errno.EROFS, lambda: os.chown(file, 1, 1))
refused("utimensat", errno.EROFS, lambda: os.utime(file, (1, 1)))
refused("setxattr", errno.EROFS, lambda: os.setxattr(file, "user.new", b"1"))
refused("unlink", errno.EROFS, lambda: os.unlink(file))
refused("rename", errno.EROFS, lambda: os.rename(file, file + "2"))
refused("rename into it", errno.EROFS, lambda: os.rename(os.path.join(mnt, "dir/link"), os.path.join(old, "new")))
refused("rename out of it", errno.EROFS, lambda: os.rename(file, os.path.join(mnt, "out")))
refused("link", errno.EROFS, lambda: os.link(file, os.path.join(old, "new")))
refused("create", errno.EROFS, lambda: os.open(os.path.join(old, "new"), os.O_CREAT | os.O_WRONLY, 0o644))
refused("mkdir", errno.EROFS, lambda: os.mkdir(os.path.join(old, "new")))
refused("mkfifo", errno.EROFS, lambda: os.mkfifo(os.path.join(old, "new")))
refused("symlink", errno.EROFS, lambda: os.symlink("x", os.path.join(old, "new")))
refused("rmdir of a directory in it", errno.EROFS, lambda: os.rmdir(old))
reads_as_before("names and attributes")
verdict("the live file has changed", open(os.path.join(mnt, "dir/file"), "rb").read(4) == b"live")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
EOF
