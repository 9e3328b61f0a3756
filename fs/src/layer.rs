//! What one epoch changed in one file, on top of what lies below it.
//!
//! ```text
//!   open layer      what was written since the last commit was cut
//!   frozen layer    what the commit under way is writing (immutable)
//!   stored          what the last commit holds: inline bytes, a leaf or an index
//! ```
//!
//! A record is looked up from the top down; the first layer that knows it ends the search, except that scattered
//! writes ([`Rec::Dirty`]) lie over whatever is below them.

use crate::pieces::Pieces;
use cairn_merkle::{LEAF_OVERHEAD, Link};
use std::collections::BTreeMap;

/// Scattered bytes over something older.
#[derive(Clone, Debug)]
pub(crate) struct Dirty {
    /// What the pieces lie over.
    pub(crate) under: Under,
    /// Bytes of `under` from here on are gone (a truncation cut them) and read as zeros.
    pub(crate) keep: u32,
    /// What was written.
    pub(crate) pieces: Pieces,
    /// Grows with each change, so that a background seal can tell whether it still holds the newest bytes.
    pub(crate) version: u64,
}

/// What a [`Dirty`] record lies over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// Whatever the next layer down says.
    Below,
    /// Zeros.
    Hole,
    /// A leaf put in the same epoch, which no commit names yet.
    Leaf(Link),
}

/// One record in a layer.
#[derive(Clone, Debug)]
pub(crate) enum Rec {
    /// Zeros.
    Hole,
    /// Sealed and put already.
    Clean(Link),
    /// In memory.
    Dirty(Dirty),
}

impl Rec {
    /// The leaf that goes when this record is replaced.
    pub(crate) fn into_link(self) -> Option<Link> {
        match self {
            Self::Clean(link)
            | Self::Dirty(Dirty {
                under: Under::Leaf(link),
                ..
            }) => Some(link),
            Self::Hole | Self::Dirty(_) => None,
        }
    }
}

/// Changed records of one file in one epoch.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Records from here on that this layer does not hold are holes, whatever lies below.
    pub(crate) floor: u64,
    /// By record number.
    pub(crate) records: BTreeMap<u64, Rec>,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            floor: u64::MAX,
            records: BTreeMap::new(),
        }
    }
}

impl Layer {
    /// Whether the layer changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.floor == u64::MAX && self.records.is_empty()
    }

    /// The dirty form of record `recno`, made from whatever form it has; `record_size` is its full length.
    pub(crate) fn dirty(&mut self, recno: u64, record_size: u32) -> &mut Dirty {
        let under = if recno >= self.floor {
            Under::Hole
        } else {
            Under::Below
        };
        let fresh = |under| Dirty {
            under,
            keep: record_size,
            pieces: Pieces::default(),
            version: 0,
        };
        let rec = self
            .records
            .entry(recno)
            .or_insert_with(|| Rec::Dirty(fresh(under)));
        match rec {
            Rec::Hole => *rec = Rec::Dirty(fresh(Under::Hole)),
            Rec::Clean(link) => *rec = Rec::Dirty(fresh(Under::Leaf(link.clone()))),
            Rec::Dirty(_) => {}
        }
        match rec {
            Rec::Dirty(dirty) => {
                dirty.version += 1;
                dirty
            }
            Rec::Hole | Rec::Clean(_) => unreachable!("made dirty just above"),
        }
    }

    /// Replaces a record; leaves that go are pushed to `dropped`.
    pub(crate) fn set(&mut self, recno: u64, rec: Rec, dropped: &mut Vec<Link>) {
        dropped.extend(self.records.insert(recno, rec).and_then(Rec::into_link));
    }

    /// Everything from byte `size` on is gone.
    pub(crate) fn cut(&mut self, size: u64, record_size: u32, dropped: &mut Vec<Link>) {
        let whole = size.div_ceil(u64::from(record_size));
        for (_, rec) in self.records.split_off(&whole) {
            dropped.extend(rec.into_link());
        }
        self.floor = self.floor.min(whole);
        let keep = u32::try_from(size % u64::from(record_size)).expect("below the record size");
        if keep > 0 {
            let recno = size / u64::from(record_size);
            let dirty = self.dirty(recno, record_size);
            dirty.keep = dirty.keep.min(keep);
            dirty.pieces.cut(keep);
        }
    }
}

impl Layer {
    /// Bytes of data in this layer.
    pub(crate) fn bytes_held(&self) -> u64 {
        let held = |rec: &Rec| match rec {
            Rec::Hole => 0,
            Rec::Clean(link) => crate::layer::plain_len(link),
            Rec::Dirty(dirty) => dirty.pieces.bytes() as u64,
        };
        self.records.values().map(held).sum()
    }
}

/// Bytes inside a leaf: what is stored less what sealing adds.
pub(crate) fn plain_len(link: &Link) -> u64 {
    u64::from(link.len).saturating_sub(LEAF_OVERHEAD as u64)
}
