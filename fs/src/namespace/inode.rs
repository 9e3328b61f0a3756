//! An inode in memory: its attributes, its home in the tree, and what changed since the last
//! commit.
//!
//! ```text
//!            +-- open   changes of the epoch that is filling
//!  content --+-- frozen changes that the commit under way writes
//!            +-- stored what the last commit holds
//! ```

use crate::data::layer::Layer;
use crate::namespace::slots::Slots;
use crate::stored::name::DirKey;
use crate::stored::record::{Meta, Stored, Xattrs};
use crate::{Attr, InodeNo, Kind};
use cairn_merkle::{Epoch, Link};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// A changed inode's record is in memory so often while it is committed: encoded, as an entry, and
/// in a node.
pub(crate) const RECORD_COPIES: u64 = 3;

/// Where an inode's record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the commit block: the root directory, of the volume or of a snapshot.
    Root,
    /// In its one directory entry.
    Entry { parent: InodeNo, key: DirKey },
    /// In the hard-link table.
    Table,
    /// Nowhere any more: unlinked, and kept while it is open.
    Orphan,
}

/// What a directory entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) ino: InodeNo,
    pub(crate) kind: Kind,
    /// The record is in the hard-link table.
    pub(crate) linked: bool,
}

/// Names that changed in one directory in one epoch; `None` is a removed name.
pub(crate) type Names = BTreeMap<DirKey, Option<Child>>;

/// A regular file's bytes.
#[derive(Clone, Debug)]
pub(crate) struct FileBody {
    pub(crate) stored: Stored,
    pub(crate) frozen: Option<Arc<Layer>>,
    pub(crate) open: Layer,
    pub(crate) unlogged: Unlogged,
    /// Dirty bytes that the frozen layer holds and the log does not.
    pub(crate) frozen_unlogged: bool,
    /// It was synced since the open epoch began.
    pub(crate) synced: bool,
}

/// A directory's names.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirBody {
    pub(crate) stored: Option<Link>,
    /// A node of it that a listing found damaged: names are missing from what it told.
    pub(crate) unread: Option<Link>,
    pub(crate) frozen: Option<Arc<Names>>,
    pub(crate) open: Names,
    /// Places of names of one hash that came or went while it was open.
    pub(crate) slots: Slots,
}

/// What an inode leads to.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    File(Box<FileBody>),
    Dir(DirBody),
    /// A symlink's target, or nothing: never changes.
    Fixed(Stored),
}

/// A sync of no more records than this is short.
const SHORT_RECORDS: usize = 16;

/// File content that no log record holds yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unlogged {
    /// Smallest size the file had since it was last logged, if it shrank.
    pub(crate) low: Option<u64>,
    /// Touched ranges by record; `None` for the whole record.
    pub(crate) records: BTreeMap<u64, Option<BTreeSet<(u32, u32)>>>,
    /// Size or times changed.
    pub(crate) meta: bool,
    /// When the oldest of it was changed, or before.
    pub(crate) since: Option<Instant>,
}

impl Unlogged {
    pub(crate) fn is_empty(&self) -> bool {
        self.low.is_none() && self.records.is_empty() && !self.meta
    }

    /// Whether logging it is one short append.
    pub(crate) fn is_short(&self) -> bool {
        self.records.len() <= SHORT_RECORDS
    }

    /// Bytes `from..until` of a record were written.
    pub(crate) fn touch(&mut self, recno: u64, from: u32, until: u32) {
        if let Some(ranges) = self.records.entry(recno).or_insert_with(|| Some(BTreeSet::new())) {
            ranges.insert((from, until));
            // A record touched in many places is cheaper to log whole than to account for.
            if ranges.len() > 64 {
                self.records.insert(recno, None);
            }
        }
    }

    /// A record got a new base: a leaf or a hole.
    pub(crate) fn replace(&mut self, recno: u64) {
        self.records.insert(recno, None);
    }

    /// The file was cut to `size`; `first_gone` is the first record that is wholly gone.
    pub(crate) fn cut(&mut self, size: u64, first_gone: u64) {
        self.records.split_off(&first_gone);
        self.low = Some(self.low.map_or(size, |low| low.min(size)));
        self.meta = true;
    }
}

/// What an extended attribute takes beside its name and value.
const XATTR_BYTES: usize = 128;

/// An inode in memory.
#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) meta: Meta,
    pub(crate) xattrs: Xattrs,
    pub(crate) home: Home,
    pub(crate) content: Content,
    /// References the kernel holds.
    pub(crate) lookups: u64,
    /// Open handles.
    pub(crate) opens: u32,
    /// Inodes in memory whose home is this directory.
    pub(crate) children: u32,
    /// Changed in the open epoch.
    pub(crate) dirty: bool,
    /// Part of the commit under way.
    pub(crate) frozen: bool,
    /// A commit could not place some of it, and no fsync has reported that yet.
    pub(crate) lost: bool,
    /// Epoch whose log already says where this inode is found.
    pub(crate) located: Epoch,
    /// When it came into memory; see `parking.rs`.
    pub(crate) stamp: u64,
    /// What of [`Self::extra_bytes`] the state counts.
    pub(crate) counted: u64,
}

impl Inode {
    pub(crate) fn new(meta: Meta, xattrs: Xattrs, stored: Stored, home: Home) -> Self {
        let content = match meta.kind {
            Kind::File => Content::File(Box::new(FileBody {
                stored,
                frozen: None,
                open: Layer::default(),
                unlogged: Unlogged::default(),
                frozen_unlogged: false,
                synced: false,
            })),
            Kind::Directory => Content::Dir(DirBody {
                stored: match stored {
                    Stored::Tree(link) => Some(link),
                    _ => None,
                },
                ..DirBody::default()
            }),
            _ => Content::Fixed(stored),
        };
        Self {
            meta,
            xattrs,
            home,
            content,
            lookups: 0,
            opens: 0,
            children: 0,
            dirty: false,
            frozen: false,
            lost: false,
            located: Epoch(0),
            stamp: 0,
            counted: 0,
        }
    }

    /// Bytes of memory it takes beyond what every inode does: its name, its extended attributes,
    /// and bytes that lie in it.
    pub(crate) fn extra_bytes(&self) -> u64 {
        let name = match &self.home {
            Home::Entry { key, .. } => key.name.as_bytes().len(),
            Home::Root | Home::Table | Home::Orphan => 0,
        };
        let stored = match &self.content {
            Content::File(file) => &file.stored,
            Content::Fixed(stored) => stored,
            Content::Dir(_) => &Stored::None,
        };
        let inline = match stored {
            Stored::Inline(bytes) => bytes.len(),
            _ => 0,
        };
        let pairs = self.xattrs.iter();
        let xattrs: usize = pairs
            .map(|(name, value)| name.len() + value.len() + XATTR_BYTES)
            .sum();
        (name + inline + xattrs) as u64
    }

    /// Whether nothing outside the tree needs it in memory.
    pub(crate) fn is_idle(&self) -> bool {
        self.lookups == 0 && self.opens == 0 && self.children == 0
    }

    /// Unlinked and out of reach: its blocks can go.
    pub(crate) fn is_dead(&self) -> bool {
        self.home == Home::Orphan && self.lookups == 0 && self.opens == 0
    }

    pub(crate) fn dir(&self) -> crate::Result<&DirBody> {
        match &self.content {
            Content::Dir(dir) => Ok(dir),
            _ => Err(crate::Error::NotDirectory),
        }
    }

    pub(crate) fn dir_mut(&mut self) -> crate::Result<&mut DirBody> {
        match &mut self.content {
            Content::Dir(dir) => Ok(dir),
            _ => Err(crate::Error::NotDirectory),
        }
    }

    pub(crate) fn file(&self) -> crate::Result<&FileBody> {
        match &self.content {
            Content::File(file) => Ok(file),
            Content::Dir(_) => Err(crate::Error::IsDirectory),
            Content::Fixed(_) => Err(crate::Error::Invalid("not a regular file")),
        }
    }

    pub(crate) fn file_mut(&mut self) -> crate::Result<&mut FileBody> {
        match &mut self.content {
            Content::File(file) => Ok(file),
            Content::Dir(_) => Err(crate::Error::IsDirectory),
            Content::Fixed(_) => Err(crate::Error::Invalid("not a regular file")),
        }
    }

    pub(crate) fn attr(&self) -> Attr {
        let meta = &self.meta;
        let size = if meta.kind == Kind::Directory {
            meta.size * 32 + 64
        } else {
            meta.size
        };
        let (bytes, settled) = self.bytes_held();
        Attr {
            settled,
            ..meta.attr(size, bytes)
        }
    }

    /// Bytes in blocks once everything is committed, or a guess, and whether it is exact.
    /// Never more than the file could hold.
    fn bytes_held(&self) -> (u64, bool) {
        let Content::File(file) = &self.content else {
            return (0, true);
        };
        let size = self.meta.size;
        let layers = [file.frozen.as_deref(), Some(&file.open)];
        let (mut bytes, mut settled) = (self.meta.stored, true);
        for layer in layers.into_iter().flatten() {
            let (over, exact) = layer.bytes_held(bytes, size);
            (bytes, settled) = (over, settled && exact);
        }
        (bytes.min(size), settled)
    }
}
