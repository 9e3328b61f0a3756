#!/usr/bin/env bash
# A volume's life on a real mount, and everything the command refuses. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt" "$work/second"

cleanup() {
    umount -l "$mnt" 2>/dev/null
    local pid
    pid=$(daemon)
    [[ -n $pid ]] && kill -9 "$pid" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

daemon() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | grep -o '[0-9]*' | head -n 1; }
up() { "$cairn" mount "$store" "$mnt" --key-file "$key" "$@"; }
gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; return 1; }

code 5 "a missing store is no volume" up
code 2 "create wants a key" "$cairn" create "$store"
code 2 "a line that makes no sense, in JSON" "$cairn" --json create "$store" --bogus
ok "has the shape of other failures" python3 -c 'import json, sys; a = json.load(sys.stdin); sys.exit((a["exit"], a["kind"]) != (2, "usage") or "--bogus" not in a["error"])' <"$work/said"
mkdir -m 755 "$store"
ok "create" "$cairn" create "$store" --key-file "$key"
ok "nobody else looks into a store, also where the directory was there" test "$(stat -c %a "$store")" = 700
ok "the key file is private" test "$(stat -c %a "$key")" = 600
code 8 "create refuses a volume" "$cairn" create "$store" --key-file "$key"
mkdir "$work/full" && touch "$work/full/file"
code 8 "create refuses what is not empty" "$cairn" create "$work/full" --key-file "$work/key2"
ok "a refused create makes no key" test ! -e "$work/key2"
code 5 "a foreign directory is no volume" "$cairn" mount "$work/full" "$mnt" --key-file "$key"
ok "a foreign directory is left alone" test "$(ls -A "$work/full")" = file
printf '%064d\n' 7 >"$work/wrong" && chmod 600 "$work/wrong"
code 3 "a wrong key" "$cairn" mount "$store" "$mnt" --key-file "$work/wrong"
echo short >"$work/short"
code 2 "a malformed key file" "$cairn" mount "$store" "$mnt" --key-file "$work/short"
ok "status without a key" "$cairn" status "$store"

ok "mount" up
bdi=/sys/class/bdi/$(stat -c %Hd:%Ld "$mnt")
ok "the kernel grants the mount its dirty pages" test "$(cat "$bdi"/{max,min}_ratio | xargs)" = "15 15"
ok "it is a mount" mountpoint -q "$mnt"
ok "write" bash -c "seq 200000 > '$mnt/numbers' && mkdir '$mnt/dir' && ln '$mnt/numbers' '$mnt/dir/link' && ln -s numbers '$mnt/sym'"
code 6 "a second mount is refused" "$cairn" mount "$store" "$work/second" --key-file "$key"
code 6 "a mount over a mount is refused" up
ok "ls of a mounted volume" "$cairn" ls "$store" /
ok "status" "$cairn" status "$mnt"
ok "status by store, as JSON" bash -c "'$cairn' --json status '$store' | grep -q '\"epoch\":'"
ok "sync" "$cairn" sync "$mnt"
ok "snapshot" "$cairn" snapshot create "$mnt" first
ok "overwrite" bash -c "echo new > '$mnt/numbers'"
ok "a snapshot keeps what was" bash -c "seq 200000 | cmp - '$mnt/.snapshots/first/numbers'"
ok "snapshot list" bash -c "'$cairn' snapshot list '$mnt' | grep -q first"
ok "check on a mount" "$cairn" check "$mnt"
ok "snapshot destroy" "$cairn" snapshot destroy "$mnt" first
exec 7<"$mnt/numbers"
code 6 "umount of a busy mount" "$cairn" umount "$mnt"
exec 7<&-
pid=$(daemon)
ok "umount" "$cairn" umount "$mnt"
ok "the daemon ended" gone "$pid"
code 9 "umount of what is not mounted" "$cairn" umount "$mnt"
code 9 "sync of what is not mounted" "$cairn" sync "$mnt"
code 2 "a directory is no key file" "$cairn" ls "$store" / --key-file "$mnt"

ok "cat without a mount" bash -c "[[ \$('$cairn' cat '$store' /dir/link --key-file '$key') == new ]]"
ok "ls without a mount" bash -c "'$cairn' ls '$store' / --key-file '$key' | grep -qx numbers"
ok "check without a mount" "$cairn" check "$store" --key-file "$key"
ok "read-only" up --read-only
code 1 "read-only refuses" touch "$mnt/no"
ok "umount read-only" "$cairn" umount "$mnt"

ok "mount again" up
seq 300000 >"$work/expected"
ok "SIGTERM: write" cp "$work/expected" "$mnt/term"
pid=$(daemon)
ok "SIGTERM" kill -TERM "$pid"
ok "SIGTERM ends the daemon" gone "$pid"
ok "mount after SIGTERM" up
ok "SIGTERM lost nothing" cmp "$work/expected" "$mnt/term"
ok "kill -9: write and fsync" dd if="$work/expected" of="$mnt/kill" conv=fsync status=none
ok "kill -9: synchronous write around the page cache" dd if="$work/expected" of="$mnt/direct" bs=4096 count=1 \
    oflag=direct,dsync conv=notrunc status=none
ok "kill -9: the kernel knows the mount point's attributes" stat "$mnt"
pid=$(daemon)
ok "kill -9" kill -KILL "$pid"
ok "kill -9 ends the daemon" gone "$pid"
ok "mount over what kill -9 left" up
ok "kill -9 lost nothing that was fsynced" cmp "$work/expected" "$mnt/kill"
ok "kill -9 lost nothing of a synchronous write" cmp -n 4096 "$work/expected" "$mnt/direct"
ok "umount(8) ends the daemon too" umount "$mnt"
ok "mount read-only" up -o ro,nosuid,noexec
ok "the kernel knows the options" grep -q " $mnt fuse[.a-z]* ro,.*nosuid.*noexec" /proc/mounts
code 2 "an unknown option" up -o bogus
ok "fsync of what is durable anyway" sync "$mnt/kill"
ok "umount of the read-only mount" umount "$mnt"
export RUST_LOG=info,cairn_fs::request=debug
ok "mount right after umount(8)" up --log-file "$work/log"
unset RUST_LOG
ok "fsync, with a log of requests" sync "$mnt/kill"
ok "umount for rekey" "$cairn" umount "$mnt"
ok "the log has the request, its inode, its process and how long it took" \
    grep -qE 'request\{what="fsync" ino=[0-9]+ pid=[1-9][0-9]*\}.*close time.busy=' "$work/log"

ok "rekey" "$cairn" rekey "$store" --key-file "$key" --new-key-file "$work/new"
code 3 "the old key is dead" "$cairn" ls "$store" / --key-file "$key"
key=$work/new
ok "the new key opens" "$cairn" ls "$store" / --key-file "$key"
echo "correct horse" >"$work/words" && chmod 600 "$work/words"
ok "rekey to a passphrase" "$cairn" rekey "$store" --key-file "$key" --new-passphrase-file "$work/words"
ok "the passphrase opens" "$cairn" ls "$store" / --passphrase-file "$work/words"
# unread CODE COMMAND...: with a reader of its output that has ended, as after `| head`; it must say nothing.
unread() { python3 -c 'import os, subprocess, sys
there, here = os.pipe()
os.close(there)
done = subprocess.run(sys.argv[2:], stdout=here, stderr=subprocess.PIPE)
sys.exit(f"{done}" if (done.returncode, done.stderr) != (int(sys.argv[1]), b"") else 0)' "$@"; }
ok "ls without a reader" unread 0 "$cairn" ls "$store" / --passphrase-file "$work/words"
ok "status in JSON without a reader" unread 0 "$cairn" --json status "$store"
ok "help without a reader" unread 0 "$cairn" --help
ok "the passphrase mounts, from standard input" bash -c "echo 'correct horse' | '$cairn' mount '$store' '$mnt' --passphrase"
ok "umount" "$cairn" umount "$mnt"
code 3 "a wrong passphrase" bash -c "echo battery | '$cairn' ls '$store' / --passphrase"

# Whatever file of the store is cut short: an error or a volume that works, never an empty one and never a crash.
cp -a "$store" "$work/cut"
victim=$(find "$work/cut" -name 'MANIFEST-*' | head -n 1)
truncate -s 100 "$victim"
"$cairn" ls "$work/cut" / --passphrase-file "$work/words" >"$work/out" 2>&1
got=$?
ok "a truncated store is named as such ($got)" test "$got" = 4 -o "$got" = 5 -o "$got" = 7

finish
