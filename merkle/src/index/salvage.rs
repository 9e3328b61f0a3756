//! An index with unreadable nodes: a survey of the other records, and the index without the gaps.
//!
//! ```text
//!   height 2   [ 0 . 2 3 ]            survey: 0 to 127   , then the gap 256..=383, then 384
//!                |   |  \
//!   height 1    ok  ###  ok           prune:     [ 0 . . 3 ], and 256 to 383 are holes
//! ```

use super::table::IndexRoot;
use super::table::{Slot, Table, View, base_of, last_of, malformed};
use crate::{Error, Link, NodeSink, NodeSource, Result};
use std::ops::RangeInclusive;

/// A part of an index that cannot be read.
#[derive(Debug)]
pub struct Gap {
    /// The node that is damaged.
    pub link: Link,
    /// The records that it covers, whether they were there or not.
    pub records: RangeInclusive<u64>,
    /// What is wrong with it.
    pub error: Error,
}

/// Visits the whole index in order and verifies all that the module promises of it: `visit_node`
/// sees each node before it is read, `each` every record. What cannot be read is handed to `gap`,
/// and the survey goes on behind it.
///
/// # Errors
/// A store that does not answer, and what `each` or `gap` fail with.
pub fn survey(
    src: &dyn NodeSource,
    root: Option<&IndexRoot>,
    visit_node: &mut dyn FnMut(&Link),
    each: &mut dyn FnMut(u64, &Link) -> Result<()>,
    gap: &mut dyn FnMut(Gap) -> Result<()>,
) -> Result<()> {
    let Some(root) = root else { return Ok(()) };
    let mut survey = Survey {
        src,
        visit_node,
        each,
        gap,
    };
    survey.below(&root.link, root.height, 0, true)
}

struct Survey<'a> {
    src: &'a dyn NodeSource,
    visit_node: &'a mut dyn FnMut(&Link),
    each: &'a mut dyn FnMut(u64, &Link) -> Result<()>,
    gap: &'a mut dyn FnMut(Gap) -> Result<()>,
}

impl Survey<'_> {
    fn below(&mut self, link: &Link, height: u8, base: u64, is_root: bool) -> Result<()> {
        (self.visit_node)(link);
        let children = match children(self.src, link, height, is_root) {
            Ok(children) => children,
            Err(error) if error.is_damage() => {
                return (self.gap)(Gap {
                    link: link.clone(),
                    records: base..=end_of(base, height),
                    error,
                });
            }
            Err(error) => return Err(error),
        };
        for (slot, child) in children {
            let base = base_of(base, height, slot);
            match height {
                1 => (self.each)(base, &child)?,
                _ => self.below(&child, height - 1, base, false)?,
            }
        }
        Ok(())
    }
}

/// Last record below a node of this height that begins at `base`.
fn end_of(base: u64, height: u8) -> u64 {
    match height {
        1..super::HEIGHT_MAX => last_of(base, height + 1),
        _ => u64::MAX,
    }
}

fn children(src: &dyn NodeSource, link: &Link, height: u8, is_root: bool) -> Result<Vec<(u8, Link)>> {
    let node = src.node(link)?;
    let children: Vec<(u8, Link)> = View::open(&node, height)?
        .children()
        .map(|(slot, link)| (slot, link.clone()))
        .collect();
    match children.as_slice() {
        [(0, _)] if is_root && height > 1 => Err(malformed("the root is higher than it need be")),
        _ => Ok(children),
    }
}

/// Makes holes of what [`survey`] finds no way into, and returns the new root. Leaves stay as they
/// are, and so do nodes below which nothing is damaged. What a damaged node alone led to stays in
/// the store.
///
/// # Errors
/// A store that does not answer, and what the sink fails with.
pub fn prune(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    root: Option<IndexRoot>,
) -> Result<Option<IndexRoot>> {
    let Some(root) = root else { return Ok(None) };
    let mut table = match prune_below(src, sink, &root.link, root.height, true)? {
        Pruned::Whole => return Ok(Some(root)),
        Pruned::Gone => return Ok(None),
        Pruned::Less(table) => table,
    };
    // A root higher than 1 has a slot other than 0: one that lost those gives way to what is left.
    while table.height > 1 && table.has_only_slot_0() {
        let height = table.height - 1;
        match table.slots.pop_first() {
            Some((_, Slot::Fresh(child))) => table = child,
            Some((_, Slot::Kept(link))) => {
                let child = Table::load(src, &link, height)?;
                if height == 1 || !child.has_only_slot_0() {
                    return Ok(Some(IndexRoot { link, height }));
                }
                sink.drop_block(&link)?;
                table = child;
            }
            None => return Ok(None),
        }
    }
    let height = table.height;
    let link = table.write(sink)?;
    Ok(Some(IndexRoot { link, height }))
}

/// What is left of a node.
enum Pruned {
    Whole,
    Gone,
    /// A node with some of its children, yet to be written.
    Less(Table),
}

fn prune_below(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    link: &Link,
    height: u8,
    is_root: bool,
) -> Result<Pruned> {
    let children = match children(src, link, height, is_root) {
        Ok(children) => children,
        Err(error) if error.is_damage() => {
            sink.drop_block(link)?;
            return Ok(Pruned::Gone);
        }
        Err(error) => return Err(error),
    };
    if height == 1 {
        return Ok(Pruned::Whole);
    }
    let mut table = Table::empty(height);
    let mut changed = false;
    for (slot, child) in children {
        let pruned = prune_below(src, sink, &child, height - 1, false)?;
        changed |= !matches!(pruned, Pruned::Whole);
        match pruned {
            Pruned::Whole => _ = table.slots.insert(slot, Slot::Kept(child)),
            Pruned::Gone => {}
            Pruned::Less(child) => _ = table.slots.insert(slot, Slot::Fresh(child)),
        }
    }
    if !changed {
        return Ok(Pruned::Whole);
    }
    sink.drop_block(link)?;
    Ok(match table.slots.is_empty() {
        true => Pruned::Gone,
        false => Pruned::Less(table),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{apply, walk};
    use crate::tree::tests::{Grove, link};
    use crate::{Cid, Codec, Node};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    /// A grove in which one node cannot be read.
    struct Holey<'a>(&'a Grove, Cid);

    impl NodeSource for Holey<'_> {
        fn node(&self, link: &Link) -> Result<Arc<Node>> {
            match link.cid == self.1 {
                true => Err(Error::Corrupt { cid: link.cid }),
                false => self.0.node(link),
            }
        }
    }

    /// An index of three levels: a run of records, and some far behind.
    fn grow() -> (Grove, IndexRoot) {
        let grove = Grove::default();
        let records = (0..600).chain([20_000, 20_001, 40_000]);
        let changes: BTreeMap<u64, Option<Link>> = records
            .map(|recno| (recno, Some(link(Codec::Leaf, recno))))
            .collect();
        let root = apply(&grove, &grove, None, &changes, &mut |_| {}, &mut |_, error, _| {
            Err(error)
        })
        .unwrap();
        grove.settle();
        (grove, root.unwrap())
    }

    fn records(src: &dyn NodeSource, root: &IndexRoot) -> (Vec<u64>, Vec<Gap>, BTreeSet<Cid>) {
        let (mut records, mut gaps, mut nodes) = (Vec::new(), Vec::new(), BTreeSet::new());
        survey(
            src,
            Some(root),
            &mut |link| _ = nodes.insert(link.cid),
            &mut |recno, _| {
                records.push(recno);
                Ok(())
            },
            &mut |gap| {
                gaps.push(gap);
                Ok(())
            },
        )
        .unwrap();
        (records, gaps, nodes)
    }

    #[test]
    fn a_damaged_node_costs_its_own_records_and_pruning_leaves_a_sound_index_of_the_others() {
        let (grove, root) = grow();
        let (all, _, nodes) = records(&grove, &root);
        assert!(nodes.len() > 8, "three levels: {} nodes", nodes.len());
        for hole in nodes {
            let (grove, root) = grow();
            let holey = Holey(&grove, hole);
            let (left, gaps, _) = records(&holey, &root);
            let [gap] = gaps.as_slice() else {
                panic!("one gap: {gaps:?}")
            };
            assert!(all.iter().filter(|recno| !gap.records.contains(recno)).eq(&left));
            let pruned = prune(&holey, &grove, Some(root)).unwrap();
            grove.settle();
            let mut found = Vec::new();
            let each = &mut |recno, _: &Link| {
                found.push(recno);
                Ok(())
            };
            walk(&grove, pruned.as_ref(), &mut |_| {}, each).unwrap();
            assert_eq!(found, left);
        }
    }
}
