//! The bytes of one node of a B+tree.
//!
//! ```text
//!   | version, level, 0, 0 | count | slot 0 | slot 1 | ... | key 0, value 0 | key 1, value 1 | ... |
//!                                      |
//!                 end (of the entry in the heap), key length, link end
//! ```
//!
//! An entry begins where the one before it ends, in the heap and in the node's list of links. So
//! a reader needs only two neighbouring slots, and a binary search touches no others. The last
//! ends must be the ends of heap and list.

use crate::{Error, Link, Node, NodeSource, Result};
use std::cmp::Ordering;
use std::sync::Arc;

/// One key of the tree, with what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Orders the tree; at most [`KEY_BYTES_MAX`] bytes, compared bytewise.
    pub key: Vec<u8>,
    /// The caller's bytes.
    pub value: Vec<u8>,
    /// The blocks the value leads to, in the caller's order. The tree does not follow them.
    pub links: Vec<Link>,
}

/// What a node of several entries costs at most. Small enough that rewriting a path is cheap, large
/// enough that a directory of a million names has three levels.
pub const NODE_COST_MAX: usize = 16 * 1024;
/// Below this a rewritten node is joined with a neighbour.
pub(super) const NODE_COST_MIN: usize = NODE_COST_MAX / 4;
/// Longest key. It bounds what an inner entry costs, and thereby keeps fourteen children in a full
/// inner node.
pub const KEY_BYTES_MAX: usize = 1024;
/// Largest entry: together with its framing it stays well below the 2 MiB of a block.
pub const ENTRY_COST_MAX: usize = 1024 * 1024;
/// Levels a tree can have. With at least two entries per node on average no tree that fits a disk
/// comes near.
pub const HEIGHT_MAX: u8 = 16;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
const SLOT_BYTES: usize = 12;
/// Key, birth and length in the sealed part (44), and the CID with its CBOR framing in the clear
/// one (40).
const LINK_BYTES: usize = 44 + 40;

pub(super) fn malformed(why: &'static str) -> Error {
    Error::Malformed {
        what: "tree node",
        why,
    }
}

/// What `entry` adds to the size of its node.
pub(super) fn entry_cost(entry: &Entry) -> usize {
    SLOT_BYTES + entry.key.len() + entry.value.len() + LINK_BYTES * entry.links.len()
}

/// Size of a node of these entries.
pub(super) fn cost(entries: &[Entry]) -> usize {
    HEADER_BYTES + entries.iter().map(entry_cost).sum::<usize>()
}

/// Refuses entries no node can hold.
pub(super) fn check_size(entry: &Entry) -> Result<()> {
    let why = match entry {
        _ if entry.key.len() > KEY_BYTES_MAX => "the key is too long",
        _ if entry_cost(entry) > ENTRY_COST_MAX => "the entry is too large",
        _ => return Ok(()),
    };
    Err(Error::Malformed {
        what: "tree entry",
        why,
    })
}

/// Encodes ordered entries, of the sizes [`check_size`] lets through, into a node.
pub(super) fn encode(level: u8, entries: Vec<Entry>) -> Result<Node> {
    let mut body = Vec::with_capacity(cost(&entries));
    let mut links = Vec::with_capacity(entries.iter().map(|entry| entry.links.len()).sum());
    body.extend_from_slice(&[VERSION, level, 0, 0]);
    push_u32(&mut body, entries.len())?;
    let (mut end, mut link_end) = (0, 0);
    for entry in &entries {
        end += entry.key.len() + entry.value.len();
        link_end += entry.links.len();
        push_u32(&mut body, end)?;
        push_u32(&mut body, entry.key.len())?;
        push_u32(&mut body, link_end)?;
    }
    for entry in entries {
        body.extend_from_slice(&entry.key);
        body.extend_from_slice(&entry.value);
        links.extend(entry.links);
    }
    Ok(Node { links, body })
}

fn push_u32(body: &mut Vec<u8>, value: usize) -> Result<()> {
    let value = u32::try_from(value).map_err(|_| malformed("larger than 4 GiB"))?;
    body.extend_from_slice(&value.to_le_bytes());
    Ok(())
}

fn read_u32(bytes: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let value = u32::from_le_bytes(bytes.ok_or(malformed("cut short"))?);
    usize::try_from(value).map_err(|_| malformed("larger than memory"))
}

/// A view of a node's body. Opening checks what all entries share; each access checks the entry it
/// touches.
pub(super) struct Body<'a> {
    level: u8,
    count: usize,
    slots: &'a [u8],
    heap: &'a [u8],
    links: &'a [Link],
}

/// Where one entry lies.
struct Slot {
    start: usize,
    key_end: usize,
    end: usize,
    link_start: usize,
    link_end: usize,
}

impl<'a> Body<'a> {
    pub(super) fn open(node: &'a Node) -> Result<Self> {
        let body = node.body.as_slice();
        let &[version, level, 0, 0] = body.get(..4).ok_or(malformed("cut short"))? else {
            return Err(malformed("reserved bytes are not zero"));
        };
        if version != VERSION {
            return Err(malformed("unknown version"));
        }
        if level >= HEIGHT_MAX {
            return Err(malformed("the level is too high"));
        }
        let count = read_u32(body, 4)?;
        let slots_bytes = count
            .checked_mul(SLOT_BYTES)
            .ok_or(malformed("too many entries"))?;
        let rest = &body[HEADER_BYTES..];
        if count == 0 || slots_bytes > rest.len() {
            return Err(malformed("the count does not fit the body"));
        }
        let (slots, heap) = rest.split_at(slots_bytes);
        let opened = Self {
            level,
            count,
            slots,
            heap,
            links: &node.links,
        };
        let last = opened.slot(count - 1)?;
        if last.end != heap.len() || last.link_end != node.links.len() {
            return Err(malformed("bytes or links that no entry owns"));
        }
        Ok(opened)
    }

    /// As [`Self::open`], for a node whose parent says its level.
    pub(super) fn open_at(node: &'a Node, level: u8) -> Result<Self> {
        Self::open_expecting(node, Some(level))
    }

    pub(super) fn open_expecting(node: &'a Node, level: Option<u8>) -> Result<Self> {
        let body = Self::open(node)?;
        match level {
            Some(level) if level != body.level => Err(malformed("not the level its parent says")),
            _ => Ok(body),
        }
    }

    pub(super) fn level(&self) -> u8 {
        self.level
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn slot(&self, at: usize) -> Result<Slot> {
        let field = |at: usize, field: usize| read_u32(self.slots, at * SLOT_BYTES + field * 4);
        let (start, link_start) = match at {
            0 => (0, 0),
            _ => (field(at - 1, 0)?, field(at - 1, 2)?),
        };
        let (end, key_bytes, link_end) = (field(at, 0)?, field(at, 1)?, field(at, 2)?);
        let key_end = start
            .checked_add(key_bytes)
            .ok_or(malformed("a key out of bounds"))?;
        let bytes_fit = key_end <= end && end <= self.heap.len() && key_bytes <= KEY_BYTES_MAX;
        let links_fit = link_start <= link_end && link_end <= self.links.len();
        if !bytes_fit || !links_fit {
            return Err(malformed("an entry out of bounds"));
        }
        if self.level > 0 && (key_end != end || (link_start, link_end) != (at, at + 1)) {
            return Err(malformed("an inner entry is not one key and one link"));
        }
        Ok(Slot {
            start,
            key_end,
            end,
            link_start,
            link_end,
        })
    }

    fn key(&self, at: usize) -> Result<&'a [u8]> {
        let slot = self.slot(at)?;
        Ok(&self.heap[slot.start..slot.key_end])
    }

    /// Where `key` is, or where it would be inserted.
    pub(super) fn search(&self, key: &[u8]) -> Result<std::result::Result<usize, usize>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle)?.cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Ok(middle)),
            }
        }
        Ok(Err(low))
    }

    /// The child of an inner node.
    pub(super) fn child(&self, at: usize) -> Result<&'a Link> {
        Ok(&self.links[self.child_at(at)?])
    }

    /// The same, read.
    pub(super) fn read_child(&self, src: &dyn NodeSource, at: usize) -> Result<Arc<Node>> {
        src.node_among(self.links, self.child_at(at)?)
    }

    /// Where its link is.
    fn child_at(&self, at: usize) -> Result<usize> {
        let link = self.slot(at)?.link_start;
        let is_there = link < self.links.len();
        is_there
            .then_some(link)
            .ok_or(malformed("an inner entry is not one key and one link"))
    }

    pub(super) fn entry(&self, at: usize) -> Result<Entry> {
        let slot = self.slot(at)?;
        Ok(Entry {
            key: self.heap[slot.start..slot.key_end].to_vec(),
            value: self.heap[slot.key_end..slot.end].to_vec(),
            links: self.links[slot.link_start..slot.link_end].to_vec(),
        })
    }

    /// All entries, in an order that has been checked.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let entries = (0..self.count)
            .map(|at| self.entry(at))
            .collect::<Result<Vec<_>>>()?;
        match entries.is_sorted_by(|a, b| a.key < b.key) {
            true => Ok(entries),
            false => Err(malformed("keys are out of order")),
        }
    }
}
