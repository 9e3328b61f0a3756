#!/usr/bin/env bash
# Licences, sources and banned crates (deny.toml), and dependencies that nothing uses. Advisories need the network:
# `cargo deny check advisories`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$(.ci/tools.sh):$PATH
cargo deny --all-features --locked check --hide-inclusion-graph --allow duplicate bans licenses sources
cargo machete
