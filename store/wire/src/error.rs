//! How a lane fails, as one side of it sees that.

use std::io;

/// Why a frame could not be sent or received, or what it said made no sense.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side ended the stream between two frames.
    #[error("the connection was closed")]
    Ended,
    /// What came is no frame, or none that was agreed on.
    #[error("the other side sent {0}")]
    Broken(&'static str),
    /// More than a frame holds was to be sent.
    #[error("it is longer than a frame holds")]
    TooLong,
    /// The stream failed, or its deadline passed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl WireError {
    /// As the cause of a call's failure.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Io(source) => source,
            other => io::Error::other(other),
        }
    }
}
