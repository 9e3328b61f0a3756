//! One lane: a socket on which one request is under way at a time.

use crate::error::WireError;
use crate::frame::{Incoming, Message, PAYLOAD_MAX, receive, send};
use crate::socket::Socket;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// A socket of a session.
pub(super) struct Lane {
    socket: Socket,
    /// Which session of the client it is of.
    pub(super) generation: u64,
    last_id: u64,
}

impl Lane {
    pub(super) fn new(socket: OwnedFd, generation: u64) -> Self {
        Self {
            socket: Socket::new(socket),
            generation,
            last_id: 0,
        }
    }

    /// Sends frames and waits for the answer to the last of them. After an error the lane is of no
    /// more use.
    pub(super) fn exchange(&mut self, messages: &[Message], until: Instant) -> Result<Incoming, WireError> {
        self.socket.set_deadline(until);
        for message in messages {
            self.last_id += 1;
            send(&mut self.socket, self.last_id, message)?;
        }
        let frame = receive(&mut self.socket, PAYLOAD_MAX)?;
        match frame.id == self.last_id {
            true => Ok(frame),
            // An answer given twice, or to no request.
            false => Err(WireError::Broken("an answer to another request")),
        }
    }
}
