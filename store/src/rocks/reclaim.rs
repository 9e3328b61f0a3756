//! Gives the room of deleted blocks back.
//!
//! ```text
//!   worth it? --> count of the dead taken --> writer drained --> packs and limits noted --> view of the index taken
//!        --> index flushed: no older head lies in RocksDB's log --> groups of packs with garbage:
//!        walk the view, note live pages (pack/live.rs) --> punch the dead ones, remove dead packs
//! ```
//!
//! Nothing that lives is moved or written again. One walk of the index costs about half a second
//! a million blocks. It begins only when a share of the store is dead, so its cost per freed byte
//! does not grow with the store.

use super::base::{RocksStore, synced};
use super::keys;
use crate::pack::{GROUP, Live, Place, Suspect};
use cairn_block::StoreError;
use rocksdb::{FlushOptions, ReadOptions, Snapshot, WriteBatch};

/// Below this it is not, whatever its share.
const WORTHLESS_BYTES: u64 = 1 << 20;
/// Divisor of the store's bytes: less garbage is not worth a reclaim while there is room.
const WORTH_SHARE: u64 = 16;

impl RocksStore {
    /// See the module's picture.
    pub(crate) fn reclaim_garbage(&self) -> Result<(), StoreError> {
        let verb = "reclaim";
        let io = |source| StoreError::io(verb, source);
        let garbage = self.packs.garbage();
        let used_bytes = self.packs.used_bytes().map_err(io)?;
        let full = self.available_bytes()? == 0;
        if !garbage.is_unknown() && !is_worth_it(garbage.bytes(), used_bytes, full) {
            return Ok(());
        }
        // This uses the count up: after a failure the next reclaim looks at every pack.
        self.punch_dead(verb).inspect_err(|_| self.packs.lose_track())?;
        // The next question sees the room this made.
        self.space.measure_anew();
        let after = self.packs.used_bytes().map_err(io)?;
        tracing::debug!(?garbage, used_bytes, after, "reclaimed");
        Ok(())
    }

    fn punch_dead(&self, verb: &'static str) -> Result<(), StoreError> {
        let io = |source| StoreError::io(verb, source);
        // Each step relies on the ones before. The count first: every block counted dead was put
        // before, so after the drain it lies below the limits.
        let garbage = self.packs.take_garbage();
        // The index then knows every block below the limits that are noted next.
        self.drain(verb)?;
        let suspects = self.packs.suspects(&garbage).map_err(io)?;
        // After the limits: the view has every living block below them.
        let view = self.db.snapshot();
        // Before any punch: a block that the view lacks is gone for good. Else a power cut, or
        // damage of RocksDB's log, could bring back an older head whose blocks are punched.
        if !suspects.is_empty() {
            self.settle_index(verb)?;
        }
        for group in suspects.chunks(GROUP) {
            // A crash between groups leaves the others dead and no count: the next reclaim looks
            // at every pack.
            let live = self.live_in(verb, &view, group)?;
            self.packs.punch(group, &live).map_err(io)?;
        }
        Ok(())
    }

    /// Brings the index into its tables, so that no older state of it lies in RocksDB's log alone.
    fn settle_index(&self, verb: &'static str) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        // The tables of both then say that the log before is past.
        for family in [self.journal(), self.blocks()] {
            batch.put_cf(family, keys::FLUSHED, b"");
        }
        let flushed = self.db.write_opt(batch, &synced());
        flushed
            .and_then(|()| {
                self.db
                    .flush_cfs_opt(&[self.journal(), self.blocks()], &FlushOptions::default())
            })
            .map_err(|error| self.poison(verb, error))
    }

    fn live_in(
        &self,
        verb: &'static str,
        view: &Snapshot<'_>,
        packs: &[Suspect],
    ) -> Result<Live, StoreError> {
        let numbers: Vec<_> = packs.iter().map(|suspect| suspect.number).collect();
        let mut live = Live::of(&numbers);
        let mut options = ReadOptions::default();
        options.set_snapshot(view);
        let range = (keys::BLOCKS, &[keys::BLOCKS][..]);
        self.walk_with(options, verb, self.blocks(), range, |iter| {
            if let Some((place, _)) = iter.value().and_then(Place::decode) {
                live.note(place);
            }
            true
        })?;
        Ok(live)
    }
}

fn is_worth_it(garbage_bytes: u64, used_bytes: u64, full: bool) -> bool {
    let share = if full { 0 } else { used_bytes / WORTH_SHARE };
    garbage_bytes > share.max(WORTHLESS_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_of_the_store_is_worth_it_and_crumbs_are_not() {
        assert!(is_worth_it(65 << 20, 1 << 30, false));
        assert!(!is_worth_it(63 << 20, 1 << 30, false));
        assert!(is_worth_it(5 << 20, 16 << 20, false));
        assert!(!is_worth_it(1 << 20, 1 << 20, false));
        assert!(
            is_worth_it(2 << 20, 1 << 30, true),
            "a full store needs all it can have"
        );
        assert!(!is_worth_it(1 << 20, 1 << 30, true));
    }
}
