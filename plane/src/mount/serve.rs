//! A mount from its start to its end: the daemon's main thread.
//!
//! ```text
//! prepare the mount point -> find the volume -> fresh? -> open it -> FUSE session -> record, control socket -> ready
//!      wait for:  the session's end (umount)  |  SIGTERM, SIGINT  (a second one ends the process at once)
//! -> hand over the kernel's cache, unmount, publish the last, commit, close -> tell waiters -> exit
//! ```
//!
//! **Invariant:** the engine is closed on every way out but a second signal and a crash. What a
//! crash leaves is a state that the next mount recovers from.

use crate::anchor::challenge;
use crate::anchor::freshness::{self, Access, Freshness, Trust};
use crate::anchor::publish::Publisher;
use crate::cli::anchor::Spec;
use crate::cli::mount::MountArgs;
use crate::error::{Error, Result};
use crate::mount::control::Server;
use crate::mount::instance::{Beside, Instance};
use crate::mount::lost::Lost;
use crate::mount::mountpoint::{self, Unmount};
use crate::mount::state::{self, Record};
use crate::mount::whereabouts::lives_elsewhere;
use crate::mount::{daemon, logging, memory};
use crate::offline::volume::{self, For};
use crate::{anchor, offline, output};
use cairn_fs::{Config, Engine, KernelMemory, Opening};
use cairn_merkle::Cancel;
use cairn_store::StoreOptions;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// What ends a mount.
enum Event {
    /// The mount was taken away, or the session failed.
    SessionEnded,
    /// SIGTERM or SIGINT.
    Signal(i32),
    /// `cairn umount --force`.
    Asked,
}

/// The daemon's whole life.
pub(crate) fn serve_as_daemon() -> Result<()> {
    serve(&daemon::handed_over()?)
}

/// Mounts and serves until the end.
pub(crate) fn serve(args: &MountArgs) -> Result<()> {
    let outcome = start(args);
    if args.daemon_child {
        // Told on both ways out and before this returns: a child that ends without a word leaves
        // its parent nothing but an exit status.
        daemon::report(args, outcome.as_ref().map(|mount| mount.lost.as_ref()));
    }
    let mut mount = outcome?;
    tracing::info!(store = %mount.record.store.display(), mountpoint = %mount.record.mountpoint.display(), "mounted");
    let lost = mount.lost.take();
    if let Some(lost) = &lost {
        tracing::error!("{}", lost.error);
    }
    let ended = mount.run();
    match &ended {
        Ok(()) => tracing::info!("committed and ended"),
        Err(error) => tracing::error!(%error, "ended without a commit"),
    }
    match lost {
        // An end that failed is the newer trouble, and goes before the loss that was told at the
        // start.
        Some(lost) if !lost.accepted => ended.and(Err(lost.error)),
        _ => ended,
    }
}

/// A mount that serves.
struct Mount {
    record: Record,
    engine: Arc<Engine>,
    /// What the intent log lost.
    lost: Option<Lost>,
    freshness: Freshness,
    watcher: Option<challenge::Watcher>,
    publish_last: Duration,
    server: Arc<Server>,
    session: JoinHandle<()>,
    events: mpsc::Receiver<Event>,
    instance: Option<Instance>,
}

fn start(args: &MountArgs) -> Result<Mount> {
    // First: a warning from below would be in no log if that began later.
    logging::begin(args)?;
    if args.daemon_child {
        daemon::detach();
    }
    mountpoint::prepare(&args.dir)?;
    // After the dead mount of a killed daemon was taken away: it would count as one in use.
    if mountpoint::is_mounted(&args.dir) {
        let dir = args.dir.display();
        return Err(Error::Busy(format!(
            "something is mounted at {dir} already: `cairn umount {dir}` first"
        )));
    }
    // While nothing is open yet. A store opened first and hidden then would have the daemon wait
    // for its own mount, where no signal ends it.
    require_apart(args)?;
    if !args.nonempty {
        mountpoint::require_empty(&args.dir)?;
    }
    let (sender, events) = mpsc::channel();
    let starting = Cancel::new();
    // Before the waits for the store and for the anchor. A first signal ends the wait for the
    // anchor. At any other point of the start it stays in the channel: the mount comes about, and
    // ends in order at once.
    watch_signals(sender.clone(), starting.clone())?;
    let (options, mut config) = budget(args);
    // The lock of the store guards all that follows against a writer in this directory. Nothing of
    // the volume changes yet: a crash up to the recovery below leaves it as it was.
    let opening = opening(args, &options)?;
    if let (Err(error), false) = (opening.require_writable(), config.read_only) {
        output::warn(&format!("{error}. It is mounted read-only"));
        config.read_only = true;
    }
    // Needs the id of the volume, so it follows the opening. A refusal comes before the boot and
    // fences no instance. A reader takes no name: it writes nothing that could diverge.
    let beside = match args.anchor.anchor {
        Some(_) => Beside::Warn,
        None => Beside::Refuse,
    };
    let instance = match config.read_only {
        true => None,
        false => Some(Instance::claim(&opening.volume_id(), beside)?),
    };
    let (engine, freshness) = open_fresh(args, opening, config, &starting)?;
    // The kernel sees the volume only now: what a call finds has been recovered.
    let attached = attach(args, &engine, &freshness, sender);
    let (record, server, session) = attached.inspect_err(|_| {
        // The mount did not come about; what recovery did is kept, and the next mount need not do
        // it again.
        if let Err(error) = engine.close() {
            tracing::error!(%error, "cannot close the volume");
        }
    })?;
    // An answer speaks for the instance that booted, and only that one has a publisher.
    let watcher = match (&freshness.publisher, &freshness.anchor) {
        (Some(_), Some(anchor)) => Some(challenge::Watcher::start(
            Arc::clone(&engine),
            Arc::clone(anchor),
            args.anchor.challenge_interval,
        )?),
        _ => None,
    };
    let lost = Lost::of_mount(&engine, &record.store, &record.mountpoint);
    Ok(Mount {
        record,
        engine,
        lost,
        freshness,
        watcher,
        publish_last: args.anchor.publish_last,
        server,
        session,
        events,
        instance,
    })
}

/// Refuses a mount that would hide what its daemon works with.
fn require_apart(args: &MountArgs) -> Result<()> {
    // A CAR is open before it is hidden, and is never opened again.
    if !args.store.is_file() {
        mountpoint::require_store_apart(&args.dir, &args.store)?;
    }
    mountpoint::require_not_below(&args.dir, "the run directory", &state::run_dir()?)?;
    match args.anchor.anchor.as_ref().and_then(Spec::file) {
        Some(path) => mountpoint::require_not_below(&args.dir, "the anchor", path),
        None => Ok(()),
    }
}

/// Opens the volume once its anchor, if it has one, says that it is the newest; starts to publish
/// what changes.
fn open_fresh(
    args: &MountArgs,
    mut opening: Opening,
    mut config: Config,
    cancel: &Cancel,
) -> Result<(Arc<Engine>, Freshness)> {
    let mut anchor = None;
    let trust = match &args.anchor.anchor {
        None => freshness::without_anchor(&opening, &args.anchor, &args.store.display().to_string())?,
        Some(spec) => {
            let opened = anchor::open(spec, opening.volume_id())?;
            if let Some(warning) = spec.warning() {
                output::warn(&warning);
            }
            let access = if config.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            };
            let policy = args.anchor.anchor_policy;
            let trust = freshness::admit(&mut opening, opened.as_ref(), policy, access, cancel)?;
            anchor = Some(opened);
            trust
        }
    };
    // Between the answer and the opening: recovery commits, and an unverified volume must not even
    // do that.
    config.read_only |= trust == Trust::Unverified;
    // The first write to the volume. A crash before this leaves a boot at the anchor at most,
    // which the next mount's boot replaces. A crash after it leaves a head that the next recovery
    // begins with.
    let engine = opening
        .open(config)
        .map_err(|error| volume::explain(&args.store, "", error))?;
    let publisher = match &anchor {
        // A loss that was not accepted is not published: the version without it would take the
        // place of the one that still has it.
        Some(anchor) if trust == Trust::Booted && engine.require_log().is_ok() => Some(Publisher::start(
            Arc::clone(&engine),
            Arc::clone(anchor),
            (&args.anchor).into(),
        )?),
        _ => None,
    };
    Ok((
        engine,
        Freshness {
            trust,
            anchor,
            publisher,
        },
    ))
}

/// Finds the version to mount: the newest of a store, or, only for reading, another one, or that of
/// a CAR.
fn opening(args: &MountArgs, options: &StoreOptions) -> Result<Opening> {
    if args.store.is_file() || args.version.is_given() {
        return match args.is_read_only() {
            true => offline::Place::open_with(&args.store, &args.version, options)?.opening(&args.key),
            false => Err(Error::Usage(
                "a CAR, or a version by its root, is mounted with --read-only".into(),
            )),
        };
    }
    let purpose = match args.is_read_only() {
        true => For::Reading,
        false => For::Writing,
    };
    let store = volume::open_store_patiently(&args.store, purpose, options)?;
    volume::opening(store, &args.store, &args.key)
}

/// What the daemon takes whatever its caches: requests and batches under way, buffers of flushes,
/// stacks.
const FIXED_BYTES: u64 = 96 << 20;

/// Divides `--memory`, less what is fixed: a tenth for the store's tables and caches, 13 twentieths
/// for the engine's. The rest is for what the allocators cannot give back at once.
fn budget(args: &MountArgs) -> (StoreOptions, Config) {
    memory::bound(args.memory);
    let divided = args.memory.saturating_sub(FIXED_BYTES);
    let store_bytes = divided / 10;
    let options = StoreOptions {
        memory_bytes: usize::try_from(store_bytes).unwrap_or(usize::MAX),
        ..StoreOptions::default()
    };
    let mut config = Config::with_memory(divided / 20 * 13);
    config.read_only = args.is_read_only();
    config.accept_log_loss = args.accept_log_loss;
    config.commit_interval = args.commit_interval;
    config.snapshot_dirs = args.snapshot_dirs;
    if let Some(threads) = args.threads {
        config.workers = threads.into();
    }
    (options, config)
}

/// The kernel's side of the mount, then what lets commands find it.
fn attach(
    args: &MountArgs,
    engine: &Arc<Engine>,
    freshness: &Freshness,
    events: Sender<Event>,
) -> Result<(Record, Arc<Server>, JoinHandle<()>)> {
    // Before the mount: after it the path leads to the root of the volume.
    if args.protect_mountpoint {
        mountpoint::protect(&args.dir)?;
    }
    let mut record = Record {
        pid: std::process::id(),
        store: state::resolve(&args.store),
        mountpoint: state::resolve(&args.dir),
        device: None,
    };
    // Before the mount: of a mount without a record no command finds the daemon. A crash in
    // between leaves the record of a process that is gone, which commands pass over.
    record.save()?;
    let ended = events.clone();
    let (session, kernel) = mount(args, engine, ended).inspect_err(|_| record.remove())?;
    // Only a mount has a device. It tells this mount from another one that is laid over it.
    record.device = mountpoint::device(&record.mountpoint);
    let end_mount = move || drop(events.send(Event::Asked));
    // The socket comes last: a client that reaches it finds a mount that serves.
    let server = record.save().and_then(|()| {
        Server::start(
            Arc::clone(engine),
            record.clone(),
            freshness.clone(),
            kernel,
            end_mount,
        )
    });
    let server = server.inspect_err(|_| {
        record.remove();
        let _ = mountpoint::unmount_device(&record.mountpoint, record.device.as_deref(), Unmount::Lazy);
    })?;
    Ok((record, server, session))
}

/// What mount(8) and df show as the source.
fn source(args: &MountArgs) -> OsString {
    let mut of_store = OsString::from("cairn:");
    of_store.push(&args.store);
    args.fsname.clone().unwrap_or(of_store)
}

fn mount(
    args: &MountArgs,
    engine: &Arc<Engine>,
    events: Sender<Event>,
) -> Result<(JoinHandle<()>, KernelMemory)> {
    let options = cairn_fs::MountOptions {
        fsname: source(args),
        allow_other: !args.no_allow_other,
        read_only: engine.status().read_only.is_some(),
        flags: args.flags(),
        full_margin_bytes: args.full_margin,
        ..cairn_fs::MountOptions::default()
    };
    let threads = args.threads.map_or(options.threads, Into::into);
    let options = cairn_fs::MountOptions { threads, ..options };
    let mounted = cairn_fs::mount(Arc::clone(engine), &args.dir, &options);
    let mounted = mounted.map_err(|error| cannot_mount(&args.dir, error))?;
    let kernel = mounted.memory();
    let wait = move || {
        if let Err(error) = mounted.join() {
            tracing::error!(%error, "the session with the kernel failed");
        }
        let _ = events.send(Event::SessionEnded);
    };
    let waiting = std::thread::Builder::new().name("session".into()).spawn(wait);
    let waiting = waiting.map_err(|error| Error::io("cannot start a thread", error))?;
    Ok((waiting, kernel))
}

/// Why the kernel, or fusermount3 for a plain user, did not mount, with what helps.
fn cannot_mount(dir: &Path, error: io::Error) -> Error {
    let dir = dir.display();
    // fusermount3 has words for it, and no number.
    if error.to_string().contains("user_allow_other") {
        return Error::Usage(format!(
            "cannot mount at {dir}: only root may let other users in. Mount with --no-allow-other, or have root write \
             user_allow_other into /etc/fuse.conf"
        ));
    }
    let hint = match Path::new("/dev/fuse").exists() {
        true => "",
        false => " (there is no /dev/fuse: load the module fuse)",
    };
    Error::io(format!("cannot mount at {dir}{hint}"), error)
}

/// The first signal ends the mount in order, the second at once: a store that hangs must not keep
/// the process.
fn watch_signals(events: Sender<Event>, starting: Cancel) -> Result<()> {
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).map_err(|error| Error::io("cannot watch for signals", error))?;
    let watch = move || {
        for (count, signal) in signals.forever().enumerate() {
            starting.cancel();
            // Without a receiver the start failed or the end is over: nothing is left to be ended
            // in order.
            if count > 0 || events.send(Event::Signal(signal)).is_err() {
                std::process::exit(128 + signal);
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(watch);
    thread
        .map(drop)
        .map_err(|error| Error::io("cannot start a thread", error))
}

impl Mount {
    fn run(mut self) -> Result<()> {
        match self.events.recv() {
            Ok(Event::Signal(signal)) => {
                tracing::info!(signal, "ending; a second signal ends at once");
                self.leave();
            }
            Ok(Event::Asked) => {
                tracing::info!("asked to end although the mount is in use");
                self.leave();
            }
            // Usually the mount is gone; if the session failed it is there, and answers nothing any
            // more.
            Ok(Event::SessionEnded) | Err(_) => self.take_away_dead(),
        }
        // Before the last publication and the commit, which may take long. A waiting `umount`
        // learns here that the mount itself is over, and looks for no holders any more.
        self.server.closing();
        // Its checks read through the engine, which must be open for them.
        if let Some(watcher) = self.watcher.take() {
            watcher.finish();
        }
        // Before the engine closes: the last publication needs a commit. A kill in between leaves
        // a head that is the submitted version or names it, and the next mount asks the anchor.
        // Only after that is it known whether this instance was fenced.
        let fenced = self.freshness.publisher.as_ref().and_then(|publisher| {
            publisher.finish(self.publish_last);
            publisher.fenced()
        });
        let closed = self
            .engine
            .close()
            .map_err(|error| volume::explain(&self.record.store, "", error));
        // Before the store: a mount that waits for that finds the name free.
        drop(self.instance.take());
        let closed = match fenced {
            // What a fence cost goes before what the close says: a fenced engine cannot commit.
            Some(error) => Err(error),
            None => closed,
        };
        // After the commit: while the record is there, the next mount of the store waits longer
        // for its lock (`patience` in `volume.rs`). Before the answer: a client that heard it
        // finds no record left.
        self.record.remove();
        self.server.ended(&closed);
        // Not waited for otherwise: a copy of the mount in another namespace keeps the session
        // until this process ends.
        if self.session.is_finished() {
            let _ = self.session.join();
        }
        closed
    }

    fn take_away_dead(&self) {
        let Record {
            mountpoint: dir,
            device,
            ..
        } = &self.record;
        if device.is_some() && mountpoint::device(dir) == *device {
            let _ = mountpoint::unmount_device(dir, device.as_deref(), Unmount::Lazy);
        }
    }

    /// Takes the mount away although it was not unmounted. Files may be open, and other namespaces
    /// may have copies: then only the name goes, and their holders get errors once this process is
    /// gone.
    fn leave(&self) {
        let Record {
            mountpoint: dir,
            device,
            ..
        } = &self.record;
        if mountpoint::device(dir) != *device {
            tracing::warn!(mountpoint = %dir.display(), "not mounted here any more, or below another mount: left alone");
            return;
        }
        // Before the mount is taken away. After a lazy unmount the kernel may hold pages back
        // until this process is gone, and they are lost with it.
        if let Err(error) = mountpoint::flush_kernel(dir) {
            tracing::warn!(%error, "the kernel could not hand over all it held");
        }
        let take_away = |how| mountpoint::unmount_device(dir, device.as_deref(), how);
        match take_away(Unmount::Whole) {
            Ok(()) => {
                // The session ends by itself: it has handed over every request by then. But for a
                // copy elsewhere.
                let held = lives_elsewhere(&self.record);
                let patience = Duration::from_secs(if held { 1 } else { 10 });
                let _ = self.events.recv_timeout(patience);
            }
            Err(error) => {
                tracing::warn!(%error, "detaching");
                if let Err(error) = take_away(Unmount::Lazy) {
                    tracing::warn!(%error, "cannot detach");
                }
            }
        }
    }
}
