//! Versions whose sealed blocks are read by name while the volume goes on: audited, exported, proven.
//!
//! ```text
//!  keep_newest: commit --> pin, head of that commit       keep: commit block, opened with the key --> pin
//!      `------------> sealed: blocks by name, as the store has them <---------------'
//!                     prove:  what a path leads to, with the volume's own key
//! ```
//!
//! Names lead from the root to every block, so a reader of sealed blocks needs no key. Of the
//! engine it needs that no commit deletes what it is about to read.
//!
//! **Invariant:** no key and nothing that was opened leaves [`Engine::sealed`].

use crate::engine::Engine;
use crate::versions::proof;
use crate::versions::publication::Pin;
use crate::{Error, Result};
use bytes::Bytes;
use cairn_merkle::clear::HeadClaim;
use cairn_merkle::{Cid, Commit, Copies, Proof, StoreError, Version, root_block};

/// The newest version, kept whole.
pub struct Newest<'a> {
    /// Keeps it.
    pub pin: Pin<'a>,
    /// The head that names it, as stored; `None` for a version that was mounted by its root.
    pub head: Option<Bytes>,
    /// Why changes made before are not in it, if there may be some.
    pub lacks: Option<Error>,
}

impl Engine {
    /// Commits what is open, and keeps the version that has it. Where that cannot be committed, the
    /// version before is kept: it can be read all the same.
    pub fn keep_newest(&self) -> Newest<'_> {
        let mut state = self.state.lock();
        let committed = self.commit_locked(&mut state);
        // A commit under way decides by the holds it began with.
        self.await_commit(&mut state);
        let lacks = match committed {
            Err(error) => Some(error),
            Ok(()) if self.config.read_only && state.has_user_changes() => Some(Error::ReadOnly(
                "the intent log holds changes that are in no version yet",
            )),
            Ok(()) => None,
        };
        // Both under one lock: the next commit has another head.
        let (version, head) = (state.committed.version, state.committed.head.clone());
        let pin = self.pin_locked(&mut state, version);
        drop(state);
        let head = head.map(Bytes::from).filter(|head| names(head, version));
        Newest {
            pin,
            head: head.or_else(|| self.second_head(version)),
            lacks,
        }
    }

    /// Keeps the version of a commit block from now on. A version that is neither the newest nor
    /// published may have lost blocks already: what is left of it stays.
    ///
    /// # Errors
    /// What is wrong with the commit block. One that the volume's key does not open is none of its
    /// versions.
    pub fn keep(&self, root: Cid) -> Result<Pin<'_>> {
        // Opened, so that the key vouches for the epoch that is held.
        let stored = root_block(self.blocks.store.as_ref(), &root)?;
        let epoch = Commit::open(&root, stored, &self.key)?.epoch;
        let mut state = self.state.lock();
        self.await_commit(&mut state);
        Ok(self.pin_locked(&mut state, Version { epoch, root }))
    }

    /// Blocks as the store has them, in the order asked, unverified. The commit block `root` comes
    /// from whichever copy is whole.
    ///
    /// # Errors
    /// What the store failed with.
    pub fn sealed(&self, root: &Cid, cids: &[Cid]) -> std::result::Result<Vec<Option<Bytes>>, StoreError> {
        let store = self.blocks.store.as_ref();
        // One at a time: no failure of the first copy may take the others along.
        if cids == [*root] {
            return match root_block(store, root) {
                Ok(stored) => Ok(vec![Some(stored)]),
                Err(cairn_merkle::Error::Store(error)) => Err(error),
                // As it is: the reader finds out what is wrong with it.
                Err(_) => store.get(root).map(|stored| vec![stored]),
            };
        }
        let mut stored = store.get_many(cids)?;
        stored.resize(cids.len(), None);
        Ok(stored)
    }

    /// The volume's header, as stored: the one that its commit accepts.
    pub fn sealed_header(&self) -> Bytes {
        Bytes::copy_from_slice(&self.state.lock().open.header().bytes)
    }

    /// Proves what `path` leads to under the commit block `root`, as [`proof::prove`] does. What it
    /// leads to is in the proof alone, and no content is gathered beside it.
    ///
    /// # Errors
    /// As there.
    pub fn prove(&self, root: Cid, path: &[u8], with_content: bool) -> Result<Proof> {
        proof::prove_only(self.blocks.store.as_ref(), &self.key, root, path, with_content)
    }

    /// The head of a volume that is only read and whose first copy is damaged.
    fn second_head(&self, version: Version) -> Option<Bytes> {
        let store = self.blocks.store.as_ref();
        let head = Copies::read(store).and_then(|mut copies| copies.claimed_head(store));
        let (_, head) = head.ok().flatten()?;
        Some(head).filter(|head| !self.past && names(head, version))
    }
}

fn names(head: &[u8], version: Version) -> bool {
    HeadClaim::parse(head).is_ok_and(|claim| (claim.epoch, claim.root) == (version.epoch, version.root))
}

#[cfg(test)]
mod tests;
