//! Connections handed to a server that was started with one socket and listens nowhere.
//!
//! ```text
//!   client: pair of sockets --one of them, over the control socket--> server: serves it
//!   client gone: the control socket ends, and so does the server
//! ```
//!
//! No name in a filesystem or a network leads to such a server: only the process that started it
//! has its control socket.

use crate::client::Connect;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// The client's end of a control socket.
#[derive(Debug)]
pub struct Handing(OwnedFd);

/// Both ends of a control socket: that of the client, and that which the server is started with.
///
/// # Errors
/// That the kernel has no more sockets.
pub fn control() -> io::Result<(Handing, OwnedFd)> {
    let (near, far) = pair(SocketType::SEQPACKET)?;
    Ok((Handing(near), far))
}

fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
}

impl Connect for Handing {
    fn connect(&self, until: Instant) -> io::Result<OwnedFd> {
        // A server that takes none must not hold a caller up: its queue fills.
        let left = until.saturating_duration_since(Instant::now());
        set_socket_timeout(&self.0, Timeout::Send, Some(left.max(Duration::from_millis(1))))?;
        let (near, far) = pair(SocketType::STREAM)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut sent = SendAncillaryBuffer::new(&mut space);
        let handed = [far.as_fd()];
        if !sent.push(SendAncillaryMessage::ScmRights(&handed)) {
            return Err(io::Error::other("there is no room for a descriptor"));
        }
        sendmsg(&self.0, &[IoSlice::new(&[0])], &mut sent, SendFlags::NOSIGNAL)?;
        Ok(near)
    }
}

/// The next connection that is handed to the server; `None` when the client has gone.
///
/// # Errors
/// Those of the control socket.
pub fn take(control: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut received = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let came = recvmsg(
            control,
            &mut [IoSliceMut::new(&mut byte)],
            &mut received,
            RecvFlags::CMSG_CLOEXEC,
        );
        let came = match came {
            Err(rustix::io::Errno::INTR) => continue,
            came => came?,
        };
        if came.bytes == 0 {
            return Ok(None);
        }
        let mut handed = received.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        // A message without one is none of ours.
        if let Some(socket) = handed.next().and_then(|mut descriptors| descriptors.next()) {
            return Ok(Some(socket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    #[test]
    fn a_connection_is_handed_over_and_the_end_is_heard() {
        let (handing, far) = control().unwrap();
        let near = handing.connect(soon()).unwrap();
        let taken = take(&far).unwrap().unwrap();
        File::from(near).write_all(b"hello").unwrap();
        let mut heard = String::new();
        File::from(taken).read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
        drop(handing);
        assert!(take(&far).unwrap().is_none());
    }

    #[test]
    fn a_server_that_takes_nothing_holds_no_caller_up() {
        let (handing, _far) = control().unwrap();
        let mut taken = Vec::new();
        let failure = loop {
            match handing.connect(soon()) {
                Ok(socket) => taken.push(socket),
                Err(error) => break error,
            }
        };
        assert_eq!(failure.kind(), io::ErrorKind::WouldBlock, "{failure}");
    }

    #[test]
    fn where_the_server_has_gone_there_is_no_connection() {
        let (handing, far) = control().unwrap();
        drop(far);
        assert!(handing.connect(soon()).is_err());
    }
}
