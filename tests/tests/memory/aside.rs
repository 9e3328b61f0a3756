//! A store whose memory is not counted: what goes in and comes out is copied.

use crate::allocator::aside;
use bytes::Bytes;
use cairn_merkle::{
    BlockStore, Blocks, Cid, Epoch, HeadSwap, Heads, Log, LogPos, PutHint, Sealed, StoreError, StoreStats,
};

pub(crate) struct Aside<S>(S);

impl<S> Aside<S> {
    pub(crate) fn new(store: S) -> Self {
        Self(store)
    }
}

/// A copy that the caller may drop as what it allocated itself.
fn out(found: Option<Bytes>) -> Option<Bytes> {
    let copied = found.as_ref().map(|bytes| Bytes::copy_from_slice(bytes));
    aside(|| drop(found));
    copied
}

fn taken_in(records: &[(LogPos, Bytes)]) -> Vec<(LogPos, Bytes)> {
    let copy = |(pos, record): &(LogPos, Bytes)| (*pos, Bytes::copy_from_slice(record));
    records.iter().map(copy).collect()
}

impl<S: BlockStore> Blocks for Aside<S> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        Ok(out(aside(|| self.0.get(cid))?))
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError> {
        aside(|| {
            let copy = |block: &Sealed| Sealed::new(block.cid, Bytes::copy_from_slice(&block.bytes));
            let copies: Vec<Sealed> = blocks.iter().map(copy).collect();
            self.0.put(epoch, &copies, hint)
        })
    }

    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        aside(|| self.0.delete(cids))
    }

    fn sync(&self) -> Result<(), StoreError> {
        aside(|| self.0.sync())
    }

    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError> {
        let found = aside(|| self.0.fresh(after, count_max))?;
        let copied = found.clone();
        aside(|| drop(found));
        Ok(copied)
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError> {
        let found = aside(|| self.0.list(after, count_max))?;
        let copied = found.clone();
        aside(|| drop(found));
        Ok(copied)
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        // Without the sum over all blocks that the inner one would make for each write.
        Ok(StoreStats {
            used_bytes: 0,
            available_bytes: u64::MAX / 2,
            garbage_bytes: 0,
        })
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        aside(|| self.0.reclaim())
    }
}

impl<S: BlockStore> Log for Aside<S> {
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        aside(|| self.0.log_append(&taken_in(records)))
    }

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        let read = aside(|| self.0.log_read(from, bytes_max))?;
        let copied = taken_in(&read);
        aside(|| drop(read));
        Ok(copied)
    }
}

impl<S: BlockStore> Heads for Aside<S> {
    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(out(aside(|| self.0.head())?))
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(out(aside(|| self.0.header())?))
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        aside(|| self.0.swap_head(swap))
    }
}
