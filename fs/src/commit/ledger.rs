//! What a commit does with the blocks it dropped and the snapshots it was asked for.

use crate::blocks::Blocks;
use crate::blocks::Writer;
use crate::commit::held::Freed;
use crate::commit::losses::Losses;
use crate::damage::Table;
use crate::stored::snapshot::{Snapshot, dead_entry, decode_dead};
use crate::versions::snapshots::Snapshots;
use crate::{Name, Result};
use cairn_merkle::{Epoch, Link, btree};
use std::collections::BTreeMap;

/// What a commit does with the blocks it dropped and the snapshots it was asked for.
///
/// A damaged part of a dead list stays where it is, and nothing is freed from there. What belongs
/// into it is kept as well, and leaks.
pub(crate) struct Ledger<'a> {
    pub(crate) blocks: &'a Blocks,
    pub(crate) writer: &'a Writer<'a>,
    pub(crate) losses: &'a Losses,
    pub(crate) snapshots: Snapshots,
    /// The table of snapshots.
    pub(crate) table: Option<Link>,
    /// Blocks dropped since the newest snapshot that it still names.
    pub(crate) dead: Option<Link>,
    /// Blocks nothing names any more.
    pub(crate) freed: Vec<Freed>,
    pub(crate) changes: BTreeMap<Vec<u8>, Option<btree::Entry>>,
}

impl Ledger<'_> {
    /// Destroys what was asked for, if all are known. The next one might be unreadable, and hold
    /// what the dead list would free.
    pub(crate) fn destroy(&mut self, epoch: Epoch) -> Result<()> {
        for name in std::mem::take(&mut self.snapshots.to_destroy) {
            let Some(snapshot) = self.snapshots.by_name.get(&name).cloned() else {
                continue;
            };
            let (before, after) = self.snapshots.neighbours(&snapshot);
            // All that damage can refuse comes before the first change: none is half destroyed.
            let rows = [Some(&name), after.as_ref()];
            if !self.reach(rows.into_iter().flatten(), epoch)? {
                continue;
            }
            let Some(own) = self.read_whole(snapshot.dead.as_ref())? else {
                continue;
            };
            self.snapshots.by_name.remove(&name);
            self.changes.insert(name.as_bytes().to_vec(), None);
            let after = after.and_then(|after| Some((self.snapshots.by_name.remove(&after)?, after)));
            let later = match &after {
                Some((later, _)) => later.dead.clone(),
                None => self.dead.take(),
            };
            let merged = self.merge(before.unwrap_or(Epoch(0)), later, own)?;
            // Its nodes only: the entries are on the later list by now.
            self.drop_list(snapshot.dead)?;
            match after {
                Some((mut later, after)) => {
                    later.dead = merged;
                    self.row(after, later);
                }
                None => self.dead = merged,
            }
        }
        Ok(())
    }

    /// Renames, holds and releases those that were asked for.
    pub(crate) fn alter(&mut self, epoch: Epoch) -> Result<()> {
        for alteration in std::mem::take(&mut self.snapshots.to_alter) {
            let [from, to] = alteration.names().map(Name::clone);
            if !self.reach([&from, &to].into_iter(), epoch)? {
                continue;
            }
            let Some(mut snapshot) = self.snapshots.by_name.remove(&from) else {
                continue;
            };
            alteration.alter(&mut snapshot.holds);
            // Both rows in one change of the table: after a crash it has one name or the other.
            self.changes.insert(from.as_bytes().to_vec(), None);
            self.row(to, snapshot);
        }
        Ok(())
    }

    /// Gives a snapshot this row.
    pub(crate) fn row(&mut self, name: Name, snapshot: Snapshot) {
        let row = snapshot.encode(&name);
        self.changes.insert(name.as_bytes().to_vec(), Some(row));
        self.snapshots.by_name.insert(name, snapshot);
    }

    /// Whether all are known and the rows of these can be changed. If not, nothing is destroyed or
    /// created: the row would stay, or never be there.
    fn reach<'n>(&mut self, names: impl Iterator<Item = &'n Name>, epoch: Epoch) -> Result<bool> {
        for name in names {
            match btree::reach(self.blocks, self.table.as_ref(), name.as_bytes()) {
                Err(error) if error.damaged().is_some() => {
                    self.losses.table(Table::Snapshots, &error);
                    self.snapshots.unread = Some(epoch);
                }
                done => done?,
            }
        }
        Ok(self.snapshots.unread.is_none())
    }

    /// All entries of a dead list; `None` if some of it is damaged. Its snapshot is not destroyed
    /// then: what is listed there would be on no list.
    fn read_whole(&self, list: Option<&Link>) -> Result<Option<Vec<btree::Entry>>> {
        let mut entries = Vec::new();
        let walked = btree::walk(self.blocks, list, &mut |_| {}, &mut |entry| {
            entries.push(entry);
            Ok(())
        });
        match walked {
            Err(error) if error.damaged().is_some() => {
                self.losses.table(Table::DeadList, &error);
                Ok(None)
            }
            walked => Ok(walked.map(|()| Some(entries))?),
        }
    }

    /// The dead list that is left of two when the snapshot between them goes: all of `own`, and of
    /// `later` what was born by `before`. The rest is freed.
    fn merge(&mut self, before: Epoch, later: Option<Link>, own: Vec<btree::Entry>) -> Result<Option<Link>> {
        self.writer.flush()?;
        let mut changes = BTreeMap::new();
        let (freed, losses) = (&mut self.freed, self.losses);
        let mut each = |entry: btree::Entry| {
            let (birth, cid, len) = decode_dead(&entry)?;
            if birth > before {
                freed.push(Freed { cid, birth, len });
                changes.insert(entry.key, None);
            }
            Ok(())
        };
        // What cannot be read stays on the list, and is looked at again when the next snapshot
        // goes.
        btree::walk_past(
            self.blocks,
            later.as_ref(),
            &mut |_| {},
            &mut each,
            &mut |_, error| {
                losses.table(Table::DeadList, &error);
                Ok(())
            },
        )?;
        changes.extend(own.into_iter().map(|entry| (entry.key.clone(), Some(entry))));
        let merged = self.list(later, changes)?;
        // Not left in the batch: when the next snapshot goes, its merge reads these nodes.
        self.writer.flush()?;
        Ok(merged)
    }

    /// Drops the nodes of a list, whose entries are on another one now.
    fn drop_list(&self, list: Option<Link>) -> Result<()> {
        let (blocks, writer) = (self.blocks, self.writer);
        Ok(btree::destroy(
            blocks,
            writer,
            list,
            &mut |_| Ok(()),
            &mut |_, _| Ok(()),
        )?)
    }

    /// Changes a dead list. What belongs into a damaged node of it is on no list.
    pub(crate) fn list(
        &self,
        list: Option<Link>,
        changes: BTreeMap<Vec<u8>, Option<btree::Entry>>,
    ) -> Result<Option<Link>> {
        let (losses, changes) = (self.losses, changes.into_iter().collect());
        let left_out: &mut btree::LeftOut<'_> = &mut |_, error, changes| {
            losses.listed(Table::DeadList, &error, changes);
            Ok(())
        };
        Ok(btree::apply(self.blocks, self.writer, list, changes, left_out)?)
    }

    /// Frees blocks that left the live tree, or hands them to the dead list when the newest
    /// snapshot names them.
    pub(crate) fn drop_blocks(&mut self, dropped: Vec<Link>) -> Result<()> {
        let newest = self.snapshots.newest();
        let mut held = BTreeMap::new();
        for link in dropped {
            if link.birth > newest {
                self.freed.push(link.into());
                continue;
            }
            let entry = dead_entry(&link);
            held.insert(entry.key.clone(), Some(entry));
        }
        if !held.is_empty() {
            let dead = self.dead.take();
            self.dead = self.list(dead, held)?;
        }
        Ok(())
    }

    /// Takes the snapshots that were asked for, of a tree that is written.
    pub(crate) fn create(&mut self, epoch: Epoch, volume: &mut crate::stored::volume::Volume) -> Result<()> {
        for (name, created) in std::mem::take(&mut self.snapshots.to_create) {
            if !self.reach([&name].into_iter(), epoch)? {
                continue;
            }
            let snapshot = Snapshot {
                id: volume.trees.next_snapshot,
                epoch,
                created,
                inodes: volume.inodes,
                bytes: volume.trees.bytes,
                root: volume.trees.root.clone(),
                table: volume.trees.table.clone(),
                // The live tree goes on with an empty list: it names all that the snapshot names.
                dead: self.dead.take(),
                holds: Vec::new(),
            };
            volume.trees.next_snapshot += 1;
            self.row(name, snapshot);
        }
        Ok(())
    }

    /// Writes the changed rows of the table of snapshots, which were in reach a moment ago.
    pub(crate) fn finish(&mut self, epoch: Epoch) -> Result<Option<Link>> {
        let (table, losses) = (self.table.take(), self.losses);
        let unread = &mut self.snapshots.unread;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(table);
        }
        let changes = changes.into_iter().collect();
        let left_out: &mut btree::LeftOut<'_> = &mut |_, error, changes| {
            losses.table(Table::Snapshots, &error);
            // A neighbour that only wanted to join it loses nothing.
            if !changes.is_empty() {
                *unread = Some(epoch);
            }
            Ok(())
        };
        Ok(btree::apply(self.blocks, self.writer, table, changes, left_out)?)
    }
}
