//! Versions that are named: snapshots, and what an anchor publishes.

mod alter;
pub(crate) mod diff;
pub(crate) mod kept;
pub(crate) mod proof;
pub(crate) mod publication;
mod rollback;
pub(crate) mod snapshot;
pub(crate) mod snapshots;
pub(crate) mod standing;
