//! Blocks behind each other in large files, *packs*: each written once, to its final place, with a
//! label behind it that names it.
//!
//! ```text
//!   put ----> append.rs: a thread writes whole pages past the page cache ----> index learns the place
//!   get ----> pending? else index --place--> small: through the page cache | large: past it, neighbours in one read
//!   delete -> index forgets; garbage counted by pack --reclaim--> live.rs: dead pages punched, dead packs removed
//! ```
//!
//! RocksDB's own value files cost two to three copies more per byte on the way in, and three more
//! on the way out. They also rewrite live blocks to free dead ones (docs/benchmarks.md has the
//! figures). Here RocksDB is the index.
//!
//! A closed pack is never written to again, so a place never gets other bytes; only punching
//! takes them away. A reader that overlapped with a punch therefore asks the index once more.
//!
//! A reclaim decides by one look ([`Packs::suspects`]). It takes the count of dead bytes, waits
//! for the writer, and notes which packs it looks at and how far. Only then does it take the view
//! of the index that it walks. So the view has every block below each limit, whatever is put
//! meanwhile. A pack that still grew at that moment is punched below its limit and never removed.
//! This holds even if it is full, and grows no more, by the end of the walk.

mod append;
mod file;
mod garbage;
mod label;
mod live;
mod place;

pub(crate) use append::{Index, Written};
pub(crate) use file::used_bytes;
pub(crate) use garbage::Garbage;
#[cfg(feature = "fuzzing")]
pub(crate) use garbage::fuzzing;
pub(crate) use live::{GROUP, Live};
pub(crate) use place::Place;

use crate::own::Access;
use append::Appender;
use bytes::Bytes;
use cairn_block::buffer::{Buffer, Pool};
use cairn_block::{Cid, Epoch, PartHint, PutProgress, Sealed};
use file::Pack;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Directory of the packs, within the store's.
pub(crate) const DIR: &str = "packs";
/// Packs kept open.
const OPEN_MAX: usize = 128;
/// Blocks from here on are read past the page cache: the caller keeps them, and the copy costs more
/// than the read ahead saves.
const DIRECT_BYTES_MIN: usize = 64 << 10;
/// Bytes of neighbours read at once, and buffers for that kept for reuse.
const READ_BYTES: usize = 2 << 20;
const READ_BUFFERS: usize = 8;
/// What a single block is read into, if it fits: a buffer for many would be held for it as long as
/// it is.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_BUFFERS: usize = 32;

/// The packs of one store.
pub(crate) struct Packs {
    dir: PathBuf,
    appender: Appender,
    open: Cache<u32, Arc<Pack>>,
    /// By what fits them, the smaller first.
    buffers: [Arc<Pool>; 2],
    garbage: Mutex<Garbage>,
    /// Punches begun so far.
    punches: AtomicU64,
    access: Access,
}

/// A pack that a reclaim looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    /// Its number.
    pub(crate) number: u32,
    /// How far it is looked at: the index knows every block below.
    limit: u64,
    /// Nothing was put to it any more when the look began.
    ended: bool,
}

impl Packs {
    /// Makes the directory of a store without blocks.
    pub(crate) fn create(store: &Path) -> io::Result<()> {
        let dir = store.join(DIR);
        fs::create_dir(&dir)?;
        // Nothing is dead, and that is known: else the first reclaim would walk the whole index.
        Garbage::default().save(&dir)?;
        File::open(store)?.sync_all()
    }

    /// Opens the packs, and begins a new one with the first put. Where they are only read, what a
    /// clean close knew stays where it is.
    pub(crate) fn open(store: &Path, index: Index, access: Access) -> io::Result<Self> {
        let dir = store.join(DIR);
        let numbers = file::numbers(&dir)?;
        let garbage = match access {
            // Taken before the writer starts: what it says is of packs that no longer grow.
            Access::Write => Garbage::take(&dir, numbers.len())?,
            Access::Read => Garbage::look(&dir, numbers.len())?,
        };
        // Never an old pack: after a crash its end is not known, and a place must not get other
        // bytes.
        let next = numbers.last().map_or(0, |last| last + 1);
        Ok(Self {
            appender: Appender::start(dir.clone(), next, index)?,
            open: Cache::new(OPEN_MAX),
            buffers: [
                Pool::new(BLOCK_BYTES, BLOCK_BUFFERS),
                Pool::new(READ_BYTES.max(cairn_block::MAX_STORED), READ_BUFFERS),
            ],
            garbage: Mutex::new(garbage),
            punches: AtomicU64::new(0),
            access,
            dir,
        })
    }

    /// Queues blocks to be written; see [`Self::sync`]. `claim` is asked before room is taken from
    /// the device.
    pub(crate) fn put(
        &self,
        epoch: Epoch,
        blocks: &[Sealed],
        claim: &dyn Fn(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        // A call may bring more than a pack holds.
        blocks
            .chunks(64)
            .try_for_each(|some| self.appender.put(epoch, some, claim))
    }

    /// A block that the index does not know yet.
    pub(crate) fn pending(&self, cid: &Cid) -> Option<Bytes> {
        self.appender.pending(cid)
    }

    /// How far the blocks have got that were put since the store was opened.
    pub(crate) fn progress(&self) -> PutProgress {
        self.appender.progress()
    }

    /// Waits until the index knows every block put before.
    pub(crate) fn drain(&self) -> io::Result<()> {
        self.appender.drain()
    }

    /// Makes every block put before durable; the index is another matter.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.appender.sync()
    }

    /// Grows with each punch: a reader of a place that was looked up before it grew must look again.
    pub(crate) fn punches(&self) -> u64 {
        self.punches.load(SeqCst)
    }

    /// The bytes at a place, or `None` if there are none: the outside took the file, or the place
    /// was never written.
    pub(crate) fn read(&self, place: Place) -> io::Result<Option<Bytes>> {
        let found = self.read_run(&[place])?;
        Ok(found.into_iter().next().flatten())
    }

    /// The bytes at a place, if the page cache has them.
    pub(crate) fn read_now(&self, place: Place) -> Option<Bytes> {
        let len = place.len as usize;
        // Large blocks bypass the page cache, so asking for one would always be in vain.
        if len >= DIRECT_BYTES_MIN || !file::is_possible(place) {
            return None;
        }
        let mut bytes = vec![0; len];
        let pack = self.pack(place.pack).ok()?;
        pack.read_now(&mut bytes, place.offset).then(|| bytes.into())
    }

    /// The bytes at places that lie in order and behind each other, as [`Self::runs`] makes them.
    pub(crate) fn read_run(&self, run: &[Place]) -> io::Result<Vec<Option<Bytes>>> {
        let nothing = || vec![None; run.len()];
        let Some((first, len)) = extent(run) else {
            return Ok(nothing());
        };
        let bytes = match self
            .pack(first.pack)
            .and_then(|pack| self.read_from(&pack, first.offset, len))
        {
            Ok(bytes) => bytes,
            // The reader with the key tells a missing block from a failing store, and goes on.
            Err(error) if is_absence(&error) => return Ok(nothing()),
            Err(error) => return Err(error),
        };
        let part = |place: &Place| {
            let at = (place.offset - first.offset) as usize;
            Some(bytes.slice(at..at + place.len as usize))
        };
        Ok(run.iter().map(part).collect())
    }

    /// A part of a large block: through the page cache if a reader may come back for it.
    pub(crate) fn read_part(&self, place: Place, hint: PartHint) -> io::Result<Option<Bytes>> {
        if !file::is_possible(place) {
            return Ok(None);
        }
        let (offset, len) = (place.offset, place.len as usize);
        let read = self.pack(place.pack).and_then(|pack| match hint {
            PartHint::Once => self.read_past_cache(&pack, offset, len),
            PartHint::Again => read_through_cache(&pack, offset, len),
        });
        match read {
            Err(error) if is_absence(&error) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Says that these runs are read next: those that go through the page cache are on their way at
    /// once, and not one after the other.
    pub(crate) fn announce(&self, runs: &[&[Place]]) {
        for run in runs {
            if let Some((first, len)) = extent(run)
                && len < DIRECT_BYTES_MIN
                && let Ok(pack) = self.pack(first.pack)
            {
                pack.will_read(first.offset, len as u64);
            }
        }
    }

    fn read_from(&self, pack: &Pack, offset: u64, len: usize) -> io::Result<Bytes> {
        if len < DIRECT_BYTES_MIN {
            return read_through_cache(pack, offset, len);
        }
        self.read_past_cache(pack, offset, len)
    }

    fn read_past_cache(&self, pack: &Pack, offset: u64, len: usize) -> io::Result<Bytes> {
        let whole = len.next_multiple_of(place::UNIT as usize);
        let [block, many] = &self.buffers;
        let mut buffer: Buffer = if block.fits(whole) { block } else { many }.take(whole);
        pack.read_direct(&mut buffer, offset, len)?;
        Ok(Bytes::from_owner(buffer).slice(..len))
    }

    /// Cuts sorted places into runs that one read serves.
    pub(crate) fn runs(places: &[Place]) -> impl Iterator<Item = &[Place]> {
        let mut bytes = 0;
        places.chunk_by(move |this, next| {
            bytes += u64::from(this.len);
            let joined = this.pack == next.pack
                && (this.end() == next.offset || this == next)
                && bytes + u64::from(next.len) <= READ_BYTES as u64;
            if !joined {
                bytes = 0;
            }
            joined
        })
    }

    fn pack(&self, number: u32) -> io::Result<Arc<Pack>> {
        self.open.get_or_insert_with(&number, || {
            Pack::open(&self.dir, number, self.access).map(Arc::new)
        })
    }

    /// Notes blocks the index has forgotten.
    pub(crate) fn forget(&self, places: &[Place]) {
        let mut garbage = self.garbage.lock();
        for place in places {
            garbage.add(place.pack, place.end() - place.offset);
        }
    }

    /// What deletes left behind, so far.
    pub(crate) fn garbage(&self) -> Garbage {
        self.garbage.lock().clone()
    }

    /// Begins a reclaim: what is dead so far. The count begins anew, so what is deleted from here
    /// on is left to the next.
    pub(crate) fn take_garbage(&self) -> Garbage {
        std::mem::take(&mut *self.garbage.lock())
    }

    /// The packs that may hold what `garbage` counts. The writer must have drained since that was
    /// taken, and the view of the index that is walked must be taken after this: then whatever lies
    /// below a limit and is not in it is dead.
    pub(crate) fn suspects(&self, garbage: &Garbage) -> io::Result<Vec<Suspect>> {
        // A pack made after this look has blocks that the index may not know of yet: it is left
        // alone.
        let (growing, next) = self.appender.growing();
        let mut suspects = Vec::new();
        for number in file::numbers(&self.dir)? {
            if number < next && garbage.suspects(number) {
                let end = growing.get(&number).copied();
                suspects.push(Suspect {
                    number,
                    limit: end.map_or_else(|| self.pack(number)?.len(), Ok)?,
                    ended: end.is_none(),
                });
            }
        }
        Ok(suspects)
    }

    /// A reclaim ended halfway: the next looks at all packs.
    pub(crate) fn lose_track(&self) {
        self.garbage.lock().lose_track();
    }

    /// Gives back what nothing lives in.
    pub(crate) fn punch(&self, suspects: &[Suspect], live: &Live) -> io::Result<()> {
        // Before the first hole: a reader that sees the old count read all its bytes before any was
        // taken away; every other one looks in the index again.
        self.punches.fetch_add(1, SeqCst);
        for suspect in suspects {
            let pack = self.pack(suspect.number)?;
            // Not by what grows now: a pack that grew when the look began may have got blocks
            // since, and ended.
            if suspect.ended && live.is_dead(suspect.number) {
                pack.remove()?;
                // After the file: in the other order a reader could open it again, and keep its
                // room.
                self.open.remove(&suspect.number);
                continue;
            }
            for (from, until) in live.holes(suspect.number, suspect.limit) {
                match pack.punch(from, until) {
                    // The filesystem below cannot: only whole packs come back.
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => break,
                    done => done?,
                }
            }
        }
        Ok(())
    }

    /// Writes what is queued, ends the writer, and notes what is dead. Further puts fail.
    pub(crate) fn close(&self) -> io::Result<()> {
        // The count last: saved before the writer ends, it would vouch for packs that still grow. A
        // crash before this leaves none, and the next reclaim looks at every pack.
        self.appender.end()?;
        match self.access {
            Access::Read => Ok(()),
            Access::Write => self.garbage.lock().save(&self.dir),
        }
    }

    /// Bytes on the device.
    pub(crate) fn used_bytes(&self) -> io::Result<u64> {
        used_bytes(&self.dir)
    }
}

impl Drop for Packs {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the next reclaim has to look at all packs");
        }
    }
}

fn read_through_cache(pack: &Pack, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    pack.read_cached(&mut bytes, offset)?;
    Ok(bytes.into())
}

/// Where a run begins and how many bytes it has; none if it is empty or cannot lie in a pack.
fn extent(run: &[Place]) -> Option<(Place, usize)> {
    let (first, last) = (run.first()?, run.last()?);
    let len = || (last.offset - first.offset) as usize + last.len as usize;
    file::is_possible(*last).then(|| (*first, len()))
}

/// Errors that say there is nothing there: what the outside took away is a missing block, not a
/// failed store.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests;
