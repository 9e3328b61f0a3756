#!/usr/bin/env bash
# Everything the contracts are tested with. Installs what it needs: compiler and forge from npm, into this folder.
#
#   contracts/test.sh            build, ABI, format, unit, fuzz and invariant tests, gas, line coverage
#   contracts/test.sh --deep     also slither, halmos (from PyPI, into a cache) and mutants
#
# Ends with totals:  N passed, N failed
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

cache=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}
PATH=$(../tests/node.sh) || exit 1
export PATH=$PWD/tools:$PATH FOUNDRY_DISABLE_NIGHTLY_WARNING=1 NO_COLOR=1
coverage_min=95
passed=0 failed=0 failures=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COMMAND...: one check, counted as one; what it prints is shown if it fails.
step() {
    local name=$1
    shift
    if "$@" >"$log" 2>&1; then
        echo "ok: $name"
        passed=$((passed + 1))
    else
        tail -n 60 "$log"
        echo "FAILED: $name"
        failed=$((failed + 1)) failures+=("$name")
    fi
}

# tests NAME FORGE-ARGUMENTS...: counts forge's own tests.
tests() {
    local name=$1 rc p f
    shift
    forge test "$@" >"$log" 2>&1
    rc=$?
    read -r p f < <(sed -nE 's/.* ([0-9]+) tests? passed, ([0-9]+) failed.*/\1 \2/p' "$log" | tail -n 1)
    p=${p:-0} f=${f:-0}
    ((rc != 0 && f == 0)) && f=1
    ((f > 0)) && { grep -vE '^\[PASS\]' "$log" | tail -n 60; failures+=("$name"); }
    echo "$name: $p ok, $f not"
    passed=$((passed + p)) failed=$((failed + f))
}

# The programs lie in the packages for each platform; the packages' scripts, which would copy them, need not run.
install() {
    [[ package-lock.json -ot node_modules/.package-lock.json ]] && forge --version && return
    # Under the lock that the tests of chain/ take, which need anvil from the same folder.
    flock package.json npm ci --ignore-scripts --no-audit --no-fund && forge --version
}

# coverage: line coverage of src, without tests and without the contracts for trying out.
coverage() {
    FOUNDRY_PROFILE=quick FOUNDRY_FUZZ_RUNS=64 forge coverage --no-match-contract 'Gas|Vectors|Invariants' --no-match-coverage '(^|/)test/' \
        --report lcov --report-file out/lcov.info || return 1
    awk -F: -v min=$coverage_min '
        /^LF:/ { found += $2 } /^LH:/ { hit += $2 }
        END {
            share = found ? 100 * hit / found : 0
            printf "%d of %d lines, %.1f %%\n", hit, found, share
            exit share < min
        }' out/lcov.info
}

python_tools() {
    [[ -x $cache/contracts-venv/bin/halmos && -x $cache/contracts-venv/bin/slither ]] && return
    python3 -m venv "$cache/contracts-venv" &&
        "$cache/contracts-venv/bin/pip" install --quiet slither-analyzer==0.11.6 halmos==0.3.3
}

# slither's own build empties out/, so it works on a copy.
run_slither() {
    local copy rc
    copy=$(mktemp -d)
    cp -r src tools foundry.toml package.json "$copy" && ln -s "$PWD/node_modules" "$copy/node_modules"
    (cd "$copy" && FOUNDRY_PROFILE=quick "$cache/contracts-venv/bin/slither" . --filter-paths node_modules --fail-medium \
        --exclude-informational --exclude-low --exclude-optimization)
    rc=$?
    rm -rf "$copy"
    return $rc
}

run_halmos() {
    FOUNDRY_PROFILE=symbolic forge build --ast --force &&
        FOUNDRY_PROFILE=symbolic "$cache/contracts-venv/bin/halmos" --contract SymbolicTest --forge-build-out out/symbolic \
            --solver-timeout-assertion 0
}

step "install" install
((failed == 0)) || { echo "$passed passed, $failed failed"; exit 1; }
step "format" forge fmt --check
step "build, within the size that a contract may have" forge build --sizes src
step "the committed ABI and code are what is built" tools/abi --check
tests "unit, fuzz and invariant tests" --no-match-contract Gas
FORGE_SNAPSHOT_CHECK=true tests "gas, against the committed snapshot" --match-contract Gas --isolate
step "line coverage of at least $coverage_min %" coverage
tail -n 1 "$log"

if [[ ${1:-} == --deep ]]; then
    step "tools from PyPI" python_tools
    step "slither: nothing medium or above" run_slither
    step "halmos: monotonicity and solvency" run_halmos
    step "mutants: each removed defence fails a test" tools/mutants
fi

echo
((failed == 0)) || printf 'failed: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed"
((failed == 0))
