//! One independent definition of what a filesystem does, and the machinery to hold the engine
//! against it.
//!
//! ```text
//!  Dice(seed) --> Op --> Runner --> cairn_fs::Engine over a CrashStore --dump--> Tree --.
//!                           |                                                          equal?
//!                           `-----> Model (plain maps and bytes) --------dump--> Tree --'
//!                           `-----> History: which trees a power cut may leave
//! ```
//!
//! Nothing here reads a clock or draws randomness but through a seed, so a failure prints what
//! replays it.

pub mod doctored;
pub mod history;
pub mod model;
pub mod on_disk;
pub mod op;
pub mod published;
pub mod run;
pub mod sample;
pub mod script;
pub mod tree;
pub mod various;
pub mod volume;
pub mod watched;

mod compare;
mod cut;
mod replay;

pub use cut::cut_everywhere;
pub use replay::replay;
