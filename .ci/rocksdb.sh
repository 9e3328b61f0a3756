#!/usr/bin/env bash
# Builds librocksdb.a once and keeps it, so that a clean build of Cairn takes seconds instead of a
# quarter of an hour.
#
#   .ci/rocksdb.sh                    builds it; plain `cargo build` finds it from then on
#                                     (.cargo/config.toml)
#   eval "$(.ci/rocksdb.sh)"          the same for this shell, whatever CAIRN_CACHE says later
#
# The source is the one bundled with the librocksdb-sys crate that Cargo.lock names. Several of its
# files are compiled as one unit, and clang parses the headers that most of them share once for all:
# together that takes a third of the time. Files that Cairn runs never, or once while it opens a
# store, are not optimised, which takes a quarter off the rest. A unit whose files clash is halved
# until it compiles. Flags and defines follow the crate's build.rs, without its optional codecs.
# Progress goes to stderr; stdout carries nothing but the lines to eval. Needs a C++20 compiler
# (CXX, else clang++, else c++) and libclang (for the crate's bindgen, which still runs and reads
# the crate's own headers).
set -euo pipefail

# Fewer, larger units are faster, until a unit's failure or memory costs more.
unit_files=7
# What most files include; clang keeps it parsed, with the templates that it instantiates.
shared_headers=(db/db_impl/db_impl.h table/block_based/block_based_table_reader.h
    table/block_based/block_based_table_builder.h rocksdb/utilities/options_type.h
    rocksdb/utilities/object_registry.h rocksdb/convenience.h
    iomanip iostream sstream unordered_set)

# Options, tracing, transactions, backups, blobs, other formats of tables.
cold='^(options|trace_replay|utilities|db/blob|table/(plain|cuckoo)'
cold+='|monitoring/(histogram|in_mem|persist|perf|stat|thread))'

say() { echo "rocksdb: $*" >&2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
manifest=$(cargo metadata --format-version 1 --filter-platform "$host" --manifest-path "$root/Cargo.toml" |
    grep -o '"manifest_path":"[^"]*/librocksdb-sys-[^"/]*/Cargo.toml"' | cut -d '"' -f 4 || true)
[[ -n $manifest ]] || { say "cargo metadata names no librocksdb-sys"; exit 1; }
crate=$(dirname "$manifest")
version=${crate##*/librocksdb-sys-}

if [[ -z ${CXX:-} ]]; then
    CXX=$(command -v clang++ || command -v c++) || { say "no C++ compiler: install clang"; exit 1; }
fi
arch=$(uname -m)
flags=(-std=c++20 -g0 -fPIC -ffunction-sections -fdata-sections -w -include cstdint
    -DNDEBUG -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION
    -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SUPPORT_THREAD_LOCAL
    -DROCKSDB_NO_DYNAMIC_EXTENSION -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
    -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
# Without these, checksums (CRC32C) are computed in software.
case $arch in
    x86_64) flags+=(-msse4.2 -mpclmul) ;;
    aarch64) flags+=(-march=armv8-a+crc+crypto) ;;
esac
export CXX crate
export flags_line="${flags[*]}"

cache=${CAIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn}
out=$cache/rocksdb-$version
recipe="$("$CXX" --version | head -n 1) $arch $flags_line, no paths, cold $cold"
recipe+=", $(cksum <"$root/.ci/rocksdb-unused")"

# The link is the path that cargo's configuration names. With a cache of its own (CI), the cache's
# path is the same for each clone, and nothing is built anew.
finish() {
    ln -sfn "$out" "$root/.cargo/rocksdb"
    local used=$root/.cargo/rocksdb
    [[ -z ${CAIRN_CACHE:-} ]] || used=$out
    printf 'export ROCKSDB_LIB_DIR=%q\nexport ROCKSDB_STATIC=1\n' "$used"
    exit 0
}
built() { [[ -f $out/librocksdb.a && $(cat "$out/recipe" 2>/dev/null) == "$recipe" ]]; }

mkdir -p "$cache"
built && finish
# One builder at a time; the next one finds the library in place.
exec 9>"$cache/rocksdb.lock"
flock 9
built && finish

work=$(mktemp -d "$cache/rocksdb-build.XXXXXX")
trap 'rm -rf "$work"' EXIT
export work

# cxx hot|cold ARGUMENT...
cxx() {
    local level=-O2
    [[ $1 == cold ]] && level=-O0
    shift
    # Lines of RocksDB's log name source files; where the crate lies is this machine's business.
    # shellcheck disable=SC2086 # the flags hold no spaces of their own
    "$CXX" $flags_line $level -I"$crate/rocksdb/include" -I"$crate/rocksdb" -I"$crate" \
        "-ffile-prefix-map=$crate/=" "$@"
}
export -f cxx

# parse_shared hot|cold. Without it, each unit parses the headers itself, as it does with another
# compiler than clang.
parse_shared() {
    cxx "$1" -x c++-header -fpch-instantiate-templates "$work/shared.h" -o "$work/$1.pch" \
        2>"$work/$1.err" || rm -f "$work/$1.pch"
}

# compile NAME FILE...: one unit, or its halves if its files clash. NAME begins with hot or cold.
compile() {
    local name=$1 unit=$work/$1.cc kind=hot
    shift
    [[ $name == cold* ]] && kind=cold
    printf '#include "%s"\n' "$@" >"$unit"
    local parsed=()
    [[ -f $work/$kind.pch ]] && parsed=(-include-pch "$work/$kind.pch")
    if cxx "$kind" "${parsed[@]}" -c "$unit" -o "$work/$name.o" 2>"$work/$name.err"; then
        echo "rocksdb: $name of $units ($# files), $(($(date +%s) - began)) s" >&2
    elif (($# == 1)); then
        echo "rocksdb: $1 does not compile" >&2
        cat "$work/$name.err" >&2
        return 255 # makes xargs stop
    else
        local half=$(($# / 2))
        rm -f "$work/$name.o"
        compile "${name}a" "${@:1:half}" && compile "${name}b" "${@:half+1}"
    fi
}
export -f compile

began=$(date +%s)
export began
say "building $version into $out: two to five minutes of two processors, once"
printf '#include <%s>\n' "${shared_headers[@]}" >"$work/shared.h"
parse_shared hot &
parse_shared cold
wait
# A file too many costs seconds; one that is missed here fails to link.
grep -vxF -e util/build_version.cc -f "$root/.ci/rocksdb-unused" \
    "$crate/rocksdb_lib_sources.txt" >"$work/sources"
{
    grep -vE "$cold" "$work/sources" | sed "s|^|$crate/rocksdb/|"
    echo "$crate/build_version.cc"
} >"$work/hot"
grep -E "$cold" "$work/sources" | sed "s|^|$crate/rocksdb/|" >"$work/cold"
for kind in hot cold; do split -l "$unit_files" -d -a 3 "$work/$kind" "$work/list.$kind"; done
units=$(find "$work" -name 'list.*' | wc -l)
export units
compile_list() {
    local files
    mapfile -t files <"$1"
    compile "${1##*.}" "${files[@]}"
}
export -f compile_list
printf '%s\0' "$work"/list.hot* "$work"/list.cold* |
    xargs -0 -P "$(nproc)" -n 1 bash -c 'compile_list "$1"' compile_list 9>&-

mkdir "$work/done"
# One object, so that it is linked first: of a template that both kinds have, the linker takes the
# optimised one.
"$CXX" -r -nostdlib -o "$work/optimised.o" "$work"/hot*.o
ar crs "$work/done/librocksdb.a" "$work/optimised.o" "$work"/cold*.o
echo "$recipe" >"$work/done/recipe"
# A rename is all or nothing; a library of another recipe steps aside first.
rm -rf "$out"
mv -T "$work/done" "$out"
say "done in $SECONDS s"
finish
