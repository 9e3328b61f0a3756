#!/usr/bin/env bash
# Prints where anvil is, and installs it (with npm, into contracts/node_modules) if it is nowhere.
set -euo pipefail
contracts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../contracts" && pwd)

find_it() { compgen -G "$contracts/node_modules/@foundry-rs/anvil-linux-*/bin/anvil" | head -n 1; }

# Tests of other processes may install at the same time.
exec 9<"$contracts/package.json"
flock 9
if [[ -z $(find_it) ]]; then
    PATH=$("$contracts/../tests/node.sh")
    (cd "$contracts" && npm ci --ignore-scripts --no-audit --no-fund >&2)
fi
find_it
