//! Anchors a volume's root on chain, and reads it back through endpoints that need no trust.
//!
//! ```text
//!  Anchor (cairn-block)                            publisher's commands (plane)
//!      |                                                  |
//!  EthAnchor --goals--> settle --> purse (nonces, fees) --+--> contract, history --> view: a block k of n agree on
//!      |                   `------- is it final? ---------------------------------------'        |
//!  message + key: EIP-712, signed in the TEE                                        quorum --> rpc endpoints
//! ```
//!
//! **Invariant:** this crate never sees a block, a volume's key or a file of one. A statement of
//! an endpoint is believed only where enough of them make it of a final block. No answer of
//! theirs can take more memory or time than is set.

pub mod anchor;
#[rustfmt::skip]
pub mod bindings;
pub mod config;
pub mod contract;
pub mod create;
pub mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod history;
pub mod key;
pub mod message;
pub mod party;
pub mod purse;
pub mod quorum;
mod quoted;
pub mod revert;
pub mod rpc;
pub mod settle;
pub mod standing;
#[cfg(feature = "testing")]
pub mod testing;
pub mod view;
pub mod volume;

pub use anchor::EthAnchor;
pub use config::Config;
pub use contract::{Contract, Status, Track};
pub use error::{Error, Result};
pub use key::{Key, SignerProvider};
pub use party::Party;
pub use purse::Purse;
pub use quoted::quoted;
pub use standing::{Limits, Standing, Trouble, Watch};
pub use view::{Chain, Finality, View};
pub use volume::VolumeName;
