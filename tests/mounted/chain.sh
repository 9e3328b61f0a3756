#!/usr/bin/env bash
# A mounted volume on a chain: freshness, fencing, challenges, faults, payment and rotation from end to end, and what
# the publisher sees of it. Needs npm, which installs anvil. Ends with `N passed, N failed`.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cairn=${CAIRN:-$root/target/release/cairn}
work=$(mktemp -d)
store=$work/store mnt=$work/mnt key=$work/key
export CAIRN_RUN_DIR=$work/run CAIRN_CHAIN=$work/chain.toml
mkdir "$mnt" "$work/twin-mnt"
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"

cleanup() {
    umount -l "$mnt" "$work/twin-mnt" 2>/dev/null
    local record pid
    for record in "$work"/run/*.json; do
        pid=$(grep -o '"pid":[0-9]*' "$record" 2>/dev/null | grep -o '[0-9]*')
        [[ -n $pid ]] && kill -9 "$pid" 2>/dev/null
    done
    [[ -n ${anvil_pid:-} ]] && kill "$anvil_pid" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

# --- the chain -------------------------------------------------------------------------------------------------

anvil=$("$root/tests/anvil.sh") || { echo "FAIL there is no anvil"; echo "0 passed, 1 failed"; exit 1; }
"$anvil" --port 0 --slots-in-an-epoch 1 >"$work/anvil.log" 2>&1 &
anvil_pid=$!
url=$(timeout 30 tail -n +1 -f --pid=$anvil_pid "$work/anvil.log" | sed -n '/^Listening on /{s//http:\/\//p;q}')
[[ -n $url ]] || { echo "FAIL anvil does not start"; echo "0 passed, 1 failed"; exit 1; }

# rpc METHOD PARAMS: one call; prints its result.
rpc() {
    python3 - "$url" "$1" "${2:-[]}" <<'PY'
import json, sys, urllib.request
url, method, params = sys.argv[1:]
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": json.loads(params)}).encode()
answer = json.load(urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})))
if "error" in answer: sys.exit(json.dumps(answer["error"]))
print(json.dumps(answer["result"]).strip('"'))
PY
}
mine() { rpc anvil_mine "[\"$(printf '0x%x' "$1")\"]" >/dev/null; }
pass() { rpc evm_increaseTime "[$1]" >/dev/null && mine 1; }
# mining COMMAND...: makes blocks while it runs.
mining() {
    local miner got
    while :; do mine 1; done &
    miner=$!
    "$@"
    got=$?
    kill $miner
    wait $miner 2>/dev/null
    return $got
}
# sent ADDRESS: how many transactions of the account are in blocks.
sent() { printf '%d' "$(rpc eth_getTransactionCount "[\"$1\", \"latest\"]")"; }
more_than() { (($("${@:2}") > $1)); }

# --- what the parties do ---------------------------------------------------------------------------------------

chain() { "$cairn" chain "$@"; }
by() { chain "$2" --key-file "$work/$1.key" "${@:3}"; }
account() {
    local address
    address=$(chain key "$work/$1.key")
    rpc anvil_setBalance "[\"$address\", \"0x3635c9adc5dea00000\"]" >/dev/null
    echo "$address"
}
# An hour: what is published is asked for, or is the last.
up() {
    "$cairn" mount "$store" "$mnt" --key-file "$key" --anchor "eth:$CAIRN_CHAIN" --publish-interval 60m \
        --challenge-interval 200ms "$@"
}
down() { "$cairn" umount "$mnt"; }
publish() { "$cairn" sync --anchored --timeout 2m "$mnt"; }
# json FIELD COMMAND...: one field of the first line that the command prints; `a.b.0` goes down.
json() {
    "${@:2}" 2>/dev/null | python3 -c "import json,sys
r=json.loads(sys.stdin.readline())
for k in '$1'.split('.'): r = r[int(k)] if isinstance(r, list) else r.get(k)
print(r)"
}
status() { "$cairn" --json chain status; }
epoch() { json chain.epoch status; }
verdict() { json verdict status; }
is() { [[ $("$1") == "$2" ]]; }

publisher=$(account publisher) provider=$(account provider) gas=$(account gas)
account deployer >/dev/null
chain key "$work/signer.key" >/dev/null
ok "deploy" chain deploy --rpc "$url" --key-file "$work/deployer.key" --write "$CAIRN_CHAIN" --test-token \
    --publisher "$publisher" --provider "$provider" --pod "0x$(printf '%064d' 7)" --signer signer.key --gas gas.key \
    --confirmations 0
ok "offer" by provider offer --terms "$work/terms.toml"
ok "open" by publisher open
ok "create" "$cairn" create "$store" --key-file "$key" --record-size 16K

# --- a publisher who does not pay ------------------------------------------------------------------------------

ok "mount" up
echo unpaid >"$mnt/unpaid"
ok "publish" publish
ok "anyone starts the grace period of who has not paid" by provider grace start
code 20 "the publisher is warned" status
ok "of that" grep -q "unpaid" "$work/said"
ok "data stays, and can be asked for" by publisher challenge --retrieval
code 18 "which is a challenge" status
ok "umount" down
same "it is read without the mount" unpaid "$("$cairn" cat "$store" /unpaid --key-file "$key")"
ok "the publisher's receipt closes it" by publisher acknowledge
ok "a deposit" by publisher fund --amount 1000
ok "cancels the grace period" by publisher grace cancel
same "all is well" fresh "$(verdict)"

# --- publish, restart, publish ---------------------------------------------------------------------------------

ok "a new volume mounts with its chain" up
head -c 8M /dev/urandom >"$mnt/large"
echo one >"$mnt/file"
ok "publish" publish
first=$(epoch)
ok "the version is on chain" test "$first" -gt 0
ok "umount" down
ok "restart" up
echo two >"$mnt/file"
ok "publish again" publish
ok "the counter went up" test "$(epoch)" -gt "$first"
same "chain and volume agree" fresh "$(json verdict "$cairn" --json chain status "$mnt")"
ok "umount publishes the last" down

# --- what a provider could put back ----------------------------------------------------------------------------

cp -a "$store" "$work/exact"
ok "verify without the key" "$cairn" verify "$store"
ok "verify with the key" "$cairn" verify "$store" --key-file "$key"
ok "mount" up
for n in 1 2 3; do
    echo "$n" >"$mnt/file-$n"
    ok "publish $n" publish
done
ok "umount" down
mv "$store" "$work/newest"
cp -a "$work/exact" "$store"
code 10 "an older copy of the store is refused as stale" up
ok "with the number of epochs" grep -qE "STALE by [0-9]+ epochs" "$work/said"
code 10 "verify says stale" "$cairn" verify "$store"
ok "with both epochs" grep -qE "it holds epoch [0-9]+, and epoch [0-9]+ was published" "$work/said"
code 10 "with the key too" "$cairn" verify "$store" --key-file "$key"
rm -rf "$store"
cp -a "$work/newest" "$store"
ok "the published version exactly, it mounts" up
same "with what was written" 3 "$(cat "$mnt/file-3")"
ok "umount" down

# --- what is altered, what is missing --------------------------------------------------------------------------

published() { json chain.root status; }
ok "export what is published" "$cairn" export "$store" --car "$work/whole.car" --root "$(published)"
ok "verify a CAR" "$cairn" verify "$work/whole.car"
ok "verify a CAR with the key" "$cairn" verify "$work/whole.car" --key-file "$key"
cp "$work/whole.car" "$work/altered.car"
printf 'xyz' | dd of="$work/altered.car" bs=1 seek=4000000 conv=notrunc status=none
code 4 "an altered byte" "$cairn" verify "$work/altered.car"
ok "names the block" grep -qE "altered: block b[a-z2-7]+ is not what was written" "$work/said"
code 4 "and with the key" "$cairn" verify "$work/altered.car" --key-file "$key"
ok "the path" grep -q "/large" "$work/said"
ok "mount" up
echo more >"$mnt/more"
ok "publish" publish
ok "umount" down
ok "export what is new" "$cairn" export "$store" --car "$work/new.car" --root "$(published)" --since "$work/whole.car"
code 15 "a block that is missing" "$cairn" verify "$work/new.car"
ok "is named" grep -qE "incomplete: block b[a-z2-7]+ is missing" "$work/said"
code 15 "and with the key" "$cairn" verify "$work/new.car" --key-file "$key"
ok "with its base it is whole" "$cairn" verify "$work/new.car" --base "$work/whole.car"
code 10 "the older CAR alone is stale" "$cairn" verify "$work/whole.car"
code 3 "a key that does not open" "$cairn" verify "$store" --key-file "$work/gas.key"

# --- two instances from one copied state ------------------------------------------------------------------------

rm -rf "$work/twin" && cp -a "$store" "$work/twin"
ok "the first instance" up
ok "the second, from a copy" "$cairn" mount "$work/twin" "$work/twin-mnt" --key-file "$key" --anchor "eth:$CAIRN_CHAIN" --publish-interval 60m
echo first >"$mnt/first"
code 13 "the first is fenced" publish
code 1 "and turns read-only" touch "$mnt/more"
echo second >"$work/twin-mnt/second"
ok "the second goes on" "$cairn" sync --anchored "$work/twin-mnt"
code 13 "unmounting the first says so" down
ok "umount the second" "$cairn" umount "$work/twin-mnt"
rm -rf "$store" && mv "$work/twin" "$store"

# --- a chain that is reorganised, or becomes dear ----------------------------------------------------------------

# set KEY VALUE: one line of the configuration.
set_line() { sed -i "s|^$1 = .*|$1 = $2|" "$CAIRN_CHAIN" && grep -qx "$1 = $2" "$CAIRN_CHAIN"; }
ok "blocks are final three blocks deep now" set_line confirmations 3
mine 4
ok "fees are raised after a second" set_line bump_after_secs 1
ok "mount" mining up
before=$(sent "$gas")
echo reorganised >"$mnt/file"
publish >"$work/publishing" 2>&1 &
publishing=$!
until_ok "a publication is in a block" more_than "$before" sent "$gas"
newest() { rpc eth_getBlockByNumber '["latest", false]' | grep -o '"hash": "[^"]*' | head -n 1; }
block=$(newest)
ok "the block goes" rpc anvil_reorg "[1, []]"
ok "and what was in it" rpc anvil_dropAllTransactions
ok "it is not part of the chain any more" test "$block" != "$(newest)"
while kill -0 $publishing 2>/dev/null; do mine 1; done
ok "it is published again, until final" wait $publishing
same "chain and volume agree" fresh "$(json verdict "$cairn" --json chain status "$mnt")"

rpc evm_setAutomine "[false]" >/dev/null
before=$(sent "$gas")
echo dear >"$mnt/file"
publish >"$work/publishing" 2>&1 &
publishing=$!
waiting() { rpc txpool_status | grep -q '"pending": "0x1"\|.pending.: .0x1'; }
until_ok "a publication waits for a block" waiting
price=$(printf '%d' "$(rpc eth_gasPrice)")
ok "gas costs tenfold" rpc anvil_setNextBlockBaseFeePerGas "[\"$(printf '0x%x' $((price * 10)))\"]"
mine 1
same "too much for what was offered" "$before" "$(sent "$gas")"
dear() { rpc anvil_setNextBlockBaseFeePerGas "[\"$(printf '0x%x' $((price * 10)))\"]" >/dev/null; mine 1; }
while kill -0 $publishing 2>/dev/null; do dear; done
ok "more is offered, until it is final" wait $publishing
rpc evm_setAutomine "[true]" >/dev/null
ok "umount" mining down
ok "blocks are final at once again" set_line confirmations 0

# --- endpoints that lie or say nothing ---------------------------------------------------------------------------

chain_id=$(sed -n 's/^chain_id = //p' "$CAIRN_CHAIN") contract=$(sed -n 's/^contract = //p' "$CAIRN_CHAIN")
set_line chain_id 1
code 12 "another chain is refused" up
set_line chain_id "$chain_id"
set_line contract "$(sed -n 's/^token = //p' "$work/terms.toml")"
code 12 "another contract is refused" up
set_line contract "$contract"
set_line deadline_secs 1
kill -STOP $anvil_pid
code 12 "an endpoint that is silent: refused" up
code 12 "status calls it unreachable" chain status
code 12 "and so does verify" "$cairn" verify "$store"
up --anchor-policy wait >"$work/waited" 2>&1 &
waiting=$!
kill -CONT $anvil_pid
ok "or the mount waits, if the policy says so" wait $waiting
set_line deadline_secs 10
ok "umount" down

# --- challenges, answered by a full check ------------------------------------------------------------------------

ok "mount" up
challenges() { [[ $(json "chain.deadlines" status) == "[]" ]]; }
ok "the publisher challenges" by publisher challenge
until_ok "the mount answers" challenges
until_ok "after a full check" grep -q "challenge answered" "$work"/run/*.log
pass 61
# The large file came first: the third MiB of the first pack is of it.
pack=$(find "$store/packs" -type f -size +2M | sort | head -n 1)
dd if="$pack" of="$work/good" bs=64K count=1 skip=48 status=none
dd if=/dev/urandom of="$pack" bs=64K count=1 seek=48 conv=notrunc status=none
ok "a block is corrupted, and the publisher challenges" by publisher challenge
fault() { [[ $(json troubles.0.kind status) == fault ]]; }
until_ok "the mount reports the fault" fault
code 18 "which is an open challenge" chain status
ok "the log names the path" grep -q "the published version is damaged.*/large" "$work"/run/*.log
dd if="$work/good" of="$pack" bs=64K count=1 seek=48 conv=notrunc status=none
until_ok "the good block put back, it is healed" challenges
same "and all is well" fresh "$(verdict)"
ok "umount" down
pass 61
ok "challenged while nothing is mounted" by publisher challenge
ok "cairn chain respond answers" chain respond "$store" --key-file "$key"
same "and all is well" fresh "$(verdict)"

# --- another signer, publishing without a mount ------------------------------------------------------------------

chain key "$work/signer2.key" >/dev/null
ok "the signer is rotated" by gas rotate --new-signer "$work/signer2.key"
code 12 "the old one cannot boot any more" up
sed -i 's|signer.key|signer2.key|' "$CAIRN_CHAIN"
ok "the new one can" up
echo rotated >"$mnt/file"
ok "and publishes" publish
ok "umount" down
ok "a volume that is not mounted is published too" chain publish "$store" --key-file "$key"
code 0 "history" chain history
ok "shows all versions, without forks" grep -qE "^[0-9]+ versions, [0-9]+ gaps, 0 forks" "$work/said"

# --- a challenge that nobody answers -------------------------------------------------------------------------------

pass 61
ok "challenge" by publisher challenge
pass 3601
code 18 "it was missed" chain watch --once
ok "claim" by publisher claim
code 19 "the volume is slashed" status
code 0 "the stake is paid out" by publisher withdraw
paid=$(grep -o "withdrew [0-9]*" "$work/said" | cut -d " " -f 2)
ok "all of it, and the bond" test "$paid" -ge 1001000

finish
