#!/usr/bin/env bash
# Coverage-guided fuzzing of every decoder of outside bytes. Ends with `N passed, N failed`.
#
#   tests/fuzz.sh [SECONDS]          all together in so many seconds of each processor (120)
#   tests/fuzz.sh --long [MINUTES]   each of them for so long (30)
#   tests/fuzz.sh --only NAME [SECONDS]
#
# Inputs that reach new code are kept in a cache, $CAIRN_CACHE/fuzz, and are where the next run begins. An input that
# breaks a promise is kept in tests/fuzz/seeds/NAME: commit it with what mends the decoder, and `cargo test` holds it.
# Stable Rust will do: the compiler's own passes count edges, and libFuzzer comes from crates.io as source.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD
cache=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}/fuzz
mkdir -p "$cache"

only='' seconds=120
case ${1:-} in
--long) seconds=$((${2:-30} * 60)) each=yes ;;
--only) only=$2 seconds=${3:-120} each=yes ;;
*) seconds=${1:-120} each='' ;;
esac

host=$(rustc -vV | sed -n 's/^host: //p')
counters='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1'
eval "$(.ci/rocksdb.sh)" || exit 1
build() {
    # A target of its own, so that build scripts, which run here, are not counted; a folder of its own, since nothing is
    # shared with other builds.
    RUSTFLAGS="--cfg cairn_fuzz ${counters//$'\n'/ }" CARGO_TARGET_DIR=$cache/target \
        cargo build --quiet --locked --profile fuzz --target "$host" "$@"
}
echo "building the fuzzers"
build --package cairn-fuzz --package cairn || { echo "0 passed, 1 failed"; exit 1; }
declare -A program
for built in cairn-fuzz cairn; do
    while read -r name; do program[$name]=$cache/target/$host/fuzz/$built; done < <(
        CAIRN_FUZZ_SEEDS=$cache/begin "$cache/target/$host/fuzz/$built"
    )
done
names=("${!program[@]}")
[[ -n $only ]] && names=("$only")

processors=$(nproc)
# Rounded up: each decoder has a second at least.
share=$(((seconds * processors + ${#names[@]} - 1) / ${#names[@]}))
[[ -n $each ]] && share=$seconds

# fuzz NAME: one decoder, for its share.
fuzz() {
    local name=$1 program=$2 found=$root/tests/fuzz/seeds/$1 corpus=$cache/corpus/$1 log=$cache/log/$1 old
    mkdir -p "$corpus" "$cache/log" "$cache/new/$name"
    old=("$cache/begin/$name")
    [[ -d $found ]] && old+=("$found")
    # libFuzzer's own limit of memory counts the process; what one input takes is watched within it.
    if CAIRN_FUZZ=$name "$program" -max_total_time="$share" -timeout=10 -rss_limit_mb=2048 \
        -max_len=8192 -reload=0 -artifact_prefix="$cache/new/$name/" "$corpus" "${old[@]}" >"$log" 2>&1; then
        echo "$name: $(grep -oE '^#[0-9]+' "$log" | tail -n 1 | tr -d '#') inputs, $(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' "$log" | tail -n 1) edges"
        return 0
    fi
    echo "FAIL $name: see $log"
    grep -E "panicked|^==|assertion|left:|right:|took " -A 3 "$log" | head -n 20
    mkdir -p "$found" && cp "$cache/new/$name"/* "$found/" 2>/dev/null
    return 1
}
export -f fuzz
export root cache host share
echo "fuzzing ${#names[@]} decoders, $share s each"
for name in "${names[@]}"; do printf '%s\0%s\0' "$name" "${program[$name]}"; done |
    xargs -0 -P "$processors" -n 2 bash -c 'fuzz "$@" || echo "$1" >>"$cache/failed.'$$'"' fuzz
failed=0
[[ -e $cache/failed.$$ ]] && failed=$(wc -l <"$cache/failed.$$") && rm "$cache/failed.$$"
echo "$((${#names[@]} - failed)) passed, $failed failed"
((failed == 0))
