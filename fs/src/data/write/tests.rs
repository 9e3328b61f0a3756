//! Files as sequences of bytes: what was written and cut is what is read, wherever it lies.

use super::*;
use crate::fixture::tree::{RECORD, ROOT, Tree, at, bytes, config, name};
use crate::{Fallocate, Operations, Quota, Seek, Time};
use cairn_merkle::testing::{FaultStore, Op};
use cairn_merkle::{Blocks, Codec, MemoryStore};

/// Where it matters how the bytes of a record came about: none, a part, all of one, and more.
const EDGES: [usize; 9] = [
    0,
    1,
    RECORD - 1,
    RECORD,
    RECORD + 1,
    2 * RECORD,
    2 * RECORD + 7,
    3 * RECORD,
    4 * RECORD - 1,
];

#[test]
fn a_write_from_anywhere_to_anywhere_is_read_back() {
    let mut tree = Tree::new();
    let mut expected = Vec::new();
    for (n, from) in EDGES.into_iter().enumerate() {
        for until in EDGES.into_iter().filter(|until| *until > from) {
            let file = tree.file(ROOT, &format!("{from}-{until}"));
            let old = bytes(n * 1500, 5);
            tree.write(file, 0, &old);
            tree.write(file, from, &bytes(until - from, until));
            let mut content = old;
            content.resize(content.len().max(until), 0);
            content[from..until].copy_from_slice(&bytes(until - from, until));
            expected.push((format!("{from}-{until}"), content));
        }
    }
    tree.always(|tree, when| {
        for (text, content) in &expected {
            let file = tree.hold(ROOT, text);
            assert_eq!(tree.engine.getattr(file).unwrap().size, content.len() as u64);
            assert!(tree.read(file) == *content, "{text} {when}");
            tree.engine.forget(file, 1);
        }
    });
}

#[test]
fn a_file_is_cut_and_grows_with_zeros_in_between() {
    let mut tree = Tree::new();
    let mut expected = Vec::new();
    for committed in [false, true] {
        for cut in EDGES {
            let text = format!("{cut} {committed}");
            let file = tree.file(ROOT, &text);
            tree.write(file, 0, &bytes(3 * RECORD + 50, 1));
            if committed {
                tree.engine.commit().unwrap();
            }
            tree.cut(file, cut);
            tree.cut(file, 3 * RECORD + 9);
            let mut content = bytes(3 * RECORD + 50, 1);
            content.truncate(cut);
            content.resize(3 * RECORD + 9, 0);
            // Into what was cut off, and grown over.
            tree.write(file, 3 * RECORD + 5, b"x");
            content[3 * RECORD + 5] = b'x';
            expected.push((text, content));
        }
    }
    tree.always(|tree, when| {
        for (text, content) in &expected {
            let file = tree.hold(ROOT, text);
            assert!(tree.read(file) == *content, "{text} {when}");
            tree.engine.forget(file, 1);
        }
    });
}

#[test]
fn a_write_stamps_the_file_and_a_read_does_not() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "file");
    tree.engine.write(file, 0, b"", at(5), true).unwrap();
    assert_eq!(
        tree.engine.getattr(file).unwrap().mtime,
        Time(1),
        "nothing was written"
    );
    tree.engine.write(file, 0, b"x", at(6), true).unwrap();
    tree.read(file);
    tree.always(|tree, when| {
        let attr = tree.find(ROOT, "file").unwrap();
        let times = [attr.atime, attr.mtime, attr.ctime, attr.btime];
        assert_eq!(times, [Time(1), Time(6), Time(6), Time(1)], "{when}");
        let root = tree.engine.getattr(ROOT).unwrap();
        assert_eq!(root.mtime, Time(1), "{when}");
    });
}

#[test]
fn what_is_no_file_or_too_large_is_not_written() {
    let tree = Tree::new();
    let (dir, file) = (tree.dir(ROOT, "dir"), tree.file(ROOT, "file"));
    let link = tree.engine.symlink(ROOT, &name("link"), b"x", at(1)).unwrap().ino;
    let write = |ino, offset: u64| tree.engine.write(ino, offset, b"xy", at(1), true);
    for offset in [u64::MAX, SIZE_MAX - 1, SIZE_MAX] {
        assert!(matches!(write(file, offset), Err(Error::TooLarge)));
    }
    assert!(matches!(write(dir, 0), Err(Error::IsDirectory)));
    assert!(matches!(write(link, 0), Err(Error::Invalid(_))));
    assert!(matches!(write(InodeNo(999), 0), Err(Error::NoEntry)));
    assert!(matches!(tree.engine.read(dir, 0, 1), Err(Error::IsDirectory)));
    assert!(matches!(tree.engine.read(link, 0, 1), Err(Error::Invalid(_))));
    tree.engine.snapshot_create(&name("old"), Time(1)).unwrap();
    let old = tree.hold(tree.hold(InodeNo::SNAPSHOTS, "old"), "file");
    assert!(matches!(write(old, 0), Err(Error::ReadOnly(_))));
    assert_eq!(tree.read(file), b"");
    write(file, SIZE_MAX - 2).unwrap();
    assert_eq!(tree.engine.getattr(file).unwrap().size, SIZE_MAX);
    assert_eq!(&*tree.engine.read(file, SIZE_MAX - 2, 9).unwrap(), b"xy");
    let set = crate::SetAttr {
        size: Some(SIZE_MAX + 1),
        ..Default::default()
    };
    let refused = tree.engine.setattr(file, set, at(1));
    assert!(matches!(refused, Err(Error::TooLarge)));
    tree.cut(file, 0);
    tree.is_whole();
}

#[test]
fn only_records_that_are_written_whole_are_put_at_once() {
    let tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    let before = tree.store.count(Op::Put);
    let puts = || tree.store.count(Op::Put) - before;
    let dirty = || tree.engine.state.lock().open.dirty_bytes();
    tree.write(file, 1, &bytes(RECORD - 1, 1));
    tree.write(file, RECORD, &bytes(10, 1));
    assert_eq!((puts(), dirty()), (0, RECORD as u64 + 9));
    tree.write(file, 100, &bytes(RECORD, 2));
    assert_eq!((puts(), dirty()), (0, RECORD as u64 + 99));
    tree.write(file, RECORD - 5, &bytes(3 * RECORD, 3));
    assert_eq!(puts(), 1, "two of them, in one batch");
    assert_eq!(tree.engine.state.lock().open.put_bytes(), 2 * RECORD as u64);
    // The leaves that are replaced are freed.
    tree.write(file, RECORD, &bytes(RECORD, 4));
    tree.cut(file, 2 * RECORD);
    tree.engine.commit().unwrap();
    let leaves = tree.store.list(None, usize::MAX).unwrap();
    let leaves = leaves.iter().filter(|cid| cid.codec() == Codec::Leaf);
    assert_eq!(leaves.count(), 2);
    assert_eq!(dirty(), 0);
    tree.is_whole();
}

#[test]
fn a_store_that_fails_takes_nothing_of_a_write() {
    let tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, b"before");
    tree.store.fail_nth(Op::Put, 0);
    let failed = tree.engine.write(file, 0, &bytes(2 * RECORD, 1), at(5), true);
    assert!(matches!(failed, Err(Error::Merkle(_))));
    let attr = tree.engine.getattr(file).unwrap();
    assert_eq!((attr.size, attr.mtime), (6, Time(1)));
    assert_eq!(tree.read(file), b"before");
    // No put is left that a commit would wait for.
    tree.engine.commit().unwrap();
    tree.write(file, 0, &bytes(2 * RECORD, 1));
    assert_eq!(tree.read(file), bytes(2 * RECORD, 1));
}

#[test]
fn a_record_without_a_readable_place_is_not_changed() {
    let mut tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, &bytes(5 * RECORD, 1));
    tree.reopen();
    let file = tree.hold(ROOT, "file");
    let root = match &tree
        .engine
        .state
        .lock()
        .inodes
        .get(file)
        .unwrap()
        .file()
        .unwrap()
        .stored
    {
        Stored::Index(root) => root.link.clone(),
        other => panic!("{other:?}"),
    };
    tree.store
        .tamper(root.cid, cairn_merkle::testing::Tamper::FlipBit(9));
    let refused = tree.engine.write(file, 10, b"x", at(1), true);
    assert!(matches!(
        refused,
        Err(Error::Merkle(cairn_merkle::Error::Corrupt { .. }))
    ));
    let refused = tree.engine.fallocate(file, Fallocate::PunchHole, 0, 9, at(1));
    assert!(matches!(
        refused,
        Err(Error::Merkle(cairn_merkle::Error::Corrupt { .. }))
    ));
    assert!(!tree.engine.state.lock().has_changes());
    tree.store.heal();
    tree.write(file, 10, b"x");
    assert_eq!(tree.read(file)[10], b'x');
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// What the file should be, and the file.
struct Rig {
    tree: Tree<FaultStore<MemoryStore>>,
    file: InodeNo,
    model: Vec<u8>,
}

impl Rig {
    fn check(&self, dice: &mut Dice, what: &str) {
        assert!(self.tree.read(self.file) == self.model, "{what}");
        let from = dice.roll(self.model.len() + 10);
        let part = self.tree.engine.read(self.file, from as u64, 700).unwrap();
        let until = self.model.len().min(from + 700);
        assert!(*part == self.model[from.min(until)..until], "{what}");
        // All that is not zero is data, and holes begin where data ends.
        let seek = |from: usize, whence| self.tree.engine.seek(self.file, from as u64, whence).ok();
        let mut place = 0;
        while let Some(data) = seek(place, Seek::Data) {
            assert!(
                self.model[place..data as usize].iter().all(|byte| *byte == 0),
                "{what}"
            );
            place = seek(data as usize, Seek::Hole).unwrap() as usize;
            assert!(place as u64 > data);
        }
        assert!(self.model[place..].iter().all(|byte| *byte == 0), "{what}");
    }

    fn zero(&mut self, from: usize, until: usize) {
        let until = until.min(self.model.len());
        if from < until {
            self.model[from..until].fill(0);
        }
    }

    fn change(&mut self, dice: &mut Dice) -> String {
        let (from, len) = (dice.roll(6 * RECORD), 1 + dice.roll(3 * RECORD));
        let aligned = dice.roll(2) == 0;
        let from = if aligned { from / RECORD * RECORD } else { from };
        let len = if aligned {
            len.next_multiple_of(RECORD)
        } else {
            len
        };
        let engine = &self.tree.engine;
        let kind = dice.roll(8);
        match kind {
            0..3 => {
                let new = bytes(len, from + len);
                self.tree.write(self.file, from, &new);
                self.model.resize(self.model.len().max(from + len), 0);
                self.model[from..from + len].copy_from_slice(&new);
            }
            3 => {
                self.tree.cut(self.file, from);
                self.model.resize(from, 0);
            }
            4 => {
                engine
                    .fallocate(self.file, Fallocate::PunchHole, from as u64, len as u64, at(1))
                    .unwrap();
                self.zero(from, from + len);
            }
            5 => {
                engine
                    .fallocate(self.file, Fallocate::ZeroRange, from as u64, len as u64, at(1))
                    .unwrap();
                self.model.resize(self.model.len().max(from + len), 0);
                self.zero(from, from + len);
            }
            6 => {
                let to = from + len + dice.roll(RECORD);
                // The kernel asks for no more than there is.
                let len = len.min(self.model.len().saturating_sub(from));
                let copied =
                    engine.copy_range(self.file, from as u64, self.file, to as u64, len as u64, at(1));
                assert_eq!(copied.unwrap(), len as u64);
                if len > 0 {
                    self.model.resize(self.model.len().max(to + len), 0);
                    self.model.copy_within(from..from + len, to);
                }
            }
            _ => engine.commit().unwrap(),
        }
        format!("change {kind} at {from}, {len} bytes")
    }
}

#[test]
fn a_file_reads_as_all_that_was_done_to_it() {
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
        let file = tree.file(ROOT, "file");
        let mut rig = Rig {
            tree,
            file,
            model: Vec::new(),
        };
        for step in 0..60 {
            let what = rig.change(&mut dice);
            rig.check(&mut dice, &format!("seed {seed}, step {step}: {what}"));
            match dice.roll(12) {
                // A commit that found no room: its epoch lies frozen below what comes.
                0 => {
                    rig.tree.store.full_from_nth(Op::SwapHead, 0);
                    let full = rig.tree.engine.commit();
                    assert!(full.is_ok() || crate::error::is_full(&full.unwrap_err()));
                    rig.tree.store.heal();
                }
                1 => {
                    // What waits for room cannot be made durable without it.
                    if matches!(rig.tree.engine.fsync(rig.file, false), Err(Error::NoSpace)) {
                        rig.tree.engine.commit().unwrap();
                        rig.tree.engine.fsync(rig.file, false).unwrap();
                    }
                    rig.tree.kill();
                    rig.file = rig.tree.hold(ROOT, "file");
                }
                2 => {
                    rig.tree.reopen();
                    rig.file = rig.tree.hold(ROOT, "file");
                }
                _ => {}
            }
            rig.check(&mut dice, &format!("seed {seed}, after step {step}"));
        }
        rig.tree.reopen();
        rig.tree.is_whole();
    }
}

#[test]
fn what_a_stalled_commit_holds_is_read_below_what_was_written_since() {
    let mut tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, &bytes(4 * RECORD, 1));
    tree.engine.commit().unwrap();
    tree.write(file, RECORD / 2, &bytes(RECORD, 2));
    tree.store.full_from_nth(Op::SwapHead, 0);
    assert!(tree.engine.commit().is_err());
    assert!(tree.engine.state.lock().inodes.get(file).unwrap().frozen);
    tree.write(file, RECORD, &bytes(100, 3));
    tree.cut(file, 3 * RECORD + 5);
    let mut expected = bytes(4 * RECORD, 1);
    expected[RECORD / 2..][..RECORD].copy_from_slice(&bytes(RECORD, 2));
    expected[RECORD..][..100].copy_from_slice(&bytes(100, 3));
    expected.truncate(3 * RECORD + 5);
    assert!(tree.read(file) == expected);
    assert!(matches!(tree.engine.fsync(file, false), Err(Error::NoSpace)));
    tree.store.heal();
    tree.engine.commit().unwrap();
    assert!(tree.read(file) == expected);
    tree.always(|tree, when| assert!(tree.read(tree.hold(ROOT, "file")) == expected, "{when}"));
}

#[test]
fn what_is_cached_or_in_memory_is_read_without_a_wait() {
    let mut tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let (file, dir) = (tree.file(ROOT, "file"), tree.dir(ROOT, "dir"));
    tree.write(file, 0, b"dirty");
    assert_eq!(&*tree.engine.read_now(file, 1, 9).unwrap(), b"irty");
    assert!(tree.engine.read_now(dir, 0, 1).is_none());
    assert!(tree.engine.read_now(InodeNo(999), 0, 1).is_none());
    tree.write(file, 0, &bytes(2 * RECORD, 1));
    tree.reopen();
    let file = tree.hold(ROOT, "file");
    for leaf in tree.store.list(None, usize::MAX).unwrap() {
        if leaf.codec() == Codec::Leaf {
            tree.store.tamper(leaf, cairn_merkle::testing::Tamper::Drop);
        }
    }
    assert!(
        tree.engine.read_now(file, 0, 9).is_none(),
        "an error is for read to find"
    );
    assert!(tree.engine.read(file, 0, 9).is_err());
    tree.store.heal();
    tree.engine.read(file, 0, 9).unwrap();
    assert_eq!(
        *tree.engine.read_now(file, 0, 9).unwrap(),
        bytes(2 * RECORD, 1)[..9]
    );
    assert_eq!(tree.engine.read_now(file, 2 * RECORD as u64, 9).unwrap().len(), 0);
}
