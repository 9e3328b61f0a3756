//! Serves stores to clients over sockets.
//!
//! ```text
//!   socket --> lane (a thread): greeting --> session, of a volume
//!                  `-- request by request: decode --> perform --> answer, in order
//!   Hello to write --> lease: one client at a time; who holds it takes it over, and its old session ends
//! ```
//!
//! A lane takes one request at a time, on the thread that read it: no hop between threads, and a
//! queue that is no longer than the socket's own. What is to run beside goes over another lane.
//!
//! - *A session that is over carries nothing out:* its lanes are cut, and whatever one of them has
//!   in hand ends before the next session is welcomed. So no late request reaches the store behind
//!   one that was sent again.
//! - *Nothing here is for the client's safety.* The client believes no answer. The checks protect
//!   the server and the volumes of others.
//!
//! Lock order: a volume's lease, then `sessions`, then a session's state.

mod base;
mod lane;
mod perform;
mod session;

pub use base::{Server, ServerOptions, Volumes};
