//! A store in memory: the reference for the meaning of [`BlockStore`](crate::BlockStore), and the
//! scratch volume of tests.
//!
//! One lock makes every operation atomic. Memory is as durable as it will ever be: `sync` does
//! nothing.

use crate::group::{Part, groups_of};
use crate::{
    Blocks, Cid, Epoch, HeadSwap, Heads, Log, LogPos, LogRest, PartHint, PutHint, Sealed, StoreError,
    StoreStats, Twin,
};
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    image: RwLock<Image>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the second copy away, so that damage of the first is damage.
    #[cfg(feature = "testing")]
    pub fn lose_twin(&self) {
        self.image.write().twin = None;
    }
}

/// Everything a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) blocks: BTreeMap<Cid, Bytes>,
    pub(crate) fresh: BTreeSet<(Epoch, Cid)>,
    pub(crate) log: BTreeMap<LogPos, Bytes>,
    /// The newest last.
    pub(crate) marks: Vec<Bytes>,
    pub(crate) head: Option<Bytes>,
    pub(crate) header: Option<Bytes>,
    pub(crate) twin: Option<Twin>,
}

impl Image {
    pub(crate) fn put(&mut self, epoch: Epoch, block: &Sealed) {
        self.blocks.insert(block.cid, block.bytes.clone());
        self.fresh.insert((epoch, block.cid));
    }

    pub(crate) fn delete(&mut self, cid: &Cid) {
        self.blocks.remove(cid);
        self.fresh.retain(|(_, fresh)| fresh != cid);
    }

    pub(crate) fn append(&mut self, records: &[(LogPos, Bytes)]) {
        self.log.extend(records.iter().cloned());
    }

    /// Keeps as many marks as a store in a directory does.
    pub(crate) fn mark(&mut self, mark: &[u8]) {
        self.marks.push(Bytes::copy_from_slice(mark));
        let older = self.marks.len().saturating_sub(2);
        self.marks.drain(..older);
    }

    pub(crate) fn swap(&mut self, swap: &HeadSwap<'_>) {
        self.head = Some(Bytes::copy_from_slice(swap.head));
        if let Some(header) = swap.header {
            self.header = Some(Bytes::copy_from_slice(header));
        }
        self.twin = Some(Twin {
            head: Bytes::copy_from_slice(swap.head),
            header: self.header.clone().unwrap_or_default(),
            root_block: Bytes::copy_from_slice(swap.root_block),
        });
        swap.delete.iter().for_each(|cid| self.delete(cid));
        self.fresh.retain(|(epoch, _)| *epoch > swap.settled);
        self.log
            .retain(|pos, _| pos.epoch > swap.settled && !swap.restarts_log);
    }

    #[cfg(feature = "testing")]
    pub(crate) fn into_store(self) -> MemoryStore {
        MemoryStore {
            image: RwLock::new(self),
        }
    }
}

impl Blocks for MemoryStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        Ok(self.image.read().blocks.get(cid).cloned())
    }

    fn get_part(&self, cid: &Cid, range: Range<usize>, _hint: PartHint) -> Result<Option<Part>, StoreError> {
        let image = self.image.read();
        let stored = image.blocks.get(cid).filter(|stored| range.end <= stored.len());
        Ok(stored.map(|stored| Part {
            bytes: stored.slice(range.clone()),
            groups: groups_of(stored),
            range,
        }))
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], _hint: PutHint) -> Result<(), StoreError> {
        let mut image = self.image.write();
        blocks.iter().for_each(|block| image.put(epoch, block));
        Ok(())
    }

    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let mut image = self.image.write();
        cids.iter().for_each(|cid| image.delete(cid));
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .image
            .read()
            .fresh
            .range((start, Bound::Unbounded))
            .take(count_max)
            .copied()
            .collect())
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let image = self.image.read();
        Ok(image
            .blocks
            .range((start, Bound::Unbounded))
            .take(count_max)
            .map(|(cid, _)| *cid)
            .collect())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let used_bytes = self
            .image
            .read()
            .blocks
            .values()
            .map(|bytes| bytes.len() as u64)
            .sum();
        Ok(StoreStats {
            used_bytes,
            available_bytes: u64::MAX / 2,
            garbage_bytes: 0,
        })
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Log for MemoryStore {
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.image.write().append(records);
        Ok(())
    }

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        let mut bytes_read = 0;
        let image = self.image.read();
        let records = image.log.range(from..).take_while(|(_, record)| {
            let first = bytes_read == 0;
            bytes_read += record.len().max(1);
            first || bytes_read <= bytes_max
        });
        Ok(records.map(|(pos, record)| (*pos, record.clone())).collect())
    }

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        self.image.write().mark(mark);
        Ok(())
    }

    fn log_rest(&self) -> Result<LogRest, StoreError> {
        Ok(LogRest {
            marks: self.image.read().marks.clone(),
            broken: Vec::new(),
        })
    }
}

impl Heads for MemoryStore {
    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.image.read().head.clone())
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.image.read().header.clone())
    }

    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        Ok(self.image.read().twin.clone())
    }

    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        self.head()
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        let mut image = self.image.write();
        if image.head.as_deref() != swap.expected {
            return Err(StoreError::HeadMoved);
        }
        image.swap(swap);
        Ok(())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_the_contract_of_a_store() {
        crate::testing::store_contract(MemoryStore::new);
    }
}
