//! Whether cost grows with the volume: the same work on a small and on a large one, as a quotient
//! of the two rates.
//!
//! ```text
//! scale:  base_files: create, read cold, delete, fsync    three times -> rates of a small volume
//!         fill with scale_files, and wait until the daemon has done its background work for that
//!         base_files: create, read cold, delete, fsync    three times -> rates of a large one
//!         row = median of large / median of small
//! flat:   fill one directory with flat_files
//!         base_files in a directory of their own, base_files more in the large one, in turn, three times
//!         row = median of the three large / small
//! ```

use super::files::{FILE_BYTES, Forest};
use super::kind::{Case, Row, Tier, Unit, where_bytes_stay};
use crate::machine::drop_caches;
use crate::payload::Payload;
use crate::stage::{Stage, rate, seconds};
use crate::stats::{Histogram, Summary};
use anyhow::Result;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// A large tree.
pub(super) static TREE: Case = Case {
    id: "scale",
    title: "A large tree",
    about: "create, read, delete and fsync in a volume with very many files, against the same volume when it had few; mount times",
    rows: &[
        Row::unbounded(
            "scale.fill",
            "fill the tree with files of 4 KiB, 1,000 in a directory",
            Unit::PerS,
        ),
        Row::unbounded("scale.create", "large tree over small: create", Unit::Ratio),
        Row::unbounded("scale.read", "large tree over small: read cold", Unit::Ratio),
        Row::unbounded("scale.delete", "large tree over small: delete", Unit::Ratio),
        Row::unbounded(
            "scale.fsync",
            "large tree over small: write 4 KiB + fsync",
            Unit::Ratio,
        ),
        Row::unbounded(
            "scale.mount_clean",
            "mount of the large volume after a clean unmount",
            Unit::Seconds,
        ),
        Row::unbounded(
            "scale.mount_crashed",
            "mount of the large volume after kill -9 while it was written to",
            Unit::Seconds,
        ),
    ],
    programs: &[],
    tier: Tier::Long,
    applies: where_bytes_stay,
    guess_s: |sizes| 40.0 + sizes.scale_files as f64 / 4000.0,
    run: tree,
};

/// How often each is measured.
const ROUNDS: usize = 3;

fn median(rounds: impl Iterator<Item = f64>) -> f64 {
    Summary::of(rounds).map_or(f64::NAN, |summary| summary.median)
}

/// Rates of the same work, per second.
struct Rates {
    create: f64,
    read: f64,
    delete: f64,
    fsync: f64,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            create,
            read,
            delete,
            fsync,
        } = self;
        write!(
            f,
            "create {create:.0}/s, read cold {read:.0}/s, delete {delete:.0}/s, fsync {fsync:.0}/s"
        )
    }
}

impl Rates {
    /// Medians of some rounds.
    fn measure(stage: &mut Stage, name: &str) -> Result<Self> {
        let rounds = (0..ROUNDS).map(|round| Self::once(stage, &format!("{name}{round}")));
        let rounds: Vec<Self> = rounds.collect::<Result<_>>()?;
        let of = |rate: fn(&Self) -> f64| median(rounds.iter().map(rate));
        Ok(Self {
            create: of(|rates| rates.create),
            read: of(|rates| rates.read),
            delete: of(|rates| rates.delete),
            fsync: of(|rates| rates.fsync),
        })
    }

    fn once(stage: &mut Stage, name: &str) -> Result<Self> {
        let forest = Forest::new(stage.dir().join(name), stage.sizes.base_files, 100);
        let n = stage.sizes.base_files as f64;
        forest.plant()?;
        let create = rate(n, || forest.create(forest.all()))?.value;
        stage.cold()?;
        let read = rate(n, || forest.read(forest.all()))?.value;
        let delete = rate(n, || forest.delete(forest.all()))?.value;
        forest.clear()?;
        stage.flush()?;
        // After a flush: the commit of the deletes would fall among the fsyncs.
        let fsync = fsyncs(&stage.dir().join(format!("{name}.fsync")), stage.sizes.fsyncs)?;
        stage.flush()?;
        Ok(Self {
            create,
            read,
            delete,
            fsync,
        })
    }
}

/// Overwrites blocks of a small file at random, with an fsync after each; answers how many per
/// second.
fn fsyncs(path: &Path, count: u64) -> Result<f64> {
    const BLOCKS: u64 = 1024;
    let mut payload = Payload::new(14);
    let file = File::create(path)?;
    file.write_all_at(&payload.bytes(BLOCKS as usize * FILE_BYTES), 0)?;
    // Before the clock, which is to time overwrites and not growth.
    file.sync_all()?;
    let block = payload.bytes(FILE_BYTES);
    let sample = rate(count as f64, || {
        for _ in 0..count {
            file.write_all_at(&block, payload.below(BLOCKS) * FILE_BYTES as u64)?;
            file.sync_all()?;
        }
        Ok(())
    })?;
    Ok(sample.value)
}

fn tree(stage: &mut Stage) -> Result<()> {
    let small = Rates::measure(stage, "small")?;
    let count = stage.sizes.scale_files;
    let mass = Forest::new(stage.dir().join("mass"), count, count.div_ceil(1000));
    stage.measure("scale.fill", count * FILE_BYTES as u64, |_| {
        rate(count as f64, || {
            mass.plant()?;
            mass.create(mass.all())
        })
    })?;
    stage.settle();
    // After the background work of the fill has come to rest: it is a cost of the fill.
    let large = Rates::measure(stage, "large")?;
    stage.note(&format!(
        "rates in the small tree: {small}; in the large one: {large}"
    ));
    stage.derive("scale.create", large.create / small.create);
    stage.derive("scale.read", large.read / small.read);
    stage.derive("scale.delete", large.delete / small.delete);
    stage.derive("scale.fsync", large.fsync / small.fsync);
    mounts(stage)
}

/// Times the mount after a clean end and after a crash.
fn mounts(stage: &mut Stage) -> Result<()> {
    let (system, place) = (stage.system(), stage.place().clone());
    if system.daemons(&place).is_empty() {
        stage.note("mount times are measured of filesystems with a process of their own");
        return Ok(());
    }
    stage.flush()?;
    // Flushed first, so that the end is clean and the log empty.
    system.unmount(&place)?;
    // The mount reads from the disk, as it does after the machine has started.
    drop_caches();
    let clean = seconds(|| system.mount(&place))?;
    stage.still_mounted()?;
    stage.derive("scale.mount_clean", clean);
    if !system.can_crash() {
        return Ok(());
    }
    // Something fsynced, something not: both a log to replay and blocks that no head names.
    let forest = Forest::new(stage.dir().join("crash"), stage.sizes.base_files, 10);
    forest.plant()?;
    forest.create(forest.all())?;
    fsyncs(&stage.dir().join("crash.fsync"), 100)?;
    system.crash(&place)?;
    drop_caches();
    let crashed = seconds(|| system.mount(&place))?;
    stage.still_mounted()?;
    stage.derive("scale.mount_crashed", crashed);
    Ok(())
}

/// A large directory.
pub(super) static FLAT: Case = Case {
    id: "flat",
    title: "A large directory",
    about: "create, read, list and delete in one directory with very many files, against one with few",
    rows: &[
        Row::unbounded("flat.create", "large directory over small: create", Unit::Ratio),
        Row::unbounded("flat.read", "large directory over small: read cold", Unit::Ratio),
        Row::unbounded("flat.list", "large directory over small: list cold", Unit::Ratio),
        Row::unbounded("flat.delete", "large directory over small: delete", Unit::Ratio),
        Row::unbounded(
            "flat.lookup_ms",
            "stat of a single name in the large directory, cold, 99.9 %",
            Unit::Millis,
        ),
    ],
    programs: &[],
    tier: Tier::Long,
    applies: where_bytes_stay,
    guess_s: |sizes| 20.0 + sizes.flat_files as f64 / 2500.0,
    run: flat,
};

fn flat(stage: &mut Stage) -> Result<()> {
    let base = stage.sizes.base_files;
    let mass = stage.sizes.flat_files.saturating_sub(base);
    let large = Forest::new(stage.dir().join("large"), mass + base, 1);
    large.plant()?;
    large.create(0..mass)?;
    stage.flush()?;
    stage.settle();
    let mut pairs = Vec::new();
    // Small and large in turn: a machine that slows down slows both, and the quotient stays.
    for round in 0..ROUNDS {
        let small = Forest::new(stage.dir().join(format!("small{round}")), base, 1);
        small.plant()?;
        pairs.push((
            Directory::measure(stage, &small, small.all())?,
            Directory::measure(stage, &large, mass..mass + base)?,
        ));
    }
    let of = |figure: fn(&Directory) -> f64| {
        median(pairs.iter().map(|(small, large)| figure(large) / figure(small)))
    };
    stage.derive("flat.create", of(|rates| rates.create));
    stage.derive("flat.read", of(|rates| rates.read));
    stage.derive("flat.list", of(|rates| rates.list));
    stage.derive("flat.delete", of(|rates| rates.delete));
    stage.derive(
        "flat.lookup_ms",
        median(pairs.iter().map(|(_, large)| large.lookup_ms)),
    );
    Ok(())
}

/// Rates of some files of one directory, which are made and deleted.
struct Directory {
    create: f64,
    read: f64,
    list: f64,
    delete: f64,
    lookup_ms: f64,
}

impl Directory {
    fn measure(stage: &mut Stage, forest: &Forest, which: Range<u64>) -> Result<Self> {
        let (n, count) = ((which.end - which.start) as f64, which.end);
        let create = rate(n, || forest.create(which.clone()))?.value;
        // Creation has left the names in the caches.
        stage.cold()?;
        let list = rate(count as f64, || forest.list())?.value;
        // The listing has just brought in what the lookups are to find.
        stage.cold()?;
        let mut histogram = Histogram::default();
        let mut places = Payload::new(15);
        for _ in 0..1000 {
            let index = places.below(count);
            let start = Instant::now();
            forest.stat(index..index + 1)?;
            histogram.record(start.elapsed().as_nanos());
        }
        stage.cold()?;
        let read = rate(n, || forest.read(which.clone()))?.value;
        let delete = rate(n, || forest.delete(which))?.value;
        stage.flush()?;
        let lookup_ms = histogram
            .latency()
            .map_or(f64::NAN, |latency| latency.p999_us / 1000.0);
        Ok(Self {
            create,
            read,
            list,
            delete,
            lookup_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::tests::on_a_directory;

    #[test]
    fn growth_is_a_quotient_of_rates() {
        on_a_directory(|stage| {
            tree(stage).unwrap();
            flat(stage).unwrap();
            let ratio = |row: &str| {
                stage
                    .figures
                    .iter()
                    .find(|figure| figure.row == row)
                    .unwrap()
                    .value
            };
            for row in ["scale.create", "scale.fsync", "flat.list", "flat.delete"] {
                assert!(ratio(row) > 0.01 && ratio(row) < 100.0, "{row}: {}", ratio(row));
            }
            assert!(
                stage
                    .figures
                    .iter()
                    .all(|figure| figure.row != "scale.mount_clean"),
                "nothing was mounted"
            );
        });
    }
}
