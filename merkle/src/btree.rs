//! An ordered map of byte strings to byte strings and links, as a copy-on-write B+tree.
//!
//! ```text
//!   level 2                 [ a | k ]                   key of a child = smallest key below it
//!                           /       \
//!   level 1        [ a | c | f ]   [ k | p ]            one link per child
//!                   /    |    \      |    \
//!   level 0       a b   c d   f i   k m   p z           entries: key, value, links of the value
//! ```
//!
//! A reader descends with one binary search per node, straight over the node's body. A writer
//! hands over all changes at once ([`apply()`]): each touched node is rewritten once, bottom up,
//! and the replaced ones are dropped. A node holds at most [`NODE_COST_MAX`], unless it holds a
//! single larger entry.
//!
//! **Invariant:** keys strictly increase from left to right, and levels fall by one with each
//! step down. No node is empty, and an inner root has at least two children. An empty tree has no
//! root. A breach is [`Malformed`](crate::Error::Malformed), never a panic: bodies are sealed,
//! but decoded as if they were not.
//!
//! The bytes are in `docs/format.md`, section 10. The [`NodeSink`] frees dropped nodes.

mod apply;
mod body;
mod diff;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod salvage;
#[cfg(test)]
mod tests;

pub use apply::{Change, LeftOut, apply};
pub use body::{ENTRY_COST_MAX, Entry, HEIGHT_MAX, KEY_BYTES_MAX, NODE_COST_MAX};
pub use diff::diff;
pub use salvage::{Gap, prune, survey};

use crate::tree::{Damaged, past, stop};
use crate::{Link, Node, NodeSink, NodeSource, Result};
use body::{Body, malformed};
use std::ops::Bound;

/// The entry under `key`. Reads one node per level.
pub fn get(src: &dyn NodeSource, root: Option<&Link>, key: &[u8]) -> Result<Option<Entry>> {
    let Some(root) = root else { return Ok(None) };
    let mut node = src.node(root)?;
    let mut level = Body::open(&node)?.level();
    loop {
        let body = Body::open_at(&node, level)?;
        match (body.search(key)?, level) {
            (Ok(at), 0) => return body.entry(at).map(Some),
            (Err(_), 0) => return Ok(None),
            // Everything below the first child's key is smaller than the whole tree.
            (Err(0), _) => return Ok(None),
            (Ok(at), _) => node = body.read_child(src, at)?,
            (Err(after), _) => node = body.read_child(src, after - 1)?,
        }
        level -= 1;
    }
}

/// As [`get`], and checks every node on the way against the module's promises and its parent's
/// entry. So an answer holds for every reader, also the answer that `key` is absent. Adds the
/// keys those nodes lay open to `shown`.
pub fn get_proven(
    src: &dyn NodeSource,
    root: Option<&Link>,
    key: &[u8],
    shown: &mut crate::proof::Shown,
) -> Result<Option<Entry>> {
    let Some(root) = root else { return Ok(None) };
    let mut link = root.clone();
    let mut expected: Option<(u8, Vec<u8>, Option<Vec<u8>>)> = None;
    loop {
        let node = src.node(&link)?;
        let body = Body::open_expecting(&node, expected.as_ref().map(|(level, ..)| *level))?;
        let entries = body.entries()?;
        shown.extend(entries.iter().map(|entry| entry.key.clone()));
        let ends = match &expected {
            Some((_, first, end)) => {
                let last = entries.last().map(|entry| &entry.key);
                let within = end.is_none() || last < end.as_ref();
                if entries[0].key != *first || !within {
                    return Err(malformed("a child does not have the keys its parent says"));
                }
                end.clone()
            }
            None => None,
        };
        let after = entries.partition_point(|entry| entry.key.as_slice() <= key);
        // Everything below the first key is smaller than the whole tree.
        let Some(at) = after.checked_sub(1) else {
            return Ok(None);
        };
        let found = &entries[at];
        if body.level() == 0 {
            return Ok((found.key == key).then(|| found.clone()));
        }
        let end = entries.get(at + 1).map(|next| next.key.clone()).or(ends);
        expected = Some((body.level() - 1, found.key.clone(), end));
        link = found.links[0].clone();
    }
}

/// The last entry below `key`. Reads one node per level, so it misses an entry whose leaf it does
/// not come to: when keys just below `key` were removed, it may answer `None` although smaller keys
/// are there.
pub fn below(src: &dyn NodeSource, root: Option<&Link>, key: &[u8]) -> Result<Option<Entry>> {
    let Some(root) = root else { return Ok(None) };
    let mut node = src.node(root)?;
    let mut level = Body::open(&node)?.level();
    loop {
        let body = Body::open_at(&node, level)?;
        let (Ok(after) | Err(after)) = body.search(key)?;
        let Some(at) = after.checked_sub(1) else {
            return Ok(None);
        };
        if level == 0 {
            return body.entry(at).map(Some);
        }
        node = body.read_child(src, at)?;
        level -= 1;
    }
}

/// Up to `count_max` entries with a key above (or from) `from`, in order.
pub fn range(
    src: &dyn NodeSource,
    root: Option<&Link>,
    from: Bound<&[u8]>,
    count_max: usize,
) -> Result<Vec<Entry>> {
    range_past(src, root, from, count_max, &mut stop)
}

/// As [`range`], without what lies below damaged nodes that `damaged` goes past.
pub fn range_past(
    src: &dyn NodeSource,
    root: Option<&Link>,
    from: Bound<&[u8]>,
    count_max: usize,
    damaged: &mut Damaged<'_>,
) -> Result<Vec<Entry>> {
    let mut range = Range {
        src,
        from,
        count_max,
        damaged,
        found: Vec::new(),
    };
    if let Some(root) = root
        && let Some(node) = past(src.node(root), root, range.damaged)?
    {
        range.below(&node, None)?;
    }
    Ok(range.found)
}

struct Range<'a> {
    src: &'a dyn NodeSource,
    from: Bound<&'a [u8]>,
    count_max: usize,
    damaged: &'a mut Damaged<'a>,
    found: Vec<Entry>,
}

impl Range<'_> {
    fn below(&mut self, node: &Node, level: Option<u8>) -> Result<()> {
        let body = Body::open_expecting(node, level)?;
        let start = match self.from {
            Bound::Unbounded => Ok(0),
            Bound::Included(key) | Bound::Excluded(key) => body.search(key)?,
        };
        let first = match (start, body.level(), self.from) {
            (Ok(at), 0, Bound::Excluded(_)) => at + 1,
            (Ok(at), _, _) => at,
            (Err(at), 0, _) => at,
            (Err(at), _, _) => at.saturating_sub(1),
        };
        for at in first..body.count() {
            if self.found.len() >= self.count_max {
                break;
            }
            if body.level() > 0 {
                let read = body.read_child(self.src, at);
                if let Some(child) = past(read, body.child(at)?, self.damaged)? {
                    self.below(&child, Some(body.level() - 1))?;
                }
                continue;
            }
            let entry = body.entry(at)?;
            if self.found.last().is_some_and(|last| last.key >= entry.key) {
                return Err(malformed("keys are out of order"));
            }
            self.found.push(entry);
        }
        Ok(())
    }
}

/// Reads the nodes that a change of `key` would replace, so that a caller learns before it that one
/// is damaged.
pub fn reach(src: &dyn NodeSource, root: Option<&Link>, key: &[u8]) -> Result<()> {
    let Some(root) = root else { return Ok(()) };
    let mut node = src.node(root)?;
    let mut level = Body::open(&node)?.level();
    while level > 0 {
        let body = Body::open_at(&node, level)?;
        // What is smaller than the whole tree goes into its first leaf.
        let at = match body.search(key)? {
            Ok(at) => at,
            Err(after) => after.saturating_sub(1),
        };
        node = body.read_child(src, at)?;
        level -= 1;
    }
    Body::open_at(&node, 0).map(drop)
}

/// Drops every node of the tree and hands every entry to `each`, which sees to the entries' own
/// links. A damaged node that `damaged` goes past is dropped unread: what it alone leads to stays
/// in the store.
pub fn destroy(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    root: Option<Link>,
    each: &mut dyn FnMut(Entry) -> Result<()>,
    damaged: &mut Damaged<'_>,
) -> Result<()> {
    match root {
        Some(root) => destroy_below(src, sink, &root, None, each, damaged),
        None => Ok(()),
    }
}

fn destroy_below(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    link: &Link,
    level: Option<u8>,
    each: &mut dyn FnMut(Entry) -> Result<()>,
    damaged: &mut Damaged<'_>,
) -> Result<()> {
    if let Some(node) = past(src.node(link), link, damaged)? {
        let body = Body::open_expecting(&node, level)?;
        for at in 0..body.count() {
            match body.level() {
                0 => each(body.entry(at)?)?,
                level => destroy_below(src, sink, body.child(at)?, Some(level - 1), each, damaged)?,
            }
        }
    }
    sink.drop_block(link)
}

/// Visits the whole tree in order and verifies all that the module promises of it: `visit_node`
/// sees each node before it is read, `each` every entry.
pub fn walk(
    src: &dyn NodeSource,
    root: Option<&Link>,
    visit_node: &mut dyn FnMut(&Link),
    each: &mut dyn FnMut(Entry) -> Result<()>,
) -> Result<()> {
    walk_past(src, root, visit_node, each, &mut stop)
}

/// As [`walk`], without what lies below damaged nodes that `damaged` goes past.
pub fn walk_past(
    src: &dyn NodeSource,
    root: Option<&Link>,
    visit_node: &mut dyn FnMut(&Link),
    each: &mut dyn FnMut(Entry) -> Result<()>,
    damaged: &mut Damaged<'_>,
) -> Result<()> {
    match root {
        Some(root) => Walk {
            src,
            visit_node,
            each,
            damaged,
            last: None,
        }
        .below(root, None),
        None => Ok(()),
    }
}

struct Walk<'a> {
    src: &'a dyn NodeSource,
    visit_node: &'a mut dyn FnMut(&Link),
    each: &'a mut dyn FnMut(Entry) -> Result<()>,
    damaged: &'a mut Damaged<'a>,
    /// The key of the entry before, whichever node it was in.
    last: Option<Vec<u8>>,
}

impl Walk<'_> {
    /// `expected` is what the parent says: the level, and the smallest key.
    fn below(&mut self, link: &Link, expected: Option<(u8, &[u8])>) -> Result<()> {
        (self.visit_node)(link);
        let Some(node) = past(self.src.node(link), link, self.damaged)? else {
            return Ok(());
        };
        let body = Body::open_expecting(&node, expected.map(|(level, _)| level))?;
        let level = body.level();
        let entries = body.entries()?;
        if entries.len() > 1 && body::cost(&entries) > NODE_COST_MAX {
            return Err(malformed("a node of several entries is too large"));
        }
        if expected.is_none() && level > 0 && entries.len() < 2 {
            return Err(malformed("an inner root has one child"));
        }
        if expected.is_some_and(|(_, key)| entries[0].key != key) {
            return Err(malformed("a child does not begin with its parent's key"));
        }
        for entry in entries {
            match level {
                0 => self.entry(entry)?,
                _ => self.below(&entry.links[0], Some((level - 1, &entry.key)))?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry) -> Result<()> {
        if self.last.as_ref().is_some_and(|last| *last >= entry.key) {
            return Err(malformed("keys are out of order"));
        }
        self.last = Some(entry.key.clone());
        (self.each)(entry)
    }
}
