//! An epoch that was closed: what its commit writes.

use crate::InodeNo;
use crate::commit::open::HeaderBlock;
use crate::data::layer::Layer;
use crate::namespace::inode::{Home, Names};
use crate::stored::record::{Meta, Record, Stored, Xattrs};
use crate::stored::snapshot::Snapshot;
use crate::stored::volume::Volume;
use crate::versions::snapshots::Snapshots;
use cairn_merkle::{Cid, Epoch, Link};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::time::Instant;

/// One inode of the epoch being committed, as it was when the epoch was closed.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) meta: Meta,
    pub(crate) xattrs: Xattrs,
    pub(crate) home: Home,
    pub(crate) work: Work,
    /// Unlinked and out of reach: its blocks go.
    pub(crate) dead: bool,
    /// Directories above it.
    pub(crate) depth: u32,
}

impl Item {
    /// The inode's record with other content.
    pub(crate) fn record(&self, stored: Stored, bytes: u64) -> Record {
        Record {
            meta: Meta {
                stored: bytes,
                ..self.meta.clone()
            },
            xattrs: self.xattrs.clone(),
            stored,
        }
    }
}

/// What is to be written of an inode beside its attributes.
#[derive(Debug)]
pub(crate) enum Work {
    File { stored: Stored, layer: Arc<Layer> },
    Dir { stored: Option<Link>, names: Arc<Names> },
    Fixed(Stored),
}

/// The moment at which an epoch was closed: its version holds what was done before, and nothing
/// else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When that was.
    pub at: Instant,
    /// Bytes of files written by then, since the volume was opened.
    pub written_bytes: u64,
}

/// A closed epoch.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) epoch: Epoch,
    pub(crate) closed: Closed,
    /// The commit block before: name, epoch and stored bytes.
    pub(crate) previous: (Cid, Epoch, u32),
    pub(crate) items: Vec<Item>,
    pub(crate) left_table: Vec<InodeNo>,
    pub(crate) dropped: Vec<Link>,
    pub(crate) stranded: Vec<Cid>,
    pub(crate) snapshots: Snapshots,
    pub(crate) volume: Volume,
    /// Versions this commit leaves whole, and what the held list was made for before.
    pub(crate) holds: Holds,
    pub(crate) held_before: Option<Holds>,
    pub(crate) header: HeaderBlock,
    /// The live tree is to be that of a snapshot.
    pub(crate) rollback: Option<Rollback>,
    /// Leaves put up to the freeze, and whether some of them were not synced then.
    pub(crate) landed: u64,
    pub(crate) unsynced: bool,
}

/// A way back to a snapshot.
#[derive(Debug)]
pub(crate) struct Rollback {
    /// What the live tree becomes.
    pub(crate) to: Snapshot,
    /// Blocks that the live tree names now, and not then.
    pub(crate) leave: Vec<Link>,
    /// Blocks that it names then, and not now.
    pub(crate) come: FxHashSet<Cid>,
}

/// Epochs of the versions that must stay whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds(Vec<Epoch>);

impl Holds {
    pub(crate) fn new(mut epochs: Vec<Epoch>) -> Self {
        epochs.sort_unstable();
        epochs.dedup();
        Self(epochs)
    }

    /// Whether a held version names a block that was born and freed in these epochs.
    pub(crate) fn name(&self, birth: Epoch, freed: Epoch) -> bool {
        // What the held commit itself freed is no part of it (docs/format.md 14.1).
        self.0.iter().any(|held| birth <= *held && *held < freed)
    }

    /// Whether everything `other` holds is held here too.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        // Then no row of the list was let go, and the list need not be walked.
        other.0.iter().all(|epoch| self.0.contains(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_holds_what_was_there_when_it_was_committed_and_nothing_else() {
        let holds = Holds::new(vec![Epoch(9), Epoch(5)]);
        let names = |birth, freed| holds.name(Epoch(birth), Epoch(freed));
        assert!(names(5, 6) && names(1, 6) && names(1, 10) && names(9, 10) && names(6, 10));
        assert!(!names(6, 9), "born after 5, freed by 9");
        assert!(!names(1, 5), "freed by 5");
        assert!(!names(10, 11), "born after both");
        assert!(holds.cover(&Holds::new(vec![Epoch(5)])) && !Holds::default().cover(&holds));
    }
}
