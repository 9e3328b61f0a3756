//! What developers do all day, and what a storage engine does all night.

use super::kind::{Case, Row, Tier, Unit, where_bytes_stay};
use crate::payload::Payload;
use crate::program;
use crate::size::MIB;
use crate::stage::{Sample, Stage, seconds};
use crate::stats::Histogram;
use anyhow::{Context, Result, ensure};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// tar, git and cargo.
pub(super) static PROGRAMS: Case = Case {
    id: "programs",
    title: "tar, git and cargo",
    about: "an archive of the source tree is unpacked, a repository of it cloned and its status asked cold, a small crate built",
    rows: &[
        Row::unbounded(
            "programs.untar",
            "untar a source tree, flush included",
            Unit::Seconds,
        ),
        Row::unbounded(
            "programs.git_clone",
            "git clone of it, flush included",
            Unit::Seconds,
        ),
        Row::unbounded(
            "programs.git_status",
            "git status of the clone, cold",
            Unit::Seconds,
        ),
        Row::unbounded(
            "programs.cargo_build",
            "cargo build of a small crate",
            Unit::Seconds,
        ),
    ],
    programs: &[("tar", "tar"), ("git", "git"), ("cargo", "cargo")],
    tier: Tier::More,
    applies: where_bytes_stay,
    guess_s: |sizes| 10.0 + sizes.tree_files as f64 / 150.0,
    run: programs,
};

fn programs(stage: &mut Stage) -> Result<()> {
    let sources = stage.sources().to_owned();
    let archive = sources.join("tree.tar");
    let bytes = fs::metadata(&archive)?.len();
    // The archive lies on the disk itself: to read it is no cost of the system.
    warm(&archive)?;
    timed(stage, "programs.untar", bytes, |dir| {
        program::run(
            program::command("tar")?
                .arg("-C")
                .arg(dir)
                .arg("-xf")
                .arg(&archive),
        )
        .map(drop)
    })?;
    let clone = stage.dir().join("clone");
    timed(stage, "programs.git_clone", bytes, |_| {
        let mut command = program::command("git")?;
        // A copy as over a network: hard links to the source would leave nothing to measure.
        program::run(
            command
                .args(["clone", "-q", "--no-local"])
                .arg(sources.join("tree.git"))
                .arg(&clone),
        )
        .map(drop)
    })?;
    // git has just looked at every file it made.
    stage.cold()?;
    stage.measure("programs.git_status", 0, |_| {
        Ok(seconds(|| {
            let changed = program::run(
                program::command("git")?
                    .arg("-C")
                    .arg(&clone)
                    .args(["status", "--porcelain"]),
            )?;
            ensure!(
                changed.is_empty(),
                "git sees changes: {}",
                changed.lines().next().unwrap_or_default()
            );
            Ok(())
        })?
        .into())
    })?;
    // Onto the volume: sources and output of the build both lie there.
    let project = stage.dir().join("crate");
    program::run(
        program::command("cp")?
            .arg("-a")
            .arg(sources.join("crate"))
            .arg(&project),
    )?;
    timed(stage, "programs.cargo_build", 0, |_| {
        let mut command = program::command("cargo")?;
        command
            .args(["build", "-q", "--offline", "--manifest-path"])
            .arg(project.join("Cargo.toml"));
        program::run(
            command
                .env("CARGO_TARGET_DIR", project.join("target"))
                .env_remove("RUSTFLAGS")
                .current_dir(&project),
        )
        .map(drop)
    })
}

/// Work that ends with everything on disk.
fn timed(stage: &mut Stage, row: &str, payload: u64, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let (system, place) = (stage.system(), stage.place().clone());
    stage
        .measure(row, payload, |dir| {
            Ok(seconds(|| {
                work(dir)?;
                system.flush(&place)
            })?
            .into())
        })
        .map(drop)
}

/// Reads a file, so that it is in the page cache.
fn warm(path: &Path) -> Result<()> {
    std::io::copy(&mut File::open(path)?, &mut std::io::sink())
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(())
}

/// Bytes of a memory table, which becomes one sorted file.
const TABLE_BYTES: u64 = 4 * MIB;
/// Bytes of one record of the log.
const BATCH_BYTES: u64 = 16 << 10;
/// Sorted files of one level; as many are merged into one of the next.
const FANOUT: usize = 4;

/// The file pattern of RocksDB, LevelDB and their like.
pub(super) static LSM: Case = Case {
    id: "lsm",
    title: "An LSM store",
    about: "the files of an LSM store: a log fsynced per batch of 16 KiB, sorted files of 4 MiB, merges that read, write and delete them, a manifest replaced by rename",
    rows: &[Row::unbounded(
        "lsm.ingest",
        "LSM store: payload ingested, merges included",
        Unit::MibPerS,
    )],
    programs: &[],
    tier: Tier::More,
    applies: where_bytes_stay,
    guess_s: |sizes| 2.0 + sizes.random_mib as f64 / 15.0,
    run: |stage| {
        let bytes = stage.sizes.random_mib * MIB;
        stage
            .measure("lsm.ingest", bytes, |dir| Lsm::new(dir).ingest(bytes))
            .map(drop)
    },
};

struct Lsm {
    dir: PathBuf,
    /// Sorted files by level, oldest first.
    levels: Vec<VecDeque<PathBuf>>,
    next: u64,
    payload: Payload,
}

impl Lsm {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            levels: vec![VecDeque::new(); 3],
            next: 0,
            payload: Payload::new(13),
        }
    }

    fn ingest(mut self, bytes: u64) -> Result<Sample> {
        let batch = self.payload.bytes(BATCH_BYTES as usize);
        let table = self.payload.bytes(TABLE_BYTES as usize);
        let mut histogram = Histogram::default();
        let start = Instant::now();
        let mut done = 0;
        while done < bytes {
            let log_path = self.name("log");
            let mut log = File::create(&log_path)?;
            for _ in 0..TABLE_BYTES / BATCH_BYTES {
                let start = Instant::now();
                log.write_all(&batch)?;
                // As a store does that promises a batch to be there after a crash.
                log.sync_data()?;
                histogram.record(start.elapsed().as_nanos());
            }
            done += TABLE_BYTES;
            self.add(0, &mut &table[..])?;
            // The log goes once the sorted file that replaces it is durable and named.
            fs::remove_file(log_path)?;
            self.merge()?;
        }
        let units = done as f64 / MIB as f64;
        let value = units / start.elapsed().as_secs_f64();
        Ok(Sample {
            value,
            units,
            latency: histogram.latency(),
            app_cpu_s: None,
        })
    }

    fn name(&mut self, kind: &str) -> PathBuf {
        self.next += 1;
        self.dir.join(format!("{:06}.{kind}", self.next))
    }

    /// A new sorted file, durable before the manifest names it.
    fn add(&mut self, level: usize, from: &mut dyn Read) -> Result<()> {
        let path = self.name("sst");
        let mut file = File::create(&path)?;
        std::io::copy(from, &mut file)?;
        file.sync_all()?;
        self.levels[level].push_back(path);
        self.write_manifest()
    }

    fn write_manifest(&mut self) -> Result<()> {
        let names: Vec<String> = self
            .levels
            .iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect();
        let new = self.dir.join("MANIFEST.new");
        let mut file = File::create(&new)?;
        file.write_all(names.join("\n").as_bytes())?;
        file.sync_all()?;
        // Whole before it has the name: a crash leaves the old manifest or this one.
        fs::rename(&new, self.dir.join("MANIFEST"))?;
        Ok(File::open(&self.dir)?.sync_all()?)
    }

    /// Full levels go down.
    fn merge(&mut self) -> Result<()> {
        for level in 0..self.levels.len() - 1 {
            if self.levels[level].len() < FANOUT {
                continue;
            }
            let old: Vec<PathBuf> = self.levels[level].drain(..).collect();
            let mut all: Box<dyn Read> = Box::new(std::io::empty());
            for path in &old {
                all = Box::new(all.chain(File::open(path)?));
            }
            self.add(level + 1, &mut all)?;
            // Only now does no manifest name them.
            for path in old {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_level_goes_down_and_no_byte_is_lost() {
        let temp = tempfile::tempdir().unwrap();
        let bytes = TABLE_BYTES * (FANOUT as u64 + 1);
        Lsm::new(temp.path()).ingest(bytes).unwrap();
        let sizes: Vec<u64> = fs::read_dir(temp.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "sst")
            })
            .map(|entry| entry.metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 2, "one merged file and one fresh one: {sizes:?}");
        assert_eq!(sizes.iter().sum::<u64>(), bytes);
    }
}
