//! How large every workload is: one table per depth, so that two runs of one depth compare.
//!
//! `full` has the sizes of the issues (and of the older `perf.py`), `quick` answers in minutes,
//! `tiny` only shows that a workload runs.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Bytes in a MiB.
pub(crate) const MIB: u64 = 1 << 20;

/// How thorough a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Depth {
    /// Seconds: shows that everything runs; the figures mean nothing
    Tiny,
    /// Below three minutes
    Quick,
    /// The sizes that the targets are stated for
    Full,
}

/// Sizes of all workloads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    /// The file that is streamed.
    pub(crate) stream_mib: u64,
    /// The file of random access.
    pub(crate) random_mib: u64,
    /// The file that is larger than what caches of indexes like.
    pub(crate) big_mib: u64,
    /// Longest time of a random access workload.
    pub(crate) runtime_ms: u64,
    /// Small files.
    pub(crate) files: u64,
    /// Directories they are spread over.
    pub(crate) dirs: u64,
    /// Files of the generated source tree.
    pub(crate) tree_files: u64,
    /// SQLite transactions with a write-ahead log.
    pub(crate) wal_transactions: u64,
    /// SQLite transactions with a rollback journal.
    pub(crate) delete_transactions: u64,
    /// pgbench's scale factor.
    pub(crate) postgres_scale: u64,
    /// pgbench's duration.
    pub(crate) postgres_s: u64,
    /// Files of the large tree.
    pub(crate) scale_files: u64,
    /// Files of the large directory.
    pub(crate) flat_files: u64,
    /// Files of the small tree and directory that the large ones are compared with.
    pub(crate) base_files: u64,
    /// Write + fsync operations where a rate at fixed count is wanted.
    pub(crate) fsyncs: u64,
    /// Snapshots taken under load.
    pub(crate) snapshots: u64,
    /// Duration of the open-loop writer that looks for pauses.
    pub(crate) pause_s: u64,
    /// The file that is written over and over while versions are published, and for how long at
    /// each pace.
    #[serde(default)]
    pub(crate) publish_mib: u64,
    #[serde(default)]
    pub(crate) publish_s: u64,
    /// Duration of the sustained load.
    pub(crate) sustained_s: u64,
    /// The disk that is filled to nine tenths.
    pub(crate) fill_mib: u64,
    /// Longest time a workload may take on one system.
    pub(crate) timeout_s: u64,
}

impl Depth {
    /// The table of this depth.
    pub(crate) fn sizes(self) -> Sizes {
        match self {
            Self::Full => FULL,
            Self::Quick => QUICK,
            Self::Tiny => TINY,
        }
    }

    /// Rounds unless told otherwise: the least that shows a spread, and a median that one outlier
    /// cannot move.
    pub(crate) fn rounds(self) -> u32 {
        match self {
            Self::Full => 3,
            Self::Quick => 2,
            Self::Tiny => 1,
        }
    }

    /// Time after which no further workload is started, unless told otherwise.
    pub(crate) fn budget_s(self) -> Option<u64> {
        // Less than three minutes: the cell that has begun by then runs to its end.
        (self == Self::Quick).then_some(165)
    }

    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Tiny => "tiny",
        }
    }
}

const FULL: Sizes = Sizes {
    stream_mib: 1024,
    random_mib: 256,
    big_mib: 4096,
    runtime_ms: 10_000,
    files: 10_000,
    dirs: 100,
    tree_files: 10_000,
    wal_transactions: 2000,
    delete_transactions: 500,
    postgres_scale: 10,
    postgres_s: 20,
    scale_files: 1_000_000,
    flat_files: 200_000,
    base_files: 10_000,
    fsyncs: 5000,
    snapshots: 100,
    pause_s: 30,
    publish_mib: 2048,
    publish_s: 60,
    sustained_s: 600,
    fill_mib: 4096,
    timeout_s: 900,
};

const QUICK: Sizes = Sizes {
    stream_mib: 128,
    random_mib: 32,
    big_mib: 256,
    runtime_ms: 500,
    files: 1000,
    dirs: 10,
    tree_files: 500,
    wal_transactions: 200,
    delete_transactions: 50,
    postgres_scale: 1,
    postgres_s: 3,
    scale_files: 20_000,
    flat_files: 10_000,
    base_files: 1000,
    fsyncs: 500,
    snapshots: 10,
    pause_s: 6,
    publish_mib: 128,
    publish_s: 15,
    sustained_s: 10,
    fill_mib: 512,
    timeout_s: 60,
};

const TINY: Sizes = Sizes {
    stream_mib: 8,
    random_mib: 4,
    big_mib: 8,
    runtime_ms: 100,
    files: 100,
    dirs: 4,
    tree_files: 60,
    wal_transactions: 10,
    delete_transactions: 5,
    postgres_scale: 1,
    postgres_s: 1,
    scale_files: 1000,
    flat_files: 500,
    base_files: 100,
    fsyncs: 20,
    snapshots: 3,
    pause_s: 1,
    publish_mib: 8,
    publish_s: 1,
    sustained_s: 2,
    fill_mib: 256,
    timeout_s: 60,
};
