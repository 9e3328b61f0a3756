//! A volume as the command sees it: a store, its header, a key that opens it, and the engine on
//! top.
//!
//! ```text
//! path --RocksStore--> header --Header::unlock(KeyProvider)--> VolumeKey --Engine::open--> Engine
//! ```
//!
//! **Invariant:** nothing here formats. What cannot be opened is an error that names the thing;
//! nothing is written before the key has opened the header.

use crate::cli::key::KeyArgs;
use crate::error::{Error, Result};
use crate::mount::instance::{Beside, Instance};
use crate::mount::lost;
use crate::mount::whereabouts::{lives_elsewhere, whereabouts};
use crate::offline::cipher;
use crate::offline::key::{self, IfAbsent, KeyProvider};
use crate::output;
use cairn_fs::{Config, Engine, Opening};
use cairn_merkle::{BlockStore, Copies, Header, VolumeKey};
use cairn_store::{OpenError, RocksStore, StoreOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a mount waits for the daemon before it, whose mount is gone already, to commit and end.
const ENDING_MAX: Duration = Duration::from_secs(120);
/// The same for one that says nothing of itself: on its way out, freeing its memory on a busy
/// machine.
const UNKNOWN_MAX: Duration = Duration::from_secs(10);

/// What a command opens a store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// To look: nothing at all is written, so it may lie on a read-only disk.
    Reading,
    /// To change it.
    Writing,
}

/// The store of an existing volume.
pub(crate) fn open_store(path: &Path, purpose: For, options: &StoreOptions) -> Result<Arc<RocksStore>> {
    let opened = match purpose {
        For::Reading => RocksStore::open_read_only(path, options),
        For::Writing => RocksStore::open(path, options),
    };
    opened.map(Arc::new).map_err(|error| store_error(path, &error))
}

/// Like [`open_store`], but waits for a daemon that is on its way out. umount(8) returns before
/// the daemon has committed, and what follows it should not fail for that.
pub(crate) fn open_store_patiently(
    path: &Path,
    purpose: For,
    options: &StoreOptions,
) -> Result<Arc<RocksStore>> {
    let start = Instant::now();
    loop {
        match open_store(path, purpose, options) {
            // Asked anew each time: the mount may go meanwhile, and its record with the end of the
            // commit.
            Err(Error::Busy(_)) if start.elapsed() < patience(path) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// How long to wait for the process that has the store open. One that serves a mount goes on. One
/// whose mount is gone commits and ends. One without a record is just ending, or starting.
fn patience(store: &Path) -> Duration {
    match crate::mount::state::Record::find(store).ok().flatten() {
        Some(record) if crate::mount::mountpoint::serves(&record) || lives_elsewhere(&record) => {
            Duration::ZERO
        }
        Some(_) => ENDING_MAX,
        None => UNKNOWN_MAX,
    }
}

/// The headers, of which a key opens the right one: it lies twice, and one copy may be damaged. The
/// first copy comes first; neither is believed before a key has opened it.
pub(crate) fn headers(store: &dyn BlockStore, path: &Path) -> Result<Vec<Header>> {
    let copies = Copies::read(store).map_err(|error| explain(path, "", error.into()))?;
    let mut stored = copies.headers();
    let ahead = store.twins_ahead();
    let ahead = ahead.map_err(|error| explain(path, "", error.into()))?;
    stored.extend(ahead.into_iter().map(|twin| twin.header));
    if stored.is_empty() {
        return Err(Error::NotAVolume {
            store: path.to_path_buf(),
            what: "its creation was cut short; remove the directory and create the volume again".into(),
        });
    }
    let (mut headers, mut failure) = (Vec::new(), None);
    for stored in stored {
        match Header::decode(&stored) {
            Ok(header) => headers.push(header),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) if headers.is_empty() => Err(explain(path, "", error.into())),
        _ => Ok(headers),
    }
}

/// The volume key, if `provider` has what opens a slot, and the header it is in.
pub(crate) fn unlock(
    headers: Vec<Header>,
    path: &Path,
    provider: &dyn KeyProvider,
) -> Result<(VolumeKey, Header)> {
    let mut failure = None;
    for header in headers {
        match unlock_one(&header, path, provider) {
            Ok(key) => return Ok((key, header)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| Error::NotAVolume {
        store: path.to_path_buf(),
        what: "it has no header".into(),
    }))
}

fn unlock_one(header: &Header, path: &Path, provider: &dyn KeyProvider) -> Result<VolumeKey> {
    let mut failure = None;
    let key = header.unlock(|kind| {
        provider.kek(kind).unwrap_or_else(|error| {
            failure = Some(error);
            None
        })
    });
    match (key, failure) {
        (Ok(key), _) => {
            if !key.is_locked() {
                output::warn(
                    "the volume's key may be swapped out: the limit of locked memory (ulimit -l) is used up",
                );
            }
            if let Some(slow) = cipher::slow_here(key.suite(), key.suite().is_fast_here()) {
                output::warn(&slow);
            }
            Ok(key)
        }
        (Err(_), Some(failure)) => Err(failure),
        (Err(error), None) => Err(explain(path, &provider.describe(), error.into())),
    }
}

/// Finds the newest version, with nothing written yet.
pub(crate) fn opening(store: Arc<RocksStore>, path: &Path, args: &KeyArgs) -> Result<Opening> {
    let headers = headers(store.as_ref(), path)?;
    let provider = key::provider(args, IfAbsent::Refuse)?;
    let (key, header) = unlock(headers, path, provider.as_ref())?;
    let opening =
        Opening::newest(store, key).and_then(|opening| opening.require_unlocked(&header).map(|()| opening));
    opening.map_err(|error| explain(path, &provider.describe(), error))
}

/// Opens a volume that is not mounted for one command, runs it and closes the volume, whatever
/// comes of it.
pub(crate) fn with<T>(
    path: &Path,
    args: &KeyArgs,
    purpose: For,
    run: impl FnOnce(&Engine) -> Result<T>,
) -> Result<T> {
    let read_only = purpose == For::Reading;
    let config = Config {
        read_only,
        ..Config::default()
    };
    let store = open_store_patiently(path, purpose, &StoreOptions::default())?;
    let opening = opening(store, path, args)?;
    if purpose == For::Writing {
        let writable = opening.require_writable();
        writable.map_err(|error| explain(path, "", error))?;
    }
    // As in a mount: the lock of the store, then the name of the volume, then the first write.
    // While a copy is mounted for writing this is refused, with an anchor or without.
    let _instance = match purpose {
        For::Reading => None,
        For::Writing => Some(Instance::claim(&opening.volume_id(), Beside::Refuse)?),
    };
    let engine = opening.open(config).map_err(|error| explain(path, "", error))?;
    if let Some(anchored) = engine.standing().anchored {
        eprintln!(
            "cairn: note: this volume is anchored ({anchored} or later), and no anchor was asked: it may be an old copy"
        );
    }
    // After recovery, which finds the loss, and before the command. From here on every way leads
    // through the close.
    let result = match purpose {
        For::Reading => Ok(()),
        For::Writing => lost::refuse_writing(&engine, path),
    };
    let result = result.and_then(|()| run(&engine));
    let closed = engine.close().map_err(|error| explain(path, "", error));
    // The failure of the command goes first: that of the close is often its consequence.
    result.and_then(|value| closed.map(|()| value))
}

/// Gives an engine's failure the volume's name and the exit code of its kind.
pub(crate) fn explain(path: &Path, key: &str, error: cairn_fs::Error) -> Error {
    let store = path.to_path_buf();
    let what = error.to_string();
    match Error::from(error) {
        error if error.exit() == crate::error::Exit::WrongKey => Error::WrongKey {
            key: key.into(),
            store,
        },
        error if error.exit() == crate::error::Exit::Damaged => Error::Damaged { store, what },
        error if error.exit() == crate::error::Exit::NotAVolume => Error::NotAVolume { store, what },
        error if error.exit() == crate::error::Exit::Store => Error::Store { store, what },
        error => error,
    }
}

/// Gives a store's failure to open the volume's name and the exit code of its kind.
pub(crate) fn store_error(path: &Path, error: &OpenError) -> Error {
    let store = path.to_path_buf();
    let what = error.to_string();
    match error {
        OpenError::Missing { .. } | OpenError::UnknownFormat { .. } => Error::NotAVolume { store, what },
        OpenError::NotAStore { .. } => Error::NotAVolume {
            store,
            what: "it is no Cairn store, and nothing of Cairn's is mounted there".into(),
        },
        OpenError::Unfinished { .. } => Error::NotAVolume { store, what },
        OpenError::NotEmpty { .. } => Error::NotEmpty(what),
        OpenError::Locked { .. } => Error::Busy(match crate::mount::state::Record::find(path) {
            Ok(Some(record)) => whereabouts(&record, path),
            _ => format!("the volume in {} is in use by another process", path.display()),
        }),
        // RocksDB's own kinds are no part of the store's interface; its words begin with the kind.
        OpenError::Database { source, .. } if source.to_string().starts_with("Corruption") => {
            Error::Damaged { store, what }
        }
        OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => Error::io(
            format!("cannot open the store {}", path.display()),
            std::io::Error::new(source.kind(), format!("{source}: it is another user's")),
        ),
        // RocksDB has words for this, too, and no number.
        OpenError::Io { .. } | OpenError::Database { .. } if what.contains("Read-only file system") => {
            let what = format!("{what}. What only reads works, such as `cairn mount --read-only`");
            Error::Store { store, what }
        }
        OpenError::Io { .. } | OpenError::Database { .. } => Error::Store { store, what },
    }
}
