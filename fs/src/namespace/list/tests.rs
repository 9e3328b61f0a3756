//! Listings of names that share a hash.

use crate::fixture::{caller, header_of};
use crate::{Access, Config, DirCookie, Engine, InodeNo, Kind, Name, Quota, Time};
use cairn_merkle::MemoryStore;
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
