//! The trees of one commit while they are written: directories from the deepest up, root,
//! hard-link table, orphans.

use crate::blocks::Writer;
use crate::commit::content::NewContent;
use crate::commit::epoch::{Frozen, Item, Work};
use crate::commit::losses::Losses;
use crate::engine::Engine;
use crate::namespace::inode::Home;
use crate::stored::record::{Dentry, Record, Stored};
use crate::{InodeNo, Result};
use cairn_merkle::{Link, btree};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

type Changes = BTreeMap<Vec<u8>, Option<btree::Entry>>;

pub(crate) fn key_of(ino: InodeNo) -> Vec<u8> {
    ino.0.to_be_bytes().to_vec()
}

pub(crate) fn apply(
    engine: &Engine,
    writer: &Writer<'_>,
    root: Option<Link>,
    changes: Changes,
    left_out: &mut btree::LeftOut<'_>,
) -> Result<Option<Link>> {
    if changes.is_empty() {
        return Ok(root);
    }
    let changes = changes.into_iter().collect();
    Ok(btree::apply(&engine.blocks, writer, root, changes, left_out)?)
}

/// The trees of one commit while they are written.
pub(crate) struct TreeWriter<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) writer: &'a Writer<'a>,
    pub(crate) losses: &'a Losses,
    /// Entries that directories yet to be written are to have.
    pub(crate) above: FxHashMap<InodeNo, Changes>,
    pub(crate) table: Changes,
    pub(crate) orphans: Changes,
    pub(crate) root: Option<Record>,
    pub(crate) stored: Vec<(InodeNo, Stored, u64)>,
}

impl TreeWriter<'_> {
    pub(crate) fn write(&mut self, frozen: &Frozen, contents: Vec<Option<NewContent>>) -> Result<()> {
        let mut dirs: Vec<&Item> = Vec::new();
        // Files first: their records are entries that the directories below wait for.
        for (item, content) in frozen.items.iter().zip(contents) {
            match (&item.work, content) {
                (Work::File { .. }, Some(NewContent { stored, bytes })) => self.place(item, stored, bytes),
                (Work::Fixed(stored), _) => self.place(item, stored.clone(), item.meta.stored),
                _ => dirs.push(item),
            }
        }
        // Deepest first: a directory is written once, with the new roots of those in it.
        dirs.sort_by_key(|item| std::cmp::Reverse(item.depth));
        for item in dirs {
            let stored = self.directory(item)?.map_or(Stored::None, Stored::Tree);
            self.place(item, stored, 0);
        }
        Ok(())
    }

    /// Writes a directory's tree with the entries of its changed children.
    fn directory(&mut self, item: &Item) -> Result<Option<Link>> {
        let Work::Dir { stored, names } = &item.work else {
            return Ok(None);
        };
        let mut changes = self.above.remove(&item.meta.ino).unwrap_or_default();
        for (key, child) in names.iter() {
            let entry = match child {
                None => None,
                Some(child) if child.linked => {
                    let (value, links) = Dentry::Linked {
                        ino: child.ino,
                        kind: child.kind,
                    }
                    .encode();
                    Some(btree::Entry {
                        key: key.encode(),
                        value,
                        links,
                    })
                }
                // Its own record is among the changes: a change of the name is one of the inode.
                Some(_) => continue,
            };
            changes.insert(key.encode(), entry);
        }
        let (losses, dir) = (self.losses, item.meta.ino);
        let left_out: &mut btree::LeftOut<'_> = &mut |_, error, changes| losses.names(dir, &error, changes);
        let root = apply(self.engine, self.writer, stored.clone(), changes, left_out)?;
        if item.dead {
            let blocks = &self.engine.blocks;
            btree::destroy(blocks, self.writer, root, &mut |_| Ok(()), &mut |_, _| Ok(()))?;
            return Ok(None);
        }
        Ok(root)
    }

    /// Hands an inode's record to whatever tree it lives in.
    fn place(&mut self, item: &Item, stored: Stored, bytes: u64) {
        let ino = item.meta.ino;
        self.stored.push((ino, stored.clone(), bytes));
        let record = item.record(stored, bytes);
        let entry = |record: &Record, key: Vec<u8>| {
            let (value, links) = record.encode();
            btree::Entry { key, value, links }
        };
        match &item.home {
            Home::Root => self.root = Some(record),
            Home::Entry { parent, key } => {
                let key = key.encode();
                let (value, links) = Dentry::Embedded(record).encode();
                let entry = btree::Entry {
                    key: key.clone(),
                    value,
                    links,
                };
                self.above.entry(*parent).or_default().insert(key, Some(entry));
            }
            Home::Table => drop(self.table.insert(key_of(ino), Some(entry(&record, key_of(ino))))),
            // A dead file that still has content is destroyed bit by bit, and hangs from the
            // commit until it is gone.
            Home::Orphan if item.dead && !matches!(record.stored, Stored::Index(_)) => {
                drop(self.orphans.insert(key_of(ino), None));
            }
            Home::Orphan => drop(
                self.orphans
                    .insert(key_of(ino), Some(entry(&record, key_of(ino)))),
            ),
        }
    }
}
