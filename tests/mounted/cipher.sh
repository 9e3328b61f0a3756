#!/usr/bin/env bash
# Volumes of both ciphers: named when they are created and ever after, whole after a kill, read in parts, carried through an
# export, an import and a rekey, and open where the processor's instructions for AES are not used. As root.
# Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-cipher.XXXXXX")
mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run
mkdir "$mnt"

daemon() { cat "$work"/run/*.json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2 | head -n 1; }
gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; return 1; }
cleanup() {
    local pid
    pid=$(daemon)
    [[ -n $pid ]] && kill -9 "$pid" 2>/dev/null
    umount -l "$mnt" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

code 2 "a cipher that is none is refused" "$cairn" create "$work/none" --key-file "$key" --cipher aes-128-gcm
ok "it names those there are" grep -q "chacha20-poly1305 or aes-256-gcm" "$work/said"
ok "and nothing is left behind" bash -c "! ls '$work/none' '$key' 2>/dev/null"
ok "create without a choice" bash -c "'$cairn' --json create '$work/default' --key-file '$key' >'$work/created'"
ok "it takes the default" grep -q '"cipher":"chacha20-poly1305"' "$work/created"
for cipher in chacha20-poly1305 aes-256-gcm; do
    ok "it tells how fast $cipher is" grep -qE "\"$cipher\":[1-9][0-9]{5}" "$work/created"
done
rm -rf "$work/default"

head -c 3000000 /dev/urandom >"$work/large"
seq 20000 >"$work/logged"

for cipher in chacha20-poly1305 aes-256-gcm; do
    store=$work/$cipher
    ok "$cipher: create" "$cairn" create "$store" --key-file "$key" --cipher "$cipher"
    code 0 "$cipher: status of the store" "$cairn" status "$store"
    ok "$cipher: it is named" grep -q "sealed with $cipher" "$work/said"
    ok "$cipher: mount" "$cairn" mount "$store" "$mnt" --key-file "$key"
    cp "$work/large" "$mnt/large"
    ok "$cipher: snapshot" "$cairn" snapshot create "$mnt" first
    ok "$cipher: write and fsync" dd if="$work/logged" of="$mnt/logged" conv=fsync status=none
    ok "$cipher: status of the mount" bash -c "'$cairn' --json status '$mnt' | grep -q '\"cipher\":\"$cipher\"'"
    pid=$(daemon)
    kill -9 "$pid" && gone "$pid"
    ok "$cipher: mount after the kill" "$cairn" mount "$store" "$mnt" --key-file "$key"
    ok "$cipher: what was fsynced is there" cmp "$work/logged" "$mnt/logged"
    ok "$cipher: umount" "$cairn" umount "$mnt"
    # Cold and in the middle of a record: a part of it is opened alone.
    ok "$cipher: mount to read" "$cairn" mount "$store" "$mnt" --key-file "$key" --read-only
    for skip in 0 11 400 731; do
        ok "$cipher: a part of a record at $skip pages" bash -c "cmp <(dd if='$mnt/large' bs=4096 skip=$skip count=1 iflag=direct status=none) \
            <(dd if='$work/large' bs=4096 skip=$skip count=1 status=none)"
    done
    ok "$cipher: the whole file" cmp "$work/large" "$mnt/large"
    ok "$cipher: the snapshot's" cmp "$work/large" "$mnt/.snapshots/first/large"
    ok "$cipher: umount again" "$cairn" umount "$mnt"
    code 0 "$cipher: check" "$cairn" check "$store" --key-file "$key"
    ok "$cipher: check names it" grep -q "whole: .*sealed with $cipher" "$work/said"
    code 0 "$cipher: audit" "$cairn" audit "$store"
    ok "$cipher: audit names it" grep -q "cipher  $cipher" "$work/said"
    ok "$cipher: rekey" "$cairn" rekey "$store" --key-file "$key" --new-key-file "$work/$cipher.key"
    ok "$cipher: export" "$cairn" export "$store" --car "$work/$cipher.car"
    ok "$cipher: import" "$cairn" import "$work/$cipher.car" "$work/$cipher.imported"
    ok "$cipher: the import has it" bash -c "'$cairn' status '$work/$cipher.imported' | grep -q 'sealed with $cipher'"
    ok "$cipher: and the new key opens it" bash -c "'$cairn' cat '$work/$cipher.imported' /large --key-file '$work/$cipher.key' | cmp - '$work/large'"
    # The variable has AWS-LC do without instructions for AES and GHASH, as a processor without them.
    ok "$cipher: without instructions for AES" bash -c "OPENSSL_ia32cap='~0x200000200000000' '$cairn' cat '$store' /large --key-file '$work/$cipher.key' | cmp - '$work/large'"
done

finish
