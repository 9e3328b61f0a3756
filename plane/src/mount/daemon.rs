//! From a command to a daemon, and its end.
//!
//! ```text
//! cairn mount --spawns itself--> cairn mount … --foreground --daemon-child
//!      |                                |  setsid, no core dumps, log file, engine, FUSE session
//!      |<---- standard output: ready, or the failure and its exit code ----'
//!      `-- exits with that code         |  signal, or the mount is gone
//!                                       `-- commit, close, answer who waits, exit 0
//! ```
//!
//! Spawning a fresh process needs no fork of one with threads, so no unsafe code. The child's command line holds
//! store and mount point as arguments of their own, absolute, so that `ps` shows what it serves.

use crate::cli::anchor::Spec;
use crate::cli::mount::{LogFormat, MountArgs};
use crate::error::{Error, Exit, Result};
use crate::mount::lost::Lost;
use crate::mount::state;
use crate::offline::key;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

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
    // Neither can fail for a process that only gives something up; if they do, the daemon is no worse than others.
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Starts the daemon and returns once the mount serves.
pub(crate) fn start(args: &MountArgs) -> Result<()> {
    let log = match &args.log_file {
        Some(path) => std::path::absolute(path).map_err(Error::at("find", path))?,
        None => state::file(&args.dir, "log")?,
    };
    let open = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log);
    let stderr = open.map_err(Error::at("open the log", &log))?;
    if let Some(warning) = args.anchor.anchor.as_ref().and_then(Spec::warning) {
        eprintln!("cairn: warning: {warning}");
    }
    let words = match args.key.key_file {
        Some(_) => None,
        None => key::passphrase(&args.key, "Passphrase", key::IfAbsent::Refuse)?,
    };
    let exe = std::env::current_exe().map_err(|error| Error::io("cannot find the program cairn", error))?;
    let mut command = Command::new(exe);
    command
        .args(child_args(args, words.is_some())?)
        .current_dir("/")
        .env_remove("CAIRN_PASSPHRASE");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr);
    let mut child = command
        .spawn()
        .map_err(|error| Error::io("cannot start the daemon", error))?;
    if let (Some(mut stdin), Some(words)) = (child.stdin.take(), words) {
        // A child that is gone already says why on its standard output.
        let _ = stdin.write_all(&words).and_then(|()| stdin.write_all(b"\n"));
    }
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    match serde_json::from_str(&line) {
        Ok(Start::Ready) => Ok(()),
        Ok(Start::Lossy {
            message,
            exit: Some(exit),
        }) => Err(Error::Remote { message, exit }),
        Ok(Start::Lossy { message, exit: None }) => {
            eprintln!("cairn: warning: {message}");
            Ok(())
        }
        Ok(Start::Failed { message, exit }) => Err(Error::Remote { message, exit }),
        Err(_) => {
            let status = child
                .wait()
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            let message = format!(
                "the daemon ended before the mount served ({status}): see {}",
                log.display()
            );
            Err(Error::Remote {
                message,
                exit: Exit::Other,
            })
        }
    }
}

/// The child's command line: everything absolute, since it works in `/`.
fn child_args(args: &MountArgs, passphrase: bool) -> Result<Vec<OsString>> {
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(Error::at("find", path));
    let mut list: Vec<OsString> = vec![
        "mount".into(),
        absolute(&args.store)?.into(),
        absolute(&args.dir)?.into(),
    ];
    let mut flag = |on: bool, name: &str| list.extend(on.then(|| OsString::from(name)));
    flag(true, "--foreground");
    flag(true, "--daemon-child");
    flag(args.read_only, "--read-only");
    flag(args.accept_log_loss, "--accept-log-loss");
    flag(args.no_allow_other, "--no-allow-other");
    flag(args.protect_mountpoint, "--protect-mountpoint");
    flag(passphrase, "--passphrase");
    flag(args.log_format == LogFormat::Json, "--log-format=json");
    let mut option = |name: &str, value: OsString| list.extend([OsString::from(name), value]);
    if let Some(path) = &args.key.key_file {
        option("--key-file", absolute(path)?.into());
    }
    if let Some(name) = &args.fsname {
        option("--fsname", name.into());
    }
    for word in &args.words {
        option("-o", (&word.text).into());
    }
    if let Some(threads) = args.threads {
        option("--threads", threads.to_string().into());
    }
    option("--memory", args.memory.to_string().into());
    if let Some(margin) = args.full_margin {
        option("--full-margin", margin.to_string().into());
    }
    option(
        "--commit-interval",
        format!("{}ms", args.commit_interval.as_millis()).into(),
    );
    list.extend(args.anchor.to_args()?);
    Ok(list)
}

/// In the child: leaves the terminal's session, so that closing the terminal does not end the mount.
pub(crate) fn detach() {
    // Fails only for the leader of a process group, which has a session of its own already.
    let _ = rustix::process::setsid();
}

/// In the child: tells the parent how it went, and lets go of its standard output.
pub(crate) fn report(result: std::result::Result<Option<&Lost>, &Error>) {
    let start = match result {
        Ok(None) => Start::Ready,
        Ok(Some(lost)) => Start::Lossy {
            message: lost.error.to_string(),
            exit: (!lost.accepted).then(|| lost.error.exit()),
        },
        Err(error) => Start::Failed {
            message: error.to_string(),
            exit: error.exit(),
        },
    };
    if let Ok(line) = serde_json::to_string(&start) {
        // A parent that was killed meanwhile is no reason to end the mount.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Sends tracing's events to standard error, which the parent made the log file of a daemon.
pub(crate) fn log_to(args: &MountArgs) -> Result<()> {
    if let Some(path) = args.log_file.as_ref().filter(|_| !args.daemon_child) {
        let open = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        let file = open.map_err(Error::at("open the log", path))?;
        rustix::stdio::dup2_stderr(file).map_err(Error::at("log to", path))?;
    }
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let targets = wanted.as_deref().unwrap_or("info").parse::<Targets>();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let unread = targets.as_ref().err().map(ToString::to_string);
    let targets = targets.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .init();
    if let Some(why) = unread {
        tracing::warn!("RUST_LOG is none of TARGET=LEVEL,...: {why}; info is logged");
    }
    Ok(())
}
