//! Inodes, directories, files, epochs, the intent log and caches: the filesystem, without a mount.
//!
//! ```text
//!  kernel --fuse--> Operations --> Engine --+-- names, attr, file   change the open epoch
//!                                           |-- intent              what fsync makes durable at once
//!                                           |-- freeze, commit      the open epoch becomes the tree
//!                                           |-- snapshot            versions that are kept
//!                                           |-- publication, held   versions that are published, and stay whole
//!                                           `-- recover, check      after a crash, and for certainty
//! ```
//!
//! The crate knows no RocksDB, and its engine no time of day: blocks go through [`cairn_merkle::BlockStore`], times come with each call.

mod blocks;
mod check;
mod commit;
mod content;
mod damage;
mod data;
mod engine;
mod errno;
mod error;
#[cfg(test)]
mod fixture;
mod format;
mod freeze;
mod fuse;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod held;
mod log;
mod losses;
mod moved;
mod namespace;
mod operations;
mod proof;
mod publication;
mod recover;
mod repair;
mod snapshot;
mod state;
mod status;
mod stored;
mod types;

pub use check::{CheckProgress, CheckReport, Damage};
pub use damage::{DamagedTable, KnownDamage, Note, Notes, Table};
pub use engine::{Config, Engine, Quota};
pub use error::{Error, Result};
pub use format::{format, rekey};
pub use freeze::Closed;
pub use fuse::{Mount, MountFlag, MountOptions, Operations, Unmounter, mount};
pub use log::buffer::SyncDone;
pub use proof::{Absence, Finding, Outcome, PROVEN_CONTENT_MAX, prove, verify_proof};
pub use publication::{Pin, Prepared, Standing};
pub use recover::{LogLoss, Opening};
pub use repair::RepairReport;
pub use status::Status;
pub use stored::repairs::{Gone, Loss, Repaired};
pub use types::*;
