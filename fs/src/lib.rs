//! Inodes, directories, files, epochs, the intent log and caches: the filesystem, without a mount.
//!
//! ```text
//!  kernel --fuse--> Operations --> Engine --+-- namespace, data     change the open epoch
//!                                           |-- log                 what fsync makes durable at once
//!                                           |-- commit              the open epoch becomes the tree
//!                                           |-- versions            versions that are kept or published
//!                                           `-- life, check, repair after a crash, and for certainty
//! ```
//!
//! The crate knows no RocksDB, and its engine no time of day: blocks go through
//! [`cairn_merkle::BlockStore`], times come with each call.

mod blocks;
mod check;
mod commit;
mod config;
mod damage;
mod data;
mod engine;
mod errno;
mod error;
mod facade;
#[cfg(test)]
mod fixture;
mod fuse;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod life;
mod log;
mod machine;
mod namespace;
mod operations;
mod repair;
mod state;
mod stored;
mod time;
mod types;
mod versions;

pub use check::{CheckProgress, CheckReport, Damage};
pub use commit::epoch::Closed;
pub use config::{Config, Quota};
pub use damage::{DamagedTable, KnownDamage, Note, Notes, Table};
pub use engine::Engine;
pub use error::{Error, LogLoss, Result};
pub use fuse::{KernelMemory, Mount, MountFlag, MountOptions, Unmounter, Watchful, mount};
pub use life::format::{format, format_on, rekey};
pub use life::open::Opening;
pub use life::status::Status;
pub use machine::{Clock, Machine, Random};
pub use operations::{Operations, SyncDone};
pub use repair::RepairReport;
pub use stored::repairs::{Gone, Loss, Repaired};
pub use time::Time;
pub use types::*;
pub use versions::diff::{Difference, Differs};
pub use versions::kept::Newest;
pub use versions::proof::{Absence, Finding, Outcome, PROVEN_CONTENT_MAX, prove, verify_proof};
pub use versions::publication::Pin;
pub use versions::standing::{Prepared, Standing};
