//! The committer's thread: commits on time, when asked, and lets the store tidy up when there is
//! nothing to do.

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
    /// Until when a commit that is due may wait, if it may. Each commit writes whole records for
    /// what may be a few bytes of each, so fewer write less. But nothing that the log lacks waits
    /// for longer than the interval.
    fn may_wait(&self, state: &State, committed: Instant) -> Option<Instant> {
        let (now, interval) = (self.now(), self.config.commit_interval);
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

    /// The committer: commits on time, when asked, and lets the store tidy up when there is
    /// nothing to do.
    pub(crate) fn run_committer(&self) {
        let mut state = self.state.lock();
        let (mut committed, mut waits) = (self.now(), None);
        while !state.life.is_closing() {
            // Space of a huge file is given back soon, and writers get their turn in between.
            let interval = match state.commits.destroying() {
                0 => self.config.commit_interval,
                _ => self.config.commit_interval / DESTROY_PACE,
            };
            let due = waits.take().unwrap_or_else(|| self.now() + interval);
            while !state.life.is_closing() && !state.commits.is_wanted() {
                let left = due.saturating_duration_since(self.now());
                if left.is_zero() {
                    break;
                }
                self.signals.wake.wait_for(&mut state, left);
            }
            if state.life.is_closing() {
                return;
            }
            let wanted = state.commits.take_wanted();
            if !wanted && state.has_changes() {
                waits = self.may_wait(&state, committed);
                if waits.is_some() {
                    continue;
                }
            }
            committed = self.now();
            if state.life.read_only().is_none() && (state.commits.is_under_way() || state.has_changes()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::stored::{Event, Store, config, copy, formatted, open, try_open, volume, wait_for};
    use crate::{Config, InodeNo, Quota};
    use cairn_merkle::StoreStats;
    use cairn_merkle::testing::{CrashStore, Op};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn it_commits_when_it_is_asked() {
        let (store, engine) = volume();
        engine.t_file(InodeNo::ROOT, b"file");
        wait_for(&store, Event::is_swap, || engine.start_commit());
        // Behind the commit that was seen to begin.
        engine.commit().unwrap();
        assert!(engine.state.lock().commits.done() > 0);
    }

    #[test]
    fn it_commits_on_time_and_then_lets_the_store_tidy_up() {
        let store = formatted(Quota::default());
        let often = Config {
            commit_interval: Duration::from_millis(1),
            ..config()
        };
        let engine = try_open(store.clone(), often).unwrap();
        wait_for(&store, Event::is_swap, || {
            engine.t_file(InodeNo::ROOT, b"file");
        });
        wait_for(&store, |event| *event == Event::Reclaim, || {});
        engine.close().unwrap();
    }

    #[test]
    fn a_store_that_is_full_or_mostly_garbage_is_asked_to_tidy_up_under_a_writer() {
        let (store, engine) = volume();
        let garbage = |garbage_bytes| StoreStats {
            used_bytes: 1 << 30,
            available_bytes: 1 << 40,
            garbage_bytes,
        };
        for (bytes, much) in [(0, false), (1 << 29, false), ((1 << 29) + 1, true)] {
            *store.stats.lock() = Some(garbage(bytes));
            assert_eq!(engine.is_mostly_garbage(), much, "{bytes}");
        }
        *store.stats.lock() = Some(StoreStats {
            used_bytes: 0,
            ..garbage(GARBAGE_MIN)
        });
        assert!(!engine.is_mostly_garbage(), "it is little");
        *store.stats.lock() = Some(garbage(1 << 30));
        engine.t_file(InodeNo::ROOT, b"file");
        wait_for(&store, |event| *event == Event::Reclaim, || engine.start_commit());
        *store.stats.lock() = None;
        engine.t_file(InodeNo::ROOT, b"other");
        store.faults.full_from_nth(Op::Put, 0);
        wait_for(&store, |event| *event == Event::Reclaim, || engine.start_commit());
    }

    #[test]
    fn what_is_all_in_the_log_may_wait_longer_than_what_is_not() {
        let (_, engine) = volume();
        let interval = engine.config.commit_interval;
        let now = Instant::now();
        let ino = engine.t_file(InodeNo::ROOT, b"file");
        engine.fsync(ino, false).unwrap();
        let until = engine.may_wait(&engine.state.lock(), now).unwrap();
        assert!(until >= now + interval && until <= Instant::now() + interval);
        let long_ago = now.checked_sub(interval * LOGGED_INTERVALS);
        if let Some(committed) = long_ago {
            assert_eq!(engine.may_wait(&engine.state.lock(), committed), None);
        }
        engine.t_write(ino, 0, b"volatile");
        let since = engine.state.lock().volatile_since().unwrap();
        assert_eq!(engine.may_wait(&engine.state.lock(), now), Some(since + interval));
        engine.state.lock().open.touch();
        assert_eq!(
            engine.may_wait(&engine.state.lock(), now),
            None,
            "only a commit does that"
        );
    }

    #[test]
    fn a_failed_commit_of_its_own_is_told_to_the_next_caller() {
        let (store, engine) = volume();
        engine.t_file(InodeNo::ROOT, b"file");
        store.faults.fail_nth(Op::SwapHead, 0);
        wait_for(&store, Event::is_swap, || engine.start_commit());
        assert!(engine.commit().is_err());
        let to = Store::over(CrashStore::new());
        copy(&*store.killed(), &to, |_, record| Some(record));
        open(Arc::new(to)).close().unwrap();
    }
}
