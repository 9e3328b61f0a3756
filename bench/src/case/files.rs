//! Many small files, flat and deep, and one that only grows.

use super::kind::{Case, Limit, Part, Row, Tier, Unit, everywhere};
use crate::payload::Payload;
use crate::stage::{Sample, Stage, rate};
use crate::stats::Histogram;
use anyhow::{Result, ensure};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How many files differ: each is a window into one blob, a byte further than the one before.
const BLOB_BYTES: u64 = 1 << 20;
/// Bytes of a small file.
pub(super) const FILE_BYTES: usize = 4096;

const HOP: Limit = Limit::Pipeline(&[Part::Hop]);

const fn row(id: &'static str, title: &'static str, unit: Unit, limit: Limit) -> Row {
    Row {
        id,
        title,
        unit,
        limit,
    }
}

/// Small files in a few directories.
pub(super) static SMALL: Case = Case {
    id: "small",
    title: "Small files",
    about: "files of 4 KiB are created in turn over some directories, looked at, listed, renamed and deleted",
    rows: &[
        row("small.create", "create files of 4 KiB", Unit::PerS, HOP),
        row(
            "small.create_synced",
            "the same, the flush of all of them included",
            Unit::PerS,
            Limit::Unknown,
        ),
        row("small.stat", "stat", Unit::PerS, HOP),
        row("small.list_cold", "list with attributes, cold", Unit::PerS, HOP),
        row("small.list_warm", "list with attributes, again", Unit::PerS, HOP),
        row("small.read_cold", "open, read, close, cold", Unit::PerS, HOP),
        row("small.rename", "rename within the directory", Unit::PerS, HOP),
        row("small.delete", "delete", Unit::PerS, HOP),
    ],
    programs: &[],
    tier: Tier::Core,
    applies: everywhere,
    guess_s: |sizes| 2.0 + sizes.files as f64 / 300.0,
    run: small,
};

/// `count` files spread over `dirs` directories below a directory of their own.
pub(super) struct Forest {
    top: PathBuf,
    count: u64,
    dirs: u64,
    blob: Vec<u8>,
}

impl Forest {
    /// Nothing is created yet.
    pub(super) fn new(top: PathBuf, count: u64, dirs: u64) -> Self {
        let blob = Payload::new(7).bytes(count.min(BLOB_BYTES) as usize + FILE_BYTES);
        Self {
            top,
            count,
            dirs: dirs.max(1),
            blob,
        }
    }

    /// All of the files.
    pub(super) fn all(&self) -> Range<u64> {
        0..self.count
    }

    fn dir(&self, index: u64) -> PathBuf {
        self.top.join(format!("d{index:04}"))
    }

    /// The path of one file.
    fn path(&self, index: u64) -> PathBuf {
        self.dir(index % self.dirs).join(format!("f{index:07}"))
    }

    /// Makes the directories.
    pub(super) fn plant(&self) -> Result<()> {
        fs::create_dir(&self.top)?;
        Ok((0..self.dirs).try_for_each(|dir| fs::create_dir(self.dir(dir)))?)
    }

    /// Makes these files.
    pub(super) fn create(&self, which: Range<u64>) -> Result<()> {
        for index in which {
            let at = (index % BLOB_BYTES) as usize;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(self.path(index))?;
            file.write_all(&self.blob[at..at + FILE_BYTES])?;
        }
        Ok(())
    }

    /// Looks at each of these by its name.
    pub(super) fn stat(&self, which: Range<u64>) -> Result<()> {
        for index in which {
            ensure!(
                fs::symlink_metadata(self.path(index))?.len() == FILE_BYTES as u64,
                "a file has another size"
            );
        }
        Ok(())
    }

    /// Lists the directories and looks at each file found.
    pub(super) fn list(&self) -> Result<()> {
        let mut seen = 0;
        for dir in fs::read_dir(&self.top)? {
            for file in fs::read_dir(dir?.path())? {
                seen += u64::from(fs::symlink_metadata(file?.path())?.len() == FILE_BYTES as u64);
            }
        }
        ensure!(seen == self.count, "listed {seen} of {} files", self.count);
        Ok(())
    }

    /// Reads each of these.
    pub(super) fn read(&self, which: Range<u64>) -> Result<()> {
        for index in which {
            ensure!(
                fs::read(self.path(index))?.len() == FILE_BYTES,
                "a file has another size"
            );
        }
        Ok(())
    }

    /// Renames each file, and gives it its old name back.
    fn rename(&self) -> Result<()> {
        for index in self.all() {
            // There and back: later rows find the names that they expect.
            let (old, new) = (self.path(index), self.path(index).with_extension("new"));
            fs::rename(&old, &new)?;
            fs::rename(&new, &old)?;
        }
        Ok(())
    }

    /// Deletes these.
    pub(super) fn delete(&self, which: Range<u64>) -> Result<()> {
        Ok(which
            .into_iter()
            .try_for_each(|index| fs::remove_file(self.path(index)))?)
    }

    /// Removes the directories, which must be empty.
    pub(super) fn clear(&self) -> Result<()> {
        (0..self.dirs).try_for_each(|dir| fs::remove_dir(self.dir(dir)))?;
        Ok(fs::remove_dir(&self.top)?)
    }
}

fn small(stage: &mut Stage) -> Result<()> {
    let (count, dirs) = (stage.sizes.files, stage.sizes.dirs);
    let forest = Forest::new(stage.dir().join("small"), count, dirs);
    let (n, bytes) = (count as f64, count * FILE_BYTES as u64);
    stage.measure("small.create", bytes, |_| {
        rate(n, || {
            forest.plant()?;
            forest.create(forest.all())
        })
    })?;
    // The same step with the flush that `measure` made behind its clock.
    if let Some(cost) = stage.figures.last().map(|figure| figure.cost) {
        stage.derive("small.create_synced", n / (cost.seconds + cost.flush_s));
    }
    stage.measure("small.stat", 0, |_| rate(n, || forest.stat(forest.all())))?;
    // What was just created is in the caches of names and inodes.
    stage.cold()?;
    stage.measure("small.list_cold", 0, |_| rate(n, || forest.list()))?;
    stage.measure("small.list_warm", 0, |_| rate(n, || forest.list()))?;
    // The listings have brought the inodes in again.
    stage.cold()?;
    stage.measure("small.read_cold", bytes, |_| {
        rate(n, || forest.read(forest.all()))
    })?;
    stage.measure("small.rename", 0, |_| rate(2.0 * n, || forest.rename()))?;
    stage.measure("small.delete", 0, |_| {
        rate(n, || {
            forest.delete(forest.all())?;
            forest.clear()
        })
    })?;
    Ok(())
}

/// Depth of the deep tree.
const DEPTH: usize = 32;

/// Files far below the root.
pub(super) static DEEP: Case = Case {
    id: "deep",
    title: "Deep trees",
    about: "files of 4 KiB, each 32 directories below the root, eight branches",
    rows: &[
        row("deep.create", "create files 32 directories deep", Unit::PerS, HOP),
        row(
            "deep.stat_cold",
            "stat 32 directories deep, cold",
            Unit::PerS,
            Limit::Unknown,
        ),
        row(
            "deep.remove",
            "remove them and their directories",
            Unit::PerS,
            Limit::Unknown,
        ),
    ],
    programs: &[],
    tier: Tier::More,
    applies: everywhere,
    guess_s: |sizes| 2.0 + sizes.files as f64 / 800.0,
    run: deep,
};

fn deep(stage: &mut Stage) -> Result<()> {
    let top = stage.dir().join("deep");
    let branches: Vec<PathBuf> = (0..8)
        .map(|branch| {
            (0..DEPTH - 2).fold(top.join(format!("b{branch}")), |path, level| {
                path.join(format!("l{level:02}"))
            })
        })
        .collect();
    let count = stage.sizes.files;
    let path = |index: u64| branches[(index % 8) as usize].join(format!("f{index}"));
    let blob = Payload::new(8).bytes(FILE_BYTES);
    let n = count as f64;
    stage.measure("deep.create", count * FILE_BYTES as u64, |_| {
        rate(n, || {
            branches.iter().try_for_each(fs::create_dir_all)?;
            (0..count)
                .try_for_each(|index| fs::write(path(index), &blob))
                .map_err(Into::into)
        })
    })?;
    // Creation has left the whole path in the cache of names.
    stage.cold()?;
    stage.measure("deep.stat_cold", 0, |_| {
        rate(n, || {
            Ok((0..count).try_for_each(|index| fs::symlink_metadata(path(index)).map(drop))?)
        })
    })?;
    stage.measure("deep.remove", 0, |_| rate(n, || Ok(fs::remove_dir_all(&top)?)))?;
    Ok(())
}

/// Bytes of one log record.
const RECORD_BYTES: usize = 256;

/// A log that grows record by record.
pub(super) static APPEND: Case = Case {
    id: "append",
    title: "A growing log",
    about: "records of 256 bytes are appended to a log: with an fdatasync after each, and without",
    rows: &[
        row(
            "append.synced",
            "append 256 bytes + fdatasync",
            Unit::PerS,
            Limit::Serial(&[Part::Hop, Part::Raw("raw.disk_fsync")]),
        ),
        row(
            "append.buffered",
            "append 256 bytes, one fsync at the end",
            Unit::PerS,
            HOP,
        ),
    ],
    programs: &[],
    tier: Tier::More,
    applies: everywhere,
    guess_s: |sizes| 1.0 + sizes.fsyncs as f64 / 500.0,
    run: |stage| {
        let synced = stage.sizes.fsyncs;
        append_row(stage, "append.synced", synced, true)?;
        append_row(stage, "append.buffered", synced * 20, false)
    },
};

fn append_row(stage: &mut Stage, row: &str, count: u64, synced: bool) -> Result<()> {
    stage
        .measure(row, count * RECORD_BYTES as u64, |dir| {
            append(&dir.join(row), count, synced)
        })
        .map(drop)
}

fn append(path: &Path, count: u64, synced: bool) -> Result<Sample> {
    let record = Payload::new(9).bytes(RECORD_BYTES);
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    let mut histogram = Histogram::default();
    let sample = rate(count as f64, || {
        for _ in 0..count {
            let start = Instant::now();
            file.write_all(&record)?;
            if synced {
                file.sync_data()?;
            }
            histogram.record(start.elapsed().as_nanos());
        }
        // Within the clock: without it the row would time copies into the page cache.
        Ok(file.sync_all()?)
    })?;
    Ok(Sample {
        latency: histogram.latency(),
        ..sample
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::tests::on_a_directory;

    #[test]
    fn small_deep_and_append_fill_their_rows_in_order() {
        for case in [&SMALL, &DEEP, &APPEND] {
            on_a_directory(|stage| {
                (case.run)(stage).unwrap();
                let filled: Vec<_> = stage.figures.iter().map(|figure| figure.row.as_str()).collect();
                let wanted: Vec<_> = case.rows.iter().map(|row| row.id).collect();
                assert_eq!(filled, wanted);
                assert!(stage.figures.iter().all(|figure| figure.value > 0.0));
                assert_eq!(
                    fs::read_dir(stage.dir()).unwrap().count(),
                    if case.id == "append" { 2 } else { 0 }
                );
            });
        }
    }
}
