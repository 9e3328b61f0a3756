//! What keeps a version whole after the volume has gone on: the held list.
//!
//! ```text
//!   epoch:   ... 7       8       9 (held)     10      11 ...
//!   block X      born ..................      freed: held version 9 names it     -> held list
//!   block Y                           born ........... freed: no held version does -> deleted
//! ```
//!
//! The version that an anchor names must stay whole, to be verified. That is its commit block with
//! directories, files, hard-link table, orphans, snapshots and dead lists. So all that a commit
//! would delete passes here last, wherever it was dropped. A held version names a block that was
//! born in its epoch or before, and freed after it. Such a block goes on the list instead. The
//! first commit that finds no such epoch held any more deletes it.
//!
//! The list's own nodes are blocks of a version like any other, and pass here too.
//!
//! **Invariant:** the list is right for a set of epochs, those of the commit that wrote it. A
//! block is on it if and only if one of them holds it and no newer version names it.

use crate::Result;
use crate::blocks::{Blocks, Writer};
use crate::commit::epoch::Holds;
use crate::commit::losses::Losses;
use crate::damage::Table;
use crate::stored::held::{HeldList, Row};
use cairn_merkle::{Cid, Codec, Epoch, Link, btree};
use std::collections::BTreeMap;

/// A block that no version from now on names.
#[derive(Clone, Debug)]
pub(crate) struct Freed {
    pub(crate) cid: Cid,
    pub(crate) birth: Epoch,
    /// Stored bytes.
    pub(crate) len: u32,
}

impl From<Link> for Freed {
    fn from(link: Link) -> Self {
        Self {
            cid: link.cid,
            birth: link.birth,
            len: link.len,
        }
    }
}

/// One commit's work on the list.
pub(crate) struct Keeper<'a> {
    pub(crate) blocks: &'a Blocks,
    pub(crate) writer: &'a Writer<'a>,
    pub(crate) losses: &'a Losses,
    /// The commit under way.
    pub(crate) epoch: Epoch,
    pub(crate) holds: &'a Holds,
    /// What the list was last right for; `None` when that is unknown.
    pub(crate) before: Option<&'a Holds>,
}

impl Keeper<'_> {
    /// Sorts `freed` into what is deleted, which is answered, and what the list keeps; and takes
    /// off the list what no version holds any more.
    pub(crate) fn settle(&self, list: &mut HeldList, mut freed: Vec<Freed>) -> Result<Vec<Cid>> {
        let mut delete = Vec::new();
        let mut changes = self.released(list, &mut delete)?;
        loop {
            for block in freed {
                // A leaf has no version of its own kind: what is put and dropped before any commit
                // is born in this one.
                if !self.holds.name(block.birth, self.epoch) {
                    delete.push(block.cid);
                    continue;
                }
                let row = Row {
                    freed: self.epoch,
                    birth: block.birth,
                    cid: block.cid,
                    len: block.len,
                };
                list.bytes += u64::from(row.len);
                changes.insert(row.key(), Some(row.encode()));
            }
            if changes.is_empty() {
                return Ok(delete);
            }
            // Rows of this epoch come last in the order, so a second round touches only nodes that
            // the first one wrote. Those belong to no version, so the third has nothing to do.
            self.writer.flush()?;
            let changed = std::mem::take(&mut changes).into_iter().collect();
            let (losses, bytes) = (self.losses, &mut list.bytes);
            // A block that cannot be listed stays in the store all the same: a version that is
            // held names it.
            let left_out: &mut btree::LeftOut<'_> = &mut |_, error, changes| {
                losses.listed(Table::HeldList, &error, changes);
                let rows = changes
                    .iter()
                    .filter_map(|(_, entry)| Row::decode(entry.as_ref()?).ok());
                *bytes -= rows.map(|row| u64::from(row.len)).sum::<u64>();
                Ok(())
            };
            list.root = btree::apply(self.blocks, self.writer, list.root.take(), changed, left_out)?;
            freed = self.writer.take_dropped().into_iter().map(Freed::from).collect();
        }
    }

    /// Rows that go, as changes to the list; their blocks join `delete`.
    fn released(
        &self,
        list: &mut HeldList,
        delete: &mut Vec<Cid>,
    ) -> Result<BTreeMap<Vec<u8>, Option<btree::Entry>>> {
        let mut changes = BTreeMap::new();
        if list.root.is_none() || self.before.is_some_and(|before| self.holds.cover(before)) {
            return Ok(changes);
        }
        let (bytes, losses) = (&mut list.bytes, self.losses);
        let mut each = |entry: btree::Entry| {
            let row = Row::decode(&entry)?;
            if !self.holds.name(row.birth, row.freed) {
                delete.push(row.cid);
                *bytes = bytes.saturating_sub(u64::from(row.len));
                changes.insert(entry.key, None);
            }
            Ok(())
        };
        // What cannot be read stays on the list; the next mount tries again.
        btree::walk_past(
            self.blocks,
            list.root.as_ref(),
            &mut |_| {},
            &mut each,
            &mut |_, error| {
                losses.table(Table::HeldList, &error);
                Ok(())
            },
        )?;
        Ok(changes)
    }
}

/// A commit block as something that can be freed: no link leads to it.
pub(crate) fn commit_block(cid: Cid, epoch: Epoch, len: u32) -> Freed {
    debug_assert_eq!(cid.codec(), Codec::Node, "a commit block is a node");
    Freed {
        cid,
        birth: epoch,
        len,
    }
}

#[cfg(test)]
mod tests;
