//! What a volume knows of its own freshness, and versions on their way to an anchor.

use crate::commit::epoch::Closed;
use cairn_merkle::{Epoch, Version};
use cairn_merkle::{Verdict, decide};

/// What a volume knows of its own freshness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest commit.
    pub head: Version,
    /// The last version known to be anchored.
    pub anchored: Option<Version>,
    /// Versions submitted and not yet confirmed, oldest first.
    pub submitted: Vec<Version>,
    /// Whether the instance that made the newest commit publishes.
    pub publishing: bool,
    /// The epoch that holds, or will hold, the newest change: all is anchored once `anchored` has
    /// it.
    pub changed: Epoch,
    /// Stored bytes that only held versions name.
    pub held_bytes: u64,
    /// Bytes of files written since the volume was opened.
    pub written_bytes: u64,
    /// Whether a commit waits for room: publishing would give back what older versions hold.
    pub full: bool,
}

impl Standing {
    /// Holds the head against what an anchor has.
    pub fn verdict(&self, latest: Option<Version>) -> Verdict {
        decide(self.head, self.anchored, &self.submitted, latest)
    }

    /// Whether everything done so far is in the anchored version or an older one.
    pub fn is_anchored(&self) -> bool {
        self.anchored
            .is_some_and(|anchored| anchored.epoch >= self.changed)
    }
}

/// A version that can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The version.
    pub version: Version,
    /// When its epoch was closed.
    pub closed: Closed,
}

/// Whether a publication takes part in the commit that is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Join {
    /// None does.
    #[default]
    Nobody,
    /// One waits for its end.
    Wanted,
    /// One did, and has not taken what it made yet.
    Submitted(Prepared),
}
