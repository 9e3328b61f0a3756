//! Busy-polling for the next request, for a moment after an answer.
//!
//! ```text
//!  read --> answer --> look for the next one, up to LINGER --there--> read at once
//!                                                           `--------> read, asleep
//! ```
//!
//! A program that works on a filesystem step by step asks again within microseconds of an answer.
//! A thread that sleeps by then takes longer to wake than most requests take to answer, above all
//! on a virtual machine.
//!
//! A program that computes between its calls needs the processor itself (a database between two
//! commits). So polling stops after answers of a kind whose next request has not come in time.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Longer than a program takes from one call to its next, and about what waking up takes.
const LINGER: Duration = Duration::from_micros(50);
/// Spins between two polls: a poll takes a lock of the kernel's that the sender of a request takes
/// too.
const TURNS: u32 = 30;

/// What was answered: how soon the next request comes depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    /// A question, or a step of a change.
    Step,
    Write,
    Read,
    Sync,
}

/// How well polling has paid: one up for each request that came in time, two down for each that did
/// not.
#[derive(Debug)]
struct Belief(AtomicU32);

impl Belief {
    const MAX: u32 = 64;
    /// From here on it is worth the processor.
    const ENOUGH: u32 = 32;
    /// Otherwise every `PROBE`-th answer polls once, to notice when polling pays again.
    const PROBE: u32 = 16;

    /// Whether to wait after the answer of this number.
    fn is_worth_it(&self, answers: u32) -> bool {
        self.0.load(Relaxed) >= Self::ENOUGH || answers.is_multiple_of(Self::PROBE)
    }

    fn learn(&self, came: bool) {
        let now = self.0.load(Relaxed);
        let next = if came {
            (now + 1).min(Self::MAX)
        } else {
            now.saturating_sub(2)
        };
        self.0.store(next, Relaxed);
    }
}

impl Default for Belief {
    fn default() -> Self {
        Self(AtomicU32::new(Self::MAX))
    }
}

/// The connection to poll, and how often polling it has paid.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// Empty until there is one.
    connection: OnceLock<OwnedFd>,
    beliefs: [Belief; 4],
    answers: AtomicU32,
}

impl Linger {
    /// The connection to poll.
    pub(super) fn set(&self, connection: OwnedFd) {
        // Set once, when it is made.
        let _ = self.connection.set(connection);
    }

    /// Whether a request waits.
    pub(super) fn is_asked(&self) -> bool {
        self.connection.get().is_some_and(is_ready)
    }

    /// Returns when a request waits, or after a moment; at once where polling has not paid.
    pub(super) fn wait(&self, after: After) {
        let Some(connection) = self.connection.get() else {
            return;
        };
        let belief = &self.beliefs[after as usize];
        if !belief.is_worth_it(self.answers.fetch_add(1, Relaxed)) {
            return;
        }
        let until = Instant::now() + LINGER;
        let mut came = is_ready(connection);
        while !came && Instant::now() < until {
            (0..TURNS).for_each(|_| std::hint::spin_loop());
            came = is_ready(connection);
        }
        belief.learn(came);
    }
}

/// Also at the connection's end: the reader must learn of it.
fn is_ready(connection: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Polls when dropped. A method makes it first, so that the answer is sent before.
pub(super) struct Lingering<'a>(pub(super) &'a Linger, pub(super) After);

impl Drop for Lingering<'_> {
    fn drop(&mut self) {
        self.0.wait(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_request_that_waits_and_a_connection_that_ended_are_seen() {
        let (reader, mut writer) = std::io::pipe().expect("there are pipes");
        let reader = OwnedFd::from(reader);
        assert!(!is_ready(&reader));
        let linger = Linger::default();
        linger.wait(After::Step);
        linger.set(reader.try_clone().expect("a descriptor"));
        linger.wait(After::Step);
        writer.write_all(b"request").expect("there is room");
        assert!(is_ready(&reader));
        drop(writer);
        assert!(is_ready(&reader));
    }

    #[test]
    fn waiting_ends_where_it_does_not_pay_and_begins_again_where_it_does() {
        let belief = Belief::default();
        assert!(belief.is_worth_it(1));
        (0..17).for_each(|_| belief.learn(false));
        assert!(!belief.is_worth_it(1));
        assert!(belief.is_worth_it(Belief::PROBE));
        (0..Belief::MAX).for_each(|_| belief.learn(true));
        assert!(belief.is_worth_it(1));
        // One in four does not spoil it.
        (0..400).for_each(|at: u32| belief.learn(!at.is_multiple_of(4)));
        assert!(belief.is_worth_it(1));
        (0..400).for_each(|at: u32| belief.learn(!at.is_multiple_of(2)));
        assert!(!belief.is_worth_it(1));
    }
}
