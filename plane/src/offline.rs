//! Volumes that are not mounted: made, looked into, verified, with and without the key: audits,
//! exports and imports, proofs, and volumes read from a CAR.
//!
//! ```text
//!  a store directory, or a CAR (over other CARs) --Place--> blocks, and the root of one version
//!     |-- audit, export, import     no key: names, hashes, clear links
//!     |-- prove                     with the key
//!     `-- check, ls, cat, mount     with the key, of a version that is not the newest, or from a CAR
//!  a proof --verify-proof--> what it shows       neither key nor blocks
//! ```
//!
//! **Invariant:** what verifies never writes; `import` writes only into a new store.

mod audit;
pub(crate) mod check;
pub(crate) mod cipher;
pub(crate) mod commands;
mod create;
mod export;
mod import;
pub(crate) mod key;
mod new_store;
pub(crate) mod place;
mod prove;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod tree;
mod unfinished;
pub(crate) mod volume;

pub(crate) use audit::{AuditOutcome, Worst, audit, audit_words};
pub(crate) use export::export;
pub(crate) use import::import;
pub(crate) use place::{Place, with_version};
pub(crate) use prove::{prove, verify_proof};
