//! The writer: gathers queued blocks into whole pages, writes them, and tells the index.
//!
//! ```text
//!   run of one pack --copy, unlocked--> pages --write--> pack --> index --locked--> no longer pending
//! ```

use super::queue::{Queued, Shared, WRITE_BYTES, units_of};
use crate::pack::file::Pack;
use crate::pack::label::Label;
use crate::pack::place::Place;
use cairn_block::buffer::{ALIGN, Pool};
use cairn_block::{Cid, Epoch};
use parking_lot::MutexGuard;
use std::io;
use std::sync::Arc;

/// Bytes of the buffer a write is gathered in, which must hold one more block.
const BUFFER_BYTES: usize = WRITE_BYTES + cairn_block::MAX_STORED + ALIGN;

/// A block that was written, for the index.
pub(crate) struct Written {
    /// The epoch of its put.
    pub(crate) epoch: Epoch,
    /// Its name.
    pub(crate) cid: Cid,
    /// Where it lies.
    pub(crate) place: Place,
    /// The hashes of its groups, if it came with them.
    pub(crate) groups: bytes::Bytes,
}

/// Makes the index know blocks.
pub(crate) type Index = Box<dyn Fn(&[Written]) -> io::Result<()> + Send>;

/// Writes what is queued until the end has come or a write fails.
pub(super) fn run(shared: &Shared, index: &Index) {
    let pool = Pool::new(BUFFER_BYTES, 1);
    let mut state = shared.state.lock();
    loop {
        let run = state.next_run();
        let Some((pack, offset)) = run
            .first()
            .map(|first| (Arc::clone(&first.pack), state.end_of(&first.pack)))
        else {
            if state.ending {
                return;
            }
            shared.work.wait(&mut state);
            continue;
        };
        // Without the lock: puts and gets go on beside the write.
        let written = MutexGuard::unlocked(&mut state, || write_run(&pool, &pack, offset, &run, index));
        match written {
            Ok(end) => state.wrote(&pack, end, &run),
            Err(error) => {
                tracing::error!(%error, pack = pack.number, "blocks could not be written");
                // For good: a later sync must not pass without the blocks of this run.
                state.failed = Some(format!("blocks could not be written: {error}"));
            }
        }
        shared.done.notify_all();
        if state.failed.is_some() {
            return;
        }
    }
}

/// Writes blocks behind each other from `offset` on, tells the index, and answers where the next
/// write goes.
fn write_run(pool: &Arc<Pool>, pack: &Pack, offset: u64, run: &[Queued], index: &Index) -> io::Result<u64> {
    let len: usize = run.iter().map(|queued| units_of(&queued.block)).sum();
    let len = len.next_multiple_of(ALIGN);
    // Copied together: one write past the page cache, from aligned memory, for many small blocks.
    let mut buffer = pool.take(len);
    let pages = &mut buffer.bytes_mut()[..len];
    let (mut at, mut written) = (0, Vec::with_capacity(run.len()));
    for Queued { epoch, block, .. } in run {
        let (own, rest) = pages[at..].split_at_mut(block.bytes.len());
        own.copy_from_slice(&block.bytes);
        // The buffer has bytes of earlier blocks: none of them may reach the disk behind this one.
        let (zeros, label) = rest[..units_of(block) - own.len()]
            .split_last_chunk_mut()
            .expect("units have room for a label");
        zeros.fill(0);
        let named = Label {
            epoch: *epoch,
            len: own.len() as u32,
            cid: block.cid,
        };
        *label = named.encode();
        written.push(Written {
            epoch: *epoch,
            cid: block.cid,
            place: Place {
                pack: pack.number,
                offset: offset + at as u64,
                len: own.len() as u32,
            },
            groups: block.groups.clone(),
        });
        at += units_of(block);
    }
    pages[at..].fill(0);
    // Written before it is named: a crash between the two leaves bytes without a name. A reopen
    // begins another pack, and the next reclaim gives their room back.
    pack.write(pages, offset)?;
    index(&written)?;
    Ok(offset + len as u64)
}
