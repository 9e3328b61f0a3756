//! Reclaims beside a writer: what is synced stays, whatever fills up and ends meanwhile.

use cairn_block::{Blocks, Cid, Codec, Epoch, PutHint, Sealed};
use cairn_store::{RocksStore, StoreOptions};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

fn block(n: u64, len: usize) -> Sealed {
    let mut bytes = vec![n as u8; len];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes.into())
}

fn open(path: &Path) -> RocksStore {
    RocksStore::open(path, &StoreOptions::default()).expect("the store opens")
}

/// Enough that a walk of the index takes longer than a put.
const INDEXED: u64 = 40_000;
const LEN: usize = 2 << 20;
/// More than two packs hold.
const PUTS: u64 = 280;

#[test]
fn synced_blocks_survive_reclaims_beside_a_writer_that_fills_packs() {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::create(dir.path(), &StoreOptions::default()).unwrap();
    let small: Vec<_> = (0..INDEXED).map(|n| block(1 << 32 | n, 8)).collect();
    for some in small.chunks(1000) {
        store.put(Epoch(1), some, PutHint::Bulk).unwrap();
    }
    store.close().unwrap();
    drop(store);
    // As after a crash: each reclaim looks at every pack until one has come to its end.
    fs::remove_file(dir.path().join("packs/garbage")).unwrap();
    let store = open(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..PUTS {
                store.put(Epoch(2), &[block(n, LEN)], PutHint::Bulk).unwrap();
                if n % 2 == 1 {
                    store.delete(&[block(n, LEN).cid]).unwrap();
                }
            }
            store.sync().unwrap();
            done.store(true, SeqCst);
        });
        while !done.load(SeqCst) {
            store.reclaim().unwrap();
        }
    });
    let lost = |store: &RocksStore| {
        let kept = (0..PUTS).step_by(2).map(|n| block(n, LEN));
        kept.filter(|block| store.get(&block.cid).unwrap().as_ref() != Some(&block.bytes))
            .count()
    };
    assert_eq!(lost(&store), 0);
    assert!(small.iter().all(|block| store.get(&block.cid).unwrap().is_some()));
    drop(store);
    assert_eq!(lost(&open(dir.path())), 0, "after a reopen");
}
