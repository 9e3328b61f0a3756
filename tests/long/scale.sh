#!/usr/bin/env bash
# Cost does not grow with the volume: a million files in a tree and 200,000 in one directory, against few, measured by
# cairn-bench (workloads `scale` and `flat`) and held against what issue and semantics ask for. An hour on a slow disk.
source "$(dirname "${BASH_SOURCE[0]}")/volume.sh"
bench=${CAIRN_BENCH:-$(dirname "$cairn")/cairn-bench}
[[ -x $bench ]] || { echo "FAILED: $bench is missing: cargo build --release"; exit 1; }

holds "cairn-bench ends" "$bench" run --systems cairn --only scale,flat --rounds 1 --depth "${LONG_DEPTH:-full}" \
    --cairn "$cairn" --dir "$work/bench" --out "$work/run-scale"

# figure CASE ROW: its value; memory: the daemon's peak in MiB over both.
figure() {
    python3 - "$work/run-scale/cells/$1.cairn.1.json" "$2" <<'EOF'
import json, sys

cell = json.load(open(sys.argv[1]))
print("%.3f" % next(figure["value"] for figure in cell["figures"] if figure["row"] == sys.argv[2]))
EOF
}
memory() {
    python3 - "$work"/run-scale/cells/*.json <<'EOF'
import json, sys

cells = [json.load(open(path)) for path in sys.argv[1:]]
peaks = [figure["cost"].get("daemon_peak_bytes") or 0 for cell in cells for figure in cell["figures"]]
print(max(peaks) >> 20)
EOF
}

for what in create read delete fsync; do
    atleast "rate in a large tree over that in a small one: $what" "$(figure scale "scale.$what")" 0.7
done
for what in create read list delete; do
    atleast "rate in a large directory over that in a small one: $what" "$(figure flat "flat.$what")" 0.7
done
atmost "mount of the large volume" "$(figure scale scale.mount_clean)" 1 s
atmost "mount of the large volume after kill -9" "$(figure scale scale.mount_crashed)" 5 s
atmost "the daemon's memory at its peak" "$(memory)" 768 MiB
finish
