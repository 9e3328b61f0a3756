//! The trait behind which a system is measured, what a system says of itself, and the settings that
//! some need.

use super::place::{Place, sync_both, take_away, unmount_fuse};
use crate::proc;
use anyhow::{Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Whom targets speak of.
pub(crate) const OURS: &str = "cairn";
/// The same while it publishes: what that costs is its affair.
pub(crate) const ANCHORED: &str = "cairn-anchored";
/// The disk's own filesystem: what figures are shown as multiples of.
pub(crate) const DISK: &str = "disk";
/// What kind of thing a system is; reports and targets group by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The disk's own filesystem: the baseline.
    Disk,
    /// In the kernel, on a file of the disk.
    Kernel,
    /// A daemon behind FUSE.
    Fuse,
    /// Keeps no bytes: shows what the hop through the kernel costs.
    Null,
}

/// What a system says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// Short name, as on the command line.
    pub(crate) id: &'static str,
    /// Name in tables.
    pub(crate) title: &'static str,
    /// What kind of thing it is.
    pub(crate) kind: Kind,
    /// Whether it seals what it stores.
    pub(crate) sealed: bool,
    /// What its figures include.
    pub(crate) includes: &'static str,
    /// What they leave out.
    pub(crate) leaves_out: &'static str,
    /// Debian packages that bring it.
    pub(crate) packages: &'static [&'static str],
    /// Whether a run measures it without being asked.
    pub(crate) by_default: bool,
}

/// How late publications were that a schedule brought about.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Punctuality {
    /// How many there were.
    pub(crate) publications: u64,
    /// At worst, from when one was to begin until what it publishes was closed.
    pub(crate) closed_late_ms_max: f64,
    /// The last time, from when one was due until it was handed to the chain.
    pub(crate) handed_late_ms: f64,
    /// The same at worst.
    pub(crate) handed_late_ms_max: f64,
}

/// A filesystem that can be measured.
pub(crate) trait System {
    /// What it is.
    fn about(&self) -> About;

    /// Its version, or why it cannot be measured here and what would help.
    fn version(&self) -> Result<String>;

    /// Makes a new volume in a prepared place.
    fn create(&self, place: &Place) -> Result<()>;

    /// Makes it usable; returns once it serves.
    fn mount(&self, place: &Place) -> Result<()>;

    /// Takes it away cleanly; returns once everything is on disk and its processes have ended.
    fn unmount(&self, place: &Place) -> Result<()> {
        unmount_fuse(self.daemons(place), &place.mnt())
    }

    /// Ends what outlives an unmount, before the place is removed. Does nothing if nothing is left.
    fn destroy(&self, _place: &Place) {}

    /// Its processes, whose time and memory are counted.
    fn daemons(&self, place: &Place) -> Vec<i32> {
        proc::with_argument(&place.mnt())
    }

    /// Where applications work.
    fn directory(&self, place: &Place) -> PathBuf {
        place.mnt()
    }

    /// Everything written so far reaches the disk.
    fn flush(&self, place: &Place) -> Result<()> {
        sync_both(place, &self.directory(place))
    }

    /// Ends its processes as a power cut would, and takes the dead mount away.
    fn crash(&self, place: &Place) -> Result<()> {
        let pids = self.daemons(place);
        if pids.is_empty() {
            bail!("has no process that could be killed");
        }
        pids.iter().for_each(|&pid| proc::signal(pid, Signal::KILL));
        proc::wait_gone(&pids, Duration::from_secs(20));
        // A dead mount would answer the next one with an error.
        take_away(&place.mnt());
        Ok(())
    }

    /// Whether [`System::snapshot`] works.
    fn has_snapshots(&self) -> bool {
        false
    }

    /// Holds the volume as it is now.
    fn snapshot(&self, _place: &Place, _name: &str) -> Result<()> {
        bail!("has no snapshots")
    }

    /// How publications kept to their schedule since the mount; none if it publishes nothing.
    fn punctuality(&self, _place: &Place) -> Result<Option<Punctuality>> {
        Ok(None)
    }

    /// Whether what is written can be read back.
    fn keeps_bytes(&self) -> bool {
        self.about().kind != Kind::Null
    }

    /// Whether it fills up when the disk below it does.
    fn fills_with_its_disk(&self) -> bool {
        matches!(self.about().kind, Kind::Disk | Kind::Fuse)
    }

    /// Whether kill -9 of its processes is a crash that it must survive.
    fn can_crash(&self) -> bool {
        self.about().kind == Kind::Fuse
    }
}

/// Settings that some systems need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// The `cairn` program.
    pub(crate) cairn: PathBuf,
    /// Flags for `cairn create`.
    pub(crate) create_flags: Vec<String>,
    /// Flags for `cairn mount`.
    pub(crate) mount_flags: Vec<String>,
    /// Filesystem type of the disk.
    pub(crate) disk_type: String,
}
