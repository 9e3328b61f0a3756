//! What a volume says about itself.

use crate::engine::Engine;
use crate::state::State;
use crate::{LogLoss, Quota, Result, StatFs};
use cairn_merkle::{Cid, Epoch, Suite};

/// Inodes that `statfs` reports when there is no limit.
const INODES_UNLIMITED: u64 = 1 << 40;

/// The volume's numbers at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The volume's name.
    pub volume_id: [u8; 16],
    /// What everything in it is sealed with.
    pub suite: Suite,
    /// The newest commit.
    pub epoch: Epoch,
    /// Its block.
    pub root: Cid,
    /// Bytes in memory that no commit holds yet.
    pub dirty_bytes: u64,
    /// Bytes that caches, inodes and dirty data take.
    pub memory_bytes: u64,
    /// Bytes of the live tree's files.
    pub used_bytes: u64,
    /// Files, directories and all else with an inode.
    pub inodes: u64,
    /// Deleted files whose space is being given back, over several commits.
    pub destroying: usize,
    /// Limits.
    pub quota: Quota,
    /// Why the volume cannot be changed, if it cannot.
    pub read_only: Option<&'static str>,
    /// It turned read-only by itself: something failed, or the store's head was moved.
    pub stopped: bool,
    /// A commit found the store full, and waits for room.
    pub full: bool,
    /// What repairs took away.
    pub repaired: Option<crate::stored::repairs::Repaired>,
    /// What of the intent log was durable and is lost.
    pub log_loss: Option<LogLoss>,
    /// What at the end of the intent log did not verify, and was not known to be durable.
    pub log_torn: Option<String>,
}

fn quota_of(state: &State) -> Quota {
    let limit = |limit: u64| Some(limit).filter(|limit| *limit != 0);
    Quota {
        bytes: limit(state.volume.quota_bytes),
        inodes: limit(state.volume.quota_inodes),
    }
}

impl Engine {
    /// Looks on the medium whether the store is still there and answers. Takes no lock of the
    /// engine: a device that hangs holds up the caller alone.
    ///
    /// # Errors
    /// As [`cairn_merkle::Blocks::probe`].
    pub fn probe_store(&self) -> Result<()> {
        Ok(self.blocks.store.probe()?)
    }

    /// Whether the store has no room for more than what frees some.
    ///
    /// # Errors
    /// When the store cannot say.
    pub fn is_store_full(&self) -> Result<bool> {
        Ok(!self.config.read_only && self.blocks.store.stats()?.available_bytes == 0)
    }

    /// The volume's numbers.
    pub fn status(&self) -> Status {
        let state = self.state.lock();
        let dirty_bytes = state.dirty_bytes();
        Status {
            volume_id: self.volume_id,
            suite: self.blocks.suite(),
            epoch: state.committed.epoch(),
            root: state.committed.version.root,
            dirty_bytes,
            memory_bytes: state.counted_bytes() + self.blocks.cached_bytes(),
            used_bytes: state.volume.trees.bytes,
            inodes: state.volume.inodes,
            destroying: state.commits.destroying(),
            quota: quota_of(&state),
            read_only: state.life.read_only(),
            stopped: state.life.read_only().is_some() && !self.config.read_only && !state.life.is_closing(),
            full: state.commits.is_full(),
            repaired: state.volume.repairs.summary.clone(),
            log_loss: self.log_loss.clone(),
            log_torn: self.log_torn.clone(),
        }
    }

    /// Capacity: the quota where there is one, else what the store's device has.
    ///
    /// # Errors
    /// When the store cannot say.
    pub fn statfs(&self) -> Result<StatFs> {
        // Without the lock: the store may ask its device.
        let stats = self.blocks.store.stats()?;
        let state = self.state.lock();
        let used = state.volume.trees.bytes + state.dirty_bytes() + state.put_bytes();
        let free = stats.available_bytes.saturating_sub(state.dirty_bytes());
        let (total_bytes, free_bytes) = match state.volume.quota_bytes {
            0 => (used + free, free),
            quota => (quota, quota.saturating_sub(used).min(free)),
        };
        let (inodes, quota) = (state.volume.inodes, state.volume.quota_inodes);
        let total_inodes = if quota == 0 { INODES_UNLIMITED } else { quota };
        Ok(StatFs {
            total_bytes,
            free_bytes,
            total_inodes,
            free_inodes: total_inodes.saturating_sub(inodes),
        })
    }

    /// Sets the volume's limits; durable on return.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn set_quota(&self, quota: Quota) -> Result<()> {
        self.change_quota(|limits| *limits = quota)
    }

    /// Changes the volume's limits as they are; durable on return.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn change_quota(&self, change: impl FnOnce(&mut Quota)) -> Result<()> {
        let mut state = self.state.lock();
        state.life.writable()?;
        let mut quota = quota_of(&state);
        change(&mut quota);
        state.volume.quota_bytes = quota.bytes.unwrap_or(0);
        state.volume.quota_inodes = quota.inodes.unwrap_or(0);
        state.volume.publication.changed = state.open.number();
        // A commit of its own, for a limit is in no record of the log.
        state.open.touch();
        self.commit_locked(&mut state)
    }
}
