//! What a run leaves behind: plain data, in JSON, that reports are made from.
//!
//! ```text
//! RUN/run.json                     Run: machine, sizes, systems with versions, workloads
//!    /cells/small.cairn.2.json     Cell: one workload on one system in one round
//!    /summary.json report.md report.html plots/    made from the above, again at any time
//! ```
//!
//! A cell is written whole or not at all (a new file, then a rename), so an interrupted run goes on
//! where it was.

use crate::machine::Machine;
use crate::size::{Depth, Sizes};
use crate::stats::Latency;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything about a run that is known before it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Version of these files; a reader refuses another.
    pub(crate) format: u32,
    /// When it began, in UTC.
    pub(crate) started: String,
    /// The command line that began it.
    pub(crate) command: String,
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// Its name.
    pub(crate) depth: Depth,
    /// What the depth means in numbers.
    pub(crate) sizes: Sizes,
    /// How many rounds were asked for.
    pub(crate) rounds: u32,
    /// In the order of measuring.
    pub(crate) systems: Vec<SystemEntry>,
    /// Systems that were asked for and are not there.
    pub(crate) absent: Vec<Absence>,
    /// Workloads in the order of measuring.
    pub(crate) cases: Vec<String>,
    /// Workloads left out, with the reason.
    pub(crate) absent_cases: Vec<Absence>,
}

/// The version this program writes.
pub(crate) const FORMAT: u32 = 1;

/// A system as it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SystemEntry {
    /// Its short name.
    pub(crate) id: String,
    /// Its name in tables.
    pub(crate) title: String,
    /// What it says of itself.
    pub(crate) version: String,
    /// What its figures include.
    pub(crate) includes: String,
    /// What they leave out.
    pub(crate) leaves_out: String,
}

/// Something that is not there, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Absence {
    /// What.
    pub(crate) id: String,
    /// Why, and how to get it.
    pub(crate) why: String,
}

/// One workload on one system in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The workload.
    pub(crate) case: String,
    /// The system.
    pub(crate) system: String,
    /// Counted from 1.
    pub(crate) round: u32,
    /// Wall time of all of it, setting up and taking down included.
    pub(crate) seconds: f64,
    /// What was measured; what came before a failure counts.
    pub(crate) figures: Vec<Figure>,
    /// What a reader should know of this cell.
    pub(crate) notes: Vec<String>,
    /// Why it did not come to its end.
    pub(crate) error: Option<String>,
}

/// One measured value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The row it belongs to.
    pub(crate) row: String,
    /// In the row's unit.
    pub(crate) value: f64,
    /// How much was done: MiB or operations, as the value counts them; 0 where that means nothing.
    pub(crate) units: f64,
    /// Of single operations, where they were timed.
    pub(crate) latency: Option<Latency>,
    /// What it cost.
    pub(crate) cost: Cost,
}

/// What a measured step used, from its start until what it wrote was flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Wall time of the step alone.
    pub(crate) seconds: f64,
    /// Wall time of the flush after it.
    pub(crate) flush_s: f64,
    /// Bytes the application read or wrote.
    pub(crate) payload_bytes: u64,
    /// CPU time of the filesystem's processes; none where the kernel does it all.
    pub(crate) daemon_cpu_s: Option<f64>,
    /// CPU time of the application, with what the kernel did on its behalf.
    pub(crate) app_cpu_s: f64,
    /// Most memory the filesystem's processes had resident.
    pub(crate) daemon_peak_bytes: Option<u64>,
    /// Bytes the disk was given meanwhile, by all processes: exact only on a quiet machine.
    pub(crate) device_bytes: Option<u64>,
    /// Growth of the space in use below the filesystem.
    pub(crate) space_bytes: i64,
}

/// The directory of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    /// A new one; the path must not hold a run.
    pub(crate) fn create(path: &Path, run: &Run) -> Result<Self> {
        anyhow::ensure!(
            !path.join("run.json").exists(),
            "{} holds a run already: --resume it, or choose another directory",
            path.display()
        );
        fs::create_dir_all(path.join("cells"))
            .with_context(|| format!("cannot create {}", path.display()))?;
        let dir = Self(path.to_owned());
        // After the directory of the cells: what has a plan can be resumed.
        write_json(&path.join("run.json"), run)?;
        Ok(dir)
    }

    /// An existing one.
    pub(crate) fn open(path: &Path) -> Result<(Self, Run)> {
        let file = path.join("run.json");
        let text = fs::read(&file)
            .with_context(|| format!("{} is no run: cannot read {}", path.display(), file.display()))?;
        let run: Run =
            serde_json::from_slice(&text).with_context(|| format!("{} makes no sense", file.display()))?;
        anyhow::ensure!(
            run.format == FORMAT,
            "{} has format {}, this program reads {FORMAT}",
            file.display(),
            run.format
        );
        Ok((Self(path.to_owned()), run))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The file of one cell.
    pub(crate) fn cell_path(&self, case: &str, system: &str, round: u32) -> PathBuf {
        self.0.join("cells").join(format!("{case}.{system}.{round}.json"))
    }

    /// A cell that was measured before.
    pub(crate) fn cell(&self, case: &str, system: &str, round: u32) -> Option<Cell> {
        serde_json::from_slice(&fs::read(self.cell_path(case, system, round)).ok()?).ok()
    }

    /// Keeps a cell.
    pub(crate) fn save(&self, cell: &Cell) -> Result<()> {
        write_json(&self.cell_path(&cell.case, &cell.system, cell.round), cell)
    }

    /// All cells measured so far, in a fixed order.
    pub(crate) fn cells(&self) -> Result<Vec<Cell>> {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.0.join("cells"))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        // The order of a listing is that of its filesystem: a report made again must be the same.
        paths.sort();
        paths
            .iter()
            .map(|path| {
                serde_json::from_slice(&fs::read(path)?)
                    .with_context(|| format!("{} makes no sense", path.display()))
            })
            .collect()
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    let new = path.with_extension("json.new");
    fs::write(&new, text).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run without systems.
    fn run() -> Run {
        Run {
            format: FORMAT,
            started: "2026-01-01 00:00:00".into(),
            command: "cairn-bench run".into(),
            machine: Machine::default(),
            depth: Depth::Tiny,
            sizes: Depth::Tiny.sizes(),
            rounds: 1,
            systems: Vec::new(),
            absent: Vec::new(),
            cases: vec!["small".into()],
            absent_cases: Vec::new(),
        }
    }

    #[test]
    fn a_cell_reads_back_and_a_torn_one_counts_as_missing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = RunDir::create(temp.path(), &run()).unwrap();
        let cell = Cell {
            case: "small".into(),
            system: "disk".into(),
            round: 2,
            seconds: 1.5,
            figures: Vec::new(),
            notes: vec!["a note".into()],
            error: None,
        };
        dir.save(&cell).unwrap();
        assert_eq!(dir.cell("small", "disk", 2).unwrap().notes, ["a note"]);
        assert!(dir.cell("small", "disk", 1).is_none());
        assert_eq!(dir.cells().unwrap().len(), 1);
        fs::write(dir.cell_path("small", "disk", 2), "{\"case\":").unwrap();
        assert!(dir.cell("small", "disk", 2).is_none());
    }

    #[test]
    fn a_run_is_never_overwritten_and_another_format_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        RunDir::create(temp.path(), &run()).unwrap();
        assert!(
            RunDir::create(temp.path(), &run())
                .unwrap_err()
                .to_string()
                .contains("--resume")
        );
        assert_eq!(RunDir::open(temp.path()).unwrap().1.cases, ["small"]);
        let other = Run { format: 99, ..run() };
        write_json(&temp.path().join("run.json"), &other).unwrap();
        assert!(
            RunDir::open(temp.path())
                .unwrap_err()
                .to_string()
                .contains("format 99")
        );
    }
}
