//! A version of a volume: an epoch and the commit block that closed it.

use crate::{Cid, Epoch};

/// One version of a volume, as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// The number of the commit.
    pub epoch: Epoch,
    /// The commit block. Its codec is always dag-cbor, so its hash says it all.
    pub root: Cid,
}

impl Version {
    /// From a counter and a hash, which is what anchors keep.
    pub fn from_digest(epoch: u64, digest: [u8; 32]) -> Self {
        Self {
            epoch: Epoch(epoch),
            root: Cid::node(digest),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {} ({})", self.epoch, self.root)
    }
}
