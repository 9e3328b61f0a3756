//! From a store and a key to a running engine, and back.
//!
//! ```text
//!  head (MAC) --> commit block (hash, tag) --> header (its hash), each from the copy that verifies (two lie there)
//!        --> volume state --> is it the newest? (the caller's to say)
//!        --> replay the log on top --> commit, which also frees what a crash stranded --> log anew, threads
//! ```
//!
//! **Invariant:** nothing is written before head, header, commit and the whole log have been
//! verified. A volume whose log lost something is read-only, or goes on without it where that was
//! asked for. A log is never silently shorter.
//!
//! What lies below the commit may be damaged: the volume opens without it (damage.rs). Snapshots
//! and orphans are read as far as they can be, and operations of the log that need a damaged block
//! are skipped (redo.rs).

use crate::blocks::Blocks;
use crate::commit::committed::Committed;
use crate::commit::epoch::Closed;
use crate::commit::open::HeaderBlock;
use crate::damage::{DamageRecord, KnownDamage, Table};
use crate::engine::{Engine, Signals};
use crate::life::newest::{Found, Newest, nothing};
use crate::machine::Machine;
use crate::namespace::parking::Parking;
use rand::Rng;

use crate::config::{CACHE_SHARE, INODES_SHARE};
use crate::state::State;
use crate::stored::volume::Volume;
use crate::versions::snapshots::Snapshots;
use crate::versions::standing::Standing;
use crate::{Config, Error, LogLoss, Result, Time};
use bytes::Bytes;
use cairn_merkle::twin::{Part, Side};
use cairn_merkle::{
    BlockStore, Commit, Copies, DamagedCopy, Header, LogKey, Twin, Version, VolumeKey, root_block,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A volume whose newest commit, or an older one, was found and verified. Nothing is written yet.
/// Between [`Opening::newest`] and [`Opening::open`] the caller judges whether it is the newest,
/// and what is opened is what was judged.
pub struct Opening {
    store: Arc<dyn BlockStore>,
    key: VolumeKey,
    /// The first copy of the head, verified or not.
    head: Option<Vec<u8>>,
    /// The bytes of the header.
    stored_header: Arc<[u8]>,
    version: Version,
    root_len: u32,
    header: Header,
    volume: Volume,
    /// Not the head, but an older version that is held: it is read, and no log goes on from it.
    past: bool,
    /// The anchor was asked.
    settled: bool,
    /// The twin it was read from, where the store has yet to adopt it.
    ahead: Option<Twin>,
    /// A later version that is lost.
    lost: Option<LogLoss>,
    /// What was met so far that is damaged.
    damage: KnownDamage,
}

impl Opening {
    /// Finds the version that the head names.
    ///
    /// # Errors
    /// What is wrong with head, header or commit, by name; what the store failed with.
    pub fn newest(store: Arc<dyn BlockStore>, key: VolumeKey) -> Result<Self> {
        let Newest { found, ahead, lost } = Newest::find(store.as_ref(), &key)?;
        let Found {
            version,
            root_len,
            commit,
            header,
            copies,
        } = found;
        for copy in copies.damaged() {
            tracing::warn!("{copy}: the other one is used, and the next commit writes both");
        }
        let mut opening = Self::of(store, key, version, (commit, root_len), header)?;
        opening.damage.copies = copies.damaged().to_vec();
        // What the next swap expects: a twin that is adopted becomes the head of the store.
        opening.head = match &ahead {
            Some(twin) => Some(twin.head.to_vec()),
            None => copies.head.map(|head| head.to_vec()),
        };
        (opening.ahead, opening.lost) = (ahead, lost);
        Ok(opening)
    }

    /// Finds a version that is not the newest one but held, to be read.
    ///
    /// # Errors
    /// As [`Self::newest`].
    pub fn past(store: Arc<dyn BlockStore>, key: VolumeKey, version: Version) -> Result<Self> {
        let block = root_block(store.as_ref(), &version.root)?;
        let root_len = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let commit = Commit::open(&version.root, block, &key)?;
        // It may have been made under another header, before a rekey. Its own tag says that it is
        // ours.
        let header = Copies::read(store.as_ref())?.choose(Part::Header, |stored| {
            let header = Header::decode(stored)?;
            match header.volume_id == commit.volume_id {
                true => Ok(header),
                false => Err(cairn_merkle::Error::HeaderMismatch),
            }
        })?;
        let header = header.ok_or(nothing("it has no header"))?;
        let mut opening = Self::of(store, key, version, (commit, root_len), header)?;
        opening.past = true;
        Ok(opening)
    }

    fn of(
        store: Arc<dyn BlockStore>,
        key: VolumeKey,
        version: Version,
        (commit, root_len): (Commit, u32),
        (header, stored_header): (Header, Bytes),
    ) -> Result<Self> {
        if commit.epoch != version.epoch {
            return Err(cairn_merkle::Error::HeadForged.into());
        }
        let volume = Volume::decode(&commit.body, &commit.links)?;
        Ok(Self {
            store,
            key,
            head: None,
            stored_header: Arc::from(&stored_header[..]),
            version,
            root_len,
            header,
            volume,
            past: false,
            settled: false,
            ahead: None,
            lost: None,
            damage: KnownDamage::default(),
        })
    }

    /// Refuses what is not the header in force: a key that opens a slot of an older one was
    /// revoked by a rekey.
    ///
    /// # Errors
    /// [`cairn_merkle::Error::HeaderMismatch`].
    pub fn require_unlocked(&self, unlocked: &Header) -> Result<()> {
        match unlocked.hash() == self.header.hash() {
            true => Ok(()),
            false => Err(cairn_merkle::Error::HeaderMismatch.into()),
        }
    }

    /// The copies of head, header and commit block that are damaged, where the other one is whole.
    pub fn damaged_copies(&self) -> &[DamagedCopy] {
        &self.damage.copies
    }

    /// What the volume knows of its own freshness.
    pub fn standing(&self) -> Standing {
        let published = &self.volume.publication;
        Standing {
            head: self.version,
            anchored: published.anchored,
            submitted: published.submitted.clone(),
            publishing: published.publishing,
            changed: published.changed,
            held_bytes: self.volume.trees.held.bytes,
            written_bytes: 0,
            full: false,
        }
    }

    /// Refuses to change a volume of which this build does not know enough. It can be read.
    ///
    /// # Errors
    /// [`cairn_merkle::Error::UnknownFeature`], by its name.
    pub fn require_writable(&self) -> Result<()> {
        Ok(self.header.require_writable()?)
    }

    /// The volume's name.
    pub fn volume_id(&self) -> [u8; 16] {
        self.header.volume_id
    }

    /// The anchor has `latest`, and this instance has booted: nothing that an earlier one
    /// submitted can follow.
    pub fn settle(&mut self, latest: Option<Version>) {
        self.volume.publication.settle(latest);
        self.settled = true;
    }

    /// Recovers what was logged, commits that, and starts the committer. A past version is
    /// read-only, and so is what [`Self::require_writable`] refuses.
    ///
    /// # Errors
    /// What is wrong with the log, by name; what the store failed with.
    pub fn open(self, config: Config) -> Result<Arc<Engine>> {
        self.open_on(config, Machine::default())
    }

    /// As [`Self::open`], with this clock and these random bytes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(mut self, mut config: Config, machine: Machine) -> Result<Arc<Engine>> {
        config.read_only |= self.past || self.require_writable().is_err();
        if !config.read_only && !self.settled {
            // No anchor was asked, and this version may be on its way there: it is held.
            self.volume.publication.go_on(self.version);
        }
        let cache_bytes = config.memory_bytes / CACHE_SHARE;
        let blocks = Blocks::new(self.store, self.key.suite(), cache_bytes, machine);
        let twin = |copy: &DamagedCopy| copy.part == Part::Head && copy.side == Side::Second;
        let twin_doubted = self.damage.copies.iter().any(twin);
        let damage = DamageRecord::new(self.damage);
        let snapshots = Snapshots::load(
            &blocks,
            self.volume.trees.snapshots.as_ref(),
            self.version.epoch,
            &mut |error| {
                damage.table(Table::Snapshots, &error.into());
            },
        )?;
        let old_log = LogKey::new(&self.key, self.volume.log_salt);
        // Positions of the old log may come again: under its salt they would use a nonce twice.
        let mut salt = [0; 32];
        blocks.machine.rng().fill_bytes(&mut salt);
        let committed = Committed {
            version: self.version,
            root_len: self.root_len,
            closed: Closed {
                at: blocks.machine.now(),
                written_bytes: 0,
            },
            inodes: self.volume.inodes,
            head: self.head,
            twin_doubted,
            held_for: None,
            restarts_log: false,
        };
        let header = HeaderBlock {
            bytes: self.stored_header,
            hash: self.header.hash(),
        };
        let mut engine = Engine {
            log_key: LogKey::new(&self.key, salt),
            volume_id: self.header.volume_id,
            record_size: self.header.record_size,
            state: Mutex::new(State::new(
                self.volume,
                snapshots,
                committed,
                header,
                Parking::new(config.inodes_max, config.memory_bytes / INODES_SHARE),
                &blocks.machine,
            )),
            blocks,
            key: self.key,
            config,
            past: self.past,
            ahead: self.ahead,
            signals: Signals::default(),
            snapshotting: Mutex::default(),
            log_loss: self.lost,
            log_torn: None,
            damage,
            committer: Mutex::new(None),
            logger: Mutex::new(None),
        };
        // Before the threads: nothing but the recovery writes until its commit is done.
        engine.recover(self.version.epoch, &old_log, salt)?;
        let engine = Arc::new(engine);
        if !engine.config.read_only {
            *engine.committer.lock() = Some(engine.start("commit", Engine::run_committer)?);
            *engine.logger.lock() = Some(engine.start("log", Engine::run_logger)?);
            // Last: an fsync that relies on the logger must find it there.
            engine.state.lock().log.has_logger = true;
        }
        Ok(engine)
    }
}

impl Engine {
    /// Opens a volume at its newest commit without asking an anchor: [`Opening::newest`] and
    /// [`Opening::open`] at once.
    ///
    /// # Errors
    /// As theirs.
    pub fn open(store: Arc<dyn BlockStore>, key: VolumeKey, config: Config, _now: Time) -> Result<Arc<Self>> {
        Opening::newest(store, key)?.open(config)
    }

    fn start(self: &Arc<Self>, name: &str, run: fn(&Self)) -> Result<JoinHandle<()>> {
        let engine = Arc::clone(self);
        let thread = std::thread::Builder::new().name(name.into());
        let thread = thread.spawn(move || run(&engine));
        Ok(thread.map_err(|source| cairn_merkle::StoreError::io("start a thread", source))?)
    }

    /// What of the intent log was durable and is lost, if anything is.
    pub fn log_loss(&self) -> Option<&LogLoss> {
        self.log_loss.as_ref()
    }

    /// Refuses to go on as if the log were whole where something of it is lost and was not
    /// accepted as lost.
    ///
    /// # Errors
    /// [`Error::LogDamaged`].
    pub fn require_log(&self) -> Result<()> {
        match &self.log_loss {
            Some(loss) if !self.config.accept_log_loss => Err(Error::LogDamaged(Box::new(loss.clone()))),
            _ => Ok(()),
        }
    }

    /// What is at the end of the intent log and does not verify, but was not known to be durable.
    pub fn log_torn(&self) -> Option<&str> {
        self.log_torn.as_deref()
    }

    /// Whether the volume can be changed.
    pub fn is_read_only(&self) -> bool {
        self.config.read_only
    }

    /// Commits, stops the committer and refuses all that comes later. Calling it again does
    /// nothing.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn close(&self) -> Result<()> {
        {
            let mut state = self.state.lock();
            if state.life.close() {
                return Ok(());
            }
            // Under the lock, so that neither thread misses it between its look and its wait.
            self.signals.wake.notify_all();
            self.signals.log_wanted.notify_all();
        }
        // Before the last commit: the logger answers all that wait for it, and ends.
        for thread in [&self.committer, &self.logger] {
            let thread = thread.lock().take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a thread of the engine panicked");
            }
        }
        let mut state = self.state.lock();
        let done = self.commit_locked(&mut state);
        // Only now: a commit needs a volume that can be written.
        state.life.end_writing("it is being unmounted");
        drop(state);
        // A past version shares its store with an engine that goes on.
        if self.past {
            return done;
        }
        if let Err(error) = self.blocks.store.close() {
            tracing::warn!(%error, "the store could not be left tidy");
        }
        done
    }
}
