//! Threads for requests that wait: syncs, cold reads, long copies.
//!
//! ```text
//! session thread -- small, in memory --> answers itself (a hop to another CPU costs 35 to 95 us)
//!       |
//!       `---------- may wait ----------> queue --> pool thread --> answers
//! ```
//!
//! The queue needs no bound of its own: every job is one request, and the kernel bounds those.

use crossbeam_channel::{Sender, unbounded};
use std::{
    io,
    thread::{self, JoinHandle},
};
use tracing::Span;

type Job = Box<dyn FnOnce() + Send>;

/// A few threads and the queue they share. Dropping it finishes what is queued.
pub(super) struct Pool {
    queue: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `count` threads, one at least.
    pub(super) fn start(name: &str, count: usize) -> io::Result<Self> {
        let (queue, jobs) = unbounded::<Job>();
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let jobs = jobs.clone();
            let work = move || jobs.iter().for_each(|job| job());
            threads.push(
                thread::Builder::new()
                    .name(format!("{name}-{number}"))
                    .spawn(work)?,
            );
        }
        Ok(Self {
            queue: Some(queue),
            threads,
        })
    }

    /// Runs `job` on one of the threads. A job that cannot run any more is dropped, and the reply
    /// it holds then tells the kernel EIO.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(queue) = &self.queue {
            let span = Span::current();
            let _ = queue.send(Box::new(move || span.in_scope(job)));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    #[test]
    fn dropping_a_pool_finishes_what_is_queued() {
        let done = Arc::new(AtomicU32::new(0));
        let pool = Pool::start("test", 2).unwrap();
        for _ in 0..100 {
            let done = Arc::clone(&done);
            pool.run(move || {
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        drop(pool);
        assert_eq!(done.load(Ordering::Relaxed), 100);
    }
}
