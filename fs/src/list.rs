//! What a directory holds, in an order that survives changes.
//!
//! ```text
//!  stored names (a page of the tree) <-- names of the commit under way <-- names of the open epoch
//!                       `-- one page in the order of hash and name; a cookie is a hash, and the next page begins after it
//! ```
//!
//! **Invariant:** a name that is there from start to end is listed exactly once, whatever comes and goes meanwhile: its
//! place depends on nothing but itself.

use crate::engine::Engine;
use crate::inode::{Child, DirKey, Home, Inode, Names};
use crate::record::{Dentry, Record};
use crate::state::{State, in_view, view_of};
use crate::{Attr, DirCookie, DirEntry, Error, InodeNo, Name, Result};
use cairn_merkle::btree;
use std::collections::BTreeMap;
use std::ops::Bound;

impl Engine {
    /// Up to `count_max` names after `after`, in the directory's order. With attributes if `with_attr`.
    ///
    /// # Errors
    /// [`Error::NotDirectory`], or what reading the directory's blocks failed with.
    pub fn readdir(
        &self,
        ino: InodeNo,
        after: DirCookie,
        count_max: usize,
        with_attr: bool,
    ) -> Result<Vec<DirEntry>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if ino == InodeNo::SNAPSHOTS {
            return Ok(state.snapshots.list_dir(after, count_max));
        }
        self.enter(state, ino)?;
        let mut listed = Vec::new();
        let mut after = after;
        let rows = loop {
            let page = self.list(state, ino, after, count_max)?;
            match page.next {
                Some(next) if page.rows.is_empty() => after = next,
                _ => break page.rows,
            }
        };
        for (key, child, record) in rows {
            let attr = if with_attr {
                Some(self.attr_of(state, child, record)?)
            } else {
                None
            };
            listed.push(DirEntry {
                ino: child.ino,
                kind: child.kind,
                cookie: DirCookie(key.hash),
                name: key.name,
                attr,
            });
        }
        Ok(listed)
    }

    fn attr_of(&self, state: &mut State, child: Child, record: Option<Record>) -> Result<Attr> {
        if child.linked {
            self.load_linked(state, child.ino)?;
        }
        match (state.inodes.get(&child.ino), record) {
            (Some(inode), _) => Ok(inode.attr()),
            (None, Some(record)) => {
                Ok(Inode::new(record.meta, record.xattrs, record.stored, Home::Orphan).attr())
            }
            (None, None) => Err(Error::NoEntry),
        }
    }

    /// Names after a place, overlaid: stored ones under frozen ones under open ones.
    fn list(&self, state: &State, ino: InodeNo, after: DirCookie, count_max: usize) -> Result<Page> {
        let dir = state.inode(ino)?.dir()?;
        let view = view_of(ino);
        let first = (after.0 + 1).to_be_bytes();
        let stored = btree::range(
            &self.blocks,
            dir.stored.as_ref(),
            Bound::Included(&first),
            count_max,
        )?;
        let whole = stored.len() < count_max;
        let mut rows = BTreeMap::new();
        for entry in stored {
            let key = DirKey::decode(&entry.key).ok_or(cairn_merkle::Error::Malformed {
                what: "directory",
                why: "a key is no hash and name",
            })?;
            let row = match Dentry::decode(&entry.value, &entry.links)? {
                Dentry::Linked { ino, kind } => (
                    Child {
                        ino: in_view(ino, view),
                        kind,
                        linked: true,
                    },
                    None,
                ),
                Dentry::Embedded(mut record) => {
                    record.meta.ino = in_view(record.meta.ino, view);
                    (
                        Child {
                            ino: record.meta.ino,
                            kind: record.meta.kind,
                            linked: false,
                        },
                        Some(record),
                    )
                }
            };
            rows.insert(key, row);
        }
        // Beyond the last stored entry that was read, changes cannot be placed yet, unless there is no more stored.
        let until = if whole {
            u64::MAX
        } else {
            rows.last_key_value().map_or(u64::MAX, |(key, _)| key.hash)
        };
        let layers: [Option<&Names>; 2] = [dir.frozen.as_deref(), Some(&dir.open)];
        for (key, change) in layers
            .into_iter()
            .flatten()
            .flat_map(|names| after_hash(names, after.0, until))
        {
            match change {
                Some(child) => drop(rows.insert(key.clone(), (*child, None))),
                None => drop(rows.remove(key)),
            }
        }
        let rows = rows
            .into_iter()
            .take(count_max)
            .map(|(key, (child, record))| (key, child, record));
        Ok(Page {
            rows: rows.collect(),
            next: (!whole).then_some(DirCookie(until)),
        })
    }

    /// The kernel keeps an entry that was listed: one more reference, as by [`Self::lookup`].
    ///
    /// # Errors
    /// [`Error::NoEntry`] if the name has gone since.
    pub fn retain(&self, parent: InodeNo, entry: &DirEntry) -> Result<Attr> {
        self.lookup(parent, &entry.name)
    }
}

/// Part of a directory, in its order.
struct Page {
    /// With the record of those whose newest attributes are the stored ones.
    rows: Vec<(DirKey, Child, Option<Record>)>,
    /// Where to go on; `None` at the end. All rows of a page may have been removed and not yet committed.
    next: Option<DirCookie>,
}

/// The changes of a layer whose hashes lie in `after + 1 ..= until`.
fn after_hash(names: &Names, after: u64, until: u64) -> impl Iterator<Item = (&DirKey, &Option<Child>)> {
    let least = Name::new(b"\x01").ok();
    let from = least.map(|name| DirKey {
        hash: after + 1,
        name,
    });
    let rows = match from {
        Some(from) => names.range(from..),
        None => names.range::<DirKey, _>(..),
    };
    rows.take_while(move |(key, _)| key.hash <= until)
}
