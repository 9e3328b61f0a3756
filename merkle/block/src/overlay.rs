//! A store over another: it answers some calls itself and passes the rest on.
//!
//! ```text
//!   caller --> Blocks, Log, Heads --> Overlay: what is overridden
//!                                        `--> below: all else
//! ```
//!
//! The ways to read a block and to write the log that a store may leave out (parts, many at once,
//! without a wait, records that need not be durable) are made of [`Overlay::get`] and
//! [`Overlay::log_append`]. So no call slips past an overlay that overrides only these two.

use crate::group::Part;
use crate::{
    BlockStore, Blocks, Cid, Epoch, HeadSwap, Heads, Log, LogPos, LogRest, PartHint, PutHint, PutProgress,
    Sealed, StoreError, StoreStats, Twin,
};
use bytes::Bytes;
use std::ops::Range;

type Answer<T> = Result<T, StoreError>;

/// A store over another. Each method is the one of that name in [`Blocks`], [`Log`] or [`Heads`].
#[expect(missing_docs, reason = "the three traits say what each method promises")]
pub trait Overlay: Send + Sync {
    /// The store it lies on.
    type Below: BlockStore + ?Sized;

    /// What answers the calls that this one does not.
    fn below(&self) -> &Self::Below;

    fn get(&self, cid: &Cid) -> Answer<Option<Bytes>> {
        self.below().get(cid)
    }
    fn get_part(&self, _: &Cid, _: Range<usize>, _: PartHint) -> Answer<Option<Part>> {
        Ok(None)
    }
    fn get_many(&self, cids: &[Cid]) -> Answer<Vec<Option<Bytes>>> {
        cids.iter().map(|cid| self.get(cid)).collect()
    }
    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Answer<()> {
        self.below().put(epoch, blocks, hint)
    }
    fn put_progress(&self) -> PutProgress {
        self.below().put_progress()
    }
    fn delete(&self, cids: &[Cid]) -> Answer<()> {
        self.below().delete(cids)
    }
    fn sync(&self) -> Answer<()> {
        self.below().sync()
    }
    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Answer<Vec<(Epoch, Cid)>> {
        self.below().fresh(after, count_max)
    }
    fn list(&self, after: Option<Cid>, count_max: usize) -> Answer<Vec<Cid>> {
        self.below().list(after, count_max)
    }
    fn stats(&self) -> Answer<StoreStats> {
        self.below().stats()
    }
    fn probe(&self) -> Answer<()> {
        self.below().probe()
    }
    fn reclaim(&self) -> Answer<()> {
        self.below().reclaim()
    }
    fn close(&self) -> Answer<()> {
        self.below().close()
    }

    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Answer<()> {
        self.below().log_append(records)
    }
    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Answer<()> {
        self.log_append(records)
    }
    fn log_read(&self, from: LogPos, bytes_max: usize) -> Answer<Vec<(LogPos, Bytes)>> {
        self.below().log_read(from, bytes_max)
    }
    fn log_mark(&self, mark: &[u8]) -> Answer<()> {
        self.below().log_mark(mark)
    }
    fn log_rest(&self) -> Answer<LogRest> {
        self.below().log_rest()
    }

    fn head(&self) -> Answer<Option<Bytes>> {
        self.below().head()
    }
    fn header(&self) -> Answer<Option<Bytes>> {
        self.below().header()
    }
    fn twin(&self) -> Answer<Option<Twin>> {
        self.below().twin()
    }
    fn head_afresh(&self) -> Answer<Option<Bytes>> {
        self.below().head_afresh()
    }
    fn twins_ahead(&self) -> Answer<Vec<Twin>> {
        self.below().twins_ahead()
    }
    fn adopt(&self, twin: &Twin, settled: Epoch) -> Answer<()> {
        self.below().adopt(twin, settled)
    }
    fn drop_twins_ahead(&self) -> Answer<()> {
        self.below().drop_twins_ahead()
    }
    fn prepare_delete(&self, cids: &[Cid]) -> Answer<()> {
        self.below().prepare_delete(cids)
    }
    fn swap_head(&self, swap: &HeadSwap<'_>) -> Answer<()> {
        self.below().swap_head(swap)
    }
}

impl<T: Overlay> Blocks for T {
    fn get(&self, cid: &Cid) -> Answer<Option<Bytes>> {
        Overlay::get(self, cid)
    }
    fn get_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Answer<Option<Part>> {
        Overlay::get_part(self, cid, range, hint)
    }
    fn get_many(&self, cids: &[Cid]) -> Answer<Vec<Option<Bytes>>> {
        Overlay::get_many(self, cids)
    }
    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Answer<()> {
        Overlay::put(self, epoch, blocks, hint)
    }
    fn put_progress(&self) -> PutProgress {
        Overlay::put_progress(self)
    }
    fn delete(&self, cids: &[Cid]) -> Answer<()> {
        Overlay::delete(self, cids)
    }
    fn sync(&self) -> Answer<()> {
        Overlay::sync(self)
    }
    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Answer<Vec<(Epoch, Cid)>> {
        Overlay::fresh(self, after, count_max)
    }
    fn list(&self, after: Option<Cid>, count_max: usize) -> Answer<Vec<Cid>> {
        Overlay::list(self, after, count_max)
    }
    fn stats(&self) -> Answer<StoreStats> {
        Overlay::stats(self)
    }
    fn probe(&self) -> Answer<()> {
        Overlay::probe(self)
    }
    fn reclaim(&self) -> Answer<()> {
        Overlay::reclaim(self)
    }
    fn close(&self) -> Answer<()> {
        Overlay::close(self)
    }
}

impl<T: Overlay> Log for T {
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Answer<()> {
        Overlay::log_append(self, records)
    }
    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Answer<()> {
        Overlay::log_write(self, records)
    }
    fn log_read(&self, from: LogPos, bytes_max: usize) -> Answer<Vec<(LogPos, Bytes)>> {
        Overlay::log_read(self, from, bytes_max)
    }
    fn log_mark(&self, mark: &[u8]) -> Answer<()> {
        Overlay::log_mark(self, mark)
    }
    fn log_rest(&self) -> Answer<LogRest> {
        Overlay::log_rest(self)
    }
}

impl<T: Overlay> Heads for T {
    fn head(&self) -> Answer<Option<Bytes>> {
        Overlay::head(self)
    }
    fn header(&self) -> Answer<Option<Bytes>> {
        Overlay::header(self)
    }
    fn twin(&self) -> Answer<Option<Twin>> {
        Overlay::twin(self)
    }
    fn head_afresh(&self) -> Answer<Option<Bytes>> {
        Overlay::head_afresh(self)
    }
    fn twins_ahead(&self) -> Answer<Vec<Twin>> {
        Overlay::twins_ahead(self)
    }
    fn adopt(&self, twin: &Twin, settled: Epoch) -> Answer<()> {
        Overlay::adopt(self, twin, settled)
    }
    fn drop_twins_ahead(&self) -> Answer<()> {
        Overlay::drop_twins_ahead(self)
    }
    fn prepare_delete(&self, cids: &[Cid]) -> Answer<()> {
        Overlay::prepare_delete(self, cids)
    }
    fn swap_head(&self, swap: &HeadSwap<'_>) -> Answer<()> {
        Overlay::swap_head(self, swap)
    }
}
