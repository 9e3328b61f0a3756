# Two commands matter: `make up` builds and mounts a volume at ./volume/mnt, `make test` runs every test.
# `make build` builds the command, `make install` installs it and the helper of mount(8): PREFIX (/usr/local) is where to,
# DESTDIR a root to put before it, SBINDIR (/usr/sbin or /sbin) where mount(8) looks.
# `make check` runs format, lints and unit tests: what a change needs before it is shown to others.
# `make long` runs the tests that take hours, PostgreSQL among them (as root).
# `make devnet` mounts a volume that is anchored on a chain of its own, at ./devnet/mnt; `make devnet-down` ends it.
# `make bench` measures against other filesystems in three minutes, `make bench-full` everything, which takes hours (as root).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
target := $(or $(CARGO_TARGET_DIR),target)
cairn := $(target)/release/cairn
PREFIX ?= /usr/local
# Where mount(8) looks for helpers, whatever PREFIX is.
SBINDIR ?= $(if $(filter /usr/%,$(realpath /sbin)),/usr/sbin,/sbin)

.PHONY: up down devnet devnet-down check test mounted long bench bench-full build all deps install clean

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

check: deps
	@eval "$$(.ci/rocksdb.sh)" && cargo fmt --all --check && \
		cargo clippy --workspace --all-targets --all-features --locked -- -D warnings && \
		cargo test --workspace --all-features --locked --lib --bins && \
		cargo test --workspace --all-features --locked -p cairn-tests --test modules --test documents

test: build
	@.ci/install.sh test
	@eval "$$(.ci/rocksdb.sh)" && tests/run.sh

mounted: build
	@.ci/install.sh test
	@tests/run.sh mounted

long: build
	@.ci/install.sh test
	@tests/run.sh long

bench: all
	@$(target)/release/cairn-bench run --quick --install --cairn $(cairn)

bench-full: all
	@bench/zfs/build.sh || echo "zlfuse cannot be built here: it will be missing from the report"
	@tests/anvil.sh >/dev/null || echo "anvil cannot be had: anchored Cairn will be missing from the report"
	@$(target)/release/cairn-bench run --all --install --add cryfs,cairn-anchored --cairn $(cairn)

# The command, and nothing that only tests and benchmarks use.
build: deps
	@.ci/build.sh --release -p cairn

all: deps
	@.ci/build.sh --release

# What building needs and the machine lacks.
deps:
	@echo "== tools: what is missing is installed"
	@.ci/install.sh

# No dependency on `build`, so that `sudo make install` compiles nothing as root.
install:
	@[[ -x $(cairn) ]] || { echo "$(cairn) is missing: make build" >&2; exit 1; }
	install -D -m 755 $(cairn) $(DESTDIR)$(PREFIX)/bin/cairn
	install -d $(DESTDIR)$(SBINDIR)
	ln -sf $(PREFIX)/bin/cairn $(DESTDIR)$(SBINDIR)/mount.cairn
	ln -sf $(PREFIX)/bin/cairn $(DESTDIR)$(SBINDIR)/mount.fuse.cairn

clean:
	cargo clean
