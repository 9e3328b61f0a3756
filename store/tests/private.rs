//! The files of a store say nothing of their machine.

use bytes::Bytes;
use cairn_block::{Blocks, Cid, Codec, Epoch, HeadSwap, Heads, Log, LogPos, PutHint, Sealed};
use cairn_store::{RocksStore, StoreOptions};
use std::fs;
use std::path::Path;

const PLACE: &str = "a-place-that-nothing-else-is-called";

/// Files below `dir` that hold any of these.
fn files_with(dir: &Path, needles: &[&str], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("the directory is there") {
        let path = entry.expect("it is listed").path();
        if path.is_dir() {
            files_with(&path, needles, found);
            continue;
        }
        let bytes = fs::read(&path).expect("the file is there");
        for needle in needles {
            if bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
            {
                found.push(format!("{} holds {needle}", path.display()));
            }
        }
    }
}

#[test]
fn no_file_of_a_store_names_the_machine_or_where_the_store_lies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(PLACE);
    let options = StoreOptions {
        memory_bytes: 1 << 20,
        ..StoreOptions::default()
    };
    drop(RocksStore::create(&path, &options).unwrap());
    let mut head = None::<Vec<u8>>;
    // Each opening writes a table; so many are compacted into one.
    for epoch in 1..=8_u64 {
        let store = RocksStore::open(&path, &options).unwrap();
        let blocks: Vec<_> = (0..200_u64)
            .map(|n| {
                let bytes = [epoch.to_le_bytes(), n.to_le_bytes()].concat();
                Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes.into())
            })
            .collect();
        store.put(Epoch(epoch), &blocks, PutHint::Bulk).unwrap();
        let pos = LogPos {
            epoch: Epoch(epoch),
            seq: 0,
        };
        store.log_append(&[(pos, Bytes::from_static(b"record"))]).unwrap();
        let next = epoch.to_le_bytes().to_vec();
        let delete: Vec<_> = blocks[..100].iter().map(|block| block.cid).collect();
        let swap = HeadSwap {
            expected: head.as_deref(),
            head: &next,
            header: Some(b"header"),
            root_block: b"root block",
            delete: &delete,
            settled: Epoch(epoch),
            restarts_log: false,
        };
        store.swap_head(&swap).unwrap();
        head = Some(next);
        store.reclaim().unwrap();
        store.close().unwrap();
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut needles = vec![PLACE, dir.path().to_str().unwrap()];
    // A name of a few letters is found anywhere.
    needles.extend(Some(host.as_str()).filter(|host| host.len() > 5));
    let mut found = Vec::new();
    files_with(&path, &needles, &mut found);
    assert!(found.is_empty(), "{found:#?}");
}
