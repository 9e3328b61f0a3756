//! Jobs of any size on a few threads: a free thread takes the next job.

use crate::Result;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Does all jobs on as many as `workers` threads, in order but for what runs side by side.
///
/// # Errors
/// One of those that the jobs ended with. A thread takes no more after one; the others go on.
pub(crate) fn spread<Job: Sync>(
    jobs: &[Job],
    workers: usize,
    work: &(dyn Fn(&Job) -> Result<()> + Sync),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let take_turns = || -> Result<()> {
        while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)) {
            work(job)?;
        }
        Ok(())
    };
    let threads = workers.clamp(1, jobs.len().max(1));
    if threads == 1 {
        return take_turns();
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(take_turns)).collect();
        let results = running
            .into_iter()
            .map(|thread| thread.join().expect("no job panics"));
        results.collect::<Result<Vec<()>>>().map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use parking_lot::Mutex;
    use std::collections::BTreeSet;

    #[test]
    fn each_job_is_done_once_and_an_error_is_told() {
        for workers in 0..4 {
            let jobs: Vec<u32> = (0..100).collect();
            let done = Mutex::new(BTreeSet::new());
            let note = |job: &u32| {
                assert!(done.lock().insert(*job), "{job} a second time");
                Ok(())
            };
            spread(&jobs, workers, &note).expect("no job fails");
            assert_eq!(done.lock().len(), jobs.len());
            let refuse = |job: &u32| if *job == 50 { Err(Error::NoSpace) } else { Ok(()) };
            assert!(spread(&jobs, workers, &refuse).is_err());
        }
    }
}
