//! Whether the store is still there: what a health check asks, without a write.
//!
//! ```text
//!   directory at the path: the one that is locked? --> its files there? --> a read past the page cache
//! ```
//!
//! Files that are open answer long after their directory was removed, and the page cache answers
//! for a device that is gone. So the look is at the names, and at the medium.

use super::base::RocksStore;
use super::intent;
use crate::own::{self, Access};
use crate::{direct, pack};
use cairn_block::StoreError;
use cairn_block::buffer::{ALIGN, Pool};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file of RocksDB that is there as long as the database is.
const CURRENT: &str = "CURRENT";

/// [`cairn_block::Blocks::probe`].
///
/// # Errors
/// As there.
pub(super) fn probe(store: &RocksStore) -> Result<(), StoreError> {
    let at = |source| StoreError::io("be found where it was opened", source);
    match store.lock.is_at(&store.path) {
        Ok(true) => {}
        Ok(false) => return Err(at(io::Error::other("another directory is in its place"))),
        Err(source) => return Err(at(source)),
    }
    for name in [CURRENT, intent::DIR, pack::DIR] {
        let found = fs::symlink_metadata(store.path.join(name));
        found.map_err(|source| at(io::Error::new(source.kind(), format!("{name}: {source}"))))?;
    }
    let read = read_medium(&store.path.join(CURRENT));
    read.map_err(|source| StoreError::io("answer from its device", source))?;
    // Not of a store that only reads: a change that was refused there says nothing.
    match store.access.writes() {
        true => store.check_background("take a write"),
        false => Ok(()),
    }
}

/// Reads the first bytes of a file, past the page cache where the filesystem allows that.
fn read_medium(path: &Path) -> io::Result<()> {
    let mut into = Pool::new(ALIGN, 0).take(ALIGN);
    let read = direct::open(path, Access::Read).map(|file| file.read_at(into.bytes_mut(), 0));
    match read {
        Some(Ok(_)) => Ok(()),
        // No direct reads here, or of other sizes only.
        Some(Err(error)) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => own::open(path, false)?.read_at(into.bytes_mut(), 0).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rocks::options::StoreOptions;
    use cairn_block::Blocks;

    #[test]
    fn a_store_that_is_taken_away_or_replaced_is_told_and_one_that_comes_back_is_well() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("store"), dir.path().join("aside"));
        let store = RocksStore::create(&path, &StoreOptions::default()).unwrap();
        store.probe().unwrap();
        fs::rename(&path, &aside).unwrap();
        assert!(store.probe().is_err(), "it is gone");
        fs::create_dir(&path).unwrap();
        let other = store.probe().unwrap_err().to_string();
        assert!(other.contains("another directory"), "{other}");
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        store.probe().unwrap();
        fs::rename(path.join("packs"), dir.path().join("packs")).unwrap();
        let part = store.probe().unwrap_err().to_string();
        assert!(part.contains("packs"), "{part}");
    }
}
