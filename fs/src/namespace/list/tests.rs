//! Listings of names that share a hash, of all layers, and of damaged directories.

use crate::fixture::tree::{ROOT, Tree, config, name};
use crate::fixture::{caller, header_of};
use crate::{Access, Config, DirCookie, Engine, Error, InodeNo, Kind, Name, Operations, Quota, Time};
use cairn_merkle::testing::{FaultStore, Op, Tamper};
use cairn_merkle::{MemoryStore, NodeSource};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Enough for hundreds of pairs of one hash, and some that are more.
const TRIED: u32 = 700_000;

fn volume() -> Arc<Engine> {
    let (store, (header, key)) = (MemoryStore::new(), header_of(4096));
    crate::format(&store, &header, &key, Quota::default(), caller()).unwrap();
    Engine::open(Arc::new(store), key, Config::default(), Time(1)).unwrap()
}

/// Names that share their hash with others, by hash.
fn groups(engine: &Engine) -> Vec<Vec<Name>> {
    let state = engine.state.lock();
    let mut by_hash: BTreeMap<u32, Vec<Name>> = BTreeMap::new();
    for n in 0..TRIED {
        let name = Name::new(format!("{n}").as_bytes()).unwrap();
        by_hash.entry(state.key(&name).hash).or_default().push(name);
    }
    let mut groups: Vec<_> = by_hash.into_values().filter(|names| names.len() > 1).collect();
    groups.sort_by_key(|names| std::cmp::Reverse(names.len()));
    groups.truncate(60);
    groups
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

fn create(engine: &Engine, name: &Name) {
    let made = engine.mknod(InodeNo::ROOT, name, Kind::File, 0o600, 0, caller());
    engine.forget(made.unwrap().ino, 1);
}

#[test]
fn a_listing_meets_every_name_once_while_those_of_its_hash_come_and_go() {
    let engine = volume();
    let groups = groups(&engine);
    let names: Vec<&Name> = groups.iter().flatten().collect();
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let mut there: BTreeSet<&Name> = BTreeSet::new();
        for entry in engine
            .readdir(InodeNo::ROOT, DirCookie(0), usize::MAX, false)
            .unwrap()
        {
            engine.unlink(InodeNo::ROOT, &entry.name, caller()).unwrap();
        }
        for name in &names {
            if dice.roll(3) > 0 {
                create(&engine, name);
                there.insert(name);
            }
        }
        let mut stayed = there.clone();
        engine.open_file(InodeNo::ROOT, Access::Read).unwrap();
        let (mut after, mut seen) = (DirCookie(0), Vec::new());
        loop {
            let page = engine
                .readdir(InodeNo::ROOT, after, 1 + dice.roll(3), true)
                .unwrap();
            let Some(last) = page.last() else { break };
            after = last.cookie;
            seen.extend(page.into_iter().map(|entry| entry.name));
            for _ in 0..8 {
                let name = names[dice.roll(names.len())];
                if there.remove(name) {
                    engine.unlink(InodeNo::ROOT, name, caller()).unwrap();
                    stayed.remove(name);
                } else {
                    create(&engine, name);
                    there.insert(name);
                }
            }
            if dice.roll(10) == 0 {
                engine.commit().unwrap();
            }
        }
        engine.release(InodeNo::ROOT);
        for name in stayed {
            let times = seen.iter().filter(|other| *other == name).count();
            assert_eq!(times, 1, "{name:?} with seed {seed}");
        }
    }
}

#[test]
fn what_comes_and_goes_while_a_directory_is_closed_moves_no_name_over_another() {
    let engine = volume();
    let mut names = groups(&engine).swap_remove(0);
    names.sort();
    // In one volume of twenty no three names share a hash.
    let [first, second, third, ..] = &names[..] else {
        return;
    };
    engine.open_file(ROOT, Access::Read).unwrap();
    create(&engine, first);
    create(&engine, second);
    engine.release(ROOT);
    engine.unlink(ROOT, first, caller()).unwrap();
    create(&engine, third);
    engine.open_file(ROOT, Access::Read).unwrap();
    let (mut after, mut seen) = (DirCookie(0), Vec::new());
    while let [entry] = &engine.readdir(ROOT, after, 1, false).unwrap()[..] {
        after = entry.cookie;
        seen.push(entry.name.clone());
    }
    assert_eq!(seen, [second.clone(), third.clone()]);
    engine.release(ROOT);
}

#[test]
fn cookies_fit_31_bits_and_are_one_for_each_name() {
    let engine = volume();
    for name in groups(&engine).iter().flatten() {
        create(&engine, name);
    }
    for committed in [false, true] {
        let rows = engine
            .readdir(InodeNo::ROOT, DirCookie(0), usize::MAX, false)
            .unwrap();
        let cookies: BTreeSet<_> = rows.iter().map(|entry| entry.cookie.0).collect();
        assert_eq!(cookies.len(), rows.len());
        assert!(cookies.iter().all(|cookie| (16..1 << 31).contains(cookie)));
        for (at, row) in rows.iter().enumerate() {
            let next = engine.readdir(InodeNo::ROOT, row.cookie, 1, false).unwrap();
            assert_eq!(next.first(), rows.get(at + 1), "committed: {committed}");
        }
        engine.commit().unwrap();
    }
}

/// A directory with names in all layers: stored, frozen by a commit that found no room, and open.
fn layered() -> (Tree<FaultStore<MemoryStore>>, BTreeMap<String, InodeNo>) {
    let tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let mut there = BTreeMap::new();
    for (layer, letter) in ["s", "f", "o"].into_iter().enumerate() {
        for n in 0..50 {
            let text = format!("{letter}{n}");
            there.insert(text.clone(), tree.file(ROOT, &text));
        }
        for n in 0..10 * layer {
            for other in ["s", "f"].into_iter().take(layer) {
                let text = format!("{other}{n}");
                if there.remove(&text).is_some() {
                    tree.unlink(ROOT, &text).unwrap();
                }
            }
        }
        match layer {
            0 => tree.engine.commit().unwrap(),
            1 => {
                tree.store.full_from_nth(Op::SwapHead, 0);
                assert!(tree.engine.commit().is_err());
                tree.store.heal();
            }
            _ => {}
        }
    }
    // One that comes back over its removal.
    there.insert("s0".into(), tree.file(ROOT, "s0"));
    (tree, there)
}

#[test]
fn names_of_all_layers_are_listed_in_pages_of_any_size() {
    let (mut tree, there) = layered();
    let expected: Vec<_> = there.into_iter().collect();
    for count in [1, 2, 7, 50, 1000] {
        let (mut after, mut rows) = (DirCookie(0), Vec::new());
        loop {
            let page = tree.engine.readdir(ROOT, after, count, count == 7).unwrap();
            assert!(page.len() <= count);
            let Some(last) = page.last() else { break };
            assert!(page.is_sorted_by_key(|row| row.cookie) && page[0].cookie > after);
            after = last.cookie;
            for row in page {
                assert_eq!(row.attr.is_some(), count == 7);
                let text = String::from_utf8(row.name.as_bytes().to_vec()).unwrap();
                rows.push((text, row.ino));
            }
        }
        rows.sort();
        assert!(rows == expected, "pages of {count}");
    }
    tree.always(|tree, when| assert!(tree.list(ROOT) == expected, "{when}"));
    assert!(
        tree.engine
            .readdir(ROOT, DirCookie(0), 0, false)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn attributes_in_a_listing_are_the_newest() {
    let mut tree = Tree::new();
    let (dir, file) = (tree.dir(ROOT, "dir"), tree.file(ROOT, "file"));
    tree.file(dir, "below");
    tree.write(file, 0, b"123");
    tree.link(file, ROOT, "linked");
    tree.engine.commit().unwrap();
    tree.write(file, 3, b"45");
    tree.always(|tree, when| {
        let rows = tree.engine.readdir(ROOT, DirCookie(0), 10, true).unwrap();
        assert_eq!(rows.len(), 3);
        for row in rows {
            let found = tree.engine.lookup(ROOT, &row.name).unwrap();
            assert_eq!(row.attr, Some(found), "{when}");
            assert_eq!((row.ino, row.kind), (found.ino, found.kind), "{when}");
            let size = if found.kind == Kind::Directory { 96 } else { 5 };
            assert_eq!(found.size, size, "{when}");
            tree.engine.forget(found.ino, 1);
        }
    });
    let file = tree.hold(ROOT, "file");
    let refused = tree.engine.readdir(file, DirCookie(0), 1, false);
    assert!(matches!(refused, Err(Error::NotDirectory)));
}

#[test]
fn a_listing_counts_no_references() {
    let mut tree = Tree::new();
    tree.file(ROOT, "file");
    tree.reopen();
    let rows = tree.engine.readdir(ROOT, DirCookie(0), 10, true).unwrap();
    assert!(tree.engine.getattr(rows[0].ino).is_err());
    let kept = tree.engine.retain(ROOT, &rows[0]).unwrap();
    assert_eq!(kept, rows[0].attr);
    assert!(tree.engine.getattr(rows[0].ino).is_ok());
    tree.engine.forget(rows[0].ino, 1);
    assert!(tree.engine.getattr(rows[0].ino).is_err());
}

#[test]
fn snapshots_are_listed_and_the_directory_of_them_is_not() {
    let mut tree = Tree::new();
    tree.file(ROOT, "file");
    for text in ["b", "a"] {
        tree.engine.snapshot_create(&name(text), Time(1)).unwrap();
    }
    tree.always(|tree, _| {
        assert_eq!(tree.names(ROOT), ["file"]);
        let page = |after, count| {
            tree.engine
                .readdir(InodeNo::SNAPSHOTS, after, count, false)
                .unwrap()
        };
        let rows = page(DirCookie(0), 9);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_bytes()).collect();
        assert_eq!(names, [b"b", b"a"], "in the order they were taken");
        assert_eq!(page(DirCookie(0), 1), rows[..1]);
        assert_eq!(page(rows[0].cookie, 9), rows[1..]);
        for row in rows {
            assert_eq!(tree.names(tree.hold(InodeNo::SNAPSHOTS, "a")), ["file"]);
            assert_eq!(
                tree.find(InodeNo::SNAPSHOTS, "a").is_ok(),
                row.kind == Kind::Directory
            );
        }
    });
}

#[test]
fn a_list_with_a_damaged_part_tells_the_rest_and_does_not_end_as_if_it_were_whole() {
    let mut tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    for n in 0..600 {
        tree.file(ROOT, &format!("{n}"));
    }
    tree.reopen();
    let root = tree
        .engine
        .state
        .lock()
        .inodes
        .get(ROOT)
        .unwrap()
        .dir()
        .unwrap()
        .stored
        .clone();
    let node = tree.engine.blocks.node(&root.unwrap()).unwrap();
    let lost = node.links[1].cid;
    tree.store.tamper(lost, Tamper::FlipBit(1));
    for _ in 0..2 {
        let rows = tree.engine.readdir(ROOT, DirCookie(0), 1000, false).unwrap();
        assert!(rows.len() > 100 && rows.len() < 600, "{}", rows.len());
        let last = rows.last().unwrap().cookie;
        let end = tree.engine.readdir(ROOT, last, 1000, false);
        let damaged = match end {
            Err(Error::Merkle(error)) => error.damaged(),
            _ => None,
        };
        assert_eq!(damaged, Some(lost));
        // As often as it is asked, until the block is there again.
        assert!(tree.engine.readdir(ROOT, last, 1000, false).is_err());
    }
    tree.store.heal();
    let rows = tree.engine.readdir(ROOT, DirCookie(0), 1000, false).unwrap();
    assert_eq!(rows.len(), 600);
    let end = tree.engine.readdir(ROOT, rows[599].cookie, 9, false);
    assert!(end.unwrap().is_empty());
}
