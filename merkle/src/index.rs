//! The places of a file's records, as a copy-on-write radix tree over record numbers.
//!
//! ```text
//!   IndexRoot { link, height: 2 }
//!        |
//!   height 2   [ 0 . 2 ............. ]       slot = digit of the record number, base 128
//!                |   `---------.
//!   height 1   [ 0 1 2 ... 127 ]  [ . . 2 ... ]
//!                | | |       |          |
//!   leaves       0 1 2      127        258      a slot that is not there is a hole
//! ```
//!
//! A node of height `h` covers 128 to the power of `h` records. The height is the least that
//! reaches the last record, so a small file's index is one node. Writers load the nodes they
//! touch into tables, change those, and write each once.
//!
//! **Invariant:** no node is empty, and heights fall by one with each step down. A root higher
//! than 1 has a slot other than 0. An index without records has no root. A breach is
//! [`Malformed`](crate::Error::Malformed), never a panic.
//!
//! The bytes are in `docs/format.md`, section 11. The caller owns the leaves' blocks: the tree
//! tells which links it replaced.

mod change;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod salvage;
mod table;
#[cfg(test)]
mod tests;

pub use change::{Change, LeftOut, apply, destroy_some, truncate};
pub use salvage::{Gap, prune, survey};
pub use table::{FANOUT, HEIGHT_MAX, IndexRoot};

use crate::{Link, NodeSource, Result};
use table::{Table, View, base_of, covers, last_of, malformed, slot_of};

/// The leaf of record `recno`, or `None` for a hole. Reads one node per level.
pub fn get(src: &dyn NodeSource, root: Option<&IndexRoot>, recno: u64) -> Result<Option<Link>> {
    let Some(root) = root.filter(|root| covers(root.height, recno)) else {
        return Ok(None);
    };
    if root.height == 0 {
        return Err(malformed("no index has this height"));
    }
    let mut link = root.link.clone();
    for height in (1..=root.height).rev() {
        let node = src.node(&link)?;
        match View::open(&node, height)?.child(slot_of(recno, height)) {
            Some(child) => link = child.clone(),
            None => return Ok(None),
        }
    }
    Ok(Some(link))
}

/// The records there are among the `count` from `first` on, in order. Reads only nodes that cover
/// some of them.
pub fn range(
    src: &dyn NodeSource,
    root: Option<&IndexRoot>,
    first: u64,
    count: u64,
) -> Result<Vec<(u64, Link)>> {
    let mut found = Vec::new();
    if let Some(root) = root
        && count > 0
    {
        let last = first.saturating_add(count - 1);
        let mut scan = Scan { src, first, last };
        scan.below(&root.link, root.height, 0, &mut |recno, link| {
            found.push((recno, link.clone()));
            true
        })?;
    }
    Ok(found)
}

/// The first record from `from` on that is there.
pub fn next_data(src: &dyn NodeSource, root: Option<&IndexRoot>, from: u64) -> Result<Option<u64>> {
    let mut found = None;
    if let Some(root) = root {
        let mut scan = Scan {
            src,
            first: from,
            last: u64::MAX,
        };
        scan.below(&root.link, root.height, 0, &mut |recno, _| {
            found = Some(recno);
            false
        })?;
    }
    Ok(found)
}

/// Reads the nodes that a change of the records `first` to `last` would replace, so that a caller
/// learns before it that one is damaged. Those that hold nothing from before `floor` are dropped
/// first, damaged or not, and not read.
pub fn reach(src: &dyn NodeSource, root: &IndexRoot, first: u64, last: u64, floor: u64) -> Result<()> {
    match floor {
        0 => Ok(()),
        _ => reach_below(src, &root.link, root.height, 0, (first, last, floor)),
    }
}

fn reach_below(
    src: &dyn NodeSource,
    link: &Link,
    height: u8,
    base: u64,
    (first, last, floor): (u64, u64, u64),
) -> Result<()> {
    let node = src.node(link)?;
    let view = View::open(&node, height)?;
    if height == 1 {
        return Ok(());
    }
    for (slot, child) in view.children() {
        let base = base_of(base, height, slot);
        if base > last || base >= floor {
            break;
        }
        if last_of(base, height) >= first {
            reach_below(src, child, height - 1, base, (first, last, floor))?;
        }
    }
    Ok(())
}

/// Visits the records from `first` to `last`, both included.
struct Scan<'a> {
    src: &'a dyn NodeSource,
    first: u64,
    last: u64,
}

impl Scan<'_> {
    /// Answers whether to go on, as `each` did.
    fn below(
        &mut self,
        link: &Link,
        height: u8,
        base: u64,
        each: &mut dyn FnMut(u64, &Link) -> bool,
    ) -> Result<bool> {
        let node = self.src.node(link)?;
        for (slot, child) in View::open(&node, height)?.children() {
            let base = base_of(base, height, slot);
            if base > self.last {
                return Ok(false);
            }
            if last_of(base, height) < self.first {
                continue;
            }
            let go_on = match height {
                1 => each(base, child),
                _ => self.below(child, height - 1, base, each)?,
            };
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The first record from `from` on that is not there, or has holes in it. Behind the last record
/// all is hole.
pub fn next_hole(src: &dyn NodeSource, root: Option<&IndexRoot>, from: u64) -> Result<u64> {
    match root {
        Some(root) if covers(root.height, from) => hole_below(src, &root.link, root.height, 0, from),
        _ => Ok(from),
    }
}

/// The first such record from `from` on, which this node covers; the record behind the node when it has
/// none.
fn hole_below(src: &dyn NodeSource, link: &Link, height: u8, base: u64, from: u64) -> Result<u64> {
    let node = src.node(link)?;
    let view = View::open(&node, height)?;
    let mut from = from;
    for slot in slot_of(from, height)..FANOUT as u8 {
        let base = base_of(base, height, slot);
        let last = last_of(base, height);
        match view.child(slot) {
            None => return Ok(from),
            Some(leaf) if height == 1 && leaf.form.has_holes() => return Ok(from),
            Some(_) if height == 1 => from = last.saturating_add(1),
            Some(child) => {
                let hole = hole_below(src, child, height - 1, base, from)?;
                if hole <= last {
                    return Ok(hole);
                }
                from = hole;
            }
        }
        if last == u64::MAX {
            break;
        }
    }
    Ok(from)
}

/// Visits the whole index in order and verifies all that the module promises of it: `visit_node`
/// sees each node before it is read, `each` every record.
pub fn walk(
    src: &dyn NodeSource,
    root: Option<&IndexRoot>,
    visit_node: &mut dyn FnMut(&Link),
    each: &mut dyn FnMut(u64, &Link) -> Result<()>,
) -> Result<()> {
    let Some(root) = root else { return Ok(()) };
    let is_least = |table: &Table| table.height == 1 || !table.has_only_slot_0();
    walk_below(src, &root.link, root.height, 0, visit_node, each)?;
    match is_least(&Table::load(src, &root.link, root.height)?) {
        true => Ok(()),
        false => Err(malformed("the root is higher than it need be")),
    }
}

fn walk_below(
    src: &dyn NodeSource,
    link: &Link,
    height: u8,
    base: u64,
    visit_node: &mut dyn FnMut(&Link),
    each: &mut dyn FnMut(u64, &Link) -> Result<()>,
) -> Result<()> {
    visit_node(link);
    let node = src.node(link)?;
    for (slot, child) in View::open(&node, height)?.children() {
        let base = base_of(base, height, slot);
        match height {
            1 => each(base, child)?,
            _ => walk_below(src, child, height - 1, base, visit_node, each)?,
        }
    }
    Ok(())
}
