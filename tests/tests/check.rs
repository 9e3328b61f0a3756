//! What a check says of a volume in which one block is damaged, against what can be read of it.
//!
//! ```text
//!  every kind of block, each in turn --flipped, removed--> open without writing --> check: paths D
//!                                                                         `--> read every path there was: broken B
//!  D and B are the same, but for what lies below a directory whose names cannot be read, which D counts
//! ```

use bytes::Bytes;
use cairn_fs::{CheckReport, Config, Damage, Engine, Time};
use cairn_merkle::Cid;
use cairn_tests::various::{self, Paths};
use cairn_tests::volume::{self, Copy, config};
use std::collections::BTreeSet;
use std::sync::Arc;

type Outcome = Result<(), String>;

fn open_read_only(copy: &Copy) -> Result<Arc<Engine>, String> {
    let store = copy.clone().into_memory();
    let config = Config {
        read_only: true,
        ..config()
    };
    volume::key_of(&*store)
        .and_then(|key| Engine::open(store, key, config, Time(60)))
        .map_err(|error| format!("open: {error}"))
}

/// The volume with a block flipped, and with it removed.
fn damaged(copy: &Copy, cid: &Cid) -> [(&'static str, Copy); 2] {
    let (mut flipped, mut removed) = (copy.clone(), copy.clone());
    let (epoch, bytes) = removed.blocks.remove(cid).expect("it is there");
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    flipped.blocks.insert(*cid, (epoch, Bytes::from(bytes)));
    [("flipped", flipped), ("removed", removed)]
}

fn commit_block(copy: &Copy) -> Cid {
    let engine = open_read_only(copy).expect("an untouched volume opens");
    engine.status().root
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Paths named, a directory's without its last `/`; what is no path is left out.
fn named(report: &CheckReport) -> Vec<(Vec<u8>, &Damage)> {
    let paths = report
        .damaged
        .iter()
        .filter(|damage| !damage.path.contains(&b'('));
    paths
        .map(|damage| {
            let path = damage.path.strip_suffix(b"/").unwrap_or(&damage.path);
            (path.to_vec(), damage)
        })
        .collect()
}

/// Whether `path` is in a directory `dir`, at any depth.
fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Holds what a check names against what cannot be read.
fn require_same(report: &CheckReport, seen: &Paths) -> Outcome {
    if report.damaged.is_empty() {
        return Err("the check finds nothing".into());
    }
    let named = named(report);
    let paths: BTreeSet<&Vec<u8>> = named.iter().map(|(path, _)| path).collect();
    let broken = seen.iter().filter(|(_, read)| read.is_err());
    let broken: BTreeSet<&Vec<u8>> = broken.map(|(path, _)| path).collect();
    for path in &paths {
        // Snapshots that cannot be found are not listed.
        let hides = path.as_slice() == b"/.snapshots" && broken.iter().any(|other| is_below(other, path));
        if !broken.contains(path) && !hides {
            return Err(format!("the check names {}, which can be read", text(path)));
        }
    }
    let hides = |damage: &Damage| damage.names > 0 || damage.path == b"/.snapshots/";
    for path in &broken {
        let hidden = named
            .iter()
            .any(|(dir, damage)| hides(damage) && is_below(path, dir));
        if !paths.contains(path) && !hidden {
            return Err(format!("{} cannot be read: {:?}", text(path), seen[*path]));
        }
    }
    for (dir, damage) in named.iter().filter(|(_, damage)| damage.names > 0) {
        let own = broken.iter().filter(|path| {
            let above = path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at]);
            above == Some(dir.as_slice()) && !paths.contains(*path)
        });
        let own = own.count() as u64;
        if own != damage.names {
            return Err(format!(
                "{}: {} names counted, {own} lost",
                text(dir),
                damage.names
            ));
        }
    }
    Ok(())
}

#[test]
fn a_check_names_exactly_the_paths_that_one_damaged_block_breaks() {
    let copy = various::committed();
    let untouched = open_read_only(&copy).expect("an untouched volume opens");
    let paths = various::paths(&untouched);
    volume::require_clean(&untouched).unwrap_or_else(|why| panic!("{why}"));
    let root = commit_block(&copy);
    assert!(copy.blocks.len() > 70, "{} blocks", copy.blocks.len());
    for (at, cid) in copy.blocks.keys().filter(|cid| **cid != root).enumerate() {
        for (what, copy) in damaged(&copy, cid) {
            let require = || {
                let engine = open_read_only(&copy)?;
                let report = engine.check(&|_| {}).map_err(|error| format!("check: {error}"))?;
                require_same(&report, &various::read_all(&engine, &paths))
            };
            require().unwrap_or_else(|why| panic!("block {at}, {cid}, {what}: {why}"));
        }
    }
}

/// Chance decides nothing here: blocks that lie `step` apart in the order of their names.
#[test]
fn a_check_of_two_damaged_blocks_names_what_either_breaks() {
    let copy = various::committed();
    let untouched = open_read_only(&copy).expect("an untouched volume opens");
    let paths = various::paths(&untouched);
    let root = commit_block(&copy);
    let cids: Vec<Cid> = copy.blocks.keys().copied().filter(|cid| *cid != root).collect();
    for step in [1, 7, 19, 31] {
        for (at, first) in cids.iter().enumerate() {
            let second = cids[(at + step) % cids.len()];
            let mut copy = copy.clone();
            copy.blocks.remove(first);
            copy.blocks.remove(&second);
            let require = || {
                let engine = open_read_only(&copy)?;
                let report = engine.check(&|_| {}).map_err(|error| format!("check: {error}"))?;
                require_same(&report, &various::read_all(&engine, &paths))
            };
            require().unwrap_or_else(|why| panic!("blocks {first} and {second}: {why}"));
        }
    }
}
