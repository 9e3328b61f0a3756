//! How every operation on an inode begins.
//!
//! ```text
//!  begin_read:   lock --> enter --> Entered
//!  begin_change: lock --> may it change? --> wait for memory --> enter --> Entered
//!                                            (the lock is released)
//! ```
//!
//! Entering comes last: what was looked up before a wait may be gone after it.

use crate::data::admit::Claim;
use crate::engine::{Engine, Guard};
use crate::namespace::inode::Inode;
use crate::state::State;
use crate::{InodeNo, Result};
use std::ops::{Deref, DerefMut};

/// The lock, and an inode that is in memory as long as it is held.
pub(crate) struct Entered<'a> {
    state: Guard<'a>,
    ino: InodeNo,
}

impl Engine {
    /// Begins an operation that changes nothing of `ino` that a commit would write.
    ///
    /// # Errors
    /// [`crate::Error::NoEntry`], or that the inode cannot be read.
    pub(crate) fn begin_read(&self, ino: InodeNo) -> Result<Entered<'_>> {
        let mut state = self.state.lock();
        self.enter(&mut state, ino)?;
        Ok(Entered { state, ino })
    }

    /// Begins a change of `ino`.
    ///
    /// # Errors
    /// As [`Self::begin_read`]; [`crate::Error::ReadOnly`], [`crate::Error::NoSpace`].
    pub(crate) fn begin_change(&self, ino: InodeNo, claim: Claim) -> Result<Entered<'_>> {
        self.begin_change_as(ino, |_| claim)
    }

    /// [`Self::begin_change`], with a claim that depends on what there is. The inode may not be in
    /// memory yet.
    pub(crate) fn begin_change_as(
        &self,
        ino: InodeNo,
        claim: impl FnOnce(&State) -> Claim,
    ) -> Result<Entered<'_>> {
        let mut state = self.state.lock();
        Self::writable(&state, ino)?;
        let claim = claim(&state);
        self.wait_for_room(&mut state, claim)?;
        self.enter(&mut state, ino)?;
        Ok(Entered { state, ino })
    }
}

impl<'a> Entered<'a> {
    /// The inode that was entered.
    pub(crate) fn inode(&self) -> &Inode {
        let inode = self.state.inodes.get(self.ino);
        inode.expect("an entered inode stays in memory while the lock is held")
    }

    /// For what no commit writes.
    pub(crate) fn inode_mut(&mut self) -> &mut Inode {
        let inode = self.state.inodes.get_mut(self.ino);
        inode.expect("an entered inode stays in memory while the lock is held")
    }

    /// The lock alone, for an operation that releases it: it must enter again afterwards.
    pub(crate) fn into_guard(self) -> Guard<'a> {
        self.state
    }
}

impl Deref for Entered<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}
