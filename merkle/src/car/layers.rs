//! A read-only store made of other stores.

use crate::{BlockStore, Cid, StoreError, StoreStats};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

type Answer<T> = std::result::Result<T, StoreError>;

/// The error for a caller that tries to change a read-only store.
pub(crate) fn refused<T>() -> Answer<T> {
    let source = io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "it can only be read");
    Err(StoreError::io("change", source))
}

/// The methods of a store that has no log and refuses every change.
macro_rules! read_only {
    () => {
        fn put(
            &self,
            _: $crate::Epoch,
            _: &[$crate::Sealed],
            _: $crate::PutHint,
        ) -> std::result::Result<(), $crate::StoreError> {
            $crate::car::layers::refused()
        }

        fn delete(&self, _: &[$crate::Cid]) -> std::result::Result<(), $crate::StoreError> {
            $crate::car::layers::refused()
        }

        fn sync(&self) -> std::result::Result<(), $crate::StoreError> {
            Ok(())
        }

        fn log_append(
            &self,
            _: &[($crate::LogPos, bytes::Bytes)],
        ) -> std::result::Result<(), $crate::StoreError> {
            $crate::car::layers::refused()
        }

        fn log_read(
            &self,
            _: $crate::LogPos,
            _: usize,
        ) -> std::result::Result<Vec<($crate::LogPos, bytes::Bytes)>, $crate::StoreError> {
            Ok(Vec::new())
        }

        fn swap_head(&self, _: &$crate::HeadSwap<'_>) -> std::result::Result<(), $crate::StoreError> {
            $crate::car::layers::refused()
        }

        fn fresh(
            &self,
            _: Option<($crate::Epoch, $crate::Cid)>,
            _: usize,
        ) -> std::result::Result<Vec<($crate::Epoch, $crate::Cid)>, $crate::StoreError> {
            Ok(Vec::new())
        }

        fn reclaim(&self) -> std::result::Result<(), $crate::StoreError> {
            Ok(())
        }
    };
}
pub(crate) use read_only;

/// A store that lacks blocks, over others that have them: a CAR made since a version, over those it builds on. Head and
/// header are the first one's.
pub struct Layers(Vec<Arc<dyn BlockStore>>);

impl Layers {
    /// From the newest to the oldest.
    pub fn new(newest: Arc<dyn BlockStore>, older: impl IntoIterator<Item = Arc<dyn BlockStore>>) -> Self {
        Self(std::iter::once(newest).chain(older).collect())
    }
}

impl BlockStore for Layers {
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

    read_only!();
}
