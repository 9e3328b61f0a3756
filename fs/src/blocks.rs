//! Blocks in and out of the store, verified, opened and cached.
//!
//! ```text
//!   node(link), leaf(link) --miss--> store.get --verify, open--> cache
//!   Writer: put_node, put_leaf --seal--> batch --full--> store.put
//!           drop_block --> names the commit will free or hand to a dead list
//! ```
//!
//! A block never changes, so a cached one is right for ever; the cache is bounded in bytes and keyed by name.

use bytes::Bytes;
use cairn_merkle::{
    BlockStore, Cid, Epoch, Error, Link, Node, NodeSink, NodeSource, PutHint, Result, Sealed, StoreError,
    open_leaf, open_node, seal_leaf, seal_node,
};
use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Nodes side by side that are read together.
const GROUP: usize = 16;

/// A block that was verified and opened.
#[derive(Clone)]
enum Opened {
    Node(Arc<Node>),
    Leaf(Arc<Vec<u8>>),
}

impl Opened {
    fn into_node(self) -> Option<Arc<Node>> {
        match self {
            Self::Node(node) => Some(node),
            Self::Leaf(_) => None,
        }
    }

    fn into_leaf(self) -> Option<Arc<Vec<u8>>> {
        match self {
            Self::Leaf(plain) => Some(plain),
            Self::Node(_) => None,
        }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Cid, Opened> for Weight {
    fn weight(&self, _: &Cid, opened: &Opened) -> u64 {
        let bytes = match opened {
            Opened::Node(node) => node.body.len() + node.links.len() * size_of::<Link>(),
            Opened::Leaf(plain) => plain.len(),
        };
        (bytes + 128) as u64
    }
}

/// The store, behind verification and a cache.
pub(crate) struct Blocks {
    pub(crate) store: Arc<dyn BlockStore>,
    cache: Cache<Cid, Opened, Weight>,
}

impl Blocks {
    /// Keeps up to `cache_bytes` of nodes and leaves, whichever are asked for.
    pub(crate) fn new(store: Arc<dyn BlockStore>, cache_bytes: u64) -> Self {
        let count = usize::try_from(cache_bytes / 16384).unwrap_or(1024);
        Self {
            store,
            cache: Cache::with_weighter(count, cache_bytes, Weight),
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
        if let Some(plain) = self.cache.get(&link.cid).and_then(Opened::into_leaf) {
            return Ok(plain);
        }
        self.keep_leaf(link, self.fetch(&link.cid)?)
    }

    /// Verifies and opens a leaf that was fetched, and keeps it.
    pub(crate) fn keep_leaf(&self, link: &Link, stored: Bytes) -> Result<Arc<Vec<u8>>> {
        let plain = Arc::new(open_leaf(link, stored)?);
        self.cache.insert(link.cid, Opened::Leaf(plain.clone()));
        Ok(plain)
    }

    /// A block's stored bytes, unverified, if the store has them at hand.
    pub(crate) fn fetch_now(&self, cid: &Cid) -> Option<Bytes> {
        self.store.get_now(cid).ok().flatten()
    }

    /// Whether [`Self::leaf`] would not touch the store.
    pub(crate) fn holds_leaf(&self, cid: &Cid) -> bool {
        self.cache.peek(cid).is_some()
    }

    /// Bytes the cache holds.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }

    fn cached_node(&self, link: &Link) -> Option<Arc<Node>> {
        self.cache.get(&link.cid).and_then(Opened::into_node)
    }

    /// Verifies and opens a node that was fetched, and keeps it.
    fn keep_node(&self, link: &Link, stored: Bytes) -> Result<Arc<Node>> {
        let node = Arc::new(open_node(link, stored)?);
        self.cache.insert(link.cid, Opened::Node(node.clone()));
        Ok(node)
    }

    /// Reads those nodes that are not cached. Whoever asks for one that cannot be read learns why.
    fn read_ahead(&self, links: &[Link]) {
        let missing: Vec<&Link> = links
            .iter()
            .filter(|link| self.cache.peek(&link.cid).is_none())
            .collect();
        let cids: Vec<Cid> = missing.iter().map(|link| link.cid).collect();
        let Ok(found) = self.store.get_many(&cids) else {
            return;
        };
        for (link, stored) in missing.into_iter().zip(found) {
            let _ = stored.map(|stored| self.keep_node(link, stored));
        }
    }
}

impl NodeSource for Blocks {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        match self.cached_node(link) {
            Some(node) => Ok(node),
            None => self.keep_node(link, self.fetch(&link.cid)?),
        }
    }

    fn node_among(&self, siblings: &[Link], at: usize) -> Result<Arc<Node>> {
        let link = &siblings[at];
        if let Some(node) = self.cached_node(link) {
            return Ok(node);
        }
        let first = at - at % GROUP;
        let group = &siblings[first..siblings.len().min(first + GROUP)];
        let known = |links: &[Link]| {
            let known = links.iter().filter(|link| self.cache.peek(&link.cid).is_some());
            known.count()
        };
        // Names lie in no order that a user knows: who reads some here and there will read more, and in between.
        if known(group) > 0 || known(siblings) >= siblings.len().div_ceil(8) {
            self.read_ahead(group);
        }
        self.node(link)
    }
}

/// Only what is cached: everything else counts as missing.
pub(crate) struct Cached<'a>(pub(crate) &'a Blocks);

impl NodeSource for Cached<'_> {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        self.0.cached_node(link).ok_or(Error::Missing { cid: link.cid })
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
    use cairn_merkle::MemoryStore;
    use cairn_merkle::testing::{FaultStore, Tamper, TestRng};

    /// Nodes side by side, in a store, with nothing cached.
    fn siblings(count: u8) -> (Arc<FaultStore<MemoryStore>>, Blocks, Vec<Link>) {
        let store = Arc::new(FaultStore::new(MemoryStore::new()));
        let seal = |at| {
            let node = Node {
                links: Vec::new(),
                body: vec![at],
            };
            seal_node(&mut TestRng::new(u64::from(at)), Epoch(1), &node)
        };
        let (sealed, links): (Vec<_>, Vec<_>) = (0..count).map(seal).unzip();
        store.put(Epoch(1), &sealed, PutHint::Small).unwrap();
        let blocks = Blocks::new(store.clone(), 1 << 20);
        (store, blocks, links)
    }

    fn cached(blocks: &Blocks, links: &[Link]) -> Vec<usize> {
        let is_cached = |at: &usize| blocks.cached_node(&links[*at]).is_some();
        (0..links.len()).filter(is_cached).collect()
    }

    #[test]
    fn one_node_is_read_alone_and_the_second_with_those_beside_it() {
        let (_, blocks, links) = siblings(100);
        let read = |at: usize| assert_eq!(blocks.node_among(&links, at).unwrap().body, [at as u8]);
        read(3);
        read(40);
        assert_eq!(cached(&blocks, &links), [3, 40]);
        read(5);
        assert_eq!(cached(&blocks, &links), [(0..16).collect(), vec![40]].concat());
        // Enough of them are known by now.
        read(99);
        assert_eq!(
            cached(&blocks, &links),
            [(0..16).collect(), vec![40], (96..100).collect()].concat()
        );
    }

    #[test]
    fn a_damaged_neighbour_is_only_found_by_who_asks_for_it() {
        let (store, blocks, links) = siblings(16);
        store.tamper(links[7].cid, Tamper::FlipBit(0));
        store.tamper(links[8].cid, Tamper::Drop);
        for at in [3, 5, 9] {
            assert_eq!(blocks.node_among(&links, at).unwrap().body, [at as u8]);
        }
        assert!(matches!(blocks.node_among(&links, 7), Err(Error::Corrupt { .. })));
        assert!(matches!(blocks.node_among(&links, 8), Err(Error::Missing { .. })));
    }
}
