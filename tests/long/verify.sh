#!/usr/bin/env bash
# `cairn verify` of a volume of 2 GiB against a chain, with and without the key: whole, altered, incomplete and stale, each
# with its exit code and what it names. Prints how long each took.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CAIRN=${CAIRN:-$root/target/release/cairn}
[[ -x $CAIRN ]] || { echo "FAILED: $CAIRN is missing: cargo build --release"; exit 1; }
work=$(mktemp -d "${LONG_DIR:-/var/tmp}/cairn-long.XXXXXX")
net=$work/net
export CAIRN_RUN_DIR=$work/run CAIRN_CHAIN=$net/chain.toml
leave() {
    "$root/tests/devnet.sh" down "$net"
    rm -rf "$work"
}
trap leave EXIT
source "$root/tests/checks.sh"

anchored() { "$CAIRN" sync --anchored "$net/mnt"; }
fill() { for n in 1 2; do head -c 1G /dev/urandom >"$net/mnt/file-$n" || return; done; }
# verify CODE NAME STORE [ARGS...]: cold, and timed.
verify() {
    local want=$1 name=$2 begun
    shift 2
    sync && echo 3 >/proc/sys/vm/drop_caches
    begun=$(date +%s.%N)
    code "$want" "$name" "$CAIRN" verify "$@"
    echo "$name: exit code $want in $(echo "$(date +%s.%N) - $begun" | bc) s"
    sed 's/^/    /' "$work/said" | tail -n 3
}
largest_pack() { find "$net/store/packs" -type f -size +100M | sort | head -n 1; }

ok "a devnet with an anchored volume" "$root/tests/devnet.sh" up "$net"
echo first >"$net/mnt/first"
ok "publish a little" anchored
ok "umount" "$CAIRN" umount "$net/mnt"
cp -a "$net/store" "$work/stale"
ok "mount" "$CAIRN" mount "$net/store" "$net/mnt" --key-file "$net/volume.key" --anchor "eth:$CAIRN_CHAIN"
ok "write 2 GiB" fill
ok "publish them" anchored
ok "umount" "$CAIRN" umount "$net/mnt"

verify 0 "whole, without the key" "$net/store"
verify 0 "whole, with the key" "$net/store" --key-file "$net/volume.key"
verify 10 "stale" "$work/stale"
ok "with both epochs" grep -qE "it holds epoch [0-9]+, and epoch [0-9]+ was published" "$work/said"
pack=$(largest_pack)
printf 'xyz' | dd of="$pack" bs=1 seek=50000000 conv=notrunc status=none
verify 4 "an altered byte, without the key" "$net/store"
ok "names the block" grep -qE "altered: block b[a-z2-7]+ is not what was written" "$work/said"
verify 4 "an altered byte, with the key" "$net/store" --key-file "$net/volume.key"
ok "names the path" grep -q "/file-" "$work/said"
mv "$pack" "$work/taken"
verify 15 "blocks missing, without the key" "$net/store"
ok "names a block" grep -qE "incomplete: block b[a-z2-7]+ is missing" "$work/said"
verify 15 "blocks missing, with the key" "$net/store" --key-file "$net/volume.key"
ok "names the path" grep -q "/file-" "$work/said"
finish
