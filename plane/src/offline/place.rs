//! Where blocks are read from: a store, a CAR over other CARs, or the daemon that has the store
//! open; and which version.

use crate::cli::key::KeyArgs;
use crate::cli::verify::VersionArgs;
use crate::error::{Error, Result};
use crate::mount::control;
use crate::mount::reads::client::{ServedBlocks, serving};
use crate::mount::state::Record;
use crate::offline::key::{self, IfAbsent, KeyProvider};
use crate::offline::volume::{self, For};
use crate::output::{self, Bytes, Output, Progress};
use crate::report::CheckOutcome;
use cairn_fs::{Config, Engine, Opening};
use cairn_merkle::audit::{self, AuditReport};
use cairn_merkle::car::{CarStore, Layers};
use cairn_merkle::clear::HeadClaim;
use cairn_merkle::twin::Part;
use cairn_merkle::walk::commit_of;
use cairn_merkle::{BlockStore, Cid, Copies, Epoch, Header, LogPos, Suite, Version, VolumeKey};
use cairn_store::StoreOptions;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One version of a volume in a place that can be read.
pub(crate) struct Place {
    /// What was named.
    pub(crate) path: PathBuf,
    /// The blocks.
    pub(crate) store: Arc<dyn BlockStore>,
    /// The version.
    pub(crate) root: Cid,
    /// What the head claims, if there is one. It is believed where the key proves it, or where it
    /// does not matter.
    pub(crate) head: Option<HeadClaim>,
    /// The version that a CAR leaves out.
    pub(crate) since: Option<Cid>,
    /// The daemon that the blocks come from, if one has the store open.
    pub(crate) daemon: Option<Record>,
}

impl Place {
    /// Opens a store directory or a CAR; of a volume that is mounted, by its mount point or its
    /// store, what its daemon reads.
    pub(crate) fn open(path: &Path, version: &VersionArgs) -> Result<Self> {
        if let Some(record) = serving(path)? {
            return Self::open_served(path, version, record);
        }
        match Self::open_with(path, version, &StoreOptions::default()) {
            // Mounted since that look.
            Err(Error::Busy(why)) => match serving(path)? {
                Some(record) => Self::open_served(path, version, record),
                None => Err(Error::Busy(why)),
            },
            opened => opened,
        }
    }

    /// Opens a store directory that no other process has open for writing, or a CAR.
    pub(crate) fn open_with(path: &Path, version: &VersionArgs, options: &StoreOptions) -> Result<Self> {
        if path.is_file() {
            return Self::open_car(path, version);
        }
        refuse_base(version)?;
        Self::open_store(path, version, options)
    }

    fn open_served(path: &Path, version: &VersionArgs, record: Record) -> Result<Self> {
        refuse_base(version)?;
        let blocks = ServedBlocks::open(record.clone(), version.root)?;
        let head = blocks.stored_head().map(HeadClaim::parse).transpose();
        Ok(Self {
            path: path.to_path_buf(),
            root: blocks.root(),
            head: head.map_err(|error| volume::explain(path, "", error.into()))?,
            store: Arc::new(blocks),
            since: None,
            daemon: Some(record),
        })
    }

    /// The same place at another version.
    pub(crate) fn at(&self, root: Cid) -> Result<Self> {
        let store: Arc<dyn BlockStore> = match &self.daemon {
            // A hold of its own: the daemon keeps a version for each that is read.
            Some(record) => Arc::new(ServedBlocks::open(record.clone(), Some(root))?),
            None => self.store.clone(),
        };
        Ok(Self {
            path: self.path.clone(),
            store,
            root,
            head: self.head,
            since: None,
            daemon: self.daemon.clone(),
        })
    }

    fn open_store(path: &Path, version: &VersionArgs, options: &StoreOptions) -> Result<Self> {
        let store = volume::open_store_patiently(path, For::Reading, options)?;
        let fail = |error: cairn_merkle::Error| volume::explain(path, "", error.into());
        let mut copies = Copies::read(store.as_ref()).map_err(fail)?;
        let head = copies.claimed_head(store.as_ref()).map_err(fail)?;
        if let Some((claim, _)) = &head {
            // For what they say of the copies; what is wrong with both is found by what reads them
            // next.
            let _ = copies.root_block(store.as_ref(), &claim.root);
            let _ = copies.choose(Part::Header, |stored| Header::decode(stored));
        }
        for copy in copies.damaged() {
            output::warn(&format!("{copy} in {}", path.display()));
        }
        let head = head.map(|(claim, _)| claim);
        // The root that was asked for needs no head: a version can be audited where the head is
        // lost.
        let root = version.root.or(head.map(|head| head.root));
        let root = root.ok_or_else(|| Error::NotAVolume {
            store: path.to_path_buf(),
            what: "it has no head, so it holds no volume".into(),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            store,
            root,
            head,
            since: None,
            daemon: None,
        })
    }

    fn open_car(path: &Path, version: &VersionArgs) -> Result<Self> {
        let newest = open_car(path)?;
        let mut older: Vec<Arc<dyn BlockStore>> = Vec::new();
        for base in &version.base {
            older.push(Arc::new(open_car(base)?));
        }
        let car = newest.volume().clone();
        let head = car.head.as_deref().map(HeadClaim::parse).transpose();
        let store: Arc<dyn BlockStore> = match older.is_empty() {
            true => Arc::new(newest),
            false => Arc::new(Layers::new(Arc::new(newest), older)),
        };
        Ok(Self {
            path: path.to_path_buf(),
            store,
            root: version.root.unwrap_or(car.root),
            head: head.map_err(|error| volume::explain(path, "", error.into()))?,
            since: car.since,
            daemon: None,
        })
    }

    /// The number of the version, if its commit block is there to tell.
    pub(crate) fn epoch(&self) -> Result<Epoch> {
        let commit = commit_of(self.store.as_ref(), self.root).map_err(|error| self.explain(error))?;
        Ok(commit.epoch)
    }

    /// The volume's header, as it is stored: the first copy that has the form of one.
    pub(crate) fn header(&self) -> Result<bytes::Bytes> {
        let stored = self.copies()?.headers();
        let whole = stored.iter().find(|stored| Header::decode(stored).is_ok());
        whole
            .or(stored.first())
            .cloned()
            .ok_or_else(|| Error::NotAVolume {
                store: self.path.clone(),
                what: "it has no header".into(),
            })
    }

    /// What the volume is sealed with, as the header says.
    pub(crate) fn cipher(&self) -> Option<Suite> {
        let header = Header::decode(&self.header().ok()?);
        header.ok().map(|header| header.suite)
    }

    /// The head, as it is stored, if there is one.
    pub(crate) fn stored_head(&self) -> Result<Option<bytes::Bytes>> {
        let head = self.copies()?.claimed_head(self.store.as_ref());
        Ok(head
            .map_err(|error| self.explain(error))?
            .map(|(_, stored)| stored))
    }

    fn copies(&self) -> Result<Copies> {
        Copies::read(self.store.as_ref()).map_err(|error| self.explain(error))
    }

    /// The volume key.
    pub(crate) fn unlock(&self, args: &KeyArgs) -> Result<(VolumeKey, Header)> {
        let headers = volume::headers(self.store.as_ref(), &self.path)?;
        let provider = key::provider(args, IfAbsent::Refuse)?;
        volume::unlock(headers, &self.path, provider.as_ref() as &dyn KeyProvider)
    }

    /// Finds the version as an engine reads it: the newest with what the log adds, any other as it
    /// was committed.
    pub(crate) fn opening(self, args: &KeyArgs) -> Result<Opening> {
        let (key, header) = self.unlock(args)?;
        // The log goes on from the newest commit alone.
        let opening = if self.head.is_some_and(|head| head.root == self.root) {
            Opening::newest(self.store, key)
                .and_then(|opening| opening.require_unlocked(&header).map(|()| opening))
        } else {
            let epoch = self.epoch()?;
            let root = self.root;
            Opening::past(self.store, key, Version { epoch, root })
        };
        opening.map_err(|error| volume::explain(&self.path, "", error))
    }

    /// Opens the version for reading, and runs `run` on it.
    pub(crate) fn with<T>(self, key: &KeyArgs, run: impl FnOnce(&Engine) -> Result<T>) -> Result<T> {
        let path = self.path.clone();
        let config = Config {
            read_only: true,
            ..Config::default()
        };
        let engine = self
            .opening(key)?
            .open(config)
            .map_err(|error| volume::explain(&path, "", error))?;
        let result = run(&engine);
        let closed = engine.close().map_err(|error| volume::explain(&path, "", error));
        result.and_then(|value| closed.map(|()| value))
    }

    /// Checks every path of the version, with a bar.
    pub(crate) fn check(self, key: &KeyArgs, out: &Output) -> Result<CheckOutcome> {
        let progress = Progress::blocks(out);
        let found = self.with(key, |engine| {
            control::check(engine, &|p: cairn_fs::CheckProgress| {
                progress.set(p.blocks_done, p.blocks_total);
            })
        });
        progress.finish();
        found
    }

    /// Audits every block of the version, with a bar; with as many threads as are good unless they
    /// are given.
    pub(crate) fn audit(&self, threads: Option<u16>, out: &Output) -> Result<AuditReport> {
        let bar = Bytes::start(out, "verified");
        let threads = threads.map_or_else(audit::threads, usize::from);
        let report = audit::audit(self.store.as_ref(), self.root, threads, &|done| {
            bar.set(done.bytes);
        });
        bar.finish();
        report.map_err(|error| self.explain(error.into()))
    }

    /// Records of the intent log that are newer than every version: they are in none.
    pub(crate) fn has_log(&self) -> bool {
        let Some(head) = self.head else { return false };
        let after = LogPos {
            epoch: head.epoch.next(),
            seq: 0,
        };
        let records = self.store.log_read(after, 1);
        records.is_ok_and(|records| !records.is_empty())
            || self.store.log_rest().is_ok_and(|rest| !rest.broken.is_empty())
    }

    /// Gives a failure the place's name and the exit code of its kind.
    pub(crate) fn explain(&self, error: cairn_merkle::Error) -> Error {
        explain(&self.path, error)
    }
}

/// Refuses `--base` with what is no CAR.
pub(super) fn refuse_base(version: &VersionArgs) -> Result<()> {
    match version.base.is_empty() {
        true => Ok(()),
        false => Err(Error::Usage(
            "--base goes with a CAR: a store has all blocks of its versions".into(),
        )),
    }
}

/// As [`volume::explain`]; a block that is missing has a code of its own where no key is needed to
/// tell.
pub(super) fn explain(path: &Path, error: cairn_merkle::Error) -> Error {
    match error {
        cairn_merkle::Error::Missing { cid } => Error::Incomplete {
            store: path.to_path_buf(),
            what: format!("block {cid} is missing"),
        },
        error => volume::explain(path, "", error.into()),
    }
}

/// Opens a CAR; whatever is wrong with it is damage, but for what was never one of ours.
pub(super) fn open_car(path: &Path) -> Result<CarStore> {
    let file = File::open(path).map_err(Error::at("open", path))?;
    CarStore::open(Box::new(file)).map_err(|error| explain(path, error))
}

/// Runs one command on the version asked for, from a store, a CAR or a mounted volume. The newest
/// version of a store is opened as ever.
pub(crate) fn with_version<T>(
    path: &Path,
    version: &VersionArgs,
    key: &KeyArgs,
    run: impl FnOnce(&Engine) -> Result<T>,
) -> Result<T> {
    if !path.is_file() && !version.is_given() {
        return volume::with(path, key, For::Reading, run);
    }
    Place::open(path, version)?.with(key, run)
}
