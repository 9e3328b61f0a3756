//! Closing an epoch: what changed goes into the store, and the head moves.
//!
//! ```text
//!   freeze --> contents (content.rs) --> directories, deepest first --> root, hard-link table, orphans
//!          --> what was dropped: freed, on a dead list (ledger.rs), or held (held.rs) --> commit block --> sync
//!          --> head, frees and log trim in one step --> frozen layers become what is stored
//! ```
//!
//! Only the freeze and the last step hold the lock; readers and writers go on in between. What the
//! head's step deletes must not be looked for afterwards, so inodes learn of their new blocks
//! under the same lock.
//!
//! **Invariant:** one commit at a time. When the store is full the epoch stays frozen and is tried
//! again; after any other failure nothing is written any more. A damaged block is no failure: it
//! stays as it is, and what belongs into it is left out and named (losses.rs).

use crate::blocks::Writer;
use crate::commit::committed::Committed;
use crate::commit::content::Contents;
use crate::commit::trees::{TreeWriter, apply, key_of};
use crate::damage::Table;
use crate::engine::{Engine, Guard};

use crate::commit::epoch::Frozen;
use crate::commit::freeze::freeze;
use crate::commit::held::{Freed, Keeper, commit_block};
use crate::commit::ledger::Ledger;
use crate::commit::losses::Losses;
use crate::commit::open::Pending;
use crate::error::is_full;
use crate::namespace::inode::Content;
use crate::stored::publication::Publication;
use crate::stored::record::Stored;
use crate::stored::volume::Volume;
use crate::versions::snapshots::Snapshots;
use crate::{Error, InodeNo, Result};
use bytes::Bytes;
use cairn_merkle::{Cid, Commit, Head, HeadSwap, Link, Version};
use parking_lot::MutexGuard;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// What a commit wrote, before the head names it.
pub(super) struct Written {
    root: Cid,
    root_block: Bytes,
    volume: Volume,
    snapshots: Snapshots,
    freed: Vec<Cid>,
    /// New content of each frozen inode, and the bytes in it.
    stored: Vec<(InodeNo, Stored, u64)>,
    losses: Losses,
}

impl Engine {
    /// Everything done so far is in the tree and durable on return.
    ///
    /// # Errors
    /// [`Error::NoSpace`] when the store is full (tried again later), else what the store failed
    /// with: the volume is read-only then.
    pub fn commit(&self) -> Result<()> {
        let mut state = self.state.lock();
        self.commit_locked(&mut state)
    }

    /// As [`Self::commit`], and reports once what could not be stored.
    ///
    /// # Errors
    /// As [`Self::commit`]; [`Error::Damaged`], once, if changes had no readable place since the
    /// last time.
    pub fn sync(&self) -> Result<()> {
        let mut state = self.state.lock();
        self.commit_locked(&mut state)?;
        match state.commits.take_losses() {
            true => Err(Error::Damaged("some of what was written could not be stored")),
            false => Ok(()),
        }
    }

    /// Asks for a commit soon.
    pub fn start_commit(&self) {
        self.want_commit(&mut self.state.lock());
    }

    pub(crate) fn commit_locked(&self, state: &mut Guard<'_>) -> Result<()> {
        if self.config.read_only {
            return Ok(());
        }
        // Fixed before the first wait: what others change meanwhile asks for no further commit
        // here.
        let wanted = state.commits.done_with_open();
        while state.commits.done() < wanted {
            state.life.writable()?;
            if state.commits.is_under_way() {
                self.signals.committed.wait(state);
            } else if state.has_changes() {
                self.commit_once(state)?;
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(crate) fn commit_once(&self, state: &mut Guard<'_>) -> Result<()> {
        // Before the first wait below: a second caller must find a commit under way.
        let mut frozen = match state.commits.begin() {
            Some(frozen) => frozen,
            None => {
                // First, for it waits. A leaf that landed in the next epoch would carry the mark
                // of this one, which the head settles. A crash could then leak it.
                self.await_puts(state);
                // Last before the freeze: no record can hold the bytes of a frozen layer, and an
                // fsync would wait for the commit.
                self.log_for_syncs(state);
                Box::new(freeze(state, self.now()))
            }
        };
        // Not as of the freeze: an epoch that waited for room must name what was submitted
        // meanwhile.
        frozen.holds = state.holds();
        frozen.volume.publication = Publication {
            changed: frozen.volume.publication.changed,
            ..state.volume.publication.clone()
        };
        let writer = Writer::new(&self.blocks, frozen.epoch);
        // Without the lock: only what is frozen is read. A crash leaves the head before, and fresh
        // blocks that the next mount frees.
        let written = MutexGuard::unlocked(state, || self.write_epoch(&frozen, &writer));
        let done = written.and_then(|written| self.install(state, &frozen, written));
        self.end_commit(state, frozen, writer, done)
    }

    /// What follows a commit, done or not.
    pub(super) fn end_commit(
        &self,
        state: &mut Guard<'_>,
        mut frozen: Box<Frozen>,
        writer: Writer<'_>,
        done: Result<()>,
    ) -> Result<()> {
        if done.is_err() {
            // The head of the next try deletes them. What was deleted may come back in a power
            // cut. What this head was to name cannot be deleted now: a head that failed may be in
            // place.
            frozen.stranded.extend(writer.into_put());
        }
        match &done {
            Ok(()) => {
                state.commits.finish();
                // Under the same lock: the next commit must name this version, and hold its
                // blocks.
                state.submit_joined();
            }
            Err(error) if is_full(error) => {
                tracing::warn!("the store is full: the commit waits for room");
                state.commits.stall(frozen);
            }
            Err(error) => {
                state.commits.fail();
                self.fail(state, "a commit failed", error);
            }
        }
        // After a failure too: waiters must learn that the volume stopped, or has no room.
        self.signals.committed.notify_all();
        self.signals.logged.notify_all();
        if done.is_ok() {
            // Last: it gives the lock away, and no caller waits for it.
            self.write_mark(state);
        }
        done.map_err(|error| if is_full(&error) { Error::NoSpace } else { error })
    }

    /// Writes all that the head will name, and syncs it.
    pub(super) fn write_epoch(&self, frozen: &Frozen, writer: &Writer<'_>) -> Result<Written> {
        // Its blocks are taken back after a failure: an epoch without room may wait long, and must
        // not fill the store meanwhile.
        let written = self.write_tree(frozen, writer);
        if written.is_err()
            && let Err(error) = writer.undo()
        {
            tracing::warn!(%error, "blocks of a commit that did not come about stay until the next one");
        }
        written
    }

    fn write_tree(&self, frozen: &Frozen, writer: &Writer<'_>) -> Result<Written> {
        let losses = Losses::default();
        let contents = Contents {
            blocks: &self.blocks,
            writer,
            losses: &losses,
            record_size: self.record_size,
        };
        let contents = contents.write(&frozen.items, &self.config)?;
        let mut writes = TreeWriter {
            engine: self,
            writer,
            losses: &losses,
            above: FxHashMap::default(),
            table: BTreeMap::new(),
            orphans: BTreeMap::new(),
            root: None,
            stored: Vec::new(),
        };
        writes.write(frozen, contents)?;
        let mut volume = frozen.volume.clone();
        let before: u64 = frozen.items.iter().map(|item| item.meta.stored).sum();
        let after: u64 = writes.stored.iter().map(|(_, _, bytes)| bytes).sum();
        volume.trees.bytes = (volume.trees.bytes + after).saturating_sub(before);
        if let Some(root) = writes.root.take() {
            volume.trees.root = root;
        }
        for ino in &frozen.left_table {
            // One that came back to the table keeps the row it has here.
            writes.table.entry(key_of(*ino)).or_insert(None);
        }
        let changes = std::mem::take(&mut writes.table);
        volume.trees.table = apply(
            self,
            writer,
            volume.trees.table,
            changes,
            &mut |_, error, changes| losses.linked(&error, changes),
        )?;
        // What was dropped so far was named by the tree, so snapshots may name it too; what
        // follows they never do.
        let mut held = writer.take_dropped();
        held.extend_from_slice(&frozen.dropped);
        let changes = std::mem::take(&mut writes.orphans);
        // An orphan that has no place in the table is in memory still; only a crash now would leak
        // its space.
        volume.trees.orphans = apply(self, writer, volume.trees.orphans, changes, &mut |_, error, _| {
            losses.table(Table::Orphans, &error);
            Ok(())
        })?;
        let (snapshots, freed) = self.write_ledger(frozen, writer, &losses, &mut volume, held)?;
        let (root, root_block) = self.write_commit(frozen, writer, &volume)?;
        // Now, while readers and writers go on, and not under the lock.
        self.blocks.store.prepare_delete(&freed)?;
        Ok(Written {
            root,
            root_block,
            volume,
            snapshots,
            freed,
            stored: writes.stored,
            losses,
        })
    }

    /// Snapshots, and what becomes of the blocks that were dropped, `held` are those that the tree
    /// named before; answers which are deleted.
    fn write_ledger(
        &self,
        frozen: &Frozen,
        writer: &Writer<'_>,
        losses: &Losses,
        volume: &mut Volume,
        held: Vec<Link>,
    ) -> Result<(Snapshots, Vec<Cid>)> {
        let mut ledger = Ledger {
            blocks: &self.blocks,
            writer,
            losses,
            snapshots: frozen.snapshots.clone(),
            table: volume.trees.snapshots.take(),
            dead: volume.trees.dead.take(),
            freed: Vec::new(),
            changes: BTreeMap::new(),
        };
        // In this order (docs/format.md 14). What only a destroyed snapshot named needs no place
        // on a list then. A new one takes the dead list, with what this commit drops.
        ledger.destroy(frozen.epoch)?;
        ledger.alter(frozen.epoch)?;
        ledger.drop_blocks(held)?;
        ledger.create(frozen.epoch, volume)?;
        // Last: it goes back from the tree that this commit has written.
        if let Some(rollback) = &frozen.rollback {
            ledger.roll_back(rollback, volume)?;
        }
        volume.trees.snapshots = ledger.finish(frozen.epoch)?;
        volume.trees.dead = ledger.dead.take();
        let Ledger {
            snapshots, mut freed, ..
        } = ledger;
        freed.extend(writer.take_dropped().into_iter().map(Freed::from));
        // The commit before is named by nothing but the head.
        let (previous, epoch, len) = frozen.previous;
        freed.push(commit_block(previous, epoch, len));
        // Last, as all that is freed passes here: a published version may name it.
        let keeper = Keeper {
            blocks: &self.blocks,
            writer,
            losses,
            epoch: frozen.epoch,
            holds: &frozen.holds,
            before: frozen.held_before.as_ref(),
        };
        let freed = keeper.settle(&mut volume.trees.held, freed)?;
        Ok((snapshots, freed))
    }

    fn write_commit(&self, frozen: &Frozen, writer: &Writer<'_>, volume: &Volume) -> Result<(Cid, Bytes)> {
        let (body, links) = volume.encode();
        let commit = Commit {
            volume_id: self.volume_id,
            epoch: frozen.epoch,
            previous: Some(frozen.previous.0),
            links,
            header_hash: frozen.header.hash,
            body,
        };
        let sealed = commit.seal(&mut self.blocks.machine.rng(), &self.key);
        let (root, block) = (sealed.cid, sealed.bytes.clone());
        // The last block, and a sync behind all: no head may name a block that is not durable. Few
        // small blocks need none, for the step of the head makes them durable.
        writer.put(sealed)?;
        writer.flush()?;
        if frozen.unsynced || writer.put_bulk() {
            self.blocks.store.sync()?;
        }
        Ok((root, block))
    }

    /// Moves the head, and lets the inodes know where their bytes are now.
    pub(super) fn install(&self, state: &mut Guard<'_>, frozen: &Frozen, written: Written) -> Result<()> {
        let head = Head {
            volume_id: self.volume_id,
            epoch: frozen.epoch,
            root: written.root,
        }
        .encode(&self.key);
        // Right before the swap: a store that was put back may lack blocks that this head names.
        self.head_is_ours(state)?;
        // Deleted in the step that moves the head: until then the old head names them.
        let mut delete = written.freed;
        delete.extend_from_slice(&frozen.stranded);
        self.blocks.store.swap_head(&HeadSwap {
            expected: state.committed.head.as_deref(),
            head: &head,
            header: Some(&frozen.header.bytes),
            root_block: &written.root_block,
            delete: &delete,
            settled: frozen.epoch,
            restarts_log: state.committed.restarts_log,
        })?;
        // Only now: after a swap that failed, readers go on with the old tree.
        self.blocks.forget(&delete);
        state.committed = Committed {
            version: Version {
                epoch: frozen.epoch,
                root: written.root,
            },
            root_len: u32::try_from(written.root_block.len()).expect("a commit block is at most 2 MiB"),
            closed: frozen.closed,
            inodes: written.volume.inodes,
            head: Some(head),
            twin_doubted: false,
            held_for: Some(frozen.holds.clone()),
            restarts_log: false,
        };
        state.volume.trees = written.volume.trees;
        state.snapshots.install(written.snapshots);
        state.pending = Pending::default();
        // The head is durable, and with it all that landed before the freeze.
        state.puts.synced(frozen.landed);
        state.log.committed(frozen.epoch);
        let mut left = FxHashSet::default();
        for (ino, stored, bytes) in written.stored {
            if matches!(stored, Stored::Index(_)) {
                left.insert(ino);
            }
            thaw(state, ino, stored, bytes);
        }
        let dead = frozen.items.iter().filter(|item| item.dead);
        let (destroyed, left): (Vec<_>, Vec<_>) = dead
            .map(|item| item.meta.ino)
            .partition(|ino| !left.contains(ino));
        for ino in destroyed {
            state.inodes.take(ino);
        }
        self.tell_losses(state, frozen, written.losses);
        state.commits.set_destroying(left.len());
        // Those that are dead and not destroyed yet join the open epoch here.
        for item in &frozen.items {
            state.evict_if_idle(item.meta.ino);
        }
        Ok(())
    }
}

/// The frozen layer is what is stored now.
fn thaw(state: &mut Guard<'_>, ino: InodeNo, new: Stored, bytes: u64) {
    let Ok(inode) = state.inodes.get_mut(ino) else {
        return;
    };
    inode.frozen = false;
    inode.meta.stored = bytes;
    match &mut inode.content {
        Content::File(file) => {
            file.stored = new;
            file.frozen = None;
            file.frozen_unlogged = false;
        }
        Content::Dir(dir) => {
            dir.stored = match new {
                Stored::Tree(link) => Some(link),
                _ => None,
            };
            dir.frozen = None;
        }
        Content::Fixed(stored) => *stored = new,
    }
    state.inodes.weigh(ino);
}

#[cfg(test)]
mod tests;
