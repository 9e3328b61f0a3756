//! Walks over clear links, without a key: each block below a root once, compared with its name.
//!
//! ```text
//!  root --> fetch --> examine: the bytes it is named by? --> handed out
//!             ^                                 `-- a node: its links --> Frontier
//!             `---- up to eight links of the newest node <------------------'
//! ```
//!
//! What is still to be visited (`Frontier`) and what was met ([`Seen`]) take bounded memory,
//! however a hostile volume nests and shares its nodes.

mod fault;
mod frontier;
mod seen;

pub use fault::{BlockFault, Flaw};
pub(crate) use frontier::{Frontier, Job};
pub use seen::Seen;

use crate::{BlockStore, Cid, Codec, Error, MAX_STORED, Result, StoreError, clear, node_links, root_block};
use bytes::Bytes;
use std::collections::VecDeque;

/// Compares a block with its name.
pub(crate) fn examine(cid: &Cid, stored: Option<&Bytes>) -> std::result::Result<(), Flaw> {
    match stored {
        None => Err(Flaw::Missing),
        // Length first: a store cannot make a walk hash more than a block may have.
        Some(stored) if stored.len() > MAX_STORED || !cid.names(stored) => Err(Flaw::Altered),
        Some(_) => Ok(()),
    }
}

/// The links of a node that was compared with its name.
pub(crate) fn links_of(stored: &[u8]) -> std::result::Result<Vec<Cid>, Flaw> {
    node_links(stored).map_err(|error| match error {
        Error::Malformed { why, .. } => Flaw::Malformed { why },
        Error::UnknownVersion { .. } => Flaw::Malformed {
            why: "its version is unknown",
        },
        _ => Flaw::Malformed {
            why: "it is none of ours",
        },
    })
}

/// Blocks in the order asked. A store that answers fewer has not those it left out.
pub(crate) fn fetch(
    store: &dyn BlockStore,
    cids: &[Cid],
) -> std::result::Result<Vec<Option<Bytes>>, StoreError> {
    let mut answers = store.get_many(cids)?;
    // A short answer must not pair a block with the wrong name, or hide the last ones.
    answers.resize(cids.len(), None);
    Ok(answers)
}

/// As [`fetch`], for the root of a walk, which may lie twice.
pub(crate) fn fetch_root(
    store: &dyn BlockStore,
    cids: &[Cid],
) -> std::result::Result<Vec<Option<Bytes>>, StoreError> {
    let root = |cid| match root_block(store, cid) {
        Ok(stored) => Ok(Some(stored)),
        Err(Error::Store(error)) => Err(error),
        // As it is: the caller finds out what is wrong with it.
        Err(_) => store.get(cid),
    };
    cids.iter().map(root).collect()
}

/// A block that was visited and is the one its parent links to.
pub(crate) struct Visit {
    pub(crate) cid: Cid,
    pub(crate) stored: Bytes,
}

/// Visits every block below a root once, in order: each node before what it links to. Ends at the
/// first fault.
pub struct Walk<'a> {
    store: &'a dyn BlockStore,
    frontier: Frontier,
    ready: VecDeque<Visit>,
    seen: Seen,
    skip: Option<&'a Seen>,
    leaves: bool,
    begin: Option<Cid>,
}

impl<'a> Walk<'a> {
    /// A walk from `root`, which passes over what `skip` has, and all below it.
    pub(crate) fn new(store: &'a dyn BlockStore, root: Cid, skip: Option<&'a Seen>) -> Self {
        Self {
            store,
            frontier: Frontier::default(),
            ready: VecDeque::new(),
            // A walk hands out each block once, whatever it costs to remember them all.
            seen: Seen::new(usize::MAX),
            skip,
            leaves: true,
            begin: Some(root),
        }
    }

    /// A walk over everything below `root`.
    pub fn over(store: &'a dyn BlockStore, root: Cid) -> Self {
        Self::new(store, root, None)
    }

    /// The next block, which is what its name says; `None` at the end.
    pub fn step(&mut self) -> std::result::Result<Option<(Cid, Bytes)>, WalkError> {
        Ok(self.next()?.map(|visit| (visit.cid, visit.stored)))
    }

    /// The names of all blocks below `root`. Reads the nodes only: their links name the leaves.
    pub fn names(store: &dyn BlockStore, root: Cid) -> std::result::Result<Seen, WalkError> {
        let mut walk = Walk {
            leaves: false,
            ..Walk::new(store, root, None)
        };
        while walk.next()?.is_some() {}
        Ok(walk.seen)
    }

    /// The next block.
    pub(crate) fn next(&mut self) -> std::result::Result<Option<Visit>, WalkError> {
        loop {
            if let Some(visit) = self.ready.pop_front() {
                return Ok(Some(visit));
            }
            let job = match self.begin.take() {
                Some(root) => Some((None, vec![root])),
                None => match self.frontier.pop() {
                    Some(Job::Visit { parent, cids }) => Some((Some(parent), cids)),
                    Some(Job::Reload { node, next }) => {
                        self.reload(node, next)?;
                        continue;
                    }
                    None => None,
                },
            };
            let Some((parent, mut cids)) = job else {
                return Ok(None);
            };
            // Remembered before it is fetched: a block that two parents name is handed out once.
            cids.retain(|cid| !self.skip.is_some_and(|skip| skip.contains(cid)) && self.seen.insert(cid));
            self.visit(parent, &cids)?;
        }
    }

    fn visit(&mut self, parent: Option<Cid>, cids: &[Cid]) -> std::result::Result<(), WalkError> {
        if cids
            .first()
            .is_none_or(|cid| cid.codec() == Codec::Leaf && !self.leaves)
        {
            return Ok(());
        }
        let mut frames = Vec::new();
        let answers = match parent {
            Some(_) => fetch(self.store, cids)?,
            None => fetch_root(self.store, cids)?,
        };
        for (cid, stored) in cids.iter().zip(answers) {
            let fault = |flaw| BlockFault {
                cid: *cid,
                parent,
                flaw,
            };
            // Compared before it is parsed: what a node links to is believed of named bytes only.
            examine(cid, stored.as_ref()).map_err(fault)?;
            let stored = stored.unwrap_or_default();
            if cid.codec() == Codec::Node {
                frames.push((*cid, links_of(&stored).map_err(fault)?));
            }
            self.ready.push_back(Visit { cid: *cid, stored });
        }
        // Backwards onto the stack, so that the first node's links are served first.
        for (node, links) in frames.into_iter().rev() {
            self.frontier.push(node, links, 0).map_err(|flaw| BlockFault {
                cid: node,
                parent,
                flaw,
            })?;
        }
        Ok(())
    }

    fn reload(&mut self, node: Cid, next: usize) -> std::result::Result<(), WalkError> {
        let fault = |flaw| BlockFault {
            cid: node,
            parent: None,
            flaw,
        };
        // Compared again: the store may answer other bytes than it did the first time.
        let stored = self.store.get(&node)?;
        examine(&node, stored.as_ref()).map_err(fault)?;
        let links = links_of(&stored.unwrap_or_default()).map_err(fault)?;
        Ok(self.frontier.push(node, links, next).map_err(fault)?)
    }
}

/// Why a walk could not go on.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A block is not what its parent links to.
    #[error("{0}")]
    Fault(BlockFault),
    /// The store failed to answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BlockFault> for WalkError {
    fn from(fault: BlockFault) -> Self {
        Self::Fault(fault)
    }
}

/// What the commit block `root` says in the clear.
pub fn commit_of(store: &dyn BlockStore, root: Cid) -> Result<clear::CommitInfo> {
    let stored = root_block(store, &root)?;
    clear::commit_info(&stored)
}
