//! Refuses a write before the disk does.
//!
//! ```text
//!   |<------------------------- the device ------------------------->|
//!   | stored | in memtables, not yet written | free ...    | reserve |
//!                                             ^ put Bulk may take: up to the reserve
//!                                               log_append may take: half of the reserve too
//!                                               put Small may take: three quarters of it
//!                                               deletes and swap_head may take: all of it
//! ```
//!
//! RocksDB stops for good when a flush meets a full disk, so it must never come to that. Bytes
//! still in memory count as taken. The device is asked at most every 100 ms; in between, the
//! bytes written since are subtracted.

use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a measurement is believed.
const BELIEVED: Duration = Duration::from_millis(100);

/// The purpose of a request for room, hence its part of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Blocks: none of the reserve.
    Blocks,
    /// Log records: half of it, so that operations under way can end.
    Log,
    /// A commit's nodes: three quarters of it, for only a commit can free anything.
    Nodes,
}

/// The room on the device of one directory.
pub(crate) struct Space {
    dir: PathBuf,
    reserve_bytes: u64,
    measured: Mutex<Measured>,
}

struct Measured {
    at: Option<Instant>,
    free_bytes: u64,
}

impl Measured {
    fn is_fresh(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < BELIEVED)
    }
}

impl Space {
    pub(crate) fn new(dir: &Path, reserve_bytes: u64) -> Self {
        let measured = Mutex::new(Measured {
            at: None,
            free_bytes: 0,
        });
        Self {
            dir: dir.to_owned(),
            reserve_bytes,
            measured,
        }
    }

    /// Takes `bytes`, or fails with `StorageFull`.
    pub(crate) fn take(&self, claim: Claim, bytes: u64) -> io::Result<()> {
        let kept = match claim {
            Claim::Blocks => self.reserve_bytes,
            Claim::Log => self.reserve_bytes / 2,
            Claim::Nodes => self.reserve_bytes / 4,
        };
        let wanted = bytes.saturating_add(kept);
        let mut measured = self.measured.lock();
        // Measured anew before a refusal: room may have been freed since.
        if !measured.is_fresh() || measured.free_bytes < wanted {
            self.measure(&mut measured)?;
        }
        if measured.free_bytes < wanted {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Counted at once: the device shows these bytes only when they are written.
        measured.free_bytes -= bytes;
        Ok(())
    }

    /// What blocks may still take.
    pub(crate) fn available_bytes(&self) -> io::Result<u64> {
        let mut measured = self.measured.lock();
        if !measured.is_fresh() {
            self.measure(&mut measured)?;
        }
        Ok(measured.free_bytes.saturating_sub(self.reserve_bytes))
    }

    /// Believes nothing that was measured before.
    pub(crate) fn measure_anew(&self) {
        self.measured.lock().at = None;
    }

    fn measure(&self, measured: &mut Measured) -> io::Result<()> {
        measured.free_bytes = self.free_bytes()?;
        measured.at = Some(Instant::now());
        Ok(())
    }

    /// What the directory's own files occupy.
    pub(crate) fn used_bytes(&self) -> io::Result<u64> {
        crate::pack::used_bytes(&self.dir)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_closed_to_blocks_and_opens_to_the_log_and_to_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let free = Space::new(dir.path(), 0).free_bytes().unwrap();
        let takes = |reserve, claim| Space::new(dir.path(), reserve).take(claim, 1).is_ok();
        let claims = |reserve| [Claim::Blocks, Claim::Log, Claim::Nodes].map(|claim| takes(reserve, claim));
        assert_eq!(claims(free / 2), [true, true, true]);
        assert_eq!(claims(free + free / 2), [false, true, true]);
        assert_eq!(claims(3 * free), [false, false, true]);
        assert_eq!(claims(5 * free), [false, false, false]);
    }
}
