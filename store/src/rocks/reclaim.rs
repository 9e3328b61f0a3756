//! Gives the room of deleted blocks back.
//!
//! ```text
//!   worth it? --> all puts in the index --> index synced: deletes are durable --> groups of packs with garbage:
//!        walk the index, note live pages (pack/live.rs) --> punch the dead ones, remove dead packs
//! ```
//!
//! Nothing that lives is moved or written again. One walk of the index costs about half a second a million blocks, and
//! is begun only when a share of the store is dead, so its cost per freed byte does not grow with the store.

use super::{RocksStore, keys};
use crate::pack::{GROUP, Live, Place};
use cairn_merkle::StoreError;

/// Below this it is not, whatever its share.
const WORTHLESS_BYTES: u64 = 1 << 20;
/// Share of the store's bytes that is worth a reclaim: one in so many.
const WORTH_SHARE: u64 = 16;

impl RocksStore {
    /// See the module's picture.
    pub(crate) fn reclaim_garbage(&self) -> Result<(), StoreError> {
        let verb = "reclaim";
        let io = |source| StoreError::io(verb, source);
        let garbage = self.packs.garbage();
        let used_bytes = self.packs.used_bytes().map_err(io)?;
        if !garbage.is_unknown() && !is_worth_it(garbage.bytes(), used_bytes) {
            return Ok(());
        }
        self.drain(verb)?;
        self.db
            .flush_wal(true)
            .map_err(|error| self.poison(verb, error))?;
        self.punch_dead(verb).inspect_err(|_| self.packs.lose_track())?;
        let after = self.packs.used_bytes().map_err(io)?;
        tracing::debug!(?garbage, used_bytes, after, "reclaimed");
        Ok(())
    }

    fn punch_dead(&self, verb: &'static str) -> Result<(), StoreError> {
        let io = |source| StoreError::io(verb, source);
        let packs = self.packs.begin_reclaim().map_err(io)?;
        for group in packs.chunks(GROUP) {
            let live = self.live_in(verb, group)?;
            self.packs.punch(group, &live).map_err(io)?;
        }
        Ok(())
    }

    fn live_in(&self, verb: &'static str, packs: &[(u32, u64)]) -> Result<Live, StoreError> {
        let numbers: Vec<_> = packs.iter().map(|(number, _)| *number).collect();
        let mut live = Live::of(&numbers);
        self.walk(verb, self.blocks(), (keys::BLOCKS, &[keys::BLOCKS]), |iter| {
            if let Some((place, _)) = iter.value().and_then(Place::decode) {
                live.note(place);
            }
            true
        })?;
        Ok(live)
    }
}

fn is_worth_it(garbage_bytes: u64, used_bytes: u64) -> bool {
    garbage_bytes > (used_bytes / WORTH_SHARE).max(WORTHLESS_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_of_the_store_is_worth_it_and_crumbs_are_not() {
        assert!(is_worth_it(65 << 20, 1 << 30));
        assert!(!is_worth_it(63 << 20, 1 << 30));
        assert!(is_worth_it(5 << 20, 16 << 20));
        assert!(!is_worth_it(1 << 20, 1 << 20));
    }
}
