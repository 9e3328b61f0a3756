//! Scrubbing: every block of every kept version is read, verified and opened, and the tree held
//! against what POSIX and the volume's own counters say.
//!
//! ```text
//!  list names --> pin the newest version --> walk it (walk.rs, reading.rs), its tables and lists (tables.rs), snapshots;
//!                                      then published versions. Each block is read once; a damaged one is noted under
//!                                      every path that needs it, and the walk goes on beside it
//!  listed, named by nothing, still there --> leaked
//! ```
//!
//! The pin keeps commits from deleting what is being read, so a check runs beside writers. A volume
//! that is not mounted is checked without writing: its last commit, and the blocks that the intent
//! log names (logged.rs).

mod copies;
mod logged;
mod published;
mod reading;
mod report;
mod source;
mod tables;
mod walk;
mod wounds;

use crate::engine::Engine;
use crate::stored::volume::Volume;
use crate::{Error, Result};
use cairn_merkle::{Cid, Commit, Version};
use rustc_hash::FxHashSet;

pub use report::{CheckProgress, CheckReport, Damage};
pub(crate) use walk::{Walk, digest};
pub(crate) use wounds::{Broken, DirWound, Wounds};

/// Names asked of the store at once.
const LIST_BATCH: usize = 4096;

impl Engine {
    /// Verifies the whole volume as it is now, snapshots included, while others go on using it.
    ///
    /// # Errors
    /// Only what keeps it from checking: a store that fails, a volume that cannot be committed.
    /// Damage is in the report.
    pub fn check(&self, progress: &dyn Fn(CheckProgress)) -> Result<CheckReport> {
        self.check_while(progress, &|| true)
    }

    /// As [`Self::check`], as long as it is `wanted`, which is asked before each block.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::GivenUp`] once it is not wanted any more.
    pub fn check_while(
        &self,
        progress: &dyn Fn(CheckProgress),
        wanted: &dyn Fn() -> bool,
    ) -> Result<CheckReport> {
        let found = self.check_all(progress, wanted);
        // The walk ends with the error of its source, which speaks of the store.
        found.map_err(|error| if wanted() { error } else { Error::GivenUp })
    }

    fn check_all(&self, progress: &dyn Fn(CheckProgress), wanted: &dyn Fn() -> bool) -> Result<CheckReport> {
        // Before the commit that the pin makes, which writes both anew.
        let copies = self.check_copies()?;
        let listed = self.list_blocks()?;
        let (pin, volume) = self.pin_newest()?;
        let mut walk = Walk::new(self, &volume, listed.len(), progress);
        walk.report.suite = self.blocks.suite();
        walk.source.wanted = wanted;
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
            let place: &[u8] = match loss.commit {
                Some(_) => b"(volume)",
                None => b"(intent log)",
            };
            walk.damage(place, loss.to_string());
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

    /// Walks what an older version names beside the newest one: what is published must be whole
    /// too.
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

    /// Leaked blocks: listed before the walk, not reached by it, still stored, and not `fresh`.
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
