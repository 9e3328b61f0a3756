//! Holes, zeros and room: where a file has data, and where a copy takes it.

use super::*;
use crate::fixture::tree::{RECORD, ROOT, Tree, at, bytes, config};
use crate::{Operations, Quota, Seek, SetAttr, Time};
use cairn_merkle::MemoryStore;

const R: u64 = RECORD as u64;

fn allocate(tree: &Tree<MemoryStore>, ino: InodeNo, mode: Fallocate, from: u64, len: u64) -> Result<()> {
    tree.engine.fallocate(ino, mode, from, len, at(8))
}

/// Where a file has data: each run with its end.
fn runs(tree: &Tree<MemoryStore>, ino: InodeNo) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    let mut place = 0;
    while let Ok(data) = tree.engine.seek(ino, place, Seek::Data) {
        place = tree.engine.seek(ino, data, Seek::Hole).unwrap();
        runs.push((data, place));
    }
    runs
}

#[test]
fn data_and_holes_are_found_to_the_record() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "file");
    tree.cut(file, 20 * RECORD + 5);
    for (from, len) in [
        (2 * RECORD, RECORD),
        (5 * RECORD + 9, 1),
        (6 * RECORD, 2 * RECORD),
    ] {
        tree.write(file, from, &bytes(len, 1));
    }
    tree.file(ROOT, "empty");
    let small = tree.file(ROOT, "small");
    tree.write(small, 3, b"x");
    let leaf = tree.file(ROOT, "leaf");
    tree.write(leaf, 0, &bytes(RECORD - 1, 1));
    tree.cut(leaf, 3 * RECORD);
    tree.always(|tree, when| {
        let file = tree.hold(ROOT, "file");
        assert_eq!(runs(tree, file), [(2 * R, 3 * R), (5 * R, 8 * R)], "{when}");
        let seek = |offset, whence| tree.engine.seek(file, offset, whence);
        assert_eq!(seek(0, Seek::Hole).unwrap(), 0, "{when}");
        assert_eq!(seek(2 * R + 7, Seek::Data).unwrap(), 2 * R + 7, "{when}");
        assert_eq!(seek(6 * R + 7, Seek::Hole).unwrap(), 8 * R, "{when}");
        assert_eq!(seek(9 * R + 7, Seek::Hole).unwrap(), 9 * R + 7, "{when}");
        assert!(matches!(seek(8 * R, Seek::Data), Err(Error::NoData)), "{when}");
        for whence in [Seek::Data, Seek::Hole] {
            let past = seek(20 * R + 5, whence);
            assert!(matches!(past, Err(Error::NoData)), "{when}");
            let empty = tree.engine.seek(tree.hold(ROOT, "empty"), 0, whence);
            assert!(matches!(empty, Err(Error::NoData)), "{when}");
        }
        let small = tree.hold(ROOT, "small");
        assert_eq!(runs(tree, small), [(0, 4)], "{when}");
        assert_eq!(runs(tree, tree.hold(ROOT, "leaf")), [(0, R)], "{when}");
    });
    let dir = tree.engine.seek(ROOT, 0, Seek::Data);
    assert!(matches!(dir, Err(Error::IsDirectory)));
}

#[test]
fn a_punched_hole_is_one_and_the_size_stays() {
    let mut tree = Tree::new();
    for (n, committed) in [false, true].into_iter().enumerate() {
        let file = tree.file(ROOT, ["open", "stored"][n]);
        tree.write(file, 0, &bytes(6 * RECORD + 100, 1));
        if committed {
            tree.engine.commit().unwrap();
        }
        allocate(&tree, file, Fallocate::PunchHole, R + 10, 2 * R).unwrap();
        allocate(&tree, file, Fallocate::PunchHole, 5 * R, 100 * R).unwrap();
        allocate(&tree, file, Fallocate::PunchHole, 200 * R, R).unwrap();
        let attr = tree.engine.getattr(file).unwrap();
        assert_eq!((attr.mtime, attr.ctime), (Time(8), Time(8)));
    }
    let mut expected = bytes(6 * RECORD + 100, 1);
    expected[RECORD + 10..3 * RECORD + 10].fill(0);
    expected[5 * RECORD..].fill(0);
    tree.always(|tree, when| {
        for text in ["open", "stored"] {
            let file = tree.hold(ROOT, text);
            assert!(tree.read(file) == expected, "{text} {when}");
            assert_eq!(runs(tree, file), [(0, 2 * R), (3 * R, 5 * R)], "{text} {when}");
            let blocks = tree.engine.getattr(file).unwrap().blocks;
            if when == "reopened" {
                assert_eq!(blocks, 4 * R / 512, "{text} {when}");
            }
        }
    });
    // What grows over a hole at the end finds zeros there.
    let file = tree.hold(ROOT, "open");
    tree.cut(file, 7 * RECORD);
    assert!(tree.read(file)[5 * RECORD..].iter().all(|byte| *byte == 0));
}

#[test]
fn room_is_promised_and_zeros_are_made_with_or_without_growing() {
    let mut tree = Tree::new();
    let cases = [
        ("room", Fallocate::Allocate, 3 * RECORD, false),
        ("kept", Fallocate::AllocateKeepSize, 2 * RECORD, false),
        ("zero", Fallocate::ZeroRange, 3 * RECORD, true),
        ("cleared", Fallocate::ZeroRangeKeepSize, 2 * RECORD, true),
        ("punched", Fallocate::PunchHole, 2 * RECORD, true),
    ];
    for (text, mode, ..) in cases {
        let file = tree.file(ROOT, text);
        tree.write(file, 0, &bytes(2 * RECORD, 1));
        allocate(&tree, file, mode, R, 2 * R).unwrap();
        // One that ends within the file never grows it.
        allocate(&tree, file, mode, R + 5, 5).unwrap();
    }
    tree.always(|tree, when| {
        for (text, _, size, zeros) in cases {
            let mut expected = bytes(2 * RECORD, 1);
            if zeros {
                expected[RECORD..].fill(0);
            }
            expected.resize(size, 0);
            assert!(tree.read(tree.hold(ROOT, text)) == expected, "{text} {when}");
        }
    });
}

#[test]
fn a_range_that_is_empty_or_too_long_or_of_no_file_is_refused() {
    let tree = Tree::new();
    let (file, dir) = (tree.file(ROOT, "file"), tree.dir(ROOT, "dir"));
    for mode in [
        Fallocate::Allocate,
        Fallocate::AllocateKeepSize,
        Fallocate::PunchHole,
        Fallocate::ZeroRange,
        Fallocate::ZeroRangeKeepSize,
    ] {
        let refused = |ino, from, len| allocate(&tree, ino, mode, from, len).unwrap_err();
        assert!(matches!(refused(file, 5, 0), Error::Invalid(_)), "{mode:?}");
        assert!(matches!(refused(file, SIZE_MAX, 1), Error::TooLarge), "{mode:?}");
        assert!(matches!(refused(file, u64::MAX, 2), Error::TooLarge), "{mode:?}");
        assert!(matches!(refused(dir, 0, 1), Error::IsDirectory), "{mode:?}");
        assert!(matches!(refused(InodeNo(999), 0, 1), Error::NoEntry), "{mode:?}");
        assert!(matches!(refused(InodeNo::SNAPSHOTS, 0, 1), Error::ReadOnly(_)));
    }
    let attr = tree.engine.getattr(file).unwrap();
    assert_eq!((attr.size, attr.mtime), (0, Time(1)));
}

#[test]
fn room_beyond_the_quota_is_not_promised() {
    let quota = Quota {
        bytes: Some(10 * R),
        inodes: None,
    };
    let tree = Tree::with(config(), quota);
    let file = tree.file(ROOT, "file");
    let refused = allocate(&tree, file, Fallocate::Allocate, 0, 10 * R + 1);
    assert!(matches!(refused, Err(Error::NoSpace)));
    assert_eq!(tree.engine.getattr(file).unwrap().size, 0);
    allocate(&tree, file, Fallocate::Allocate, 0, 10 * R).unwrap();
    assert_eq!(tree.engine.getattr(file).unwrap().size, 10 * R);
    assert_eq!(runs(&tree, file), [], "nothing is reserved");
    // Zeros take none.
    allocate(&tree, file, Fallocate::ZeroRange, 0, 100 * R).unwrap();
    assert_eq!(tree.engine.getattr(file).unwrap().size, 100 * R);
}

#[test]
fn more_holes_are_made_than_at_one_go_and_those_that_are_cost_nothing() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "file");
    let records = 2 * HOLES_MAX + 7;
    tree.write(file, 0, &bytes(records as usize * RECORD, 1));
    tree.engine.commit().unwrap();
    let set = SetAttr {
        size: Some(SIZE_MAX),
        ..SetAttr::default()
    };
    tree.engine.setattr(file, set, at(1)).unwrap();
    allocate(&tree, file, Fallocate::PunchHole, R, SIZE_MAX - R).unwrap();
    let changed = tree
        .engine
        .state
        .lock()
        .inodes
        .get(file)
        .unwrap()
        .file()
        .unwrap()
        .open
        .records()
        .len();
    assert!(changed as u64 <= records);
    tree.always(|tree, when| {
        let file = tree.hold(ROOT, "file");
        assert_eq!(runs(tree, file), [(0, R)], "{when}");
        assert_eq!(*tree.engine.read(file, R, RECORD).unwrap(), [0; RECORD], "{when}");
    });
}

#[test]
fn a_copy_takes_what_there_is_from_file_to_file() {
    let mut tree = Tree::new();
    let (from, to) = (tree.file(ROOT, "from"), tree.file(ROOT, "to"));
    let content = bytes((2 << 20) + 100, 1);
    tree.write(from, 0, &content);
    tree.write(to, 0, b"start");
    let copy = |at_from, at_to, len| {
        let copied = tree.engine.copy_range(from, at_from, to, at_to, len, at(8));
        copied.unwrap()
    };
    assert_eq!(copy(0, 5, 0), 0);
    assert_eq!(copy(content.len() as u64, 5, 10), 0);
    assert_eq!(
        tree.engine.getattr(to).unwrap().mtime,
        Time(1),
        "nothing was copied"
    );
    assert_eq!(copy(7, 5, 20), 20);
    assert_eq!(copy(10, 4096, u64::MAX / 2), content.len() as u64 - 10);
    let mut expected = [b"start", &content[7..27]].concat();
    expected.resize(4096, 0);
    expected.extend_from_slice(&content[10..]);
    let double = tree
        .engine
        .copy_range(from, 0, from, content.len() as u64, u64::MAX / 2, at(8));
    assert_eq!(
        double.unwrap(),
        content.len() as u64,
        "the end moves, and the copy ends"
    );
    tree.cut(from, content.len());
    let missing = tree.engine.copy_range(InodeNo(999), 0, to, 0, 1, at(1));
    assert!(matches!(missing, Err(Error::NoEntry)));
    let missing = tree.engine.copy_range(from, 0, InodeNo(999), 0, 1, at(1));
    assert!(matches!(missing, Err(Error::NoEntry)));
    tree.always(|tree, when| {
        let attr = tree.find(ROOT, "to").unwrap();
        assert_eq!((attr.mtime, attr.atime), (Time(8), Time(1)), "{when}");
        assert!(tree.read(tree.hold(ROOT, "to")) == expected, "{when}");
        assert!(tree.read(tree.hold(ROOT, "from")) == content, "{when}");
    });
}
