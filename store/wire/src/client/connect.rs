//! The way to a server.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Makes connections to a server.
pub trait Connect: Send + Sync {
    /// A new stream socket to the server, no later than `until`. Asked again after a failure, with
    /// pauses between.
    ///
    /// # Errors
    /// Why there is none now.
    fn connect(&self, until: Instant) -> io::Result<OwnedFd>;
}
