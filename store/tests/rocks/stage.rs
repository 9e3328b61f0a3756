//! A store in a directory, what is put into it, and what a kill leaves of it.

use bytes::Bytes;
use cairn_block::{Cid, Codec, Epoch, HeadSwap, LogPos, Sealed};
use cairn_store::{OpenError, RocksStore, StoreOptions};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub(crate) const MIB: u64 = 1 << 20;

/// A unique block: `len` bytes that start with `n`.
pub(crate) fn block(n: u64, len: usize) -> Sealed {
    let mut bytes = vec![n as u8; len];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Sealed::new(Cid::of(Codec::Leaf, &bytes), Bytes::from(bytes))
}

pub(crate) fn swap<'a>(
    expected: Option<&'a [u8]>,
    head: &'a [u8],
    delete: &'a [Cid],
    settled: u64,
) -> HeadSwap<'a> {
    HeadSwap {
        expected,
        head,
        header: None,
        root_block: b"root block",
        delete,
        settled: Epoch(settled),
        restarts_log: false,
    }
}

pub(crate) fn pos(epoch: u64, seq: u64) -> LogPos {
    LogPos {
        epoch: Epoch(epoch),
        seq,
    }
}

pub(crate) fn create() -> (TempDir, RocksStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::create(dir.path(), &StoreOptions::default()).unwrap();
    (dir, store)
}

pub(crate) fn open(path: &Path) -> Result<RocksStore, OpenError> {
    RocksStore::open(path, &StoreOptions::default())
}

/// What a kill at this moment leaves: the files as they are, without the closing of the store.
pub(crate) fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir, copy.path());
    copy
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

pub(crate) fn used(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let of = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => used(&entry.path()),
        false => entry.metadata().unwrap().blocks() * 512,
    };
    fs::read_dir(dir).unwrap().map(|entry| of(entry.unwrap())).sum()
}
