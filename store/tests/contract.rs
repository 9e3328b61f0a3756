//! The promises of every store, asked of this one.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions, not the functions they share"
)]

use cairn_block::testing::store_contract;
use cairn_store::{RocksStore, StoreOptions};
use std::cell::RefCell;

#[test]
fn rocks_store_keeps_the_contract() {
    let dirs = RefCell::new(Vec::new());
    store_contract(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::create(&dir.path().join("store"), &StoreOptions::default()).unwrap();
        dirs.borrow_mut().push(dir);
        store
    });
}
