//! The `cairn` command: creates, mounts, looks into and checks sealed Merkle volumes.
//!
//! ```text
//! cli ----> commands ----> volume (store + key + engine)   without a mount
//!   |          `---------> control client ~~socket~~> control server
//!   `-----> daemon ------> serve (engine + FUSE session)-------'
//!                            |-- freshness  before it: the head against the anchor
//!                            `-- publish, challenge  while it runs
//! ```
//!
//! This crate is the one place that picks implementations: RocksDB for the store, key files and passphrases for
//! keys. **Invariant:** nobody uses this crate, and no filesystem logic lives in it.
#![cfg_attr(cairn_fuzz, no_main, allow(dead_code, unused_imports, unsafe_code))]

mod anchor;
mod chain;
mod challenge;
mod check;
mod cli;
mod commands;
mod control;
mod daemon;
mod error;
mod freshness;
#[cfg(any(test, cairn_fuzz))]
mod fuzzing;
mod instance;
mod key;
mod lost;
mod memory;
mod mountpoint;
mod output;
mod publish;
mod report;
mod serve;
mod state;
mod tree;
mod unmount;
mod verify;
mod volume;

#[cfg(test)]
mod sample;

use clap::Parser;
use cli::{Cli, Command};
use error::Result;
use output::Output;
use std::process::ExitCode;

#[cfg(not(cairn_fuzz))]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Output { json: cli.json };
    daemon::harden();
    match run(&cli.command, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A daemon's failure has been told to its parent, who prints it.
            let told = matches!(&cli.command, Command::Mount(args) if args.daemon_child);
            if !told {
                out.fail(&error);
            }
            ExitCode::from(error.code())
        }
    }
}

fn run(command: &Command, out: &Output) -> Result<()> {
    match command {
        Command::Create(args) => commands::create(args, out),
        Command::Mount(args) if args.foreground => serve::serve(args),
        Command::Mount(args) => daemon::start(args),
        Command::Umount(args) => unmount::umount(args, out),
        Command::Status { place } => commands::status(place, out),
        Command::Sync {
            dir,
            anchored,
            timeout,
        } => commands::sync(dir, *anchored, *timeout, out),
        Command::Snapshot(command) => commands::snapshot(command, out),
        Command::Check(args) => check::run(args, out),
        Command::Rekey(args) => commands::rekey(args, out),
        Command::Quota { dir, bytes, inodes } => commands::quota(dir, *bytes, *inodes, out),
        Command::Ls { path, long } => commands::ls(path, *long, out),
        Command::Cat(args) => commands::cat(args),
        Command::Audit(args) => verify::audit(args, out),
        Command::Export(args) => verify::export(args, out),
        Command::Import(args) => verify::import(args, out),
        Command::Prove(args) => verify::prove(args, out),
        Command::VerifyProof(args) => verify::verify_proof(args, out),
        Command::Verify(args) => chain::verify(args, out),
        Command::Chain(command) => chain::run(command, out),
    }
}
