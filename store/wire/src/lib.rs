//! The line between Cairn and its store: what one process asks, and another answers.
//!
//! ```text
//!   engine --> Client: Blocks, Log, Heads                    Server --> any BlockStore
//!                `-- pool: lanes of a session --socket--> lane: request by request
//!                       request, answer, hello: what frames mean
//!                       frame: 64 bytes, fields, payload
//! ```
//!
//! The bytes are in `docs/store-protocol.md`.
//!
//! **Invariant:** no key, no cipher, no file and no path lies here. Both sides treat the other as
//! hostile: the client because the store is outside, the server because it keeps the volumes of
//! others.

pub mod answer;
mod client;
mod error;
pub mod failure;
pub mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod hand;
pub mod hello;
pub mod names;
mod random;
pub mod request;
mod server;
mod socket;

pub use client::{Client, ClientOptions, Connect};
pub use error::WireError;
pub use failure::{Code, Failure};
pub use hello::Access;
pub use server::{Server, ServerOptions, Volumes};
pub use socket::Socket;
