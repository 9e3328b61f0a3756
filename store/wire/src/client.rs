//! A store on the other side of a socket.
//!
//! ```text
//!   Blocks, Log, Heads --call, on the caller's thread--> idle lane: send, wait, read the answer
//!                                                  `-- broken, late, senseless? session lost: hello anew, send again
//!   put --> answered --> kept until written on the other side --another incarnation?--> put again
//! ```
//!
//! Each caller has a lane to itself for as long as its request takes. So no thread stands between
//! the caller and the socket, and one wait covers the whole way.
//!
//! - *Nothing acknowledged is lost:* blocks that were put, but not yet written when the server was
//!   killed, are kept here and put again before any other request is sent.
//! - *Everything may be sent twice.* The server ends a session before it welcomes the next, so a
//!   late request of the old one cannot overtake.
//! - *No answer is believed.* It has the shape, size and order that was asked for, or the session
//!   is lost. Hashes and tags are the caller's to check.
//!
//! Locks: those of `Kept` and of the pool are never held together. Only a new session that puts again
//! holds one, that of `Kept`, while it waits for answers.

mod base;
mod blocks;
mod connect;
mod heads;
mod kept;
mod lane;
mod log;
mod pool;
mod sizes;

pub use base::{Client, ClientOptions};
pub use connect::Connect;
