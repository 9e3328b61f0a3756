//! What the kernel is told of an inode, and how long it may keep it.
//!
//! ```text
//!   nothing but requests changes it ------------------> a day
//!   the next commit counts its blocks anew -----------> a second
//!   open for writing: the kernel holds bytes of it ---> a moment, or no time where room is short; never "no blocks"
//!   set-id bits, which a write takes away ------------> asked for each time, before it is run above all
//! ```
//!
//! The kernel's writeback cache keeps size, mtime and ctime of regular files itself. Blocks it
//! learns from us, and those of bytes that it has not written back yet neither side knows: a `stat`
//! of a file that is open for writing has its end written back first ([`flush_tail`]). Programs
//! that copy sparse files take "no blocks" for "nothing but a hole".

use super::{
    convert,
    writers::{WRITTEN_TTL, Writers},
};
use crate::operations::Operations;
use crate::{Attr, InodeNo, Kind};
use fuser::{FileAttr, INodeNo, Notifier};
use std::time::{Duration, Instant};

/// For attributes that only requests of this mount change.
pub(super) const TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Until the next commit.
const UNSETTLED_TTL: Duration = Duration::from_secs(1);
/// What a file that is open for writing has at least, in units of 512 bytes: a page.
const WRITTEN_BLOCKS_MIN: u64 = 8;
/// Bytes written back at a time, and how long that may go on, for one `stat`.
const TAIL_BYTES: u64 = 1 << 20;
const TAIL_MAX: Duration = Duration::from_millis(50);

/// Attributes, and how long they hold.
pub(super) struct Told {
    pub(super) sent: FileAttr,
    pub(super) ttl: Duration,
}

/// The answer to a change or a question about a file that is open for writing, and then holds as
/// long as [`Writers::ttl`] says, or is not.
pub(super) fn of(attr: &Attr, written: Option<Duration>) -> Told {
    let mut sent = convert::file_attr(attr);
    let is_file = attr.kind == Kind::File;
    let written = written.filter(|_| is_file);
    if written.is_some() {
        sent.blocks = sent.blocks.max(WRITTEN_BLOCKS_MIN);
    }
    let ttl = if attr.ino == InodeNo::SNAPSHOTS || (is_file && attr.mode & 0o6000 != 0) {
        Duration::ZERO
    } else if let Some(ttl) = written {
        ttl
    } else if attr.settled {
        TTL
    } else {
        UNSETTLED_TTL
    };
    Told { sent, ttl }
}

/// The answer to a lookup: the kernel asks again for what has to be flushed before it is right.
pub(super) fn of_found(attr: &Attr, writers: &Writers) -> Told {
    let told = of(attr, writers.ttl(INodeNo(attr.ino.0)));
    let ttl = if told.ttl == WRITTEN_TTL {
        Duration::ZERO
    } else {
        told.ttl
    };
    Told { ttl, ..told }
}

/// Has the kernel write back what it holds behind the end that we know of, as far as that takes no
/// long time. It must not be called on a session thread, which has to take those writes.
pub(super) fn flush_tail<O: Operations + ?Sized>(fs: &O, kernel: &Notifier, node: INodeNo) {
    let end = || fs.getattr(InodeNo(node.0)).map_or(u64::MAX, |attr| attr.size);
    let (begun, mut known) = (Instant::now(), end());
    while let Ok(from) = i64::try_from(known) {
        if let Err(error) = kernel.inval_inode(node, from, TAIL_BYTES as i64) {
            return tracing::debug!(ino = node.0, %error, "could not flush before a stat");
        }
        let now = end();
        if now < known + TAIL_BYTES || begun.elapsed() > TAIL_MAX {
            return;
        }
        known = now;
    }
}
