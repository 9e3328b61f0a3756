//! A store on its way: made whole, or not at all.
//!
//! ```text
//!   begin: marker `unfinished`, durable --> files, blocks, head --> finish: marker removed, durable
//!              |-- a crash, a kill, a full disk: open refuses it, and the next begin takes away what is left of it
//!              `-- an error: clear, at once
//! ```
//!
//! The marker says that nothing in the directory was ever reported as done. Only files that a creation makes are
//! removed: with any other beside them the directory is no leftover, and stays as it is.

use crate::error::OpenError;
use crate::lock::DirLock;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The marker's name.
const NAME: &str = "unfinished";

/// Whether a creation in this directory has not been finished.
pub(super) fn is(store: &Path) -> bool {
    fs::symlink_metadata(store.join(NAME)).is_ok()
}

/// Begins a creation in a directory whose lock is held: empty, or with what an earlier one left.
pub(super) fn begin(store: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: store.to_owned(),
        source,
    };
    let foreign = entries(store)
        .map_err(io)?
        .iter()
        .any(|name| !(is(store) && is_ours(name)));
    if foreign {
        return Err(OpenError::NotEmpty {
            path: store.to_owned(),
        });
    }
    remove_files(store).map_err(io)?;
    // Durable before anything that it is to mark.
    let marked = File::create(store.join(NAME)).and_then(|_| sync(store));
    marked.map_err(io)
}

/// The store is whole, and durable.
pub(super) fn finish(store: &Path) -> io::Result<()> {
    fs::remove_file(store.join(NAME))?;
    sync(store)
}

/// Takes away what a creation left that has not been finished; nothing of any other directory.
pub(super) fn clear(store: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: store.to_owned(),
        source,
    };
    // Another process may have begun anew meanwhile.
    let _lock = DirLock::take(store)?;
    if !is(store) || !entries(store).map_err(io)?.iter().all(|name| is_ours(name)) {
        return Ok(());
    }
    remove_files(store).map_err(io)?;
    // Last: a kill before this leaves a directory that is still told from a store.
    fs::remove_file(store.join(NAME)).map_err(io)
}

fn remove_files(store: &Path) -> io::Result<()> {
    for name in entries(store)?.iter().filter(|name| *name != NAME) {
        let path = store.join(name);
        match fs::symlink_metadata(&path)?.is_dir() {
            true => fs::remove_dir_all(&path)?,
            false => fs::remove_file(&path)?,
        }
    }
    Ok(())
}

fn entries(store: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(store)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Whether a creation makes a file of this name.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let whole = [
        NAME, "intent", "packs", "twin-0", "twin-1", "CURRENT", "IDENTITY", "LOCK",
    ];
    let begins = ["MANIFEST-", "OPTIONS-"];
    let ends = [".sst", ".log", ".dbtmp"];
    whole.contains(&name)
        || begins.iter().any(|begin| name.starts_with(begin))
        || ends.iter().any(|end| name.ends_with(end))
}

fn sync(store: &Path) -> io::Result<()> {
    File::open(store)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RocksStore, StoreOptions};

    #[test]
    fn a_creation_that_was_cut_short_is_no_store_and_keeps_no_other_from_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let options = StoreOptions::default();
        let begin = || RocksStore::begin(&store, &options);
        drop(begin().unwrap());
        assert!(matches!(
            RocksStore::open(&store, &options),
            Err(OpenError::Unfinished { .. })
        ));
        // What no creation makes keeps all the rest.
        fs::write(store.join("mine"), "").unwrap();
        assert!(matches!(begin(), Err(OpenError::NotEmpty { .. })));
        RocksStore::clear_unfinished(&store).unwrap();
        assert!(store.join("CURRENT").exists() && store.join("mine").exists());
        fs::remove_file(store.join("mine")).unwrap();
        begin().unwrap().finish_creation().unwrap();
        drop(RocksStore::open(&store, &options).unwrap());
        RocksStore::clear_unfinished(&store).unwrap();
        drop(RocksStore::open(&store, &options).unwrap());
        assert!(matches!(begin(), Err(OpenError::NotEmpty { .. })));
    }

    #[test]
    fn what_a_creation_left_is_taken_away_but_not_under_one_that_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let begun = RocksStore::begin(&store, &StoreOptions::default()).unwrap();
        assert!(matches!(
            RocksStore::clear_unfinished(&store),
            Err(OpenError::Locked { .. })
        ));
        drop(begun);
        RocksStore::clear_unfinished(&store).unwrap();
        assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
    }
}
