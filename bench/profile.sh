#!/usr/bin/env bash
# Where a workload's time goes, counted: what the daemon costs for each operation, what it asks of the device, which calls
# it makes, and which functions it is in.
#
#   bench/profile.sh fsync1 | fsync4 | fsync16 | random_write | direct_write | read_cold | stat     one of them, as root
#
# CAIRN is the program (target/profiling/cairn); PROFILE_DIR is where the volume lies (/var/tmp: a disk). The program needs
# its symbols: .ci/build.sh --profile profiling -p cairn. Wants fio and python3; perf and strace too, and what they would
# show is left out, and said to be, where they are missing.
set -euo pipefail
what=${1:-}
cairn=${CAIRN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/profiling/cairn}
[[ -x $cairn ]] || { echo "$cairn is missing: .ci/build.sh --profile profiling -p cairn" >&2; exit 1; }
dir=$(mktemp -d "${PROFILE_DIR:-/var/tmp}/cairn-profile.XXXXXX")
mnt=$dir/mnt
export CAIRN_RUN_DIR=$dir/run
trap '"$cairn" umount "$mnt" >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
mkdir "$mnt"

up() {
    "$cairn" mount "$dir/store" "$mnt" --key-file "$dir/key"
    daemon=$(pgrep -f "mount $dir/store" | head -n 1)
}
cold() {
    "$cairn" umount "$mnt"
    up
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

files=10000
write() { # THREADS PATTERN BLOCK ARGS...: 256 MiB in all, a file for each thread; prints how many KiB
    local threads=$1 pattern=$2 block=$3
    shift 3
    fio --name=w --directory="$mnt" --rw="$pattern" --bs="$block" --numjobs="$threads" --size=$((256 / threads))M \
        --group_reporting --output-format=terse --terse-version=3 "$@" | cut -d ';' -f 47
}
create() {
    python3 - "$mnt" "$files" <<'PY'
import os, sys

for n in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/f{n}", "xb", buffering=0) as file:
        file.write(os.urandom(4096))
PY
}
each() { seq -f "$mnt/f%.0f" 0 $((files - 1)) | xargs "$@" >/dev/null; }

# Each workload: what is there before, how it is again as it was, and the work, which prints how many operations it did.
again() { :; }
case $what in
fsync1 | fsync4 | fsync16)
    prepare() { write "${what#fsync}" write 1M --end_fsync=1 >/dev/null; }
    work() { echo $(($(write "${what#fsync}" randwrite 4k --fsync=1 --runtime=5 --time_based) / 4)); }
    ;;
random_write)
    prepare() { write 1 write 1M --end_fsync=1 >/dev/null; }
    work() { echo $(($(write 1 randwrite 4k --end_fsync=1) / 4)); }
    ;;
direct_write)
    prepare() { write 1 write 1M --end_fsync=1 >/dev/null; }
    work() { echo $(($(write 1 randwrite 16k --direct=1 --end_fsync=1) / 16)); }
    ;;
read_cold)
    prepare() { create && cold; }
    again() { cold; }
    work() { each cat && echo "$files"; }
    ;;
stat)
    prepare() { create; }
    again() { find "$mnt" -name 'f*' -delete && create; }
    work() { each stat -c %b && echo "$files"; }
    ;;
*)
    sed -n '2,9s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac

cpu() { awk '{print $14 + $15}' "/proc/$daemon/stat"; }                                 # hundredths of a second
device() { awk '{reads += $4; read += $6; writes += $8; wrote += $10} END {print reads, read, writes, wrote}' \
    <(grep -E ' (vd|sd|nvme|xvd)[a-z0-9]+ ' /proc/diskstats | grep -vE ' (vd|sd|xvd)[a-z]+[0-9]+ |p[0-9]+ '); }

"$cairn" create "$dir/store" --key-file "$dir/key" >/dev/null
up
prepare
read -r r0 rb0 w0 wb0 < <(device)
c0=$(cpu) t0=$(date +%s.%N)
count=$(work)
t1=$(date +%s.%N) c1=$(cpu)
read -r r1 rb1 w1 wb1 < <(device)
echo "$what: $count operations"
awk -v n="$count" -v s="$(echo "$t1 - $t0" | bc)" -v c=$((c1 - c0)) -v r=$((r1 - r0)) -v rb=$((rb1 - rb0)) -v w=$((w1 - w0)) -v wb=$((wb1 - wb0)) 'BEGIN {
    printf "  %.0f operations a second, %.0f us each; daemon CPU %.0f us each\n", n / s, 1e6 * s / n, 1e4 * c / n
    printf "  device, its other users included: %.2f reads (%.0f bytes) and %.2f writes (%.0f bytes) each\n", r / n, 512 * rb / n, w / n, 512 * wb / n
}'
if command -v perf >/dev/null; then
    again
    # It gives up when a thread ends while it looks at all of them.
    for _ in 1 2 3 4 5; do
        perf record -q -e cpu-clock -F 1999 -g -p "$daemon" -o "$dir/perf" >/dev/null 2>&1 &
        recorder=$!
        sleep 0.5
        kill -0 $recorder 2>/dev/null && break
    done
    work >/dev/null
    kill -INT $recorder
    wait $recorder || true
    echo "  where the daemon is, % of its CPU time:"
    perf report -i "$dir/perf" --no-children --sort sym -g none 2>/dev/null | awk '/^ +[0-9]/ && ++n <= 16 {print substr($0, 1, 110)}'
else
    echo "  no perf: functions are left out"
fi
if command -v strace >/dev/null; then
    again
    strace -c -f -q -p "$daemon" -o "$dir/calls" &
    tracer=$!
    sleep 0.5
    traced=$(work)
    kill -INT $tracer
    wait $tracer || true
    echo "  calls each, slowed down by strace:"
    awk -v n="$traced" '$4 ~ /^[0-9]+$/ && $4 / n >= 0.01 {printf "    %-16s %.2f\n", $NF, $4 / n}' "$dir/calls" | grep -v total
else
    echo "  no strace: calls are left out"
fi
