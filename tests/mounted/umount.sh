#!/usr/bin/env bash
# Where a volume may not be mounted, and what an unmount does when the mount is in use, covered, or copied into another mount
# namespace. As root. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
# Not tmpfs: the store's files are punched and read past the page cache.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-umount.XXXXXX")
store=$work/hold/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
holder=

cleanup() {
    [[ -n $holder ]] && kill -9 "$holder" 2>/dev/null
    local at pid
    for pid in $(cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2); do kill -9 "$pid" 2>/dev/null; done
    for at in $(awk '{print $5}' /proc/self/mountinfo | grep "^$work/" | tac); do umount -l "$at" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT

daemon() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2 | head -n 1; }
up() { timeout 60 "$cairn" mount "$store" "${1:-$mnt}" --key-file "$key" "${@:2}"; }
down() { timeout 60 "$cairn" umount "$@"; }
gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; return 1; }
kind() { awk -v at="$1" '$5 == at { for (i = 7; $i != "-"; i++); kind = $(i + 1) } END { print kind }' /proc/self/mountinfo; }
said() { grep -qE -- "$1" "$work/said"; }

mkdir -p "$mnt" "$work/hold" "$work/alias"
ok "create" "$cairn" create "$store" --key-file "$key"

# --- Where it may not be mounted: the daemon would wait for itself, where no signal reaches it.
refused() {
    code 2 "$1" up "$2"
    ok "$1: says why" said "the volume's own store"
    ok "$1: nothing is mounted" test -z "$(kind "$2")"
}
refused "on its own store" "$store"
refused "on the directory that holds it" "$work/hold"
refused "on a directory in its store" "$store/packs"
ln -s "$work" "$work/link"
refused "through a symbolic link" "$work/link/hold"
ok "bind the store" mount --bind "$store" "$work/alias"
refused "on a directory in it, by a bind mount" "$work/alias/packs"
ok "unbind" umount "$work/alias"
ok "bind what holds the store" mount --bind "$work" "$work/alias"
refused "on what holds it, by a bind mount" "$work/alias/hold"
refused "on the store, by a bind mount" "$work/alias/hold/store"
ok "unbind what holds it" umount "$work/alias"
CAIRN_RUN_DIR=$work/mnt/run code 2 "on a directory that holds the run directory" up
rm -r "$work/mnt/run"
code 2 "on a directory that holds the anchor" up "$mnt" --anchor "file:$mnt/anchor"
ok "the volume is whole" "$cairn" check "$store" --key-file "$key"

# --- A store in another volume's mount is like any other.
ok "mount" up
ok "create a volume within" "$cairn" create "$mnt/inner" --key-file "$work/key2"
mkdir "$work/second"
ok "mount the volume within" timeout 60 "$cairn" mount "$mnt/inner" "$work/second" --key-file "$work/key2"
ok "write to it" bash -c "seq 100000 > '$work/second/numbers' && timeout 60 '$cairn' sync '$work/second'"
code 6 "the outer one is in use" down "$mnt"
ok "umount the inner one" down "$work/second"
ok "check the inner one" timeout 60 "$cairn" check "$mnt/inner" --key-file "$work/key2"
ok "umount the outer one" down "$mnt"

# --- What is not Cairn's stays.
ok "a tmpfs" mount -t tmpfs mine "$mnt"
code 9 "umount of a tmpfs" down "$mnt"
ok "it is named" said "type tmpfs, source mine"
code 9 "umount --lazy of a tmpfs" down --lazy "$mnt"
code 9 "umount --force of a tmpfs" down --force "$mnt"
same "the tmpfs is there" tmpfs "$(kind "$mnt")"
code 6 "mount over a tmpfs" up
ok "umount(8) of the tmpfs" umount "$mnt"

ok "mount to be covered" up
ok "a tmpfs over it" mount -t tmpfs mine "$mnt"
for how in "" --lazy --force; do
    code 6 "umount $how of a covered mount" down $how "$mnt"
done
ok "it says what to do" said "lies over a mount of Cairn"
same "the tmpfs over it is there" tmpfs "$(kind "$mnt")"
pid=$(daemon)
ok "SIGTERM below a tmpfs" kill -TERM "$pid"
ok "the daemon ends" gone "$pid"
same "and leaves the tmpfs alone" tmpfs "$(kind "$mnt")"
ok "umount(8) of the tmpfs over it" umount "$mnt"
ok "mount over what the daemon left" up

ok "a file that stays open" touch "$mnt/open"
exec 7<"$mnt/open"
code 6 "umount in use" down "$mnt"
ok "who uses it" said "bash \(pid $$\)"
pid=$(daemon)
ok "umount --lazy in use" down --lazy "$mnt"
ok "a tmpfs where it was" mount -t tmpfs mine "$mnt"
exec 7<&-
ok "the daemon ends with the last file" gone "$pid"
same "and leaves the tmpfs where it was alone" tmpfs "$(kind "$mnt")"
ok "umount(8) of the last tmpfs" umount "$mnt"

# --- A copy in another mount namespace, as a container has it.
hold() {
    unshare -m --propagation private sleep 600 &
    holder=$!
    until_ok "the holder is in a namespace of its own" bash -c \
        "[[ \$(cat /proc/$holder/comm) == sleep && \$(readlink /proc/$holder/ns/mnt) != \$(readlink /proc/self/ns/mnt) ]]"
}
ok "mount to be copied" up
hold
ok "write before" bash -c "seq 200000 > '$mnt/before'"
pid=$(daemon)
begun=$SECONDS
code 6 "umount while another namespace has it" down --timeout 3s "$mnt"
ok "it ends in time ($((SECONDS - begun)) s)" test $((SECONDS - begun)) -lt 20
ok "it names the holder" said "sleep \(pid $holder\)"
ok "it names the daemon" said "\(pid $pid\) goes on"
ok "it says that all is committed" said "is committed"
same "it is not mounted here" "" "$(kind "$mnt")"
ok "it works there" nsenter -m -r -t "$holder" cat "$mnt/before"
code 6 "mount of what is mounted elsewhere" up
ok "where that is" said "in another mount namespace"
code 6 "umount again" down --timeout 500ms "$mnt"
ok "kill -9 at this point" kill -9 "$pid"
kill -9 "$holder" && wait "$holder" 2>/dev/null
ok "mount after that" up
ok "what was written before is there" bash -c "seq 200000 | cmp - '$mnt/before'"

hold
pid=$(daemon)
ok "write" bash -c "seq 300000 > '$mnt/forced'"
ok "umount --force while another namespace has it" down --force "$mnt"
ok "the daemon ended" gone "$pid"
code 1 "the copy is dead" nsenter -m -r -t "$holder" cat "$mnt/forced"
kill -9 "$holder" && wait "$holder" 2>/dev/null
ok "mount after --force" up
ok "nothing was lost" bash -c "seq 300000 | cmp - '$mnt/forced'"

hold
pid=$(daemon)
down --timeout 60s "$mnt" 2>"$work/told" &
waiting=$!
until_ok "umount says who has it while it waits" grep -q "(pid $holder)" "$work/told"
kill -9 "$holder"
ok "umount ends once the other namespace lets go" wait "$waiting"
ok "the daemon ended with the namespace" gone "$pid"
wait 2>/dev/null
holder=

# --- In use here, and to end all the same.
ok "mount to be ended" up
exec 7>"$mnt/forced2"
echo "still here" >&7
ok "umount --force of open files" down --force "$mnt"
exec 7>&-
ok "mount after open files" up
same "what they held is there" "still here" "$(cat "$mnt/forced2")"
ok "umount" down "$mnt"
code 9 "umount of what is not mounted" down "$mnt"

# --- The run directory of another user.
mkdir "$work/foreign" && chown 65534 "$work/foreign"
CAIRN_RUN_DIR=$work/foreign code 2 "a run directory of another user" up
chown 0 "$work/foreign" && chmod 777 "$work/foreign"
CAIRN_RUN_DIR=$work/foreign code 2 "a run directory that all may write to" up
ok "it says which" said "$work/foreign"

finish
