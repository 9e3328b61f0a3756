//! The links still to be visited on a walk over clear links, in bounded memory, and the names
//! visited already.
//!
//! ```text
//!  root --links--> frame            the newest frame is served first: depth first, so that few frames are open
//!                  frame  <- a, b   a frame is a node's name, its links, and how far they were served
//!                  frame  <- (dropped)   too many links held: the oldest frames drop theirs, and are read again
//! ```
//!
//! A node of 2 MiB can have 50,000 links, and a hostile volume can nest such nodes as deep as it
//! is large. So frames hold up to [`LINKS_MAX`] links in all. Frames without theirs take 72
//! bytes, and there are at most [`FRAMES_MAX`].
//!
//! No block can lie below itself, since its name is its hash. But one block can have many
//! parents. Snapshots share almost everything, and a hostile volume can double the ways to a
//! block with each level. [`Seen`] remembers the names met, 16 bytes each, up to a number. Beyond
//! it shared blocks are visited again: slower, never wrong.

use crate::{BlockStore, Cid, Codec, Error, MAX_STORED, Result, StoreError, clear, node_links, root_block};
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// Links held in frames: 36 MB.
const LINKS_MAX: usize = 1 << 20;
/// Frames: a chain of so many nested directories has 72 MB of them.
const FRAMES_MAX: usize = 1 << 20;
/// Blocks asked of the store at once: 1 MiB of records of the default size, 16 MiB at worst.
pub(crate) const RUN: usize = 8;

/// Names met so far, as far as they are remembered.
pub struct Seen {
    /// Two hashes of 64 bits under secret keys: no outsider can make two names look the same.
    hashers: [RandomState; 2],
    met: HashSet<u128>,
    count_max: usize,
}

impl Seen {
    /// Remembers up to `count_max` names, in about 36 bytes each at worst.
    pub fn new(count_max: usize) -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            met: HashSet::new(),
            count_max,
        }
    }

    /// Whether `cid` is met for the first time, as far as is remembered.
    pub fn insert(&mut self, cid: &Cid) -> bool {
        let print = self.print(cid);
        if self.met.len() < self.count_max {
            return self.met.insert(print);
        }
        // Full: new names look new each time, so shared blocks are visited again and none is
        // missed.
        !self.met.contains(&print)
    }

    /// Whether `cid` was met.
    pub fn contains(&self, cid: &Cid) -> bool {
        self.met.contains(&self.print(cid))
    }

    fn print(&self, cid: &Cid) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(cid)) << 64 | u128::from(low.hash_one(cid))
    }
}

/// Why a block is not the one its parent links to. Any reader can tell: no key is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The store does not have it.
    Missing,
    /// Its bytes are not the ones its name was computed from.
    Altered,
    /// Its bytes are the ones named, but not a node: their writer did not write a volume.
    Malformed {
        /// The rule they break.
        why: &'static str,
    },
    /// It is nested deeper than a walk goes.
    TooDeep,
}

/// A block that is not what its parent links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFault {
    /// The block.
    pub cid: Cid,
    /// The node that links to it; `None` for the root.
    pub parent: Option<Cid>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl std::fmt::Display for BlockFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cid, parent, flaw } = self;
        match flaw {
            Flaw::Missing => write!(f, "block {cid} is missing")?,
            Flaw::Altered => write!(f, "block {cid} is not what was written")?,
            Flaw::Malformed { why } => write!(f, "block {cid} is no node of a volume: {why}")?,
            Flaw::TooDeep => write!(f, "block {cid} is nested deeper than any volume is")?,
        }
        match parent {
            Some(parent) => write!(f, " (linked from {parent})"),
            None => write!(f, " (the root)"),
        }
    }
}

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

struct Frame {
    node: Cid,
    links: Option<Vec<Cid>>,
    next: usize,
}

/// What to do next.
pub(crate) enum Job {
    /// Blocks of one parent, all of one codec.
    Visit { parent: Cid, cids: Vec<Cid> },
    /// The links of this node were dropped: read it again and [`Frontier::push`] them from `next`
    /// on.
    Reload { node: Cid, next: usize },
}

/// What is still to be visited. See the module's picture.
#[derive(Default)]
pub(crate) struct Frontier {
    frames: Vec<Frame>,
    held: usize,
    /// Frames below this one have dropped their links.
    cold: usize,
}

impl Frontier {
    /// Adds the links of a node, to be served before all that was added earlier.
    pub(crate) fn push(&mut self, node: Cid, links: Vec<Cid>, next: usize) -> std::result::Result<(), Flaw> {
        if next >= links.len() {
            return Ok(());
        }
        if self.frames.len() >= FRAMES_MAX {
            return Err(Flaw::TooDeep);
        }
        self.held += links.len();
        let links = Some(links);
        self.frames.push(Frame { node, links, next });
        // The oldest first: they are served last, so most of them are dropped and read again once.
        // The newest keeps its links whatever they take, else nothing would be served.
        while self.held > LINKS_MAX && self.cold + 1 < self.frames.len() {
            self.held -= self.frames[self.cold].links.take().map_or(0, |links| links.len());
            self.cold += 1;
        }
        Ok(())
    }

    /// The next blocks: up to [`RUN`] links of the newest node. `None` when nothing is left.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let frame = self.frames.last_mut()?;
        let parent = frame.node;
        let next = frame.next;
        let Some(links) = &frame.links else {
            // The caller pushes it anew with its links: left here, it would be served twice.
            self.frames.pop();
            self.cold = self.cold.min(self.frames.len());
            return Some(Job::Reload { node: parent, next });
        };
        // One codec in a run: a walk over names fetches nodes only, and passes runs of leaves by.
        let codec = links[next].codec();
        let run = links[next..]
            .iter()
            .take(RUN)
            .take_while(|cid| cid.codec() == codec);
        let cids: Vec<_> = run.copied().collect();
        frame.next += cids.len();
        if frame.next == links.len() {
            // Before its last blocks are visited: a chain of only children takes one frame, not one
            // for each.
            self.held -= links.len();
            self.frames.pop();
            self.cold = self.cold.min(self.frames.len());
        }
        Some(Job::Visit { parent, cids })
    }
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
