//! Taking, listing, finding and destroying snapshots.

use crate::engine::Engine;
use crate::namespace::inode::{Home, Inode};
use crate::namespace::view::{in_view, view_of};
use crate::stored::record::Record;
use crate::stored::snapshot::Snapshot;
use crate::versions::snapshots::CHECK_NAME;
use crate::{Attr, DirCookie, DirEntry, Error, InodeNo, Name, Result, SnapshotInfo, Time};

/// Divisor of the memory that snapshots take at most.
const MEMORY_SHARE: u64 = 8;

/// Numbers of snapshots stay below: an inode number has 24 bits for the snapshot it is seen
/// through.
const SNAPSHOTS_MAX: u32 = (1 << 24) - 1;

pub(super) fn info(name: &Name, snapshot: &Snapshot) -> SnapshotInfo {
    SnapshotInfo {
        name: name.clone(),
        epoch: snapshot.epoch.0,
        created: snapshot.created,
        inodes: snapshot.inodes,
        bytes: snapshot.bytes,
        holds: snapshot.holds.clone(),
    }
}

impl Engine {
    /// Attributes of `.snapshots`.
    pub(crate) fn snapshots_attr(&self) -> Result<Attr> {
        let state = self.state.lock();
        Ok(state.snapshots.dir_attr(state.inodes.get(InodeNo::ROOT)?))
    }

    /// Up to `count_max` snapshots after `after`, in the order in which they were taken.
    pub(crate) fn snapshots_listed(&self, after: DirCookie, count_max: usize) -> Result<Vec<DirEntry>> {
        self.state.lock().snapshots.list_dir(after, count_max)
    }

    /// Refuses to take or destroy a snapshot by its name in `.snapshots`, unless the mount has that.
    pub(crate) fn snapshots_by_name(&self) -> Result<()> {
        self.state.lock().life.writable()?;
        match self.config.snapshot_dirs {
            true => Ok(()),
            false => Err(Error::NotPermitted(
                "`cairn snapshot` makes and destroys snapshots; with --snapshot-dirs mkdir and rmdir do, too",
            )),
        }
    }

    /// The root of a snapshot; the kernel holds one more reference to it.
    pub(crate) fn snapshot_root(&self, name: &Name) -> Result<Attr> {
        let mut state = self.state.lock();
        if name.as_bytes() == CHECK_NAME {
            return Err(Error::NoEntry);
        }
        let Some(snapshot) = state.snapshots.by_name.get(name) else {
            return state.snapshots.all_known().and(Err(Error::NoEntry));
        };
        let ino = in_view(InodeNo::ROOT, snapshot.id);
        if !state.inodes.has(ino) {
            let Record {
                mut meta,
                xattrs,
                stored,
            } = snapshot.root.clone();
            meta.ino = ino;
            state.inodes.insert(Inode::new(meta, xattrs, stored, Home::Root));
        }
        let inode = state.inodes.get_mut(ino)?;
        inode.lookups += 1;
        Ok(inode.attr())
    }

    /// Takes a snapshot of everything done so far; durable on return.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::ReadOnly`], [`Error::NoSpace`], [`Error::Damaged`] if not all
    /// snapshots are known.
    pub fn snapshot_create(&self, name: &Name, now: Time) -> Result<SnapshotInfo> {
        let _one = self.snapshotting.lock();
        self.take_snapshot(name, now)
    }

    /// [`Self::snapshot_create`], under the lock of those that deal with snapshots.
    pub(super) fn take_snapshot(&self, name: &Name, now: Time) -> Result<SnapshotInfo> {
        if name.as_bytes() == CHECK_NAME {
            return Err(Error::Invalid(
                "`.check` is the name of the snapshots that checks used to hold",
            ));
        }
        {
            let mut state = self.state.lock();
            // The commit under way may be taking one of that name.
            self.await_commit(&mut state);
            state.snapshots.all_known()?;
            state.life.writable()?;
            let most = self.config.memory_bytes / MEMORY_SHARE;
            if state.volume.trees.next_snapshot >= SNAPSHOTS_MAX || state.snapshots.bytes() > most {
                return Err(Error::NoSpace);
            }
            let stalled = state.commits.stalled();
            let stalled = stalled.into_iter().flat_map(|frozen| &frozen.snapshots.to_create);
            let mut pending = state.snapshots.to_create.iter().chain(stalled);
            if pending.any(|(other, _)| other == name) || state.snapshots.by_name.contains_key(name) {
                return Err(Error::Exists);
            }
            state.snapshots.to_create.push((name.clone(), now));
        }
        let committed = self.commit();
        let mut state = self.state.lock();
        // A later commit may be taking it: only its end tells.
        self.await_commit(&mut state);
        if let Some(snapshot) = state.snapshots.by_name.get(name) {
            return Ok(info(name, snapshot));
        }
        // What was refused must not turn up later, when there is room again.
        state.snapshots.withdraw(name);
        if let Some(frozen) = state.commits.stalled_mut() {
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
    /// [`Error::NoEntry`], [`Error::ReadOnly`], [`Error::Held`], [`Error::Damaged`] if not all
    /// snapshots are known.
    pub fn snapshot_destroy(&self, name: &Name) -> Result<()> {
        let _one = self.snapshotting.lock();
        self.give_up_snapshot(name)
    }

    /// [`Self::snapshot_destroy`], under the lock of those that deal with snapshots.
    pub(super) fn give_up_snapshot(&self, name: &Name) -> Result<()> {
        {
            let mut state = self.state.lock();
            state.life.writable()?;
            state.snapshots.all_known()?;
            let snapshot = state.snapshots.by_name.get(name).ok_or(Error::NoEntry)?;
            if !snapshot.holds.is_empty() {
                let tags = snapshot
                    .holds
                    .iter()
                    .map(|hold| String::from_utf8_lossy(hold.tag.as_bytes()));
                return Err(Error::Held(tags.collect::<Vec<_>>().join(", ")));
            }
            let id = snapshot.id;
            state.snapshots.to_destroy.push(name.clone());
            // Open files of it answer EIO from now on, as for any block that is gone.
            let gone: Vec<InodeNo> = state.inodes.numbers().filter(|ino| view_of(*ino) == id).collect();
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

#[cfg(test)]
mod tests;
