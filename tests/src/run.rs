//! Does each operation to the engine and to the model, and compares the two.

use crate::compare::{require, same, same_attr};
use crate::history::History;
use crate::model::{Ino, Model, ROOT};
use crate::op::{Op, Path, Range, SLOTS, Target, XATTRS, name};
use crate::tree::{Dump, dump_engine, dump_model};
use crate::volume::{self, Copy, root_at};
use cairn_fs::{
    Access, Caller, Engine, Error, InodeNo, Kind, Name, Operations, Quota, Result, SetAttr, Time,
};
use cairn_merkle::Suite;
use cairn_merkle::testing::{CrashStore, FaultStore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a run ended: what the engine did, and what it should have done.
pub type Outcome = std::result::Result<(), String>;

/// The engine over a store that can fail and lose power, and the model beside it.
pub struct Runner {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<FaultStore<CrashStore>>,
    pub(crate) model: Model,
    pub(crate) history: History,
    pub(crate) inos: BTreeMap<Ino, InodeNo>,
    opens: [Option<Ino>; SLOTS as usize],
    pub(crate) snapshots: BTreeMap<Name, Dump>,
    /// Whether a quota or the store may refuse for lack of room.
    limited: bool,
    /// Whether commits submit versions and confirm them, in turns.
    publishing: bool,
    pub(crate) now: i64,
}

/// An inode found in both, with the kernel references that finding it took.
pub(crate) struct Found {
    engine: Arc<Engine>,
    pub(crate) ino: Ino,
    pub(crate) real: InodeNo,
    held: Vec<InodeNo>,
}

impl Drop for Found {
    fn drop(&mut self) {
        self.held.iter().for_each(|ino| self.engine.forget(*ino, 1));
    }
}

impl Runner {
    /// A new volume.
    pub fn new() -> Self {
        Self::with_record_size(volume::RECORD_SIZE)
    }

    /// A new volume with records of `record_size` bytes.
    pub fn with_record_size(record_size: u32) -> Self {
        Self::of(Suite::default(), record_size)
    }

    /// A new volume that is sealed with `suite`.
    pub fn sealed_with(suite: Suite) -> Self {
        Self::of(suite, volume::RECORD_SIZE)
    }

    /// A new volume of this cipher, with records of `record_size` bytes.
    pub fn of(suite: Suite, record_size: u32) -> Self {
        let store = Arc::new(FaultStore::new(CrashStore::new()));
        volume::create_of(suite, &*store, Quota::default(), record_size)
            .expect("an empty store takes a volume");
        let engine = volume::open(store.clone(), 2).expect("a new volume opens");
        let model = Model::new(Time(1));
        let history = History::new(&model);
        let inos = BTreeMap::from([(ROOT, InodeNo::ROOT)]);
        let opens = [None; SLOTS as usize];
        Self {
            engine,
            store,
            model,
            history,
            inos,
            opens,
            snapshots: BTreeMap::new(),
            limited: false,
            publishing: false,
            now: 10,
        }
    }

    /// Has every other commit submit a version to an anchor, and the ones between confirm it.
    #[must_use]
    pub fn publishing(mut self) -> Self {
        self.publishing = true;
        self
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The store below it, to be made to fail.
    pub fn store(&self) -> &FaultStore<CrashStore> {
        &self.store
    }

    /// Names of the snapshots there should be.
    pub fn snapshot_names(&self) -> BTreeSet<Name> {
        self.snapshots.keys().cloned().collect()
    }

    /// From now on, until the next crash or remount, operations may be refused for lack of room.
    pub fn expect_full(&mut self) {
        self.limited = true;
    }

    /// Does one operation to both. An error says how they differ.
    pub fn step(&mut self, op: &Op) -> Outcome {
        // Each operation has a time of its own, so that a time kept or taken wrongly is seen.
        self.now += 1;
        self.model.set_now(Time(self.now.into()));
        match op {
            Op::Fsync(target) => return self.fsync(target),
            Op::Commit => return self.commit(),
            Op::Remount => return self.remount(),
            Op::Crash(seed) => return self.crash(*seed),
            Op::SnapshotCreate(index) => return self.snapshot_create(&name(*index)),
            Op::SnapshotDestroy(index) => return self.snapshot_destroy(&name(*index)),
            Op::SnapshotRead(index) => return self.snapshot_read(&name(*index)),
            Op::Quota(limit) => return self.quota(*limit),
            Op::Open(path, slot) => self.open(path, *slot)?,
            Op::Close(slot) => self.close(*slot)?,
            Op::Readdir(path, count_max, toggled) => self.readdir(path, *count_max, &name(*toggled))?,
            Op::Create(..) | Op::Mkdir(..) | Op::Symlink(..) | Op::Link(..) => self.add_name(op)?,
            Op::Unlink(_) | Op::Rmdir(_) | Op::Rename(..) => self.change_name(op)?,
            Op::Write(..) | Op::Read(..) | Op::Truncate(..) | Op::Fallocate(..) => self.change_bytes(op)?,
            Op::Seek(..) | Op::CopyRange(..) => self.move_bytes(op)?,
            Op::SetXattr(..) | Op::RemoveXattr(..) | Op::Chmod(..) | Op::Chown(..) | Op::Utimens(..) => {
                self.change_attributes(op)?;
            }
        }
        self.history.note(&self.model);
        Ok(())
    }

    /// Ends the run: everything is compared once more, and the volume closed.
    pub fn finish(&mut self) -> Outcome {
        self.compare()?;
        self.remount()?;
        self.engine.close().map_err(|error| format!("close: {error}"))
    }

    /// Compares everything there is.
    pub fn compare(&self) -> Outcome {
        let found =
            dump_engine(&self.engine, InodeNo::ROOT).map_err(|error| format!("reading the tree: {error}"))?;
        dump_model(&self.model)
            .difference(&found)
            .map_or(Ok(()), |difference| Err(format!("model: {difference}")))
    }

    /// The caller, at the time of the operation.
    pub(crate) fn caller(&self) -> Caller {
        root_at(self.now)
    }

    /// Whether the engine may answer that there is no room; deleting never may.
    pub(crate) fn may_be_full<T>(&self, answer: &Result<T>) -> bool {
        let full = |error: &Error| match error {
            Error::NoSpace => true,
            Error::Merkle(cairn_merkle::Error::Store(error)) => error.is_full(),
            _ => false,
        };
        self.limited && answer.as_ref().is_err_and(full)
    }

    /// Walks a path in both; `None` if both refuse alike.
    pub(crate) fn find(&self, path: &[u8]) -> std::result::Result<Option<Found>, String> {
        let mut found = Found {
            engine: self.engine.clone(),
            ino: ROOT,
            real: InodeNo::ROOT,
            held: Vec::new(),
        };
        for index in path {
            let name = name(*index);
            let expected = self.model.lookup(found.ino, &name);
            let got = self.engine.lookup(found.real, &name);
            // Before the comparison: the reference is given back also where the two differ.
            if let Ok(attr) = &got {
                found.held.push(attr.ino);
            }
            same("lookup", &expected, &got)?;
            let (Ok(ino), Ok(attr)) = (expected, got) else {
                return Ok(None);
            };
            (found.ino, found.real) = (ino, attr.ino);
            require(self.inos.get(&ino) == Some(&attr.ino), || {
                format!("{name:?} leads to inode {}", attr.ino)
            })?;
            same_attr(&self.model, ino, &attr)?;
        }
        Ok(Some(found))
    }

    /// The directory a path's last component stands in, and that component.
    pub(crate) fn find_parent(&self, path: &Path) -> std::result::Result<Option<(Found, Name)>, String> {
        let Some((last, dir)) = path.split_last() else {
            return Ok(None);
        };
        Ok(self.find(dir)?.map(|dir| (dir, name(*last))))
    }

    /// The file an operation is for.
    pub(crate) fn find_target(&self, target: &Target) -> std::result::Result<Option<Found>, String> {
        match target {
            Target::Path(path) => self.find(path),
            Target::Open(slot) => Ok(self.opens[usize::from(*slot)].map(|ino| {
                let real = self.inos[&ino];
                Found {
                    engine: self.engine.clone(),
                    ino,
                    real,
                    held: Vec::new(),
                }
            })),
        }
    }

    /// Notes a new inode of the engine's under the model's number, and gives back the reference it
    /// came with.
    pub(crate) fn adopt(&mut self, ino: Ino, attr: &cairn_fs::Attr) -> Outcome {
        self.engine.forget(attr.ino, 1);
        let reused = self.inos.values().any(|known| *known == attr.ino);
        require(!reused, || format!("inode number {} was used before", attr.ino))?;
        self.inos.insert(ino, attr.ino);
        same_attr(&self.model, ino, attr)
    }

    fn open(&mut self, path: &Path, slot: u8) -> Outcome {
        self.close(slot)?;
        let Some(found) = self.find(path)? else {
            return Ok(());
        };
        let (ino, real) = (found.ino, found.real);
        if self.model.inode(ino).kind != Kind::File {
            return Ok(());
        }
        drop(found);
        // The kernel keeps its reference for as long as a file is open.
        let Some(mut found) = self.find(path)? else {
            return Ok(());
        };
        self.engine
            .open_file(real, Access::Write)
            .map_err(|error| format!("open: {error}"))?;
        let last = found.held.pop();
        require(last == Some(real), || "the last reference is the file's".into())?;
        drop(found);
        self.model.open(ino);
        self.opens[usize::from(slot)] = Some(ino);
        Ok(())
    }

    fn close(&mut self, slot: u8) -> Outcome {
        let Some(ino) = self.opens[usize::from(slot)].take() else {
            return Ok(());
        };
        let real = self.inos[&ino];
        let attr = self
            .engine
            .getattr(real)
            .map_err(|error| format!("getattr of an open file: {error}"))?;
        same_attr(&self.model, ino, &attr)?;
        self.engine.release(real);
        self.engine.forget(real, 1);
        self.model.release(ino);
        Ok(())
    }

    fn close_all(&mut self) -> Outcome {
        (0..SLOTS).try_for_each(|slot| self.close(slot))
    }

    fn fsync(&mut self, target: &Target) -> Outcome {
        let Some(found) = self.find_target(target)? else {
            return Ok(());
        };
        let ino = found.ino;
        self.engine
            .fsync(found.real, false)
            .map_err(|error| format!("fsync: {error}"))?;
        drop(found);
        self.history.fsync(&self.model, ino);
        Ok(())
    }

    fn commit(&mut self) -> Outcome {
        self.engine.commit().map_err(|error| format!("commit: {error}"))?;
        if self.publishing {
            self.publish()?;
        }
        self.history.commit(&self.model);
        self.compare()
    }

    fn publish(&self) -> Outcome {
        match self.engine.standing().submitted.last() {
            Some(version) => self.engine.confirmed(*version),
            None => drop(
                self.engine
                    .prepare_publication()
                    .map_err(|error| format!("prepare: {error}"))?,
            ),
        }
        Ok(())
    }

    fn remount(&mut self) -> Outcome {
        // As the kernel does, which unmounts nothing that is open.
        self.close_all()?;
        self.engine.close().map_err(|error| format!("close: {error}"))?;
        self.reopen()?;
        self.history.commit(&self.model);
        self.compare()?;
        self.check()
    }

    /// A volume just opened holds nothing that its tree does not name.
    fn check(&self) -> Outcome {
        let report = volume::require_clean(&self.engine)?;
        let inodes = self.model.len() as u64;
        require(
            self.snapshots.len() + 1 > 1 || report.inodes == inodes || report.inodes == inodes + 1,
            || format!("check counts {} inodes, the model has {inodes}", report.inodes),
        )
    }

    fn reopen(&mut self) -> Outcome {
        self.engine = volume::open(self.store.clone(), self.now).map_err(|error| format!("open: {error}"))?;
        self.limited = true;
        self.quota(None)
    }

    fn crash(&mut self, seed: u64) -> Outcome {
        // The image first, then no power for good: ending the engine must add nothing.
        let found = self.store.inner().crash(seed);
        self.store.inner().crash_at(0);
        // It cannot succeed without power, but it ends the threads.
        let _ = self.engine.close();
        self.opens = [None; SLOTS as usize];
        self.store = Arc::new(FaultStore::new(Copy::of(&found).into_crash()));
        self.reopen()?;
        let found =
            dump_engine(&self.engine, InodeNo::ROOT).map_err(|error| format!("after a crash: {error}"))?;
        self.model = self
            .history
            .find(&found, &|state| same_numbers(&self.engine, &self.inos, state))
            .map_err(|why| format!("after crash({seed}): {why}"))?;
        self.adopt_after_crash()?;
        // Recovery has committed what was found.
        self.history.commit(&self.model);
        self.check()
    }

    /// Times and inode numbers are the engine's to say after a crash: which of the allowed states
    /// it chose is open.
    fn adopt_after_crash(&mut self) -> Outcome {
        let paths = crate::tree::model_firsts(&self.model);
        self.inos.clear();
        for (path, ino) in paths {
            let (attr, held) = walk(&self.engine, &path).map_err(|error| format!("walking: {error}"))?;
            held.into_iter().for_each(|real| self.engine.forget(real, 1));
            self.inos.insert(ino, attr.ino);
            let inode = self.model.inode_mut(ino);
            (inode.mtime, inode.ctime) = (attr.mtime, attr.ctime);
        }
        Ok(())
    }

    fn snapshot_create(&mut self, name: &Name) -> Outcome {
        let created = self.engine.snapshot_create(name, Time(self.now.into()));
        if self.may_be_full(&created) {
            return Ok(());
        }
        let taken = self.snapshots.contains_key(name);
        same(
            "snapshot_create",
            &if taken { Err(Error::Exists) } else { Ok(()) },
            &created,
        )?;
        if !taken {
            // A snapshot is made by a commit, with which all before it is durable.
            let mut model = self.model.clone();
            model.lose_opens();
            self.snapshots.insert(name.clone(), dump_model(&model));
            self.history.commit(&self.model);
        }
        Ok(())
    }

    fn snapshot_destroy(&mut self, name: &Name) -> Outcome {
        let there = self.snapshots.remove(name).map(|_| ()).ok_or(Error::NoEntry);
        same("snapshot_destroy", &there, &self.engine.snapshot_destroy(name))?;
        // Whether it is durable at once is not promised; a commit makes it so.
        self.commit()
    }

    fn snapshot_read(&self, name: &Name) -> Outcome {
        let expected = self.snapshots.get(name).ok_or(Error::NoEntry);
        let found = self.engine.lookup(InodeNo::SNAPSHOTS, name);
        same("lookup in .snapshots", &expected, &found)?;
        let (Ok(expected), Ok(attr)) = (expected, found) else {
            return Ok(());
        };
        let found = dump_engine(&self.engine, attr.ino);
        self.engine.forget(attr.ino, 1);
        let found = found.map_err(|error| format!("reading snapshot {name:?}: {error}"))?;
        expected.difference(&found).map_or(Ok(()), |difference| {
            Err(format!("snapshot {name:?}: {difference}"))
        })
    }

    fn quota(&mut self, limit: Option<(u64, u64)>) -> Outcome {
        let status = self.engine.status();
        // From what there is now, so that a limit is met soon.
        let quota = Quota {
            bytes: limit.map(|(bytes, _)| status.used_bytes + bytes),
            inodes: limit.map(|(_, inodes)| status.inodes + inodes),
        };
        self.engine
            .set_quota(quota)
            .map_err(|error| format!("set_quota: {error}"))?;
        self.limited = limit.is_some();
        Ok(())
    }

    fn change_attributes(&mut self, op: &Op) -> Outcome {
        let caller = self.caller();
        let xattr = |index: &u8| XATTRS[usize::from(*index)].as_bytes();
        let (Op::SetXattr(target, ..)
        | Op::RemoveXattr(target, _)
        | Op::Chmod(target, _)
        | Op::Chown(target, _)
        | Op::Utimens(target, _)) = op
        else {
            return Ok(());
        };
        let Some(found) = self.find_target(target)? else {
            return Ok(());
        };
        let (ino, real) = (found.ino, found.real);
        if self.model.inode(ino).kind == Kind::Symlink {
            return Ok(()); // the kernel follows it, or refuses before it asks
        }
        // The model is changed first. A refusal for lack of room takes that back.
        let before = self.model.clone();
        let (expected, got) = match op {
            Op::SetXattr(_, index, len, mode) => {
                let value = vec![*index; *len as usize];
                let expected = self.model.set_xattr(ino, xattr(index), &value, *mode);
                (
                    expected,
                    self.engine.setxattr(real, xattr(index), &value, *mode, caller),
                )
            }
            Op::RemoveXattr(_, index) => {
                let expected = self.model.remove_xattr(ino, xattr(index));
                (expected, self.engine.removexattr(real, xattr(index), caller))
            }
            _ => (Ok(()), self.set_attr(ino, real, op)),
        };
        if self.may_be_full(&got) {
            self.model = before;
            return Ok(());
        }
        same(&format!("{op:?}"), &expected, &got)?;
        let attr = self
            .engine
            .getattr(self.inos[&ino])
            .map_err(|error| format!("getattr: {error}"))?;
        same_attr(&self.model, ino, &attr)
    }

    fn set_attr(&mut self, ino: Ino, real: InodeNo, op: &Op) -> Result<()> {
        let mut set = SetAttr::default();
        let inode = self.model.inode_mut(ino);
        match op {
            Op::Chmod(_, mode) => (set.mode, inode.mode) = (Some(*mode), *mode),
            Op::Chown(_, uid) => (set.uid, inode.uid) = (Some(*uid), *uid),
            Op::Utimens(_, time) => {
                (set.mtime, inode.mtime) = (Some(Time((*time).into())), Time((*time).into()))
            }
            _ => {}
        }
        self.model.touch_attributes(ino);
        self.engine.setattr(real, set, self.caller()).map(|_| ())
    }

    /// Bytes that tell one write from another, and one place in a write from another.
    pub(crate) fn bytes_of(fill: u8, range: Range) -> Vec<u8> {
        (0..range.len)
            .map(|at| fill.wrapping_add((at / 7) as u8))
            .collect()
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Whether the engine has every file of `state` under the number it was made with.
pub(crate) fn same_numbers(engine: &Engine, inos: &BTreeMap<Ino, InodeNo>, state: &Model) -> Outcome {
    for (path, ino) in crate::tree::model_firsts(state) {
        let (attr, held) = walk(engine, &path).map_err(|error| format!("walking: {error}"))?;
        held.into_iter().for_each(|real| engine.forget(real, 1));
        require(inos.get(&ino).is_none_or(|real| *real == attr.ino), || {
            format!("{path:?} changed its inode number to {} in a crash", attr.ino)
        })?;
    }
    Ok(())
}

fn walk(engine: &Engine, path: &[u8]) -> Result<(cairn_fs::Attr, Vec<InodeNo>)> {
    let mut attr = engine.getattr(InodeNo::ROOT)?;
    let mut held = Vec::new();
    for component in path
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty())
    {
        attr = engine.lookup(attr.ino, &Name::new(component)?)?;
        held.push(attr.ino);
    }
    Ok((attr, held))
}
