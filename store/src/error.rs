//! Errors before a store is open, and the translation of RocksDB's errors into [`StoreError`]s.
//!
//! ```text
//!   create, open ----------> OpenError: names the directory, for a person to act on
//!   every later call ------> StoreError: names the verb, for the filesystem to turn into an errno
//! ```

use cairn_block::StoreError;
use std::{io, path::PathBuf};

/// Why a store could not be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at this path.
    #[error("there is no store at {}: no such directory", path.display())]
    Missing {
        /// The directory asked for.
        path: PathBuf,
    },
    /// The directory holds something else, or a store whose creation was cut short. It was left as
    /// it was.
    #[error("{} holds no Cairn store", path.display())]
    NotAStore {
        /// The directory asked for.
        path: PathBuf,
    },
    /// The directory holds a store whose creation was cut short.
    #[error("the creation of the store at {} was cut short: create or import it again, into the same place", path.display())]
    Unfinished {
        /// The directory asked for.
        path: PathBuf,
    },
    /// A store is created in a new or empty directory only.
    #[error("{} is not empty: a store is created in a new or empty directory", path.display())]
    NotEmpty {
        /// The directory asked for.
        path: PathBuf,
    },
    /// Another handle, here or in another process, has the store open.
    #[error("the store at {} is already open", path.display())]
    Locked {
        /// The directory asked for.
        path: PathBuf,
    },
    /// The store was written by a version of Cairn this one does not know.
    #[error("the store at {} has the unknown format {found:?}", path.display())]
    UnknownFormat {
        /// The directory asked for.
        path: PathBuf,
        /// The format it claims.
        found: String,
    },
    /// The directory could not be read or written.
    #[error("cannot use the store at {}: {source}", path.display())]
    Io {
        /// The directory asked for.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// RocksDB refused, for instance because its files are damaged.
    #[error("cannot open the store at {}: {source}", path.display())]
    Database {
        /// The directory asked for.
        path: PathBuf,
        /// The cause.
        source: rocksdb::Error,
    },
}

impl OpenError {
    /// Picks the variant for what RocksDB said, which gives its reasons in words only.
    pub(crate) fn database(path: PathBuf, source: rocksdb::Error) -> Self {
        let says = |words| source.as_ref().contains(words);
        // A lock file that cannot be opened for writing, on a read-only disk, is not one that another handle holds.
        if says("/LOCK:") && !says("while open a file for lock") {
            Self::Locked { path }
        } else {
            Self::Database { path, source }
        }
    }
}

/// Wraps an error of RocksDB, which tells a full disk from others in words only.
pub(crate) fn failed(verb: &'static str, error: rocksdb::Error) -> StoreError {
    let kind = match error.kind() {
        _ if error.as_ref().contains("No space left on device") => io::ErrorKind::StorageFull,
        _ if error.as_ref().contains("Disk quota exceeded") => io::ErrorKind::StorageFull,
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    StoreError::io(verb, io::Error::new(kind, error))
}
