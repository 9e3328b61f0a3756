//! A span for each request: what was asked, of which inode, by which process, and how long it took.
//!
//! `RUST_LOG=cairn_fs::request=debug` has each one written when it ends. A request that goes on on
//! another thread takes its span along ([`super::pool`]). Nothing is made while no log wants it.

use fuser::{INodeNo, Request};
use tracing::span::EnteredSpan;

/// Where the log's filter finds them.
const TARGET: &str = "cairn_fs::request";

/// Begins a request.
pub(super) fn span(what: &'static str, request: &Request, node: INodeNo) -> EnteredSpan {
    tracing::debug_span!(target: TARGET, "request", what, ino = node.0, pid = request.pid()).entered()
}
