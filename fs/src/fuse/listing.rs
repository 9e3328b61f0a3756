//! Directory listings: `.`, `..`, then the entries.
//!
//! ```text
//! offset 0 --> "." (next: 1) --> ".." (next: 2) --> first entry (next: its cookie, 16 or more) --> ...
//! ```

use super::{convert, reply, told, writers::Writers};
use crate::operations::Operations;
use crate::{DirCookie, DirEntry, Error, InodeNo, Kind, Result};
use fuser::{FileType, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, time::Duration};

const AFTER_DOT: u64 = 1;
const AFTER_DOTS: u64 = 2;
/// Entries fetched at a time. The kernel's buffer is 4 KiB for a first readdirplus, and about 25
/// entries fit.
const BATCH: usize = 64;

/// Whether the kernel's buffer takes more.
#[derive(PartialEq, Eq)]
enum Room {
    Left,
    Full,
}

/// Something a listing is written to: the kernel's buffer, with or without attributes.
trait Sink {
    /// Whether entries are wanted with their attributes.
    const WITH_ATTR: bool;
    fn dot(&mut self, ino: InodeNo, next: u64, name: &str) -> Room;
    fn entry(&mut self, entry: &DirEntry) -> Result<Room>;
}

/// Names and kinds only.
pub(super) fn plain(fs: &(impl Operations + ?Sized), ino: INodeNo, offset: u64, mut reply: ReplyDirectory) {
    match fill(fs, convert::ino(ino), offset, &mut reply) {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(reply::logged("readdir", ino, &error)),
    }
}

/// Names with attributes, each a reference that the kernel will forget some day.
pub(super) fn plus(
    fs: &(impl Operations + ?Sized),
    writers: &Writers,
    ino: INodeNo,
    offset: u64,
    ttl: Duration,
    mut reply: ReplyDirectoryPlus,
) {
    let mut sink = Plus {
        fs,
        writers,
        parent: convert::ino(ino),
        ttl,
        taken: false,
        reply: &mut reply,
    };
    let result = fill(fs, convert::ino(ino), offset, &mut sink);
    let taken = sink.taken;
    match result {
        // References have been counted: they must reach the kernel. It asks again, and then hears
        // the error.
        Ok(()) => reply.ok(),
        Err(error) if taken => {
            reply::logged("readdirplus", ino, &error);
            reply.ok();
        }
        Err(error) => reply.error(reply::logged("readdirplus", ino, &error)),
    }
}

fn fill<S: Sink>(fs: &(impl Operations + ?Sized), ino: InodeNo, offset: u64, sink: &mut S) -> Result<()> {
    if offset < AFTER_DOT && sink.dot(ino, AFTER_DOT, ".") == Room::Full {
        return Ok(());
    }
    if offset < AFTER_DOTS && sink.dot(fs.parent(ino)?, AFTER_DOTS, "..") == Room::Full {
        return Ok(());
    }
    let mut after = DirCookie(if offset <= AFTER_DOTS { 0 } else { offset });
    loop {
        let entries = fs.readdir(ino, after, BATCH, S::WITH_ATTR)?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.cookie;
        for entry in &entries {
            if sink.entry(entry)? == Room::Full {
                return Ok(());
            }
        }
    }
}

fn room(full: bool) -> Room {
    if full { Room::Full } else { Room::Left }
}

impl Sink for ReplyDirectory {
    const WITH_ATTR: bool = false;

    fn dot(&mut self, ino: InodeNo, next: u64, name: &str) -> Room {
        room(self.add(INodeNo(ino.0), next, FileType::Directory, name))
    }

    fn entry(&mut self, entry: &DirEntry) -> Result<Room> {
        let kind = convert::file_type(entry.kind);
        let name = OsStr::from_bytes(entry.name.as_bytes());
        Ok(room(self.add(INodeNo(entry.ino.0), entry.cookie.0, kind, name)))
    }
}

struct Plus<'a, O: ?Sized> {
    fs: &'a O,
    writers: &'a Writers,
    parent: InodeNo,
    ttl: Duration,
    /// Whether a reference has gone into the reply.
    taken: bool,
    reply: &'a mut ReplyDirectoryPlus,
}

impl<O: Operations + ?Sized> Sink for Plus<'_, O> {
    const WITH_ATTR: bool = true;

    // The kernel counts no reference for these two, whatever their attributes say.
    fn dot(&mut self, ino: InodeNo, next: u64, name: &str) -> Room {
        let attr = convert::bare_attr(ino, Kind::Directory);
        room(
            self.reply
                .add(INodeNo(ino.0), next, name, &Duration::ZERO, &attr, Generation(0)),
        )
    }

    fn entry(&mut self, entry: &DirEntry) -> Result<Room> {
        // Reference first: an entry the kernel has seen must not vanish before it is counted.
        let attr = match self.fs.retain(self.parent, entry) {
            Ok(attr) => attr,
            // Removed since the listing was read.
            Err(Error::NoEntry) => return Ok(Room::Left),
            Err(error) => return Err(error),
        };
        let (ttl, sent) = match &attr {
            Some(attr) => {
                let told = told::of_found(attr, self.writers);
                // One lifetime for the name and the attributes.
                (self.ttl.min(told.ttl), told.sent)
            }
            // Believed for no time at all: the next look asks again, and fails because it cannot be
            // read.
            None => (Duration::ZERO, convert::bare_attr(entry.ino, entry.kind)),
        };
        let name = OsStr::from_bytes(entry.name.as_bytes());
        let full = self
            .reply
            .add(sent.ino, entry.cookie.0, name, &ttl, &sent, Generation(0));
        if full {
            self.fs.forget(convert::ino(sent.ino), 1);
        } else {
            self.taken = true;
        }
        Ok(room(full))
    }
}
