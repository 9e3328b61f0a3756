//! A store in which one copy of head, header or commit block was altered, until the next swap of
//! the head writes both.

use bytes::Bytes;
use cairn_merkle::clear::HeadClaim;
use cairn_merkle::overlay::Overlay;
use cairn_merkle::twin::{DamagedCopy, Part, Side};
use cairn_merkle::{BlockStore, Cid, HeadSwap, StoreError, Twin};
use parking_lot::Mutex;
use std::sync::Arc;

/// See the module's first line.
#[derive(Debug)]
pub struct Doctored<S> {
    inner: Arc<S>,
    root: Option<Cid>,
    /// The copy, and what is there in its place.
    altered: Mutex<Option<(DamagedCopy, Option<Bytes>)>>,
}

impl<S: BlockStore> Doctored<S> {
    /// `inner`, where `copy` is `bytes`, or missing.
    pub fn new(inner: Arc<S>, copy: DamagedCopy, bytes: Option<Bytes>) -> Self {
        let head = inner.head().expect("a store in memory answers");
        let claim = head.and_then(|head| HeadClaim::parse(&head).ok());
        Self {
            inner,
            root: claim.map(|claim| claim.root),
            altered: Mutex::new(Some((copy, bytes))),
        }
    }

    /// Whether no swap of the head has mended it yet.
    pub fn is_altered(&self) -> bool {
        self.altered.lock().is_some()
    }

    fn or_altered(&self, part: Part, side: Side, whole: Option<Bytes>) -> Option<Bytes> {
        match &*self.altered.lock() {
            Some((copy, bytes)) if (copy.part, copy.side) == (part, side) => bytes.clone(),
            _ => whole,
        }
    }
}

impl<S: BlockStore> Overlay for Doctored<S> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let stored = self.inner.get(cid)?;
        match self.root.as_ref() == Some(cid) {
            true => Ok(self.or_altered(Part::CommitBlock, Side::First, stored)),
            false => Ok(stored),
        }
    }

    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.or_altered(Part::Head, Side::First, self.inner.head()?))
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(self.or_altered(Part::Header, Side::First, self.inner.header()?))
    }

    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        let Some(twin) = self.inner.twin()? else {
            return Ok(None);
        };
        let part = |part, whole| {
            self.or_altered(part, Side::Second, Some(whole))
                .unwrap_or_default()
        };
        Ok(Some(Twin {
            head: part(Part::Head, twin.head),
            header: part(Part::Header, twin.header),
            root_block: part(Part::CommitBlock, twin.root_block),
        }))
    }

    /// Says nothing: what lies on the medium is not what this store says.
    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        if self.head()?.as_deref() != swap.expected {
            return Err(StoreError::HeadMoved);
        }
        // The engine expects the altered head, which it was shown. The store below has the whole
        // one.
        let expected = self.inner.head()?;
        self.inner.swap_head(&HeadSwap {
            expected: expected.as_deref(),
            ..swap.clone()
        })?;
        // Only after the swap, which has written both copies.
        *self.altered.lock() = None;
        Ok(())
    }
}
