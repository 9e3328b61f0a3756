//! Inodes that the kernel refers to and that are idle: kept as a place to find them again.
//!
//! ```text
//!   in memory (about 800 bytes) --too many, clean, not open, no children in memory--> parked (40 bytes)
//!        ^                                                                               |
//!        `------- enter(): found by parent and hash of its name, or in a table ----------'
//! ```
//!
//! The kernel keeps inodes as long as it has memory, and the daemon must know each of them until it
//! is forgotten: a million files would take 800 MB. Every operation enters through
//! `Engine::enter`, which parks a few of the inodes that came first and brings the one it is
//! about back.
//!
//! **Invariant:** a parked inode is what the last commit holds of it. It counts among its parent's
//! children, so its parent is in memory.

use crate::InodeNo;
use crate::namespace::inode::{Home, Inode};
use crate::namespace::view::view_of;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// What a place for a parked one takes in a table that is never quite full.
const PARKED_BYTES: usize = 48;
/// One that takes this much more than others is parked though it is open.
const HEAVY_BYTES: u64 = 4096;
/// Inodes that cannot be parked are passed by so often per operation, and once more for each
/// [`HEAVY_BYTES`] too many, up to [`STEPS_MAX`]: more than any operation brings into memory.
const STEPS: usize = 4;
const STEPS_MAX: u64 = 64;

/// Where a parked inode is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Entry {
        parent: InodeNo,
        hash: u32,
    },
    Table,
    /// In the table of unlinked inodes.
    Orphans,
}

#[derive(Clone, Copy, Debug)]
struct Parked {
    place: Place,
    /// References the kernel holds.
    lookups: u64,
    /// Open handles.
    opens: u32,
}

/// Parked inodes, and the order in which those in memory came.
#[derive(Default)]
pub(crate) struct Parking {
    parked: FxHashMap<InodeNo, Parked>,
    /// With the stamp of the inode: one that has left memory since, and come back, has another.
    order: VecDeque<(InodeNo, u64)>,
    stamp: u64,
    inodes_max: usize,
    bytes_max: u64,
    /// The table of unlinked inodes is damaged: a commit may have left some of them out of it.
    orphans_lost: bool,
}

impl Parking {
    /// For up to `inodes_max` inodes in memory, or as many as take `bytes_max`.
    pub(crate) fn new(inodes_max: usize, bytes_max: u64) -> Self {
        Self {
            inodes_max,
            bytes_max,
            ..Self::default()
        }
    }

    /// An inode comes into memory. Answers whether it was parked, with the references it had.
    pub(crate) fn arrive(&mut self, inode: &mut Inode) -> bool {
        self.stamp += 1;
        inode.stamp = self.stamp;
        self.order.push_back((inode.meta.ino, self.stamp));
        let parked = self.parked.remove(&inode.meta.ino);
        inode.lookups += parked.map_or(0, |parked| parked.lookups);
        inode.opens += parked.map_or(0, |parked| parked.opens);
        parked.is_some()
    }

    /// Unlinked inodes stay in memory from now on.
    pub(crate) fn lose_orphans(&mut self) {
        self.orphans_lost = true;
    }

    /// Where an inode would be found, if it may be parked.
    pub(crate) fn place_for(&self, inode: &Inode) -> Option<Place> {
        place_of(inode).filter(|place| !(self.orphans_lost && matches!(place, Place::Orphans)))
    }

    /// The kernel refers to an inode of the hard-link table that cannot be read: it is parked
    /// without having been here.
    pub(crate) fn refer(&mut self, ino: InodeNo) {
        let place = Place::Table;
        let parked = self.parked.entry(ino).or_insert(Parked {
            place,
            lookups: 0,
            opens: 0,
        });
        parked.lookups += 1;
    }

    /// Where an inode is found that is parked.
    pub(crate) fn place(&self, ino: InodeNo) -> Option<Place> {
        self.parked.get(&ino).map(|parked| parked.place)
    }

    /// Whether too many inodes are in memory: so many, which take so many bytes.
    pub(crate) fn is_crowded(&self, inodes: usize, bytes: u64) -> bool {
        inodes > self.inodes_max || bytes > self.bytes_max
    }

    /// How many inodes an operation may pass by, when those in memory take so many bytes.
    pub(crate) fn steps(&self, bytes: u64) -> u64 {
        let excess = bytes.saturating_sub(self.bytes_max);
        STEPS as u64 + (excess / HEAVY_BYTES).min(STEPS_MAX)
    }

    /// Whether places in the order of inodes that left are too many beside so many inodes in
    /// memory.
    pub(crate) fn is_littered(&self, inodes: usize) -> bool {
        self.order.len() > 2 * inodes + STEPS
    }

    /// The inode that came first, and its stamp, taken out of the order.
    pub(crate) fn next(&mut self) -> Option<(InodeNo, u64)> {
        self.order.pop_front()
    }

    /// Puts one back, at the end: it cannot be parked now.
    pub(crate) fn pass_by(&mut self, ino: InodeNo, stamp: u64) {
        self.order.push_back((ino, stamp));
    }

    /// Keeps the place and the references of an inode that leaves memory.
    pub(crate) fn park(&mut self, inode: &Inode, place: Place) {
        let parked = Parked {
            place,
            lookups: inode.lookups,
            opens: inode.opens,
        };
        self.parked.insert(inode.meta.ino, parked);
    }

    /// The kernel drops references to an inode that may be parked, and closes handles. Answers
    /// whether it was parked, and with its last reference, where it was found.
    pub(crate) fn forget(&mut self, ino: InodeNo, lookups: u64, opens: u32) -> Option<Option<Place>> {
        let parked = self.parked.get_mut(&ino)?;
        parked.lookups = parked.lookups.saturating_sub(lookups);
        parked.opens = parked.opens.saturating_sub(opens);
        if parked.lookups > 0 || parked.opens > 0 {
            return Some(None);
        }
        Some(self.parked.remove(&ino).map(|parked| parked.place))
    }

    /// Whether one of the live tree is parked.
    pub(crate) fn has_live(&self) -> bool {
        self.parked.keys().any(|ino| view_of(*ino) == 0)
    }

    /// Bytes all this takes.
    pub(crate) fn bytes(&self) -> usize {
        self.parked.capacity() * PARKED_BYTES + self.order.capacity() * size_of::<(InodeNo, u64)>()
    }
}

fn place_of(inode: &Inode) -> Option<Place> {
    let open = inode.opens > 0 && inode.counted < HEAVY_BYTES;
    let busy = inode.dirty || inode.frozen || open || inode.children > 0 || inode.is_idle();
    // What an fsync has yet to report would be forgotten.
    let untold = inode.lost || inode.dir().is_ok_and(|dir| dir.unread.is_some());
    match &inode.home {
        _ if busy || untold => None,
        Home::Entry { parent, key } => Some(Place::Entry {
            parent: *parent,
            hash: key.hash,
        }),
        Home::Table => Some(Place::Table),
        Home::Orphan => Some(Place::Orphans),
        Home::Root => None,
    }
}

#[cfg(test)]
mod tests;
