#!/usr/bin/env bash
# The tools that look at dependencies, built once and kept beside RocksDB. Prints the folder with their programs:
#
#   PATH=$(.ci/tools.sh):$PATH
set -euo pipefail
cache=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}
tools=$cache/tools
mkdir -p "$tools"

# tool NAME VERSION
tool() {
    [[ -x $tools/bin/$1 && $("$tools/bin/$1" --version 2>/dev/null | head -n 1) == *"$2"* ]] && return
    echo "== $1 $2, once: a few minutes" >&2
    # Not a part of what is shipped, so no time is spent to make it fast.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_TARGET_DIR=$tools/target cargo install --quiet --locked --root "$tools" \
        "$1@$2" >&2
    rm -rf "$tools/target"
}

tool cargo-deny 0.20.2
tool cargo-machete 0.9.2
echo "$tools/bin"
