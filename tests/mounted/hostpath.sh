#!/usr/bin/env bash
# What a hostPath volume needs: a mount made by one container is seen by another that was started before it, goes away
# there too, is open to other users as permissions allow, and leaves nothing to write to when it is gone.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
if [[ ${1:-} != inside ]]; then
    # A namespace of our own, whose mounts nobody else sees: it plays the host.
    exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" inside
fi

work=$(mktemp -d)
chmod 755 "$work"
export CAIRN_RUN_DIR=$work/run
share=$work/share mnt=$work/share/vol
mkdir "$share"
mount --bind "$share" "$share" && mount --make-shared "$share"
mkdir "$mnt"

cleanup() {
    [[ -n ${pod:-} ]] && kill "$pod" 2>/dev/null
    "$cairn" umount --lazy "$mnt" 2>/dev/null
    chattr -i "$mnt" 2>/dev/null
    umount -l "$share"
    rm -rf "$work"
}
trap cleanup EXIT

no() { local name=$1; shift; ok "$name" bash -c '! "$@"' no "$@"; }

# The pod: started first, with mountPropagation: HostToContainer, which is a slave.
unshare --mount --propagation slave sleep 600 &
pod=$!
# It has a namespace of its own when unshare has become what it runs.
until_ok "the pod runs" grep -qx sleep "/proc/$pod/comm"
in_pod() { nsenter --mount --root --target "$pod" "$@"; }

ok "create" "$cairn" create "$work/store" --key-file "$work/key"
protect=()
if chattr +i "$mnt" 2>/dev/null; then # some filesystems know no flags
    chattr -i "$mnt"
    protect=(--protect-mountpoint)
fi
ok "mount" "$cairn" mount "$work/store" "$mnt" --key-file "$work/key" "${protect[@]}"
ok "the host writes" bash -c "echo hello > '$mnt/file'; chmod 644 '$mnt/file'; mkdir -m 700 '$mnt/secret'"
ok "the pod sees the mount" in_pod grep -q hello "$mnt/file"
ok "the pod writes" in_pod bash -c "echo pod > '$mnt/pod'"
ok "the host sees it" grep -q pod "$mnt/pod"
ok "another user reads what he may" setpriv --reuid 65534 --regid 65534 --clear-groups cat "$mnt/file"
no "another user does not read what he may not" setpriv --reuid 65534 --regid 65534 --clear-groups ls "$mnt/secret"
no "another user does not write" setpriv --reuid 65534 --regid 65534 --clear-groups touch "$mnt/file2"
ok "umount" "$cairn" umount "$mnt"
no "the pod sees the mount go" in_pod test -e "$mnt/file"
if ((${#protect[@]})); then
    no "nothing is written while nothing is mounted" touch "$mnt/stray"
    no "nor by the pod" in_pod touch "$mnt/stray"
    ok "mount on the protected directory" "$cairn" mount "$work/store" "$mnt" --key-file "$work/key"
else
    ok "mount again" "$cairn" mount "$work/store" "$mnt" --key-file "$work/key"
fi
ok "the running pod has its data back" in_pod grep -q pod "$mnt/pod"
ok "umount again" "$cairn" umount "$mnt"

finish
