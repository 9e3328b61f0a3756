#!/usr/bin/env bash
# Listings by programs of 32 bits, and places in a directory that changes meanwhile. Ends with `N passed, N failed`.
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

python3 - "$cairn" "$mnt" <<'EOF'
import ctypes, os, struct, subprocess, sys

cairn, mnt = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]
passed = failed = 0


def check(name, good, why=""):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f"FAIL {name}: {why}")


def page(fd, size):
    """The next entries of an open directory: (name, cookie), as a program of 32 bits has to take them."""
    buffer = ctypes.create_string_buffer(size)
    got = libc.syscall(GETDENTS64, fd, buffer, size)
    assert got >= 0, os.strerror(ctypes.get_errno())
    rows, at = [], 0
    while at < got:
        number, cookie, length = struct.unpack_from("<QqH", buffer, at)
        rows.append((buffer.raw[at + 19:at + length].split(b"\0")[0].decode(), cookie, number))
        at += length
    return rows


def listing(fd, size=4096):
    rows = []
    while more := page(fd, size):
        rows += more
    return rows


def opened(path):
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


many = mnt + "/many"
os.mkdir(many)
for n in range(20000):
    open(f"{many}/{n}", "w").close()
want = sorted([str(n) for n in range(20000)] + [".", ".."])
for state in ("before a commit", "after it"):
    rows = listing(opened(many))
    check(f"every name once, {state}", sorted(name for name, *_ in rows) == want, len(rows))
    check(f"cookies fit 31 bits, {state}", all(0 < cookie < 2**31 for _, cookie, _ in rows))
    check(f"no two names have one cookie, {state}", len({cookie for _, cookie, _ in rows}) == len(rows))
    check(f"numbers fit 32 bits, {state}", all(number < 2**32 for *_, number in rows))
    subprocess.run([cairn, "sync", mnt], check=True, stdout=subprocess.DEVNULL)

fd = opened(many)
for at in range(0, len(rows), 997):
    os.lseek(fd, rows[at][1], os.SEEK_SET)
    after = [name for name, *_ in page(fd, 600)]
    check("a place leads to the name behind it", after == [name for name, *_ in rows[at + 1:at + 1 + len(after)]])
os.lseek(fd, 0, os.SEEK_SET)
check("from the beginning again", listing(fd) == rows)

# What is there from start to end comes once, whatever else comes and goes between two pages.
fd, seen, n = opened(many), [], 0
while more := page(fd, 700):
    seen += [name for name, *_ in more]
    open(f"{many}/new{n}", "w").close()
    if n % 2:
        os.unlink(f"{many}/{n}")
        os.unlink(f"{many}/new{n // 2}") if os.path.exists(f"{many}/new{n // 2}") else None
    n += 1
stayed = {name for name in want if not (name.isdigit() and int(name) < n and int(name) % 2)}
old = [name for name in seen if not name.startswith("new")]
check("no name twice while others come and go", len(old) == len(set(old)))
check("no name that stayed is missing", stayed <= set(old), len(stayed - set(old)))

source = os.path.dirname(mnt) + "/list.c"
open(source, "w").write("""
#include <dirent.h>
#include <errno.h>
int main(int n, char **v) { DIR *d = opendir(v[1]); int names = 0; errno = 0; while (readdir(d)) names++; return errno || !names; }
""")
if subprocess.run(["gcc", "-m32", "-w", "-o", source + "32", source], capture_output=True).returncode == 0:
    check("a program of 32 bits lists a directory", subprocess.run([source + "32", many]).returncode == 0)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
EOF
