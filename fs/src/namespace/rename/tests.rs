//! Renames of every mode, seen as they are made, replayed from the log, committed and read anew.

use super::*;
use crate::RenameMode::{Exchange, NoReplace, Replace};
use crate::fixture::tree::{ROOT, Tree, at, bytes, name};
use crate::{Operations, SetAttr};
use cairn_merkle::MemoryStore;

/// Two directories with a file, an empty directory and a full one in the first.
fn volume() -> (Tree<MemoryStore>, InodeNo, InodeNo) {
    let tree = Tree::new();
    let (a, b) = (tree.dir(ROOT, "a"), tree.dir(ROOT, "b"));
    let file = tree.file(a, "file");
    tree.write(file, 0, b"moved");
    tree.dir(a, "empty");
    let full = tree.dir(a, "full");
    tree.file(full, "inner");
    (tree, a, b)
}

fn content(tree: &Tree<MemoryStore>, path: &[&str]) -> Vec<u8> {
    tree.read(tree.walk(path))
}

#[test]
fn a_name_moves_within_its_directory() {
    let (mut tree, a, _) = volume();
    tree.rename((a, "file"), (a, "renamed"), Replace).unwrap();
    tree.rename((a, "full"), (a, "moved"), NoReplace).unwrap();
    tree.always(|tree, when| {
        let paths = [
            "a/",
            "a/empty/",
            "a/moved/",
            "a/moved/inner 1",
            "a/renamed 1",
            "b/",
        ];
        assert_eq!(tree.shape(), paths, "{when}");
        assert_eq!(content(tree, &["a", "renamed"]), b"moved", "{when}");
        let a = tree.walk(&["a"]);
        for old in ["file", "full"] {
            assert!(matches!(tree.find(a, old), Err(Error::NoEntry)), "{when}");
        }
        assert_eq!(tree.inodes(), 7);
    });
}

#[test]
fn a_name_moves_to_another_directory_with_all_below_it() {
    let (mut tree, a, b) = volume();
    tree.engine.commit().unwrap();
    tree.rename((a, "file"), (b, "file"), Replace).unwrap();
    tree.rename((a, "full"), (b, "there"), Replace).unwrap();
    tree.always(|tree, when| {
        let paths = ["a/", "a/empty/", "b/", "b/file 1", "b/there/", "b/there/inner 1"];
        assert_eq!(tree.shape(), paths, "{when}");
        assert_eq!(content(tree, &["b", "file"]), b"moved", "{when}");
    });
}

#[test]
fn both_directories_and_what_moves_are_stamped_and_nothing_else() {
    let (mut tree, a, b) = volume();
    tree.rename((a, "file"), (b, "file"), Replace).unwrap();
    tree.always(|tree, when| {
        let times = |path: &[&str]| {
            let attr = tree.engine.getattr(tree.walk(path)).unwrap();
            [attr.mtime.0, attr.ctime.0, attr.atime.0, attr.btime.0]
        };
        for dir in ["a", "b"] {
            assert_eq!(times(&[dir]), [9, 9, 1, 1], "{dir} {when}");
        }
        assert_eq!(times(&["b", "file"]), [1, 9, 1, 1], "{when}");
        assert_eq!(times(&[]), [1; 4], "{when}");
        assert_eq!(times(&["a", "full"]), [1; 4], "{when}");
    });
}

#[test]
fn what_is_not_there_is_not_moved() {
    let (tree, a, b) = volume();
    for mode in [Replace, NoReplace, Exchange] {
        let missing = tree.rename((a, "none"), (b, "x"), mode);
        assert!(matches!(missing, Err(Error::NoEntry)), "{mode:?}");
    }
    let nothing = tree.rename((a, "file"), (b, "none"), Exchange);
    assert!(matches!(nothing, Err(Error::NoEntry)));
    let file = tree.hold(a, "file");
    let no_directory = tree.rename((a, "full"), (file, "x"), Replace);
    assert!(matches!(no_directory, Err(Error::NotDirectory)));
    let no_directory = tree.rename((file, "x"), (a, "x"), Replace);
    assert!(matches!(no_directory, Err(Error::NotDirectory)));
    tree.is_whole();
}

#[test]
fn a_taken_name_is_spared_where_that_is_asked() {
    let (tree, a, b) = volume();
    tree.file(b, "taken");
    let before = tree.shape();
    for from in ["file", "full"] {
        let spared = tree.rename((a, from), (b, "taken"), NoReplace);
        assert!(matches!(spared, Err(Error::Exists)));
    }
    let itself = tree.rename((a, "file"), (a, "file"), NoReplace);
    assert!(matches!(itself, Err(Error::Exists)));
    assert_eq!(tree.shape(), before);
}

#[test]
fn a_file_that_is_replaced_is_gone_but_for_those_who_have_it_open() {
    let (mut tree, a, b) = volume();
    let replaced = tree.file(b, "file");
    tree.write(replaced, 0, &bytes(10_000, 3));
    tree.open_file(replaced);
    tree.engine.commit().unwrap();
    let before = tree.inodes();
    tree.rename((a, "file"), (b, "file"), Replace).unwrap();
    assert_eq!(tree.inodes(), before - 1);
    tree.engine.commit().unwrap();
    let attr = tree.engine.getattr(replaced).unwrap();
    assert_eq!((attr.nlink, attr.ctime.0), (0, 9));
    assert_eq!(tree.read(replaced), bytes(10_000, 3));
    tree.engine.release(replaced);
    tree.engine.forget(replaced, 1);
    tree.always(|tree, when| {
        let paths = ["a/", "a/empty/", "a/full/", "a/full/inner 1", "b/", "b/file 1"];
        assert_eq!(tree.shape(), paths, "{when}");
        assert_eq!(content(tree, &["b", "file"]), b"moved", "{when}");
    });
    assert!(tree.engine.getattr(replaced).is_err());
}

#[test]
fn a_directory_replaces_an_empty_one_and_nothing_else() {
    let (mut tree, a, b) = volume();
    tree.dir(b, "empty");
    let full = tree.dir(b, "full");
    tree.file(full, "other");
    tree.file(b, "file");
    let before = tree.shape();
    let onto = |from, to| tree.rename((a, from), (b, to), Replace);
    assert!(matches!(onto("full", "full"), Err(Error::NotEmpty)));
    assert!(matches!(onto("full", "file"), Err(Error::NotDirectory)));
    assert!(matches!(onto("file", "empty"), Err(Error::IsDirectory)));
    assert!(matches!(onto("file", "full"), Err(Error::IsDirectory)));
    assert_eq!(tree.shape(), before);
    onto("full", "empty").unwrap();
    // Within one directory there is one subdirectory less.
    tree.dir(a, "second");
    tree.rename((a, "empty"), (a, "second"), Replace).unwrap();
    tree.always(|tree, when| {
        let paths = [
            "a/",
            "a/file 1",
            "a/second/",
            "b/",
            "b/empty/",
            "b/empty/inner 1",
            "b/file 1",
            "b/full/",
            "b/full/other 1",
        ];
        assert_eq!(tree.shape(), paths, "{when}");
        assert_eq!(tree.inodes(), 10, "{when}");
    });
}

#[test]
fn a_directory_that_was_emptied_is_replaced_too() {
    let (mut tree, a, b) = volume();
    let full = tree.dir(b, "full");
    tree.file(full, "one");
    tree.engine.commit().unwrap();
    tree.unlink(full, "one").unwrap();
    tree.rename((a, "full"), (b, "full"), Replace).unwrap();
    tree.always(|tree, when| {
        let paths = ["a/", "a/empty/", "a/file 1", "b/", "b/full/", "b/full/inner 1"];
        assert_eq!(tree.shape(), paths, "{when}");
    });
}

#[test]
fn a_directory_is_not_moved_below_itself() {
    let (tree, a, b) = volume();
    let full = tree.hold(a, "full");
    let deep = tree.dir(full, "deep");
    for committed in [false, true] {
        for (dir, mode) in [(a, Replace), (full, Replace), (deep, NoReplace), (deep, Replace)] {
            let refused = tree.rename((ROOT, "a"), (dir, "x"), mode);
            assert!(
                matches!(refused, Err(Error::Invalid(_))),
                "committed: {committed}"
            );
        }
        for (from, to) in [
            ((ROOT, "a"), (full, "deep")),
            ((full, "deep"), (ROOT, "a")),
            ((a, "full"), (full, "inner")),
            ((full, "inner"), (a, "full")),
        ] {
            let refused = tree.rename(from, to, Exchange);
            assert!(matches!(refused, Err(Error::Invalid(_))), "{from:?} {to:?}");
        }
        tree.engine.commit().unwrap();
    }
    // Beside itself, or upwards, it goes.
    tree.rename((full, "deep"), (ROOT, "up"), Replace).unwrap();
    tree.rename((ROOT, "b"), (deep, "b"), Replace).unwrap();
    let paths = [
        "a/",
        "a/empty/",
        "a/file 1",
        "a/full/",
        "a/full/inner 1",
        "up/",
        "up/b/",
    ];
    assert_eq!(tree.shape(), paths);
    assert_eq!(tree.engine.parent(b).unwrap(), deep);
    tree.is_whole();
}

#[test]
fn an_exchange_swaps_a_file_and_a_directory_with_their_parents() {
    let (mut tree, a, b) = volume();
    let other = tree.file(b, "other");
    tree.write(other, 0, b"other");
    tree.rename((a, "full"), (b, "other"), Exchange).unwrap();
    tree.rename((a, "file"), (a, "empty"), Exchange).unwrap();
    tree.always(|tree, when| {
        let paths = [
            "a/",
            "a/empty 1",
            "a/file/",
            "a/full 1",
            "b/",
            "b/other/",
            "b/other/inner 1",
        ];
        assert_eq!(tree.shape(), paths, "{when}");
        assert_eq!(content(tree, &["a", "full"]), b"other", "{when}");
        assert_eq!(content(tree, &["a", "empty"]), b"moved", "{when}");
        for path in [
            &["a", "full"][..],
            &["b", "other"],
            &["a", "file"],
            &["a"],
            &["b"],
        ] {
            let attr = tree.engine.getattr(tree.walk(path)).unwrap();
            assert_eq!(attr.ctime.0, 9, "{path:?} {when}");
        }
        assert_eq!(tree.inodes(), 8, "{when}");
    });
}

#[test]
fn two_names_of_one_file_are_not_renamed_onto_each_other() {
    let (mut tree, a, b) = volume();
    tree.link(tree.hold(a, "file"), b, "twin");
    for (from, to) in [((a, "file"), (b, "twin")), ((b, "twin"), (b, "twin"))] {
        for mode in [Replace, Exchange] {
            tree.rename(from, to, mode).unwrap();
        }
    }
    tree.always(|tree, when| {
        let attr = tree.find(tree.walk(&["b"]), "twin").unwrap();
        assert_eq!((attr.nlink, attr.ctime.0), (2, 1), "{when}");
        assert!(tree.shape().contains(&"a/file 2".into()), "{when}");
    });
}

#[test]
fn one_name_of_a_file_with_two_moves_and_is_replaced() {
    let (mut tree, a, b) = volume();
    tree.link(tree.hold(a, "file"), b, "twin");
    tree.engine.commit().unwrap();
    tree.rename((a, "file"), (ROOT, "top"), Replace).unwrap();
    tree.rename((a, "full"), (b, "full"), Replace).unwrap();
    let inner = tree.walk(&["b", "full"]);
    tree.rename((inner, "inner"), (b, "twin"), Replace).unwrap();
    tree.always(|tree, when| {
        let paths = ["a/", "a/empty/", "b/", "b/full/", "b/twin 1", "top 1"];
        assert_eq!(tree.shape(), paths, "{when}");
        assert_eq!(content(tree, &["top"]), b"moved", "{when}");
        assert_eq!(content(tree, &["b", "twin"]), b"", "{when}");
    });
}

#[test]
fn nothing_moves_into_a_directory_that_is_removed() {
    let (tree, a, b) = volume();
    let gone = tree.hold(a, "empty");
    tree.rmdir(a, "empty").unwrap();
    for mode in [Replace, NoReplace, Exchange] {
        let refused = tree.rename((a, "file"), (gone, "file"), mode);
        assert!(matches!(refused, Err(Error::NoEntry)), "{mode:?}");
    }
    let refused = tree.rename((gone, "file"), (b, "file"), Replace);
    assert!(matches!(refused, Err(Error::NoEntry)));
    assert_eq!(content(&tree, &["a", "file"]), b"moved");
}

#[test]
fn snapshots_neither_move_nor_change() {
    let (tree, a, b) = volume();
    tree.engine.snapshot_create(&name("old"), at(1).now).unwrap();
    let from = (ROOT, ".snapshots");
    let refused = tree.rename(from, (b, "x"), Replace);
    assert!(matches!(refused, Err(Error::NotPermitted(_))));
    let refused = tree.rename((a, "file"), from, Replace);
    assert!(matches!(refused, Err(Error::Exists)));
    let old = tree.hold(InodeNo::SNAPSHOTS, "old");
    let inside = tree.hold(old, "a");
    for (from, to) in [
        ((inside, "file"), (b, "file")),
        ((a, "file"), (inside, "x")),
        ((inside, "file"), (inside, "x")),
        ((InodeNo::SNAPSHOTS, "old"), (b, "x")),
        ((a, "full"), (InodeNo::SNAPSHOTS, "new")),
    ] {
        let refused = tree.rename(from, to, Replace);
        assert!(matches!(refused, Err(Error::ReadOnly(_))), "{from:?}");
    }
    tree.rename((a, "file"), (b, "file"), Replace).unwrap();
    assert_eq!(tree.read(tree.hold(inside, "file")), b"moved");
}

#[test]
fn what_moved_is_changed_where_it_is_now() {
    let (mut tree, a, b) = volume();
    tree.engine.commit().unwrap();
    let (file, full) = (tree.hold(a, "file"), tree.hold(a, "full"));
    tree.rename((a, "file"), (full, "file"), Replace).unwrap();
    tree.rename((a, "full"), (b, "full"), Replace).unwrap();
    tree.write(file, 5, b" and changed");
    let set = SetAttr {
        mode: Some(0o700),
        ..SetAttr::default()
    };
    tree.engine.setattr(full, set, at(10)).unwrap();
    tree.file(full, "new");
    tree.always(|tree, when| {
        let full = tree.walk(&["b", "full"]);
        assert_eq!(tree.names(full), ["file", "inner", "new"], "{when}");
        assert_eq!(tree.engine.getattr(full).unwrap().mode, 0o700, "{when}");
        assert_eq!(
            content(tree, &["b", "full", "file"]),
            b"moved and changed",
            "{when}"
        );
        assert_eq!(tree.names(tree.walk(&["a"])), ["empty"], "{when}");
    });
}
