//! Versions that are named: snapshots, and what an anchor publishes.

pub(crate) mod proof;
pub(crate) mod publication;
pub(crate) mod snapshot;
pub(crate) mod snapshots;
pub(crate) mod standing;
