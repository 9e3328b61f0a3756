//! Where blocks lie: the index's entry for each, and how the index learns it.
//!
//! ```text
//!   packs --written--> learn: name -> place, group hashes; fresh mark (epoch, name)
//! ```

use super::keys;
use crate::pack::Written;
use rocksdb::{ColumnFamily, DB, WriteBatch, WriteOptions};
use std::io;

/// Name of the column family of the index: places and fresh marks.
pub(super) const BLOCKS: &str = "blocks";

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
    // Places alone fill memtables. The other column family must not keep the log for them.
    batch.put(keys::FLUSHED, b"");
    db.write_opt(batch, &WriteOptions::default())
        .map_err(io::Error::other)
}
