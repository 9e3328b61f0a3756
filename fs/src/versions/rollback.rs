//! Going back to a snapshot, as a new version.
//!
//! ```text
//!   nothing half destroyed --> snapshot of the tree as it is --> what differs (no lock) --> has it changed? again
//!                                                                   `--> one commit: the snapshot's tree is the live one
//! ```
//!
//! Nothing is lost: the tree before is a snapshot, and all others stay. The next epoch holds the
//! tree of the old one, so history goes forward, and the anchor sees one more version.
//!
//! Nothing may refer to the tree that goes: no open file, no working directory, no name that the
//! kernel remembers. A mount has the kernel forget all that is not in use, before and after.

use crate::blocks::differ;
use crate::commit::epoch::Rollback;
use crate::engine::{Engine, Guard};
use crate::stored::snapshot::Snapshot;
use crate::versions::snapshot::info;
use crate::{Error, Name, Result, SnapshotInfo, Time};
use cairn_merkle::Link;
use std::time::Duration;

/// How often it begins anew for changes that came in between.
const TRIES: usize = 8;

impl Engine {
    /// Waits until nothing but the root of the live tree is referred to, for `time` at most.
    /// Answers whether that is so.
    pub fn await_unused(&self, time: Duration) -> bool {
        let end = self.now() + time;
        let mut state = self.state.lock();
        while state.is_used() {
            if self.signals.forgotten.wait_until(&mut state, end).timed_out() {
                return !state.is_used();
            }
        }
        true
    }

    /// Makes the tree of snapshot `name` the live one, and keeps the live one as snapshot `before`,
    /// which is answered. Durable on return; a crash leaves the tree before or the one after.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Exists`] for `before`, [`Error::InUse`] while the tree is used
    /// or keeps changing, [`Error::ReadOnly`], [`Error::NoSpace`], [`Error::Damaged`] or what is
    /// damaged of the snapshot. The live tree is as it was then, and `before` is gone again.
    pub fn snapshot_rollback(&self, name: &Name, before: &Name, now: Time) -> Result<SnapshotInfo> {
        let _one = self.snapshotting.lock();
        {
            let state = self.state.lock();
            state.life.writable()?;
            state.snapshots.all_known()?;
            if !state.snapshots.by_name.contains_key(name) {
                return Err(Error::NoEntry);
            }
        }
        for _ in 0..TRIES {
            self.settle(&mut self.state.lock())?;
            self.take_snapshot(before, now)?;
            let done = self.roll_back(name, before);
            match done {
                Ok(Some(taken)) => return Ok(taken),
                Ok(None) => self.give_up_snapshot(before)?,
                Err(error) => {
                    if let Err(error) = self.give_up_snapshot(before) {
                        tracing::warn!(%error, "the snapshot that a rollback took first stays");
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::InUse)
    }

    /// Commits until nothing is changed and no deleted file is left: its blocks may be those that
    /// come back.
    fn settle(&self, state: &mut Guard<'_>) -> Result<()> {
        loop {
            if state.is_used() {
                return Err(Error::InUse);
            }
            self.commit_locked(state)?;
            self.await_commit(state);
            state.life.writable()?;
            if state.has_changes() {
                continue;
            }
            return match state.volume.trees.orphans {
                None => Ok(()),
                // Nothing of the kernel's holds them, so they would be gone.
                Some(_) => Err(Error::Damaged("the table of unlinked files is damaged")),
            };
        }
    }

    /// `None` if the tree is not that of `before` any more.
    fn roll_back(&self, name: &Name, before: &Name) -> Result<Option<SnapshotInfo>> {
        let (to, from) = {
            let state = self.state.lock();
            let found = |name| state.snapshots.by_name.get(name).cloned().ok_or(Error::NoEntry);
            (found(name)?, found(before)?)
        };
        // Without the lock: neither changes.
        let (leave, come) = self.difference(&from, &to)?;
        let mut state = self.state.lock();
        self.await_commit(&mut state);
        state.life.writable()?;
        let trees = &state.volume.trees;
        let same = trees.root == from.root && trees.table == from.table && trees.orphans.is_none();
        if !same || state.has_changes() || state.is_used() {
            return Ok(None);
        }
        let come = come.into_iter().map(|link| link.cid).collect();
        self.commit_rollback(&mut state, Rollback { to, leave, come })?;
        tracing::info!(epoch = state.committed.epoch().0, "rolled back to a snapshot");
        Ok(Some(info(before, &from)))
    }

    /// Blocks that the live tree, as snapshot `from`, names alone, and those that `to` does.
    fn difference(&self, from: &Snapshot, to: &Snapshot) -> Result<(Vec<Link>, Vec<Link>)> {
        let roots = |version: &Snapshot| {
            let (_, mut roots) = version.root.encode();
            roots.extend(version.table.clone());
            roots
        };
        let past = &mut |link: &Link, of_target, error| match of_target {
            // It would be the live tree, and damaged.
            true => Err(error),
            // What only this node leads to stays in the store.
            false => {
                tracing::warn!(cid = %link.cid, %error, "blocks below a damaged node are not given back");
                Ok(())
            }
        };
        Ok(differ(&self.blocks, roots(from), roots(to), past)?)
    }
}

#[cfg(test)]
mod tests;
