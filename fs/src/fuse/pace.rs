//! Whether requests of a kind are quick enough to be answered on the thread that was asked.
//!
//! ```text
//!   request --newest was quick, none waits--> here: no hop to another thread, which takes as long
//!           --else--------------------------> Pool, or the log's own thread
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Slower requests go to another thread.
const QUICK_MAX: Duration = Duration::from_millis(1);

/// How long the newest request of one kind took. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    slow: Arc<AtomicBool>,
}

impl Pace {
    pub(super) fn is_quick(&self) -> bool {
        !self.slow.load(Relaxed)
    }

    /// Notes that a request which began then has been done.
    pub(super) fn done_since(&self, begun: Instant) {
        self.slow.store(begun.elapsed() > QUICK_MAX, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_request_counts() {
        let pace = Pace::default();
        assert!(pace.is_quick());
        let long_ago = Instant::now().checked_sub(2 * QUICK_MAX).expect("the clock runs");
        pace.clone().done_since(long_ago);
        assert!(!pace.is_quick());
        // Of the future, so that no pause of this thread makes it slow.
        pace.done_since(Instant::now() + Duration::from_secs(3600));
        assert!(pace.is_quick());
    }
}
