//! Blocks of one epoch on their way into the store.

use super::cache::Opened;
use super::reader::Blocks;
use cairn_merkle::{
    Cid, Epoch, Link, Node, NodeSink, PutHint, Result, Sealed, StoreError, seal_leaf, seal_node,
};
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

    /// Seals `plain` and queues it.
    pub(crate) fn put_leaf(&self, plain: &[u8]) -> Result<Link> {
        let (sealed, link) = seal_leaf(&mut rand::rng(), self.epoch, plain);
        self.put(sealed)?;
        Ok(link)
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
        // Few bytes ride in the log that the head's own sync makes durable; many are written once, to their place.
        if total <= SMALL_BYTES_MAX {
            return Ok(self.blocks.store.put(self.epoch, &sealed, PutHint::Small)?);
        }
        self.bulk.store(true, Ordering::Release);
        match self.blocks.store.put(self.epoch, &sealed, PutHint::Bulk) {
            // Small blocks may take from what the store keeps back, and a commit has to get through to free anything.
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
        let (sealed, link) = seal_node(&mut rand::rng(), self.epoch, &node);
        self.put(sealed)?;
        self.blocks.cache.insert(link.cid, Opened::Node(Arc::new(node)));
        Ok(link)
    }

    fn drop_block(&self, link: &Link) -> Result<()> {
        self.dropped.lock().push(link.clone());
        Ok(())
    }
}
