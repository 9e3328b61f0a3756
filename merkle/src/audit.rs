//! Verifies a whole version without a key: every hash, every link, nothing missing.
//!
//! ```text
//!            .--> worker: get 8 blocks, hash them, read the links of nodes --.
//!  frontier -+--> worker                                                     +--> counts, faults
//!     ^      `--> worker                                                     |
//!     `---------------------------- links -----------------------------------'
//! ```
//!
//! All workers do the same: take up to eight links of the newest node, and give back the links
//! they found. There are more workers than processors, so some wait for the disk while others
//! hash: that is the read-ahead. Memory does not grow with the volume ([`crate::walk`] has the
//! bounds): a worker holds at most eight blocks at a time.
//!
//! **Invariant:** a fault ends nothing but the walk below the faulty block; only a store that
//! fails ends the audit.

use crate::walk::{BlockFault, Flaw, Frontier, Job, Seen, examine, fetch, fetch_root, links_of};
use crate::{BlockStore, Cid, Codec, StoreError, clear};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

/// Faults named one by one; a version with more is beyond naming.
const FAULTS_MAX: usize = 10_000;
/// Names remembered, in 36 MB: blocks of 128 GiB in records of the default size.
const SEEN_MAX: usize = 1 << 20;

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The commit block it began at.
    pub root: Cid,
    /// What that says of itself, if it is there and whole.
    pub commit: Option<clear::CommitInfo>,
    /// Leaves that are what they should be.
    pub leaves: u64,
    /// Nodes that are what they should be, the commit block included.
    pub nodes: u64,
    /// Stored bytes of both.
    pub bytes: u64,
    /// Whether each block was counted once. In a version of more than a million blocks, shared ones
    /// are visited, and counted, once for each parent.
    pub distinct: bool,
    /// Blocks that are not, in no order; of more than ten thousand, some.
    pub faults: Vec<BlockFault>,
    /// How many there are.
    pub fault_count: u64,
}

/// How far an audit is: blocks and bytes verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditProgress {
    /// Blocks verified.
    pub blocks: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

/// Verifies all that the commit block `root` leads to, with this many threads; [`threads`] says how
/// many are good.
///
/// # Errors
/// Only what the store failed with. What is missing or altered is in the report.
pub fn audit(
    store: &dyn BlockStore,
    root: Cid,
    threads: usize,
    progress: &(dyn Fn(AuditProgress) + Sync),
) -> Result<AuditReport, StoreError> {
    let audit = Audit {
        store,
        progress,
        shared: Mutex::new(Shared {
            frontier: Frontier::default(),
            seen: Seen::new(SEEN_MAX),
            seen_count: 0,
            busy: 0,
            failed: None,
            report: AuditReport {
                root,
                commit: None,
                leaves: 0,
                nodes: 0,
                bytes: 0,
                distinct: true,
                faults: Vec::new(),
                fault_count: 0,
            },
        }),
        changed: Condvar::new(),
    };
    audit.begin(root)?;
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(|| audit.work());
        }
        audit.work();
    });
    let shared = audit.shared.into_inner();
    match shared.failed {
        Some(error) => Err(error),
        None => Ok(shared.report),
    }
}

/// Threads for an audit: two for each processor, so that one waits for the disk while the other
/// hashes.
pub fn threads() -> usize {
    2 * std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(16)
}

struct Audit<'a> {
    store: &'a dyn BlockStore,
    progress: &'a (dyn Fn(AuditProgress) + Sync),
    shared: Mutex<Shared>,
    /// There is something to do, or nothing any more.
    changed: Condvar,
}

struct Shared {
    frontier: Frontier,
    seen: Seen,
    seen_count: usize,
    /// Workers that may still find links.
    busy: usize,
    failed: Option<StoreError>,
    report: AuditReport,
}

/// What one job came to.
#[derive(Default)]
struct Outcome {
    leaves: u64,
    nodes: u64,
    bytes: u64,
    faults: Vec<BlockFault>,
    /// Nodes with their links, and the first that is to be served.
    found: Vec<(Cid, Vec<Cid>, usize)>,
}

impl Audit<'_> {
    /// The commit block, which alone may and must have the shape of one.
    fn begin(&self, root: Cid) -> Result<(), StoreError> {
        let stored = fetch_root(self.store, &[root])?.pop().flatten();
        let mut shared = self.shared.lock();
        shared.seen.insert(&root);
        let info = examine(&root, stored.as_ref()).and_then(|()| {
            clear::commit_info(&stored.clone().unwrap_or_default()).map_err(|_| Flaw::Malformed {
                why: "it is no commit block",
            })
        });
        match info {
            Ok(info) => {
                let outcome = Outcome {
                    nodes: 1,
                    bytes: stored.map_or(0, |stored| stored.len() as u64),
                    found: vec![(root, info.links.clone(), 0)],
                    ..Outcome::default()
                };
                shared.report.commit = Some(info);
                shared.merge(outcome);
            }
            Err(flaw) => shared.fault(BlockFault {
                cid: root,
                parent: None,
                flaw,
            }),
        }
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            let done = self.run(job);
            let mut shared = self.shared.lock();
            shared.busy -= 1;
            match done {
                Ok(outcome) => shared.merge(outcome),
                Err(error) => shared.failed = Some(error),
            }
            let (blocks, bytes) = (shared.report.leaves + shared.report.nodes, shared.report.bytes);
            drop(shared);
            self.changed.notify_all();
            (self.progress)(AuditProgress { blocks, bytes });
        }
    }

    /// Waits for something to do; `None` when all is done.
    fn next(&self) -> Option<Job> {
        let mut shared = self.shared.lock();
        loop {
            if shared.failed.is_some() {
                return None;
            }
            if let Some(job) = shared.job() {
                shared.busy += 1;
                return Some(job);
            }
            if shared.busy == 0 {
                return None;
            }
            self.changed.wait(&mut shared);
        }
    }

    fn run(&self, job: Job) -> Result<Outcome, StoreError> {
        let mut outcome = Outcome::default();
        match job {
            Job::Visit { parent, cids } => {
                for (cid, stored) in cids.iter().zip(fetch(self.store, &cids)?) {
                    outcome.visit(*cid, Some(parent), stored.as_ref(), 0);
                }
            }
            Job::Reload { node, next } => {
                let stored = self.store.get(&node)?;
                outcome.visit(node, None, stored.as_ref(), next);
                // It was counted when it was first read.
                (outcome.nodes, outcome.bytes) = (0, 0);
            }
        }
        Ok(outcome)
    }
}

impl Outcome {
    fn visit(&mut self, cid: Cid, parent: Option<Cid>, stored: Option<&Bytes>, next: usize) {
        let links = examine(&cid, stored).and_then(|()| match (cid.codec(), stored) {
            (Codec::Node, Some(stored)) => links_of(stored).map(Some),
            _ => Ok(None),
        });
        match links {
            Ok(None) => self.leaves += 1,
            Ok(Some(links)) => {
                self.nodes += 1;
                self.found.push((cid, links, next));
            }
            Err(flaw) => return self.faults.push(BlockFault { cid, parent, flaw }),
        }
        self.bytes += stored.map_or(0, |stored| stored.len() as u64);
    }
}

impl Shared {
    /// The next job, without what was visited before.
    fn job(&mut self) -> Option<Job> {
        loop {
            match self.frontier.pop()? {
                Job::Visit { parent, mut cids } => {
                    cids.retain(|cid| self.seen.insert(cid));
                    if !cids.is_empty() {
                        self.seen_count += cids.len();
                        self.report.distinct = self.seen_count < SEEN_MAX;
                        return Some(Job::Visit { parent, cids });
                    }
                }
                reload => return Some(reload),
            }
        }
    }

    fn merge(&mut self, outcome: Outcome) {
        self.report.leaves += outcome.leaves;
        self.report.nodes += outcome.nodes;
        self.report.bytes += outcome.bytes;
        outcome.faults.into_iter().for_each(|fault| self.fault(fault));
        // The newest frame is served first, so the first node goes in last.
        for (cid, links, next) in outcome.found.into_iter().rev() {
            if let Err(flaw) = self.frontier.push(cid, links, next) {
                let parent = None;
                self.fault(BlockFault { cid, parent, flaw });
            }
        }
    }

    fn fault(&mut self, fault: BlockFault) {
        self.report.fault_count += 1;
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests;
