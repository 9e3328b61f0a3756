//! Refuses a directory in which RocksDB would be led elsewhere.
//!
//! RocksDB opens its files by name, follows links, and waits for ever for a pipe. The outside may
//! put any of these in place of a file, so all of them are looked at before RocksDB is. What it
//! puts there later leads no further than the rights of this process.

use crate::error::OpenError;
use crate::pack;
use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Looks at the directories of the store, and at every file that RocksDB may open.
pub(super) fn refuse(store: &Path, intent: &str) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io {
        path: store.to_owned(),
        source,
    };
    for entry in fs::read_dir(store).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_folder = [pack::DIR, intent].iter().any(|dir| name == *dir);
        if !is_folder && !is_of_database(&name) {
            continue;
        }
        // Of the entry itself, where it is a link.
        let wrong = match entry.metadata() {
            Ok(about) if is_folder => (!about.is_dir()).then(|| kind(about.file_type())),
            Ok(about) => wrong_with(&about),
            // A running RocksDB removes files: this one was looked for beside it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(what) = wrong {
            return Err(OpenError::Io {
                path: entry.path(),
                source: io::Error::other(format!("it is {what}, which no store has there: remove it")),
            });
        }
    }
    Ok(())
}

/// Whether RocksDB opens files of this name (its `ParseFileName`).
fn is_of_database(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let whole = [&b"CURRENT"[..], b"IDENTITY", b"LOCK"];
    let begins = [&b"MANIFEST-"[..], b"OPTIONS-"];
    let ends = [&b".sst"[..], b".log", b".dbtmp"];
    whole.contains(&name)
        || begins.iter().any(|begin| name.starts_with(begin))
        || ends.iter().any(|end| name.ends_with(end))
}

fn wrong_with(about: &Metadata) -> Option<&'static str> {
    match about.is_file() {
        // The other name may be that of a file of the host.
        true => (about.nlink() != 1).then_some("a file with a second name"),
        false => Some(kind(about.file_type())),
    }
}

fn kind(of: FileType) -> &'static str {
    match of {
        of if of.is_symlink() => "a symbolic link",
        of if of.is_fifo() => "a pipe",
        of if of.is_dir() => "a directory",
        of if of.is_socket() => "a socket",
        of if of.is_file() => "a file",
        _ => "a device",
    }
}
