//! The second copy of head, header and commit block: whatever befalls either, the other one is
//! there.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions, not the functions they share"
)]

use cairn_block::{Epoch, HeadSwap, Heads, StoreError, Twin};
use cairn_store::{RocksStore, StoreOptions};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn open(path: &Path) -> RocksStore {
    RocksStore::open(path, &StoreOptions::default()).unwrap()
}

fn swap<'a>(expected: Option<&'a [u8]>, head: &'a [u8], settled: u64) -> HeadSwap<'a> {
    HeadSwap {
        expected,
        head,
        header: Some(b"a header"),
        root_block: b"a root block",
        delete: &[],
        settled: Epoch(settled),
        restarts_log: false,
    }
}

/// A store after two swaps, closed: its head is `two`.
fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::create(dir.path(), &StoreOptions::default()).unwrap();
    assert_eq!(store.twin().unwrap(), None);
    store.swap_head(&swap(None, b"head one", 1)).unwrap();
    store.swap_head(&swap(Some(b"head one"), b"head two", 2)).unwrap();
    dir
}

fn twin(head: &'static str) -> Twin {
    Twin {
        head: head.into(),
        header: "a header".into(),
        root_block: "a root block".into(),
    }
}

fn is_damage<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(error) if error.is_damage())
}

#[test]
fn any_altered_bit_of_the_twin_is_noticed_and_the_next_swap_writes_it_anew() {
    let dir = store();
    let path = dir.path().join("twin-0");
    let whole = fs::read(&path).unwrap();
    let len = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let opened = open(dir.path());
    assert_eq!(opened.twin().unwrap(), Some(twin("head two")));
    for bit in 0..len * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, altered).unwrap();
        assert!(is_damage(opened.twin()), "bit {bit}");
    }
    fs::remove_file(&path).unwrap();
    // The other file is of the swap before, and never answers for this one.
    assert!(is_damage(opened.twin()));
    assert_eq!(opened.head().unwrap().unwrap(), "head two");
    opened
        .swap_head(&swap(Some(b"head two"), b"head three", 3))
        .unwrap();
    opened
        .swap_head(&swap(Some(b"head three"), b"head four", 4))
        .unwrap();
    assert_eq!(opened.twin().unwrap(), Some(twin("head four")));
    drop(opened);
    assert_eq!(open(dir.path()).twin().unwrap(), Some(twin("head four")));
}

#[test]
fn a_twin_of_a_swap_that_did_not_come_about_does_not_count() {
    let dir = store();
    // As a crash leaves it between the two steps: the other file is of swap 3, which the index
    // knows nothing of.
    let two = fs::read(dir.path().join("twin-0")).unwrap();
    let crashed = store();
    let third = open(crashed.path());
    third
        .swap_head(&swap(Some(b"head two"), b"head three", 3))
        .unwrap();
    drop(third);
    fs::copy(crashed.path().join("twin-1"), dir.path().join("twin-1")).unwrap();
    assert_eq!(fs::read(dir.path().join("twin-0")).unwrap(), two);
    let opened = open(dir.path());
    assert_eq!(opened.head().unwrap().unwrap(), "head two");
    assert_eq!(opened.twin().unwrap(), Some(twin("head two")));
    opened
        .swap_head(&swap(Some(b"head two"), b"head other", 3))
        .unwrap();
    assert_eq!(opened.twin().unwrap(), Some(twin("head other")));
}

/// Tables of the store that hold these bytes.
fn tables_with(dir: &Path, bytes: &[u8]) -> Vec<(std::path::PathBuf, usize)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            let table = fs::read(&path).unwrap();
            let at = table.windows(bytes.len()).position(|window| window == bytes);
            found.extend(at.map(|at| (path, at)));
        }
    }
    found
}

#[test]
fn any_altered_bit_of_the_first_head_or_header_leaves_a_store_that_opens_with_its_twin_and_goes_on() {
    let dir = store();
    // Opening writes what the write-ahead log has into tables.
    drop(open(dir.path()));
    for value in ["head two", "a header"] {
        let tables = tables_with(dir.path(), value.as_bytes());
        let (table, at) = tables.first().expect("the value lies in a table");
        let whole = fs::read(table).unwrap();
        for bit in 0..value.len() * 8 {
            let copy = tempfile::tempdir().unwrap();
            copy_files(dir.path(), copy.path());
            let mut altered = whole.clone();
            altered[at + bit / 8] ^= 1 << (bit % 8);
            fs::write(copy.path().join(table.file_name().unwrap()), altered).unwrap();
            let store = open(copy.path());
            assert!(is_damage(store.head()) && is_damage(store.header()), "bit {bit}");
            assert_eq!(store.twin().unwrap(), Some(twin("head two")), "bit {bit}");
            // An unreadable head is expected as none.
            store.swap_head(&swap(None, b"head three", 3)).unwrap();
            assert_eq!(store.head().unwrap().unwrap(), "head three");
            drop(store);
            let store = open(copy.path());
            assert_eq!(store.head().unwrap().unwrap(), "head three");
            assert_eq!(store.header().unwrap().unwrap(), "a header");
            assert_eq!(store.twin().unwrap(), Some(twin("head three")));
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_files(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
