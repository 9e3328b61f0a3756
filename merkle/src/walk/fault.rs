//! What can be wrong with a block, as any reader finds without a key.

use crate::Cid;

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
