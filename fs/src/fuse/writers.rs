//! Which files may have dirty pages in the kernel: those that somebody has open for writing.

use fuser::INodeNo;
use std::sync::atomic::{AtomicU32, Ordering};

const SLOTS: usize = 1024;

/// Counts handles open for writing, by inode number modulo 1024. Two files that share a slot cost a needless
/// flush and never a missed one; in return there is no lock and no growth.
pub(super) struct Writers(Box<[AtomicU32]>);

impl Writers {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn opened(&self, ino: INodeNo) {
        self.slot(ino).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self, ino: INodeNo) {
        self.slot(ino).fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn any(&self, ino: INodeNo) -> bool {
        self.slot(ino).load(Ordering::Relaxed) > 0
    }

    fn slot(&self, ino: INodeNo) -> &AtomicU32 {
        let slot = usize::try_from(ino.0 % SLOTS as u64).unwrap_or(0);
        &self.0[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_writers_until_the_last_one_closes() {
        let writers = Writers::new();
        let ino = INodeNo(u64::MAX);
        writers.opened(ino);
        writers.opened(ino);
        writers.closed(ino);
        assert!(writers.any(ino));
        writers.closed(ino);
        assert!(!writers.any(ino));
    }
}
