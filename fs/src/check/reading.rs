//! What a file holds: inline bytes, one leaf, or an index over leaves.

use super::walk::{Walk, count, digest};
use super::wounds::Broken;
use super::wounds::Finding;
use crate::Result;
use crate::data::layer::plain_len;
use crate::stored::record::{Record, Stored};
use cairn_merkle::index::{self, IndexRoot};
use cairn_merkle::{Error, Link};
use std::ops::Range;

impl Finding {
    /// What reading a block failed with; `place` is put before it.
    pub(super) fn of(place: &str, error: &Error) -> Self {
        Self {
            what: format!("{place}{error}"),
            missing: matches!(error, Error::Missing { .. }),
        }
    }

    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            missing: false,
        }
    }
}

impl Broken {
    /// Bytes that cannot be read; those of neighbouring records join.
    fn lose(&mut self, lost: Range<u64>) {
        match self.lost.last_mut() {
            Some(last) if last.end == lost.start => last.end = lost.end,
            _ if lost.is_empty() => {}
            _ => self.lost.push(lost),
        }
    }
}

impl Walk<'_> {
    /// Verifies a file's content; answers what is wrong with it.
    pub(super) fn file(&mut self, record: &Record) -> Result<Option<Broken>> {
        let size = record.meta.size;
        let mut broken = Broken::default();
        match &record.stored {
            Stored::None | Stored::Tree(_) => {}
            Stored::Inline(bytes) => {
                broken.readable = true;
                if bytes.len() as u64 > size {
                    broken
                        .findings
                        .push(Finding::new("more bytes lie in it than its size says"));
                }
            }
            Stored::Leaf(link) => self.record(0, link, size, &mut broken)?,
            Stored::Index(root) => self.index(root, record, &mut broken)?,
        }
        Ok((!broken.findings.is_empty()).then_some(broken))
    }

    fn index(&mut self, root: &IndexRoot, record: &Record, broken: &mut Broken) -> Result<()> {
        if self.is_done(&root.link) {
            return Ok(());
        }
        let (size, unit) = (record.meta.size, u64::from(self.record_size));
        // Leaves and what of them cannot be found, in the order of the file.
        let mut rows: Vec<(u64, std::result::Result<Link, index::Gap>)> = Vec::new();
        let Self {
            seen, report, source, ..
        } = self;
        let rest = std::cell::RefCell::new(&mut rows);
        index::survey(
            source,
            Some(root),
            &mut |link| _ = count(seen, report, link),
            &mut |recno, link| {
                rest.borrow_mut().push((recno, Ok(link.clone())));
                Ok(())
            },
            &mut |gap| {
                rest.borrow_mut().push((*gap.records.start(), Err(gap)));
                Ok(())
            },
        )?;
        for (recno, row) in rows {
            match row {
                Ok(link) => self.record(recno, &link, size, broken)?,
                Err(gap) => {
                    let end = gap.records.end().saturating_add(1).saturating_mul(unit).min(size);
                    let lost = recno.saturating_mul(unit)..end;
                    let place = format!("bytes {} to {end}: ", lost.start);
                    broken.findings.push(Finding::of(&place, &gap.error));
                    broken.lose(lost);
                    broken.index = true;
                }
            }
        }
        if !broken.index && broken.stored != record.meta.stored {
            broken.findings.push(Finding::new(format!(
                "its blocks hold {} bytes and it counts {}",
                broken.stored, record.meta.stored
            )));
        }
        if !broken.findings.is_empty() {
            self.tainted.insert(digest(&root.link.cid));
        }
        Ok(())
    }

    /// One record of a file.
    fn record(&mut self, recno: u64, link: &Link, size: u64, broken: &mut Broken) -> Result<()> {
        broken.stored += plain_len(link);
        match self.leaf(recno, link, size)? {
            None => broken.readable = true,
            Some(finding) => {
                let start = recno.saturating_mul(u64::from(self.record_size));
                broken.lose(start..self.end_of(start, size));
                broken.records.push(recno);
                broken.findings.push(finding);
            }
        }
        Ok(())
    }

    fn end_of(&self, start: u64, size: u64) -> u64 {
        start.saturating_add(u64::from(self.record_size)).min(size)
    }

    /// Verifies a leaf; one that was met before is known.
    pub(super) fn leaf(&mut self, recno: u64, link: &Link, size: u64) -> Result<Option<Finding>> {
        let start = recno.saturating_mul(u64::from(self.record_size));
        if plain_len(link) > u64::from(self.record_size) || start >= size.max(1) {
            return Ok(Some(Finding::new(format!("record {recno} lies beyond its end"))));
        }
        let Self { seen, report, .. } = self;
        if count(seen, report, link) {
            if self.report.blocks.is_multiple_of(64) {
                self.tick();
            }
            match self.source.leaf(link) {
                Ok(()) => {}
                Err(error) if error.is_damage() => {
                    let place = format!("bytes {start} to {}: ", self.end_of(start, size));
                    self.bad.insert(digest(&link.cid), Finding::of(&place, &error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.bad.get(&digest(&link.cid)).cloned())
    }
}
