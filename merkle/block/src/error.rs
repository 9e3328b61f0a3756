//! How a store fails.

use std::io;

/// What went wrong in a store. `source.kind()` is `StorageFull` when there was no room.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store, or the disk below it, answered with an error.
    #[error("the store failed to {verb}: {source}")]
    Io {
        /// What was asked of the store, as a verb for the message.
        verb: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// [`crate::HeadSwap::expected`] was not the head in place: an older copy of the store took
    /// its place, or another instance has the volume open.
    #[error(
        "the head of the store is not the one this mount wrote: an older copy was put in its place, or another instance \
         has the volume open"
    )]
    HeadMoved,
}

impl StoreError {
    /// Wraps `source`, saying what was being done.
    pub fn io(verb: &'static str, source: io::Error) -> Self {
        Self::Io { verb, source }
    }

    /// Whether the cause is a lack of room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    /// Whether the store found its own bytes altered: what was asked for is lost there, and the
    /// rest may be well.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::InvalidData)
    }
}
