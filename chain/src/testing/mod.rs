//! A chain of one's own, and endpoints that lie about it. For tests here and in other crates.

mod anvil;
mod liar;
mod setup;

pub use anvil::{Anvil, FAST};
pub use liar::{Liar, Lie};
pub use setup::{BOND, GRACE, MIN_FUNDING, STAKE, Setup, WINDOW, within};
