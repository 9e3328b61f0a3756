//! Which blocks were asked for lately: eight bytes of each, in a table that forgets.
//!
//! ```text
//!   name --hash--> slot: the mark of whoever was here last --same?--> asked for again soon
//! ```

use cairn_merkle::Cid;
use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Blocks that are remembered, about: 128 MiB of records of the default size. Whoever reads a file of a few times that at
/// random comes back to a record soon; in a much larger one hardly ever.
const SLOTS: usize = 1024;

/// The table.
pub(super) struct Recent(Box<[AtomicU64; SLOTS]>);

impl Recent {
    pub(super) fn new() -> Self {
        Self(Box::new(array::from_fn(|_| AtomicU64::new(0))))
    }

    /// Notes that a block is asked for; whether it was asked for lately.
    pub(super) fn note(&self, cid: &Cid) -> bool {
        let digest = cid.digest();
        let number = |at: usize| u64::from_le_bytes(array::from_fn(|byte| digest[at + byte]));
        let slot = &self.0[(number(8) % SLOTS as u64) as usize];
        // Zero is nobody's.
        let mark = number(0) | 1;
        slot.swap(mark, Relaxed) == mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::Codec;

    #[test]
    fn a_block_is_known_again_until_many_others_were_asked_for() {
        let recent = Recent::new();
        let cid = |n: u32| Cid::of(Codec::Leaf, &n.to_le_bytes());
        assert!(!recent.note(&cid(0)));
        assert!(recent.note(&cid(0)));
        let new = (1..=100).filter(|n| !recent.note(&cid(*n))).count();
        assert_eq!(new, 100);
        let known = (1..=100).filter(|n| recent.note(&cid(*n))).count();
        assert!(known > 80, "{known}");
        let others = (1000..20_000).filter(|n| recent.note(&cid(*n))).count();
        assert_eq!(others, 0);
        assert!(!recent.note(&cid(0)));
    }
}
