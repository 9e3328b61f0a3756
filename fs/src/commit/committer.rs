//! The committer's thread: commits on time, when asked, and lets the store tidy up when there is nothing to do.

use crate::Error;
use crate::engine::Engine;
use crate::state::State;
use std::time::Instant;

/// Commits come this many times as often while deleted files are destroyed.
const DESTROY_PACE: u32 = 16;

/// Commit intervals that changes which are all in the log may wait.
const LOGGED_INTERVALS: u32 = 6;

/// Less garbage than this waits until there is nothing else to do.
const GARBAGE_MIN: u64 = 256 << 20;

impl Engine {
    /// Until when a commit that is due may wait, if it may. Each commit writes whole records for what may be a few bytes
    /// of each, so fewer write less; but nothing that the log lacks waits for longer than the interval.
    fn may_wait(&self, state: &State, committed: Instant) -> Option<Instant> {
        let (now, interval) = (Instant::now(), self.config.commit_interval);
        let oldest = state.volatile_since().unwrap_or(now);
        let until = (oldest + interval).min(committed + interval * LOGGED_INTERVALS);
        (until > now && !state.asks_for_commit()).then_some(until)
    }

    /// Whether the store holds more of what was deleted than of all else.
    fn is_mostly_garbage(&self) -> bool {
        let stats = self.blocks.store.stats();
        stats.is_ok_and(|stats| {
            stats.garbage_bytes > GARBAGE_MIN && stats.garbage_bytes > stats.used_bytes / 2
        })
    }

    /// The committer: commits on time, when asked, and lets the store tidy up when there is nothing to do.
    pub(crate) fn run_committer(&self) {
        let mut state = self.state.lock();
        let (mut committed, mut waits) = (Instant::now(), None);
        while !state.closing {
            // Space of a huge file is given back soon, and writers get their turn in between.
            let interval = match state.destroying {
                0 => self.config.commit_interval,
                _ => self.config.commit_interval / DESTROY_PACE,
            };
            let due = waits.take().unwrap_or_else(|| Instant::now() + interval);
            while !state.closing && !state.commit_wanted {
                if self.signals.wake.wait_until(&mut state, due).timed_out() {
                    break;
                }
            }
            if state.closing {
                return;
            }
            let wanted = std::mem::replace(&mut state.commit_wanted, false);
            if !wanted && state.has_changes() {
                waits = self.may_wait(&state, committed);
                if waits.is_some() {
                    continue;
                }
            }
            committed = Instant::now();
            if state.read_only.is_none() && (state.committing || state.has_changes()) {
                // Callers get the error from the log, or from a commit of their own.
                match self.commit_locked(&mut state) {
                    // The store may have garbage that makes room.
                    Err(Error::NoSpace) => {}
                    // Under a writer that never rests, nothing would ever be given back.
                    Ok(()) if self.is_mostly_garbage() => {}
                    _ => continue,
                }
            }
            let reclaimed = parking_lot::MutexGuard::unlocked(&mut state, || self.blocks.store.reclaim());
            if let Err(error) = reclaimed {
                tracing::warn!(%error, "the store could not give space back");
            }
        }
    }
}
