#!/usr/bin/env bash
# A million random operations on the engine and on the model, compared after each; 10,000 of them run in every `make test`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
eval "$(.ci/rocksdb.sh)"
CAIRN_MODEL_OPS=${LONG_OPS:-1000000} cargo test --release --locked -p cairn-tests --test model
