//! What changed between two snapshots, or between one and the live tree: names that came, went,
//! moved or lead to something else.
//!
//! ```text
//!   directories that differ, compared name by name --> changed in place: told at once
//!        ^                                        `--> only there, only here: kept by inode number
//!        |  a directory that moved                          |
//!        `-----------------------------------------------<--+--> the same number on both sides: renamed
//!                                                           `--> else: removed, added, with all below
//! ```
//!
//! Directories that share their tree are never opened, so the cost goes with the difference. But
//! for files with several names: their inodes lie in a table that does not know the names. If one
//! of them changed, all directories are looked through for its names.

use crate::blocks::Blocks;
use crate::engine::Engine;
use crate::stored::name::DirKey;
use crate::stored::record::{Dentry, Record, Stored};
use crate::stored::snapshot::Snapshot;
use crate::versions::snapshots::CHECK_NAME;
use crate::{Error, InodeNo, Kind, Name, Result};
use cairn_merkle::{Link, StoreError, btree};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;

/// Names that came and went, among which moves are looked for. With more, the rest is told as it
/// is met: removed and added.
const KEPT_MAX: usize = 100_000;

/// A name that differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which way.
    pub what: Differs,
    /// From the root, with `/` first; of what was removed, as it was.
    pub path: Vec<u8>,
    /// What it leads to.
    pub kind: Kind,
}

/// In which way a name differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Differs {
    /// It is in the newer version alone.
    Added,
    /// It was in the older version alone.
    Removed,
    /// It leads to the same inode, whose content or attributes are others; of a directory, its own
    /// attributes or the names in it.
    Modified,
    /// The inode had this path before.
    Renamed {
        /// As [`Difference::path`].
        from: Vec<u8>,
    },
}

impl Engine {
    /// Tells `each` what differs between snapshot `from` and snapshot `to`, or the live tree as of
    /// the commit that this makes. An error of `each` ends it.
    ///
    /// # Errors
    /// [`Error::NoEntry`]; damage of a node that is needed; what `each` answers.
    pub fn snapshot_diff(
        &self,
        from: &Name,
        to: Option<&Name>,
        each: &mut dyn FnMut(Difference) -> Result<()>,
    ) -> Result<()> {
        // Both stay whole while they are read, be they destroyed meanwhile.
        let (_pin, volume) = self.pin_newest()?;
        let find = |name: &Name| {
            let table = volume.trees.snapshots.as_ref();
            let row = btree::get(&self.blocks, table, name.as_bytes())?;
            let row = row.filter(|row| row.key != CHECK_NAME).ok_or(Error::NoEntry)?;
            Snapshot::decode(&row).map(|(_, snapshot)| snapshot)
        };
        let old = find(from)?;
        let new = to.map_or_else(|| Ok(Snapshot::of(&volume)), find)?;
        Comparison::new(&self.blocks, each).run(&old, &new)
    }
}

/// What a name leads to on one side.
struct Named {
    path: Vec<u8>,
    record: Record,
    /// A directory whose names are among those that came or went.
    opened: bool,
}

impl Named {
    fn tree(&self) -> Option<&Link> {
        tree_of(&self.record)
    }
}

fn tree_of(record: &Record) -> Option<&Link> {
    match &record.stored {
        Stored::Tree(root) => Some(root),
        _ => None,
    }
}

/// Directories that are the same inode on both sides.
struct Pair {
    old: Option<Link>,
    new: Option<Link>,
    old_path: Vec<u8>,
    new_path: Vec<u8>,
}

type Kept = FxHashMap<InodeNo, Named>;

struct Comparison<'a> {
    blocks: &'a Blocks,
    each: &'a mut dyn FnMut(Difference) -> Result<()>,
    pairs: Vec<Pair>,
    gone: Kept,
    came: Kept,
    /// Too many came and went: no move is looked for any more.
    flat: bool,
    /// Names of files with several names that were told.
    told: FxHashSet<Vec<u8>>,
}

fn child(dir: &[u8], name: &[u8]) -> Vec<u8> {
    [dir, b"/", name].concat()
}

fn decode(entry: btree::Entry) -> Result<(Vec<u8>, Dentry)> {
    let key = DirKey::decode(&entry.key).ok_or(cairn_merkle::Error::Malformed {
        what: "directory",
        why: "an entry's key is no hash and name",
    })?;
    let dentry = Dentry::decode(&entry.value, &entry.links)?;
    Ok((key.name.as_bytes().to_vec(), dentry))
}

/// Whether what users see of two records of one inode differs; `moved`: a rename alone sets ctime.
fn differ(old: &Record, new: &Record, moved: bool) -> bool {
    let mut meta = old.meta.clone();
    if moved {
        meta.ctime = new.meta.ctime;
    }
    // Of a directory the tree says what lies below it, which is told by itself.
    let content = old.meta.kind != Kind::Directory && old.stored != new.stored;
    meta != new.meta || old.xattrs != new.xattrs || content
}

impl<'a> Comparison<'a> {
    fn new(blocks: &'a Blocks, each: &'a mut dyn FnMut(Difference) -> Result<()>) -> Self {
        Self {
            blocks,
            each,
            pairs: Vec::new(),
            gone: Kept::default(),
            came: Kept::default(),
            flat: false,
            told: FxHashSet::default(),
        }
    }

    fn tell(&mut self, what: Differs, path: Vec<u8>, kind: Kind) -> Result<()> {
        (self.each)(Difference { what, path, kind })
    }

    fn run(&mut self, old: &Snapshot, new: &Snapshot) -> Result<()> {
        self.same(&old.root, &new.root, (Vec::new(), Vec::new()), false)?;
        loop {
            while let Some(pair) = self.pairs.pop() {
                self.pair(&pair)?;
            }
            if !self.match_moves()? && !self.open_rest()? {
                break;
            }
        }
        self.tell_kept()?;
        self.linked(old, new)
    }

    /// One inode on both sides, at these paths.
    fn same(
        &mut self,
        old: &Record,
        new: &Record,
        (old_path, new_path): (Vec<u8>, Vec<u8>),
        moved: bool,
    ) -> Result<()> {
        if differ(old, new, moved) {
            let root = || b"/".to_vec();
            let path = if new_path.is_empty() {
                root()
            } else {
                new_path.clone()
            };
            self.tell(Differs::Modified, path, new.meta.kind)?;
        }
        let (old, new) = (tree_of(old).cloned(), tree_of(new).cloned());
        if old.as_ref().map(|link| link.cid) != new.as_ref().map(|link| link.cid) {
            self.pairs.push(Pair {
                old,
                new,
                old_path,
                new_path,
            });
        }
        Ok(())
    }

    fn pair(&mut self, pair: &Pair) -> Result<()> {
        let mut failed = None;
        let blocks = self.blocks;
        let compared = btree::diff(blocks, pair.old.as_ref(), pair.new.as_ref(), &mut |was, is| {
            // The tree's errors are of blocks: any other is kept aside, and ends the walk.
            self.name(pair, was, is).map_err(|error| {
                failed = Some(error);
                StoreError::io("go on", io::ErrorKind::Interrupted.into()).into()
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(compared?),
        }
    }

    /// A name in a directory that is on both sides.
    fn name(&mut self, pair: &Pair, was: Option<btree::Entry>, is: Option<btree::Entry>) -> Result<()> {
        let (was, is) = (was.map(decode).transpose()?, is.map(decode).transpose()?);
        if let (Some((name, was)), Some((_, is))) = (&was, &is) {
            let paths = (child(&pair.old_path, name), child(&pair.new_path, name));
            match (was, is) {
                (Dentry::Embedded(old), Dentry::Embedded(new)) if old.meta.ino == new.meta.ino => {
                    return self.same(old, new, paths, false);
                }
                // A second name was made, so its number of names is another.
                (Dentry::Embedded(old), Dentry::Linked { ino, kind }) if old.meta.ino == *ino => {
                    return self.tell(Differs::Modified, paths.1, *kind);
                }
                _ => {}
            }
        }
        if let Some((name, dentry)) = was {
            self.one_side(child(&pair.old_path, &name), dentry, false)?;
        }
        if let Some((name, dentry)) = is {
            self.one_side(child(&pair.new_path, &name), dentry, true)?;
        }
        Ok(())
    }

    /// A name on one side: kept, in case that it moved.
    fn one_side(&mut self, path: Vec<u8>, dentry: Dentry, added: bool) -> Result<()> {
        let record = match dentry {
            // Which of its names a new one takes the place of, nothing says.
            Dentry::Linked { kind, .. } => {
                self.told.insert(path.clone());
                return self.tell(way(added), path, kind);
            }
            Dentry::Embedded(record) => record,
        };
        let named = Named {
            path,
            record,
            opened: false,
        };
        if self.flat {
            return self.tell_all(named, added);
        }
        let kept = if added { &mut self.came } else { &mut self.gone };
        kept.insert(named.record.meta.ino, named);
        if self.gone.len() + self.came.len() > KEPT_MAX {
            self.flat = true;
            self.tell_kept()?;
        }
        Ok(())
    }

    /// Tells of inodes that are on both sides under other paths; whether there were any.
    fn match_moves(&mut self) -> Result<bool> {
        let moved: Vec<InodeNo> = self
            .gone
            .keys()
            .filter(|ino| self.came.contains_key(ino))
            .copied()
            .collect();
        for ino in &moved {
            let (Some(old), Some(new)) = (self.gone.remove(ino), self.came.remove(ino)) else {
                continue;
            };
            let from = old.path.clone();
            self.tell(Differs::Renamed { from }, new.path.clone(), new.record.meta.kind)?;
            self.same(&old.record, &new.record, (old.path, new.path), true)?;
        }
        Ok(!moved.is_empty())
    }

    /// Has the names in directories of one side join those that came or went: they may have moved
    /// there, or from there. Answers whether there were any.
    fn open_rest(&mut self) -> Result<bool> {
        let mut open = Vec::new();
        for (kept, added) in [(&mut self.gone, false), (&mut self.came, true)] {
            for named in kept.values_mut().filter(|named| !named.opened) {
                named.opened = true;
                open.extend(named.tree().map(|tree| (named.path.clone(), tree.clone(), added)));
            }
        }
        let any = !open.is_empty();
        for (path, tree, added) in open {
            for (name, dentry) in self.names(&tree)? {
                self.one_side(child(&path, &name), dentry, added)?;
            }
        }
        Ok(any)
    }

    /// Tells of all that are kept, as they are.
    fn tell_kept(&mut self) -> Result<()> {
        for (kept, added) in [
            (std::mem::take(&mut self.gone), false),
            (std::mem::take(&mut self.came), true),
        ] {
            let mut kept: Vec<Named> = kept.into_values().collect();
            kept.sort_by(|a, b| a.path.cmp(&b.path));
            for named in kept {
                match named.opened {
                    true => self.tell(way(added), named.path, named.record.meta.kind)?,
                    false => self.tell_all(named, added)?,
                }
            }
        }
        Ok(())
    }

    /// Tells of a name of one side and of all below it.
    fn tell_all(&mut self, named: Named, added: bool) -> Result<()> {
        let mut rest = vec![named];
        while let Some(named) = rest.pop() {
            self.tell(way(added), named.path.clone(), named.record.meta.kind)?;
            let Some(tree) = named.tree().cloned() else {
                continue;
            };
            for (name, dentry) in self.names(&tree)? {
                let path = child(&named.path, &name);
                match dentry {
                    Dentry::Linked { .. } => self.one_side(path, dentry, added)?,
                    Dentry::Embedded(record) => rest.push(Named {
                        path,
                        record,
                        opened: false,
                    }),
                }
            }
        }
        Ok(())
    }

    fn names(&self, tree: &Link) -> Result<Vec<(Vec<u8>, Dentry)>> {
        let mut entries = Vec::new();
        btree::walk(self.blocks, Some(tree), &mut |_| {}, &mut |entry| {
            entries.push(entry);
            Ok(())
        })?;
        entries.into_iter().map(decode).collect()
    }

    /// Files with several names whose inode is another now: all their names, but those that came.
    fn linked(&mut self, old: &Snapshot, new: &Snapshot) -> Result<()> {
        let mut changed = FxHashSet::default();
        let mut each = |was: Option<btree::Entry>, is: Option<btree::Entry>| {
            if let (Some(_), Some(is)) = (was, is) {
                changed.insert(InodeNo(is.key.try_into().map_or(0, u64::from_be_bytes)));
            }
            Ok(())
        };
        btree::diff(self.blocks, old.table.as_ref(), new.table.as_ref(), &mut each)?;
        let mut rest = Vec::new();
        if !changed.is_empty() {
            rest.extend(tree_of(&new.root).map(|tree| (Vec::new(), tree.clone())));
        }
        while let Some((dir, tree)) = rest.pop() {
            for (name, dentry) in self.names(&tree)? {
                let path = child(&dir, &name);
                match dentry {
                    Dentry::Linked { ino, kind } if changed.contains(&ino) && !self.told.contains(&path) => {
                        self.tell(Differs::Modified, path, kind)?;
                    }
                    Dentry::Linked { .. } => {}
                    Dentry::Embedded(record) => {
                        rest.extend(tree_of(&record).map(|tree| (path, tree.clone())))
                    }
                }
            }
        }
        Ok(())
    }
}

fn way(added: bool) -> Differs {
    match added {
        true => Differs::Added,
        false => Differs::Removed,
    }
}

#[cfg(test)]
mod tests;
