//! The last commit.

use crate::commit::epoch::{Closed, Holds};
use cairn_merkle::{Epoch, Version};

/// What is known of the last commit, beside the state that it carries. A commit that is done
/// replaces all of it.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// Its epoch, and its block.
    pub(crate) version: Version,
    /// Bytes of that block.
    pub(crate) root_len: u32,
    /// When its epoch was closed; for one that was found, when the volume was opened.
    pub(crate) closed: Closed,
    /// Inodes in it; [`crate::stored::volume::Volume::inodes`] counts those of the open epoch.
    pub(crate) inodes: u64,
    /// The first copy of the head, as the store holds it; `None` if it cannot be read.
    pub(crate) head: Option<Vec<u8>>,
    /// The second copy of the head was not that head when the volume was opened: it tells nothing
    /// before a commit has written it.
    pub(crate) twin_doubted: bool,
    /// What the held list is right for; `None` until a commit of this mount has seen to it.
    pub(crate) held_for: Option<Holds>,
    /// The next head makes all of the log past: it was replayed, and nothing was logged since.
    pub(crate) restarts_log: bool,
}

impl Committed {
    pub(crate) fn epoch(&self) -> Epoch {
        self.version.epoch
    }
}
