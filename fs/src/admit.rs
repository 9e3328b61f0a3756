//! Whether there is room: in memory, in the quota, in the store.
//!
//! ```text
//! write --wait_for_room--> memory      waits for a commit; half full or more, it has one begin
//!       --fits_quota-----> quota       commits, if what was deleted may still count
//!       --stats----------> the store   refuses before anything is half done
//! ```

use crate::engine::{DIRTY_SHARE, Engine, Guard, INODES_SHARE};
use crate::state::State;
use crate::{Error, Result};

/// What a changed inode takes until it is committed, beside its data: itself, its name, its record on the way into the
/// tree and the tree's nodes.
const DIRTY_INODE_BYTES: u64 = 4096;

impl Engine {
    /// Waits until there is room for more dirty data, and refuses what the quota or the store has none for.
    pub(crate) fn admit_bytes(&self, state: &mut Guard<'_>, len: u64) -> Result<()> {
        self.wait_for_room(state)?;
        // What waits may replace bytes that count already, and what was deleted counts until a commit has freed it, a
        // huge file until several have.
        let mut counted = u64::MAX;
        while !fits_quota(state, len)
            && (state.has_changes() || state.committing)
            && used_bytes(state) < counted
        {
            counted = used_bytes(state);
            self.commit_locked(state)?;
        }
        if !fits_quota(state, len) {
            return Err(Error::NoSpace);
        }
        let pending = state.dirty_bytes + state.frozen_bytes + len;
        // What is dirty will be put, and so will the nodes above it.
        let stats = self.blocks.store.stats()?;
        if stats.available_bytes < pending + pending / 64 {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    /// Refuses an allocation that there is no room for. Nothing is reserved: each write is admitted on its own.
    pub(crate) fn admit_allocation(&self, state: &State, len: u64) -> Result<()> {
        let dirty = state.dirty_bytes + state.frozen_bytes;
        if !fits_quota(state, len) || self.blocks.store.stats()?.available_bytes < dirty.saturating_add(len) {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    /// Waits while dirty data and dirty inodes take all the memory they may, and has a commit begin at half of it: a
    /// writer fills the rest meanwhile. One who syncs what he writes is slower, and each commit writes whole records for
    /// what may be a few bytes of each: his begins at three quarters.
    pub(crate) fn wait_for_room(&self, state: &mut Guard<'_>) -> Result<()> {
        let limit = self.dirty_max(state);
        let frozen = |state: &State| state.frozen_bytes + state.frozen_inodes as u64 * DIRTY_INODE_BYTES;
        let open = |state: &State| state.dirty_bytes + state.dirty.len() as u64 * DIRTY_INODE_BYTES;
        while open(state) + frozen(state) > limit {
            state.writable()?;
            // Waiting would end when there is room again, which may be never.
            if state.full {
                return Err(Error::NoSpace);
            }
            self.want_commit(state);
            self.signals.committed.wait(state);
        }
        let syncs = state.log.written > open(state) / 2;
        let enough = if syncs { limit / 4 * 3 } else { limit / 2 };
        if open(state) > enough && !state.full {
            self.want_commit(state);
        }
        Ok(())
    }

    /// Bytes that dirty data may take: half of the memory, and what inodes leave of their share.
    fn dirty_max(&self, state: &State) -> u64 {
        let memory = self.config.memory_bytes;
        memory / DIRTY_SHARE + (memory / INODES_SHARE).saturating_sub(state.inode_bytes())
    }

    fn want_commit(&self, state: &mut State) {
        if !state.commit_wanted {
            state.commit_wanted = true;
            self.signals.wake.notify_all();
        }
    }

    /// Refuses one more inode when the quota is used up.
    pub(crate) fn admit_inode(&self, state: &State) -> Result<()> {
        let quota = state.volume.quota_inodes;
        if quota != 0 && state.volume.inodes >= quota {
            return Err(Error::NoSpace);
        }
        if self.blocks.store.stats()?.available_bytes < 4096 {
            return Err(Error::NoSpace);
        }
        Ok(())
    }
}

/// What counts against the quota: what is committed, and what was written since.
fn used_bytes(state: &State) -> u64 {
    let pending = state.dirty_bytes + state.frozen_bytes + state.put_bytes + state.frozen_put_bytes;
    state.volume.bytes + pending
}

fn fits_quota(state: &State, len: u64) -> bool {
    let quota = state.volume.quota_bytes;
    quota == 0 || used_bytes(state).saturating_add(len) <= quota
}
