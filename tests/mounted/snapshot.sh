#!/usr/bin/env bash
# Snapshots on a mount. Nothing that a program does to a file of one changes what is read of it, through maps neither: the
# kernel's page cache must not take what the store refuses. What restores a tree makes none. Then rename, hold, diff, and
# rollback, where the kernel must forget the tree before. Ends with `N passed, N failed`, twice.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
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
python=$?

said() { grep -qE -- "$1" "$work/said"; }
snap() { timeout 120 "$cairn" snapshot "$1" "$mnt" "${@:2}"; }
names() { snap list | awk '{ print $9 }' | sort | tr '\n' ' '; }
whole() { timeout 120 "$cairn" check "$mnt"; }
up() { timeout 60 "$cairn" mount "$work/store" "$mnt" --key-file "$key" "$@"; }
down() { timeout 60 "$cairn" umount "$mnt"; }
key=$work/key

# --- What restores a tree makes no snapshot, and destroys none.
mkdir -p "$work/saved/.snapshots/daily/dir" "$work/saved/data"
echo kept >"$work/saved/data/file"
echo old >"$work/saved/.snapshots/daily/dir/file"
code 1 "mkdir in .snapshots" mkdir "$mnt/.snapshots/mine"
ok "it is not permitted" said "not permitted"
code 1 "rmdir of a snapshot" rmdir "$mnt/.snapshots/old"
code 1 "cp -a of a tree with .snapshots" cp -a "$work/saved/." "$mnt/"
same "cp -a copies the rest" kept "$(cat "$mnt/data/file")"
rm -r "$mnt/data"
if tar -C "$work/saved" -cf "$work/saved.tar" . && tar -C "$mnt" -xf "$work/saved.tar" 2>"$work/out"; then
    ok "tar says what it could not restore" false
fi
same "tar restores the rest" kept "$(cat "$mnt/data/file")"
same "no snapshot was made or destroyed" "old " "$(names)"
mkdir "$work/copy"
ok "cp -a of a mount takes no snapshot along" cp -a "$mnt/." "$work/copy/"
ok "there is none in the copy" test ! -e "$work/copy/.snapshots"
ok "umount" down
ok "mount with --snapshot-dirs" up --snapshot-dirs
ok "mkdir takes one then" mkdir "$mnt/.snapshots/mine"
same "it is one" "mine old " "$(names)"
ok "rmdir destroys it" rmdir "$mnt/.snapshots/mine"
ok "umount again" down
ok "mount as usual" up

# --- Rename and hold.
ok "rename" snap rename old first
same "the new name" "first " "$(names)"
ok "it reads as before" cmp "$mnt/.snapshots/first/dir/file" <(seq 100000)
code 1 "rename of what is not there" snap rename old second
ok "it says what there is not" said "no snapshot old"
ok "hold" snap hold first audit
ok "hold once more" snap hold first
code 1 "the same hold twice" snap hold first audit
code 6 "destroy of one that is held" snap destroy first
ok "it names the holds" said "audit, keep"
ok "the list names them" grep -q "first  held by audit, keep" <<<"$(snap list)"
ok "release" snap release first
code 6 "destroy of one that is held still" snap destroy first
ok "release the other" snap release first audit

# --- Diff.
ok "changes" bash -c "cd '$mnt' && echo more >>dir/file && mkdir new && echo x >new/x && mv data moved && rm dir/symlink"
printf '%s\n' $'+\t/new/' $'+\t/new/x' $'-\t/dir/symlink' $'M\t/' $'M\t/dir/' $'M\t/dir/file' $'M\t/dir/link' \
    >"$work/want"
ok "take another" snap create second
diffed() { snap diff "$@" | LC_ALL=C sort | grep -v moved >"$work/got"; }
ok "diff of two" diffed first second
ok "diff tells what changed" cmp "$work/want" "$work/got"
ok "diff with the live tree" diffed first
ok "it tells the same" cmp "$work/want" "$work/got"
ok "nothing differs from itself" test -z "$(snap diff second second)"
mv "$mnt/moved" "$mnt/again"
same "a move is one line" $'M\t/ R\t/moved/ -> /again/' "$(snap diff second | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')"
same "in JSON too" renamed "$(timeout 60 "$cairn" --json snapshot diff "$mnt" second | grep -o '"renamed"' | tr -d '"')"
code 1 "diff with what is not there" snap diff second third

# --- Rollback: the tree, and what the kernel remembers of the one before.
cat "$mnt/dir/file" "$mnt/new/x" >"$work/now"
ls -lR "$mnt" >/dev/null
ok "a name that is absent now" test ! -e "$mnt/dir/symlink"
exec 7<"$mnt/dir/file"
code 6 "rollback while a file is open" snap rollback first
ok "it names the process" said "pid $$"
exec 7<&-
code 6 "rollback while a process works in it" bash -c "cd '$mnt/new' && timeout 120 '$cairn' snapshot rollback '$mnt' first"
same "neither left a snapshot" "first second " "$(names)"
echo "not synced" >"$mnt/late"
ok "rollback" snap rollback first
before=$(snap list | grep -o 'before-rollback-[^ ]*')
ok "it tells where the tree before is" test -n "$before"
ok "the file is as it was" cmp "$mnt/dir/file" <(seq 100000)
same "what was removed is back" file "$(readlink "$mnt/dir/symlink")"
ok "what came is gone" test ! -e "$mnt/new" -a ! -e "$mnt/again" -a ! -e "$mnt/late"
ok "the listing is the snapshot's" cmp <(ls -A "$mnt") <(ls -A "$mnt/.snapshots/first")
same "the tree before has what was not synced" "not synced" "$(cat "$mnt/.snapshots/$before/late")"
ok "and all else" cmp "$work/now" <(cat "$mnt/.snapshots/$before/dir/file" "$mnt/.snapshots/$before/new/x")
ok "all is whole" whole
ok "it goes on" bash -c "echo new >'$mnt/dir/file' && echo y >'$mnt/new'"
ok "roll back to the tree before" snap rollback "$before"
ok "all of it is back" cmp "$work/now" <(cat "$mnt/dir/file" "$mnt/new/x")
same "what was not synced too" "not synced" "$(cat "$mnt/late")"
ok "a diff with that is empty" test -z "$(snap diff "$before")"

# A kill right after it: the log of the tree before is past.
python3 -c "import os,sys; f=os.open(sys.argv[1], os.O_WRONLY|os.O_CREAT); os.write(f, b'synced'); os.fsync(f)" "$mnt/synced"
ok "roll back once more" snap rollback first
pid=$(grep -oh '"pid":[0-9]*' "$work"/run/*.json | cut -d: -f2)
kill -9 "$pid"
ok "take the dead mount away" down
ok "mount after a kill" up
ok "the tree is the one gone back to" cmp <(ls -A "$mnt") <(ls -A "$mnt/.snapshots/first")
ok "it is whole" whole
for name in $(names); do ok "destroy $name" snap destroy "$name"; done
ok "nothing is left over" whole
same "nothing that nothing names" 0 "$(timeout 60 "$cairn" --json check "$mnt" | python3 -c 'import json,sys; print(json.load(sys.stdin)["leaked_blocks"])')"
ok "umount for the store" down

# --- The same of a store that is not mounted.
of_store() { timeout 60 "$cairn" snapshot "$1" "$work/store" "${@:2}" --key-file "$key"; }
ok "create of a store" of_store create one
ok "mount to change it" up
rm "$mnt/dir/link"
ok "umount the change" down
same "diff of a store" $'-\t/dir/link M\t/dir/ M\t/dir/file' "$(of_store diff one | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')"
ok "hold of a store" of_store hold one
code 6 "destroy of a store's" of_store destroy one
ok "release of a store" of_store release one
ok "rename of a store" of_store rename one two
ok "rollback of a store" of_store rollback two
ok "what was removed is back in it" timeout 60 "$cairn" cat "$work/store" /dir/link --key-file "$key"
ok "it is whole, too" timeout 60 "$cairn" check "$work/store" --key-file "$key"
finish && ((python == 0))
