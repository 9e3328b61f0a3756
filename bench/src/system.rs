//! The filesystems that are measured, each behind one small trait.
//!
//! ```text
//! create -> mount -> (work in directory()) -> flush -> unmount -> mount ... -> unmount -> destroy
//!              `------ crash (kill -9 of the daemons) ------> mount
//! ```
//!
//! A system keeps everything below its [`Place`], so that removing the place removes all of it. Adding a system is one
//! file here and one line in [`all`].
//!
//! **Invariant:** a system that cannot be measured on this machine says why and how to get it; it is never measured in
//! part or replaced in silence.

mod anchored;
mod cairn;
mod fuse;
mod kernel;
mod null;
mod zfs;

use crate::proc;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use kernel::mount_image;
pub(crate) use null::serve as serve_null;
pub(crate) use zfs::engine_program;

/// Where one volume of a system lives.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Everything of the volume is below this absolute path.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// All of it.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// What lies on the disk.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// What is mounted.
    pub(crate) fn mnt(&self) -> PathBuf {
        self.0.join("mnt")
    }

    /// A file of the system's own: key, password, log.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Its directories. Others may look inside: PostgreSQL does not run as root.
    pub(crate) fn prepare(&self) -> Result<()> {
        for dir in [self.0.clone(), self.store(), self.mnt()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&dir)
                .with_context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(())
    }
}

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

/// Every system, in the order of tables.
pub(crate) fn all(setup: &Setup) -> Vec<Box<dyn System>> {
    let mut systems: Vec<Box<dyn System>> = vec![
        Box::new(kernel::Disk::new(&setup.disk_type)),
        Box::new(null::Null),
        Box::new(cairn::Cairn::new(setup)),
        Box::new(anchored::Anchored::new(setup)),
    ];
    systems.extend(fuse::all());
    systems.extend(kernel::all());
    systems.extend(zfs::all());
    systems
}

/// The one with this name.
pub(crate) fn by_id(setup: &Setup, id: &str) -> Result<Box<dyn System>> {
    all(setup)
        .into_iter()
        .find(|system| system.about().id == id)
        .with_context(|| format!("there is no system `{id}`: see `cairn-bench list`"))
}

/// Flushes the filesystem at `dir` and the disk below.
fn sync_both(place: &Place, dir: &Path) -> Result<()> {
    for path in [dir, &place.store()] {
        rustix::fs::syncfs(fs::File::open(path)?).with_context(|| format!("syncfs of {}", path.display()))?;
    }
    Ok(())
}

/// Unmounts, patiently: somebody may still be closing a file; then waits for the daemons' end.
fn unmount_fuse(pids: Vec<i32>, mnt: &Path) -> Result<()> {
    unmount_path(mnt)?;
    if proc::wait_gone(&pids, Duration::from_secs(120)) {
        Ok(())
    } else {
        bail!("its process did not end within two minutes of being unmounted")
    }
}

/// Unmounts one path.
pub(crate) fn unmount_path(mnt: &Path) -> Result<()> {
    let mut tries = 0;
    while proc::mounted_at(mnt).is_some() {
        let mut command = crate::program::command("umount")?;
        match crate::program::run(command.arg(mnt)) {
            Ok(_) => {}
            Err(error) if tries == 50 => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        tries += 1;
    }
    Ok(())
}

/// Detaches whatever is mounted there, dead or alive.
pub(crate) fn take_away(mnt: &Path) {
    // Each pass detaches one layer; a path that stays mounted after a few is not ours to fight.
    for _ in 0..4 {
        if proc::mounted_at(mnt).is_none() {
            return;
        }
        if let Ok(mut command) = crate::program::command("umount") {
            let _ = crate::program::run(command.arg("-l").arg(mnt));
        }
    }
}

/// Waits until something is mounted at `mnt`; some daemons return before.
fn wait_mounted(mnt: &Path) -> Result<()> {
    for _ in 0..1500 {
        if proc::mounted_at(mnt).is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing was mounted within 30 s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_system_says_what_it_leaves_out() {
        let systems = all(&Setup::default());
        let ids: BTreeSet<&str> = systems.iter().map(|system| system.about().id).collect();
        assert_eq!(ids.len(), systems.len());
        for about in systems.iter().map(|system| system.about()) {
            assert!(
                !about.includes.is_empty() && !about.leaves_out.is_empty(),
                "{}",
                about.id
            );
        }
        assert!(by_id(&Setup::default(), "nonsense").is_err());
    }
}
