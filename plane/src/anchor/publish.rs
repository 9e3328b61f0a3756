//! The publisher: a thread that anchors new versions, on time, and holds up no writer.
//!
//! ```text
//!  due (interval) | bytes written | store short of room | cairn sync --anchored | the last one, at the unmount
//!     `--> commit, prepare, wait until due --> anchor.publish(previous, next) --final--> confirmed
//!              |                     |-- conflict, fenced: another instance goes on, this one is read-only from here
//!              |                     `-- unreachable: asked again later, with the same version: it may have arrived
//!              `-- one at a time; writers, commits and fsync go on meanwhile
//! ```
//!
//! **Invariant:** a publication whose outcome is unknown is repeated until it is known; only then
//! is the next prepared. Locks: [`Publisher::state`] is never held while the engine or the anchor
//! is called.

mod schedule;

use crate::anchor::explain;
use crate::cli::anchor::AnchorArgs;
use crate::error::{Error, Exit, Result};
use cairn_fs::{Closed, Engine, Prepared, Standing};
use cairn_merkle::{Anchor, AnchorError, Cancel, Epoch, Version};
use parking_lot::{Condvar, Mutex, MutexGuard};
pub(crate) use schedule::Punctuality;
use schedule::Schedule;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often bytes and room are looked at.
const TICK: Duration = Duration::from_secs(1);
/// The first pause after a publication that failed.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Held space below which a store that runs short is not helped by publishing.
const HELD_BYTES_MIN: u64 = 16 << 20;

const FENCED: &str = "another instance of this volume has taken over at the anchor";

/// When to publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) interval: Duration,
    pub(crate) bytes: u64,
}

impl From<&AnchorArgs> for Settings {
    fn from(args: &AnchorArgs) -> Self {
        Self {
            interval: args.publish_interval,
            bytes: args.publish_bytes,
        }
    }
}

/// Anchors what changes in one mounted volume.
pub(crate) struct Publisher {
    engine: Arc<Engine>,
    anchor: Arc<dyn Anchor>,
    settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
    cancel: Cancel,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    /// When the next one is due by the interval, and before which none is tried after a failure.
    schedule: Schedule,
    not_before: Instant,
    pause: Duration,
    /// A caller waits until this epoch is anchored.
    wanted: Epoch,
    /// The version on its way, if this instance made it.
    prepared: Option<Prepared>,
    /// What the version last anchored was closed with, or this mount began with.
    anchored: Closed,
    error: Option<String>,
    fenced: bool,
    ending: bool,
    /// Publications that ended, one way or the other.
    rounds: u64,
}

/// What `status` tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// What is not anchored yet: epochs, time since the anchored version was made, bytes written
    /// since.
    pub(crate) epochs: u64,
    pub(crate) age: Duration,
    pub(crate) bytes: u64,
    /// Until the next publication, if there is anything to publish.
    pub(crate) next: Option<Duration>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
    pub(crate) fenced: bool,
    /// How publications kept to their schedule.
    pub(crate) punctuality: Punctuality,
}

impl Publisher {
    /// Publishes from now on, on a thread of its own. The anchor has been booted.
    pub(crate) fn start(
        engine: Arc<Engine>,
        anchor: Arc<dyn Anchor>,
        settings: Settings,
    ) -> Result<Arc<Self>> {
        let now = Instant::now();
        let publisher = Arc::new(Self {
            engine,
            anchor,
            settings,
            state: Mutex::new(State {
                // A volume that was never anchored, or was left with changes, is not left so for an
                // interval.
                schedule: Schedule::begin(now, settings.interval),
                not_before: now,
                pause: PAUSE_FIRST,
                wanted: Epoch(0),
                prepared: None,
                anchored: Closed {
                    at: now,
                    written_bytes: 0,
                },
                error: None,
                fenced: false,
                ending: false,
                rounds: 0,
            }),
            changed: Condvar::new(),
            cancel: Cancel::new(),
            thread: Mutex::new(None),
        });
        let running = Arc::clone(&publisher);
        let thread = std::thread::Builder::new()
            .name("publish".into())
            .spawn(move || running.run());
        let thread = thread.map_err(|error| Error::io("cannot start a thread", error))?;
        *publisher.thread.lock() = Some(thread);
        Ok(publisher)
    }

    /// That another instance has taken over, if so.
    pub(crate) fn fenced(&self) -> Option<Error> {
        let fenced = self.state.lock().fenced;
        fenced.then(|| {
            self.refused(
                format!("{FENCED}; what was not anchored by then is lost"),
                Exit::Fenced,
            )
        })
    }

    /// What is not anchored yet.
    pub(crate) fn window(&self) -> Window {
        let standing = self.engine.standing();
        let state = self.state.lock();
        let pending = !standing.is_anchored();
        let anchored = standing.anchored.map_or(0, |version| version.epoch.0);
        let now = Instant::now();
        let next = state
            .schedule
            .due()
            .max(state.not_before)
            .saturating_duration_since(now);
        Window {
            epochs: if pending {
                standing.changed.0.saturating_sub(anchored)
            } else {
                0
            },
            age: if pending {
                now - state.anchored.at
            } else {
                Duration::ZERO
            },
            bytes: match pending {
                true => standing
                    .written_bytes
                    .saturating_sub(state.anchored.written_bytes),
                false => 0,
            },
            next: (pending && !state.fenced).then_some(next),
            error: state.error.clone(),
            fenced: state.fenced,
            punctuality: state.schedule.punctuality(),
        }
    }

    /// Commits, and returns once that is anchored.
    pub(crate) fn sync(&self, timeout: Option<Duration>) -> Result<()> {
        let committed = self.engine.commit();
        // A fence makes commits fail, too. As their cause it is what the caller hears.
        if let Some(error) = self.fenced() {
            return Err(error);
        }
        committed?;
        // After the commit. What others write meanwhile may raise it, which costs this caller a
        // longer wait and no promise.
        let target = self.engine.standing().changed;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.state.lock();
        state.wanted = state.wanted.max(target);
        self.changed.notify_all();
        loop {
            // Noted before the lock goes: a round that ends during the look is not waited for.
            let round = state.rounds;
            let anchored = MutexGuard::unlocked(&mut state, || self.engine.standing().anchored);
            if anchored.is_some_and(|version| version.epoch >= target) {
                return Ok(());
            }
            let why = state.error.clone().unwrap_or_else(|| "it is on its way".into());
            if state.fenced {
                return Err(self.refused(FENCED.into(), Exit::Fenced));
            }
            if self.cancel.is_cancelled() {
                return Err(self.refused(format!("the volume is being unmounted: {why}"), Exit::Unreachable));
            }
            if state.rounds != round {
                continue;
            }
            let late = match deadline {
                None => {
                    self.changed.wait(&mut state);
                    false
                }
                Some(deadline) => self.changed.wait_until(&mut state, deadline).timed_out(),
            };
            if late {
                return Err(self.refused(
                    format!("everything is committed, but not anchored in time: {why}"),
                    Exit::Unreachable,
                ));
            }
        }
    }

    fn refused(&self, why: String, exit: Exit) -> Error {
        Error::Anchor {
            what: format!("{}: {why}", self.anchor.describe()),
            exit,
        }
    }

    /// Anchors what is left, waiting so long at most, and ends. The volume is committed by then,
    /// and closed by the caller.
    pub(crate) fn finish(&self, within: Duration) {
        // First: a version that is ready must not be kept back until it is due.
        self.state.lock().ending = true;
        let left = match self.engine.status().read_only {
            None => self.sync(Some(within)),
            // It makes no new version. One that is under way is settled by the next mount.
            Some(_) => Ok(()),
        };
        if let Err(error) = left {
            tracing::warn!(%error, "unmounted before the last changes were anchored: the next mount publishes them");
        }
        self.cancel.cancel();
        // A thread that looked before the line above waits by now, or holds the lock.
        drop(self.state.lock());
        self.changed.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the publisher panicked");
        }
    }

    fn run(&self) {
        while self.await_reason() {
            match self.publish() {
                Ok(()) => self.succeeded(),
                Err(why) => self.failed(why),
            }
        }
    }

    /// Waits until there is something to publish and a reason to do it now; `false` at the end.
    fn await_reason(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if self.cancel.is_cancelled() || state.fenced {
                return false;
            }
            let (standing, hurry) = self.look(&mut state);
            let now = Instant::now();
            let due = state.schedule.look(now, standing.is_anchored());
            if (due || hurry) && !standing.is_anchored() && now >= state.not_before {
                return true;
            }
            let mut until = now + TICK;
            if state.schedule.begins() > now {
                until = until.min(state.schedule.begins());
            }
            self.changed.wait_until(&mut state, until);
        }
    }

    /// How the volume is, and whether there is a reason to publish before it is due.
    fn look(&self, state: &mut MutexGuard<'_, State>) -> (Standing, bool) {
        let (standing, short) = MutexGuard::unlocked(state, || {
            let standing = self.engine.standing();
            let short = self.is_short(&standing);
            (standing, short)
        });
        let anchored = standing.anchored.map_or(Epoch(0), |version| version.epoch);
        let written = standing
            .written_bytes
            .saturating_sub(state.anchored.written_bytes);
        let many = written.max(standing.held_bytes) >= self.settings.bytes;
        let hurry = short || many || state.wanted > anchored || state.ending;
        (standing, hurry)
    }

    /// Whether the volume lacks room that older versions hold.
    fn is_short(&self, standing: &Standing) -> bool {
        let held = standing.held_bytes;
        let free = || self.engine.statfs().map_or(u64::MAX, |stats| stats.free_bytes);
        held >= HELD_BYTES_MIN && (standing.full || free() < held)
    }

    /// Keeps back a version that is ready before it is due, unless something comes that wants it
    /// sooner.
    fn await_due(&self, state: &mut MutexGuard<'_, State>) {
        while let Some(due) = state.schedule.handed_at() {
            let (_, hurry) = self.look(state);
            let now = Instant::now();
            if hurry || now >= due || self.cancel.is_cancelled() {
                return;
            }
            self.changed.wait_until(state, due.min(now + TICK));
        }
    }

    /// One publication, or the repetition of one whose outcome is not known.
    fn publish(&self) -> std::result::Result<(), Failure> {
        let before = self.engine.standing();
        // One that is under way goes first: until its outcome is known, so is not the version that
        // the next one would replace.
        let version = match before.submitted.last() {
            Some(version) => *version,
            None => {
                // Once prepared, the head is this version or names it. After a crash the next
                // mount takes it for its own, whether it arrived or not.
                let Some(prepared) = self.engine.prepare_publication()? else {
                    return Ok(());
                };
                let mut state = self.state.lock();
                state.schedule.begun(prepared.closed.at, Instant::now());
                state.prepared = Some(prepared);
                self.await_due(&mut state);
                state.schedule.handed(Instant::now());
                prepared.version
            }
        };
        // Last before the anchor: if an older copy was put in place of the store, it does not hold
        // what would be published.
        self.engine.require_head()?;
        match self.anchor.publish(before.anchored, version, &self.cancel) {
            Ok(()) => self.confirm(version),
            // An earlier attempt arrived, and its answer was lost. The rest is published in the
            // next round.
            Err(AnchorError::Conflict { latest: Some(latest) }) if before.submitted.contains(&latest) => {
                self.confirm(latest);
            }
            Err(AnchorError::Conflict { latest }) if latest == Some(version) => self.confirm(version),
            Err(error @ (AnchorError::Conflict { .. } | AnchorError::Fenced)) => {
                return Err(Failure::Fenced(explain(&error)));
            }
            Err(error) => return Err(Failure::Anchor(explain(&error))),
        }
        Ok(())
    }

    fn confirm(&self, version: Version) {
        // Before the wake below: a waiter asks the engine what is anchored.
        self.engine.confirmed(version);
        let mut state = self.state.lock();
        if let Some(prepared) = state.prepared.take_if(|prepared| prepared.version == version) {
            state.anchored = prepared.closed;
        }
        tracing::info!(epoch = version.epoch.0, root = %version.root, "anchored");
        state.rounds += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn succeeded(&self) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.error = None;
        state.pause = PAUSE_FIRST;
        state.not_before = now;
        let anchored_at = state.anchored.at;
        state.schedule.ended(anchored_at, now);
        self.changed.notify_all();
    }

    fn failed(&self, why: Failure) {
        let mut state = self.state.lock();
        match why {
            Failure::Fenced(why) => {
                tracing::error!(anchor = self.anchor.describe(), why, "fenced");
                // Before the engine refuses: a caller whose commit fails then finds the cause
                // here.
                state.fenced = true;
                state.error = Some(why);
                MutexGuard::unlocked(&mut state, || self.engine.fence(FENCED));
            }
            Failure::Anchor(why) | Failure::Volume(why) => {
                if !self.cancel.is_cancelled() {
                    tracing::warn!(
                        anchor = self.anchor.describe(),
                        why,
                        "cannot publish; trying again"
                    );
                }
                state.error = Some(why);
                state.not_before = Instant::now() + state.pause;
                // No longer than the interval: an anchor that is back is used at the pace it was
                // before.
                state.pause = (state.pause * 2).min(self.settings.interval.max(PAUSE_FIRST));
            }
        }
        state.rounds += 1;
        self.changed.notify_all();
    }
}

/// Why a publication did not come about.
enum Failure {
    /// This instance may never publish again.
    Fenced(String),
    /// The anchor; another time it may.
    Anchor(String),
    /// The volume cannot be committed.
    Volume(String),
}

impl From<cairn_fs::Error> for Failure {
    fn from(error: cairn_fs::Error) -> Self {
        Self::Volume(error.to_string())
    }
}

#[cfg(test)]
mod tests;
