//! What is made: kinds, modes, owners, targets, and what refuses to be made.

use super::*;
use crate::fixture::tree::{ROOT, Tree, at, config, name};
use crate::{Operations, Quota, SetAttr};

const KINDS: [Kind; 5] = [
    Kind::File,
    Kind::Fifo,
    Kind::Socket,
    Kind::CharDevice,
    Kind::BlockDevice,
];

fn by(uid: u32, gid: u32) -> Caller {
    Caller { uid, gid, ..at(77) }
}

#[test]
fn each_kind_of_node_is_what_it_was_made_as() {
    let mut tree = Tree::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let attr = tree
            .engine
            .mknod(
                ROOT,
                &name(&format!("{kind:?}")),
                kind,
                0o6741,
                0x1234,
                by(10, 20),
            )
            .unwrap();
        assert_eq!(attr.ino.0, InodeNo::FIRST.0 + number as u64);
    }
    tree.always(|tree, when| {
        for kind in KINDS {
            let attr = tree.find(ROOT, &format!("{kind:?}")).unwrap();
            assert_eq!(
                (attr.kind, attr.mode, attr.rdev),
                (kind, 0o6741, 0x1234),
                "{when}"
            );
            assert_eq!(
                (attr.uid, attr.gid, attr.nlink, attr.size),
                (10, 20, 1, 0),
                "{when}"
            );
            let times = [attr.atime, attr.mtime, attr.ctime, attr.btime];
            assert_eq!(times, [Time(77); 4], "{when}");
        }
        let root = tree.engine.getattr(ROOT).unwrap();
        assert_eq!([root.mtime, root.ctime], [Time(77); 2], "{when}");
        assert_eq!(tree.inodes(), 6, "{when}");
    });
    let next = tree.file(ROOT, "next");
    assert_eq!(next.0, InodeNo::FIRST.0 + 5, "numbers go on after a mount");
}

#[test]
fn a_directory_begins_with_two_links_and_gives_its_parent_one() {
    let mut tree = Tree::new();
    let attr = tree.engine.mkdir(ROOT, &name("dir"), 0o1751, by(1, 2)).unwrap();
    assert_eq!((attr.nlink, attr.size, attr.rdev), (2, 64, 0));
    tree.always(|tree, when| {
        let attr = tree.find(ROOT, "dir").unwrap();
        assert_eq!((attr.kind, attr.mode), (Kind::Directory, 0o1751), "{when}");
        assert_eq!((attr.uid, attr.gid, attr.ctime.0), (1, 2, 77), "{when}");
        assert_eq!(tree.shape(), ["dir/"], "{when}");
        assert_eq!(tree.inodes(), 2, "{when}");
    });
}

#[test]
fn a_symlink_tells_its_target_whatever_it_is() {
    let mut tree = Tree::new();
    let long = vec![b'x'; TARGET_MAX];
    for (text, target) in [("short", &b"../\xff/."[..]), ("long", &long)] {
        let attr = tree.engine.symlink(ROOT, &name(text), target, at(1)).unwrap();
        assert_eq!((attr.size, attr.mode), (target.len() as u64, 0o777));
    }
    let make = |target: &[u8]| tree.engine.symlink(ROOT, &name("x"), target, at(1));
    assert!(matches!(
        make(&vec![b'x'; TARGET_MAX + 1]),
        Err(Error::NameTooLong)
    ));
    assert!(matches!(make(b""), Err(Error::NoEntry)));
    let (file, dir) = (tree.file(ROOT, "file"), tree.dir(ROOT, "dir"));
    for other in [file, dir] {
        assert!(matches!(tree.engine.readlink(other), Err(Error::Invalid(_))));
    }
    assert!(matches!(tree.engine.readlink(InodeNo(999)), Err(Error::NoEntry)));
    tree.always(|tree, when| {
        let read = |text| tree.engine.readlink(tree.hold(ROOT, text)).unwrap();
        assert_eq!(read("short"), b"../\xff/.", "{when}");
        assert_eq!(read("long"), long, "{when}");
        assert_eq!(tree.find(ROOT, "short").unwrap().kind, Kind::Symlink, "{when}");
    });
}

#[test]
fn a_mode_is_cut_to_its_bits_and_by_the_umask() {
    let tree = Tree::new();
    let caller = Caller {
        umask: 0o027,
        ..at(1)
    };
    let file = tree
        .engine
        .mknod(ROOT, &name("file"), Kind::File, 0o177_777, 0, caller);
    assert_eq!(file.unwrap().mode, 0o7750);
    let dir = tree.engine.mkdir(ROOT, &name("dir"), 0o777, caller);
    assert_eq!(dir.unwrap().mode, 0o750);
    let link = tree.engine.symlink(ROOT, &name("link"), b"x", caller);
    assert_eq!(link.unwrap().mode, 0o777);
}

#[test]
fn a_set_group_id_directory_hands_on_its_group() {
    let tree = Tree::new();
    let shared = tree.dir(ROOT, "shared");
    let set = SetAttr {
        mode: Some(0o2775),
        gid: Some(500),
        ..SetAttr::default()
    };
    tree.engine.setattr(shared, set, at(1)).unwrap();
    let file = tree
        .engine
        .mknod(shared, &name("file"), Kind::File, 0o644, 0, by(7, 8))
        .unwrap();
    assert_eq!((file.uid, file.gid, file.mode), (7, 500, 0o644));
    let dir = tree.engine.mkdir(shared, &name("dir"), 0o755, by(7, 8)).unwrap();
    assert_eq!((dir.gid, dir.mode), (500, 0o2755));
    let link = tree
        .engine
        .symlink(shared, &name("link"), b"x", by(7, 8))
        .unwrap();
    assert_eq!((link.gid, link.mode), (500, 0o777));
    let beside = tree.engine.mkdir(ROOT, &name("beside"), 0o755, by(7, 8)).unwrap();
    assert_eq!((beside.gid, beside.mode), (8, 0o755));
}

#[test]
fn nothing_is_made_over_a_name_nor_where_no_directory_is() {
    let tree = Tree::new();
    let (dir, file) = (tree.dir(ROOT, "dir"), tree.file(ROOT, "file"));
    let gone = tree.dir(ROOT, "gone");
    tree.rmdir(ROOT, "gone").unwrap();
    for committed in [false, true] {
        for kind in [Kind::File, Kind::Directory, Kind::Symlink] {
            for taken in ["dir", "file", ".snapshots"] {
                let refused = tree.try_make(ROOT, taken, kind);
                assert!(matches!(refused, Err(Error::Exists)), "committed: {committed}");
            }
            assert!(matches!(tree.try_make(file, "x", kind), Err(Error::NotDirectory)));
            assert!(matches!(tree.try_make(gone, "x", kind), Err(Error::NoEntry)));
            assert!(matches!(
                tree.try_make(InodeNo(999), "x", kind),
                Err(Error::NoEntry)
            ));
        }
        tree.engine.commit().unwrap();
    }
    // Elsewhere it is a name as any other.
    tree.file(dir, ".snapshots");
    assert_eq!(tree.shape(), ["dir/", "dir/.snapshots 1", "file 1"]);
}

#[test]
fn a_directory_made_among_the_snapshots_is_one() {
    let tree = Tree::new();
    tree.file(ROOT, "file");
    let old = tree.dir(InodeNo::SNAPSHOTS, "old");
    assert_eq!(tree.names(old), ["file"]);
    for kind in [Kind::File, Kind::Directory] {
        assert!(matches!(tree.try_make(old, "x", kind), Err(Error::ReadOnly(_))));
    }
    let refused = tree.try_make(InodeNo::SNAPSHOTS, "x", Kind::File);
    assert!(matches!(refused, Err(Error::ReadOnly(_))));
    tree.unlink(ROOT, "file").unwrap();
    assert_eq!(tree.names(old), ["file"]);
    tree.rmdir(InodeNo::SNAPSHOTS, "old").unwrap();
    assert!(tree.list(InodeNo::SNAPSHOTS).is_empty());
    tree.is_whole();
}

#[test]
fn what_restores_a_tree_makes_and_destroys_no_snapshot_unless_the_mount_has_that() {
    let config = crate::Config {
        snapshot_dirs: false,
        ..crate::fixture::tree::config()
    };
    let tree = Tree::with(config, crate::Quota::default());
    tree.engine.snapshot_create(&name("old"), crate::Time(1)).unwrap();
    let refused = tree.try_make(InodeNo::SNAPSHOTS, "daily", Kind::Directory);
    assert!(matches!(refused, Err(Error::NotPermitted(_))), "{refused:?}");
    let refused = tree.rmdir(InodeNo::SNAPSHOTS, "old");
    assert!(matches!(refused, Err(Error::NotPermitted(_))), "{refused:?}");
    assert_eq!(tree.engine.snapshot_list().len(), 1);
}

#[test]
fn numbers_of_inodes_end_where_those_of_snapshots_begin() {
    let tree = Tree::new();
    tree.engine.state.lock().volume.next_ino = (1 << 40) - 1;
    tree.file(ROOT, "last");
    assert!(matches!(
        tree.try_make(ROOT, "x", Kind::File),
        Err(Error::NoSpace)
    ));
    assert_eq!(tree.names(ROOT), ["last"]);
}

#[test]
fn a_quota_of_inodes_counts_what_is_there() {
    let quota = Quota {
        inodes: Some(4),
        ..Quota::default()
    };
    let mut tree = Tree::with(config(), quota);
    for (text, kind) in [
        ("dir", Kind::Directory),
        ("link", Kind::Symlink),
        ("file", Kind::File),
    ] {
        tree.try_make(ROOT, text, kind).unwrap();
    }
    for kind in [Kind::Directory, Kind::Symlink, Kind::File] {
        assert!(matches!(tree.try_make(ROOT, "more", kind), Err(Error::NoSpace)));
    }
    // A name is no inode.
    tree.link(tree.hold(ROOT, "file"), ROOT, "name");
    tree.unlink(ROOT, "name").unwrap();
    tree.reopen();
    assert!(matches!(
        tree.try_make(ROOT, "more", Kind::File),
        Err(Error::NoSpace)
    ));
    assert_eq!(tree.engine.statfs().unwrap().free_inodes, 0);
    tree.unlink(ROOT, "link").unwrap();
    assert_eq!(tree.engine.statfs().unwrap().free_inodes, 1);
    tree.file(ROOT, "more");
    tree.always(|tree, when| assert_eq!(tree.shape(), ["dir/", "file 1", "more 1"], "{when}"));
}
