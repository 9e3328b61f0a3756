//! Blocks over a lane.

use super::base::{Client, Wait};
use crate::answer;
use crate::names::{NAMES_MAX, Names};
use crate::request::{PUT_COUNT_MAX, Request};
use bytes::Bytes;
use cairn_block::group::Part;
use cairn_block::{Blocks, Cid, Epoch, MAX_STORED, PartHint, PutHint, Sealed, StoreError, StoreStats};
use std::io;
use std::ops::Range;

/// Blocks asked for in one request.
const GET_COUNT_MAX: usize = 256;
/// Bytes of one put, but at least one block.
const PUT_BYTES_MAX: usize = 2 << 20;

impl Blocks for Client {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.call("read a block", Wait::Short, &Request::Get(*cid), |frame| {
            answer::read_value(frame, MAX_STORED)
        })
    }

    fn get_now(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.call("read a block", Wait::Short, &Request::GetNow(*cid), |frame| {
            answer::read_value(frame, MAX_STORED)
        })
    }

    fn get_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Result<Option<Part>, StoreError> {
        // No block has more.
        if range.start > range.end || range.end > MAX_STORED {
            return Ok(None);
        }
        let request = Request::GetPart {
            cid: *cid,
            range: range.start as u32..range.end as u32,
            hint,
        };
        self.call("read a part of a block", Wait::Short, &request, |frame| {
            answer::read_part(frame, &range)
        })
    }

    fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut found = Vec::with_capacity(cids.len());
        while found.len() < cids.len() {
            let rest = &cids[found.len()..];
            let some = &rest[..rest.len().min(GET_COUNT_MAX)];
            let request = Request::GetMany(Names::new(some));
            // The first of them, as many as fit an answer.
            let blocks = self.call("read blocks", Wait::Short, &request, |frame| {
                answer::read_blocks(frame, some.len())
            })?;
            found.extend(blocks);
        }
        Ok(found)
    }

    fn holds(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.call(
            "look up a block",
            Wait::Short,
            &Request::Holds(*cid),
            answer::read_truth,
        )
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError> {
        let mut rest = blocks;
        while !rest.is_empty() {
            let count = fitting(rest);
            let (some, later) = rest.split_at(count);
            self.put_some(Request::Put {
                epoch,
                hint,
                blocks: some.to_vec(),
            })?;
            self.sizes.take(some.iter().map(|block| block.bytes.len()).sum());
            rest = later;
        }
        let is_full = self.kept.lock().is_full();
        if is_full {
            self.sync()?;
        }
        Ok(())
    }

    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        for some in cids.chunks(NAMES_MAX) {
            let request = Request::Delete(Names::new(some));
            self.call("delete blocks", Wait::Short, &request, answer::read_nothing)?;
            self.kept.lock().deleted(some);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        // Before it is sent: a put that returns meanwhile is not covered.
        let count = self.kept.lock().count();
        self.call("sync", Wait::Long, &Request::Sync, answer::read_nothing)?;
        match self.kept.lock().synced(count) {
            true => Ok(()),
            false => Err(StoreError::io(
                "sync",
                io::Error::other(
                    "the store's machine was started anew: what was put since the last sync may be lost",
                ),
            )),
        }
    }

    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError> {
        let mut found = Vec::new();
        while found.len() < count_max {
            let (after, left) = (found.last().copied().or(after), count_max - found.len());
            let request = Request::Fresh {
                after,
                count_max: at_most(left),
            };
            let marks = self.call("list fresh blocks", Wait::Long, &request, |frame| {
                answer::read_fresh(frame, after, left)
            })?;
            if marks.is_empty() {
                break;
            }
            found.extend(marks);
        }
        Ok(found)
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError> {
        let mut found = Vec::new();
        while found.len() < count_max {
            let (after, left) = (found.last().copied().or(after), count_max - found.len());
            let request = Request::List {
                after,
                count_max: at_most(left),
            };
            let cids = self.call("list blocks", Wait::Long, &request, |frame| {
                answer::read_names(frame, after, left)
            })?;
            if cids.is_empty() {
                break;
            }
            found.extend(cids);
        }
        Ok(found)
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        if let Some(known) = self.sizes.get() {
            return Ok(known);
        }
        let stats = self.call(
            "measure its size",
            Wait::Short,
            &Request::Stats,
            answer::read_stats,
        )?;
        self.sizes.set(stats);
        Ok(stats)
    }

    fn probe(&self) -> Result<(), StoreError> {
        let verb = "look whether it is there";
        self.call(verb, Wait::Short, &Request::Probe, answer::read_nothing)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.call("reclaim", Wait::Long, &Request::Reclaim, answer::read_nothing)?;
        self.sizes.forget();
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.options.access == crate::hello::Access::Read {
            return Ok(());
        }
        self.call("close", Wait::Long, &Request::Close, answer::read_nothing)
    }
}

impl Client {
    /// Puts what one frame holds, again where the session ended before the put was kept.
    fn put_some(&self, put: Request) -> Result<(), StoreError> {
        loop {
            let messages = vec![put.encode()];
            let put_now = self.call_with("put blocks", Wait::Short, messages, answer::read_progress);
            let (progress, generation) = match put_now {
                // Room that was believed to be there is not.
                Err(error) if error.is_full() => {
                    self.sizes.forget();
                    return Err(error);
                }
                other => other?,
            };
            if self.kept.lock().keep(generation, &put, progress) {
                return Ok(());
            }
        }
    }
}

fn at_most(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How many of the first blocks one put takes.
fn fitting(blocks: &[Sealed]) -> usize {
    let mut bytes = 0;
    let fit = blocks.iter().take(PUT_COUNT_MAX).take_while(|block| {
        bytes += block.bytes.len() + block.groups.len();
        bytes <= PUT_BYTES_MAX
    });
    fit.count().max(1)
}
