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
//! This crate is the one place that picks implementations: RocksDB for the store, key files and
//! passphrases for keys. **Invariant:** no crate uses this one, and no filesystem logic lives in
//! it.
#![cfg_attr(cairn_fuzz, no_main, allow(dead_code, unused_imports, unsafe_code))]

mod anchor;
mod chain;
mod cli;
mod clock;
mod error;
#[cfg(any(test, cairn_fuzz))]
mod fuzzing;
mod mount;
mod offline;
mod output;
mod path;
mod report;
mod text;

#[cfg(test)]
mod sample;

use clap::Parser;
use cli::helper::Line;
use cli::{Cli, Command};
use error::{Error, Exit, Result};
use output::Output;
use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(not(cairn_fuzz))]
fn main() -> ExitCode {
    let cli = match cli::helper::read(std::env::args_os()) {
        Ok(Line::Cairn(line)) => match Cli::try_parse_from(&line) {
            Ok(cli) => cli,
            Err(error) => return refused(&line, &error),
        },
        Ok(Line::Nothing) => return ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mount.cairn: {why}");
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let out = Output { json: cli.json };
    mount::daemon::harden();
    match run(&cli.command, &out) {
        Ok(()) => ExitCode::SUCCESS,
        // As a program that SIGPIPE ends: `cairn cat ... | head` prints nothing of its own.
        Err(Error::NoReader) => ExitCode::from(SIGPIPE_CODE),
        Err(error) => {
            // The parent prints a daemon's failure: it has been told.
            let told = matches!(&cli.command, Command::Mount(args) if args.daemon_child);
            if !told {
                out.fail(&error);
            }
            ExitCode::from(error.exit() as u8)
        }
    }
}

/// What the shell reports of a program that SIGPIPE ended.
const SIGPIPE_CODE: u8 = 128 + 13;

/// Ends a command whose line clap did not take, or with the help that was asked for.
fn refused(line: &[OsString], error: &clap::Error) -> ExitCode {
    // Without a parsed line the word itself is looked for; behind `--` it is a path.
    let options = line.iter().take_while(|word| *word != "--");
    if !error.use_stderr() || !options.into_iter().any(|word| word == "--json") {
        error.exit();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let error = Error::Usage(text.to_owned());
    Output { json: true }.fail(&error);
    ExitCode::from(error.exit() as u8)
}

fn run(command: &Command, out: &Output) -> Result<()> {
    match command {
        Command::Create(args) => offline::commands::create(args, out),
        Command::Mount(args) if args.daemon_child => mount::serve::serve_as_daemon(),
        Command::Mount(args) if args.foreground => mount::serve::serve(args),
        Command::Mount(args) => mount::daemon::start(args),
        Command::Umount(args) => mount::unmount::umount(args, out),
        Command::Status(args) => offline::status::status(args, out),
        Command::List(args) => mount::list::list(args, out),
        Command::Sync {
            dir,
            anchored,
            timeout,
        } => offline::commands::sync(dir, *anchored, *timeout, out),
        Command::Snapshot(command) => offline::snapshot::snapshot(command, out),
        Command::Check(args) => offline::check::run(args, out),
        Command::Rekey(args) => offline::commands::rekey(args, out),
        Command::Quota(args) => offline::status::quota(args, out),
        Command::Ls { path, long } => offline::commands::ls(path, *long, out),
        Command::Cat(args) => offline::commands::cat(args),
        Command::Audit(args) => offline::audit(args, out),
        Command::Export(args) => offline::export(args, out),
        Command::Import(args) => offline::import(args, out),
        Command::Prove(args) => offline::prove(args, out),
        Command::VerifyProof(args) => offline::verify_proof(args, out),
        Command::Verify(args) => chain::verify(args, out),
        Command::Chain(command) => chain::run(command, out),
    }
}
