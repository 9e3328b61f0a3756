//! Where blocks lie: what the index has of each, and how it learns and forgets.
//!
//! ```text
//!   packs --written--> learn: name -> place, group hashes; fresh mark (epoch, name)
//!   get -----> entry: place, group hashes          prepare_delete --> doomed --> delete_into: places to give back
//! ```

use super::{BLOCKS, RocksStore, keys};
use crate::error::failed;
use crate::pack::{Place, Written};
use cairn_merkle::{Cid, StoreError};
use rocksdb::{ColumnFamily, DB, WriteBatch, WriteOptions};
use std::io;

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

/// The column family of it.
pub(super) fn of(db: &DB) -> &ColumnFamily {
    db.cf_handle(BLOCKS)
        .expect("the database was opened with this column family")
}

/// Notes where blocks lie, and the epochs they were put in.
pub(super) fn learn(db: &DB, written: &[Written]) -> io::Result<()> {
    let mut batch = WriteBatch::default();
    for Written {
        epoch,
        cid,
        place,
        groups,
    } in written
    {
        let entry = [&place.encode()[..], groups].concat();
        batch.put_cf(of(db), keys::block(cid), entry);
        batch.put_cf(of(db), keys::fresh(*epoch, cid), b"");
    }
    db.write_opt(batch, &WriteOptions::default())
        .map_err(io::Error::other)
}
