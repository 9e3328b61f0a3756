//! Finds the records of a segment, also behind broken ones.
//!
//! ```text
//!   | head | bytes | head | bytes | he?d | bytes... | head | bytes | what an earlier use left, or zeros
//!     `---hop-------^ `---hop-----^ `--search for the magic--^ `---hop----^ `--search: heads of earlier uses--
//! ```
//!
//! Bytes of records are not read. Memory is one window. Each byte of the file is looked at a few
//! times at most, whatever the file claims.

use super::head::{HEAD_LEN, Head, MAGIC, Use, use_in};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes read at once.
const WINDOW_BYTES: usize = 64 << 10;

/// A walk over one segment.
pub(super) struct Scan<'a> {
    file: &'a File,
    len: u64,
    floor: Use,
    /// Where the next head is expected.
    at: u64,
    /// Bytes of the file from `start` on.
    window: Vec<u8>,
    start: u64,
    /// Use of the record before, if it ended at `at`.
    before: Option<Use>,
    broken: Option<u64>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(file: &'a File, len: u64, floor: Use) -> Self {
        Self {
            file,
            len,
            floor,
            at: 0,
            window: Vec::new(),
            start: 0,
            before: None,
            broken: None,
        }
    }

    /// The first place where the head of a record is that is not past, but broken.
    pub(super) fn broken(&self) -> Option<u64> {
        self.broken
    }

    /// The next record's offset and head.
    pub(super) fn next_record(&mut self) -> io::Result<Option<(u64, Head)>> {
        while let Some(bytes) = self.head_at(self.at)? {
            let offset = self.at;
            let head = Head::decode(&bytes, offset).filter(|head| head.used < self.floor.beyond());
            let end = |head: &Head| offset + HEAD_LEN as u64 + u64::from(head.len);
            if let Some(head) = head.filter(|head| end(head) <= self.len) {
                self.at = end(&head);
                self.before = Some(head.used);
                return Ok(Some((offset, head)));
            }
            if self.broken.is_none() && self.is_broken(&bytes) {
                self.broken = Some(offset);
            }
            self.before = None;
            match self.search(offset + 1)? {
                Some(next) => self.at = next,
                None => self.at = self.len,
            }
        }
        Ok(None)
    }

    /// Whether this was a head of a use that is not past, rather than what such a use has not
    /// overwritten yet.
    fn is_broken(&self, head: &[u8; HEAD_LEN]) -> bool {
        let (magic, used) = (head.starts_with(MAGIC), use_in(head));
        match self.before {
            Some(before) => before >= self.floor && (magic || used == before),
            None => used >= self.floor && (magic || self.at == 0),
        }
    }

    /// What stands at `at`, if there is room for a head.
    fn head_at(&mut self, at: u64) -> io::Result<Option<[u8; HEAD_LEN]>> {
        if self.len.saturating_sub(at) < HEAD_LEN as u64 {
            return Ok(None);
        }
        self.fill(at, HEAD_LEN)?;
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        Ok(self
            .window
            .get(from..)
            .and_then(|rest| rest.first_chunk().copied()))
    }

    /// Has the window hold `needed` bytes from `at` on, as far as there are so many.
    fn fill(&mut self, at: u64, needed: usize) -> io::Result<()> {
        let end = self.start + self.window.len() as u64;
        if at >= self.start && at + needed as u64 <= end {
            return Ok(());
        }
        let len = (self.len - at).min(WINDOW_BYTES as u64) as usize;
        self.window.resize(len, 0);
        self.start = at;
        self.file.read_exact_at(&mut self.window, at)
    }

    /// Where the magic stands next, from `at` on.
    fn search(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        while self.len.saturating_sub(at) >= HEAD_LEN as u64 {
            self.fill(at, HEAD_LEN)?;
            let from = (at - self.start) as usize;
            let rest = &self.window[from..];
            if let Some(found) = find(rest) {
                return Ok(Some(at + found as u64));
            }
            // One that begins in here and ends behind is found from its beginning.
            at += (rest.len() - (MAGIC.len() - 1)) as u64;
        }
        Ok(None)
    }
}

/// Where the magic stands first.
fn find(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == MAGIC[0]) {
        if bytes[from + at..].starts_with(MAGIC) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
