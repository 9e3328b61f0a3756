//! One node of a file index: its bytes, and its form while it is being changed.
//!
//! ```text
//!   | version | height | bitmap of 128 slots |     and in the node's list of links one link per set bit, in slot order
//! ```

use crate::{Error, Link, Node, NodeSink, NodeSource, Result};
use std::collections::BTreeMap;

/// The top of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRoot {
    /// Leads to the topmost node.
    pub link: Link,
    /// Its height, at least 1: a node of height 1 links to leaves.
    pub height: u8,
}

/// Slots of a node. A full node is about 11 KiB; a 128 GiB file of 128 KiB records has three
/// levels.
pub const FANOUT: usize = 1 << DIGIT_BITS;
/// Height at which an index covers every `u64`.
pub const HEIGHT_MAX: u8 = 10;

const DIGIT_BITS: u32 = 7;
const VERSION: u8 = 1;
const BITMAP_BYTES: usize = FANOUT / 8;
const BODY_BYTES: usize = 2 + BITMAP_BYTES;

pub(super) fn malformed(why: &'static str) -> Error {
    Error::Malformed {
        what: "index node",
        why,
    }
}

/// Bits of a record number below the digit that selects a slot at `height`, which is 1 to
/// [`HEIGHT_MAX`].
fn shift(height: u8) -> u32 {
    DIGIT_BITS * (u32::from(height) - 1)
}

/// Whether `recno` lies within a tree of this height. No tree has height 0 or one above
/// [`HEIGHT_MAX`]; both are said to cover everything, so that opening the node finds out.
pub(super) fn covers(height: u8, recno: u64) -> bool {
    match height {
        1..HEIGHT_MAX => recno >> (shift(height) + DIGIT_BITS) == 0,
        _ => true,
    }
}

/// The slot that leads to `recno` at this height.
pub(super) fn slot_of(recno: u64, height: u8) -> u8 {
    (recno >> shift(height)) as u8 & (FANOUT as u8 - 1)
}

/// First record below a slot of a node that begins at `base`.
pub(super) fn base_of(base: u64, height: u8, slot: u8) -> u64 {
    base | u64::from(slot) << shift(height)
}

/// Last record below a slot that begins at `base`, in a node of this height.
pub(super) fn last_of(base: u64, height: u8) -> u64 {
    base | ((1 << shift(height)) - 1)
}

/// A node as it is read.
pub(super) struct View<'a> {
    bitmap: u128,
    links: &'a [Link],
}

impl<'a> View<'a> {
    /// Checks the whole node: from here on slots and links agree.
    pub(super) fn open(node: &'a Node, height: u8) -> Result<Self> {
        if !(1..=HEIGHT_MAX).contains(&height) {
            return Err(malformed("no index has this height"));
        }
        let &[version, own_height, ref bitmap @ ..] = node.body.as_slice() else {
            return Err(malformed("cut short"));
        };
        if version != VERSION {
            return Err(malformed("unknown version"));
        }
        if own_height != height {
            return Err(malformed("not the height its parent says"));
        }
        let bitmap = bitmap
            .try_into()
            .map_err(|_| malformed("the bitmap is not 16 bytes"))?;
        let bitmap = u128::from_le_bytes(bitmap);
        if bitmap == 0 || bitmap.count_ones() as usize != node.links.len() {
            return Err(malformed("slots and links do not agree"));
        }
        if height == HEIGHT_MAX && bitmap >> 2 != 0 {
            return Err(malformed("records beyond 64 bits"));
        }
        Ok(Self {
            bitmap,
            links: &node.links,
        })
    }

    pub(super) fn child(&self, slot: u8) -> Option<&'a Link> {
        let below = (1_u128 << slot) - 1;
        let rank = (self.bitmap & below).count_ones() as usize;
        (self.bitmap >> slot & 1 == 1)
            .then(|| self.links.get(rank))
            .flatten()
    }

    /// Slots that are there, in order.
    pub(super) fn children(&self) -> impl Iterator<Item = (u8, &'a Link)> + use<'a> {
        let bitmap = self.bitmap;
        (0..FANOUT as u8)
            .filter(move |slot| bitmap >> slot & 1 == 1)
            .zip(self.links)
    }
}

/// A node while it is being changed.
pub(super) struct Table {
    pub(super) height: u8,
    pub(super) slots: BTreeMap<u8, Slot>,
}

/// What a slot of a [`Table`] leads to.
pub(super) enum Slot {
    /// A stored block: a leaf at height 1, a node above.
    Kept(Link),
    /// A node that is not yet written.
    Fresh(Table),
}

impl Table {
    pub(super) fn empty(height: u8) -> Self {
        Self {
            height,
            slots: BTreeMap::new(),
        }
    }

    pub(super) fn load(src: &dyn NodeSource, link: &Link, height: u8) -> Result<Self> {
        let node = src.node(link)?;
        let children = View::open(&node, height)?.children();
        Ok(Self {
            height,
            slots: children
                .map(|(slot, link)| (slot, Slot::Kept(link.clone())))
                .collect(),
        })
    }

    pub(super) fn has_only_slot_0(&self) -> bool {
        self.slots.len() == 1 && self.slots.contains_key(&0)
    }

    /// Writes the node after its children. It must not be empty.
    pub(super) fn write(self, sink: &dyn NodeSink) -> Result<Link> {
        debug_assert!(!self.slots.is_empty(), "no node is empty");
        let mut bitmap = 0_u128;
        let mut links = Vec::with_capacity(self.slots.len());
        for (slot, child) in self.slots {
            bitmap |= 1 << slot;
            links.push(match child {
                Slot::Kept(link) => link,
                Slot::Fresh(table) => table.write(sink)?,
            });
        }
        let mut body = Vec::with_capacity(BODY_BYTES);
        body.extend_from_slice(&[VERSION, self.height]);
        body.extend_from_slice(&bitmap.to_le_bytes());
        sink.put_node(Node { links, body })
    }
}
