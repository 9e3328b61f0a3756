//! Links and names that go, and what is left of an inode without any.

use super::*;
use crate::Operations;
use crate::fixture::tree::{ROOT, Tree, at, bytes, name};

#[test]
fn a_file_with_several_names_is_one_file_until_the_last_is_gone() {
    let mut tree = Tree::new();
    let dir = tree.dir(ROOT, "dir");
    let file = tree.file(ROOT, "one");
    tree.write(file, 0, b"shared");
    let attr = tree.engine.link(file, dir, &name("two"), at(5)).unwrap();
    assert_eq!(
        (attr.ino, attr.nlink, attr.ctime.0, attr.mtime.0),
        (file, 2, 5, 1)
    );
    tree.link(file, dir, "three");
    tree.always(|tree, when| {
        assert_eq!(
            tree.shape(),
            ["dir/", "dir/three 3", "dir/two 3", "one 3"],
            "{when}"
        );
        let (dir, one) = (tree.walk(&["dir"]), tree.hold(ROOT, "one"));
        for text in ["two", "three"] {
            assert_eq!(tree.hold(dir, text), one, "{when}");
        }
        assert_eq!(tree.read(one), b"shared", "{when}");
        assert_eq!(tree.inodes(), 3, "{when}");
    });
    let dir = tree.walk(&["dir"]);
    tree.unlink(ROOT, "one").unwrap();
    tree.engine.commit().unwrap();
    tree.unlink(dir, "three").unwrap();
    tree.always(|tree, when| {
        assert_eq!(tree.shape(), ["dir/", "dir/two 1"], "{when}");
        assert_eq!(tree.read(tree.walk(&["dir", "two"])), b"shared", "{when}");
        assert_eq!(tree.inodes(), 3, "{when}");
    });
    tree.unlink(tree.walk(&["dir"]), "two").unwrap();
    tree.always(|tree, when| {
        assert_eq!(tree.shape(), ["dir/"], "{when}");
        assert_eq!(tree.inodes(), 2, "{when}");
    });
}

#[test]
fn a_linked_file_is_changed_through_any_of_its_names() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "one");
    tree.engine.commit().unwrap();
    tree.link(file, ROOT, "two");
    tree.reopen();
    let file = tree.hold(ROOT, "two");
    tree.write(file, 0, &bytes(9000, 1));
    tree.always(|tree, when| {
        for text in ["one", "two"] {
            assert_eq!(tree.read(tree.hold(ROOT, text)), bytes(9000, 1), "{text} {when}");
        }
    });
}

#[test]
fn links_and_removals_stamp_the_directory_and_the_file() {
    let mut tree = Tree::new();
    let dir = tree.dir(ROOT, "dir");
    let file = tree.file(ROOT, "file");
    tree.engine.link(file, dir, &name("link"), at(3)).unwrap();
    let times = |tree: &Tree<_>, path: &[&str]| {
        let attr = tree.engine.getattr(tree.walk(path)).unwrap();
        [attr.mtime.0, attr.ctime.0]
    };
    assert_eq!(times(&tree, &["dir"]), [3, 3]);
    assert_eq!(times(&tree, &["file"]), [1, 3]);
    tree.engine.unlink(ROOT, &name("file"), at(7)).unwrap();
    tree.always(|tree, when| {
        assert_eq!(times(tree, &[]), [7, 7], "{when}");
        assert_eq!(times(tree, &["dir"]), [3, 3], "{when}");
        assert_eq!(times(tree, &["dir", "link"]), [1, 7], "{when}");
    });
    tree.engine
        .mkdir(tree.walk(&["dir"]), &name("sub"), 0o755, at(8))
        .unwrap();
    tree.engine
        .rmdir(tree.walk(&["dir"]), &name("sub"), at(11))
        .unwrap();
    tree.always(|tree, when| assert_eq!(times(tree, &["dir"]), [11, 11], "{when}"));
}

#[test]
fn what_cannot_have_one_more_name_gets_none() {
    let tree = Tree::new();
    let (dir, file) = (tree.dir(ROOT, "dir"), tree.file(ROOT, "file"));
    let link = |ino, parent, text| tree.engine.link(ino, parent, &name(text), at(2));
    assert!(matches!(link(dir, ROOT, "x"), Err(Error::NotPermitted(_))));
    assert!(matches!(link(file, ROOT, "dir"), Err(Error::Exists)));
    assert!(matches!(link(file, ROOT, ".snapshots"), Err(Error::Exists)));
    assert!(matches!(link(file, file, "x"), Err(Error::NotDirectory)));
    assert!(matches!(link(InodeNo(999), dir, "x"), Err(Error::NoEntry)));
    let gone = tree.dir(ROOT, "gone");
    tree.rmdir(ROOT, "gone").unwrap();
    assert!(matches!(link(file, gone, "x"), Err(Error::NoEntry)));
    let orphan = tree.file(ROOT, "orphan");
    tree.unlink(ROOT, "orphan").unwrap();
    assert!(matches!(link(orphan, dir, "x"), Err(Error::NoEntry)));
    tree.engine.snapshot_create(&name("old"), at(1).now).unwrap();
    let old = tree.hold(InodeNo::SNAPSHOTS, "old");
    assert!(matches!(link(file, old, "x"), Err(Error::ReadOnly(_))));
    let kept = tree.hold(old, "file");
    assert!(matches!(link(kept, dir, "x"), Err(Error::ReadOnly(_))));
    assert_eq!(tree.shape(), ["dir/", "file 1"]);
    tree.engine.state.lock().inodes.get_mut(file).unwrap().meta.nlink = NLINK_MAX - 1;
    assert_eq!(link(file, dir, "last").unwrap().nlink, NLINK_MAX);
    assert!(matches!(link(file, dir, "x"), Err(Error::TooManyLinks)));
}

#[test]
fn any_kind_but_a_directory_may_have_two_names() {
    let mut tree = Tree::new();
    for kind in [
        Kind::File,
        Kind::Symlink,
        Kind::Fifo,
        Kind::Socket,
        Kind::CharDevice,
    ] {
        let ino = tree.try_make(ROOT, &format!("{kind:?}"), kind).unwrap();
        tree.link(ino, ROOT, &format!("{kind:?} too"));
    }
    tree.always(|tree, when| {
        for kind in [
            Kind::File,
            Kind::Symlink,
            Kind::Fifo,
            Kind::Socket,
            Kind::CharDevice,
        ] {
            let attr = tree.find(ROOT, &format!("{kind:?} too")).unwrap();
            assert_eq!((attr.kind, attr.nlink), (kind, 2), "{when}");
        }
    });
}

#[test]
fn each_kind_of_name_has_its_own_way_to_go() {
    let mut tree = Tree::new();
    let (dir, _) = (tree.dir(ROOT, "dir"), tree.file(ROOT, "file"));
    tree.try_make(dir, "inner", Kind::Symlink).unwrap();
    assert!(matches!(tree.unlink(ROOT, "dir"), Err(Error::IsDirectory)));
    assert!(matches!(tree.rmdir(ROOT, "file"), Err(Error::NotDirectory)));
    assert!(matches!(tree.rmdir(ROOT, "dir"), Err(Error::NotEmpty)));
    assert!(matches!(tree.unlink(ROOT, "none"), Err(Error::NoEntry)));
    assert!(matches!(tree.rmdir(ROOT, "none"), Err(Error::NoEntry)));
    assert!(matches!(
        tree.unlink(ROOT, ".snapshots"),
        Err(Error::NotPermitted(_))
    ));
    assert!(matches!(
        tree.rmdir(ROOT, ".snapshots"),
        Err(Error::NotPermitted(_))
    ));
    tree.engine.commit().unwrap();
    assert!(matches!(tree.rmdir(ROOT, "dir"), Err(Error::NotEmpty)));
    tree.unlink(dir, "inner").unwrap();
    tree.rmdir(ROOT, "dir").unwrap();
    assert!(matches!(tree.rmdir(ROOT, "dir"), Err(Error::NoEntry)));
    assert_eq!(tree.engine.getattr(dir).unwrap().nlink, 0);
    tree.always(|tree, when| {
        assert_eq!(tree.shape(), ["file 1"], "{when}");
        assert_eq!(tree.inodes(), 2, "{when}");
    });
}

#[test]
fn directories_come_and_go_with_the_links_of_the_one_above() {
    let mut tree = Tree::new();
    for text in ["a", "b", "c"] {
        let dir = tree.dir(ROOT, text);
        tree.dir(tree.dir(dir, "deep"), "deeper");
    }
    tree.always(|tree, when| assert_eq!(tree.shape().len(), 9, "{when}"));
    for text in ["a", "b"] {
        let (dir, deep) = (tree.walk(&[text]), tree.walk(&[text, "deep"]));
        tree.rmdir(deep, "deeper").unwrap();
        tree.rmdir(dir, "deep").unwrap();
        tree.rmdir(ROOT, text).unwrap();
    }
    tree.always(|tree, when| assert_eq!(tree.shape(), ["c/", "c/deep/", "c/deep/deeper/"], "{when}"));
}

#[test]
fn a_name_that_went_can_be_taken_again_by_another_kind() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "name");
    tree.engine.commit().unwrap();
    tree.unlink(ROOT, "name").unwrap();
    let dir = tree.dir(ROOT, "name");
    tree.file(dir, "inner");
    assert_ne!(file, dir);
    tree.always(|tree, when| {
        assert_eq!(tree.shape(), ["name/", "name/inner 1"], "{when}");
        assert_eq!(tree.inodes(), 3, "{when}");
    });
}

#[test]
fn an_unlinked_file_lives_while_it_is_open_or_referred_to() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "file");
    tree.open_file(file);
    tree.write(file, 0, &bytes(20_000, 1));
    tree.engine.commit().unwrap();
    tree.unlink(ROOT, "file").unwrap();
    assert_eq!(tree.inodes(), 1);
    tree.write(file, 20_000, &bytes(5000, 2));
    for _ in 0..2 {
        tree.engine.commit().unwrap();
        assert_eq!(tree.read(file), [bytes(20_000, 1), bytes(5000, 2)].concat());
        assert_eq!(tree.engine.getattr(file).unwrap().nlink, 0);
    }
    tree.engine.release(file);
    assert!(tree.engine.getattr(file).is_ok(), "the kernel refers to it");
    tree.engine.forget(file, 1);
    tree.engine.commit().unwrap();
    assert!(matches!(tree.engine.getattr(file), Err(Error::NoEntry)));
    tree.reopen();
    tree.is_whole();
}

#[test]
fn the_blocks_of_a_file_that_was_open_at_a_crash_are_freed() {
    let mut tree = Tree::new();
    tree.reopen();
    let empty = tree.engine.check(&|_| {}).unwrap().blocks;
    for (text, twin) in [("file", false), ("linked", true)] {
        let file = tree.file(ROOT, text);
        tree.open_file(file);
        tree.write(file, 0, &bytes(50_000, 1));
        if twin {
            tree.link(file, ROOT, "twin");
        }
        tree.engine.commit().unwrap();
        tree.unlink(ROOT, text).unwrap();
    }
    tree.unlink(ROOT, "twin").unwrap();
    tree.engine.commit().unwrap();
    tree.kill();
    tree.reopen();
    tree.is_whole();
    assert_eq!(tree.shape(), [""; 0]);
    assert_eq!(tree.engine.check(&|_| {}).unwrap().blocks, empty);
}

#[test]
fn each_link_counts_one_more_reference_of_the_kernel() {
    let mut tree = Tree::new();
    tree.file(ROOT, "file");
    tree.reopen();
    let file = tree.hold(ROOT, "file");
    tree.link(file, ROOT, "link");
    tree.engine.commit().unwrap();
    tree.engine.forget(file, 1);
    assert_eq!(tree.engine.getattr(file).unwrap().nlink, 2);
    tree.engine.forget(file, 1);
    assert!(matches!(tree.engine.getattr(file), Err(Error::NoEntry)));
}
