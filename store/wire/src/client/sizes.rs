//! What the server said of its sizes, believed for a moment.
//!
//! Every write asks how much room there is, with a lock in hand. A question to the server each time
//! would cost more than the write.

use cairn_block::StoreStats;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// As long as a store itself believes what it measured.
const BELIEVED: Duration = Duration::from_millis(100);

/// Sizes, and when they were asked for.
#[derive(Default)]
pub(super) struct Sizes(Mutex<Option<(Instant, StoreStats)>>);

impl Sizes {
    /// The sizes of a moment ago.
    pub(super) fn get(&self) -> Option<StoreStats> {
        let known = *self.0.lock();
        known
            .filter(|(at, _)| at.elapsed() < BELIEVED)
            .map(|(_, stats)| stats)
    }

    /// What the server says.
    pub(super) fn set(&self, stats: StoreStats) {
        *self.0.lock() = Some((Instant::now(), stats));
    }

    /// So many bytes were put since.
    pub(super) fn take(&self, bytes: usize) {
        if let Some((_, stats)) = &mut *self.0.lock() {
            stats.available_bytes = stats.available_bytes.saturating_sub(bytes as u64);
        }
    }

    /// The sizes changed by more than is counted here.
    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_counted_at_once() {
        let sizes = Sizes::default();
        assert_eq!(sizes.get(), None);
        let stats = StoreStats {
            available_bytes: 100,
            ..StoreStats::default()
        };
        sizes.set(stats);
        sizes.take(30);
        // Some time may have passed.
        assert!(sizes.get().is_none_or(|stats| stats.available_bytes == 70));
        sizes.take(300);
        assert!(sizes.get().is_none_or(|stats| stats.available_bytes == 0));
        sizes.forget();
        assert_eq!(sizes.get(), None);
    }
}
