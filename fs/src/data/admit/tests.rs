//! Quotas, memory and stores that are full.

use super::*;
use crate::commit::open::name_bytes;
use crate::fixture::tree::{RECORD, ROOT, Tree, at, bytes, config, name};
use crate::{Config, InodeNo, Kind, Operations, Quota, SetAttr};
use cairn_merkle::{BlockStore, Blocks, MemoryStore, PutHint, Sealed, StoreError, StoreStats};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const R: u64 = RECORD as u64;

/// A store on a device of so many bytes, which has those of deleted blocks again once it was told
/// to reclaim.
struct Device {
    inner: MemoryStore,
    size: AtomicU64,
    /// Bytes of blocks at the last reclaim, and put since.
    taken: AtomicU64,
    reclaims: AtomicU64,
}

impl Device {
    fn of(size: u64) -> Self {
        Self {
            inner: MemoryStore::new(),
            size: size.into(),
            taken: AtomicU64::new(0),
            reclaims: AtomicU64::new(0),
        }
    }

    fn room(&self) -> u64 {
        self.size.load(Relaxed).saturating_sub(self.taken.load(Relaxed))
    }
}

impl cairn_merkle::overlay::Overlay for Device {
    type Below = MemoryStore;

    fn below(&self) -> &MemoryStore {
        &self.inner
    }

    fn put(
        &self,
        epoch: cairn_merkle::Epoch,
        blocks: &[Sealed],
        hint: PutHint,
    ) -> std::result::Result<(), StoreError> {
        let bytes: u64 = blocks.iter().map(|block| block.bytes.len() as u64).sum();
        if hint == PutHint::Bulk && bytes > self.room() {
            return Err(StoreError::io("put", ErrorKind::StorageFull.into()));
        }
        self.taken.fetch_add(bytes, Relaxed);
        self.inner.put(epoch, blocks, hint)
    }

    fn stats(&self) -> std::result::Result<StoreStats, StoreError> {
        Ok(StoreStats {
            available_bytes: self.room(),
            ..StoreStats::default()
        })
    }

    fn reclaim(&self) -> std::result::Result<(), StoreError> {
        self.reclaims.fetch_add(1, Relaxed);
        self.taken.store(self.inner.stats()?.used_bytes, Relaxed);
        Ok(())
    }
}

fn write<S: BlockStore + 'static>(tree: &Tree<S>, ino: InodeNo, offset: u64, len: u64) -> Result<()> {
    let new = bytes(len as usize, offset as usize);
    tree.engine.write(ino, offset, &new, at(1), true)
}

fn of_bytes(count: u64) -> Quota {
    Quota {
        bytes: Some(count),
        inodes: None,
    }
}

#[test]
fn a_quota_lets_in_what_fits_and_not_a_byte_more() {
    let mut tree = Tree::with(config(), of_bytes(4 * R));
    let file = tree.file(ROOT, "file");
    write(&tree, file, 0, 2 * R).unwrap();
    write(&tree, file, 2 * R, 100).unwrap();
    assert_eq!(tree.engine.room(), 2 * R - 100);
    assert!(matches!(write(&tree, file, 3 * R, 2 * R), Err(Error::NoSpace)));
    assert_eq!(tree.engine.getattr(file).unwrap().size, 2 * R + 100);
    write(&tree, file, 2 * R + 100, 2 * R - 100).unwrap();
    assert!(matches!(write(&tree, file, 4 * R, 1), Err(Error::NoSpace)));
    assert_eq!(tree.engine.room(), 0);
    tree.reopen();
    let file = tree.hold(ROOT, "file");
    assert!(matches!(write(&tree, file, 4 * R, 1), Err(Error::NoSpace)));
    let stats = tree.engine.statfs().unwrap();
    assert_eq!((stats.total_bytes, stats.free_bytes), (4 * R, 0));
    tree.engine.set_quota(Quota::default()).unwrap();
    write(&tree, file, 4 * R, R).unwrap();
    tree.is_whole();
}

#[test]
fn what_is_overwritten_or_deleted_counts_no_more_once_it_is_committed() {
    let tree = Tree::with(config(), of_bytes(4 * R));
    let file = tree.file(ROOT, "file");
    write(&tree, file, 0, 3 * R).unwrap();
    // Counted twice until a commit, which the writer waits for.
    for _ in 0..5 {
        write(&tree, file, 0, R).unwrap();
        write(&tree, file, R + 5, R).unwrap();
    }
    let commits = tree.engine.state.lock().commits.done();
    assert!(commits > 0);
    tree.unlink(ROOT, "file").unwrap();
    tree.engine.forget(file, 1);
    let other = tree.file(ROOT, "other");
    write(&tree, other, 0, 4 * R).unwrap();
    tree.cut(other, 0);
    write(&tree, other, 0, 4 * R).unwrap();
    tree.engine.commit().unwrap();
    assert_eq!(tree.engine.state.lock().volume.trees.bytes, 4 * R);
    let commits = tree.engine.state.lock().commits.done();
    assert!(matches!(write(&tree, other, 4 * R, 1), Err(Error::NoSpace)));
    assert_eq!(
        tree.engine.state.lock().commits.done(),
        commits,
        "nothing would change"
    );
    tree.is_whole();
}

#[test]
fn memory_is_bounded_and_a_commit_frees_it() {
    const MEMORY: u64 = 1 << 20;
    let tree = Tree::with(
        Config {
            memory_bytes: MEMORY,
            ..config()
        },
        Quota::default(),
    );
    let file = tree.file(ROOT, "file");
    for n in 0..600 {
        // Each a part of a record, which stays in memory.
        write(&tree, file, n * R + 1, R - 1).unwrap();
        let state = tree.engine.state.lock();
        let taken = state.open_bytes() + state.closed_bytes();
        assert!(taken < MEMORY, "{taken} bytes at write {n}");
    }
    assert!(tree.engine.state.lock().commits.done() >= 3);
    tree.engine.commit().unwrap();
    let state = tree.engine.state.lock();
    assert_eq!((state.open_bytes(), state.closed_bytes()), (0, 0));
    drop(state);
    assert!(tree.read(file)[R as usize + 1..][..RECORD - 1] == bytes(RECORD - 1, R as usize + 1));
}

#[test]
fn names_and_inodes_take_memory_too() {
    const MEMORY: u64 = 1 << 20;
    let tree = Tree::with(
        Config {
            memory_bytes: MEMORY,
            ..config()
        },
        Quota::default(),
    );
    for n in 0..500 {
        let commits = |state: &State| (state.open.number(), state.commits.done());
        let (before, at) = {
            let state = tree.engine.state.lock();
            (state.open_bytes(), commits(&state))
        };
        let file = tree.file(ROOT, &format!("{n}"));
        let state = tree.engine.state.lock();
        let taken = state.open_bytes();
        // Unless a commit began or ended, and freed some of what there was.
        let same = commits(&state) == at;
        assert!(!same || taken >= before + DIRTY_INODE_BYTES + 384, "{n}");
        assert!(taken + state.closed_bytes() < MEMORY);
        drop(state);
        tree.engine.forget(file, 1);
    }
    assert!(tree.engine.state.lock().commits.done() >= 2);
    let key = tree.engine.state.lock().key(&name("12345"));
    assert_eq!(name_bytes(&key), 384 + 15);
}

#[test]
fn half_of_the_memory_has_a_commit_begin_and_less_does_not() {
    let tree = Tree::with(
        Config {
            memory_bytes: 4 << 20,
            ..config()
        },
        Quota::default(),
    );
    let file = tree.file(ROOT, "file");
    let limit = tree.engine.dirty_max(&tree.engine.state.lock());
    assert!(limit < 3 << 20 && limit > (3 << 20) - 10_000, "{limit}");
    let commits = tree.engine.state.lock().commits.done();
    let mut at_byte = 0;
    while tree.engine.state.lock().open_bytes() < limit / 2 - 2 * R {
        write(&tree, file, at_byte + 1, R - 1).unwrap();
        at_byte += R;
        assert!(!tree.engine.state.lock().commits.is_wanted());
    }
    assert_eq!(tree.engine.state.lock().commits.done(), commits);
    for _ in 0..4 {
        write(&tree, file, at_byte + 1, R - 1).unwrap();
        at_byte += R;
    }
    let mut state = tree.engine.state.lock();
    while state.commits.done() == commits {
        tree.engine.signals.committed.wait(&mut state);
    }
}

#[test]
fn inodes_leave_dirty_data_an_eighth_of_the_memory() {
    let tree = Tree::with(
        Config {
            memory_bytes: 8 << 20,
            ..config()
        },
        Quota::default(),
    );
    let limit = |extra| {
        let mut state = tree.engine.state.lock();
        state.inodes.pretend(extra);
        let limit = tree.engine.dirty_max(&state);
        state.inodes.pretend(-extra);
        limit
    };
    assert_eq!(limit(1 << 20), limit(0) - (1 << 20));
    assert_eq!(limit(100 << 20), 1 << 20);
}

#[test]
fn a_full_store_refuses_before_anything_is_half_done() {
    let mut tree = Tree::over(Device::of(400 * R), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    write(&tree, file, 0, 300 * R).unwrap();
    let before = tree.engine.room();
    assert!(before < 100 * R, "{before}");
    assert!(matches!(
        write(&tree, file, 300 * R, 100 * R),
        Err(Error::NoSpace)
    ));
    assert_eq!(tree.engine.getattr(file).unwrap().size, 300 * R);
    assert_eq!(tree.read(file).len() as u64, 300 * R);
    let refused = tree
        .engine
        .fallocate(file, crate::Fallocate::Allocate, 0, 100 * R, at(1));
    assert!(matches!(refused, Err(Error::NoSpace)));
    tree.reopen();
    assert!(tree.read(tree.hold(ROOT, "file")) == bytes(300 * RECORD, 0));
    tree.is_whole();
}

#[test]
fn what_was_deleted_is_given_back_to_who_needs_the_room() {
    let tree = Tree::over(Device::of(400 * R), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    write(&tree, file, 0, 300 * R).unwrap();
    tree.engine.commit().unwrap();
    tree.unlink(ROOT, "file").unwrap();
    tree.engine.forget(file, 1);
    let other = tree.file(ROOT, "other");
    assert_eq!(tree.store.reclaims.load(Relaxed), 0);
    write(&tree, other, 0, 200 * R).unwrap();
    assert_eq!(tree.store.reclaims.load(Relaxed), 1);
    assert!(matches!(
        write(&tree, other, 200 * R, 300 * R),
        Err(Error::NoSpace)
    ));
    let asked = tree.store.reclaims.load(Relaxed);
    // Asking again without a deletion in between starts no work.
    for _ in 0..5 {
        assert!(matches!(
            write(&tree, other, 200 * R, 300 * R),
            Err(Error::NoSpace)
        ));
    }
    assert_eq!(tree.store.reclaims.load(Relaxed), asked);
    tree.cut(other, 0);
    tree.engine.commit().unwrap();
    let before = tree.engine.room();
    assert!(tree.engine.make_room() > before + 100 * R);
}

#[test]
fn without_room_for_a_node_no_inode_is_made() {
    let tree = Tree::over(Device::of(100 * R), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    write(&tree, file, 0, 50 * R).unwrap();
    tree.engine.make_room();
    let taken = tree.store.taken.load(Relaxed);
    tree.store.size.store(taken + INODE_PUT_BYTES, Relaxed);
    assert!(matches!(
        tree.try_make(ROOT, "no", Kind::Directory),
        Err(Error::NoSpace)
    ));
    assert_eq!(tree.shape(), ["file 1"]);
    // Its commit makes room for another.
    tree.cut(file, 0);
    let made = tree.try_make(ROOT, "yes", Kind::Directory).unwrap();
    assert_eq!(tree.names(ROOT), ["file", "yes"]);
    tree.file(made, "below");
    tree.is_whole();
}

#[test]
fn what_is_dirty_takes_of_the_stores_room() {
    let tree = Tree::over(Device::of(1000 * R), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    let before = tree.engine.room();
    write(&tree, file, 1, 640).unwrap();
    assert_eq!(tree.engine.room(), before - 640 - 10);
    tree.engine.set_quota(of_bytes(100)).unwrap();
    assert_eq!(tree.engine.room(), 0);
    tree.engine.set_quota(of_bytes(741)).unwrap();
    assert_eq!(tree.engine.room(), 100);
    let state = tree.engine.state.lock();
    assert!(tree.engine.admit_allocation(&state, 100).is_ok());
    assert!(tree.engine.admit_allocation(&state, 101).is_err());
}

#[test]
fn while_memory_and_store_are_full_only_what_makes_room_is_admitted() {
    let tree = Tree::over(Device::of(u64::MAX / 2), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    write(&tree, file, 0, 100).unwrap();
    let cut = SetAttr {
        size: Some(50),
        ..SetAttr::default()
    };
    {
        let mut state = tree.engine.state.lock();
        state.commits.pretend_full(true);
        let more = tree.engine.dirty_max(&state);
        state.open.pretend_dirty(more);
    }
    assert!(matches!(write(&tree, file, 0, 1), Err(Error::NoSpace)));
    assert!(matches!(
        tree.try_make(ROOT, "x", Kind::File),
        Err(Error::NoSpace)
    ));
    tree.engine.setattr(file, cut, at(1)).unwrap();
    let more = tree.engine.config.memory_bytes / REMOVAL_SHARE;
    let mut state = tree.engine.state.lock();
    state.open.pretend_dirty(more);
    drop(state);
    assert!(matches!(tree.unlink(ROOT, "file"), Err(Error::NoSpace)));
    // As a commit that found room would.
    let mut state = tree.engine.state.lock();
    state.commits.pretend_full(false);
    state.open.pretend_clean();
    drop(state);
    tree.unlink(ROOT, "file").unwrap();
}
