//! Verification, with and without the key: audits, exports and imports, proofs, and volumes read from a CAR.
//!
//! ```text
//!  a store directory, or a CAR (over other CARs) --Place--> blocks, and the root of one version
//!     |-- audit, export, import     no key: names, hashes, clear links
//!     |-- prove                     with the key
//!     `-- check, ls, cat, mount     with the key, of a version that is not the newest, or from a CAR
//!  a proof --verify-proof--> what it shows       neither key nor blocks
//! ```
//!
//! **Invariant:** nothing here writes to what is verified; `import` alone writes, and only into a new store.

pub(crate) mod args;
mod audit;
mod export;
mod import;
mod place;
mod prove;

pub(crate) use audit::{AuditOutcome, Worst, audit, audit_words};
pub(crate) use export::export;
pub(crate) use import::import;
pub(crate) use place::{Place, with_version};
pub(crate) use prove::{prove, verify_proof};
