//! Named snapshots: taken by a commit, browsable under `/.snapshots`, destroyed for their space.
//!
//! ```text
//!  older ... S(prev)     S(this)      S(next) or live
//!               dead list of this |  dead list of next: what `this` still named and `next` does not
//!  destroy `this`: what next's list holds and was born after prev is freed; the rest, and this's list, stay with next
//! ```
//!
//! No block is counted: its birth epoch says which snapshots can name it (as in ZFS).

use crate::blocks::{Blocks, Writer};
use crate::damage::Table;
use crate::engine::Engine;
use crate::held::Freed;
use crate::losses::Losses;
use crate::namespace::inode::{Home, Inode};
use crate::namespace::view::in_view;
use crate::state::State;
use crate::stored::record::Record;
use crate::stored::snapshot::{Snapshot, dead_entry, decode_dead};
use crate::{Attr, DirCookie, DirEntry, Error, InodeNo, Kind, Name, Result, SnapshotInfo, Time};
use cairn_merkle::{Epoch, Link, btree};
use std::collections::BTreeMap;

/// The directory in the root that lists the snapshots. It is found by name and never listed.
pub(crate) const DIR_NAME: &[u8] = b".snapshots";

/// Name of the snapshot that checks held before there were pins; a mount destroys what a crash left of one.
pub(crate) const CHECK_NAME: &[u8] = b".check";
/// Snapshots take one in so many of the memory at most.
const MEMORY_SHARE: u64 = 8;
/// Numbers of snapshots stay below: an inode number has 24 bits for the snapshot it is seen through.
const SNAPSHOTS_MAX: u32 = (1 << 24) - 1;

/// What a snapshot takes in memory with its name, twice while a commit is under way.
const SNAPSHOT_BYTES: u64 = 1280;

/// All snapshots, and what the next commit is to do about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    by_name: BTreeMap<Name, Snapshot>,
    /// Some are in a damaged block: nothing is known of those, but that they hold no epoch above this one.
    unread: Option<Epoch>,
    pub(crate) to_create: Vec<(Name, Time)>,
    pub(crate) to_destroy: Vec<Name>,
}

impl Snapshots {
    /// Reads all that a commit of `epoch` has: a mount knows them by heart. Those in a damaged block stay unknown, and
    /// `damaged` is told.
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
        self.by_name.len() as u64 * SNAPSHOT_BYTES
    }

    /// Whether the next commit has something to do here.
    pub(crate) fn has_requests(&self) -> bool {
        !self.to_create.is_empty() || !self.to_destroy.is_empty()
    }

    /// Whether some of that is a user's wish: what a check does for itself is nobody's.
    pub(crate) fn has_user_requests(&self) -> bool {
        let created = self.to_create.iter().map(|(name, _)| name);
        created
            .chain(&self.to_destroy)
            .any(|name| name.as_bytes() != CHECK_NAME)
    }

    /// What there is, with the requests, which are taken out of here.
    pub(crate) fn take_requests(&mut self) -> Self {
        Self {
            by_name: self.by_name.clone(),
            unread: self.unread,
            to_create: std::mem::take(&mut self.to_create),
            to_destroy: std::mem::take(&mut self.to_destroy),
        }
    }

    fn withdraw(&mut self, name: &Name) {
        self.to_create.retain(|(other, _)| other != name);
    }

    /// Takes over what a commit made of [`Self::take_requests`].
    pub(crate) fn install(&mut self, committed: Self) {
        self.by_name = committed.by_name;
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

    /// The newest epoch that one of them holds. Of those that cannot be read it is taken to be the newest there can be, so
    /// that what they may name is kept.
    fn newest(&self) -> Epoch {
        let known = self.by_name.values().map(|snapshot| snapshot.epoch).max();
        known.max(self.unread).unwrap_or(Epoch(0))
    }

    /// Refuses to take or destroy one while not all are known: a name may be taken, and what lies on a dead list may be
    /// held by one that cannot be read.
    fn all_known(&self) -> Result<()> {
        match self.unread {
            Some(_) => Err(Error::Damaged("the table of snapshots is damaged")),
            None => Ok(()),
        }
    }

    /// The snapshots next to one: the epoch of the one before, and the name of the one after.
    fn neighbours(&self, of: &Snapshot) -> (Option<Epoch>, Option<Name>) {
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
    fn visible(&self) -> impl Iterator<Item = (&Name, &Snapshot)> {
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
        if page.is_empty() {
            self.all_known()?;
        }
        Ok(page)
    }
}

/// What a commit does with the blocks it dropped and the snapshots it was asked for.
///
/// What of a dead list is damaged stays where it is, and nothing is freed from there; what belongs into it is kept, too,
/// and leaks.
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
    /// Destroys what was asked for, if all are known: the next one may be one that cannot be read, and hold what the dead
    /// list would free.
    pub(crate) fn destroy(&mut self, epoch: Epoch) -> Result<()> {
        for name in std::mem::take(&mut self.snapshots.to_destroy) {
            let Some(snapshot) = self.snapshots.by_name.get(&name).cloned() else {
                continue;
            };
            let (before, after) = self.snapshots.neighbours(&snapshot);
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
            self.drop_list(snapshot.dead)?;
            match after {
                Some((mut later, after)) => {
                    later.dead = merged;
                    let row = later.encode(&after);
                    self.changes.insert(after.as_bytes().to_vec(), Some(row));
                    self.snapshots.by_name.insert(after, later);
                }
                None => self.dead = merged,
            }
        }
        Ok(())
    }

    /// Whether all are known and the rows of these can be changed. If not, nothing is destroyed or created: the row would
    /// stay, or never be there.
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

    /// All entries of a dead list; `None` if some of it is damaged. Its snapshot is not destroyed then: what is listed
    /// there would be on no list.
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

    /// The dead list that is left of two when the snapshot between them goes: all of `own`, and of `later` what
    /// was born by `before`. The rest is freed.
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
        // What cannot be read stays on the list, and is looked at again when the next snapshot goes.
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
    fn list(
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

    /// Frees blocks that left the live tree, or hands them to the dead list when the newest snapshot names them.
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
                id: volume.next_snapshot,
                epoch,
                created,
                inodes: volume.inodes,
                bytes: volume.bytes,
                root: volume.root.clone(),
                table: volume.table.clone(),
                dead: self.dead.take(),
            };
            volume.next_snapshot += 1;
            self.changes
                .insert(name.as_bytes().to_vec(), Some(snapshot.encode(&name)));
            self.snapshots.by_name.insert(name, snapshot);
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

impl Engine {
    /// Looks a name up in the root, where `.snapshots` is, or among the snapshots.
    pub(crate) fn lookup_snapshot(
        &self,
        state: &mut State,
        parent: InodeNo,
        name: &Name,
    ) -> Result<Option<Attr>> {
        if parent == InodeNo::ROOT && name.as_bytes() == DIR_NAME {
            return Ok(Some(state.snapshots.dir_attr(state.inode(InodeNo::ROOT)?)));
        }
        if parent != InodeNo::SNAPSHOTS {
            return Ok(None);
        }
        if name.as_bytes() == CHECK_NAME {
            return Err(Error::NoEntry);
        }
        let Some(snapshot) = state.snapshots.by_name.get(name) else {
            return state.snapshots.all_known().and(Err(Error::NoEntry));
        };
        let ino = in_view(InodeNo::ROOT, snapshot.id);
        if !state.inodes.contains_key(&ino) {
            let Record {
                mut meta,
                xattrs,
                stored,
            } = snapshot.root.clone();
            meta.ino = ino;
            state.insert(Inode::new(meta, xattrs, stored, Home::Root));
        }
        let inode = state.inode_mut(ino)?;
        inode.lookups += 1;
        Ok(Some(inode.attr()))
    }

    /// Takes a snapshot of everything done so far; durable on return.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::ReadOnly`], [`Error::NoSpace`], [`Error::Damaged`] if not all snapshots are known.
    pub fn snapshot_create(&self, name: &Name, now: Time) -> Result<SnapshotInfo> {
        if name.as_bytes() == CHECK_NAME {
            return Err(Error::Invalid(
                "`.check` is the name of the snapshots that checks used to hold",
            ));
        }
        {
            let mut state = self.state.lock();
            // The commit under way may be taking one of that name.
            while state.committing {
                self.signals.committed.wait(&mut state);
            }
            state.snapshots.all_known()?;
            state.writable()?;
            let most = self.config.memory_bytes / MEMORY_SHARE;
            if state.volume.next_snapshot >= SNAPSHOTS_MAX || state.snapshots.bytes() > most {
                return Err(Error::NoSpace);
            }
            let stalled = state
                .stalled
                .iter()
                .flat_map(|frozen| &frozen.snapshots.to_create);
            let mut pending = state.snapshots.to_create.iter().chain(stalled);
            if pending.any(|(other, _)| other == name) || state.snapshots.by_name.contains_key(name) {
                return Err(Error::Exists);
            }
            state.snapshots.to_create.push((name.clone(), now));
        }
        let committed = self.commit();
        let mut state = self.state.lock();
        while state.committing {
            self.signals.committed.wait(&mut state);
        }
        if let Some(snapshot) = state.snapshots.by_name.get(name) {
            return Ok(info(name, snapshot));
        }
        // What was refused must not turn up later, when there is room again.
        state.snapshots.withdraw(name);
        if let Some(frozen) = &mut state.stalled {
            frozen.snapshots.withdraw(name);
        }
        committed
            .and(state.snapshots.all_known())
            .and(Err(Error::NoEntry))
    }

    /// All snapshots, oldest first.
    pub fn snapshot_list(&self) -> Vec<SnapshotInfo> {
        let state = self.state.lock();
        let mut list: Vec<_> = state
            .snapshots
            .visible()
            .map(|(name, snapshot)| info(name, snapshot))
            .collect();
        list.sort_by_key(|snapshot| snapshot.epoch);
        list
    }

    /// Gives up a snapshot; its space is free on return.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::ReadOnly`], [`Error::Damaged`] if not all snapshots are known.
    pub fn snapshot_destroy(&self, name: &Name) -> Result<()> {
        {
            let mut state = self.state.lock();
            state.writable()?;
            state.snapshots.all_known()?;
            let id = state.snapshots.by_name.get(name).ok_or(Error::NoEntry)?.id;
            state.snapshots.to_destroy.push(name.clone());
            // Whoever still has a file of it open reads EIO from now on, as from any block that is gone.
            let gone: Vec<InodeNo> = state
                .inodes
                .keys()
                .filter(|ino| crate::namespace::view::view_of(**ino) == id)
                .copied()
                .collect();
            for ino in gone {
                state.evict_if_idle(ino);
            }
        }
        self.commit()?;
        let state = self.state.lock();
        match state.snapshots.by_name.contains_key(name) {
            true => Err(Error::Damaged(
                "the list of what only this snapshot holds, or its row, is damaged",
            )),
            false => Ok(()),
        }
    }
}

fn info(name: &Name, snapshot: &Snapshot) -> SnapshotInfo {
    SnapshotInfo {
        name: name.clone(),
        epoch: snapshot.epoch.0,
        created: snapshot.created,
        inodes: snapshot.inodes,
        bytes: snapshot.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::record::{Stored, Xattrs, tests::meta};

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
