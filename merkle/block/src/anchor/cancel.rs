//! How a caller gives up a long wait.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// A wish to end, shared by waiters and by those that end them. Once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    /// One that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every wait.
    pub fn cancel(&self) {
        *self.0.set.lock() = true;
        self.0.changed.notify_all();
    }

    /// Whether to give up.
    pub fn is_cancelled(&self) -> bool {
        *self.0.set.lock()
    }

    /// Waits so long, or until it is set; answers whether it is. What polls calls this where it
    /// would sleep.
    pub fn wait(&self, time: Duration) -> bool {
        let mut set = self.0.set.lock();
        if !*set {
            self.0.changed.wait_while_for(&mut set, |set| !*set, time);
        }
        *set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_cancelled_and_every_later_one_at_once() {
        let cancel = Cancel::new();
        assert!(!cancel.is_cancelled() && !cancel.wait(Duration::ZERO));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cancel.wait(Duration::from_secs(3600)));
            cancel.clone().cancel();
            assert!(waiting.join().unwrap());
        });
        assert!(cancel.is_cancelled() && cancel.wait(Duration::from_secs(3600)));
    }
}
