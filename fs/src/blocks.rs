//! Blocks in and out of the store, verified, opened and cached.
//!
//! ```text
//!   node(link), leaf(link) --miss--> store.get --verify, open--> cache
//!   Writer: put_node, put_leaf --seal--> batch --full--> store.put
//!           drop_block --> names the commit will free or hand to a dead list
//! ```
//!
//! A block never changes, so a cached one is right for ever; caches are bounded in bytes and keyed by name.

use bytes::Bytes;
use cairn_merkle::{
    BlockStore, Cid, Epoch, Error, Link, Node, NodeSink, NodeSource, PutHint, Result, Sealed, StoreError,
    open_leaf, open_node, seal_leaf, seal_node,
};
use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone)]
struct NodeWeight;

impl Weighter<Cid, Arc<Node>> for NodeWeight {
    fn weight(&self, _: &Cid, node: &Arc<Node>) -> u64 {
        (node.body.len() + node.links.len() * size_of::<Link>() + 128) as u64
    }
}

#[derive(Clone)]
struct LeafWeight;

impl Weighter<Cid, Arc<Vec<u8>>> for LeafWeight {
    fn weight(&self, _: &Cid, plain: &Arc<Vec<u8>>) -> u64 {
        plain.len() as u64 + 128
    }
}

/// The store, behind verification and caches.
pub(crate) struct Blocks {
    pub(crate) store: Arc<dyn BlockStore>,
    nodes: Cache<Cid, Arc<Node>, NodeWeight>,
    leaves: Cache<Cid, Arc<Vec<u8>>, LeafWeight>,
}

impl Blocks {
    /// Shares `cache_bytes` between nodes and leaves.
    pub(crate) fn new(store: Arc<dyn BlockStore>, cache_bytes: u64) -> Self {
        let half = cache_bytes / 2;
        Self {
            store,
            nodes: Cache::with_weighter(usize::try_from(half / 8192).unwrap_or(1024), half, NodeWeight),
            leaves: Cache::with_weighter(usize::try_from(half / 65536).unwrap_or(1024), half, LeafWeight),
        }
    }

    fn fetch(&self, cid: &Cid) -> Result<Bytes> {
        self.store.get(cid)?.ok_or(Error::Missing { cid: *cid })
    }

    /// Many blocks at once, unverified, in the order asked.
    pub(crate) fn fetch_many(&self, cids: &[Cid]) -> Result<Vec<Bytes>> {
        let found = self.store.get_many(cids)?;
        let present = found.into_iter().zip(cids);
        present
            .map(|(stored, cid)| stored.ok_or(Error::Missing { cid: *cid }))
            .collect()
    }

    /// The bytes of a leaf.
    pub(crate) fn leaf(&self, link: &Link) -> Result<Arc<Vec<u8>>> {
        if let Some(plain) = self.leaves.get(&link.cid) {
            return Ok(plain);
        }
        self.keep_leaf(link, self.fetch(&link.cid)?)
    }

    /// Verifies and opens a leaf that was fetched, and keeps it.
    pub(crate) fn keep_leaf(&self, link: &Link, stored: Bytes) -> Result<Arc<Vec<u8>>> {
        let plain = Arc::new(open_leaf(link, stored)?);
        self.leaves.insert(link.cid, plain.clone());
        Ok(plain)
    }

    /// A block's stored bytes, unverified, if the store has them at hand.
    pub(crate) fn fetch_now(&self, cid: &Cid) -> Option<Bytes> {
        self.store.get_now(cid).ok().flatten()
    }

    /// Whether [`Self::leaf`] would not touch the store.
    pub(crate) fn holds_leaf(&self, cid: &Cid) -> bool {
        self.leaves.peek(cid).is_some()
    }

    /// Bytes the caches hold.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.nodes.weight() + self.leaves.weight()
    }
}

impl NodeSource for Blocks {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        if let Some(node) = self.nodes.get(&link.cid) {
            return Ok(node);
        }
        let node = Arc::new(open_node(link, self.fetch(&link.cid)?)?);
        self.nodes.insert(link.cid, node.clone());
        Ok(node)
    }
}

/// Only what is cached: everything else counts as missing.
pub(crate) struct Cached<'a>(pub(crate) &'a Blocks);

impl NodeSource for Cached<'_> {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        self.0
            .nodes
            .get(&link.cid)
            .ok_or(Error::Missing { cid: link.cid })
    }
}

/// The same blocks past the caches, for those who want to know what the store really has.
pub(crate) struct Uncached<'a>(pub(crate) &'a Blocks);

impl Uncached<'_> {
    /// Verifies a leaf and forgets it.
    pub(crate) fn leaf(&self, link: &Link) -> Result<()> {
        self.0
            .fetch(&link.cid)
            .and_then(|stored| open_leaf(link, stored))
            .map(drop)
    }
}

impl NodeSource for Uncached<'_> {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        Ok(Arc::new(open_node(link, self.0.fetch(&link.cid)?)?))
    }
}

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
        self.blocks.nodes.insert(link.cid, Arc::new(node));
        Ok(link)
    }

    fn drop_block(&self, link: &Link) -> Result<()> {
        self.dropped.lock().push(link.clone());
        Ok(())
    }
}
