//! `cairn-bench` measures Cairn against other filesystems: the same work, on the same disk, in one
//! run.
//!
//! ```text
//! run ---> for each round, workload, system:   cell (a process of its own)
//!   |         fresh volume -> mount -> workload -> unmount -> RUN/cells/*.json
//!   `----> tables (medians, spread, ratios round by round, shares of the limit) ---> report.{html,md}, plots
//! compare RUN RUN ---> the same tables side by side
//! ```
//!
//! **Invariants:** no crate of Cairn's is linked: the `cairn` program is driven as a user drives
//! it. Nothing is measured in part in silence: what failed or is absent is in the report, with the
//! reason. No figure is shown without its spread.

mod case;
mod cell;
mod cli;
mod compare;
mod fio;
mod install;
mod list;
mod machine;
mod output;
mod payload;
mod proc;
mod program;
mod progress;
mod report;
mod result;
mod run;
mod size;
mod stage;
mod stats;
mod system;
mod table;
mod target;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Compare {
            before,
            after,
            systems,
            json,
        } => compare::compare(&before, &after, &systems, json),
        Command::Report { run, docs, guest } => {
            report::write(&run, docs.as_deref(), guest.as_deref()).map(|files| {
                files.iter().for_each(|file| println!("{}", file.display()));
            })
        }
        Command::List { json, cairn } => list::list(json, cairn.as_deref()),
        Command::Cell { spec, answer } => cell::play(&spec, &answer),
        Command::NullFs { mnt } => system::serve_null(&mnt),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cairn-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
