//! One altered bit in RocksDB's write-ahead log: the store opens, and its head has its blocks.
//!
//! ```text
//!   store --many puts | swaps, deletes and a reclaim--> closed --> copy: a bit of the log flipped --> opened
//! ```

use cairn_block::{Blocks, Cid, Codec, Epoch, HeadSwap, Heads, PutHint, Sealed};
use cairn_store::{RocksStore, StoreOptions};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Small, so that a few megabytes of index are several memtables.
const OPTIONS: StoreOptions = StoreOptions {
    memory_bytes: 1 << 20,
    reserve_bytes: 0,
};

fn block(n: u64, len: usize) -> Sealed {
    let mut bytes = vec![n as u8; len];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes.into())
}

fn swap(store: &RocksStore, head: &[u8], delete: &[Cid], settled: u64) {
    let expected = store.head().expect("it is there");
    let swap = HeadSwap {
        expected: expected.as_deref(),
        head,
        header: None,
        root_block: b"root block",
        delete,
        settled: Epoch(settled),
        restarts_log: false,
    };
    store.swap_head(&swap).expect("the expected head lies there");
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("there is a place for it");
    for entry in below(dir) {
        let to = copy.path().join(entry.strip_prefix(dir).expect("it lies below"));
        match entry.is_dir() {
            true => fs::create_dir(&to).expect("it is new"),
            false => drop(fs::copy(&entry, &to).expect("it can be copied")),
        }
    }
    copy
}

/// All files and folders below `dir`, folders first.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("it is a directory") {
        let path = entry.expect("it can be read").path();
        let inside = if path.is_dir() { below(&path) } else { Vec::new() };
        found.push(path);
        found.extend(inside);
    }
    found
}

/// A copy of the store for each of `count` places in its logs, with a bit altered there.
fn damaged(dir: &Path, count: usize) -> impl Iterator<Item = (String, TempDir)> {
    let logs: Vec<_> = below(dir)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|is| is == "log"))
        .collect();
    assert!(!logs.is_empty());
    let places = logs.into_iter().flat_map(move |log| {
        let len = fs::metadata(&log).expect("it is there").len() as usize;
        (0..count).map(move |n| (log.clone(), len * n / count))
    });
    places.map(move |(log, at)| {
        let copy = copy_of(dir);
        let log = copy.path().join(log.file_name().expect("it has a name"));
        let mut bytes = fs::read(&log).expect("it can be read");
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        fs::write(&log, bytes).expect("it can be written");
        (format!("byte {at} of {}", log.display()), copy)
    })
}

#[test]
fn damage_of_the_log_refuses_no_store_whose_places_filled_memtables() {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::create(dir.path(), &OPTIONS).unwrap();
    swap(&store, b"first", &[], 0);
    for some in (0..50_000).map(|n| block(n, 8)).collect::<Vec<_>>().chunks(1000) {
        store.put(Epoch(1), some, PutHint::Bulk).unwrap();
    }
    store.close().unwrap();
    drop(store);
    for (what, copy) in damaged(dir.path(), 12) {
        let store = RocksStore::open(copy.path(), &OPTIONS).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.head().unwrap().as_deref(), Some(&b"first"[..]), "{what}");
    }
}

#[test]
fn a_head_that_comes_back_has_its_blocks_after_a_reclaim() {
    const HEADS: u64 = 6;
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::create(dir.path(), &OPTIONS).unwrap();
    let garbage: Vec<_> = (100..104).map(|n| block(n, 1 << 20)).collect();
    store.put(Epoch(1), &garbage, PutHint::Bulk).unwrap();
    // As commits do: each head needs one block, and deletes that of the head before.
    let mut delete = garbage.iter().map(|block| block.cid).collect::<Vec<_>>();
    for n in 1..=HEADS {
        let needed = block(n, 4096);
        store.put(Epoch(n), &[needed], PutHint::Small).unwrap();
        swap(&store, &n.to_be_bytes(), &delete, n);
        delete = vec![block(n, 4096).cid];
        if n == HEADS - 2 {
            store.reclaim().unwrap();
        }
    }
    store.close().unwrap();
    drop(store);
    for (what, copy) in damaged(dir.path(), 40) {
        let store = RocksStore::open(copy.path(), &OPTIONS).unwrap_or_else(|error| panic!("{what}: {error}"));
        let head = store.head().unwrap().expect("a head is in the tables");
        let n = u64::from_be_bytes(head[..].try_into().expect("eight bytes"));
        let needed = block(n, 4096);
        assert_eq!(
            store.get(&needed.cid).unwrap(),
            Some(needed.bytes),
            "{what}: head {n}"
        );
    }
}
