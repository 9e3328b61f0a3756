//! Waiting awake for the next request, for a moment.
//!
//! ```text
//!  read --> answer --> look for the next one, up to LINGER --there--> read at once
//!                                                           `--------> read, asleep
//! ```
//!
//! Who works on a filesystem step by step asks again within microseconds of an answer. A thread that has gone to sleep by
//! then takes longer to wake, on a virtual machine above all, than most requests take to answer.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longer than a program takes from one call to its next, and about what waking up takes.
const LINGER: Duration = Duration::from_micros(50);
/// Turns between two looks: a look takes a lock of the kernel's that the one who asks takes too.
const TURNS: u32 = 30;

/// The connection, to look at. Empty until there is one.
#[derive(Debug, Default)]
pub(super) struct Linger(OnceLock<OwnedFd>);

impl Linger {
    /// What to look at.
    pub(super) fn set(&self, connection: OwnedFd) {
        // Set once, by whoever made it.
        let _ = self.0.set(connection);
    }

    /// Whether a request waits.
    pub(super) fn is_asked(&self) -> bool {
        self.0.get().is_some_and(is_ready)
    }

    /// Returns when a request waits, or after a moment.
    pub(super) fn wait(&self) {
        let Some(connection) = self.0.get() else { return };
        let until = Instant::now() + LINGER;
        while !is_ready(connection) && Instant::now() < until {
            (0..TURNS).for_each(|_| std::hint::spin_loop());
        }
    }
}

/// Also when the connection is at its end: then the reader is to learn it.
fn is_ready(connection: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Waits when dropped: after the answer, if it is what a method makes first.
pub(super) struct Lingering<'a>(pub(super) &'a Linger);

impl Drop for Lingering<'_> {
    fn drop(&mut self) {
        self.0.wait();
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
        linger.wait();
        linger.set(reader.try_clone().expect("a descriptor"));
        linger.wait();
        writer.write_all(b"request").expect("there is room");
        assert!(is_ready(&reader));
        drop(writer);
        assert!(is_ready(&reader));
    }
}
