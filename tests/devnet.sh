#!/usr/bin/env bash
# A chain on this machine, with a volume staked, mounted and anchored on it: to see everything work, worth nothing.
#
#   tests/devnet.sh up DIR     starts anvil, deploys, opens a volume, mounts it at DIR/mnt
#   tests/devnet.sh down DIR   unmounts and ends the chain; DIR can then be deleted
#
# CAIRN is the command. Blocks come each second and are final two seconds later; the accounts are anvil's own.
set -euo pipefail
cd "$(dirname "$0")/.."
verb=$1 dir=$(realpath -m "$2")
cairn=${CAIRN:-target/release/cairn}

down() {
	[[ -d $dir/mnt ]] && mountpoint -q "$dir/mnt" && "$cairn" umount "$dir/mnt"
	[[ -e $dir/anvil.pid ]] || return 0
	kill "$(<"$dir/anvil.pid")" 2>/dev/null || true
	rm -f "$dir/anvil.pid"
}

# The private key and, from the second time on, the address of one of anvil's accounts.
key() { sed -n "s/^($1) \(0x[0-9a-fA-F]\{64\}\)$/\1/p" "$dir/anvil.log"; }
address() { sed -n "s/^($1) \(0x[0-9a-fA-F]\{40\}\) .*/\1/p" "$dir/anvil.log"; }

up() {
	[[ ! -e $dir ]] || { echo "$dir exists: tests/devnet.sh down $dir, and delete it" >&2; exit 1; }
	mkdir -p "$dir/mnt"
	anvil=$(tests/anvil.sh)
	# Here, for what follows may look at it before anvil's shell has opened it.
	: >"$dir/anvil.log"
	setsid "$anvil" --port 0 --block-time 1 --slots-in-an-epoch 1 >"$dir/anvil.log" 2>&1 </dev/null &
	echo $! >"$dir/anvil.pid"
	trap 'echo "the devnet did not come up: see $dir/anvil.log" >&2; down' ERR
	# tail is ended by sed, which is no failure; no line is.
	url=$(timeout 20 tail -n +1 -f --pid=$! "$dir/anvil.log" | sed -n '/^Listening on /{s//http:\/\//p;q}') || true
	[[ -n $url ]]
	umask 077
	n=0
	for who in deployer publisher provider gas; do key $n >"$dir/$who.key"; n=$((n + 1)); done
	"$cairn" chain key "$dir/signer.key" >/dev/null
	"$cairn" chain deploy --rpc "$url" --key-file "$dir/deployer.key" --write "$dir/chain.toml" --test-token \
		--publisher "$(address 1)" --provider "$(address 2)" --pod "0x$(printf '%064d' 1)" --signer signer.key --gas gas.key
	export CAIRN_CHAIN=$dir/chain.toml
	"$cairn" chain offer --key-file "$dir/provider.key" --terms "$dir/terms.toml"
	"$cairn" chain open --key-file "$dir/publisher.key"
	"$cairn" chain fund --key-file "$dir/publisher.key" --amount 100000
	"$cairn" create "$dir/store" --key-file "$dir/volume.key"
	"$cairn" mount "$dir/store" "$dir/mnt" --key-file "$dir/volume.key" --anchor "eth:$dir/chain.toml" --publish-interval 5s
	echo
	echo "An anchored volume is mounted at $dir/mnt. Try:"
	echo "  echo hello > $dir/mnt/hello && $cairn sync --anchored $dir/mnt"
	echo "  $cairn chain status --config $dir/chain.toml $dir/mnt"
	echo "  $cairn chain history --config $dir/chain.toml"
	echo "  $cairn chain challenge --config $dir/chain.toml --key-file $dir/publisher.key"
	echo "make devnet-down ends it."
}

"$verb"
