//! The command line: what can be asked, with examples.

use crate::size::Depth;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measures Cairn against other filesystems, on one machine, in one run.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure, and write a report
    #[command(
        after_help = "Examples:\n  cairn-bench run --quick\n  cairn-bench run --install --out bench/results/monday\n  \
        cairn-bench run --systems cairn,disk --only fsync,small --rounds 5\n  cairn-bench run --resume bench/results/monday\n\n\
        Needs root for cold caches, loop devices and PostgreSQL. An interrupted run unmounts what it mounted and can be resumed."
    )]
    Run(Box<RunArgs>),
    /// Compare two runs: before and after a change, or two machines
    #[command(
        after_help = "Example:\n  cairn-bench compare bench/results/before bench/results/after --systems cairn"
    )]
    Compare {
        /// The run that is compared against
        before: PathBuf,
        /// The run that is judged
        after: PathBuf,
        /// Only these systems
        #[arg(long, value_delimiter = ',')]
        systems: Vec<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a run's report again: report.html, report.md, summary.json, plots
    #[command(after_help = "Examples:\n  cairn-bench report bench/results/monday\n  \
        cairn-bench report bench/results/monday --docs docs/benchmarks.md\n  \
        cairn-bench report bench/results/monday --guest bench/results/uml")]
    Report {
        /// Directory of the run
        run: PathBuf,
        /// Also write the text as this file, with one plot beside it
        #[arg(long, value_name = "FILE")]
        docs: Option<PathBuf>,
        /// Add ZFS as a multiple of ext4, from a run in a guest: `bench/zfs/uml.sh`
        #[arg(long, value_name = "RUN")]
        guest: Option<PathBuf>,
    },
    /// List systems (and why some cannot be measured here), workloads, rows and targets
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        /// The `cairn` program
        #[arg(long, value_name = "FILE", env = "CAIRN")]
        cairn: Option<PathBuf>,
    },
    /// Measure one workload on one system; `run` starts this for each
    #[command(hide = true)]
    Cell {
        /// What to measure
        spec: PathBuf,
        /// Where the answer goes
        answer: PathBuf,
    },
    /// Serve the empty filesystem; the system `null` starts this
    #[command(hide = true)]
    NullFs {
        /// Where to mount
        mnt: PathBuf,
    },
}

/// `run`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// Systems to measure [default: all that are here and not opt-in; see `list`]
    #[arg(long, value_delimiter = ',')]
    pub(crate) systems: Vec<String>,
    /// Measure these systems too
    #[arg(long, value_delimiter = ',')]
    pub(crate) add: Vec<String>,
    /// Workloads to measure [default: those of the depth; see `list`]
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Workloads to leave out
    #[arg(long, value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Every workload, however long
    #[arg(long)]
    pub(crate) all: bool,
    /// Sizes and rounds: `quick` is below three minutes, `full` is what targets are stated for
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) depth: Depth,
    /// Short for --depth quick
    #[arg(long, conflicts_with = "depth")]
    pub(crate) quick: bool,
    /// Rounds: each measures every workload on every system once [default: full 3, quick 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: Option<u32>,
    /// Start no further workload after this many seconds [default: quick 165]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) budget: Option<u64>,
    /// Minutes of the workload `sustained` [default: 10]
    #[arg(long, value_name = "MINUTES")]
    pub(crate) minutes: Option<u64>,
    /// Where filesystems lie while they are measured: the disk that is measured
    #[arg(long, value_name = "DIR", default_value = "/var/tmp/cairn-bench")]
    pub(crate) dir: PathBuf,
    /// Where results go [default: bench/results/DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with an interrupted run
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "systems", "add", "only", "skip", "all", "depth", "quick", "minutes"])]
    pub(crate) resume: Option<PathBuf>,
    /// With --resume: measure again what failed
    #[arg(long, requires = "resume")]
    pub(crate) again: bool,
    /// The `cairn` program [default: target/release/cairn, or `cairn` on the path]
    #[arg(long, value_name = "FILE", env = "CAIRN")]
    pub(crate) cairn: Option<PathBuf>,
    /// Flags for `cairn create`, separated by blanks
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true, default_value = "")]
    pub(crate) create_flags: String,
    /// Flags for `cairn mount`, separated by blanks
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true, default_value = "")]
    pub(crate) mount_flags: String,
    /// Install what is missing with apt (root)
    #[arg(long)]
    pub(crate) install: bool,
    /// Keep the volumes of failed workloads, to look into
    #[arg(long)]
    pub(crate) keep: bool,
}

impl RunArgs {
    /// The depth that was asked for.
    pub(crate) fn depth(&self) -> Depth {
        if self.quick { Depth::Quick } else { self.depth }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
