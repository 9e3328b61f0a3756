//! The seam between the trusted side and the place of sealed blocks.
//!
//! ```text
//!   put blocks ---> (not durable) ---> sync ---> swap_head: the one atomic, durable step of a commit
//!   append log ---> durable on return               |-- new head (and header)
//!                                                   |-- deletes what the commit dropped
//!                                                   |-- settles what was put up to its epoch
//!                                                   `-- trims the log it makes redundant
//!   log_mark ---> kept beside the log, durable some time
//! ```
//!
//! Every method may be called from many threads. No answer of a store is believed: blocks are
//! checked against their [`Cid`], and heads, headers and log records carry their own
//! authentication.
//!
//! **Invariant:** no implementation needs a key, and a block is never changed, only put and
//! deleted.

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

/// Place of a record in the intent log: first by the epoch it adds to, then by its number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPos {
    /// The open epoch whose operations the record holds.
    pub epoch: Epoch,
    /// Counts from 0 within the epoch.
    pub seq: u64,
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
    /// File data: written once, straight to its place; durable at the next [`BlockStore::sync`].
    Bulk,
    /// A few small blocks of a commit that the next sync should not have to flush a table for. A store that is full for
    /// data keeps room for these, since only a commit can free anything.
    Small,
}

/// The atomic step that ends a commit.
#[derive(Clone, Debug)]
pub struct HeadSwap<'a> {
    /// What [`BlockStore::head`] answered this mount, or what it wrote last: the damaged one where the twin was used;
    /// `None` when the store must have none, or none that can be read.
    pub expected: Option<&'a [u8]>,
    /// The new head.
    pub head: &'a [u8],
    /// The volume header, as it is to be from now on; `None` leaves it as it is.
    pub header: Option<&'a [u8]>,
    /// The commit block that the new head names, for the twin; it was put as well.
    pub root_block: &'a [u8],
    /// Blocks that no kept version names any more.
    pub delete: &'a [Cid],
    /// Puts marked with this epoch or an earlier one are no longer listed by [`BlockStore::fresh`].
    pub settled: Epoch,
    /// Every log record there is is past, whatever its epoch: a mount has made of the log what can be made of it.
    pub restarts_log: bool,
}

/// What a store found of its log besides whole records. None of it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRest {
    /// What was given to [`BlockStore::log_mark`] last, as far as it is there: one or more of the newest.
    pub marks: Vec<Bytes>,
    /// Places where there is something of a record, but not what would tell which one, as people find them.
    pub broken: Vec<String>,
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

/// A content-addressed store of sealed blocks with a head, a header and a log. See the module's picture.
pub trait BlockStore: Send + Sync {
    /// The bytes stored under `cid`, unverified, or `None`.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError>;

    /// The same, if it takes no wait for a device or another machine; `None` says nothing about what is stored.
    fn get_now(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let _ = cid;
        Ok(None)
    }

    /// A part of the bytes stored under `cid`, of whole groups ([`crate::group::groups_around`]), with the hashes of all groups,
    /// everything unverified. `None` says nothing about what is stored.
    fn get_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Result<Option<Part>, StoreError> {
        let _ = (cid, range, hint);
        Ok(None)
    }

    /// Whether a block is stored, whatever its bytes are.
    fn holds(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.get(cid)?.is_some())
    }

    /// Many at once, in the order asked.
    fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>, StoreError> {
        cids.iter().map(|cid| self.get(cid)).collect()
    }

    /// Stores blocks and marks them as fresh in `epoch`. Durable after the next [`Self::sync`]. All or nothing
    /// after a crash is not promised. Fails with `StorageFull` before it writes when there is no room.
    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError>;

    /// Forgets blocks; unknown names are no error. Need not be durable before the next sync or swap.
    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError>;

    /// Makes every put and delete that returned before this call durable.
    fn sync(&self) -> Result<(), StoreError>;

    /// Appends log records; durable when it returns, with all that were written before. Of an append that a crash cuts
    /// off, any record may be there, whole or torn. Does not make earlier puts durable.
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError>;

    /// Appends log records that outlive this process when it returns, and a power cut from the next
    /// [`Self::log_append`] on, which may have none of its own.
    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.log_append(records)
    }

    /// Keeps a mark beside the log: what the trusted side says of how far it is durable. It outlives this process when it
    /// returns, and a power cut perhaps; it makes nothing wait. The newest ones are kept.
    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        let _ = mark;
        Ok(())
    }

    /// The marks, and what of the log is there without being a record.
    fn log_rest(&self) -> Result<LogRest, StoreError> {
        Ok(LogRest::default())
    }

    /// Log records from `from` on in order, stopping after about `bytes_max` (but at least one if there is one). Also
    /// those that may not be what was written, and those behind them.
    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError>;

    /// The head, or `None` in a store that holds no volume.
    fn head(&self) -> Result<Option<Bytes>, StoreError>;

    /// The volume header, or `None` in a store that holds no volume.
    fn header(&self) -> Result<Option<Bytes>, StoreError>;

    /// The second copy of head, header and commit block, as the newest [`Self::swap_head`] left them, in a place that no
    /// fault reaches together with the first. `None` where there is no volume, or of a kind of store that keeps no copy.
    /// One that is not whole, or of another swap, is an error that [`StoreError::is_damage`].
    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        Ok(None)
    }

    /// The head that lies where this handle keeps the second copy of its own, read anew from the medium. `None` says
    /// nothing: there is no whole copy, or this kind of store keeps none. What the handle remembers is no answer.
    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    /// Whole second copies of later swaps than the newest that the store's first copies tell of, and of that one where the
    /// first copy of its head is another, newest first: the first copies have lost what they held, or a crash came between the
    /// two. The side with the key judges which.
    fn twins_ahead(&self) -> Result<Vec<Twin>, StoreError> {
        Ok(Vec::new())
    }

    /// Makes one of [`Self::twins_ahead`] the newest head, durably: head, header, its swap, and `settled`, the epoch of its
    /// commit. What that swap deleted stays, and nothing names it. Fails with [`StoreError::HeadMoved`] where there is no such
    /// copy.
    fn adopt(&self, twin: &Twin, settled: Epoch) -> Result<(), StoreError> {
        let _ = (twin, settled);
        Err(StoreError::HeadMoved)
    }

    /// Takes the second copies of later swaps away, durably: what they tell of was given up.
    fn drop_twins_ahead(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Says that the next [`Self::swap_head`] is to delete these blocks. So the store can look up
    /// what it needs of them before a caller waits for the swap. Changes nothing, and is only
    /// ever a hint.
    fn prepare_delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let _ = cids;
        Ok(())
    }

    /// Replaces the head and its twin, and does all else that [`HeadSwap`] says, atomically and durably; log records of
    /// epochs up to `settled` are trimmed. All puts it depends on must have been synced, or were put as
    /// [`PutHint::Small`]: those become durable with it.
    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError>;

    /// Up to `count_max` blocks put in epochs above those settled, with the epoch of their put: what a crash
    /// may have stranded. Continue after the last one returned.
    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError>;

    /// Names of stored blocks in order, after `after`: for `check`, which compares them with what the head names.
    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError>;

    /// Sizes; cheap enough to be called for each `statfs`.
    fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Gives the space of deleted blocks back to the device, if enough has gathered. Slow; called when idle.
    fn reclaim(&self) -> Result<(), StoreError>;

    /// Nothing more will be put: leaves what is stored tidy. Not calling it costs time later and nothing else.
    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The second copy, as a store answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twin {
    /// The head.
    pub head: Bytes,
    /// The volume header.
    pub header: Bytes,
    /// The commit block that the head names.
    pub root_block: Bytes,
}
