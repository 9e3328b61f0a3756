//! The commit that makes a snapshot's tree the live one again.
//!
//! ```text
//!   versions     S (to)      T           A (the live tree before)      live
//!   X           named      not named    not named                     named again: taken off T's dead list
//!   Y                                   named                         not any more: on the live dead list
//! ```
//!
//! A dead list says from which version on a block is not named any more, and the birth of a block
//! from which on it is. A block that comes back has two such spans. It leaves the list that ended
//! the first one, and so passes for named by all between. That keeps it as long as one of these
//! snapshots is there, and frees it with the last: never too early, and never not at all.
//!
//! **Invariant:** the lock is held from before the freeze to the end, and nothing is open or
//! changed. So no record of the log is of the tree before and behind this commit, nor of the tree
//! after it and before. A crash leaves one tree or the other, with its own log.

use crate::blocks::Writer;
use crate::commit::epoch::Rollback;
use crate::commit::freeze::freeze;
use crate::commit::ledger::Ledger;
use crate::engine::{Engine, Guard};
use crate::error::is_full;
use crate::namespace::inode::{Home, Inode};
use crate::state::State;
use crate::stored::publication::Publication;
use crate::stored::snapshot::decode_dead;
use crate::stored::volume::Volume;
use crate::{Name, Result};
use cairn_merkle::btree;
use std::collections::BTreeMap;

impl Engine {
    /// Commits the way back. `state` has no change, no reference to an inode but the root, and no
    /// commit under way; the lock is held throughout.
    ///
    /// # Errors
    /// As [`Engine::commit`]: the live tree is as it was then.
    pub(crate) fn commit_rollback(&self, state: &mut Guard<'_>, rollback: Rollback) -> Result<()> {
        debug_assert!(!state.has_changes() && !state.is_used() && !state.commits.is_under_way());
        state.commits.begin();
        let mut frozen = Box::new(freeze(state, self.now()));
        let (root, inodes) = (rollback.to.root.clone(), rollback.to.inodes);
        frozen.rollback = Some(rollback);
        frozen.holds = state.holds();
        frozen.volume.publication = Publication {
            changed: frozen.epoch,
            ..state.volume.publication.clone()
        };
        let writer = Writer::new(&self.blocks, frozen.epoch);
        // Under the lock: a change in between would be one of the tree that goes, in the epoch that
        // follows it.
        let written = self.write_epoch(&frozen, &writer);
        let done = written.and_then(|written| self.install(state, &frozen, written));
        match &done {
            Ok(()) => {
                state.volume.inodes = inodes;
                state.volume.publication.changed = frozen.epoch;
                let root = Inode::new(root.meta, root.xattrs, root.stored, Home::Root);
                state.inodes.replace_live(root);
            }
            // An epoch like any other, without a change, waits for room in its place.
            Err(error) if is_full(error) => frozen.rollback = None,
            Err(_) => {}
        }
        self.end_commit(state, frozen, writer, done)
    }
}

impl State {
    /// Whether the kernel, or a call under way, refers to an inode of the live tree.
    pub(crate) fn is_used(&self) -> bool {
        self.inodes.live_in_use() || self.puts.is_busy()
    }
}

impl Ledger<'_> {
    /// Makes the live tree that of a snapshot.
    pub(super) fn roll_back(&mut self, rollback: &Rollback, volume: &mut Volume) -> Result<()> {
        let place = rollback.to.place();
        let later = self
            .snapshots
            .iter()
            .filter(|(_, snapshot)| snapshot.place() > place);
        let later: Vec<Name> = later.map(|(name, _)| name.clone()).collect();
        for name in later {
            let Some(mut snapshot) = self.snapshots.by_name.get(&name).cloned() else {
                continue;
            };
            let off = self.come_back(snapshot.dead.as_ref(), rollback)?;
            if !off.is_empty() {
                snapshot.dead = self.list(snapshot.dead, off)?;
                self.row(name, snapshot);
            }
        }
        let off = self.come_back(self.dead.as_ref(), rollback)?;
        if !off.is_empty() {
            let dead = self.dead.take();
            self.dead = self.list(dead, off)?;
        }
        // The change below reads what the one before has put.
        self.writer.flush()?;
        self.drop_blocks(rollback.leave.clone())?;
        let to = &rollback.to;
        volume.trees.root = to.root.clone();
        volume.trees.table.clone_from(&to.table);
        volume.trees.bytes = to.bytes;
        volume.inodes = to.inodes;
        Ok(())
    }

    /// The rows of a dead list that go, since the live tree names their blocks again.
    fn come_back(
        &self,
        list: Option<&cairn_merkle::Link>,
        rollback: &Rollback,
    ) -> Result<BTreeMap<Vec<u8>, Option<btree::Entry>>> {
        let mut off = BTreeMap::new();
        btree::walk(self.blocks, list, &mut |_| {}, &mut |entry| {
            let (_, cid, _) = decode_dead(&entry)?;
            if rollback.come.contains(&cid) {
                off.insert(entry.key, None);
            }
            Ok(())
        })?;
        Ok(off)
    }
}
