//! The demands of the trees on the keeper of their nodes.
//!
//! ```text
//!   btree, index --node(link)--> NodeSource   a cache over the store
//!        |
//!        `--put_node, drop_block--> NodeSink  seals and puts; gathers what the next commit frees
//! ```
//!
//! The trees never change a node: they put a new one and drop the old. They never read back a
//! node put in the same call, so a sink may seal in the background.
//!
//! A damaged node costs its own content and no more. A caller that walks past it, or changes a
//! tree around it, is told, and says whether to go on ([`Damaged`]). The link to it stays, so
//! that nothing below is forgotten.

use crate::{Error, Link, Node, Result};
use std::sync::Arc;

/// Where nodes are read from (a cache over the store, in the filesystem).
pub trait NodeSource {
    /// The node `link` leads to, verified and opened.
    fn node(&self, link: &Link) -> Result<Arc<Node>>;

    /// One of the nodes that lie side by side below another. A reader of one often comes for
    /// those beside it: a source may read them together.
    fn node_among(&self, siblings: &[Link], at: usize) -> Result<Arc<Node>> {
        self.node(&siblings[at])
    }
}

/// Where new nodes go, and where the names of replaced ones are gathered.
pub trait NodeSink {
    /// Seals and keeps a node; the link answered leads to it.
    fn put_node(&self, node: Node) -> Result<Link>;

    /// Notes that the tree being written no longer names this block. When an operation of a tree
    /// fails, what it dropped so far must be forgotten together with what it put.
    fn drop_block(&self, link: &Link) -> Result<()>;
}

/// Told of a node that is missing or not what was written: `Ok` goes past it, an error ends the
/// operation.
pub type Damaged<'a> = dyn FnMut(&Link, Error) -> Result<()> + 'a;

/// A [`Damaged`] that goes past nothing.
pub fn stop(_: &Link, error: Error) -> Result<()> {
    Err(error)
}

/// What was read; `None` for a damaged node that `damaged` goes past.
pub(crate) fn past<T>(read: Result<T>, link: &Link, damaged: &mut Damaged<'_>) -> Result<Option<T>> {
    match read {
        Err(error) if error.damaged().is_some() => damaged(link, error).map(|()| None),
        read => read.map(Some),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! A source and sink that counts, and notices a block dropped twice or read after it was
    //! dropped.

    use super::*;
    use crate::{BlockKey, Cid, Codec, Epoch, Form, Suite};
    use parking_lot::Mutex;
    use std::collections::{BTreeSet, HashMap};

    /// Nodes in memory, named by the order in which they were put.
    #[derive(Default)]
    pub(crate) struct Grove(Mutex<Inner>);

    #[derive(Default)]
    struct Inner {
        nodes: HashMap<Cid, Arc<Node>>,
        put: usize,
        read: usize,
        /// Nodes put by the operation that is going on: it must not read or drop them.
        young: BTreeSet<Cid>,
        /// Nodes that cannot be read.
        damaged: BTreeSet<Cid>,
    }

    impl Grove {
        /// Ends an operation: what it put may be read from now on.
        pub(crate) fn settle(&self) {
            self.0.lock().young.clear();
        }

        /// Names of the nodes that were put and not dropped.
        pub(crate) fn live(&self) -> BTreeSet<Cid> {
            self.0.lock().nodes.keys().copied().collect()
        }

        /// A node cannot be read from now on, or can be again.
        pub(crate) fn damage(&self, cid: Cid, damaged: bool) {
            let mut inner = self.0.lock();
            _ = match damaged {
                true => inner.damaged.insert(cid),
                false => inner.damaged.remove(&cid),
            };
        }

        /// Nodes read so far.
        pub(crate) fn read_count(&self) -> usize {
            self.0.lock().read
        }

        /// Nodes put so far.
        pub(crate) fn put_count(&self) -> usize {
            self.0.lock().put
        }
    }

    impl NodeSource for Grove {
        fn node(&self, link: &Link) -> Result<Arc<Node>> {
            let mut inner = self.0.lock();
            inner.read += 1;
            assert!(
                !inner.young.contains(&link.cid),
                "read in the operation that put it"
            );
            if inner.damaged.contains(&link.cid) {
                return Err(Error::Corrupt { cid: link.cid });
            }
            inner
                .nodes
                .get(&link.cid)
                .cloned()
                .ok_or(Error::Missing { cid: link.cid })
        }
    }

    impl NodeSink for Grove {
        fn put_node(&self, node: Node) -> Result<Link> {
            let mut inner = self.0.lock();
            inner.put += 1;
            let len = node.body.len() + 84 * node.links.len();
            let mut link = link(Codec::Node, inner.put as u64);
            link.len = u32::try_from(len).unwrap();
            inner.nodes.insert(link.cid, Arc::new(node));
            inner.young.insert(link.cid);
            Ok(link)
        }

        fn drop_block(&self, link: &Link) -> Result<()> {
            let mut inner = self.0.lock();
            assert!(
                !inner.young.contains(&link.cid),
                "dropped in the operation that put it"
            );
            assert!(inner.nodes.remove(&link.cid).is_some(), "dropped twice");
            Ok(())
        }
    }

    /// A link that is told apart from others by `number`.
    pub(crate) fn link(codec: Codec, number: u64) -> Link {
        Link {
            cid: Cid::of(codec, &number.to_le_bytes()),
            key: BlockKey::from_bytes(Suite::default(), [number as u8; 32]),
            birth: Epoch(number),
            len: 100,
            form: Form::Plain,
        }
    }
}
