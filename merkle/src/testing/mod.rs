//! Common parts of every crate's tests: the contract of a store, stores that fail on demand,
//! replayable randomness.

mod anchor;
mod contract;
mod crash;
mod fault;
mod random;
mod sample;

pub use anchor::{MemoryAnchor, MemoryInstance, Mood, anchor_contract};
pub use contract::store_contract;
pub use crash::{CrashImage, CrashStore};
pub use fault::{FaultStore, Op, Tamper};
pub use random::TestRng;
pub use sample::Sample;
