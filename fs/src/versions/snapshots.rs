//! Named snapshots: taken by a commit, browsable under `/.snapshots`, destroyed for their space.
//!
//! ```text
//!  older ... S(prev)     S(this)      S(next) or live
//!               dead list of this |  dead list of next: what `this` still named and `next` does not
//!  destroy `this`: what next's list holds and was born after prev is freed; the rest, and this's list, stay with next
//! ```
//!
//! No block is counted: its birth epoch says which snapshots can name it (as in ZFS).

use crate::blocks::Blocks;
use crate::namespace::inode::Inode;
use crate::namespace::view::in_view;

use crate::stored::snapshot::Snapshot;
use crate::{Attr, DirCookie, DirEntry, Error, Hold, InodeNo, Kind, Name, Result, Time};
use cairn_merkle::{Epoch, Link, btree};
use std::collections::BTreeMap;

/// The directory in the root that lists the snapshots. It is found by name and never listed.
pub(crate) const DIR_NAME: &[u8] = b".snapshots";

/// Whether a name in a directory leads there.
pub(crate) fn is_dir(parent: InodeNo, name: &Name) -> bool {
    parent == InodeNo::ROOT && name.as_bytes() == DIR_NAME
}

/// Name of the snapshot that checks held before there were pins; a mount destroys what a crash
/// left of one.
pub(crate) const CHECK_NAME: &[u8] = b".check";
/// What a snapshot takes in memory with its name, twice while a commit is under way.
const SNAPSHOT_BYTES: u64 = 1280;
/// What a hold takes, with the longest tag, twice.
const HOLD_BYTES: u64 = 640;

/// All snapshots, and what the next commit is to do about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    pub(crate) by_name: BTreeMap<Name, Snapshot>,
    /// Some are in a damaged block: nothing is known of those, but that they hold no epoch above
    /// this one.
    pub(crate) unread: Option<Epoch>,
    pub(crate) to_create: Vec<(Name, Time)>,
    pub(crate) to_destroy: Vec<Name>,
    pub(crate) to_alter: Vec<Alteration>,
}

/// A change of a snapshot's row that leaves what the snapshot holds as it is.
#[derive(Clone, Debug)]
pub(crate) enum Alteration {
    /// It has another name.
    Rename {
        from: Name,
        to: Name,
    },
    Hold {
        name: Name,
        hold: Hold,
    },
    Release {
        name: Name,
        tag: Name,
    },
}

impl Alteration {
    /// The snapshot's name before, and after.
    pub(crate) fn names(&self) -> [&Name; 2] {
        match self {
            Self::Rename { from, to } => [from, to],
            Self::Hold { name, .. } | Self::Release { name, .. } => [name, name],
        }
    }

    /// Does to the holds what it says.
    pub(crate) fn alter(self, holds: &mut Vec<Hold>) {
        match self {
            Self::Rename { .. } => {}
            Self::Hold { hold, .. } => {
                holds.push(hold);
                holds.sort_by(|a, b| a.tag.cmp(&b.tag));
            }
            Self::Release { tag, .. } => holds.retain(|hold| hold.tag != tag),
        }
    }

    /// Whether it is done.
    fn is_in(&self, snapshots: &BTreeMap<Name, Snapshot>) -> bool {
        let tagged = |name: &Name, tag: &Name| {
            let snapshot = snapshots.get(name)?;
            Some(snapshot.holds.iter().any(|hold| hold.tag == *tag))
        };
        match self {
            Self::Rename { from, to } => snapshots.contains_key(to) && !snapshots.contains_key(from),
            Self::Hold { name, hold } => tagged(name, &hold.tag) == Some(true),
            Self::Release { name, tag } => tagged(name, tag) == Some(false),
        }
    }
}

impl Snapshots {
    /// Reads all that a commit of `epoch` has: a mount knows them by heart. Those in a damaged
    /// block stay unknown, and `damaged` is told.
    pub(crate) fn load(
        blocks: &Blocks,
        root: Option<&Link>,
        epoch: Epoch,
        damaged: &mut dyn FnMut(&cairn_merkle::Error),
    ) -> Result<Self> {
        let mut read = Self::default();
        let mut failed = None;
        let mut each = |entry| {
            match Snapshot::decode(&entry) {
                Ok((name, snapshot)) => drop(read.by_name.insert(name, snapshot)),
                Err(error) => failed = Some(error),
            }
            Ok(())
        };
        let mut unread = None;
        btree::walk_past(blocks, root, &mut |_| {}, &mut each, &mut |_, error| {
            unread = Some(epoch);
            damaged(&error);
            Ok(())
        })?;
        read.unread = unread;
        failed.map_or(Ok(read), Err)
    }

    /// Bytes of memory they take.
    pub(crate) fn bytes(&self) -> u64 {
        let holds: usize = self.by_name.values().map(|snapshot| snapshot.holds.len()).sum();
        self.by_name.len() as u64 * SNAPSHOT_BYTES + holds as u64 * HOLD_BYTES
    }

    /// Whether the next commit has something to do here.
    pub(crate) fn has_requests(&self) -> bool {
        !self.to_create.is_empty() || !self.to_destroy.is_empty() || !self.to_alter.is_empty()
    }

    /// Whether a user asked for some of that; what a check does for itself does not count.
    pub(crate) fn has_user_requests(&self) -> bool {
        let altered = self.to_alter.iter().flat_map(Alteration::names);
        let created = self.to_create.iter().map(|(name, _)| name).chain(altered);
        created
            .chain(&self.to_destroy)
            .any(|name| name.as_bytes() != CHECK_NAME)
    }

    /// What there is, with the requests, which are taken out of here.
    pub(crate) fn take_requests(&mut self) -> Self {
        Self {
            by_name: self.by_name.clone(),
            unread: self.unread,
            // They leave with the epoch: one that waits for room keeps them, and none is done
            // twice.
            to_create: std::mem::take(&mut self.to_create),
            to_destroy: std::mem::take(&mut self.to_destroy),
            to_alter: std::mem::take(&mut self.to_alter),
        }
    }

    pub(crate) fn withdraw(&mut self, name: &Name) {
        self.to_create.retain(|(other, _)| other != name);
    }

    /// Whether this was done.
    pub(crate) fn have(&self, alteration: &Alteration) -> bool {
        alteration.is_in(&self.by_name)
    }

    /// Takes over what a commit made of [`Self::take_requests`].
    pub(crate) fn install(&mut self, committed: Self) {
        // Requests that came meanwhile stay, for the next commit.
        self.by_name = committed.by_name;
        // Damage is not forgotten, whichever side met it.
        self.unread = self.unread.max(committed.unread);
    }

    /// Makes these the snapshots that there are.
    pub(crate) fn replace(&mut self, snapshots: Vec<(Name, Snapshot)>) {
        self.by_name = snapshots.into_iter().collect();
        self.unread = None;
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<&Snapshot> {
        self.by_name.values().find(|snapshot| snapshot.id == id)
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Snapshot)> {
        self.by_name.iter()
    }

    /// The newest epoch that one of them holds. Of those that cannot be read it is taken to be the
    /// newest there can be, so that what they may name is kept.
    pub(crate) fn newest(&self) -> Epoch {
        let known = self.by_name.values().map(|snapshot| snapshot.epoch).max();
        known.max(self.unread).unwrap_or(Epoch(0))
    }

    /// Refuses to take or destroy one while not all are known. A name may be taken, and an unknown
    /// snapshot may hold what lies on a dead list.
    pub(crate) fn all_known(&self) -> Result<()> {
        match self.unread {
            Some(_) => Err(Error::Damaged("the table of snapshots is damaged")),
            None => Ok(()),
        }
    }

    /// The snapshots next to one: the epoch of the one before, and the name of the one after.
    pub(crate) fn neighbours(&self, of: &Snapshot) -> (Option<Epoch>, Option<Name>) {
        let place = of.place();
        let before = self.by_name.values().filter(|other| other.place() < place);
        let after = self.by_name.iter().filter(|(_, other)| other.place() > place);
        (
            before.map(|other| other.epoch).max(),
            after
                .min_by_key(|(_, other)| other.place())
                .map(|(name, _)| name.clone()),
        )
    }

    /// Those that users know of: all but one of an old check.
    pub(crate) fn visible(&self) -> impl Iterator<Item = (&Name, &Snapshot)> {
        self.iter().filter(|(name, _)| name.as_bytes() != CHECK_NAME)
    }

    /// Attributes of `/.snapshots`.
    pub(crate) fn dir_attr(&self, root: &Inode) -> Attr {
        let nlink = 2 + u32::try_from(self.visible().count()).unwrap_or(u32::MAX - 2);
        Attr {
            ino: InodeNo::SNAPSHOTS,
            mode: 0o755,
            nlink,
            ..root.attr()
        }
    }

    /// One page of `/.snapshots`. The end of a list that is not whole is an error.
    pub(crate) fn list_dir(&self, after: DirCookie, count_max: usize) -> Result<Vec<DirEntry>> {
        let mut rows: Vec<_> = self
            .visible()
            .map(|(name, snapshot)| (snapshot.id, name))
            .collect();
        rows.sort_unstable();
        let cookie = |id: u32| DirCookie(u64::from(id) + 16);
        let rows = rows
            .into_iter()
            .filter(|(id, _)| cookie(*id) > after)
            .take(count_max);
        let page: Vec<_> = rows
            .map(|(id, name)| DirEntry {
                ino: in_view(InodeNo::ROOT, id),
                kind: Kind::Directory,
                name: name.clone(),
                cookie: cookie(id),
                attr: None,
            })
            .collect();
        // At the end of the list: all that can be read come before the error.
        if page.is_empty() {
            self.all_known()?;
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::record::{Record, Stored, Xattrs, tests::meta};

    fn snapshot(id: u32, epoch: u64) -> Snapshot {
        Snapshot {
            id,
            epoch: Epoch(epoch),
            created: Time(0),
            inodes: 1,
            bytes: 0,
            root: Record {
                meta: meta(),
                xattrs: Xattrs::default(),
                stored: Stored::None,
            },
            table: None,
            dead: None,
            holds: Vec::new(),
        }
    }

    #[test]
    fn snapshots_of_one_commit_are_neighbours() {
        let name = |text: &str| Name::new(text.as_bytes()).unwrap();
        let all = Snapshots {
            by_name: BTreeMap::from([
                (name("old"), snapshot(1, 3)),
                (name("twin b"), snapshot(3, 7)),
                (name("twin a"), snapshot(2, 7)),
                (name("new"), snapshot(4, 9)),
            ]),
            ..Snapshots::default()
        };
        assert_eq!(
            all.neighbours(&snapshot(2, 7)),
            (Some(Epoch(3)), Some(name("twin b")))
        );
        assert_eq!(
            all.neighbours(&snapshot(3, 7)),
            (Some(Epoch(7)), Some(name("new")))
        );
        assert_eq!(all.neighbours(&snapshot(4, 9)), (Some(Epoch(7)), None));
        assert_eq!(all.neighbours(&snapshot(1, 3)), (None, Some(name("twin a"))));
    }
}
