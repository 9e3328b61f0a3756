//! A store that tells of each call before it passes it on.
//!
//! ```text
//!  engine --> Watched --tell(Call)--> the test: counts, or does something else in just that moment
//!                `--> store
//! ```
//!
//! The test is told outside of any lock, so that it may call the engine and the store again.

use bytes::Bytes;
use cairn_merkle::overlay::Overlay;
use cairn_merkle::{BlockStore, Cid, Epoch, HeadSwap, LogPos, PutHint, Sealed, StoreError};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call that a test may want to know of.
#[derive(Debug)]
pub enum Call<'a> {
    /// A block is read.
    Get(&'a Cid),
    /// Blocks are put.
    Put(&'a [Sealed]),
    /// A sync.
    Sync,
    /// Records are appended to the log.
    LogAppend,
    /// The log is marked.
    LogMark,
    /// The head moves.
    SwapHead,
}

/// A store that tells of each call before it passes it on.
pub struct Watched<S> {
    inner: Arc<S>,
    tell: Box<dyn Fn(&Call<'_>) + Send + Sync>,
    loses_swap: AtomicBool,
}

impl<S> Watched<S> {
    /// Watches `inner`.
    pub fn new(inner: Arc<S>, tell: impl Fn(&Call<'_>) + Send + Sync + 'static) -> Self {
        Self {
            inner,
            tell: Box::new(tell),
            loses_swap: AtomicBool::new(false),
        }
    }

    /// The next swap of the head happens, but is answered with an error, as when a connection
    /// breaks.
    pub fn lose_next_swap(&self) {
        self.loses_swap.store(true, Ordering::Relaxed);
    }
}

impl<S> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl<S: BlockStore> Overlay for Watched<S> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        (self.tell)(&Call::Get(cid));
        self.inner.get(cid)
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError> {
        (self.tell)(&Call::Put(blocks));
        self.inner.put(epoch, blocks, hint)
    }

    fn sync(&self) -> Result<(), StoreError> {
        (self.tell)(&Call::Sync);
        self.inner.sync()
    }

    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        (self.tell)(&Call::LogAppend);
        self.inner.log_append(records)
    }

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        (self.tell)(&Call::LogMark);
        self.inner.log_mark(mark)
    }

    /// Says nothing, so that an engine finds out by its next swap that the answer to one was lost.
    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        (self.tell)(&Call::SwapHead);
        // First: the head has moved, and the answer alone is lost.
        self.inner.swap_head(swap)?;
        if self.loses_swap.swap(false, Ordering::Relaxed) {
            return Err(StoreError::io(
                "swap the head",
                io::ErrorKind::ConnectionReset.into(),
            ));
        }
        Ok(())
    }
}
