//! Scrubbing: every block of every kept version is read, verified and opened, and the tree held against what POSIX
//! and the volume's own counters say.
//!
//! ```text
//!  list names --> pin the newest version --> walk it (walk.rs, reading.rs), its tables and lists (tables.rs), snapshots;
//!                                      then published versions. Each block is read once; a damaged one is noted under
//!                                      every path that needs it, and the walk goes on beside it
//!  listed, named by nothing, still there --> leaked
//! ```
//!
//! The pin keeps commits from deleting what is being read, so a check runs beside writers. A volume that is not mounted is
//! checked without writing: its last commit, and the blocks that the intent log names (logged.rs).

mod copies;
mod logged;
mod reading;
mod tables;
mod walk;
mod wounds;

use crate::engine::Engine;
use crate::stored::repairs::{Gone, Repaired};
use crate::stored::volume::Volume;
use crate::{Error, Result};
use cairn_merkle::{Cid, Commit, Version};
use rustc_hash::FxHashSet;

pub(crate) use walk::{Walk, digest};
pub(crate) use wounds::{Broken, DirWound, Wounds};

/// Names asked of the store at once.
const LIST_BATCH: usize = 4096;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Blocks verified.
    pub blocks_done: u64,
    /// Blocks in the store when the check began.
    pub blocks_total: u64,
}

/// A path that does not hold what was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// From the volume's root; within a snapshot, below `/.snapshots`; of a directory, with `/` at its end; of what is no
    /// path, in brackets.
    pub path: Vec<u8>,
    /// What is wrong.
    pub what: String,
    /// Whether a block is not there, rather than not what was written.
    pub missing: bool,
    /// Of a directory: how many of its names cannot be read.
    pub names: u64,
}

impl Damage {
    /// From what opening or reading `path` failed with.
    pub(crate) fn of(path: &[u8], error: &cairn_merkle::Error) -> Self {
        Self {
            path: path.to_vec(),
            what: error.to_string(),
            missing: matches!(error, cairn_merkle::Error::Missing { .. }),
            names: 0,
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blocks verified, each counted once.
    pub blocks: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Blocks among them that the intent log names and no commit does; a mounted volume has committed before.
    pub logged_blocks: u64,
    /// Inodes of the live tree.
    pub inodes: u64,
    /// Paths that are not whole.
    pub damaged: Vec<Damage>,
    /// How many there are beyond those.
    pub damaged_more: u64,
    /// Blocks in the store that nothing names that can be read.
    pub leaked_blocks: u64,
    /// What repairs of this volume took away.
    pub repaired: Option<Repaired>,
    /// The same one by one, oldest first.
    pub gone: Vec<Gone>,
}

impl CheckReport {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }
}

impl Engine {
    /// Verifies the whole volume as it is now, snapshots included, while others go on using it.
    ///
    /// # Errors
    /// Only what keeps it from checking: a store that fails, a volume that cannot be committed. Damage is in the report.
    pub fn check(&self, progress: &dyn Fn(CheckProgress)) -> Result<CheckReport> {
        // Before the commit that the pin makes, which writes both anew.
        let copies = self.check_copies()?;
        let listed = self.list_blocks()?;
        let (pin, volume) = self.pin_newest()?;
        let mut walk = Walk::new(self, &volume, listed.len(), progress);
        walk.report.damaged = copies;
        walk.newest(pin.version(), &volume)?;
        if self.config.read_only && !self.past {
            let (files, inodes) = {
                let state = self.state.lock();
                (logged::logged(&state), state.volume.inodes)
            };
            walk.logged(&files)?;
            // The walk met those of the last commit; the log made some and removed others.
            walk.report.inodes = (walk.report.inodes + inodes).saturating_sub(volume.inodes);
        }
        if let Some(loss) = self.log_loss.as_ref().filter(|_| self.config.read_only) {
            walk.damage(b"(intent log)", loss.to_string());
        }
        if !self.past {
            for version in published(&volume, pin.version()) {
                self.check_published(&mut walk, version)?;
            }
        }
        let Walk { seen, mut report, .. } = walk;
        // What a past version does not name, a newer one may.
        if !self.past {
            report.leaked_blocks = self.unnamed(listed, &seen)?.len() as u64;
        }
        Ok(report)
    }

    /// Walks what an older version names beside the newest one: what is published must be whole too.
    pub(crate) fn check_published(&self, walk: &mut Walk<'_>, version: Version) -> Result<()> {
        let path = format!("(published {})/", version.epoch).into_bytes();
        walk.seen.insert(digest(&version.root));
        match self.volume_at(version) {
            Ok(volume) => walk.volume(&path, &volume).map(drop),
            Err(Error::Merkle(error)) => walk.note(&path, error),
            Err(error) => Err(error),
        }
    }

    /// What the commit of a version says.
    pub(crate) fn volume_at(&self, version: Version) -> Result<Volume> {
        let stored = self.blocks.store.get(&version.root)?;
        let stored = stored.ok_or(cairn_merkle::Error::Missing { cid: version.root })?;
        let commit = Commit::open(&version.root, stored, &self.key)?;
        Ok(Volume::decode(&commit.body, &commit.links)?)
    }

    pub(crate) fn list_blocks(&self) -> Result<Vec<Cid>> {
        let mut listed = Vec::new();
        loop {
            let more = self.blocks.store.list(listed.last().copied(), LIST_BATCH)?;
            if more.is_empty() {
                return Ok(listed);
            }
            listed.extend(more);
        }
    }

    /// Blocks that were there before the walk, that are not among those it met, that are still there, and that the next
    /// mount will not free either.
    pub(crate) fn unnamed(&self, listed: Vec<Cid>, met: &FxHashSet<u128>) -> Result<Vec<Cid>> {
        let mut suspects: FxHashSet<Cid> = listed
            .into_iter()
            .filter(|cid| !met.contains(&digest(cid)))
            .collect();
        let mut after = None;
        while !suspects.is_empty() {
            let fresh = self.blocks.store.fresh(after, LIST_BATCH)?;
            let Some(last) = fresh.last() else { break };
            after = Some(*last);
            for (_, cid) in &fresh {
                suspects.remove(cid);
            }
        }
        let mut unnamed = Vec::new();
        for cid in suspects {
            if self.blocks.store.get(&cid)?.is_some() {
                unnamed.push(cid);
            }
        }
        Ok(unnamed)
    }
}

/// Versions beside the newest that must be whole.
pub(crate) fn published(volume: &Volume, newest: Version) -> impl Iterator<Item = Version> {
    let versions = volume.publication.anchored.iter();
    let versions = versions.chain(&volume.publication.submitted).copied();
    versions.filter(move |version| *version != newest)
}
