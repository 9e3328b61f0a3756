//! The store's use of its index: finding the place of a block, and forgetting blocks.
//!
//! ```text
//!   get -----> entry: place, group hashes          prepare_delete --> doomed --> delete_into: places to give back
//! ```

use super::base::RocksStore;
use super::keys;
use crate::error::failed;
use crate::pack::Place;
use cairn_block::{Cid, StoreError};
use rocksdb::WriteBatch;

impl RocksStore {
    /// Where the index says a block lies.
    pub(super) fn place(&self, cid: &Cid) -> Result<Option<Place>, StoreError> {
        self.entry(cid, |place, _| Some(place))
    }

    /// What `part` makes of the index's entry of a block.
    pub(super) fn entry<T>(
        &self,
        cid: &Cid,
        part: impl FnOnce(Place, &[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.ahead.looked_up();
        let found = self.db.get_pinned_cf(self.blocks(), keys::block(cid));
        let found = found.map_err(|error| failed("look up a block", error))?;
        let entry = found.as_deref().and_then(Place::decode);
        Ok(entry.and_then(|(place, groups)| part(place, groups)))
    }

    /// Has the index forget blocks; answers where they lay.
    pub(super) fn delete_into(&self, batch: &mut WriteBatch, cids: &[Cid]) -> Result<Vec<Place>, StoreError> {
        if cids.iter().any(|cid| self.packs.pending(cid).is_some()) {
            // Else the index would learn of the block after it forgot it.
            self.drain("delete blocks")?;
        }
        let doomed = std::mem::take(&mut *self.doomed.lock());
        let mut places = Vec::with_capacity(cids.len());
        for cid in cids {
            let known = doomed.get(cid).copied();
            if let Some(place) = known.map_or_else(|| self.place(cid), |place| Ok(Some(place)))? {
                batch.delete_cf(self.blocks(), keys::block(cid));
                places.push(place);
            }
        }
        // A name given twice lies in one place.
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }
}
