//! What `check` tells.

use crate::report::repair::{GoneReport, RepairedReport};
use cairn_fs::RepairReport;
use serde::{Deserialize, Serialize};

/// What `check` found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CheckOutcome {
    /// What everything in the volume is sealed with.
    pub(crate) cipher: String,
    /// Blocks verified.
    pub(crate) blocks: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Blocks among them that the intent log names and no commit does.
    #[serde(default)]
    pub(crate) logged_blocks: u64,
    /// Files and directories seen.
    pub(crate) inodes: u64,
    /// Blocks nothing names.
    pub(crate) leaked_blocks: u64,
    /// What is not as it was written.
    pub(crate) damaged: Vec<DamagedPath>,
    /// How much more of that there is.
    #[serde(default)]
    pub(crate) damaged_more: u64,
    /// What repairs took away, in numbers.
    #[serde(default)]
    pub(crate) repaired: Option<RepairedReport>,
    /// The same one by one, oldest first.
    #[serde(default)]
    pub(crate) gone: Vec<GoneReport>,
}

/// One damaged path.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DamagedPath {
    /// From the volume's root.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) what: String,
    /// Whether a block is not there, rather than not what was written.
    #[serde(default)]
    pub(crate) missing: bool,
    /// Of a directory: how many of its names cannot be read.
    #[serde(default)]
    pub(crate) names: u64,
}

/// `check --repair`.
#[derive(Debug, Serialize)]
pub(crate) struct RepairOutcome {
    /// What it took away.
    pub(crate) gone: Vec<GoneReport>,
    /// Blocks freed that nothing named.
    pub(crate) freed_blocks: u64,
    /// A published version is damaged, and stays so.
    pub(crate) published_damaged: bool,
    /// The volume as it is now.
    pub(crate) check: CheckOutcome,
}

impl RepairOutcome {
    /// Of a repair that was done.
    pub(crate) fn new(repaired: RepairReport, check: CheckOutcome) -> Self {
        Self {
            gone: repaired.gone.iter().map(GoneReport::from).collect(),
            freed_blocks: repaired.freed_blocks,
            published_damaged: repaired.published_damaged,
            check,
        }
    }

    /// Of one that had nothing to do.
    pub(crate) fn nothing(check: CheckOutcome) -> Self {
        Self::new(RepairReport::default(), check)
    }
}
