#!/usr/bin/env bash
# Builds what is shipped:  .ci/build.sh [CARGO-BUILD-ARGUMENT...]     -p cairn for the command alone
#
# Says what it does and how long it took. What it builds names no directory of this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "== sources of the libraries"
cargo fetch --locked --target "$(rustc -vV | sed -n 's/^host: //p')"
echo "== RocksDB"
rocksdb=$(.ci/rocksdb.sh)
eval "$rocksdb"

# Panics name the file they come from. Of the workspace that is a relative path; of a library it becomes NAME-VERSION/...,
# of code that a build script made, target/..., of the standard library, rust/....
home=${CARGO_HOME:-$HOME/.cargo}
remap=("--remap-path-prefix=$home=cargo" "--remap-path-prefix=$PWD=.")
remap+=("--remap-path-prefix=$(realpath -m "${CARGO_TARGET_DIR:-target}")=target" "--remap-path-prefix=$(rustc --print sysroot)=rust")
for sources in "$home"/registry/src/*; do remap+=("--remap-path-prefix=$sources/="); done

echo "== cairn"
if [[ -n ${RUSTFLAGS:-} ]]; then
    # It takes the place of every flag that cargo's configuration holds.
    RUSTFLAGS="$RUSTFLAGS ${remap[*]}" cargo build --locked "$@"
else
    flags=$(printf '"%s",' "${remap[@]}")
    cargo build --locked --config "target.'cfg(all())'.rustflags=[$flags]" "$@"
fi
echo "== built in $((SECONDS / 60)) min $((SECONDS % 60)) s"
