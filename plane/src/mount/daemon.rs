//! From a command to a daemon, and its end.
//!
//! ```text
//! cairn mount --spawns itself--> cairn mount STORE DIR --daemon-child
//!      |------ standard input: all arguments, the passphrase --->|  (handover.rs)
//!      |                                |  setsid, no core dumps, log file, engine, FUSE session
//!      |<------ standard error: warnings, until it serves -------|
//!      |<---- standard output: ready, or the failure and its exit code ----'
//!      `-- exits with that code         |  signal, or the mount is gone
//!                                       `-- commit, close, answer waiters, exit 0
//! ```
//!
//! Spawning a fresh process needs no fork of one with threads, so no unsafe code. The child's
//! command line holds store and mount point, absolute, so that `ps` shows what it serves. All else
//! it is told on standard input.

use crate::cli::mount::MountArgs;
use crate::error::{Error, Exit, Result};
use crate::mount::lost::Lost;
use crate::mount::{handover, logging, state};
use crate::offline::key;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// What the child tells its parent, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Start {
    /// The mount serves.
    Ready,
    /// It serves what there is, and something is lost.
    Lossy {
        /// What.
        message: String,
        /// The code to end with, unless the loss was accepted.
        exit: Option<Exit>,
    },
    /// It will not.
    Failed {
        /// Why.
        message: String,
        /// The code to end with.
        exit: Exit,
    },
}

/// Keeps keys out of core dumps and away from debuggers of the same user.
pub(crate) fn harden() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Neither can fail for a process that only gives something up; if they do, the daemon is no
    // worse than others.
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Starts the daemon and returns once the mount serves.
pub(crate) fn start(args: &MountArgs) -> Result<()> {
    let mut args = args.clone();
    // The child works in `/`, where relative paths lead elsewhere.
    args.make_absolute()?;
    args.daemon_child = true;
    if args.log_file.is_none() {
        args.log_file = Some(state::file(&args.dir, "log")?);
    }
    // Asked for here: the standard input of the child is a pipe, not the terminal.
    let words = match args.key.key_file {
        Some(_) => None,
        None => key::passphrase(&args.key, "Passphrase", key::IfAbsent::Refuse)?,
    };
    args.key.handed_over = words.is_some();
    let mut child = spawn(&args)?;
    if let Some(stdin) = child.stdin.take() {
        handover::give(&args, words.as_deref().map(Vec::as_slice), stdin)?;
    }
    // Wiped now: the wait for the child may take minutes.
    drop(words);
    await_start(&mut child, &args)
}

fn spawn(args: &MountArgs) -> Result<Child> {
    let exe = std::env::current_exe().map_err(|error| Error::io("cannot find the program cairn", error))?;
    let mut command = Command::new(exe);
    command
        .arg("mount")
        .args([&args.store, &args.dir])
        .arg("--daemon-child")
        // No directory of the user is kept busy, and the environment, which stays readable for as
        // long as the daemon lives, has no passphrase.
        .current_dir("/")
        .env_remove("CAIRN_PASSPHRASE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
        .spawn()
        .map_err(|error| Error::io("cannot start the daemon", error))
}

/// Waits until the child serves or says why not.
fn await_start(child: &mut Child, args: &MountArgs) -> Result<()> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // A child that dies closes the pipe, which ends this wait without a line.
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    match serde_json::from_str(&line) {
        Ok(Start::Ready) => Ok(()),
        Ok(Start::Lossy {
            message,
            exit: Some(exit),
        }) => Err(Error::Remote { message, exit }),
        Ok(Start::Lossy { message, exit: None }) => {
            crate::output::warn(&message);
            Ok(())
        }
        Ok(Start::Failed { message, exit }) => Err(Error::Remote { message, exit }),
        Err(_) => {
            let status = child
                .wait()
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            let log = args.log_file.as_deref().unwrap_or(&args.dir).display();
            let message = format!("the daemon ended before the mount served ({status}): see {log}");
            Err(Error::Remote {
                message,
                exit: Exit::Other,
            })
        }
    }
}

/// In the child: what it is to do.
pub(crate) fn handed_over() -> Result<MountArgs> {
    handover::take().inspect_err(|error| tell(&Start::failed(error)))
}

/// In the child: leaves the terminal's session, so that closing the terminal does not end the
/// mount.
pub(crate) fn detach() {
    // Fails only for the leader of a process group, which has a session of its own already.
    let _ = rustix::process::setsid();
}

/// In the child: tells the parent how it went, and lets go of its terminal.
pub(crate) fn report(args: &MountArgs, result: std::result::Result<Option<&Lost>, &Error>) {
    // Before the parent ends: what captures the output of the command waits until no process can
    // write to it.
    logging::leave_terminal(args);
    tell(&match result {
        Ok(None) => Start::Ready,
        Ok(Some(lost)) => Start::Lossy {
            message: lost.error.to_string(),
            exit: (!lost.accepted).then(|| lost.error.exit()),
        },
        Err(error) => Start::failed(error),
    });
    // After the answer: the parent ends, and a write to its pipes would fail.
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stdin(null);
    }
}

fn tell(start: &Start) {
    if let Ok(line) = serde_json::to_string(start) {
        // A parent that was killed meanwhile is no reason to end the mount.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

impl Start {
    fn failed(error: &Error) -> Self {
        Self::Failed {
            message: error.to_string(),
            exit: error.exit(),
        }
    }
}
