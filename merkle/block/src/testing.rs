//! Common parts of every crate's tests: the contracts of stores and anchors, and ones that fail
//! on demand.

mod anchor;
mod contract;
mod crash;
mod fault;

pub use anchor::{MemoryAnchor, MemoryInstance, Mood, anchor_contract};
pub use contract::store_contract;
pub use crash::{CrashImage, CrashStore};
pub use fault::{FaultStore, Op, Tamper};
