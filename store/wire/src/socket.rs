//! A stream socket of any kind, with deadlines that hold however slowly bytes drip.
//!
//! ```text
//!   read, write --wait, as long as the kernel's timeout says--> past `until`? TimedOut : again
//! ```
//!
//! The kernel's timeout is set only when it is far from what is left: no call more for a frame
//! that comes at once.

use rustix::net::{Shutdown, sockopt};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One side's timeout, as the kernel has it, and the deadline it serves.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    until: Option<Instant>,
    /// Begins with the next byte, as the deadline of all that belongs to it.
    then: Option<Duration>,
    set: Option<Duration>,
}

/// A connected stream socket.
#[derive(Debug)]
pub struct Socket {
    fd: Arc<OwnedFd>,
    reads: Clock,
    writes: Clock,
}

/// Ends a socket that another thread reads or writes.
#[derive(Clone, Debug)]
pub(crate) struct Ender(Arc<OwnedFd>);

impl Ender {
    /// Both directions end, now.
    pub(crate) fn end(&self) {
        // One that is not connected any more has ended already.
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Both);
    }
}

impl Socket {
    /// Takes a connected stream socket: Unix, TCP or vsock.
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd: Arc::new(fd),
            reads: Clock::default(),
            writes: Clock::default(),
        }
    }

    /// Reads and writes fail with `TimedOut` from then on.
    pub(crate) fn set_deadline(&mut self, until: Instant) {
        self.set_write_deadline(until);
        self.reads.until = Some(until);
        self.reads.then = None;
    }

    /// Writes alone.
    pub(crate) fn set_write_deadline(&mut self, until: Instant) {
        self.writes.until = Some(until);
    }

    /// Waits for ever for a first byte, and no longer than `then` for what follows it.
    pub(crate) fn wait_then(&mut self, then: Duration) {
        self.reads.until = None;
        self.reads.then = Some(then);
    }

    pub(crate) fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.fd))
    }
}

/// Sees to it that a call waits in the kernel about as long as is left. An error past the deadline.
fn wait(fd: &OwnedFd, clock: &mut Clock, which: sockopt::Timeout) -> io::Result<()> {
    let Some(until) = clock.until else { return Ok(()) };
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let is_close = clock.set.is_some_and(|set| set.abs_diff(left) <= left / 4);
    if !is_close {
        sockopt::set_socket_timeout(fd, which, Some(left.max(Duration::from_millis(1))))?;
        clock.set = Some(left);
    }
    Ok(())
}

fn timed<T>(
    fd: &OwnedFd,
    clock: &mut Clock,
    which: sockopt::Timeout,
    mut call: impl FnMut() -> rustix::io::Result<T>,
) -> io::Result<T> {
    loop {
        wait(fd, clock, which)?;
        match call() {
            // The kernel's timeout: the deadline decides whether that was all.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let fd = &*self.fd;
        let read = timed(fd, &mut self.reads, sockopt::Timeout::Recv, || {
            rustix::io::read(fd.as_fd(), &mut *bytes)
        })?;
        if let Some(then) = self.reads.then.take() {
            self.reads.until = Some(Instant::now() + then);
        }
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let fd = &*self.fd;
        timed(fd, &mut self.writes, sockopt::Timeout::Send, || {
            rustix::io::writev(fd.as_fd(), parts)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_deadline_holds_although_bytes_drip() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Socket::new(near.into());
        let until = Instant::now() + Duration::from_millis(200);
        near.set_deadline(until);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let dripping = std::thread::spawn(move || {
            while far.write_all(&[1]).is_ok() && stopped.recv_timeout(Duration::from_millis(2)).is_err() {}
        });
        let mut byte = [0];
        let failure = loop {
            if let Err(error) = near.read(&mut byte) {
                break error;
            }
        };
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
        assert!(Instant::now() >= until);
        stop.send(()).unwrap();
        dripping.join().unwrap();
    }

    #[test]
    fn a_socket_that_another_thread_ends_answers_its_reader() {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut near = Socket::new(near.into());
        let ender = near.ender();
        let reader = std::thread::spawn(move || near.read(&mut [0]).unwrap());
        ender.end();
        assert_eq!(reader.join().unwrap(), 0);
    }
}
