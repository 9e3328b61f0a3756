//! Where a mount's messages go.
//!
//! ```text
//!   tracing's events --> --log-file, or the run directory's log of a daemon; else standard error
//!   warnings of the start (output::warn) --> the log, and the terminal of the command
//!   a daemon that serves: standard error is the log too, so that a panic is in it
//! ```

use crate::cli::mount::{LogFormat, MountArgs};
use crate::error::{Error, Result};
use crate::output;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

/// Sends tracing's events to where `args` say.
///
/// # Errors
/// When the log file cannot be opened.
pub(crate) fn begin(args: &MountArgs) -> Result<()> {
    let writer = match &args.log_file {
        Some(path) => BoxMakeWriter::new(Arc::new(open(path)?)),
        None => {
            output::stderr_is_the_log();
            BoxMakeWriter::new(std::io::stderr)
        }
    };
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let targets = wanted.as_deref().unwrap_or("info").parse::<Targets>();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // Requests are spans, at level debug: each is a line when it ends.
        .with_span_events(FmtSpan::CLOSE)
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
        output::warn(&format!(
            "RUST_LOG is none of TARGET=LEVEL,...: {why}; info is logged"
        ));
    }
    Ok(())
}

/// Lets go of the terminal: from here on standard error is the log.
pub(crate) fn leave_terminal(args: &MountArgs) {
    let log = args.log_file.as_ref().and_then(|path| open(path).ok());
    let null = || OpenOptions::new().write(true).open("/dev/null").ok();
    // Never the terminal: what captures the output of the command waits until no process holds it.
    if let Some(file) = log.or_else(null) {
        let _ = rustix::stdio::dup2_stderr(file);
    }
    output::stderr_is_the_log();
}

fn open(path: &Path) -> Result<File> {
    let open = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    open.map_err(Error::at("open the log", path))
}
