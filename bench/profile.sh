#!/usr/bin/env bash
# Where a workload's time goes, counted: what the daemon costs for each operation, what it asks of the device, which calls
# it makes, and which functions it is in.
#
#   bench/profile.sh fsync1 | fsync4 | fsync16 | random_write | read_cold | stat     one of them, as root
#
# CAIRN is the program (target/release/cairn); PROFILE_DIR is where the volume lies (/var/tmp: a disk). The program needs
# its symbols, which our release profile keeps. Wants fio, perf and strace; what is missing is said and left out.
set -euo pipefail
what=${1:-}
cairn=${CAIRN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/release/cairn}
[[ -x $cairn ]] || { echo "$cairn is missing: cargo build --release" >&2; exit 1; }
work=$(mktemp -d "${PROFILE_DIR:-/var/tmp}/cairn-profile.XXXXXX")
mnt=$work/mnt
export CAIRN_RUN_DIR=$work/run
trap '"$cairn" umount "$mnt" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir "$mnt"

up() {
    "$cairn" mount "$work/store" "$mnt" --key-file "$work/key"
    daemon=$(pgrep -f "mount $work/store" | head -n 1)
}
cold() {
    "$cairn" umount "$mnt"
    up
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# Each workload: prepare_X once, then run_X, which prints how many operations it did.
files=10000
fio_writes() { # THREADS ARGS...: overwrites 4 KiB at random
    local threads=$1
    shift
    fio --name=w --directory="$mnt" --rw=randwrite --bs=4k --numjobs="$threads" --size=$((256 / threads))M --group_reporting \
        --output-format=terse --terse-version=3 "$@" | awk -F ';' '{print int($47 / 4)}'
}
lay_out() { fio --name=w --directory="$mnt" --rw=write --bs=1M --numjobs="$1" --size=$((256 / $1))M --end_fsync=1 >/dev/null; }
prepare_fsync1() { lay_out 1; }
prepare_fsync4() { lay_out 4; }
prepare_fsync16() { lay_out 16; }
prepare_random_write() { lay_out 1; }
run_fsync1() { fio_writes 1 --fsync=1 --runtime=5 --time_based; }
run_fsync4() { fio_writes 4 --fsync=1 --runtime=5 --time_based; }
run_fsync16() { fio_writes 16 --fsync=1 --runtime=5 --time_based; }
run_random_write() { fio_writes 1 --end_fsync=1; }
create() {
    python3 - "$mnt" "$files" <<'PY'
import os, sys

for n in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/f{n}", "xb", buffering=0) as file:
        file.write(os.urandom(4096))
PY
}
prepare_read_cold() { create && cold; }
run_read_cold() { for n in $(seq 0 $((files - 1))); do echo "$mnt/f$n"; done | xargs cat >/dev/null && echo "$files"; }
prepare_stat() { create; }
run_stat() { for n in $(seq 0 $((files - 1))); do echo "$mnt/f$n"; done | xargs stat -c %b >/dev/null && echo "$files"; }
declare -F "run_$what" >/dev/null || { sed -n '2,9s/^# \?//p' "$0" >&2; exit 2; }

# As it was before the workload ran.
again() {
    case $what in
    read_cold) cold ;;
    stat) find "$mnt" -name 'f*' -delete && create ;;
    esac
}

cpu() { awk '{print $14 + $15}' "/proc/$daemon/stat"; }                                 # hundredths of a second
device() { awk '{reads += $4; read += $6; writes += $8; wrote += $10} END {print reads, read, writes, wrote}' \
    <(grep -E ' (vd|sd|nvme|xvd)[a-z0-9]+ ' /proc/diskstats | grep -vE ' (vd|sd|xvd)[a-z]+[0-9]+ |p[0-9]+ '); }

"$cairn" create "$work/store" --key-file "$work/key" >/dev/null
up
"prepare_$what"
read -r r0 rb0 w0 wb0 < <(device)
c0=$(cpu) t0=$(date +%s.%N)
count=$("run_$what")
t1=$(date +%s.%N) c1=$(cpu)
read -r r1 rb1 w1 wb1 < <(device)
echo "$what: $count operations"
awk -v n="$count" -v s="$(echo "$t1 - $t0" | bc)" -v c=$((c1 - c0)) -v r=$((r1 - r0)) -v rb=$((rb1 - rb0)) -v w=$((w1 - w0)) -v wb=$((wb1 - wb0)) 'BEGIN {
    printf "  %.0f operations a second, %.0f us each; daemon CPU %.0f us each\n", n / s, 1e6 * s / n, 1e4 * c / n
    printf "  device, everybody on it included: %.2f reads (%.0f bytes) and %.2f writes (%.0f bytes) each\n", r / n, 512 * rb / n, w / n, 512 * wb / n
}'
if command -v perf >/dev/null; then
    again
    perf record -q -e cpu-clock -F 1999 -g -p "$daemon" -o "$work/perf" >/dev/null 2>&1 &
    recorder=$!
    sleep 0.5
    "run_$what" >/dev/null
    kill -INT $recorder
    wait $recorder || true
    echo "  where the daemon is, % of its CPU time:"
    perf report -i "$work/perf" --no-children --sort sym -g none 2>/dev/null | awk '/^ +[0-9]/ && ++n <= 16 {print substr($0, 1, 110)}'
else
    echo "  no perf: functions are left out"
fi
if command -v strace >/dev/null; then
    again
    strace -c -f -q -p "$daemon" -o "$work/calls" &
    tracer=$!
    sleep 0.5
    traced=$("run_$what")
    kill -INT $tracer
    wait $tracer || true
    echo "  calls each, slowed down by strace:"
    awk -v n="$traced" '$4 ~ /^[0-9]+$/ && $4 / n >= 0.01 {printf "    %-16s %.2f\n", $NF, $4 / n}' "$work/calls" | grep -v total
else
    echo "  no strace: calls are left out"
fi
