//! Reads the index ahead once it is clear that much of it is wanted.
//!
//! Names are spread evenly over the index. So each lookup in a cold one is a read of the device,
//! however close to each other the blocks lie. After the first lookups all of it is read in one
//! go instead: into the page cache, where RocksDB has it without a wait. A store that is opened
//! only for a look is left alone.

use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Lookups before the index is read ahead.
const LOOKUPS: u32 = 64;
/// Bytes asked for at once: the kernel's own limit is no lower than its usual readahead.
const CHUNK_BYTES: NonZeroU64 = NonZeroU64::new(128 << 10).expect("not zero");

/// Counts lookups, and reads ahead when there were enough.
pub(super) struct Ahead {
    path: PathBuf,
    bytes_max: u64,
    /// Lookups until it happens; none is left once it has.
    left: AtomicU32,
}

impl Ahead {
    /// Up to `bytes_max` of the index of the store in `path`.
    pub(super) fn new(path: &Path, bytes_max: u64) -> Self {
        Self {
            path: path.to_owned(),
            bytes_max,
            left: AtomicU32::new(LOOKUPS),
        }
    }

    /// A block was looked up.
    pub(super) fn looked_up(&self) {
        if self.left.load(Relaxed) == 0 {
            return;
        }
        let counted = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if counted == Ok(1) {
            let (path, bytes_max) = (self.path.clone(), self.bytes_max);
            // It holds nothing of the store and ends soon, so no thread waits for it.
            let thread = std::thread::Builder::new().name("cairn-ahead".into());
            let started = thread.spawn(move || match read_tables(&path, bytes_max) {
                Ok(bytes) => tracing::debug!(bytes, "read the index ahead"),
                Err(error) => tracing::debug!(%error, "the index was not read ahead"),
            });
            if let Err(error) = started {
                tracing::debug!(%error, "the index is not read ahead");
            }
        }
    }
}

/// Has the kernel read the tables of a database, up to `bytes_max`; answers how many bytes it was
/// asked for.
fn read_tables(path: &Path, bytes_max: u64) -> io::Result<u64> {
    let mut asked = 0;
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "sst") {
            continue;
        }
        // A compaction may have removed it since.
        let Ok(table) = File::open(path) else { continue };
        let len = table.metadata()?.len().min(bytes_max - asked);
        for offset in (0..len).step_by(CHUNK_BYTES.get() as usize) {
            fadvise(&table, offset, Some(CHUNK_BYTES), Advice::WillNeed)?;
        }
        asked += len;
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_up_to_the_limit_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for (name, len) in [("1.sst", 300_000), ("2.sst", 500_000), ("LOG", 7_000)] {
            fs::write(dir.path().join(name), vec![1; len]).unwrap();
        }
        assert_eq!(read_tables(dir.path(), u64::MAX).unwrap(), 800_000);
        assert_eq!(read_tables(dir.path(), 600_000).unwrap(), 600_000);
        assert_eq!(read_tables(dir.path(), 0).unwrap(), 0);
    }

    #[test]
    fn reading_ahead_begins_once() {
        let dir = tempfile::tempdir().unwrap();
        let ahead = Ahead::new(dir.path(), 1);
        for _ in 0..LOOKUPS {
            assert!(ahead.left.load(Relaxed) > 0);
            ahead.looked_up();
        }
        ahead.looked_up();
        assert_eq!(ahead.left.load(Relaxed), 0);
    }
}
