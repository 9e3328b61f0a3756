//! What a daemon lets its clients read of the volume it serves: sealed blocks by name, and, with the
//! key that only it has, listings, files and proofs.
//!
//! ```text
//!  client --one line: Wish--> daemon
//!         <--frames ... end mark, one line: done, or why not--
//!
//!  Wish::Blocks     <--Opened-- --up to eight names--> <--one answer each-- ... until the client closes
//!  Wish::List       <--entries, some hundred at a time--
//!  Wish::Copy       <--bytes of a file--
//!  Wish::Prove      <--Opened-- <--bytes of a proof--
//! ```
//!
//! Audits, exports and checks with a key run in the client, over [`client::ServedBlocks`]: to them
//! it is a store like any other. So the daemon does no more than a client asks for at the moment. A
//! client that goes away ends its work with its connection, and lets go of its version.
//!
//! **Invariant:** no key leaves the daemon, and nothing is allocated by a length that the other
//! side claims.

pub(crate) mod client;
mod frames;
pub(crate) mod server;
mod wish;

pub(crate) use wish::Wish;
