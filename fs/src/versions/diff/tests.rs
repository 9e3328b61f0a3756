//! What a comparison tells, against a walk of both trees.

use super::*;
use crate::fixture::tree::{Tree, at, bytes, name};
use crate::{RenameMode, SetAttr, Time};
use cairn_merkle::BlockStore;
use std::collections::BTreeSet;

const ROOT: InodeNo = InodeNo::ROOT;

/// As lines, sorted: `M /path`, `R /old -> /new`.
fn told<S: BlockStore + 'static>(tree: &Tree<S>, from: &str, to: Option<&str>) -> Vec<String> {
    let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
    let mut lines = Vec::new();
    let to = to.map(name);
    let done = tree.engine.snapshot_diff(&name(from), to.as_ref(), &mut |found| {
        let path = text(&found.path);
        lines.push(match found.what {
            Differs::Added => format!("+ {path}"),
            Differs::Removed => format!("- {path}"),
            Differs::Modified => format!("M {path}"),
            Differs::Renamed { from } => format!("R {} -> {path}", text(&from)),
        });
        Ok(())
    });
    done.unwrap();
    lines.sort();
    lines
}

fn snap<S: BlockStore + 'static>(tree: &Tree<S>, called: &str) {
    tree.engine.snapshot_create(&name(called), Time(5)).unwrap();
}

fn touch<S: BlockStore + 'static>(tree: &Tree<S>, ino: InodeNo) {
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    tree.engine.setattr(ino, set, at(8)).unwrap();
}

#[test]
fn names_that_came_went_moved_and_changed_are_told_once_each() {
    let tree = Tree::new();
    let (docs, music) = (tree.dir(ROOT, "docs"), tree.dir(ROOT, "music"));
    let inner = tree.dir(docs, "inner");
    let deep = tree.file(inner, "deep");
    tree.file(inner, "gone");
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, &bytes(9000, 1));
    tree.file(music, "song");
    tree.file(ROOT, "same");
    snap(&tree, "one");
    assert_eq!(told(&tree, "one", None), Vec::<String>::new());
    tree.write(file, 5000, b"other");
    touch(&tree, deep);
    tree.rename((docs, "inner"), (music, "moved"), RenameMode::Replace)
        .unwrap();
    tree.unlink(inner, "gone").unwrap();
    tree.rename((music, "song"), (inner, "hit"), RenameMode::Replace)
        .unwrap();
    let new = tree.dir(ROOT, "new");
    tree.file(new, "below");
    let expected = [
        "+ /new",
        "+ /new/below",
        "- /docs/inner/gone",
        "M /",
        "M /docs",
        "M /file",
        "M /music",
        "M /music/moved",
        "M /music/moved/deep",
        "R /docs/inner -> /music/moved",
        "R /music/song -> /music/moved/hit",
    ];
    assert_eq!(told(&tree, "one", None), expected);
    snap(&tree, "two");
    assert_eq!(told(&tree, "one", Some("two")), expected);
    let back = told(&tree, "two", Some("one"));
    assert!(back.contains(&"R /music/moved -> /docs/inner".into()) && back.contains(&"- /new/below".into()));
    assert_eq!(told(&tree, "two", None), Vec::<String>::new());
    let missing = tree.engine.snapshot_diff(&name("three"), None, &mut |_| Ok(()));
    assert!(matches!(missing, Err(Error::NoEntry)));
}

#[test]
fn a_file_with_several_names_is_told_under_each_that_was_there() {
    let tree = Tree::new();
    let dir = tree.dir(ROOT, "dir");
    let file = tree.file(ROOT, "a");
    tree.link(file, dir, "b");
    snap(&tree, "one");
    tree.write(file, 0, b"new");
    tree.link(file, ROOT, "c");
    assert_eq!(told(&tree, "one", None), ["+ /c", "M /", "M /a", "M /dir/b"]);
    snap(&tree, "two");
    tree.unlink(ROOT, "a").unwrap();
    assert_eq!(told(&tree, "two", None), ["- /a", "M /", "M /c", "M /dir/b"]);
    // From one name to two.
    let single = tree.file(ROOT, "single");
    snap(&tree, "three");
    tree.link(single, dir, "double");
    assert_eq!(
        told(&tree, "three", None),
        ["+ /dir/double", "M /dir", "M /single"]
    );
}

#[test]
fn a_name_that_leads_to_another_file_is_one_removed_and_one_added() {
    let tree = Tree::new();
    tree.file(ROOT, "name");
    snap(&tree, "one");
    tree.unlink(ROOT, "name").unwrap();
    tree.file(ROOT, "name");
    assert_eq!(told(&tree, "one", None), ["+ /name", "- /name"]);
}

#[test]
fn whatever_happened_the_names_of_one_version_and_the_difference_make_the_other() {
    let tree = Tree::new();
    let mut dice = 3_u64;
    let mut roll = move |below: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11);
        (dice >> 33) as usize % below
    };
    let mut dirs = vec![ROOT];
    for at in 0..6 {
        let above = dirs[roll(dirs.len())];
        dirs.push(tree.dir(above, &format!("d{at}")));
    }
    let paths = || -> BTreeSet<String> {
        tree.shape()
            .into_iter()
            .map(|row| format!("/{}", row.split(' ').next().unwrap().trim_end_matches('/')))
            .collect()
    };
    let mut versions = Vec::new();
    for round in 0..12 {
        for step in 0..8 {
            let (from, to) = (dirs[roll(dirs.len())], dirs[roll(dirs.len())]);
            let names = tree.names(from);
            match roll(4) {
                0 if !names.is_empty() => {
                    // A directory is not moved below itself: that is refused.
                    let name = &names[roll(names.len())];
                    let _ = tree.rename(
                        (from, name),
                        (to, &format!("r{round}-{step}")),
                        RenameMode::Replace,
                    );
                }
                1 if !names.is_empty() => {
                    let _ = tree.unlink(from, &names[roll(names.len())]);
                }
                _ => drop(tree.file(to, &format!("f{round}-{step}"))),
            }
        }
        let called = format!("v{round}");
        snap(&tree, &called);
        versions.push((called, paths()));
    }
    for (old, before) in &versions {
        for (new, after) in &versions {
            let mut made = before.clone();
            let rows = told(&tree, old, Some(new));
            // A move takes all below it along.
            let mut moves: Vec<(&str, &str)> = rows
                .iter()
                .filter_map(|row| row.strip_prefix("R ")?.split_once(" -> "))
                .collect();
            moves.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
            let gone: BTreeSet<&str> = rows.iter().filter_map(|row| row.strip_prefix("- ")).collect();
            made.retain(|path| !gone.contains(path.as_str()));
            let place = |path: &String| {
                let under = |from: &str| path == from || path.starts_with(&format!("{from}/"));
                let moved = moves.iter().find(|(from, _)| under(from));
                moved.map_or(path.clone(), |(from, to)| format!("{to}{}", &path[from.len()..]))
            };
            let mut made: BTreeSet<String> = made.iter().map(place).collect();
            made.extend(
                rows.iter()
                    .filter_map(|row| row.strip_prefix("+ "))
                    .map(str::to_owned),
            );
            assert_eq!(&made, after, "{old} to {new}: {rows:?}");
        }
    }
}

#[test]
fn the_cost_goes_with_the_difference() {
    let tree = Tree::over(
        cairn_merkle::testing::FaultStore::new(cairn_merkle::MemoryStore::new()),
        crate::fixture::tree::config(),
        crate::Quota::default(),
    );
    for at in 0..30 {
        let dir = tree.dir(ROOT, &format!("dir{at}"));
        for file in 0..40 {
            tree.file(dir, &format!("file{file}"));
        }
    }
    snap(&tree, "one");
    let file = tree.walk(&["dir7", "file7"]);
    tree.write(file, 0, b"changed");
    snap(&tree, "two");
    let mut tree = tree;
    tree.reopen();
    let gets = || tree.store.count(cairn_merkle::testing::Op::Get);
    let before = gets();
    assert_eq!(told(&tree, "one", Some("two")), ["M /dir7/file7"]);
    let read = gets() - before;
    assert!(read < 20, "{read} blocks of some hundred");
}

#[test]
fn what_hears_of_it_can_end_it() {
    let tree = Tree::new();
    snap(&tree, "one");
    for at in 0..20 {
        tree.file(ROOT, &format!("file{at}"));
    }
    let mut heard = 0;
    let ended = tree.engine.snapshot_diff(&name("one"), None, &mut |_| {
        heard += 1;
        match heard {
            3 => Err(Error::GivenUp),
            _ => Ok(()),
        }
    });
    assert!(matches!(ended, Err(Error::GivenUp)) && heard == 3);
}
