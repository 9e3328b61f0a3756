//! Opening a store to be read, with not one write: from a read-only disk, a full one, or one that is to stay as it is.
//!
//! ```text
//!   shared lock --> RocksDB read-only: its log is replayed in memory, and left as it lies, damage and all
//!               `-> log, marks, packs, twins: files opened for reading; what a clean close knew is not taken away
//! ```
//!
//! The head is the one that opening for writing would find: both replay RocksDB's log up to the first record that is
//! not whole. Opening for writing then begins a new log behind it. What a later tool, or a mended disk, could still read
//! there is gone then, so a command that only reads must not do it.

use super::base::RocksStore;
use super::open::{families, find};
use super::options::{self, StoreOptions};
use crate::error::OpenError;
use crate::lock::DirLock;
use crate::own::Access;
use rocksdb::DB;
use std::path::Path;

impl RocksStore {
    /// Opens the store in `path` to be read. Writes nothing, there or elsewhere, and refuses every change. Any number of
    /// readers may have a store open, and none of them beside a writer.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_read_only(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let lock = find(path, DirLock::share)?;
        let failed = |error| OpenError::database(path.to_owned(), error);
        let settings = options::database(false).map_err(failed)?;
        // A log that is there is no error: after a crash it holds the newest head.
        let db = DB::open_cf_descriptors_read_only(&settings, path, families(options), false);
        let store = Self::over(path, options, db.map_err(failed)?, lock, Access::Read)?;
        store.of_known_format()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_block::{Blocks, Cid, Codec, Epoch, Heads, Log, LogPos, PutHint, Sealed};
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;
    use std::time::SystemTime;

    type Files = BTreeMap<PathBuf, (Vec<u8>, SystemTime)>;

    fn files(dir: &Path, into: &mut Files) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::metadata(&path).unwrap();
            let bytes = match about.is_dir() {
                true => Vec::new(),
                false => fs::read(&path).unwrap(),
            };
            if about.is_dir() {
                files(&path, into);
            }
            into.insert(path, (bytes, about.modified().unwrap()));
        }
    }

    #[test]
    fn a_store_that_is_read_stays_as_it_is_and_refuses_every_change() {
        let dir = tempfile::tempdir().unwrap();
        let (path, options) = (dir.path().join("store"), StoreOptions::default());
        let state = || {
            let mut found = Files::new();
            files(&path, &mut found);
            found
        };
        let block = Sealed::new(Cid::of(Codec::Leaf, b"block"), b"block".to_vec().into());
        let pos = LogPos {
            epoch: Epoch(2),
            seq: 0,
        };
        {
            let store = RocksStore::create(&path, &options).unwrap();
            store
                .put(Epoch(1), std::slice::from_ref(&block), PutHint::Bulk)
                .unwrap();
            store.sync().unwrap();
            store.log_append(&[(pos, b"record".to_vec().into())]).unwrap();
            store.close().unwrap();
        }
        let before = state();
        let open = || RocksStore::open_read_only(&path, &options);
        let (reader, other) = (open().unwrap(), open().unwrap());
        assert!(matches!(
            RocksStore::open(&path, &options),
            Err(OpenError::Locked { .. })
        ));
        assert_eq!(reader.get(&block.cid).unwrap().unwrap(), block.bytes);
        assert_eq!(other.log_read(pos, usize::MAX).unwrap().len(), 1);
        let refused = [
            reader.put(Epoch(2), std::slice::from_ref(&block), PutHint::Small),
            reader.delete(&[block.cid]),
            reader.log_append(&[(pos, b"other".to_vec().into())]),
            reader.log_mark(b"mark"),
            reader.drop_twins_ahead(),
            reader.reclaim(),
            reader.sync(),
        ];
        assert!(refused.iter().all(Result::is_err));
        reader.close().unwrap();
        drop((reader, other));
        assert!(state() == before, "no byte and no time has changed");
        RocksStore::open(&path, &options).unwrap();
    }
}
