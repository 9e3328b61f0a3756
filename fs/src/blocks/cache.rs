//! The cache of opened blocks, and how nodes that are missing from it get there together.

use bytes::Bytes;
use cairn_merkle::{BlockStore, Cid, Link, Node, Result, open_node};
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;

/// Most bytes of nodes that are fetched at once: one with large attributes in it is a hundred times
/// the usual size.
const BATCH_BYTES: u64 = 2 << 20;

/// A block that was verified and opened.
#[derive(Clone)]
pub(super) enum Opened {
    Node(Arc<Node>),
    Leaf(Arc<Vec<u8>>),
}

impl Opened {
    pub(super) fn into_node(self) -> Option<Arc<Node>> {
        match self {
            Self::Node(node) => Some(node),
            Self::Leaf(_) => None,
        }
    }

    pub(super) fn into_leaf(self) -> Option<Arc<Vec<u8>>> {
        match self {
            Self::Leaf(plain) => Some(plain),
            Self::Node(_) => None,
        }
    }
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<Cid, Opened> for Weight {
    fn weight(&self, _: &Cid, opened: &Opened) -> u64 {
        let bytes = match opened {
            Opened::Node(node) => node.body.len() + node.links.len() * size_of::<Link>(),
            Opened::Leaf(plain) => plain.len(),
        };
        (bytes + 128) as u64
    }
}

pub(super) type OpenedCache = Cache<Cid, Opened, Weight>;

/// Verifies and opens a node that was fetched, and keeps it.
pub(super) fn keep_node(cache: &OpenedCache, link: &Link, stored: Bytes) -> Result<Arc<Node>> {
    let node = Arc::new(open_node(link, stored)?);
    cache.insert(link.cid, Opened::Node(node.clone()));
    Ok(node)
}

/// Reads the nodes that are not cached. One that cannot be read fails when it is asked for.
pub(super) fn read_missing(store: &dyn BlockStore, cache: &OpenedCache, links: &[Link]) {
    let missing = links.iter().filter(|link| cache.peek(&link.cid).is_none());
    let missing: Vec<&Link> = missing.collect();
    for batch in batches(&missing) {
        let cids: Vec<Cid> = batch.iter().map(|link| link.cid).collect();
        let Ok(found) = store.get_many(&cids) else {
            return;
        };
        for (link, stored) in batch.iter().zip(found) {
            let _ = stored.map(|stored| keep_node(cache, link, stored));
        }
    }
}

/// Cuts links into batches of at most [`BATCH_BYTES`], or of one.
fn batches<'a>(links: &'a [&'a Link]) -> impl Iterator<Item = &'a [&'a Link]> {
    let mut bytes = 0;
    links.chunk_by(move |this, next| {
        bytes += u64::from(this.len);
        let joined = bytes + u64::from(next.len) <= BATCH_BYTES;
        if !joined {
            bytes = 0;
        }
        joined
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::testing::TestRng;
    use cairn_merkle::{Epoch, Suite, seal_node};

    #[test]
    fn large_nodes_are_not_fetched_all_at_once() {
        let node = Node {
            links: Vec::new(),
            body: Vec::new(),
        };
        let (_, link) = seal_node(Suite::default(), &mut TestRng::new(1), Epoch(1), &node);
        let sized = |len: u32| -> Vec<usize> {
            let links = vec![Link { len, ..link.clone() }; 40];
            let links: Vec<&Link> = links.iter().collect();
            batches(&links).map(<[_]>::len).collect()
        };
        assert_eq!(sized(16 << 10), [40]);
        assert_eq!(sized(200 << 10), [10, 10, 10, 10]);
        assert_eq!(sized(2 << 20), [1; 40]);
        assert_eq!(sized(3 << 20), [1; 40]);
    }
}
