#!/usr/bin/env bash
# The mount contract of the suites:  mount.sh mount STORE MNT [OPTIONS]   and   mount.sh umount STORE MNT
#
# Builds nothing: uses $CAIRN, or target/release/cairn of this checkout. The key lies in STORE.key. The volume is created
# in STORE the first time. Returns once the mount serves, and prints nothing when all is well.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
usage() { echo "usage: ${0##*/} mount STORE MNT [OPTION,...] | umount STORE MNT" >&2; exit 2; }
(($# >= 3)) || usage
[[ -x $cairn ]] || { echo "mount.sh: $cairn is missing: cargo build --release, or set CAIRN" >&2; exit 1; }
verb=$1 store=$2 mnt=$3 options=${4:-}
key=$store.key

case $verb in
mount)
    flags=()
    IFS=, read -ra words <<<"$options"
    for word in "${words[@]}"; do
        case $word in
        ro) flags+=(--read-only) ;;
        nosuid | nodev | noexec | noatime | sync | dirsync) flags+=(-o "$word") ;;
        # What the kernel or util-linux settle themselves, and what every mount of Cairn is anyway.
        *) ;;
        esac
    done
    # `cairn mount` takes a mount away whose daemon was killed; the directory itself may have to be made.
    [[ -d $mnt ]] || stat "$mnt" >/dev/null 2>&1 || mkdir -p "$mnt" 2>/dev/null || true
    if [[ ! -d $store ]] || [[ -z $(ls -A "$store") ]]; then
        rm -f "$key" # of a volume that is gone
        "$cairn" create "$store" --key-file "$key" >/dev/null
    fi
    exec "$cairn" mount "$store" "$mnt" --key-file "$key" ${CAIRN_MOUNT_FLAGS:-} "${flags[@]}"
    ;;
umount) exec "$cairn" umount "$mnt" ;;
*) usage ;;
esac
