//! A volume without a filesystem: a commit block over nested nodes and leaves, for walks over
//! clear links.

use super::TestRng;
use crate::{
    Blocks, Cid, Commit, Epoch, HeadSwap, Header, HeaderParams, Heads, Kek, Link, MemoryStore, Node, PutHint,
    Sealed, SlotKey, SlotKind, Suite, VolumeKey, seal_leaf, seal_node,
};

/// A volume of one commit, and what there is to know of it.
pub struct Sample {
    /// Its store.
    pub store: MemoryStore,
    /// Its key.
    pub key: VolumeKey,
    /// Its commit block.
    pub root: Cid,
    /// Its header.
    pub header: Header,
    /// The trees below the commit block.
    pub links: Vec<Link>,
    rng: TestRng,
}

impl Sample {
    /// `trees` trees, each of `depth` levels of nodes with `fan` links, and leaves below them.
    pub fn grow(trees: usize, depth: usize, fan: usize) -> Self {
        let mut rng = TestRng::new(2028);
        let slot = SlotKey {
            kind: SlotKind::KeyFile,
            kek: Kek::from_bytes([1; 32]),
        };
        let params = HeaderParams {
            record_size: 128 << 10,
            compression: Default::default(),
            suite: Suite::default(),
        };
        let (header, key) = Header::create(&mut rng, params, &[slot]).expect("one slot is allowed");
        let mut sample = Self {
            store: MemoryStore::new(),
            key,
            root: Cid::node([0; 32]),
            header,
            links: Vec::new(),
            rng,
        };
        sample.links = (0..trees).map(|tree| sample.tree(tree, depth, fan)).collect();
        let links = sample.links.clone();
        sample.root = sample.commit(Epoch(1), None, links);
        sample
    }

    fn tree(&mut self, number: usize, depth: usize, fan: usize) -> Link {
        if depth == 0 {
            return self.leaf(format!("leaf {number}").as_bytes());
        }
        let links = (0..fan)
            .map(|slot| self.tree(number * fan + slot, depth - 1, fan))
            .collect();
        self.node(links)
    }

    /// Seals a leaf and puts it.
    pub fn leaf(&mut self, plain: &[u8]) -> Link {
        let (sealed, link) = seal_leaf(Suite::default(), &mut self.rng, Epoch(1), plain);
        self.put(sealed);
        link
    }

    /// Seals a node and puts it.
    pub fn node(&mut self, links: Vec<Link>) -> Link {
        let node = Node {
            links,
            body: b"body".to_vec(),
        };
        let (sealed, link) = seal_node(Suite::default(), &mut self.rng, Epoch(1), &node);
        self.put(sealed);
        link
    }

    /// Commits `links`, and lets the head name that.
    pub fn commit(&mut self, epoch: Epoch, previous: Option<Cid>, links: Vec<Link>) -> Cid {
        let commit = Commit {
            volume_id: self.header.volume_id,
            epoch,
            previous,
            links,
            header_hash: self.header.hash(),
            body: b"state".to_vec(),
        };
        let sealed = commit.seal(&mut self.rng, &self.key);
        let root = sealed.cid;
        let root_block = sealed.bytes.clone();
        self.put(sealed);
        let head = crate::Head {
            volume_id: self.header.volume_id,
            epoch,
            root,
        };
        let expected = self.store.head().expect("memory answers");
        let swap = HeadSwap {
            expected: expected.as_deref(),
            head: &head.encode(&self.key),
            header: Some(&self.header.encode()),
            root_block: &root_block,
            delete: &[],
            settled: epoch,
            restarts_log: false,
        };
        self.store.swap_head(&swap).expect("there is no other writer");
        self.root = root;
        root
    }

    /// Every block there is.
    pub fn cids(&self) -> Vec<Cid> {
        self.store.list(None, usize::MAX).expect("memory answers")
    }

    /// Puts a block, whatever its name and bytes.
    pub fn put(&self, sealed: Sealed) {
        self.store
            .put(Epoch(1), &[sealed], PutHint::Bulk)
            .expect("memory takes everything");
    }

    /// Removes a block.
    pub fn lose(&self, cid: &Cid) {
        self.store.lose_twin();
        self.store.delete(&[*cid]).expect("memory forgets");
    }

    /// Flips one bit of a block.
    pub fn alter(&self, cid: &Cid, bit: usize) {
        self.store.lose_twin();
        let stored = self.store.get(cid).expect("memory answers").expect("it is there");
        let mut bytes = stored.to_vec();
        let bit = bit % (8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        self.put(Sealed::new(*cid, bytes.into()));
    }
}
