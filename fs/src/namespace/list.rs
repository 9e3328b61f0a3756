//! What a directory holds, in an order that survives changes.
//!
//! ```text
//!  stored names (a page of the tree) <-- names of the commit under way <-- names of the open epoch
//!                       `-- whole hashes, in the order of hash and name; the next page begins with the next hash
//! ```
//!
//! **Invariant:** a name that is there from start to end is listed exactly once, whatever comes and
//! goes meanwhile: its place depends on nothing but itself, and where it shares that with others,
//! [`crate::namespace::slots`] tells them apart.

use crate::engine::Engine;
use crate::namespace::inode::{Child, Home, Inode, Names};
use crate::namespace::slots::{self, Slots};
use crate::namespace::view::{in_view, view_of};
use crate::state::State;
use crate::stored::name::DirKey;
use crate::stored::record::{Dentry, Record};
use crate::{Attr, DirCookie, DirEntry, Error, InodeNo, Name, Result};
use cairn_merkle::{Link, NodeSource, btree};
use std::collections::BTreeMap;
use std::ops::Bound;

impl Engine {
    /// Up to `count_max` names after `after`, in the directory's order. With attributes if
    /// `with_attr`.
    ///
    /// # Errors
    /// [`Error::NotDirectory`], or what reading the directory's blocks failed with.
    pub(crate) fn list_names(
        &self,
        ino: InodeNo,
        after: DirCookie,
        count_max: usize,
        with_attr: bool,
    ) -> Result<Vec<DirEntry>> {
        let state = &mut *self.begin_read(ino)?;
        let (mut listed, mut from) = (Vec::new(), Some(slots::hash_of(after)));
        while let Some(hash) = from
            && listed.len() < count_max
        {
            let page = self.list(state, ino, hash, count_max)?;
            from = page.next;
            let slots = &state.inodes.get(ino)?.dir()?.slots;
            let mut rows = with_cookies(slots, page.rows, after);
            rows.truncate(count_max - listed.len());
            for (cookie, (key, child, record)) in rows {
                let attr = match with_attr.then(|| self.attr_of(state, child, record)) {
                    // The name is there, and what it leads to cannot be read: a lookup of it fails.
                    Some(Err(Error::Merkle(error))) if error.damaged().is_some() => None,
                    attr => attr.transpose()?,
                };
                listed.push(DirEntry {
                    ino: child.ino,
                    kind: child.kind,
                    cookie,
                    name: key.name,
                    attr,
                });
            }
        }
        if listed.is_empty() {
            self.end_of_list(state, ino)?;
        }
        Ok(listed)
    }

    /// A list from which names are missing does not end as if it were whole: the rest is in a
    /// damaged node.
    fn end_of_list(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        let dir = state.inodes.get_mut(ino)?.dir_mut()?;
        if let Some(unread) = dir.unread.take() {
            let read = self.blocks.node(&unread);
            dir.unread = read.is_err().then_some(unread);
            read?;
        }
        Ok(())
    }

    fn attr_of(&self, state: &mut State, child: Child, record: Option<Record>) -> Result<Attr> {
        if child.linked {
            self.load_linked(state, child.ino)?;
        }
        match (state.inodes.get(child.ino), record) {
            (Ok(inode), _) => Ok(inode.attr()),
            (Err(_), Some(record)) => {
                Ok(Inode::new(record.meta, record.xattrs, record.stored, Home::Orphan).attr())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Names from a hash on, overlaid: stored ones under frozen ones under open ones. As many as
    /// `count_max` stored ones reach, by whole hashes. Goes past damaged nodes.
    fn list(&self, state: &mut State, ino: InodeNo, from: u32, count_max: usize) -> Result<Page> {
        let dir = state.inodes.get_mut(ino)?.dir_mut()?;
        let view = view_of(ino);
        let (stored, mut until) = self.whole_hashes(dir.stored.as_ref(), from, count_max, &mut dir.unread)?;
        let layers: [Option<&Names>; 2] = [dir.frozen.as_deref(), Some(&dir.open)];
        for names in layers.into_iter().flatten() {
            let last = of_hashes(names, from, until)
                .nth(count_max)
                .map(|(key, _)| key.hash);
            until = last.unwrap_or(until);
        }
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
        rows.retain(|key: &DirKey, _| key.hash <= until);
        for (key, change) in layers
            .into_iter()
            .flatten()
            .flat_map(|names| of_hashes(names, from, until))
        {
            match change {
                Some(child) => drop(rows.insert(key.clone(), (*child, None))),
                None => drop(rows.remove(key)),
            }
        }
        let rows = rows
            .into_iter()
            .map(|(key, (child, record))| (key, child, record));
        Ok(Page {
            rows: rows.collect(),
            next: (until < u32::MAX).then(|| until + 1),
        })
    }

    /// About `count` stored names from a hash on, and the last hash of which they are all; or a
    /// node that is damaged.
    fn whole_hashes(
        &self,
        tree: Option<&Link>,
        from: u32,
        count: usize,
        unread: &mut Option<Link>,
    ) -> Result<(Vec<btree::Entry>, u32)> {
        let first = from.to_be_bytes();
        let mut count = count.saturating_add(2);
        loop {
            let first = Bound::Included(first.as_slice());
            let mut stored = btree::range_past(&self.blocks, tree, first, count, &mut |link, _| {
                *unread = Some(link.clone());
                Ok(())
            })?;
            if stored.len() < count {
                return Ok((stored, u32::MAX));
            }
            // The rest of the last hash may lie behind what was read.
            let hash = |entry: &btree::Entry| {
                entry
                    .key
                    .first_chunk()
                    .map_or(0, |hash| u32::from_be_bytes(*hash))
            };
            let cut = stored.last().map_or(0, hash);
            stored.retain(|entry| hash(entry) != cut);
            if cut > from {
                return Ok((stored, cut - 1));
            }
            count = count.saturating_mul(2);
        }
    }

    /// A name comes to a directory or goes: one that is being listed remembers where the others of
    /// its hash were.
    pub(crate) fn note_slots(
        &self,
        state: &mut State,
        dir: InodeNo,
        key: &DirKey,
        comes: bool,
    ) -> Result<()> {
        if state.inodes.get(dir)?.opens == 0 {
            return Ok(());
        }
        let rows = self.list(state, dir, key.hash, 1)?.rows;
        let others = rows.into_iter().map(|(other, ..)| other);
        let others = others.filter(|other| other.hash == key.hash && other.name != key.name);
        let others = others.map(|other| other.name).collect();
        state
            .inodes
            .get_mut(dir)?
            .dir_mut()?
            .slots
            .change(key, others, comes);
        Ok(())
    }

    /// The kernel keeps an entry whose inode could not be read: if it has several names, it is
    /// found again by its number.
    ///
    /// # Errors
    /// [`Error::NoEntry`] if the name has gone since; `unread`, if it is the name that cannot be
    /// read.
    pub(crate) fn refer_unread(
        &self,
        parent: InodeNo,
        name: &Name,
        unread: cairn_merkle::Error,
    ) -> Result<()> {
        let mut state = self.state.lock();
        let key = state.key(name);
        let child = self.child(&mut state, parent, &key)?.ok_or(Error::NoEntry)?;
        // Else it is in memory, or it was the directory that could not be read.
        if !child.linked || state.inodes.has(child.ino) {
            return Err(unread.into());
        }
        state.inodes.parking_mut().refer(child.ino);
        Ok(())
    }
}

/// A name, with the record if its newest attributes are the stored ones.
type Row = (DirKey, Child, Option<Record>);

/// Part of a directory, in its order.
struct Page {
    rows: Vec<Row>,
    /// The hash to go on with; `None` at the end.
    next: Option<u32>,
}

/// The changes of a layer with hashes of `from..=until`.
fn of_hashes(names: &Names, from: u32, until: u32) -> impl Iterator<Item = (&DirKey, &Option<Child>)> {
    let least = Name::new(b"\x01").ok();
    let first = least.map(|name| DirKey { hash: from, name });
    let rows = match first {
        Some(first) => names.range(first..),
        None => names.range::<DirKey, _>(..),
    };
    rows.take_while(move |(key, _)| key.hash <= until)
}

/// What of a page comes after a place, by place: names of one hash lie by name, and their slots may
/// not.
fn with_cookies(slots: &Slots, rows: Vec<Row>, after: DirCookie) -> Vec<(DirCookie, Row)> {
    let mut last = (0, 0);
    let mut placed: Vec<_> = rows
        .into_iter()
        .map(|row| {
            last = (row.0.hash, if row.0.hash == last.0 { last.1 + 1 } else { 0 });
            (slots.cookie(&row.0, last.1), row)
        })
        .filter(|(cookie, _)| *cookie > after)
        .collect();
    placed.sort_by_key(|(cookie, _)| *cookie);
    placed
}

#[cfg(test)]
mod tests;
