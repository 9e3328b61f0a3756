//! The seam between the trusted side and the place of sealed blocks.
//!
//! ```text
//!   Blocks   put ---> (not durable) ---> sync       get, list, fresh, ...
//!   Log      log_append ---> durable on return      log_mark ---> beside it, durable some time
//!   Heads    swap_head: the one atomic, durable step of a commit
//!               |-- new head (and header), and its twin
//!               |-- deletes what the commit dropped
//!               |-- settles what was put up to its epoch
//!               `-- trims the log it makes redundant
//! ```
//!
//! Every method may be called from many threads. No answer of a store is believed: blocks are
//! checked against their [`Cid`](crate::Cid), and heads, headers and log records carry their own
//! authentication.
//!
//! **Invariant:** no implementation needs a key.

use crate::{Blocks, Heads, Log};

/// A content-addressed store of sealed blocks with a log and a head: what has all three parts is
/// one.
pub trait BlockStore: Blocks + Log + Heads {}

impl<S: Blocks + Log + Heads + ?Sized> BlockStore for S {}
