//! Nodes that will be wanted, read and opened on a thread of their own.
//!
//! ```text
//!   node_among: second node of a set of siblings --ask--> queue --> thread: get_many, verify, open --> cache
//!                   `-- goes on with its own node
//! ```
//!
//! A large directory's nodes lie where the commits that wrote them put them, and its names are in
//! no order that a user knows: to read and open them takes longer than what is asked of each.
//! Another CPU does it meanwhile.
//!
//! **Invariant:** a set is asked for once, until many others were: what the cache did not keep is
//! not read over and over.

use super::cache::{OpenedCache, read_missing};
use cairn_merkle::{BlockStore, Cid, Link};
use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};

/// Nodes read in one go: few enough that the caller finds the first of them soon, and enough for
/// the device to read many at once.
const CHUNK: usize = 64;
/// Sets that wait to be read.
const QUEUED: usize = 16;
/// Sets that are remembered.
const REMEMBERED: usize = 256;

enum Job {
    Read(Vec<Link>),
    /// Answers once all before it is done.
    #[cfg(test)]
    Barrier(Sender<()>),
}

/// The thread and its queue. Dropping it ends them.
pub(super) struct Ahead {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// First names of the sets that were asked for, the newest at the end.
    asked: Mutex<VecDeque<Cid>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Sets that are queued or being read.
    waiting: AtomicUsize,
    ending: AtomicBool,
}

impl Ahead {
    /// Without a thread (none can be had) nothing is read ahead.
    pub(super) fn start(store: Arc<dyn BlockStore>, cache: Arc<OpenedCache>) -> Self {
        let (queue, jobs) = bounded(QUEUED);
        let shared = Arc::new(Shared::default());
        let at_work = Arc::clone(&shared);
        let work = move || {
            for job in jobs {
                match job {
                    Job::Read(links) => {
                        for chunk in links.chunks(CHUNK) {
                            if !at_work.ending.load(Relaxed) {
                                read_missing(&*store, &cache, chunk);
                            }
                        }
                        at_work.waiting.fetch_sub(1, Relaxed);
                    }
                    #[cfg(test)]
                    Job::Barrier(done) => drop(done.send(())),
                }
            }
        };
        let thread = Builder::new().name("cairn-nodes".into()).spawn(work);
        Self {
            queue: thread.is_ok().then_some(queue),
            thread: thread.ok(),
            asked: Mutex::default(),
            shared,
        }
    }

    /// Has a set of siblings read, beginning with those at `from`, unless it was not long ago.
    /// Answers whether the thread is at work.
    pub(super) fn ask(&self, siblings: &[Link], from: usize) -> bool {
        if let (Some(queue), Some(first)) = (&self.queue, siblings.first()) {
            let mut asked = self.asked.lock();
            if !asked.contains(&first.cid) {
                let (before, after) = siblings.split_at(from);
                self.shared.waiting.fetch_add(1, Relaxed);
                match queue.try_send(Job::Read([after, before].concat())) {
                    Ok(()) => asked.push_back(first.cid),
                    Err(_) => drop(self.shared.waiting.fetch_sub(1, Relaxed)),
                }
                if asked.len() > REMEMBERED {
                    asked.pop_front();
                }
            }
        }
        self.shared.waiting.load(Relaxed) > 0
    }

    /// Waits until all that was asked for is done.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let (done, is_done) = bounded(1);
        let queue = self.queue.as_ref().expect("there is a thread");
        queue.send(Job::Barrier(done)).unwrap();
        is_done.recv().unwrap();
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.ending.store(true, Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
