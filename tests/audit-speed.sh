#!/usr/bin/env bash
# How fast an audit is against the disk and the hash, and how much memory it takes.
#
#   tests/audit-speed.sh [GIB] [DIR]     4 GiB in a directory below $TMPDIR by default
#
# Prints MiB/s of: reading the store's files with cold caches, BLAKE3 on all processors, the audit with cold caches; the
# ratio of the audit to the slower of the two; the audit's peak memory. Dropping caches takes root.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
gib=${1:-4}
work=$(mktemp -d "${2:-${TMPDIR:-/tmp}}/cairn-audit-XXXXXX")
export CAIRN_RUN_DIR=$work/run
trap 'umount -l "$work/mnt" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/mnt"

cold() { sync && echo 3 >/proc/sys/vm/drop_caches; }
seconds() { local from; from=$(date +%s.%N); "$@" >/dev/null; echo "$(date +%s.%N) - $from" | bc; }
rate() { echo "scale=0; $1 / $2 / 1048576" | bc; }

"$cairn" create "$work/store" --key-file "$work/key" >/dev/null
"$cairn" mount "$work/store" "$work/mnt" --key-file "$work/key"
head -c "${gib}G" /dev/urandom >"$work/mnt/file"
"$cairn" umount "$work/mnt"
bytes=$(du -sb "$work/store" | cut -f 1)

read_all() { find "$work/store" -type f -size +1M -exec dd if={} of=/dev/null bs=1M status=none \;; }
cold
disk=$(rate "$bytes" "$(seconds read_all)")
hash=$(cd "$root" && cargo run --release --quiet --package cairn-merkle --example hash_speed)
cold
/usr/bin/time -f '%M %e' -o "$work/time" "$cairn" --json audit "$work/store" >"$work/audit"
read -r kib took <"$work/time"
audited=$(grep -o '"bytes":[0-9]*' "$work/audit" | head -n 1 | cut -d : -f 2)
audit=$(rate "$audited" "$took")
limit=$((disk < hash ? disk : hash))
echo "disk  $disk MiB/s, files of the store read one after the other"
echo "hash  $hash MiB/s, BLAKE3 of blocks of 128 KiB on all processors"
echo "audit $audit MiB/s of $((audited >> 20)) MiB, $((100 * audit / limit)) % of the slower of the two; peak memory $((kib / 1024)) MiB"
