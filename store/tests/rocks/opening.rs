//! What is created, opened and refused.

use crate::stage::{create, open};
use cairn_store::{OpenError, RocksStore, StoreOptions};
use std::fs;

#[test]
fn create_refuses_a_directory_that_is_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), "dear").unwrap();
    let refused = RocksStore::create(dir.path(), &StoreOptions::default()).map(drop);
    let Err(OpenError::NotEmpty { path }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(path, dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn open_leaves_alone_what_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        open(&dir.path().join("none")),
        Err(OpenError::Missing { .. })
    ));
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    fs::write(dir.path().join("letter"), "dear").unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let foreign = dir.path().join("foreign");
    drop(rocksdb::DB::open_default(&foreign).unwrap());
    let before = fs::read_dir(&foreign).unwrap().count();
    assert!(matches!(open(&foreign), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), before);
}

#[test]
fn open_refuses_an_unknown_format() {
    let (dir, store) = create();
    drop(store);
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), ["blocks"]).unwrap();
    db.put(b"mformat", "cairn-store 9").unwrap();
    drop(db);
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::UnknownFormat { found, .. }) if found == "cairn-store 9"));
}

#[test]
fn a_second_open_finds_the_store_locked() {
    let (dir, _store) = create();
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
    // The files in the directory are the outside's to take.
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
}
