//! Both copies of head, header and commit block, held against what this engine opened or wrote
//! last.

use super::report::Damage;
use crate::Result;
use crate::engine::Engine;
use cairn_merkle::twin::Part;
use cairn_merkle::{Copies, Error, Head};

/// What damage of a copy is named under: no path of the tree is concerned, for the other copy is
/// whole.
const PATH: &[u8] = b"(volume)";

impl Engine {
    /// The copies that are not whole now.
    pub(super) fn check_copies(&self) -> Result<Vec<Damage>> {
        if self.past {
            return Ok(Vec::new());
        }
        // Under the lock, so that no commit moves the head between the copies.
        let state = self.state.lock();
        let store = self.blocks.store.as_ref();
        let mut copies = match &self.ahead {
            Some(twin) => Copies::of_twin(twin.clone()),
            None => Copies::read(store)?,
        };
        let head = |stored: &bytes::Bytes| match Head::decode(stored, &self.key)? {
            head if head.root == state.committed.version.root => Ok(()),
            _ => Err(Error::HeadForged),
        };
        let header = |stored: &bytes::Bytes| match stored[..] == state.open.header().bytes[..] {
            true => Ok(()),
            false => Err(Error::HeaderMismatch),
        };
        copies.choose(Part::Head, head)?;
        copies.choose(Part::Header, header)?;
        copies.root_block(store, &state.committed.version.root)?;
        let damaged = copies.damaged().iter().map(|copy| Damage {
            path: PATH.to_vec(),
            what: copy.to_string(),
            missing: false,
            names: 0,
        });
        Ok(damaged.collect())
    }
}
