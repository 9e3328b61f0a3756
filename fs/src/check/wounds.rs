//! What a check found, as a repair wants to know it.
//!
//! Only of the newest version: an older one is never changed. Of a snapshot it is enough to know
//! that it is not whole.

use crate::stored::name::DirKey;
use crate::{InodeNo, Name};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// A file whose content is not whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broken {
    /// What is wrong, for people.
    pub(crate) findings: Vec<Finding>,
    /// Bytes of it that cannot be read, in order.
    pub(crate) lost: Vec<Range<u64>>,
    /// Records whose leaf cannot be read.
    pub(crate) records: Vec<u64>,
    /// Nodes of the index cannot be read.
    pub(crate) index: bool,
    /// Plain bytes in the leaves that can be found, those that cannot be read included.
    pub(crate) stored: u64,
    /// Some bytes of it can be read.
    pub(crate) readable: bool,
}

/// One thing that is wrong, wherever it counts.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) what: String,
    /// A block is not there.
    pub(crate) missing: bool,
}

/// A directory that cannot be read as a whole, or counts wrongly.
#[derive(Clone, Debug)]
pub(crate) struct DirWound {
    pub(crate) path: Vec<u8>,
    /// Names that are there, and how many of them are directories.
    pub(crate) names: u64,
    pub(crate) subdirs: u32,
    /// Names that are not.
    pub(crate) lost: u64,
}

/// Everything that a repair mends.
#[derive(Debug, Default)]
pub(crate) struct Wounds {
    /// Directories, each before those in it.
    pub(crate) dirs: Vec<DirWound>,
    /// Entries that lead to no inode, by the path of their directory.
    pub(crate) cut: Vec<(Vec<u8>, DirKey)>,
    /// Files with one name.
    pub(crate) files: Vec<(Vec<u8>, Broken)>,
    /// Files with several names, and the names of those.
    pub(crate) linked: FxHashMap<InodeNo, Broken>,
    pub(crate) linked_paths: Vec<(Vec<u8>, InodeNo)>,
    /// Inodes of the hard-link table that have another number of names than they count.
    pub(crate) names: Vec<(InodeNo, u32)>,
    /// Snapshots that are not whole.
    pub(crate) snapshots: Vec<Name>,
    /// Lists and tables of which a node cannot be read.
    pub(crate) table: bool,
    pub(crate) snapshot_table: bool,
    pub(crate) orphans: bool,
    pub(crate) dead: bool,
    pub(crate) held: bool,
    pub(crate) gone: bool,
    /// A published version is not whole, which no repair can mend.
    pub(crate) published: bool,
    /// What the live tree has, and whether that is what the volume counts.
    pub(crate) inodes: u64,
    pub(crate) bytes: u64,
    pub(crate) miscounted: bool,
}

impl Wounds {
    /// Whether the snapshots or what belongs to them must be written anew.
    pub(crate) fn of_snapshots(&self) -> bool {
        self.snapshot_table || self.dead || !self.snapshots.is_empty()
    }

    /// Whether the live tree gives up nodes unread: what they led to, older versions may name all
    /// the same.
    pub(crate) fn prunes(&self) -> bool {
        let mut files = self.files.iter().map(|(_, broken)| broken);
        let index = files.any(|broken| broken.index) || self.linked.values().any(|broken| broken.index);
        index || self.table || self.dirs.iter().any(|dir| dir.lost > 0)
    }

    /// Whether there is nothing to mend.
    pub(crate) fn is_none(&self) -> bool {
        let tree = self.dirs.is_empty() && self.cut.is_empty() && self.files.is_empty();
        let links = self.linked.is_empty() && self.names.is_empty() && !self.table;
        let lists = self.of_snapshots() || self.orphans || self.held || self.gone;
        tree && links && !lists && !self.miscounted
    }
}
