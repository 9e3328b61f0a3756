//! Whether there is room: in memory, in the quota, in the store.
//!
//! ```text
//! every change --wait_for_room--> memory     waits for a commit; from half full on, one begins
//! write        --fits_quota-----> quota      a commit first, if deleted data may still count
//!              --stats----------> the store  a commit first, if it has not given back all yet
//! ```
//!
//! Nothing here commits: it says [`Refused::CommitFirst`], and [`crate::commit::room`] begins the
//! change anew.
//!
//! In memory until it is committed, all counted in bytes:
//!
//! | what | counted as |
//! |---|---|
//! | bytes of files | `dirty_bytes` |
//! | changed inodes, dead ones too | [`DIRTY_INODE_BYTES`] each |
//! | their names and attributes, in all copies a commit makes | `copies_bytes` |
//! | names, records of files, leaves that were replaced | `overhead_bytes` |
//! | operations that are in no log yet | what the log buffer holds |
//!
//! The counts of an epoch only grow: what was written and cut off again is counted until the
//! commit, which frees it.
//!
//! **Invariant:** a caller that waits here holds nothing that a commit needs, and a commit frees
//! all that is counted.

use crate::config::{DIRTY_SHARE, INODES_SHARE};
use crate::engine::{Engine, Guard};
use crate::state::State;
use crate::{Error, Result};

/// What a changed inode takes until it is committed, beside its data: itself, its record on the
/// way into the tree and the tree's nodes.
const DIRTY_INODE_BYTES: u64 = 3584;
/// Divisor of the memory that removals may take in addition while the store is full: they are what
/// makes room.
const REMOVAL_SHARE: u64 = 8;
/// Divisor of the memory that is left to dirty data, whatever inodes take.
const DIRTY_LEAST_SHARE: u64 = 8;

/// What a new inode adds to the store: a share of a node.
const INODE_PUT_BYTES: u64 = 4096;

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A commit may make the room for it; if `reclaim`, with what the store gives back after that.
    /// The caller has one made, and begins anew.
    CommitFirst { reclaim: bool },
    /// There is none, or something else is wrong.
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What was done to make room for a change that begins anew.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// What counted against the quota before the last commit.
    used_bytes: Option<u64>,
    /// The store gave back what was deleted.
    reclaimed: bool,
}

impl Tried {
    /// Whether one more commit may help: the first one, or one after another that did.
    fn another_commit(&mut self, used: u64) -> bool {
        self.used_bytes.replace(used).is_none_or(|before| used < before)
    }
}

/// Whether a change makes the volume larger or smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    More,
    /// It is possible on a full volume.
    Less,
}

impl State {
    /// Memory that the open epoch takes.
    fn open_bytes(&self) -> u64 {
        let inodes = self.inodes.dirty().len() as u64 * DIRTY_INODE_BYTES + self.inodes.copies_bytes();
        self.open.dirty_bytes() + inodes + self.open.overhead_bytes() + self.log.bytes()
    }

    /// Memory that the commit under way takes.
    fn closed_bytes(&self) -> u64 {
        let inodes = self.pending.inodes as u64 * DIRTY_INODE_BYTES;
        self.pending.dirty_bytes + inodes + self.pending.overhead_bytes
    }

    /// Dirty data, open and frozen.
    pub(crate) fn dirty_bytes(&self) -> u64 {
        self.open.dirty_bytes() + self.pending.dirty_bytes
    }

    /// Bytes of leaves that were put and that no commit names yet.
    pub(crate) fn put_bytes(&self) -> u64 {
        self.open.put_bytes() + self.pending.put_bytes
    }

    /// Whether the store might have more room once it gives back what was deleted.
    pub(crate) fn may_give_back(&mut self) -> bool {
        let changes = self.has_changes();
        self.commits.may_give_back(changes)
    }

    /// Memory that inodes and all that no commit holds yet take.
    pub(crate) fn counted_bytes(&self) -> u64 {
        self.open_bytes() + self.closed_bytes() + self.inodes.bytes() + self.snapshots.bytes()
    }
}

impl Engine {
    /// Waits until there is room for more dirty data, and refuses what the quota or the store has
    /// none for.
    pub(crate) fn admit_bytes(
        &self,
        state: &mut Guard<'_>,
        len: u64,
        tried: &mut Tried,
    ) -> Result<(), Refused> {
        // First, for it may release the lock: quota and store are judged as they are then.
        self.wait_for_room(state, Claim::More)?;
        if fits_quota(state, len) {
            return self.admit_put(state, len, tried);
        }
        // Dirty data may overwrite bytes already counted. Deleted bytes count until a commit frees
        // them; of a huge file, several commits. So commit and recount before refusing.
        let pending = state.has_changes() || state.commits.is_under_way();
        match pending && tried.another_commit(used_bytes(state)) {
            true => Err(Refused::CommitFirst { reclaim: false }),
            false => Err(Error::NoSpace.into()),
        }
    }

    /// Refuses what the store has no room for, unless it may have more once it gives back what was
    /// deleted.
    fn admit_put(&self, state: &mut State, len: u64, tried: &mut Tried) -> Result<(), Refused> {
        if self.store_takes(state, len)? {
            return Ok(());
        }
        if tried.reclaimed || !state.may_give_back() {
            return Err(Error::NoSpace.into());
        }
        // Once for each change, or a full store would be kept busy for ever.
        tried.reclaimed = true;
        Err(Refused::CommitFirst { reclaim: true })
    }

    /// Whether the store has room for `len` more bytes. What is dirty will be put, and so will the
    /// nodes above it.
    fn store_takes(&self, state: &State, len: u64) -> Result<bool> {
        let pending = state.dirty_bytes() + len;
        let stats = self.blocks.store.stats()?;
        Ok(stats.available_bytes >= pending + pending / 64)
    }

    /// Bytes that can still be written, by quota and store.
    pub fn room(&self) -> u64 {
        let state = self.state.lock();
        let pending = state.dirty_bytes();
        // A store that cannot say has none: its refusal is to reach the writer.
        let available = self.blocks.store.stats().map_or(0, |stats| stats.available_bytes);
        let device = available.saturating_sub(pending + pending / 64);
        match state.volume.quota_bytes {
            0 => device,
            quota => device.min(quota.saturating_sub(used_bytes(&state))),
        }
    }

    /// Refuses an allocation that there is no room for. Nothing is reserved: each write is
    /// admitted on its own.
    pub(crate) fn admit_allocation(&self, state: &State, len: u64) -> Result<()> {
        let dirty = state.dirty_bytes();
        if !fits_quota(state, len) || self.blocks.store.stats()?.available_bytes < dirty.saturating_add(len) {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    /// Waits while what is to be committed takes all the memory it may. At half of that a commit
    /// begins, and writers fill the rest meanwhile. For writers that sync it begins at three
    /// quarters: they are slower, and each commit writes whole records for a few bytes of each.
    pub(crate) fn wait_for_room(&self, state: &mut Guard<'_>, claim: Claim) -> Result<()> {
        while state.open_bytes() + state.closed_bytes() > self.dirty_max(state) {
            state.life.writable()?;
            // Waiting would end when there is room again, which may be never.
            if state.commits.is_full() {
                return self.admit_when_full(state, claim);
            }
            // No commit would free anything, so the wait would never end.
            if !state.has_changes() && !state.commits.is_under_way() {
                break;
            }
            self.want_commit(state);
            self.signals.committed.wait(state);
        }
        let (open, limit) = (state.open_bytes(), self.dirty_max(state));
        let syncs = state.log.written > open / 2;
        let enough = if syncs { limit / 4 * 3 } else { limit / 2 };
        if open > enough && !state.commits.is_full() {
            self.want_commit(state);
        }
        Ok(())
    }

    /// The store has no room for the commit that would free memory.
    fn admit_when_full(&self, state: &State, claim: Claim) -> Result<()> {
        let most = self.dirty_max(state) + self.config.memory_bytes / REMOVAL_SHARE;
        match claim {
            Claim::Less if state.open_bytes() + state.closed_bytes() <= most => Ok(()),
            _ => Err(Error::NoSpace),
        }
    }

    /// Bytes that dirty data may take: half of the memory, and what inodes leave of their share,
    /// or less if they take more.
    fn dirty_max(&self, state: &State) -> u64 {
        let memory = self.config.memory_bytes;
        let both = memory / DIRTY_SHARE + memory / INODES_SHARE;
        let taken = state.inodes.bytes() + state.snapshots.bytes();
        both.saturating_sub(taken).max(memory / DIRTY_LEAST_SHARE)
    }

    /// Refuses one more inode when the quota is used up, or the store has no room for its nodes.
    pub(crate) fn admit_inode(&self, state: &mut State, tried: &mut Tried) -> Result<(), Refused> {
        let quota = state.volume.quota_inodes;
        if quota != 0 && state.volume.inodes >= quota {
            return Err(Error::NoSpace.into());
        }
        self.admit_put(state, INODE_PUT_BYTES, tried)
    }
}

/// What counts against the quota: what is committed, and what was written since.
fn used_bytes(state: &State) -> u64 {
    let pending = state.dirty_bytes() + state.put_bytes();
    state.volume.trees.bytes + pending
}

fn fits_quota(state: &State, len: u64) -> bool {
    let quota = state.volume.quota_bytes;
    quota == 0 || used_bytes(state).saturating_add(len) <= quota
}

#[cfg(test)]
mod tests;
