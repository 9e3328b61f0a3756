//! Cairn itself, through its command, as a user would drive it.

use super::kind::{About, Kind, Setup, System};
use super::place::{Place, sync_both};
use crate::program;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Store in process, default settings but for the flags given.
pub(super) struct Cairn {
    program: PathBuf,
    create_flags: Vec<String>,
    mount_flags: Vec<String>,
}

impl Cairn {
    /// Driven by the program and with the flags of the run.
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            program: setup.cairn.clone(),
            create_flags: setup.create_flags.clone(),
            mount_flags: setup.mount_flags.clone(),
        }
    }

    /// A command whose records and socket stay in the place: a run leaves nothing in /run.
    pub(super) fn command(&self, place: &Place, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("CAIRN_RUN_DIR", place.file("run"))
            .arg(verb)
            .stdin(Stdio::null());
        command
    }

    /// Mounts it with these flags beside those of the run.
    pub(super) fn mount_with(&self, place: &Place, flags: &[&str]) -> Result<()> {
        let mut command = self.command(place, "mount");
        command
            .arg(place.store())
            .arg(place.mnt())
            .arg("--key-file")
            .arg(place.file("key"))
            .args(&self.mount_flags)
            .args(flags);
        // It returns once the mount serves, so that there is nothing to wait for here.
        program::start(&mut command, &place.file("log"))
    }
}

impl System for Cairn {
    fn about(&self) -> About {
        About {
            id: "cairn",
            title: "Cairn",
            kind: Kind::Fuse,
            sealed: true,
            includes: "ChaCha20-Poly1305 with a key per block, BLAKE3 names, one Merkle tree to a verifiable root, store in process (packs, RocksDB as their index), FUSE",
            leaves_out: "publishing the root on chain, a store behind a socket",
            packages: &[],
            by_default: true,
        }
    }

    fn version(&self) -> Result<String> {
        let mut command = Command::new(&self.program);
        let version = program::run(command.arg("--version").stdin(Stdio::null())).with_context(|| {
            format!(
                "no `cairn` at {}: cargo build --release, or --cairn FILE",
                self.program.display()
            )
        })?;
        let flags = [self.create_flags.as_slice(), &self.mount_flags].concat();
        Ok([version.trim(), &flags.join(" ")].join(" ").trim().to_owned())
    }

    fn create(&self, place: &Place) -> Result<()> {
        let mut command = self.command(place, "create");
        command
            .arg(place.store())
            .arg("--key-file")
            .arg(place.file("key"))
            .args(&self.create_flags);
        program::run(&mut command).map(drop)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        self.mount_with(place, &[])
    }

    fn unmount(&self, place: &Place) -> Result<()> {
        program::run(self.command(place, "umount").arg(place.mnt())).map(drop)
    }

    fn flush(&self, place: &Place) -> Result<()> {
        // sync(2) hands the kernel's pages to the daemon but does not reach it as a request.
        program::run(self.command(place, "sync").arg(place.mnt()))?;
        sync_both(place, &place.mnt())
    }

    fn has_snapshots(&self) -> bool {
        true
    }

    fn snapshot(&self, place: &Place, name: &str) -> Result<()> {
        program::run(
            self.command(place, "snapshot")
                .arg("create")
                .arg(place.mnt())
                .arg(name),
        )
        .map(drop)
    }
}
