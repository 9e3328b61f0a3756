//! Making a store and opening one.
//!
//! ```text
//!   create: directory --> intent/, packs/ --> database --> marker of the format, last: without it, nothing opens it
//!   open:   what is there --> is it a store of ours? of a format that we know? --> database, log, packs
//! ```

use super::ahead::Ahead;
use super::base::{RocksStore, synced};
use super::foreign;
use super::index::{self, BLOCKS};
use super::intent::{self, IntentLog, Marks};
use super::keys;
use super::options::{self, StoreOptions};
use super::reached::Reached;
use super::space::Space;
use super::unfinished;
use crate::error::OpenError;
use crate::lock::DirLock;
use crate::own::Access;
use crate::pack::{self, Packs};
use cairn_block::Heads;
use parking_lot::Mutex;
use rocksdb::{ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME, Options, WriteBatch};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64},
};

/// What a store of this version says of itself.
pub(super) const FORMAT: &str = "cairn-store 5";

impl RocksStore {
    /// Makes a new, empty store in `path`, which must not exist or be an empty directory.
    pub fn create(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let store = Self::begin(path, options)?;
        store.finish_creation()?;
        Ok(store)
    }

    /// As [`Self::create`], but nothing opens the store before [`Self::finish_creation`]. What an earlier creation left
    /// in `path` that was never finished is taken away.
    pub fn begin(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        match fs::DirBuilder::new().mode(0o700).create(path) {
            // The new name must survive a crash as well as what will lie below it.
            Ok(()) => fs::File::open(parent(path))
                .and_then(|parent| parent.sync_all())
                .map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        // Locked before the look: no other creation can come between that and the first file.
        let lock = DirLock::take(path)?;
        unfinished::begin(path)?;
        // Before the database: once that is there, log and packs are expected by every open.
        IntentLog::create(path).map_err(io)?;
        Packs::create(path).map_err(io)?;
        let store = Self::start(path, options, lock, true)?;
        // The marker comes last: a creation cut short leaves what `open` refuses.
        store
            .mark_format()
            .map_err(|error| OpenError::database(path.to_owned(), error))?;
        Ok(store)
    }

    /// Says that what was put into a store that was begun is all of it, and durable.
    pub fn finish_creation(&self) -> Result<(), OpenError> {
        let path = &self.path;
        unfinished::finish(path).map_err(|source| OpenError::Io {
            path: path.clone(),
            source,
        })
    }

    /// Whether a creation in `path` was begun and not finished.
    pub fn is_unfinished(path: &Path) -> bool {
        unfinished::is(path)
    }

    /// Takes away what [`Self::begin`] left in `path` and was not finished; a whole store stays as it is.
    pub fn clear_unfinished(path: &Path) -> Result<(), OpenError> {
        unfinished::clear(path)
    }

    fn mark_format(&self) -> Result<(), rocksdb::Error> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.journal(), keys::FORMAT, FORMAT);
        self.db.write_opt(batch, &synced())
    }

    /// Opens the store in `path`. Never creates one, and leaves alone what is none.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let lock = find(path, DirLock::take)?;
        Self::start(path, options, lock, false)?.of_known_format()
    }

    /// This store, if it says that it is of the version that this program knows.
    pub(super) fn of_known_format(self) -> Result<Self, OpenError> {
        let path = || self.path.clone();
        match self.meta("read the format", keys::FORMAT) {
            Ok(Some(format)) if format == FORMAT.as_bytes() => Ok(self),
            Ok(Some(format)) => Err(OpenError::UnknownFormat {
                path: path(),
                found: String::from_utf8_lossy(&format).into_owned(),
            }),
            Ok(None) => Err(OpenError::NotAStore { path: path() }),
            // It lies beside the head, and what damaged that may have damaged this. A twin is only
            // in a store of ours.
            Err(error) if error.is_damage() && matches!(self.twin(), Ok(Some(_))) => {
                tracing::warn!(%error, "the store's format cannot be read; the second copy of the head can");
                Ok(self)
            }
            Err(error) => Err(OpenError::Io {
                path: path(),
                source: io::Error::other(error),
            }),
        }
    }

    fn start(path: &Path, options: &StoreOptions, lock: DirLock, create: bool) -> Result<Self, OpenError> {
        let database = |error| OpenError::database(path.to_owned(), error);
        let settings = options::database(create).map_err(database)?;
        let db = DB::open_cf_descriptors(&settings, path, families(options)).map_err(database)?;
        let store = Self::over(path, options, db, lock, Access::Write)?;
        store
            .db
            .set_options_cf(store.blocks(), &options::MEMTABLE_TUNING)
            .map_err(database)?;
        Ok(store)
    }

    /// The store with its log, its marks and its packs, over a database that is open.
    pub(super) fn over(
        path: &Path,
        options: &StoreOptions,
        db: DB,
        lock: DirLock,
        access: Access,
    ) -> Result<Self, OpenError> {
        let failed = |path: PathBuf| move |source| OpenError::Io { path, source };
        // Before log and twins are looked at: it says which of them count.
        let reached = Reached::read(&db).map_err(|error| failed(path.to_owned())(io::Error::other(error)))?;
        let log_dir = path.join(intent::DIR);
        let intent = IntentLog::open(path, reached.settled, reached.log_floor, access);
        let intent = intent.map_err(failed(log_dir.clone()))?;
        let marks = Marks::open(&log_dir, access).map_err(failed(log_dir))?;
        let db = Arc::new(db);
        let blocks = Arc::clone(&db);
        let packs = Packs::open(
            path,
            Box::new(move |written| index::learn(&blocks, written)),
            access,
        );
        let packs = packs.map_err(failed(path.join(pack::DIR)))?;
        Ok(Self {
            packs,
            path: path.to_owned(),
            db,
            ahead: Ahead::new(path, options.memory_bytes as u64),
            space: Space::new(path, options.reserve_bytes),
            intent_bytes: AtomicU64::new(intent.used_bytes()),
            intent: Mutex::new(intent),
            marks: Mutex::new(marks),
            syncing: Mutex::new(()),
            reclaiming: Mutex::new(()),
            reached: Mutex::new(reached),
            doomed: Mutex::default(),
            stats: Mutex::new(None),
            failed: AtomicBool::new(false),
            access,
            lock,
        })
    }
}

/// Both column families, over one cache.
pub(super) fn families(options: &StoreOptions) -> [ColumnFamilyDescriptor; 2] {
    let cache = options::cache(options);
    [
        ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options::journal(options, &cache)),
        ColumnFamilyDescriptor::new(BLOCKS, options::blocks(options, &cache)),
    ]
}

/// Looks whether a store of ours lies in `path`, and locks it. Writes nothing.
pub(super) fn find(
    path: &Path,
    lock: impl Fn(&Path) -> Result<DirLock, OpenError>,
) -> Result<DirLock, OpenError> {
    let path_buf = || path.to_owned();
    let io = |source| OpenError::Io {
        path: path_buf(),
        source,
    };
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Missing { path: path_buf() });
        }
        Err(error) => return Err(io(error)),
    }
    if unfinished::is(path) {
        return Err(OpenError::Unfinished { path: path_buf() });
    }
    match fs::metadata(path.join("CURRENT")) {
        Ok(found) if found.is_file() => {}
        // What may not be looked at is not known to be no store.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(io(error)),
        _ => return Err(OpenError::NotAStore { path: path_buf() }),
    }
    let lock = lock(path)?;
    foreign::refuse(path, intent::DIR)?;
    // RocksDB of another program: this look at it takes no lock and writes nothing.
    let families =
        DB::list_cf(&Options::default(), path).map_err(|error| OpenError::database(path_buf(), error))?;
    match families.iter().any(|family| family == BLOCKS) && families.len() == 2 {
        true => Ok(lock),
        false => Err(OpenError::NotAStore { path: path_buf() }),
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
