//! fsync: what was noted for the intent log becomes durable, for all callers that wait at the same
//! time.
//!
//! ```text
//!  fsync, no append under way --> leader: seal, append, sync --> its answer, and that of each waiting call
//!  fsync, an append under way --> waiting ----------------------^   more wait? the logger leads the next
//!                                                 `--> a moment later, the logger: one mark for all syncs since the last
//! ```
//!
//! One thread that syncs alone does all of it itself: waking another costs as much as the device.
//! Many share: each append includes all that was noted during the one before it, and no caller's
//! thread is blocked meanwhile.

use crate::engine::{Engine, Guard};
use crate::error::is_full;
use crate::log::buffer::Waiter;
use crate::operations::SyncDone;
use crate::{Error, InodeNo, Result};
use parking_lot::MutexGuard;

/// This much log asks for a commit, however few bytes are dirty: it takes room, and time when it
/// is replayed.
const WRITTEN_MAX: u64 = 256 << 20;
/// So does this many eighths of the engine's memory: a mount that replays it holds what it says.
const WRITTEN_EIGHTHS: u64 = 5;

impl Engine {
    /// Makes every operation noted so far durable, together with all callers at the same time.
    pub(crate) fn flush_log(&self, state: &mut Guard<'_>) -> Result<()> {
        // Fixed before the first wait: what others push meanwhile is theirs to wait for.
        let wanted = state.log.pushed;
        while state.log.durable < wanted {
            state.life.writable()?;
            if state.log.leader {
                // One at a time: records are chained, and a sync covers all that is sealed.
                self.signals.logged.wait(state);
                continue;
            }
            state.log.leader = true;
            let begun = self.now();
            // Under one hold of the lock: these records say all up to `upto`, and each leaf that
            // they name has landed.
            let upto = state.log.pushed;
            let records = state.log.seal(&self.log_key);
            let most = WRITTEN_MAX.min(self.config.memory_bytes / 8 * WRITTEN_EIGHTHS);
            if state.log.written > most && !state.commits.is_under_way() {
                self.want_commit(state);
            }
            let (landed, sync) = (state.puts.landed(), state.puts.needs_sync());
            let done = MutexGuard::unlocked(state, || -> Result<()> {
                if sync {
                    // Leaves first: no record may name a block that a crash took.
                    self.blocks.store.sync()?;
                }
                // Also without records of its own: earlier ones may have been written and not
                // synced.
                Ok(self.blocks.store.log_append(&records)?)
            });
            state.log.leader = false;
            match done {
                Ok(()) => {
                    // Only now: a mark before the sync would make a crash look like a loss.
                    state.log.is_synced();
                    state.puts.synced(landed);
                    state.log.is_durable_to(upto, begun);
                    self.want_mark(state);
                }
                Err(error) if is_full(&error) => {
                    // Kept as sealed: with more in them they would use a nonce twice.
                    state.log.unwritten = records;
                    self.signals.logged.notify_all();
                    self.answer_waiting(state, Some(&|| Error::NoSpace));
                    return Err(Error::NoSpace);
                }
                Err(error) => {
                    // What is durable is unknown: nothing more is written (docs/format.md 16).
                    self.fail(state, "the intent log could not be written", &error);
                    let refused = || Error::ReadOnly("the intent log could not be written");
                    self.answer_waiting(state, Some(&refused));
                    return Err(error);
                }
            }
            self.signals.logged.notify_all();
            self.answer_waiting(state, None);
        }
        Ok(())
    }

    /// Has a mark written that says how far the log is durable. Soon and not at once: an fsync
    /// would wait for it, and the next record says the same.
    fn want_mark(&self, state: &mut Guard<'_>) {
        if !state.log.has_logger || self.config.mark_delay.is_zero() {
            self.write_mark(state);
        } else if state.log.mark_due.is_none() {
            state.log.mark_due = Some(self.now() + self.config.mark_delay);
            self.signals.log_wanted.notify_one();
        }
    }

    /// Has what was synced, and the newest commit, outlive this process as a mark. Without it,
    /// their loss would pass for a power cut before they were durable.
    pub(crate) fn write_mark(&self, state: &mut Guard<'_>) {
        let Some(mark) = state.log.next_mark() else { return };
        let marked = MutexGuard::unlocked(state, || self.blocks.store.log_mark(&mark.seal(&self.log_key)));
        if let Err(error) = marked {
            tracing::warn!(%error, "how far the intent log is durable could not be noted beside it");
        }
    }

    /// Wakes the callers whose records are durable now; all of them, if the log `failed`.
    fn answer_waiting(&self, state: &mut Guard<'_>, failed: Option<&dyn Fn() -> Error>) {
        if state.log.waiting.is_empty() {
            return;
        }
        let durable = state.log.durable;
        let waiting = std::mem::take(&mut state.log.waiting);
        let (told, left) = waiting
            .into_iter()
            .partition(|waiter| failed.is_some() || waiter.wanted <= durable);
        state.log.waiting = left;
        if !state.log.waiting.is_empty() {
            self.signals.log_wanted.notify_one();
        }
        // Without the lock: an answer goes to the kernel, and the engine goes on meanwhile.
        MutexGuard::unlocked(state, || {
            let told: Vec<Waiter> = told;
            for waiter in told {
                (waiter.done)(failed.map_or(Ok(()), |error| Err(error())));
            }
        });
    }

    /// The logger: appends for the calls that came while another append was under way, and writes
    /// the marks.
    pub(crate) fn run_logger(&self) {
        let mut state = self.state.lock();
        loop {
            if state.log.mark_due.is_some_and(|due| due <= self.now()) {
                self.write_mark(&mut state);
            } else if !state.log.waiting.is_empty() {
                let flushed = self.flush_log(&mut state);
                let read_only = state.life.read_only();
                let refused = || read_only.map_or(Error::NoSpace, Error::ReadOnly);
                // Callers after a failure are told the same; without one, those for whom a
                // commit did the work.
                let failed: Option<&dyn Fn() -> Error> = flushed.is_err().then_some(&refused);
                self.answer_waiting(&mut state, failed);
            } else if state.life.is_closing() {
                return;
            } else if let Some(due) = state.log.mark_due {
                let left = due.saturating_duration_since(self.now());
                self.signals.log_wanted.wait_for(&mut state, left);
            } else {
                self.signals.log_wanted.wait(&mut state);
            }
        }
    }

    /// Has what was noted so far outlive this process, though not a power cut. A program may take
    /// the removal of a file for the end of a transaction and not sync it: SQLite's rollback
    /// journal.
    pub(crate) fn write_log(&self, state: &mut Guard<'_>) {
        while state.log.leader {
            self.signals.logged.wait(state);
        }
        // Content names blocks that are not durable yet. A rename may replace a file by one whose
        // bytes are still in memory.
        if state.log.holds_back || state.life.read_only().is_some() {
            return;
        }
        let records = state.log.seal(&self.log_key);
        if records.is_empty() {
            return;
        }
        state.log.leader = true;
        let done = MutexGuard::unlocked(state, || self.blocks.store.log_write(&records));
        state.log.leader = false;
        self.signals.logged.notify_all();
        match done {
            Ok(()) => {}
            // Removing makes room: it must not fail for want of it.
            Err(error) if error.is_full() => state.log.unwritten = records,
            // What was done is done; it is the next change that is refused.
            Err(error) => self.fail(state, "the intent log could not be written", &error.into()),
        }
    }

    /// Whether [`Self::fsync_then`] would take no longer than one append of a few records; a
    /// guess.
    pub fn fsync_is_short(&self, ino: InodeNo) -> bool {
        let state = self.state.lock();
        if state.puts.needs_sync() {
            return false;
        }
        match state.inodes.get(ino).and_then(|inode| inode.file()) {
            Ok(file) => !file.frozen_unlogged && file.unlogged.is_short(),
            Err(_) => true,
        }
    }

    /// Everything that was done to this inode, and every change of names before, is durable on
    /// return.
    ///
    /// # Errors
    /// Whatever the store failed with; the volume is read-only afterwards.
    pub fn fsync(&self, ino: InodeNo, _data_only: bool) -> Result<()> {
        let mut state = self.state.lock();
        if self.note_for_sync(&mut state, ino)? {
            self.flush_log(&mut state)?;
        }
        Ok(())
    }

    /// Like [`Self::fsync`], but completes through `done`. Inline if no append is under way and
    /// this thread is not `wanted` for something else; else on the log's thread, with the next
    /// append.
    pub fn fsync_then(&self, ino: InodeNo, data_only: bool, wanted: bool, done: SyncDone) {
        let mut state = self.state.lock();
        let here = !state.log.leader && !wanted;
        if here || !state.log.has_logger || state.life.is_closing() {
            drop(state);
            return done(self.fsync(ino, data_only));
        }
        match self.note_for_sync(&mut state, ino) {
            Ok(true) if state.log.durable < state.log.pushed => {
                let wanted = state.log.pushed;
                // Under the lock: the leader looks here at the end of its append, and misses none.
                state.log.waiting.push(Waiter { wanted, done });
                if !state.log.leader {
                    self.signals.log_wanted.notify_one();
                }
            }
            noted => {
                drop(state);
                done(noted.map(drop));
            }
        }
    }

    /// Has all that an fsync of this inode must make durable noted for the log. Nothing is to be
    /// done for what never changes.
    fn note_for_sync(&self, state: &mut Guard<'_>, ino: InodeNo) -> Result<bool> {
        if crate::namespace::view::view_of(ino) != 0 || ino == InodeNo::SNAPSHOTS {
            return Ok(false);
        }
        // A volume that was mounted read-only has nothing that is not durable.
        if self.config.read_only {
            return Ok(false);
        }
        state.life.writable()?;
        self.enter(state, ino)?;
        if let Ok(file) = state.inodes.get_mut(ino)?.file_mut() {
            file.synced = true;
        }
        // First, for it releases the lock: bytes that come meanwhile are logged below.
        self.flush_large(state, ino)?;
        // Replayed alone, the newer bytes would lie over content that lacks the frozen ones. No
        // record holds these, and a crash may cut their commit off.
        while matches!(state.inodes.get(ino).and_then(|inode| inode.file()), Ok(file) if file.frozen_unlogged)
        {
            state.life.writable()?;
            if state.commits.stalled().is_some() {
                return Err(Error::NoSpace);
            }
            self.signals.committed.wait(state);
        }
        self.log_content(state, ino)?;
        let inode = state.inodes.get_mut(ino)?;
        match std::mem::take(&mut inode.lost) {
            true => Err(Error::Damaged("some of what was written could not be stored")),
            false => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests;
