# Two commands matter: `make up` builds and mounts a volume at ./volume/mnt, `make test` runs every test.
# `make long` runs those that take hours, PostgreSQL among them (as root).
# `make devnet` mounts a volume that is anchored on a chain of its own, at ./devnet/mnt; `make devnet-down` ends it.
# `make bench` measures against other filesystems in three minutes, `make bench-full` everything, which takes hours (as root).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
target := $(or $(CARGO_TARGET_DIR),target)
cairn := $(target)/release/cairn
rocksdb = eval "$$(.ci/rocksdb.sh)"

.PHONY: up down devnet devnet-down test mounted long bench bench-full build install clean

up: build
	@mkdir -p volume/mnt
	@[[ -e volume/store ]] || $(cairn) create volume/store --key-file volume/key
	@mountpoint -q volume/mnt || $(cairn) mount volume/store volume/mnt --key-file volume/key
	@echo
	@echo "A sealed volume is mounted at volume/mnt. Try:"
	@echo "  echo hello > volume/mnt/hello && $(cairn) sync volume/mnt"
	@echo "  $(cairn) status volume/mnt"
	@echo "  $(cairn) check volume/mnt"
	@echo "make down unmounts it; the sealed blocks stay in volume/store, the key in volume/key."

down:
	@$(cairn) umount volume/mnt

devnet: build
	@CAIRN=$(cairn) tests/devnet.sh up devnet

devnet-down:
	@CAIRN=$(cairn) tests/devnet.sh down devnet

test: build
	@$(rocksdb) && tests/run.sh

mounted: build
	@tests/run.sh mounted

long: build
	@tests/run.sh long

bench: build
	@$(target)/release/cairn-bench run --quick --install --cairn $(cairn)

bench-full: build
	@bench/zfs/build.sh || echo "zlfuse cannot be built here: it will be missing from the report"
	@tests/anvil.sh >/dev/null || echo "anvil cannot be had: anchored Cairn will be missing from the report"
	@$(target)/release/cairn-bench run --all --install --add cryfs,cairn-anchored --cairn $(cairn)

build: install
	@$(rocksdb) && cargo build --release --locked

install:
	@.ci/install.sh

clean:
	cargo clean
