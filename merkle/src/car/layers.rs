//! A read-only store made of other stores.

use crate::overlay::Overlay;
use crate::{BlockStore, Cid, EmptyStore, StoreError, StoreStats};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

type Answer<T> = std::result::Result<T, StoreError>;

/// A store that lacks blocks, over others that have them: a CAR made since a version, over those it
/// builds on. Head and header are the first one's.
pub struct Layers(Vec<Arc<dyn BlockStore>>);

impl Layers {
    /// From the newest to the oldest.
    pub fn new(newest: Arc<dyn BlockStore>, older: impl IntoIterator<Item = Arc<dyn BlockStore>>) -> Self {
        Self(std::iter::once(newest).chain(older).collect())
    }
}

impl Overlay for Layers {
    type Below = EmptyStore;

    fn below(&self) -> &EmptyStore {
        &EmptyStore
    }

    fn get(&self, cid: &Cid) -> Answer<Option<Bytes>> {
        for layer in &self.0 {
            if let Some(block) = layer.get(cid)? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    fn head(&self) -> Answer<Option<Bytes>> {
        self.0[0].head()
    }

    fn header(&self) -> Answer<Option<Bytes>> {
        self.0[0].header()
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> Answer<Vec<Cid>> {
        let mut names = BTreeSet::new();
        for layer in &self.0 {
            names.extend(layer.list(after, count_max)?);
        }
        Ok(names.into_iter().take(count_max).collect())
    }

    fn stats(&self) -> Answer<StoreStats> {
        let mut all = StoreStats::default();
        for layer in &self.0 {
            all.used_bytes += layer.stats()?.used_bytes;
        }
        Ok(all)
    }
}
