//! Changes a file index by writing new nodes beside the old ones.
//!
//! ```text
//!   root --load--> Table --change--> Table --shrink--> --write--> new root
//!                    `- only the slots that are touched are loaded; a node is dropped once its table has changed
//! ```
//!
//! Nothing is written before all changes are made, so no node just written is read back or
//! dropped again.

use super::table::IndexRoot;
use super::table::{HEIGHT_MAX, Slot, Table, base_of, covers, last_of, slot_of};
use crate::tree::past;
use crate::{Error, Link, NodeSink, NodeSource, Result};
use std::collections::BTreeMap;

/// A record number and its new leaf; `None` makes a hole.
pub type Change<'a> = (u64, &'a Option<Link>);

/// Told of a node that is damaged, with the changes that belong below it (none for a cut): `Ok`
/// leaves the node as it is and those changes out, an error ends the operation.
pub type LeftOut<'a> = dyn FnMut(&Link, Error, &[Change<'_>]) -> Result<()> + 'a;

/// What becomes of a node that is damaged.
enum Unread<'a> {
    /// It stays as it is, and these changes are left out.
    Kept(&'a [Change<'a>]),
    /// Nothing of it is to stay: it is dropped unread, and what it alone leads to stays in the
    /// store.
    Dropped,
}

/// Applies changes and returns the new root. Leaves that are replaced by others or by holes go to
/// `dropped`, replaced nodes to the sink. Nodes in which nothing changes are neither written nor
/// dropped.
pub fn apply(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    root: Option<IndexRoot>,
    changes: &BTreeMap<u64, Option<Link>>,
    dropped: &mut dyn FnMut(&Link),
    left_out: &mut LeftOut<'_>,
) -> Result<Option<IndexRoot>> {
    // Height follows the last record that is to be there. Holes behind it need no room.
    let last = changes
        .iter()
        .rev()
        .find(|(_, link)| link.is_some())
        .map_or(0, |(&recno, _)| recno);
    let (mut height, mut top) = match root {
        Some(root) => (root.height, Slot::Kept(root.link)),
        None => {
            let height = (1..HEIGHT_MAX)
                .find(|&height| covers(height, last))
                .unwrap_or(HEIGHT_MAX);
            (height, Slot::Fresh(Table::empty(height)))
        }
    };
    // Levels are put on top in memory: the old root stays whole as slot 0 of the new one.
    while !covers(height, last) {
        height += 1;
        top = Slot::Fresh(Table {
            height,
            slots: BTreeMap::from([(0, top)]),
        });
    }
    // Holes behind the end are holes already; below they would alias records that are there.
    let changes: Vec<Change<'_>> = changes.iter().map(|(&recno, link)| (recno, link)).collect();
    let reached = changes.partition_point(|&(recno, _)| covers(height, recno));
    let (mut writer, changes) = (Writer::new(src, sink, dropped, left_out), &changes[..reached]);
    top = writer.edit(top, height, Unread::Kept(changes), &mut |writer, table| {
        writer.change(table, changes)
    })?;
    writer.finish(top, height)
}

/// Drops all records from `first` on. Reads the nodes it drops and one path. A node of which
/// nothing is to stay and that is damaged is dropped unread: what it alone leads to stays in the
/// store, and the rest goes all the same. One of which something is to stay does so whole.
pub fn truncate(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    root: Option<IndexRoot>,
    first: u64,
    dropped: &mut dyn FnMut(&Link),
    left_out: &mut LeftOut<'_>,
) -> Result<Option<IndexRoot>> {
    let Some(root) = root else { return Ok(None) };
    let mut writer = Writer::new(src, sink, dropped, left_out);
    writer.cut(root, first, usize::MAX)
}

/// Drops about `leaf_max` leaves (at least one, unless all is damaged) from the end, for destroying
/// huge files bit by bit; `None` when nothing is left. Damage is treated as in [`truncate`].
pub fn destroy_some(
    src: &dyn NodeSource,
    sink: &dyn NodeSink,
    root: IndexRoot,
    leaf_max: usize,
    dropped: &mut dyn FnMut(&Link),
    left_out: &mut LeftOut<'_>,
) -> Result<Option<IndexRoot>> {
    let mut writer = Writer::new(src, sink, dropped, left_out);
    writer.cut(root, 0, leaf_max.max(1))
}

struct Writer<'w> {
    src: &'w dyn NodeSource,
    sink: &'w dyn NodeSink,
    dropped: &'w mut dyn FnMut(&Link),
    left_out: &'w mut LeftOut<'w>,
}

/// Changes a table; answers whether it did.
type Edit<'a, 'w> = dyn FnMut(&mut Writer<'w>, &mut Table) -> Result<bool> + 'a;

impl<'w> Writer<'w> {
    fn new(
        src: &'w dyn NodeSource,
        sink: &'w dyn NodeSink,
        dropped: &'w mut dyn FnMut(&Link),
        left_out: &'w mut LeftOut<'w>,
    ) -> Self {
        Self {
            src,
            sink,
            dropped,
            left_out,
        }
    }

    /// Drops up to `budget` records from the end, none before `first`.
    fn cut(&mut self, root: IndexRoot, first: u64, mut budget: usize) -> Result<Option<IndexRoot>> {
        let unread = Unread::from(0, first);
        let top = self.edit(
            Slot::Kept(root.link),
            root.height,
            unread,
            &mut |writer, table| writer.drop_from_end(table, 0, first, &mut budget),
        )?;
        self.finish(top, root.height)
    }

    /// A node as a table, unless it is damaged and these changes are left out.
    fn load(&mut self, link: &Link, height: u8, changes: &[Change<'_>]) -> Result<Option<Table>> {
        let left_out = &mut self.left_out;
        past(Table::load(self.src, link, height), link, &mut |link, error| {
            left_out(link, error, changes)
        })
    }

    /// Runs `edit` on the node of a slot. A kept node that stays as it was is kept, one that
    /// changes is dropped.
    fn edit(&mut self, slot: Slot, height: u8, unread: Unread<'_>, edit: &mut Edit<'_, 'w>) -> Result<Slot> {
        let link = match slot {
            Slot::Fresh(mut table) => {
                edit(self, &mut table)?;
                return Ok(Slot::Fresh(table));
            }
            Slot::Kept(link) => link,
        };
        let read = match unread {
            Unread::Kept(changes) => self.load(&link, height, changes)?,
            Unread::Dropped => past(Table::load(self.src, &link, height), &link, &mut |_, _| Ok(()))?,
        };
        match (read, unread) {
            (Some(mut table), _) => {
                if !edit(self, &mut table)? {
                    return Ok(Slot::Kept(link));
                }
                // Dropped after the edit: one that fails leaves the old node named. The drop itself
                // waits for the commit that no longer names it.
                self.sink.drop_block(&link)?;
                Ok(Slot::Fresh(table))
            }
            // Damaged, and something of it is to stay: the parent keeps its link, so that a
            // repaired store has it back.
            (None, Unread::Kept(_)) => Ok(Slot::Kept(link)),
            (None, Unread::Dropped) => {
                self.sink.drop_block(&link)?;
                Ok(Slot::Fresh(Table::empty(height)))
            }
        }
    }

    fn change(&mut self, table: &mut Table, mut changes: &[Change<'_>]) -> Result<bool> {
        let mut changed = false;
        while let Some(&(recno, link)) = changes.first() {
            let slot = slot_of(recno, table.height);
            // All changes of one child at once: each node on the way is loaded and edited once.
            let count = match table.height {
                1 => 1,
                height => changes.partition_point(|&(recno, _)| slot_of(recno, height) <= slot),
            };
            let (own, rest) = changes.split_at(count);
            changes = rest;
            changed |= match table.height {
                1 => self.change_leaf(table, slot, link),
                _ => self.change_child(table, slot, own)?,
            };
        }
        Ok(changed)
    }

    fn change_leaf(&mut self, table: &mut Table, slot: u8, link: &Option<Link>) -> bool {
        let old = match link {
            Some(link) => table.slots.insert(slot, Slot::Kept(link.clone())),
            None => table.slots.remove(&slot),
        };
        match (old, link) {
            // The same leaf again: it must not be dropped, since the new tree names it.
            (Some(Slot::Kept(old)), Some(link)) if old == *link => false,
            (Some(Slot::Kept(old)), _) => {
                (self.dropped)(&old);
                true
            }
            _ => link.is_some(),
        }
    }

    fn change_child(&mut self, table: &mut Table, slot: u8, changes: &[Change<'_>]) -> Result<bool> {
        let height = table.height - 1;
        let child = match table.slots.remove(&slot) {
            Some(child) => child,
            // Holes in a hole: no node is made for them.
            None if changes.iter().all(|(_, link)| link.is_none()) => return Ok(false),
            None => Slot::Fresh(Table::empty(height)),
        };
        let child = self.edit(child, height, Unread::Kept(changes), &mut |writer, child| {
            writer.change(child, changes)
        })?;
        Ok(put_back(table, slot, child))
    }

    /// Drops records from the last one down to `first`, until `budget` leaves are spent.
    fn drop_from_end(
        &mut self,
        table: &mut Table,
        base: u64,
        first: u64,
        budget: &mut usize,
    ) -> Result<bool> {
        let height = table.height;
        let mut changed = false;
        while *budget > 0
            && let Some((slot, child)) = table.slots.pop_last()
        {
            let base = base_of(base, height, slot);
            if last_of(base, height) < first {
                // All of it stays, and so does all before it.
                table.slots.insert(slot, child);
                break;
            }
            let child = match child {
                // From the end, so that a crash between two calls leaves a file that is only
                // shorter.
                Slot::Kept(leaf) if height == 1 => {
                    (self.dropped)(&leaf);
                    *budget -= 1;
                    changed = true;
                    continue;
                }
                child => child,
            };
            let edit: &mut Edit<'_, 'w> =
                &mut |writer, child| writer.drop_from_end(child, base, first, &mut *budget);
            let child = self.edit(child, height - 1, Unread::from(base, first), edit)?;
            changed |= put_back(table, slot, child);
            if table.slots.contains_key(&slot) {
                // It holds what stays: records before `first`, or what the budget did not reach.
                break;
            }
        }
        Ok(changed)
    }

    /// Takes off levels that lead nowhere but to their slot 0, and writes what is left.
    fn finish(&mut self, mut top: Slot, mut height: u8) -> Result<Option<IndexRoot>> {
        loop {
            let mut table = match top {
                Slot::Fresh(table) => table,
                Slot::Kept(link) => {
                    let Some(table) = self.load(&link, height, &[])? else {
                        return Ok(Some(IndexRoot { link, height }));
                    };
                    if height == 1 || !table.has_only_slot_0() {
                        return Ok(Some(IndexRoot { link, height }));
                    }
                    // A kept level that leads to slot 0 alone goes too: one tree has one height.
                    self.sink.drop_block(&link)?;
                    table
                }
            };
            if height > 1
                && table.has_only_slot_0()
                && let Some((_, child)) = table.slots.pop_first()
            {
                top = child;
                height -= 1;
                continue;
            }
            // The one place that writes: children before their parents, since a parent needs their
            // links. A crash here leaves fresh nodes that no root names.
            return match table.slots.is_empty() {
                true => Ok(None),
                false => Ok(Some(IndexRoot {
                    link: table.write(self.sink)?,
                    height,
                })),
            };
        }
    }
}

impl Unread<'_> {
    /// For a cut at `first` and a node whose records begin at `base`.
    fn from(base: u64, first: u64) -> Self {
        match base >= first {
            true => Self::Dropped,
            false => Self::Kept(&[]),
        }
    }
}

/// Puts an edited child back into its slot, unless it is empty; answers whether that changes the
/// table.
fn put_back(table: &mut Table, slot: u8, child: Slot) -> bool {
    let changed = matches!(child, Slot::Fresh(_));
    if !matches!(&child, Slot::Fresh(child) if child.slots.is_empty()) {
        table.slots.insert(slot, child);
    }
    changed
}
