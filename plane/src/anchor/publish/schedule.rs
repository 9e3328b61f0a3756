//! When publications are due, and how they keep to it.
//!
//! ```text
//!  due - lead --> look --> begun: epoch closed, commit --> waits until due --> handed to the anchor --> ended: due + interval
//!   ^               `-- nothing to publish: waits for a change, which is then late for nothing              |
//!   '-----------------------------------------------------------------------------------------------------'
//! ```
//!
//! A version is due when it is handed over. Its commit takes a while, under load above all, so it
//! begins before that by twice what commits took lately. The schedule does not drift with the time
//! that a publication takes, and makes up for nothing.
//!
//! **Invariant:** nothing here reads the clock.

use std::time::{Duration, Instant};

/// The lead is at most this share of the interval.
const LEAD_SHARE: u32 = 4;
/// The lead is no shorter than this, or that share of a short interval: a load may begin at any
/// moment.
const LEAD_MIN: Duration = Duration::from_secs(1);

/// The moments at which publications are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    interval: Duration,
    due: Instant,
    /// Time enough for a commit: it begins so much before its version is due.
    lead: Duration,
    /// For what the next publication counts as on schedule or late; none if it comes for another
    /// reason.
    counts_for: Option<Instant>,
    /// There was nothing to publish when it was due.
    idle: bool,
    punctuality: Punctuality,
}

/// How publications that the interval brought about kept to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Punctuality {
    /// How many there were.
    pub(crate) count: u64,
    /// From when one was to begin until the epoch was closed that it publishes; none if that was
    /// closed before.
    pub(crate) closed: Lateness,
    /// From when one was due until it was handed to the anchor: the commit is in it, the anchor's
    /// own time is not.
    pub(crate) handed: Lateness,
}

/// How late something was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// The last time.
    pub(crate) last: Duration,
    /// At worst.
    pub(crate) max: Duration,
}

impl Lateness {
    fn note(&mut self, due: Instant, at: Instant) {
        self.last = at.saturating_duration_since(due);
        self.max = self.max.max(self.last);
    }
}

impl Schedule {
    /// The first is due `now`.
    pub(super) fn begin(now: Instant, interval: Duration) -> Self {
        Self {
            interval,
            due: now,
            lead: Duration::ZERO,
            counts_for: None,
            idle: false,
            punctuality: Punctuality::default(),
        }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// When its commit is to begin.
    pub(super) fn begins(&self) -> Instant {
        self.due.checked_sub(self.lead).unwrap_or(self.due)
    }

    /// How publications kept to it so far.
    pub(super) fn punctuality(&self) -> Punctuality {
        self.punctuality
    }

    /// Whether one is to begin. `idle` says that there is nothing to publish.
    pub(super) fn look(&mut self, now: Instant, idle: bool) -> bool {
        let begins = now >= self.begins();
        self.idle |= begins && idle;
        self.counts_for = (begins && !self.idle).then_some(self.due);
        begins
    }

    /// One began: its epoch is closed, and its version is ready `now`.
    pub(super) fn begun(&mut self, closed: Instant, now: Instant) {
        if self.counts_for.is_some() {
            self.punctuality.closed.note(self.begins(), closed);
        } else {
            // One that came before it was due begins the interval anew.
            self.due = self.due.min(closed);
        }
        // Grows at once and shrinks slowly: a version that is ready early waits, one that is late
        // is late.
        let took = now.saturating_duration_since(closed);
        let lead = (took * 2).max(self.lead * 3 / 4).max(LEAD_MIN);
        self.lead = lead.min(self.interval / LEAD_SHARE);
    }

    /// Until when the version that is ready is kept back.
    pub(super) fn handed_at(&self) -> Option<Instant> {
        self.counts_for
    }

    /// It is handed to the anchor now.
    pub(super) fn handed(&mut self, now: Instant) {
        if let Some(due) = self.counts_for.take() {
            self.punctuality.count += 1;
            self.punctuality.handed.note(due, now);
        }
    }

    /// One came to its end; what is anchored now was closed at `anchored_at`.
    pub(super) fn ended(&mut self, anchored_at: Instant, now: Instant) {
        let next = self.due + self.interval;
        self.due = if now - anchored_at > self.interval {
            // One that took longer than the interval, or came with the mount, has let the window
            // grow: no pause then.
            now
        } else if next > now {
            next
        } else {
            now + self.interval
        };
        self.idle = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_schedule_does_not_drift_and_makes_up_for_nothing() {
        let start = Instant::now();
        let mut schedule = Schedule::begin(start, SECOND);
        schedule.ended(start, start + 100 * MS);
        assert_eq!(schedule.due(), start + SECOND);
        // Brought about by something else when it was long due: the next one comes an interval
        // later.
        schedule.ended(start + 5 * SECOND, start + 5 * SECOND);
        assert_eq!(schedule.due(), start + 6 * SECOND);
        schedule.ended(start + 6 * SECOND, start + 8 * SECOND);
        assert_eq!(schedule.due(), start + 8 * SECOND, "the window has grown");
    }

    #[test]
    fn lateness_counts_from_when_it_was_due() {
        let start = Instant::now();
        let mut schedule = Schedule::begin(start, SECOND);
        assert!(schedule.look(start + 3 * MS, false));
        schedule.begun(start + 4 * MS, start + 50 * MS);
        schedule.handed(start + 50 * MS);
        schedule.ended(start + 4 * MS, start + 100 * MS);
        assert!(schedule.look(start + 1001 * MS, false));
        assert_eq!(schedule.handed_at(), Some(start + SECOND));
        // The commit that was under way when it was due.
        schedule.begun(start + 700 * MS, start + 1010 * MS);
        schedule.handed(start + 1010 * MS);
        let found = schedule.punctuality();
        assert_eq!(found.count, 2);
        assert_eq!((found.closed.last, found.closed.max), (Duration::ZERO, 4 * MS));
        assert_eq!((found.handed.last, found.handed.max), (10 * MS, 50 * MS));
    }

    #[test]
    fn a_commit_begins_long_enough_before_its_version_is_due() {
        let (start, interval) = (Instant::now(), 40 * SECOND);
        let mut schedule = Schedule::begin(start, interval);
        assert!(schedule.look(start, false));
        schedule.begun(start, start + 2 * SECOND);
        schedule.handed(start + 2 * SECOND);
        schedule.ended(start, start + 3 * SECOND);
        let due = start + interval;
        assert_eq!((schedule.begins(), schedule.due()), (due - 4 * SECOND, due));
        assert!(!schedule.look(due - 4 * SECOND - MS, false));
        assert!(schedule.look(due - 4 * SECOND + MS, false));
        schedule.begun(due - 4 * SECOND + MS, due - 3 * SECOND);
        assert_eq!(schedule.handed_at(), Some(due));
        schedule.handed(due);
        let found = schedule.punctuality();
        assert_eq!((found.closed.last, found.handed.last), (MS, Duration::ZERO));
        schedule.ended(due - 4 * SECOND, due + SECOND);
        let lead = |schedule: &Schedule| schedule.due() - schedule.begins();
        assert_eq!(lead(&schedule), 3 * SECOND, "three quarters of what it was");
        // However long one took, and however short.
        schedule.begun(due, due + 30 * SECOND);
        assert_eq!(lead(&schedule), interval / LEAD_SHARE);
        for _ in 0..20 {
            schedule.begun(due, due);
        }
        assert_eq!(lead(&schedule), LEAD_MIN);
    }

    #[test]
    fn neither_the_first_change_of_an_idle_volume_nor_one_that_is_asked_for_is_late() {
        let start = Instant::now();
        let mut schedule = Schedule::begin(start, SECOND);
        assert!(schedule.look(start, true), "due, with nothing to publish");
        assert!(schedule.look(start + 30 * SECOND, false));
        schedule.begun(start + 30 * SECOND, start + 30 * SECOND);
        assert_eq!(schedule.handed_at(), None, "nothing to wait for");
        schedule.handed(start + 30 * SECOND);
        schedule.ended(start + 30 * SECOND, start + 30 * SECOND);
        assert!(!schedule.look(start + 30 * SECOND + 500 * MS, false));
        schedule.begun(start + 30 * SECOND + 500 * MS, start + 30 * SECOND + 500 * MS);
        schedule.handed(start + 30 * SECOND + 500 * MS);
        assert_eq!(schedule.punctuality(), Punctuality::default());
        schedule.ended(start + 30 * SECOND + 500 * MS, start + 31 * SECOND);
        assert_eq!(
            schedule.due(),
            start + 31 * SECOND + 500 * MS,
            "an interval after the last"
        );
    }
}
