//! Changes a B+tree by writing new nodes beside the old ones.
//!
//! ```text
//!   changes, sorted --cut at the children's keys--> update(child) ...
//!                                                       |
//!       Kept child, Fresh run of entries, Kept child  <-'  (one list per inner node)
//!            |  join: a run that is too small takes in a neighbour
//!            |  cut: a run that is too large becomes several nodes
//!            v
//!       entries of the inner node: a Fresh run for the level above
//! ```
//!
//! A run is written only when its final neighbours are known. So each touched node is written
//! once, and no node just written is read back or dropped again.
//!
//! A damaged node stays as it is: changes below it are left out, and no neighbour joins it.

use super::body::Entry;
use super::body::{Body, HEIGHT_MAX, NODE_COST_MAX, NODE_COST_MIN, check_size, cost, encode};
use super::body::{entry_cost, malformed};
use crate::tree::past;
use crate::{Error, Link, Node, NodeSink, NodeSource, Result};
use std::sync::Arc;

/// A key, and the entry it is to have: `None` removes.
pub type Change = (Vec<u8>, Option<Entry>);

/// Told of a node that is damaged, with the changes that belong below it (none, if a neighbour only
/// wanted to join it): `Ok` leaves the node as it is and those changes out, an error ends the
/// operation.
pub type LeftOut<'a> = dyn FnMut(&Link, Error, &[Change]) -> Result<()> + 'a;

/// Applies changes, which are sorted by key without duplicates (`None` removes; removing what is
/// absent is no error), and returns the new root. Nodes in which nothing changes are neither
/// written nor dropped.
pub fn apply(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    root: Option<Link>,
    mut changes: Vec<Change>,
    left_out: &mut LeftOut<'_>,
) -> Result<Option<Link>> {
    // Before anything is written: changes that are refused leave the tree as it was.
    check_changes(&changes)?;
    let mut writer = Writer { src, sink, left_out };
    let Some(root) = root else {
        let entries = changes.into_iter().filter_map(|(_, entry)| entry).collect();
        return writer.finish(Run { level: 0, entries });
    };
    match writer.update(&root, None, &mut changes)? {
        Some(run) => writer.finish(run),
        None => Ok(Some(root)),
    }
}

fn check_changes(changes: &[Change]) -> Result<()> {
    let refuse = |why| {
        Err(Error::Malformed {
            what: "tree changes",
            why,
        })
    };
    if !changes.is_sorted_by(|a, b| a.0 < b.0) {
        return refuse("keys are out of order");
    }
    for (key, entry) in changes {
        match entry {
            Some(entry) if entry.key != *key => return refuse("an entry under another key"),
            Some(entry) => check_size(entry)?,
            None => {}
        }
    }
    Ok(())
}

/// Entries of one level in order, not yet cut into nodes.
struct Run {
    level: u8,
    entries: Vec<Entry>,
}

impl Run {
    fn fits_one_node(&self) -> bool {
        self.entries.len() == 1 || cost(&self.entries) <= NODE_COST_MAX
    }
}

/// What becomes of a child.
enum Part {
    /// It stays: the parent's entry for it.
    Kept(Entry),
    /// It is replaced by these entries.
    Fresh(Run),
}

impl Part {
    fn is_small(&self) -> bool {
        matches!(self, Self::Fresh(run) if cost(&run.entries) < NODE_COST_MIN)
    }

    /// A node that one huge entry fills is left alone: joining would rewrite it each time its
    /// neighbour changes.
    fn is_huge(&self) -> bool {
        match self {
            Self::Kept(entry) => entry
                .links
                .iter()
                .any(|link| link.len as usize > 2 * NODE_COST_MAX),
            Self::Fresh(run) => run.entries.len() == 1 && cost(&run.entries) > NODE_COST_MAX,
        }
    }
}

struct Writer<'a, 'l> {
    src: &'a dyn NodeSource,
    sink: &'a dyn NodeSink,
    left_out: &'a mut LeftOut<'l>,
}

impl Writer<'_, '_> {
    /// What replaces the node at `link`; `None` when the changes change nothing, or are left out.
    fn update(&mut self, link: &Link, level: Option<u8>, changes: &mut [Change]) -> Result<Option<Run>> {
        let Some(node) = self.read(link, changes)? else {
            return Ok(None);
        };
        let body = Body::open_expecting(&node, level)?;
        let level = body.level();
        let entries = body.entries()?;
        if level == 0 {
            let Some(entries) = merge(entries, changes) else {
                return Ok(None);
            };
            // Only noted for the next commit: after a failure the sink forgets it, and the old
            // tree is whole.
            self.sink.drop_block(link)?;
            return Ok(Some(Run { level, entries }));
        }
        // Children first: a parent with no changed child is neither dropped nor written.
        let Some(parts) = self.update_children(level - 1, entries, changes)? else {
            return Ok(None);
        };
        self.sink.drop_block(link)?;
        self.join(level, parts).map(Some)
    }

    /// A node, unless it is damaged and its changes are left out.
    fn read(&mut self, link: &Link, changes: &[Change]) -> Result<Option<Arc<Node>>> {
        let left_out = &mut self.left_out;
        past(self.src.node(link), link, &mut |link, error| {
            left_out(link, error, changes)
        })
    }

    fn update_children(
        &mut self,
        level: u8,
        children: Vec<Entry>,
        mut changes: &mut [Change],
    ) -> Result<Option<Vec<Part>>> {
        let mut parts = Vec::with_capacity(children.len());
        let mut children = children.into_iter().peekable();
        let mut changed = false;
        while let Some(child) = children.next() {
            // Up to the next child's key: what sorts before the first child's belongs to the first.
            let count = match children.peek() {
                Some(next) => changes.partition_point(|(key, _)| *key < next.key),
                None => changes.len(),
            };
            let (own, rest) = changes.split_at_mut(count);
            changes = rest;
            let run = match own {
                [] => None,
                own => self.update(&child.links[0], Some(level), own)?,
            };
            changed |= run.is_some();
            parts.push(run.map_or(Part::Kept(child), Part::Fresh));
        }
        Ok(changed.then_some(parts))
    }

    /// Makes one run for an inner node at `level` of what became of its children. When all that is
    /// left is one node's worth of a lower level, that is handed on as it is, for the levels above
    /// may find it has become the root.
    fn join(&mut self, level: u8, mut parts: Vec<Part>) -> Result<Run> {
        // Emptied children go first: they are no neighbours to join, and no node is empty.
        parts.retain(|part| !matches!(part, Part::Fresh(run) if run.entries.is_empty()));
        let alone = parts.len() == 1;
        let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
        for part in parts {
            let part = match part {
                // Lifted first: only runs of one level can be joined.
                Part::Fresh(run) if !alone => Part::Fresh(self.lift(run, level - 1)?),
                part => part,
            };
            match joined.pop() {
                None => joined.push(part),
                Some(last)
                    if (last.is_small() && !part.is_huge()) || (part.is_small() && !last.is_huge()) =>
                {
                    // At most one of them is kept: a small part is a fresh one.
                    match (self.load(level - 1, last)?, self.load(level - 1, part)?) {
                        (Part::Fresh(mut run), Part::Fresh(mut next)) => {
                            run.entries.append(&mut next.entries);
                            joined.push(Part::Fresh(run));
                        }
                        (last, part) => joined.extend([last, part]),
                    }
                }
                Some(last) => joined.extend([last, part]),
            }
        }
        // All joined, and not yet written: one node's worth may become the root.
        if let [Part::Fresh(run)] = joined.as_mut_slice()
            && run.fits_one_node()
        {
            return Ok(Run {
                level: run.level,
                entries: std::mem::take(&mut run.entries),
            });
        }
        // Neighbours are final now, so each run is written, once.
        let mut entries = Vec::with_capacity(joined.len());
        for part in joined {
            match part {
                Part::Kept(entry) => entries.push(entry),
                Part::Fresh(run) => entries.append(&mut self.write(run)?.entries),
            }
        }
        Ok(Run { level, entries })
    }

    /// Writes a run of a lower level, and those above it, until what is left is a run of `level`.
    fn lift(&self, mut run: Run, level: u8) -> Result<Run> {
        while run.level < level {
            run = self.write(run)?;
        }
        Ok(run)
    }

    /// A part as its entries: a kept node is taken apart for it, unless it is damaged.
    fn load(&mut self, level: u8, part: Part) -> Result<Part> {
        let Part::Kept(child) = part else { return Ok(part) };
        let link = &child.links[0];
        let Some(node) = self.read(link, &[])? else {
            return Ok(Part::Kept(child));
        };
        // Read in full before it is dropped: a malformed node ends the change and stays.
        let entries = Body::open_at(&node, level)?.entries()?;
        self.sink.drop_block(link)?;
        Ok(Part::Fresh(Run { level, entries }))
    }

    /// Cuts a run into nodes and writes them: the run of their links, one level up.
    fn write(&self, run: Run) -> Result<Run> {
        let level = run.level + 1;
        if level >= HEIGHT_MAX {
            return Err(malformed("the tree is too high"));
        }
        let nodes = cut(run.entries)
            .into_iter()
            .map(|entries| self.put(run.level, entries));
        Ok(Run {
            level,
            entries: nodes.collect::<Result<_>>()?,
        })
    }

    /// Writes one node: its parent's entry for it.
    fn put(&self, level: u8, entries: Vec<Entry>) -> Result<Entry> {
        let key = entries.first().map(|entry| entry.key.clone()).unwrap_or_default();
        debug_assert!(!entries.is_empty(), "no node is empty");
        debug_assert!(
            entries.is_sorted_by(|a, b| a.key < b.key),
            "keys strictly increase"
        );
        // Nothing names this node until the root above it is committed: a crash strands it as
        // fresh.
        let link = self.sink.put_node(encode(level, entries)?)?;
        Ok(Entry {
            key,
            value: Vec::new(),
            links: vec![link],
        })
    }

    /// Writes a run as a whole tree: as many levels as it takes, and none whose root has one child.
    fn finish(&mut self, mut run: Run) -> Result<Option<Link>> {
        // Up first, until one node holds the run; then down, past inner nodes with one child.
        while !run.fits_one_node() {
            run = self.write(run)?;
        }
        // A lone child of an unwritten inner node is a kept one (see `join`), so it can be read.
        while run.level > 0 && run.entries.len() == 1 {
            let link = &run.entries[0].links[0];
            let Some(node) = self.read(link, &[])? else {
                return Ok(Some(link.clone()));
            };
            let body = Body::open_at(&node, run.level - 1)?;
            if body.level() == 0 || body.count() > 1 {
                return Ok(Some(link.clone()));
            }
            let entries = body.entries()?;
            self.sink.drop_block(link)?;
            run = Run {
                level: run.level - 1,
                entries,
            };
        }
        match run.entries.is_empty() {
            true => Ok(None),
            false => Ok(self.put(run.level, run.entries)?.links.pop()),
        }
    }
}

/// A leaf's entries after the changes; `None` when they are the same.
fn merge(old: Vec<Entry>, changes: &mut [Change]) -> Option<Vec<Entry>> {
    let mut merged = Vec::with_capacity(old.len() + changes.len());
    let mut changed = false;
    let mut old = old.into_iter().peekable();
    for (key, new) in changes {
        while let Some(entry) = old.next_if(|entry| entry.key < *key) {
            merged.push(entry);
        }
        let (before, new) = (old.next_if(|entry| entry.key == *key), new.take());
        // The same entry again is no change: the path to it is then not rewritten.
        changed |= before != new;
        merged.extend(new);
    }
    merged.extend(old);
    changed.then_some(merged)
}

/// Cuts entries into nodes of about equal cost, none above [`NODE_COST_MAX`] unless a single entry
/// is.
fn cut(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut left = cost(&entries);
    let mut nodes = Vec::new();
    let mut node: Vec<Entry> = Vec::new();
    let mut node_cost = cost(&[]);
    let mut aim = left / left.div_ceil(NODE_COST_MAX);
    for entry in entries {
        let entry_cost = entry_cost(&entry);
        let full = node_cost + entry_cost > NODE_COST_MAX || node_cost + entry_cost / 2 > aim;
        if full && !node.is_empty() {
            nodes.push(std::mem::take(&mut node));
            left -= node_cost - cost(&[]);
            node_cost = cost(&[]);
            // What is left is shared out anew, so that the last node is not a crumb.
            aim = left / left.div_ceil(NODE_COST_MAX);
        }
        node_cost += entry_cost;
        node.push(entry);
    }
    nodes.push(node);
    nodes
}
