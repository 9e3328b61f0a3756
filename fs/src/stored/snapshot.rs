//! A snapshot's row in the table of snapshots, and a block's row on a dead list.

use crate::stored::codec::{Decoder, Encoder};
use crate::stored::record::Record;
use crate::{Hold, Name, Result, Time};
use cairn_merkle::{Cid, Epoch, Link, btree};

/// One snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Number that the inode numbers of its files carry.
    pub(crate) id: u32,
    pub(crate) epoch: Epoch,
    pub(crate) created: Time,
    pub(crate) inodes: u64,
    pub(crate) bytes: u64,
    pub(crate) root: Record,
    pub(crate) table: Option<Link>,
    /// What the snapshot before named and this one does not.
    pub(crate) dead: Option<Link>,
    /// What keeps it from being destroyed, by tag.
    pub(crate) holds: Vec<Hold>,
}

impl Snapshot {
    /// A volume that cannot change, as a snapshot of itself.
    pub(crate) fn of(volume: &crate::stored::volume::Volume) -> Self {
        Self {
            id: 0,
            epoch: Epoch(u64::MAX),
            created: Time(0),
            inodes: volume.inodes,
            bytes: volume.trees.bytes,
            root: volume.trees.root.clone(),
            table: volume.trees.table.clone(),
            dead: None,
            holds: Vec::new(),
        }
    }

    pub(crate) fn encode(&self, name: &Name) -> btree::Entry {
        let mut out = Encoder::default();
        out.u32(self.id)
            .u64(self.epoch.0)
            .time(self.created)
            .u64(self.inodes)
            .u64(self.bytes);
        let (root, mut links) = self.root.encode();
        out.bytes(&root)
            .u8(u8::try_from(links.len()).expect("an inode has at most one link"));
        for tree in [&self.table, &self.dead] {
            out.u8(u8::from(tree.is_some()));
            links.extend(tree.clone());
        }
        out.u32(u32::try_from(self.holds.len()).expect("there are few holds"));
        for hold in &self.holds {
            out.bytes(hold.tag.as_bytes()).time(hold.since);
        }
        btree::Entry {
            key: name.as_bytes().to_vec(),
            value: out.0,
            links,
        }
    }

    /// Its place in the order of all: one commit may take several, and their numbers tell which
    /// came first.
    pub(crate) fn place(&self) -> (Epoch, u32) {
        (self.epoch, self.id)
    }

    pub(crate) fn decode(entry: &btree::Entry) -> Result<(Name, Self)> {
        let mut from = Decoder::new("snapshot", &entry.value);
        let (id, epoch, created) = (from.u32()?, Epoch(from.u64()?), from.time()?);
        let (inodes, bytes, root) = (from.u64()?, from.u64()?, from.bytes()?);
        let count = usize::from(from.u8()?);
        let (own, links) = entry
            .links
            .split_at_checked(count)
            .ok_or(from.error("the root's link is missing"))?;
        let mut links = links.iter().cloned();
        let mut tree = || -> Result<Option<Link>> {
            if !from.flag()? {
                return Ok(None);
            }
            Ok(Some(links.next().ok_or(from.error("a tree's link is missing"))?))
        };
        let (table, dead) = (tree()?, tree()?);
        if links.next().is_some() {
            return Err(from.error("it has links that nothing names").into());
        }
        let root = Record::decode(root, own)?;
        let holds = decode_holds(&mut from)?;
        from.finish()?;
        Ok((
            Name::new(&entry.key)?,
            Self {
                id,
                epoch,
                created,
                inodes,
                bytes,
                root,
                table,
                dead,
                holds,
            },
        ))
    }
}

fn decode_holds(from: &mut Decoder<'_>) -> Result<Vec<Hold>> {
    let mut holds: Vec<Hold> = Vec::new();
    for _ in 0..from.u32()? {
        let hold = Hold {
            tag: Name::new(from.bytes()?)?,
            since: from.time()?,
        };
        if holds.last().is_some_and(|last| last.tag >= hold.tag) {
            return Err(from.error("its holds are out of order").into());
        }
        holds.push(hold);
    }
    Ok(holds)
}

/// A block's row on a dead list.
pub(crate) fn dead_entry(link: &Link) -> btree::Entry {
    let mut key = link.birth.0.to_be_bytes().to_vec();
    key.extend_from_slice(&link.cid.to_bytes());
    btree::Entry {
        key,
        value: link.len.to_le_bytes().to_vec(),
        links: Vec::new(),
    }
}

/// What [`dead_entry`] tells: birth, name and length.
pub(crate) fn decode_dead(entry: &btree::Entry) -> cairn_merkle::Result<(Epoch, Cid, u32)> {
    let row = || {
        let (birth, cid) = entry.key.split_first_chunk()?;
        let birth = Epoch(u64::from_be_bytes(*birth));
        let len = u32::from_le_bytes(entry.value.as_slice().try_into().ok()?);
        entry
            .links
            .is_empty()
            .then_some((birth, Cid::from_bytes(cid)?, len))
    };
    row().ok_or(cairn_merkle::Error::Malformed {
        what: "dead list",
        why: "an entry is not a birth, a name and a length",
    })
}

#[cfg(test)]
mod tests;
