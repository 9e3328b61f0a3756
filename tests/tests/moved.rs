//! A head that is put back under a mount, as the owner of the store can: nothing goes on from it,
//! and nothing is published over it.

use bytes::Bytes;
use cairn_fs::{Engine, Error, InodeNo};
use cairn_merkle::{Epoch, HeadSwap, Heads, MemoryStore, StoreError, Twin};
use cairn_tests::sample::put_file;
use cairn_tests::volume;
use std::sync::Arc;

/// Whether the error says that the head was moved.
fn is_moved(error: &Error) -> bool {
    matches!(
        error,
        Error::Merkle(cairn_merkle::Error::Store(StoreError::HeadMoved))
    )
}

fn head(store: &MemoryStore) -> (Bytes, Twin) {
    let (head, twin) = (store.head(), store.twin());
    let head = head.expect("memory answers").expect("a volume has a head");
    (head, twin.expect("memory answers").expect("and a twin"))
}

/// Puts back what lay there before.
fn put_back(store: &MemoryStore, (old, twin): &(Bytes, Twin)) {
    let (now, _) = head(store);
    let swap = HeadSwap {
        expected: Some(&now),
        head: old,
        header: Some(&twin.header),
        root_block: &twin.root_block,
        delete: &[],
        settled: Epoch(0),
        restarts_log: false,
    };
    store.swap_head(&swap).expect("nobody else moves it");
}

fn commit(engine: &Engine, name: &str) {
    put_file(engine, InodeNo::ROOT, name, &[7; 5000]).expect("nothing hinders it");
    engine.commit().expect("nothing hinders it");
}

#[test]
fn a_head_that_moves_backwards_under_a_mount_is_noticed_before_a_publication() {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).unwrap();
    commit(&engine, "one");
    let old = head(&store);
    commit(&engine, "two");
    engine.require_head().unwrap();
    put_back(&store, &old);
    assert!(is_moved(&engine.require_head().unwrap_err()));
    assert!(
        engine.status().read_only.is_some(),
        "it goes on as if nothing were"
    );
    assert!(engine.prepare_publication().is_err());
}

#[test]
fn a_head_that_moves_backwards_under_a_mount_is_noticed_by_the_next_commit() {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).unwrap();
    commit(&engine, "one");
    let old = head(&store);
    commit(&engine, "two");
    put_back(&store, &old);
    put_file(&engine, InodeNo::ROOT, "three", &[7; 5000]).unwrap();
    assert!(is_moved(&engine.commit().unwrap_err()));
    assert!(engine.status().read_only.is_some());
    assert_eq!(head(&store).0, old.0, "nothing was written over it");
}
