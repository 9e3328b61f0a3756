//! From a volume with damage to a whole one that says what is gone.
//!
//! ```text
//!  walk (check) --> wounds --> in memory, as operations do it: directories pruned, names removed, files with holes moved
//!                                to /lost+found (mend.rs)       lists of blocks written anew (lists.rs)
//!                          --> one commit: the tree, what is gone (stored/repairs.rs), and the blocks that nothing names are freed
//! ```
//!
//! A file of which bytes are lost never stays under its name, where it would pass for whole. What
//! is damaged of a snapshot costs the whole snapshot, for a snapshot never changes. A published
//! version is not touched: it could not be verified any more.
//!
//! **Invariant:** a repair is one commit. A crash leaves the version before it or the one it
//! makes. The lock is held from the walk to the commit, and nothing is logged: what a repair does
//! cannot be replayed on another tree.

mod lists;
mod marks;
mod mend;

use crate::check::{CheckProgress, Walk, Wounds, published};
use crate::engine::{Engine, Guard};
use crate::state::State;
use crate::stored::repairs::Gone;
use crate::{Result, Time};
use lists::Lists;
use mend::Mender;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// What it took away; empty if there was nothing to repair but blocks to free.
    pub gone: Vec<Gone>,
    /// Blocks freed that nothing names.
    pub freed_blocks: u64,
    /// A published version is damaged, which stays as it is; so nothing was freed that it may
    /// name.
    pub published_damaged: bool,
}

impl Engine {
    /// Takes away what cannot be read, so that a check finds the volume whole. Lists it in the
    /// version this makes, and frees the blocks that nothing names. The volume is not used
    /// meanwhile. With nothing to do, does nothing.
    ///
    /// # Errors
    /// [`crate::Error::ReadOnly`], [`crate::Error::NoSpace`], a store that fails: then the volume is as it was.
    pub fn repair(&self, now: Time, progress: &dyn Fn(CheckProgress)) -> Result<RepairReport> {
        let mut state = self.state.lock();
        self.await_commit(&mut state);
        state.life.writable()?;
        // Before the walk, which sees what is stored: all that is open must be there.
        self.commit_locked(&mut state)?;
        // What is half destroyed is no damage, and would be walked as such.
        self.destroy_all(&mut state)?;
        // From here to the commit below the lock is held: what is mended must be what was walked.
        let listed = self.list_blocks()?;
        let newest = state.committed.version;
        let volume = state.volume.clone();
        let mut walk = Walk::new(self, &volume, listed.len(), progress);
        walk.newest(newest, &volume)?;
        let before = walk.damage_count();
        for version in published(&volume, newest) {
            self.check_published(&mut walk, version)?;
        }
        walk.wounds.published = walk.damage_count() > before;
        let Walk { seen, wounds, .. } = walk;
        let lists = Lists {
            engine: self,
            volume: &volume,
            newest,
            listed,
            seen,
        };
        // Half of a repair must never be committed.
        let report = Self::replaying(&mut state, |state| self.mend(state, wounds, lists, now));
        let report = report.inspect_err(|error| self.fail(&mut state, "a repair failed", error))?;
        // All of the repair in one commit: a crash before its head leaves the volume as it was.
        self.commit_locked(&mut state)?;
        self.destroy_all(&mut state)?;
        Ok(report)
    }

    /// Brings what is mended into memory, where the next commit finds it.
    fn mend(&self, state: &mut State, wounds: Wounds, lists: Lists<'_>, now: Time) -> Result<RepairReport> {
        let published_damaged = wounds.published;
        let mut mender = Mender::new(self, state, now);
        mender.tree(&wounds)?;
        mender.snapshots_lost(&wounds)?;
        mender.tables(&wounds)?;
        let sweep = lists.write(&mut mender, &wounds)?;
        let gone = mender.finish()?;
        let freed_blocks = sweep.len() as u64;
        if freed_blocks > 0 {
            state.open.free(sweep);
            state.open.touch();
        }
        Ok(RepairReport {
            gone,
            freed_blocks,
            published_damaged,
        })
    }

    /// Commits until no deleted file is left half destroyed.
    fn destroy_all(&self, state: &mut Guard<'_>) -> Result<()> {
        while state.commits.destroying() > 0 {
            let left = state.commits.destroying();
            self.commit_locked(state)?;
            if state.commits.destroying() >= left && !state.has_changes() {
                break;
            }
        }
        Ok(())
    }
}
