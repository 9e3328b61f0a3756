//! The store behind verification and the cache, and past it.

use super::ahead::Ahead;
use super::cache::{Opened, OpenedCache, Weight, keep_node, read_missing};
use crate::machine::Machine;
use bytes::Bytes;
use cairn_merkle::group::Part;
use cairn_merkle::{
    BlockStore, Cid, Epoch, Error, Link, Node, NodeSource, PartHint, Result, Sealed, Suite, open_leaf,
    open_node, seal_leaf, seal_node, seal_sparse,
};
use quick_cache::sync::Cache;
use std::ops::Range;
use std::sync::Arc;

/// Nodes side by side: a reader of two of them reads more, and those of a group together if they must
/// be read at once.
const GROUP: usize = 16;
/// The store, behind verification and a cache.
pub(crate) struct Blocks {
    pub(crate) store: Arc<dyn BlockStore>,
    pub(crate) machine: Machine,
    /// The volume's cipher. To open takes none beside the link, whose key has it.
    suite: Suite,
    pub(super) cache: Arc<OpenedCache>,
    ahead: Ahead,
}

impl Blocks {
    /// Keeps up to `cache_bytes` of nodes and leaves, whichever are asked for.
    pub(crate) fn new(store: Arc<dyn BlockStore>, suite: Suite, cache_bytes: u64, machine: Machine) -> Self {
        let count = usize::try_from(cache_bytes / 16384).unwrap_or(1024);
        let cache = Arc::new(Cache::with_weighter(count, cache_bytes, Weight));
        Self {
            ahead: Ahead::start(Arc::clone(&store), Arc::clone(&cache)),
            store,
            machine,
            suite,
            cache,
        }
    }

    /// The volume's cipher.
    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    /// Seals a record of a file. The caller puts it.
    pub(crate) fn seal_leaf(&self, birth: Epoch, plain: &[u8]) -> (Sealed, Link) {
        seal_leaf(self.suite, &mut self.machine.rng(), birth, plain)
    }

    /// Seals a record of which a part may never have been written: without its holes, if it has
    /// many; `None` for one of zeros. One that was written `whole` is stored whole, zeros or not:
    /// its place is not taken back. The caller puts it.
    pub(crate) fn seal_record(&self, birth: Epoch, record: &[u8], whole: bool) -> Option<(Sealed, Link)> {
        match whole {
            true => Some(self.seal_leaf(birth, record)),
            false => seal_sparse(self.suite, &mut self.machine.rng(), birth, record),
        }
    }

    /// Seals a node of a tree. The caller puts it.
    pub(super) fn seal_node(&self, birth: Epoch, node: &Node) -> (Sealed, Link) {
        seal_node(self.suite, &mut self.machine.rng(), birth, node)
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

    /// A part of a leaf, unverified; `None` says nothing.
    pub(crate) fn fetch_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Option<Part> {
        self.store.get_part(cid, range, hint).ok().flatten()
    }

    /// Whether a block is cached: asking for it would not touch the store.
    pub(crate) fn holds(&self, cid: &Cid) -> bool {
        self.cache.peek(cid).is_some()
    }

    /// Bytes the cache holds.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// These are of no version any more and are not asked for again.
    pub(crate) fn forget(&self, cids: &[Cid]) {
        for cid in cids {
            self.cache.remove(cid);
        }
    }

    fn cached_node(&self, link: &Link) -> Option<Arc<Node>> {
        self.cache.get(&link.cid).and_then(Opened::into_node)
    }
}

impl NodeSource for Blocks {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        match self.cached_node(link) {
            Some(node) => Ok(node),
            None => keep_node(&self.cache, link, self.fetch(&link.cid)?),
        }
    }

    fn node_among(&self, siblings: &[Link], at: usize) -> Result<Arc<Node>> {
        let link = &siblings[at];
        if let Some(node) = self.cached_node(link) {
            return Ok(node);
        }
        let first = at - at % GROUP;
        let group = &siblings[first..siblings.len().min(first + GROUP)];
        // Names lie in no order that a user knows: a reader of two so close to each other will read
        // more, and in between.
        if group.iter().any(|link| self.holds(&link.cid)) && !self.ahead.ask(siblings, first) {
            read_missing(&*self.store, &self.cache, group);
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

/// The same blocks past the caches, for callers that must know what the store really has.
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

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::testing::{FaultStore, Op, Tamper, TestRng};
    use cairn_merkle::{Blocks as _, MemoryStore, PutHint};

    /// Nodes side by side, in a store, with nothing cached.
    fn siblings(count: u8) -> (Arc<FaultStore<MemoryStore>>, Blocks, Vec<Link>) {
        let store = Arc::new(FaultStore::new(MemoryStore::new()));
        let seal = |at| {
            let node = Node {
                links: Vec::new(),
                body: vec![at],
            };
            seal_node(
                Suite::default(),
                &mut TestRng::new(u64::from(at)),
                Epoch(1),
                &node,
            )
        };
        let (sealed, links): (Vec<_>, Vec<_>) = (0..count).map(seal).unzip();
        store.put(Epoch(1), &sealed, PutHint::Small).unwrap();
        let blocks = Blocks::new(store.clone(), Suite::default(), 1 << 20, Machine::default());
        (store, blocks, links)
    }

    fn cached(blocks: &Blocks, links: &[Link]) -> Vec<usize> {
        let is_cached = |at: &usize| blocks.cached_node(&links[*at]).is_some();
        (0..links.len()).filter(is_cached).collect()
    }

    fn read(blocks: &Blocks, links: &[Link], at: u8) {
        assert_eq!(blocks.node_among(links, at.into()).unwrap().body, [at]);
    }

    #[test]
    fn one_node_is_read_alone_and_a_second_beside_it_has_all_read_ahead() {
        let (_, blocks, links) = siblings(100);
        read(&blocks, &links, 3);
        read(&blocks, &links, 40);
        blocks.ahead.settle();
        assert_eq!(cached(&blocks, &links), [3, 40]);
        read(&blocks, &links, 5);
        blocks.ahead.settle();
        assert_eq!(cached(&blocks, &links), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_read_ahead_and_not_kept_is_read_with_its_neighbours_only() {
        let (_, blocks, links) = siblings(100);
        read(&blocks, &links, 3);
        read(&blocks, &links, 5);
        blocks.ahead.settle();
        let cids: Vec<Cid> = links.iter().map(|link| link.cid).collect();
        blocks.forget(&cids);
        assert!(cached(&blocks, &links).is_empty());
        read(&blocks, &links, 50);
        read(&blocks, &links, 52);
        blocks.ahead.settle();
        assert_eq!(cached(&blocks, &links), (48..64).collect::<Vec<_>>());
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

    /// A leaf and a node in a store.
    fn pair() -> (Arc<FaultStore<MemoryStore>>, Blocks, Link, Link) {
        let (store, blocks, links) = siblings(1);
        let (sealed, leaf) = seal_leaf(Suite::default(), &mut TestRng::new(9), Epoch(1), b"plain");
        store.put(Epoch(1), &[sealed], PutHint::Small).unwrap();
        (store, blocks, leaf, links[0].clone())
    }

    #[test]
    fn a_block_is_fetched_once_and_again_when_it_was_forgotten() {
        let (store, blocks, leaf, node) = pair();
        let read = || {
            assert_eq!(**blocks.leaf(&leaf).unwrap(), *b"plain");
            assert_eq!(blocks.node(&node).unwrap().body, [0]);
            store.count(Op::Get)
        };
        assert!(!blocks.holds(&leaf.cid) && blocks.cached_bytes() == 0);
        assert_eq!((read(), read()), (2, 2));
        assert!(blocks.holds(&leaf.cid) && blocks.holds(&node.cid));
        assert_eq!(blocks.cached_bytes(), 2 * 128 + 5 + 1);
        blocks.forget(&[leaf.cid, node.cid]);
        assert!(!blocks.holds(&leaf.cid) && blocks.cached_bytes() == 0);
        assert_eq!(read(), 4);
    }

    #[test]
    fn a_block_that_is_not_what_was_written_is_never_answered_nor_kept() {
        let (store, blocks, leaf, node) = pair();
        for (tamper, missing) in [(Tamper::FlipBit(5), false), (Tamper::Drop, true)] {
            for link in [&leaf, &node] {
                store.tamper(link.cid, tamper.clone());
            }
            let failures = [
                blocks.leaf(&leaf).unwrap_err(),
                blocks.node(&node).unwrap_err(),
                Uncached(&blocks).leaf(&leaf).unwrap_err(),
                Uncached(&blocks).node(&node).unwrap_err(),
            ];
            for error in failures {
                assert_eq!(matches!(error, Error::Missing { .. }), missing, "{error}");
            }
            assert!(!blocks.holds(&leaf.cid) && !blocks.holds(&node.cid));
        }
        let swapped = blocks.keep_leaf(&leaf, store.inner().get(&node.cid).unwrap().unwrap());
        assert!(swapped.is_err());
    }

    #[test]
    fn one_reader_stays_in_the_cache_and_one_goes_past_it() {
        let (store, blocks, leaf, node) = pair();
        assert!(matches!(Cached(&blocks).node(&node), Err(Error::Missing { .. })));
        assert_eq!(Uncached(&blocks).node(&node).unwrap().body, [0]);
        Uncached(&blocks).leaf(&leaf).unwrap();
        assert_eq!((store.count(Op::Get), blocks.cached_bytes()), (2, 0));
        blocks.node(&node).unwrap();
        assert_eq!(Cached(&blocks).node(&node).unwrap().body, [0]);
        store.tamper(node.cid, Tamper::Drop);
        assert!(Uncached(&blocks).node(&node).is_err());
        assert!(blocks.node(&node).is_ok());
    }

    #[test]
    fn many_are_fetched_in_the_order_asked_or_not_at_all() {
        let (store, blocks, leaf, node) = pair();
        let found = blocks.fetch_many(&[node.cid, leaf.cid, node.cid]).unwrap();
        let stored = |link: &Link| store.inner().get(&link.cid).unwrap().unwrap();
        assert_eq!(found, [stored(&node), stored(&leaf), stored(&node)]);
        store.tamper(leaf.cid, Tamper::Drop);
        let missing = blocks.fetch_many(&[node.cid, leaf.cid]).unwrap_err();
        assert!(matches!(missing, Error::Missing { cid } if cid == leaf.cid));
        assert_eq!(blocks.fetch_now(&leaf.cid), None);
    }

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let (_, blocks, _) = siblings(0);
        for _ in 0..200 {
            let plain = vec![1; 20_000];
            let (sealed, leaf) = blocks.seal_leaf(Epoch(1), &plain);
            blocks.keep_leaf(&leaf, sealed.bytes).unwrap();
            assert!(blocks.cached_bytes() <= 1 << 20);
        }
        assert!(blocks.cached_bytes() > 1 << 19);
    }
}
