//! One directory as the only volume of a server.

use cairn_block::BlockStore;
use cairn_store::{RocksStore, StoreOptions};
use cairn_wire::{Code, Failure, Volumes};
use std::path::PathBuf;
use std::sync::Arc;

/// The volume without a name: a store in a directory.
pub(crate) struct Directory {
    dir: PathBuf,
    read_only: bool,
    options: StoreOptions,
}

impl Directory {
    /// The store in `dir`, which is opened when it is asked for.
    pub(crate) fn new(dir: PathBuf, read_only: bool, memory_bytes: usize) -> Self {
        let options = StoreOptions {
            memory_bytes,
            ..StoreOptions::default()
        };
        Self {
            dir,
            read_only,
            options,
        }
    }
}

impl Volumes for Directory {
    fn open(&self, name: &str) -> Result<Arc<dyn BlockStore>, Failure> {
        if !name.is_empty() {
            let reason = "this server has one volume, without a name";
            return Err(Failure::new(Code::NoVolume, reason));
        }
        let opened = match self.read_only {
            true => RocksStore::open_read_only(&self.dir, &self.options),
            false => RocksStore::open(&self.dir, &self.options),
        };
        match opened {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(Failure::new(Code::NoVolume, error.to_string())),
        }
    }
}
