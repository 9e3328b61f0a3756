#!/usr/bin/env bash
# Everything the project tests, in order, with totals at the end:  N passed, N failed
#
#   tests/run.sh            all of it
#   tests/run.sh mounted    only the tests on a real mount
#   tests/run.sh long       those that take hours: tests/long
#
# tests/fuzz.sh is a command of its own: it builds everything once more, counted. Its seeds run here, as a unit test.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
export CAIRN=${CAIRN:-${CARGO_TARGET_DIR:-$root/target}/release/cairn}
PATH=$(tests/node.sh) || exit 1
export PATH
passed=0 failed=0 failures=()

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COMMAND...: one check, counted as one.
step() {
    local name=$1
    shift
    echo "== $name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) failures+=("$name")
    fi
}

# counted NAME COMMAND...: a command that prints totals of its own, in cargo's words or in ours.
counted() {
    local name=$1 rc sums p f
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    rc=${PIPESTATUS[0]}
    sums=$(sed -nE 's/.*[^0-9]?\b([0-9]+) passed[;,] ([0-9]+) failed.*/\1 \2/p' "$log" |
        awk '{p += $1; f += $2} END {print p + 0, f + 0}')
    read -r p f <<<"$sums"
    # A command that fails without counting a failure (it did not build, it died) is one.
    ((rc != 0 && f == 0)) && f=1
    ((f > 0)) && failures+=("$name")
    passed=$((passed + p)) failed=$((failed + f))
}

what=${1:-all}
if [[ $what == all ]]; then
    step "format" cargo fmt --all --check
    # In the profile of the tests, so that what both need is built once.
    step "lints" cargo clippy --workspace --all-targets --all-features --profile checked --locked -- -D warnings
    step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features \
        --document-private-items --profile checked --locked
    step "dependencies" tests/dependencies.sh
    step "the shipped program" tests/shipped.sh
    counted "contracts" contracts/test.sh
    counted "unit and model tests" cargo test --workspace --all-features --profile checked --locked --no-fail-fast
    counted "commands of the README" tests/readme.sh
fi

if [[ ! -c /dev/fuse ]]; then
    echo "FAILED: there is no /dev/fuse, so nothing can be mounted: load the kernel module fuse, or give the container the device"
    failed=$((failed + 1)) failures+=("mounted tests: no /dev/fuse")
elif [[ ! -x $CAIRN ]]; then
    echo "FAILED: $CAIRN is missing: cargo build --release"
    failed=$((failed + 1)) failures+=("mounted tests: no binary")
else
    folder=mounted
    [[ $what == long ]] && folder=long
    scripts=(tests/"$folder"/*.sh)
    [[ $what == all ]] && scripts+=(tests/ipld/test.sh)
    for script in "${scripts[@]}"; do
        # What the others source.
        [[ $script == */volume.sh ]] && continue
        counted "$script" bash "$script"
    done
fi

echo
((failed == 0)) || printf 'failed: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed"
((failed == 0))
