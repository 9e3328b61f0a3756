//! What people and scripts see: words or JSON on standard output, bars on standard error.

use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Whether standard error is where the log goes, so that a warning in the log is seen.
static STDERR_IS_THE_LOG: AtomicBool = AtomicBool::new(false);

/// From here on a warning goes to the log alone.
pub(crate) fn stderr_is_the_log() {
    STDERR_IS_THE_LOG.store(true, Relaxed);
}

/// Warns the user, on the terminal of the command; a mount has it in its log, too.
pub(crate) fn warn(text: &str) {
    tracing::warn!("{text}");
    if !STDERR_IS_THE_LOG.load(Relaxed) {
        eprintln!("cairn: warning: {text}");
    }
}

/// Why bytes could not be written to standard output.
pub(crate) fn written(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Error::NoReader,
        _ => Error::io("cannot write to standard output", error),
    }
}

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// `--json`.
    pub(crate) json: bool,
}

impl Output {
    /// Prints `value` as JSON, or else what `words` makes of it.
    pub(crate) fn show<T: Serialize>(&self, value: &T, words: impl FnOnce() -> String) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(value).map_err(|error| Error::io("cannot print the answer", error))?
        } else {
            words()
        };
        // An empty list is an answer too, and prints nothing.
        if text.is_empty() {
            return Ok(());
        }
        match writeln!(std::io::stdout(), "{text}") {
            // `| head` has seen enough: the work goes on, and its exit code tells how it went.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed.map_err(|error| Error::io("cannot print the answer", error)),
        }
    }

    /// One of many lines: behind `| head`, which has seen enough, there is no reason to go on.
    ///
    /// # Errors
    /// [`Error::NoReader`], or what standard output failed with.
    pub(crate) fn line<T: Serialize>(&self, value: &T, words: impl FnOnce() -> String) -> Result<()> {
        let text = match self.json {
            true => {
                serde_json::to_string(value).map_err(|error| Error::io("cannot print the answer", error))?
            }
            false => words(),
        };
        writeln!(std::io::stdout(), "{text}").map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Error::NoReader,
            _ => Error::io("cannot print the answer", error),
        })
    }

    /// For commands that have nothing to tell but that it is done: silent for people's scripts, an
    /// object for others.
    pub(crate) fn done(&self, what: &str, place: &Path) -> Result<()> {
        if self.json {
            self.show(
                &serde_json::json!({ "done": what, "place": crate::path::json(place) }),
                String::new,
            )
        } else {
            Ok(())
        }
    }

    /// Prints a failure; its exit code is the caller's.
    pub(crate) fn fail(&self, error: &Error) {
        if self.json {
            let exit = error.exit();
            let value =
                serde_json::json!({ "error": error.to_string(), "exit": exit as u8, "kind": exit.kind() });
            let _ = self.show(&value, String::new);
        } else {
            // `eprintln` would panic where standard error is a pipe that was closed.
            let _ = writeln!(std::io::stderr(), "cairn: {error}");
        }
    }
}

/// A bar on a terminal; nothing anywhere else.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For work of unknown length. Draws nothing in the first two seconds.
    pub(crate) fn spinner(out: &Output, what: &'static str) -> Self {
        let bar = Self::hidden_in_json(out, ProgressBar::no_length());
        let ticking = bar.clone();
        bar.set_message(what);
        // A thread that outlives a short command is ended with it.
        let _ = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            if !ticking.is_finished() {
                ticking.enable_steady_tick(Duration::from_millis(120));
            }
        });
        Self(bar)
    }

    /// For blocks verified.
    pub(crate) fn blocks(out: &Output) -> Self {
        let bar = Self::hidden_in_json(out, ProgressBar::new(0));
        let template = "{bar:40} {percent:>3} % {human_pos} of {human_len} blocks, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn hidden_in_json(out: &Output, bar: ProgressBar) -> ProgressBar {
        if out.json {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar
    }

    /// How far it is.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total.max(done));
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.0.finish_and_clear();
    }
}

/// Bytes done so far, of work of unknown length. Draws nothing in the first two seconds.
pub(crate) struct Bytes {
    bar: Progress,
    begun: Instant,
}

impl Bytes {
    /// `what` is done with the bytes.
    pub(crate) fn start(out: &Output, what: &'static str) -> Self {
        let bar = Progress::hidden_in_json(out, ProgressBar::no_length());
        bar.set_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} {msg}, {bytes_per_sec}, {elapsed}")
        {
            bar.set_style(style);
        }
        Self {
            bar: Progress(bar),
            begun: Instant::now(),
        }
    }

    /// How far it is.
    pub(crate) fn set(&self, bytes: u64) {
        if self.begun.elapsed() > Duration::from_secs(2) {
            self.bar.0.set_position(bytes);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish();
    }
}
