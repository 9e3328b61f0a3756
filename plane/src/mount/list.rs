//! `cairn list`: all mounts, with what each holds and whether it answers.
//!
//! ```text
//!  records of the run directory --.                  .--> its daemon, asked on a thread of its own, until the time is over
//!  the kernel's table of mounts --+--> one row each -+
//!                                                    `--> no daemon of this user: as the table has it
//! ```
//!
//! **Invariant:** no path below a mount is looked at: a daemon that hangs would hold the list up.

use crate::cli::see::ListArgs;
use crate::error::{Error, Result};
use crate::mount::control::{Answer, Client, Request};
use crate::mount::mountpoint::{self, Entry};
use crate::mount::state::Record;
use crate::output::Output;
use crate::report::{MountReport, Trouble};
use crate::text::human;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How a mount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Its daemon answers.
    Live,
    /// Its daemon answers that something is wrong.
    Troubled,
    /// There is a mount, and no daemon behind it.
    DaemonGone,
    /// There is a daemon, and it says nothing.
    NotAnswering,
    /// Nothing in this run directory tells of its daemon: it is another user's, or of another run directory.
    Unknown,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Troubled => "troubled",
            Self::DaemonGone => "daemon gone",
            Self::NotAnswering => "not answering",
            Self::Unknown => "unknown",
        }
    }
}

/// One mount.
#[derive(Debug, Serialize)]
struct Row {
    state: State,
    /// `ro` or `rw`.
    mode: Option<&'static str>,
    /// Bytes that it holds.
    used_bytes: Option<u64>,
    /// Bytes that it may hold, if there is a limit.
    quota_bytes: Option<u64>,
    pid: Option<u32>,
    /// The user of its daemon.
    user: Option<u32>,
    #[serde(with = "crate::path")]
    mountpoint: PathBuf,
    /// The store; of a mount without a record, what the table of mounts calls its source.
    #[serde(with = "crate::path")]
    store: PathBuf,
    /// What is wrong.
    trouble: Option<Trouble>,
}

/// `list`.
pub(crate) fn list(args: &ListArgs, out: &Output) -> Result<()> {
    let me = rustix::process::geteuid();
    let mut table = mountpoint::all_of_cairn();
    let mut rows = Vec::new();
    let mut asked = Vec::new();
    for record in Record::all()? {
        let own = |entry: &Entry| entry.at == record.mountpoint && record.is_of(&entry.device);
        let mounted = table.iter().position(own).map(|at| table.swap_remove(at));
        let row = Row::of(&record, mounted.as_ref());
        match (record.alive(), mounted) {
            (true, _) => asked.push((record, row)),
            (false, Some(_)) => rows.push(row),
            // What a killed daemon left, of a mount that is gone.
            (false, None) => {}
        }
    }
    rows.extend(ask(asked, args.timeout)?);
    let others = table
        .into_iter()
        .filter(|entry| me.is_root() || entry.user == Some(me.as_raw()));
    rows.extend(others.map(Row::of_entry));
    rows.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
    out.show(&rows, || words(&rows))
}

/// Asks all daemons at once. Those that say nothing in time have the rows they came with.
fn ask(daemons: Vec<(Record, Row)>, time: Duration) -> Result<Vec<Row>> {
    let end = Instant::now() + time;
    let (sender, answers) = mpsc::channel();
    let mut rows = Vec::new();
    for (at, (record, row)) in daemons.into_iter().enumerate() {
        rows.push(row);
        let sender = sender.clone();
        // Not waited for: a daemon that says a little, again and again, ends with the command.
        let thread = std::thread::Builder::new().name("list".into());
        let asked = thread.spawn(move || drop(sender.send((at, status(record, time)))));
        asked.map_err(|error| Error::io("cannot start a thread", error))?;
    }
    drop(sender);
    // Ends when all have answered, too: then no sender is left.
    while let Ok((at, answer)) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
        rows[at].answered(answer);
    }
    Ok(rows)
}

fn status(record: Record, time: Duration) -> Result<Box<MountReport>> {
    match Client::of_within(record, time)?.ask(&Request::Status, |_, _| {})? {
        Answer::Status(report) => Ok(report),
        _ => Err(Error::NotAnswering("it is of another version of cairn".into())),
    }
}

impl Row {
    /// As the record has it: of a daemon that runs, as if it did not answer.
    fn of(record: &Record, mounted: Option<&Entry>) -> Self {
        let state = match record.alive() {
            true => State::NotAnswering,
            false => State::DaemonGone,
        };
        Self {
            state,
            mode: mounted.map(mode),
            used_bytes: None,
            quota_bytes: None,
            pid: Some(record.pid),
            user: mounted.and_then(|entry| entry.user),
            mountpoint: record.mountpoint.clone(),
            store: record.store.clone(),
            trouble: None,
        }
    }

    /// A mount without a record.
    fn of_entry(entry: Entry) -> Self {
        let store = entry.source.strip_prefix("cairn:").unwrap_or(&entry.source);
        Self {
            state: State::Unknown,
            mode: Some(mode(&entry)),
            used_bytes: None,
            quota_bytes: None,
            pid: None,
            user: entry.user,
            store: store.into(),
            mountpoint: entry.at,
            trouble: None,
        }
    }

    fn answered(&mut self, answer: Result<Box<MountReport>>) {
        match answer {
            Ok(report) => {
                self.state = match report.trouble {
                    Some(_) => State::Troubled,
                    None => State::Live,
                };
                self.mode = Some(if report.read_only.is_some() { "ro" } else { "rw" });
                self.used_bytes = Some(report.used_bytes);
                self.quota_bytes = report.quota.bytes.limit;
                self.trouble = report.trouble;
            }
            // Its socket is gone, or nothing listens: another process has its number by now.
            Err(Error::NotMounted(_)) => self.state = State::DaemonGone,
            Err(error) => {
                self.trouble = Some(Trouble {
                    message: error.to_string(),
                    exit: error.exit(),
                });
            }
        }
    }

    fn cells(&self) -> [String; 7] {
        let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
        let path = |path: &PathBuf| path.to_string_lossy().replace(char::is_control, "?");
        [
            self.state.words().into(),
            or_dash(self.mode.map(Into::into)),
            or_dash(self.used_bytes.map(human)),
            or_dash(self.quota_bytes.map(human)),
            or_dash(self.pid.map(|pid| pid.to_string())),
            path(&self.mountpoint),
            path(&self.store),
        ]
    }
}

fn mode(entry: &Entry) -> &'static str {
    if entry.read_only { "ro" } else { "rw" }
}

const TITLES: [&str; 7] = ["STATE", "MODE", "USED", "QUOTA", "PID", "MOUNTED AT", "STORE"];

/// A table, and below it what is wrong.
fn words(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut lines = vec![TITLES.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let widths: Vec<usize> = (0..TITLES.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String; 7]| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let troubles = rows.iter().filter_map(|row| {
        let trouble = row.trouble.as_ref()?;
        Some(format!("{}: {}", row.mountpoint.display(), trouble.message))
    });
    lines
        .iter()
        .map(line)
        .chain(troubles)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State, at: &str) -> Row {
        Row {
            state,
            mode: Some("rw"),
            used_bytes: None,
            quota_bytes: None,
            pid: Some(7),
            user: None,
            mountpoint: at.into(),
            store: "/s".into(),
            trouble: None,
        }
    }

    #[test]
    fn the_columns_of_a_list_stand_below_each_other() {
        let rows = [row(State::NotAnswering, "/a\nb"), row(State::Live, "/longer")];
        let words = words(&rows);
        let lines: Vec<_> = words.lines().collect();
        assert_eq!(lines.len(), 3, "{words}");
        let store = lines[0].find("STORE").unwrap();
        assert!(
            lines[1..].iter().all(|line| line.find("/s") == Some(store)),
            "{words}"
        );
        assert!(lines[1].contains("/a?b"));
    }

    #[test]
    fn a_daemon_that_nothing_listens_for_is_gone_and_one_that_fails_otherwise_is_named() {
        let mut gone = row(State::NotAnswering, "/a");
        gone.answered(Err(Error::NotMounted("no".into())));
        assert_eq!(gone.state, State::DaemonGone);
        let mut hung = row(State::NotAnswering, "/a");
        hung.answered(Err(Error::NotAnswering("it hangs".into())));
        assert_eq!(hung.state, State::NotAnswering);
        assert!(words(&[hung]).ends_with("/a: it hangs"));
    }
}
