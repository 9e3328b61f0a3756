//! Blocks of one epoch on their way into the store.

use super::cache::Opened;
use super::reader::Blocks;
use cairn_merkle::{Cid, Epoch, Link, Node, NodeSink, PutHint, Result, Sealed, StoreError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BATCH_BYTES: usize = 2 << 20;
const SMALL_BYTES_MAX: usize = 4 << 20;

/// Blocks of one epoch on their way into the store, and the ones they replace.
pub(crate) struct Writer<'a> {
    blocks: &'a Blocks,
    epoch: Epoch,
    batch: Mutex<Batch>,
    dropped: Mutex<Vec<Link>>,
    put: Mutex<Vec<Cid>>,
    bulk: AtomicBool,
}

#[derive(Default)]
struct Batch {
    sealed: Vec<Sealed>,
    bytes: usize,
    total: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(blocks: &'a Blocks, epoch: Epoch) -> Self {
        Self {
            blocks,
            epoch,
            batch: Mutex::default(),
            dropped: Mutex::default(),
            put: Mutex::default(),
            bulk: AtomicBool::new(false),
        }
    }

    /// Seals a record that was written whole, and queues it.
    #[cfg(test)]
    pub(crate) fn put_leaf(&self, plain: &[u8]) -> Result<Link> {
        Ok(self.put_record(plain, true)?.expect("it is no hole"))
    }

    /// Seals a record ([`Blocks::seal_record`]) and queues it; `None` for one that needs no leaf.
    pub(crate) fn put_record(&self, record: &[u8], whole: bool) -> Result<Option<Link>> {
        let Some((sealed, link)) = self.blocks.seal_record(self.epoch, record, whole) else {
            return Ok(None);
        };
        self.put(sealed)?;
        Ok(Some(link))
    }

    /// Queues a block.
    pub(crate) fn put(&self, sealed: Sealed) -> Result<()> {
        let full = {
            let mut batch = self.batch.lock();
            batch.bytes += sealed.bytes.len();
            batch.total += sealed.bytes.len();
            batch.sealed.push(sealed);
            batch.bytes >= BATCH_BYTES
        };
        if full { self.flush() } else { Ok(()) }
    }

    /// Hands what is queued to the store.
    pub(crate) fn flush(&self) -> Result<()> {
        let (sealed, total) = {
            let mut batch = self.batch.lock();
            batch.bytes = 0;
            (std::mem::take(&mut batch.sealed), batch.total)
        };
        if sealed.is_empty() {
            return Ok(());
        }
        self.put.lock().extend(sealed.iter().map(|block| block.cid));
        // Few bytes ride in the log that the head's own sync makes durable; many are written once,
        // to their place.
        if total <= SMALL_BYTES_MAX {
            return Ok(self.blocks.store.put(self.epoch, &sealed, PutHint::Small)?);
        }
        self.bulk.store(true, Ordering::Release);
        match self.blocks.store.put(self.epoch, &sealed, PutHint::Bulk) {
            // Small blocks may take from what the store keeps back, and a commit has to get through
            // to free anything.
            Err(full) if full.is_full() => Ok(self.blocks.store.put(self.epoch, &sealed, PutHint::Small)?),
            done => Ok(done?),
        }
    }

    /// Takes back what was put: the epoch is not to be committed, or not yet.
    pub(crate) fn undo(&self) -> std::result::Result<(), StoreError> {
        self.blocks.store.delete(&self.put.lock())
    }

    /// Names of what was put.
    pub(crate) fn into_put(self) -> Vec<Cid> {
        self.put.into_inner()
    }

    /// Whether a sync is needed before anything may name what was put.
    pub(crate) fn put_bulk(&self) -> bool {
        self.bulk.load(Ordering::Acquire)
    }

    /// Takes the replaced blocks noted so far.
    pub(crate) fn take_dropped(&self) -> Vec<Link> {
        std::mem::take(&mut self.dropped.lock())
    }
}

impl NodeSink for Writer<'_> {
    fn put_node(&self, node: Node) -> Result<Link> {
        let (sealed, link) = self.blocks.seal_node(self.epoch, &node);
        self.put(sealed)?;
        self.blocks.cache.insert(link.cid, Opened::Node(Arc::new(node)));
        Ok(link)
    }

    fn drop_block(&self, link: &Link) -> Result<()> {
        self.dropped.lock().push(link.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use cairn_merkle::testing::{FaultStore, Op};
    use cairn_merkle::{Blocks as _, Error, MemoryStore, NodeSource, Suite};

    fn blocks() -> (Arc<FaultStore<MemoryStore>>, Blocks) {
        let store = Arc::new(FaultStore::new(MemoryStore::new()));
        let blocks = Blocks::new(store.clone(), Suite::default(), 64 << 20, Machine::default());
        (store, blocks)
    }

    fn node(body: u8) -> Node {
        Node {
            links: Vec::new(),
            body: vec![body],
        }
    }

    #[test]
    fn blocks_wait_until_they_are_flushed_and_are_of_the_epoch() {
        let (store, blocks) = blocks();
        let writer = Writer::new(&blocks, Epoch(7));
        let leaf = writer.put_leaf(b"plain").unwrap();
        let link = writer.put_node(node(3)).unwrap();
        assert_eq!(
            (leaf.birth, link.birth, store.count(Op::Put)),
            (Epoch(7), Epoch(7), 0)
        );
        writer.flush().unwrap();
        writer.flush().unwrap();
        assert_eq!(store.count(Op::Put), 1, "nothing was left the second time");
        assert_eq!(store.fresh(None, 9).unwrap().len(), 2);
        assert_eq!(**blocks.leaf(&leaf).unwrap(), *b"plain");
        assert!(!writer.put_bulk());
        let mut put = writer.into_put();
        put.sort_unstable();
        assert_eq!(put, store.list(None, 9).unwrap());
    }

    #[test]
    fn a_node_is_at_hand_once_it_was_put_and_a_leaf_is_not() {
        let (store, blocks) = blocks();
        let writer = Writer::new(&blocks, Epoch(1));
        let (leaf, link) = (writer.put_leaf(b"x").unwrap(), writer.put_node(node(4)).unwrap());
        assert_eq!(blocks.node(&link).unwrap().body, [4]);
        assert!(!blocks.holds(&leaf.cid));
        assert_eq!(store.count(Op::Get), 0);
        assert!(
            matches!(blocks.leaf(&leaf), Err(Error::Missing { .. })),
            "it is queued"
        );
    }

    #[test]
    fn a_full_batch_goes_by_itself_and_many_are_bulk() {
        let (store, blocks) = blocks();
        let writer = Writer::new(&blocks, Epoch(1));
        let plain = vec![1; 1 << 20];
        writer.put_leaf(&plain).unwrap();
        assert_eq!(store.count(Op::Put), 0);
        writer.put_leaf(&plain).unwrap();
        assert_eq!((store.count(Op::Put), writer.put_bulk()), (1, false));
        for _ in 0..2 {
            writer.put_leaf(&plain).unwrap();
        }
        assert_eq!((store.count(Op::Put), writer.put_bulk()), (2, true));
        assert_eq!(writer.into_put().len(), 4);
    }

    #[test]
    fn a_bulk_put_that_finds_no_room_is_tried_as_a_small_one() {
        let (store, blocks) = blocks();
        let writer = Writer::new(&blocks, Epoch(1));
        let plain = vec![1; 1 << 20];
        for _ in 0..3 {
            writer.put_leaf(&plain).unwrap();
        }
        store.full_from_nth(Op::Put, 0);
        let full = writer.put_leaf(&plain).unwrap_err();
        assert!(matches!(full, Error::Store(error) if error.is_full()));
        assert_eq!(store.count(Op::Put), 3, "both ways");
        store.heal();
        writer.put_leaf(&plain).unwrap();
        store.fail_nth(Op::Put, 0);
        assert!(writer.flush().is_err());
        assert_eq!(store.count(Op::Put), 4, "another failure is told at once");
    }

    #[test]
    fn what_was_put_is_taken_back_and_what_it_replaces_is_told_once() {
        let (store, blocks) = blocks();
        let writer = Writer::new(&blocks, Epoch(1));
        let leaf = writer.put_leaf(b"plain").unwrap();
        writer.flush().unwrap();
        writer.drop_block(&leaf).unwrap();
        assert_eq!(writer.take_dropped(), [leaf]);
        assert_eq!(writer.take_dropped(), []);
        assert_eq!(store.list(None, 9).unwrap().len(), 1);
        writer.undo().unwrap();
        assert!(store.list(None, 9).unwrap().is_empty());
    }
}
