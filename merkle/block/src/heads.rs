//! What a store promises of the head, and of the header and commit block that lie twice with it.

use crate::{Cid, Epoch, StoreError};
use bytes::Bytes;

/// The atomic step that ends a commit.
#[derive(Clone, Debug)]
pub struct HeadSwap<'a> {
    /// What [`Heads::head`] answered this mount, or what it wrote last: the damaged one where the
    /// twin was used; `None` when the store must have none, or none that can be read.
    pub expected: Option<&'a [u8]>,
    /// The new head.
    pub head: &'a [u8],
    /// The volume header, as it is to be from now on; `None` leaves it as it is.
    pub header: Option<&'a [u8]>,
    /// The commit block that the new head names, for the twin; it was put as well.
    pub root_block: &'a [u8],
    /// Blocks that no kept version names any more.
    pub delete: &'a [Cid],
    /// Puts marked with this epoch or an earlier one are no longer listed by
    /// [`Blocks::fresh`](crate::Blocks::fresh).
    pub settled: Epoch,
    /// Every log record there is is past, whatever its epoch: a mount has made of the log what can
    /// be made of it.
    pub restarts_log: bool,
}

/// The second copy of head, header and commit block, as a store answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twin {
    /// The head.
    pub head: Bytes,
    /// The volume header.
    pub header: Bytes,
    /// The commit block that the head names.
    pub root_block: Bytes,
}

/// The head of a volume with its header, in both copies, and the swap that moves it.
pub trait Heads: Send + Sync {
    /// The head, or `None` in a store that holds no volume.
    fn head(&self) -> Result<Option<Bytes>, StoreError>;

    /// The volume header, or `None` in a store that holds no volume.
    fn header(&self) -> Result<Option<Bytes>, StoreError>;

    /// The second copy of head, header and commit block, as the newest [`Self::swap_head`] left
    /// them, in a place that no fault reaches together with the first. `None` where there is no
    /// volume, or of a kind of store that keeps no copy.
    ///
    /// # Errors
    /// One that [`StoreError::is_damage`], where the copy is not whole, or of another swap.
    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        Ok(None)
    }

    /// The head that lies where this handle keeps the second copy of its own, read anew from the
    /// medium. `None` says nothing: there is no whole copy, or this kind of store keeps none. What
    /// the handle remembers is no answer.
    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    /// Whole second copies of later swaps than the newest that the store's first copies tell of,
    /// and of that one where the first copy of its head is another, newest first: the first copies
    /// have lost what they held, or a crash came between the two. The side with the key judges
    /// which.
    fn twins_ahead(&self) -> Result<Vec<Twin>, StoreError> {
        Ok(Vec::new())
    }

    /// Makes one of [`Self::twins_ahead`] the newest head, durably: head, header, its swap, and
    /// `settled`, the epoch of its commit. What that swap deleted stays, and nothing names it.
    ///
    /// # Errors
    /// [`StoreError::HeadMoved`] where there is no such copy.
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

    /// Replaces the head and its twin, and does all else that [`HeadSwap`] says, atomically and
    /// durably; log records of epochs up to `settled` are trimmed. All puts it depends on must have
    /// been synced, or were put as [`PutHint::Small`](crate::PutHint::Small): those become durable
    /// with it.
    ///
    /// # Errors
    /// [`StoreError::HeadMoved`], with nothing changed, where `expected` is not the head in place.
    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError>;
}
