//! Whether the engine may change anything: it replays the log, runs, cannot be written, or is
//! being closed.

use crate::{Error, Result};

/// Where an engine is between its opening and its end.
#[derive(Debug, Default)]
pub(crate) struct Life {
    replaying: bool,
    closing: bool,
    /// Why nothing may be written.
    read_only: Option<&'static str>,
}

impl Life {
    /// While the log is replayed, operations are not logged again and nothing is evicted.
    pub(crate) fn is_replaying(&self) -> bool {
        self.replaying
    }

    pub(crate) fn set_replaying(&mut self, replaying: bool) {
        self.replaying = replaying;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// The engine is being closed. Answers whether it was already.
    pub(crate) fn close(&mut self) -> bool {
        std::mem::replace(&mut self.closing, true)
    }

    /// Ends all writing. The first reason counts.
    pub(crate) fn end_writing(&mut self, why: &'static str) {
        self.read_only.get_or_insert(why);
    }

    /// Why nothing may be written, if that is so.
    pub(crate) fn read_only(&self) -> Option<&'static str> {
        self.read_only
    }

    /// # Errors
    /// [`Error::ReadOnly`].
    pub(crate) fn writable(&self) -> Result<()> {
        self.read_only.map_or(Ok(()), |why| Err(Error::ReadOnly(why)))
    }
}
