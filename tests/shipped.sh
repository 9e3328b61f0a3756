#!/usr/bin/env bash
# The shipped program is stripped, and names no directory of the machine that built it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
python3 - "$cairn" "$root" "${CARGO_TARGET_DIR:-$root/target}" "${CARGO_HOME:-$HOME/.cargo}" "$HOME" "$(rustc --print sysroot)" <<'PY'
import struct, sys

program, *places = sys.argv[1:]
data = open(program, "rb").read()
wrong = []
# Above the root of a build in `/` or `/root` lies what any program may name; what is below it counts.
for place in sorted({place.rstrip("/") + "/" for place in places if len(place) > 1}):
    at = data.find(place.encode())
    if at >= 0:
        end = min(data.find(b"\0", at), at + 120)
        wrong.append(f"it names {data[at:end].decode(errors='replace')}")
for word in (b"/registry/src/", b"/rustup/toolchains/", b"/.cargo/"):
    if word in data:
        wrong.append(f"it holds {word.decode()}")

# The table of symbols is section type 2 (ELF-64, little-endian).
table, = struct.unpack_from("<Q", data, 40)
size, count = struct.unpack_from("<HH", data, 58)
kinds = [struct.unpack_from("<I", data, table + n * size + 4)[0] for n in range(count)]
if 2 in kinds:
    wrong.append("it is not stripped")
print("\n".join(wrong))
sys.exit(bool(wrong))
PY
