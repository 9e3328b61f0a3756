//! Common parts of every crate's tests: those of `cairn-block`, replayable randomness, and a
//! volume of one commit.

mod random;
mod sample;

pub use cairn_block::testing::*;
pub use random::TestRng;
pub use sample::Sample;
