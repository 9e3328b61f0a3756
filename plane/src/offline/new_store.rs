//! A store that is being made: whole at the end, or not there.
//!
//! ```text
//!   begin: marked as unfinished --written, synced--> finish: the marker goes
//!     |-- an error, a full disk, SIGINT, SIGTERM: taken away, with the directory if it was made
//!     `-- SIGKILL, a power cut: no command opens it, and the next creation in its place takes it away
//! ```

use crate::error::{Error, Result};
use crate::offline::volume;
use cairn_store::{RocksStore, StoreOptions};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A store on its way. It must be dropped after the store that it made.
pub(super) struct UnfinishedStore {
    path: PathBuf,
    /// The directory was not there before.
    made: bool,
    finished: bool,
    interrupted: Arc<AtomicBool>,
}

impl UnfinishedStore {
    /// Begins a store in a new or empty directory, or in one where an earlier creation was cut
    /// short.
    ///
    /// # Errors
    /// When something is there, or the disk is full or fails.
    pub(super) fn begin(path: &Path) -> Result<(Self, RocksStore)> {
        let unfinished = Self {
            path: path.to_path_buf(),
            made: !path.exists(),
            finished: false,
            interrupted: Arc::default(),
        };
        // Before the first file: a signal from here on leads to the drop, which takes all of it
        // away.
        unfinished.watch_signals()?;
        let store = RocksStore::begin(path, &StoreOptions::default());
        let store = store.map_err(|error| volume::store_error(path, &error))?;
        // Also a directory that was there: a reader of its lock file could keep the volume from
        // being mounted.
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(Error::at("close to others", path))?;
        Ok((unfinished, store))
    }

    /// The first signal asks for an end in order, the second ends the process.
    fn watch_signals(&self) -> Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let failed = |error| Error::io("cannot watch for signals", error);
            let (first, second) = (Arc::clone(&self.interrupted), Arc::clone(&self.interrupted));
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, second)
                .and_then(|_| signal_hook::flag::register(signal, first))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// To be asked between two steps of the work.
    ///
    /// # Errors
    /// Once a signal has asked for the end.
    pub(super) fn go_on(&self) -> Result<()> {
        match self.interrupted.load(Relaxed) {
            false => Ok(()),
            true => Err(Error::Interrupted(format!(
                "interrupted: nothing is left in {}",
                self.path.display()
            ))),
        }
    }

    /// Says that the store is whole. All that was put must be durable.
    ///
    /// # Errors
    /// When the disk fails. What still has its marker is taken away then.
    pub(super) fn finish(mut self, store: &RocksStore) -> Result<()> {
        let finished = store.finish_creation();
        finished.map_err(|error| volume::store_error(&self.path, &error))?;
        // Only now: what fails before leads to the drop, which takes away all that still has its
        // marker.
        self.finished = true;
        Ok(())
    }
}

impl Drop for UnfinishedStore {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Err(error) = RocksStore::clear_unfinished(&self.path) {
            tracing::debug!(%error, "the next creation takes it away");
        }
        if self.made {
            // Fails if anything is left in it.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Refuses a place where something is, but for what a creation left that was cut short.
pub(super) fn require_empty(store: &Path) -> Result<()> {
    let refuse = |why: &str| {
        let store = store.display();
        Err(Error::NotEmpty(format!(
            "{store} {why}: a volume is created in a new or empty directory, never over anything"
        )))
    };
    match std::fs::read_dir(store) {
        Ok(mut entries) => {
            if entries.next().is_some() && !RocksStore::is_unfinished(store) {
                refuse("is not empty")
            } else {
                Ok(())
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => refuse("is no directory"),
        Err(error) => Err(Error::at("look into", store)(error)),
    }
}
