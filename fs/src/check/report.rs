//! What a check tells.

use crate::stored::repairs::{Gone, Repaired};
use cairn_merkle::Suite;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Blocks verified.
    pub blocks_done: u64,
    /// Blocks in the store when the check began.
    pub blocks_total: u64,
}

/// A path that does not hold what was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// From the volume's root; within a snapshot, below `/.snapshots`; of a directory, with `/` at
    /// its end; of what is no path, in brackets.
    pub path: Vec<u8>,
    /// What is wrong.
    pub what: String,
    /// Whether a block is not there, rather than not what was written.
    pub missing: bool,
    /// Of a directory: how many of its names cannot be read.
    pub names: u64,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// What everything in the volume is sealed with.
    pub suite: Suite,
    /// Blocks verified, each counted once.
    pub blocks: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Blocks among them that the intent log names and no commit does; a mounted volume has
    /// committed before.
    pub logged_blocks: u64,
    /// Inodes of the live tree.
    pub inodes: u64,
    /// Paths that are not whole.
    pub damaged: Vec<Damage>,
    /// How many there are beyond those.
    pub damaged_more: u64,
    /// Blocks in the store that nothing names that can be read.
    pub leaked_blocks: u64,
    /// What repairs of this volume took away.
    pub repaired: Option<Repaired>,
    /// The same one by one, oldest first.
    pub gone: Vec<Gone>,
}

impl Damage {
    /// From what opening or reading `path` failed with.
    pub(crate) fn of(path: &[u8], error: &cairn_merkle::Error) -> Self {
        Self {
            path: path.to_vec(),
            what: error.to_string(),
            missing: matches!(error, cairn_merkle::Error::Missing { .. }),
            names: 0,
        }
    }
}

impl CheckReport {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }
}
