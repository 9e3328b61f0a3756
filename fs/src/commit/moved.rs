//! Whether the store still has the head that this mount left there.
//!
//! ```text
//!  every commit, every publication --> the store's medium: our head? --> goes on
//!                                                          `-- another that our key proves: read-only from here
//! ```
//!
//! The store's process has its files open and remembers what it wrote. It would not notice an
//! older copy in their place, so the head is read anew. Over such a head, a mount would publish a
//! version that the store does not hold.
//!
//! **Invariant:** damage is no head. One copy that is gone or does not verify stops nothing, and
//! the next commit writes both.

use crate::Result;
use crate::engine::Engine;
use crate::state::State;
use cairn_merkle::{Head, StoreError};

impl Engine {
    /// Ends all writing if the head was moved under this mount.
    ///
    /// # Errors
    /// That it was.
    pub fn require_head(&self) -> Result<()> {
        let mut state = self.state.lock();
        let found = self.head_is_ours(&state);
        found.inspect_err(|error| self.fail(&mut state, "the head of its store was moved", error))
    }

    /// The same, for a caller that stops the volume itself.
    pub(crate) fn head_is_ours(&self, state: &State) -> Result<()> {
        // Of what lay there before this mount's first commit, the opening has said what there is
        // to say.
        if state.committed.twin_doubted {
            return Ok(());
        }
        let stored = match self.blocks.store.head_afresh() {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "cannot see whether the head was moved");
                return Ok(());
            }
        };
        let ours = state.committed.version;
        match Head::decode(&stored, &self.key) {
            Ok(head) if (head.epoch, head.root) != (ours.epoch, ours.root) => {
                Err(StoreError::HeadMoved.into())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a copy of the head is damaged; the next commit writes it again");
                Ok(())
            }
        }
    }
}
