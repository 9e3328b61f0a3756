//! The store below every store that can only be read: it has nothing, and refuses each change.

use crate::{Blocks, Cid, Epoch, HeadSwap, Heads, Log, LogPos, PutHint, Sealed, StoreError, StoreStats};
use bytes::Bytes;
use std::io;

type Answer<T> = Result<T, StoreError>;

/// A store that has nothing and takes nothing. What can only be read overrides
/// the reads of an [`Overlay`](crate::overlay::Overlay) over it.
#[derive(Clone, Copy, Debug)]
pub struct EmptyStore;

fn refused() -> Answer<()> {
    let source = io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "it can only be read");
    Err(StoreError::io("change", source))
}

impl Blocks for EmptyStore {
    fn get(&self, _: &Cid) -> Answer<Option<Bytes>> {
        Ok(None)
    }

    fn put(&self, _: Epoch, _: &[Sealed], _: PutHint) -> Answer<()> {
        refused()
    }

    fn delete(&self, _: &[Cid]) -> Answer<()> {
        refused()
    }

    // Nothing was put, so all of it is durable.
    fn sync(&self) -> Answer<()> {
        Ok(())
    }

    fn fresh(&self, _: Option<(Epoch, Cid)>, _: usize) -> Answer<Vec<(Epoch, Cid)>> {
        Ok(Vec::new())
    }

    fn list(&self, _: Option<Cid>, _: usize) -> Answer<Vec<Cid>> {
        Ok(Vec::new())
    }

    fn stats(&self) -> Answer<StoreStats> {
        Ok(StoreStats::default())
    }

    fn reclaim(&self) -> Answer<()> {
        Ok(())
    }
}

impl Log for EmptyStore {
    fn log_append(&self, _: &[(LogPos, Bytes)]) -> Answer<()> {
        refused()
    }

    fn log_read(&self, _: LogPos, _: usize) -> Answer<Vec<(LogPos, Bytes)>> {
        Ok(Vec::new())
    }
}

impl Heads for EmptyStore {
    fn head(&self) -> Answer<Option<Bytes>> {
        Ok(None)
    }

    fn header(&self) -> Answer<Option<Bytes>> {
        Ok(None)
    }

    fn swap_head(&self, _: &HeadSwap<'_>) -> Answer<()> {
        refused()
    }
}
