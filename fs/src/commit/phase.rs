//! How far commits are: whether one is wanted, under way, or waits for room; how many are done.
//!
//! ```text
//!            begin                 done
//!    Idle ----------> UnderWay -----------> Idle
//!     |                  |  `--failed-----> Idle, and the volume is read-only
//!     |                  | no room
//!     |                  v      begin
//!     `--- stays --- Stalled ----------> UnderWay (again) --> as above
//! ```
//!
//! **Invariant:** one commit at a time; an epoch that waits for room is committed before any later
//! one.

use crate::commit::epoch::Frozen;
use crate::versions::standing::Join;

/// What becomes of the epoch that was closed last.
#[derive(Debug, Default)]
enum Phase {
    /// It is committed.
    #[default]
    Idle,
    /// A commit writes it. `again`: the store had no room for it before.
    UnderWay { again: bool },
    /// The store had no room: it stays frozen, and is tried again before anything else is
    /// committed.
    Stalled(Box<Frozen>),
}

/// All commits of this mount.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    phase: Phase,
    /// One is wanted soon.
    wanted: bool,
    /// How many are done.
    done: u64,
    /// How many were done when the store was last asked, for want of room, to give back what was
    /// deleted.
    given_back: u64,
    /// Something was deleted since: it may make room.
    deleted: bool,
    /// Deleted files of which the last commit left something to the next.
    destroying: usize,
    /// Whether a publication waits for the one under way.
    pub(crate) join: Join,
    /// One could not place something, and no sync has reported it yet.
    untold_losses: bool,
}

impl Commits {
    /// Asks for one soon. Answers whether none had: then the committer is to be woken.
    pub(crate) fn want(&mut self) -> bool {
        !std::mem::replace(&mut self.wanted, true)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Takes the wish: it is about to be fulfilled.
    pub(crate) fn take_wanted(&mut self) -> bool {
        std::mem::take(&mut self.wanted)
    }

    /// One begins. Answers the epoch that waited for room, if one did.
    pub(crate) fn begin(&mut self) -> Option<Box<Frozen>> {
        let again = self.is_full();
        match std::mem::replace(&mut self.phase, Phase::UnderWay { again }) {
            Phase::Stalled(frozen) => Some(frozen),
            Phase::Idle | Phase::UnderWay { .. } => None,
        }
    }

    /// The one under way is done.
    pub(crate) fn finish(&mut self) {
        self.phase = Phase::Idle;
        // Counted here alone: waiters take the count for what is durable.
        self.done += 1;
    }

    /// The store has no room for the one under way.
    pub(crate) fn stall(&mut self, frozen: Box<Frozen>) {
        self.phase = Phase::Stalled(frozen);
    }

    /// The one under way failed, and no other will be made.
    pub(crate) fn fail(&mut self) {
        // Not counted: nothing became durable. The caller ends all writing with it.
        self.phase = Phase::Idle;
    }

    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::UnderWay { .. })
    }

    /// The epoch that waits for room.
    pub(crate) fn stalled(&self) -> Option<&Frozen> {
        match &self.phase {
            Phase::Stalled(frozen) => Some(frozen),
            Phase::Idle | Phase::UnderWay { .. } => None,
        }
    }

    pub(crate) fn stalled_mut(&mut self) -> Option<&mut Frozen> {
        match &mut self.phase {
            Phase::Stalled(frozen) => Some(frozen),
            Phase::Idle | Phase::UnderWay { .. } => None,
        }
    }

    /// Whether the last attempt found the store full. It stays so while the epoch is tried again.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.phase, Phase::Stalled(_) | Phase::UnderWay { again: true })
    }

    /// How many are done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// How many must be done before what is in memory now is durable. An epoch that is being
    /// committed, or waits for room, was closed before.
    pub(crate) fn done_with_open(&self) -> u64 {
        let closed = self.is_under_way() || self.stalled().is_some();
        self.done + 1 + u64::from(closed)
    }

    /// Something was deleted, which may make room.
    pub(crate) fn note_deleted(&mut self) {
        self.deleted = true;
    }

    /// Whether a give-back may make room: once after each commit and, while the store is full,
    /// once after each deletion. A program that tries for ever must not keep the volume busy.
    /// `changes`: whether a commit would change anything.
    pub(crate) fn may_give_back(&mut self, changes: bool) -> bool {
        // Taken whatever the answer: one deletion is worth one try.
        let deleted = std::mem::take(&mut self.deleted);
        (!self.is_full() || deleted) && (changes || self.given_back != self.done)
    }

    /// The store gave back what was deleted.
    pub(crate) fn gave_back(&mut self) {
        self.given_back = self.done;
    }

    /// Deleted files of which the last commit left something to the next.
    pub(crate) fn destroying(&self) -> usize {
        self.destroying
    }

    pub(crate) fn set_destroying(&mut self, files: usize) {
        self.destroying = files;
    }

    /// Something could not be placed.
    pub(crate) fn note_loss(&mut self) {
        self.untold_losses = true;
    }

    /// Whether something could not be placed since this was last asked.
    pub(crate) fn take_losses(&mut self) -> bool {
        std::mem::take(&mut self.untold_losses)
    }
}

#[cfg(test)]
impl Commits {
    /// As if an epoch that had no room were tried again, or was done.
    pub(crate) fn pretend_full(&mut self, full: bool) {
        self.phase = match full {
            true => Phase::UnderWay { again: true },
            false => Phase::Idle,
        };
    }
}
