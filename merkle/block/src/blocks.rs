//! What a store promises of blocks.

use crate::group::Part;
use crate::{Cid, Epoch, StoreError};
use bytes::Bytes;
use std::ops::Range;

/// The longest block, as stored: what other IPLD implementations take, too.
pub const MAX_STORED: usize = 2 << 20;

/// A sealed block on its way into the store: at most 2 MiB, named by the hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Name of `bytes`.
    pub cid: Cid,
    /// Ciphertext and tag, or a dag-cbor node.
    pub bytes: Bytes,
    /// Hashes of its groups, with which a part of it can be verified; empty if it has none or if
    /// they were not computed.
    pub groups: Bytes,
}

impl Sealed {
    /// A block that is read as a whole only.
    pub fn new(cid: Cid, bytes: Bytes) -> Self {
        let groups = Bytes::new();
        Self { cid, bytes, groups }
    }
}

/// Whether a part of a block is asked for again. It changes speed, never meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartHint {
    /// Hardly: the caller keeps it, or asks for the whole block next.
    Once,
    /// Perhaps: worth keeping at hand.
    Again,
}

/// How a batch of blocks should be written. It changes speed, never meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutHint {
    /// File data: written once, straight to its place; durable at the next [`Blocks::sync`].
    Bulk,
    /// A few small blocks of a commit that the next sync should not have to flush a table for. A
    /// store that is full for data keeps room for these, since only a commit can free anything.
    Small,
}

/// What a store can tell about itself. Informative only: nothing here is trusted for safety.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes the store occupies on its device, garbage included.
    pub used_bytes: u64,
    /// Bytes that can still be written before the device is full.
    pub available_bytes: u64,
    /// Bytes of deleted blocks that have not yet been given back.
    pub garbage_bytes: u64,
}

/// How far blocks that were put have got, counted in blocks since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutProgress {
    /// Put so far.
    pub accepted: u64,
    /// Of these, the first so many outlive this process, though perhaps no power cut.
    pub written: u64,
}

/// Blocks by their names. A block is never changed, only put and deleted.
pub trait Blocks: Send + Sync {
    /// The bytes stored under `cid`, unverified, or `None`.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError>;

    /// The same, if it takes no wait for a device or another machine; `None` says nothing about
    /// what is stored.
    fn get_now(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let _ = cid;
        Ok(None)
    }

    /// A part of the bytes stored under `cid`, of whole groups ([`crate::group::groups_around`]),
    /// with the hashes of all groups, everything unverified. `None` says nothing about what is
    /// stored.
    fn get_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Result<Option<Part>, StoreError> {
        let _ = (cid, range, hint);
        Ok(None)
    }

    /// Many at once, in the order asked.
    fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>, StoreError> {
        cids.iter().map(|cid| self.get(cid)).collect()
    }

    /// Whether a block is stored, whatever its bytes are.
    fn holds(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.get(cid)?.is_some())
    }

    /// Stores blocks and marks them as fresh in `epoch`. Durable after the next [`Self::sync`]. All
    /// or nothing after a crash is not promised.
    ///
    /// # Errors
    /// `StorageFull`, before anything is written, when there is no room.
    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError>;

    /// How far puts have got without a sync. A put that returned before this call is counted.
    fn put_progress(&self) -> PutProgress {
        PutProgress::default()
    }

    /// Forgets blocks; unknown names are no error. Need not be durable before the next sync or
    /// swap.
    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError>;

    /// Makes every put and delete that returned before this call durable.
    fn sync(&self) -> Result<(), StoreError>;

    /// Up to `count_max` blocks put in epochs above those settled, with the epoch of their put:
    /// what a crash may have stranded. Continue after the last one returned.
    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError>;

    /// Names of stored blocks in order, after `after`: for `check`, which compares them with what
    /// the head names.
    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError>;

    /// Sizes; cheap enough to be called for each `statfs`.
    fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Looks on the medium, not in memory, whether the store is still there and answers. Writes
    /// nothing.
    ///
    /// # Errors
    /// The store was taken away or another thing put in its place; its device fails; an earlier
    /// write failed.
    fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Gives the space of deleted blocks back to the device, if enough has gathered. Slow; called
    /// when idle.
    fn reclaim(&self) -> Result<(), StoreError>;

    /// Nothing more will be put: leaves what is stored tidy. Not calling it costs time later and
    /// nothing else.
    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
