//! Changes that need room: begun anew once a commit has made some.
//!
//! ```text
//!  with_room --> the change --> admission (data/admit.rs) --> there is room: done
//!      ^                                |
//!      `---- commit, give back <--------' CommitFirst
//! ```

use crate::Result;
use crate::data::admit::{Refused, Tried};
use crate::engine::Engine;
use parking_lot::MutexGuard;

impl Engine {
    /// Makes a change that is admitted before it changes anything; again, as often as a commit may
    /// make the room that it lacks.
    pub(crate) fn with_room<T>(&self, change: impl Fn(&mut Tried) -> Result<T, Refused>) -> Result<T> {
        let mut tried = Tried::default();
        loop {
            match change(&mut tried) {
                Ok(done) => return Ok(done),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::CommitFirst { reclaim: false }) => self.commit()?,
                Err(Refused::CommitFirst { reclaim: true }) => self.give_back()?,
            }
        }
    }

    /// Commits, and has the store give back what was deleted.
    fn give_back(&self) -> Result<()> {
        let mut state = self.state.lock();
        self.commit_locked(&mut state)?;
        MutexGuard::unlocked(&mut state, || self.blocks.store.reclaim())?;
        state.commits.gave_back();
        Ok(())
    }

    /// [`Self::room`], once all that was deleted or overwritten has made room.
    pub fn make_room(&self) -> u64 {
        if self.state.lock().may_give_back() {
            // One that fails makes none.
            let _ = self.give_back();
        }
        self.room()
    }
}
