//! Waits that end: of a client for a daemon that hangs, of a daemon's work for a client that went
//! away.
//!
//! ```text
//!  client: connect without a wait, then each answer within the time asked for --else--> code 21
//!  daemon: before each block of a check, is the other end of the socket still there?
//! ```

use crate::error::{Error, Result};
use crate::mount::state::{self, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Reaches the daemon with this record. With a `time`, each answer is to come within that, and one
/// that hangs is an error.
///
/// # Errors
/// [`Error::NotMounted`], [`Error::NotAnswering`].
pub(super) fn reach(record: &Record, time: Option<Duration>) -> Result<UnixStream> {
    let path = state::file(&record.mountpoint, "sock")?;
    let unreachable = |error: io::Error| {
        Error::NotMounted(format!(
            "the daemon (pid {}) does not answer at {}: {error}",
            record.pid,
            path.display()
        ))
    };
    if time.is_none() {
        return UnixStream::connect(&path).map_err(unreachable);
    }
    let stream = connect_now(&path).map_err(|error| match error {
        // So many clients wait that the kernel takes no more.
        Errno::AGAIN => silent(record),
        error => unreachable(error.into()),
    })?;
    let limited = stream
        .set_read_timeout(time)
        .and_then(|()| stream.set_write_timeout(time));
    limited.map_err(|error| Error::io("cannot limit the wait for the daemon", error))?;
    Ok(stream)
}

/// A connection to a socket whose queue may be full. Calls on it block.
fn connect_now(path: &Path) -> std::result::Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(UnixStream::from(socket))
}

/// Whether a wait ended since its time was over.
pub(super) fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The daemon hangs.
pub(super) fn silent(record: &Record) -> Error {
    let (pid, at) = (record.pid, record.mountpoint.display());
    Error::NotAnswering(format!(
        "the daemon (pid {pid}) of {at} does not answer: it was stopped, or waits for a device that does not answer. \
         If it stays so, `kill -9 {pid}` and mount again: what was fsynced or committed is there"
    ))
}

/// Whether the client at the other end has closed the connection, or ended.
pub(super) fn has_gone(stream: &UnixStream) -> bool {
    let mut other = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec::default();
    let looked = poll(&mut other, Some(&now));
    looked.is_ok() && other[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_client_has_gone_once_it_closed_its_end_and_not_before() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_gone(&ours));
        drop(theirs);
        assert!(has_gone(&ours));
    }

    #[test]
    fn a_daemon_that_says_nothing_is_given_up_and_one_with_a_full_queue_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let stream = connect_now(&path).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let silence = std::io::Read::read(&mut &stream, &mut [0]).unwrap_err();
        assert!(is_over(&silence), "{silence}");
        // Nothing accepts them: the queue fills.
        let mut waiting = Vec::new();
        let full = loop {
            match connect_now(&path) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10_000, "the queue has an end");
        };
        assert_eq!(full, Errno::AGAIN);
    }
}
