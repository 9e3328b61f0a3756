//! Whether cost grows with the volume: the same work on a small and on a large one, as a quotient of the two rates.
//!
//! ```text
//! base_files: create, read cold, delete, fsync          -> rates of a small volume
//! fill with scale_files (or one directory with flat_files)
//! base_files: create, read cold, delete, fsync again    -> rates of a large one;  row = large / small
//! ```

use super::files::{FILE_BYTES, Forest};
use super::{Case, Row, Tier, Unit, where_bytes_stay};
use crate::machine::drop_caches;
use crate::payload::Payload;
use crate::stage::{Stage, rate, seconds};
use crate::stats::Histogram;
use anyhow::Result;
use std::fs::File;
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
    guess_s: |sizes| 10.0 + sizes.scale_files as f64 / 3000.0,
    run: tree,
};

/// Rates of the same work.
struct Rates {
    create: f64,
    read: f64,
    delete: f64,
    fsync: f64,
}

impl Rates {
    fn measure(stage: &mut Stage, name: &str) -> Result<Self> {
        let forest = Forest::new(stage.dir().join(name), stage.sizes.base_files, 100);
        let n = stage.sizes.base_files as f64;
        forest.plant()?;
        let create = rate(n, || forest.create(forest.all()))?.value;
        stage.cold()?;
        let read = rate(n, || forest.read(forest.all()))?.value;
        let delete = rate(n, || forest.delete(forest.all()))?.value;
        forest.clear()?;
        stage.flush()?;
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

/// Overwrites blocks of a small file at random, with an fsync after each; answers how many per second.
fn fsyncs(path: &Path, count: u64) -> Result<f64> {
    const BLOCKS: u64 = 1024;
    let mut payload = Payload::new(14);
    let file = File::create(path)?;
    file.write_all_at(&payload.bytes(BLOCKS as usize * FILE_BYTES), 0)?;
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
    let large = Rates::measure(stage, "large")?;
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
    system.unmount(&place)?;
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
    guess_s: |sizes| 5.0 + sizes.flat_files as f64 / 2000.0,
    run: flat,
};

fn flat(stage: &mut Stage) -> Result<()> {
    let base = stage.sizes.base_files;
    let small = Directory::measure(stage, "small", base, base)?;
    let large = Directory::measure(stage, "large", stage.sizes.flat_files, base)?;
    stage.derive("flat.create", large.create / small.create);
    stage.derive("flat.read", large.read / small.read);
    stage.derive("flat.list", large.list / small.list);
    stage.derive("flat.delete", large.delete / small.delete);
    stage.derive("flat.lookup_ms", large.lookup_ms);
    Ok(())
}

/// Rates of the last files of one directory.
struct Directory {
    create: f64,
    read: f64,
    list: f64,
    delete: f64,
    lookup_ms: f64,
}

impl Directory {
    fn measure(stage: &mut Stage, name: &str, count: u64, last: u64) -> Result<Self> {
        let forest = Forest::new(stage.dir().join(name), count, 1);
        let first = count.saturating_sub(last);
        let n = (count - first) as f64;
        forest.plant()?;
        forest.create(0..first)?;
        let create = rate(n, || forest.create(first..count))?.value;
        stage.cold()?;
        let list = rate(count as f64, || forest.list())?.value;
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
        let read = rate(n, || forest.read(first..count))?.value;
        let delete = rate(n, || forest.delete(first..count))?.value;
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
