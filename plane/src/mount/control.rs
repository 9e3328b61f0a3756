//! How commands talk to the daemon that serves a mount.
//!
//! ```text
//! cairn status DIR --one line of JSON--> Unix socket, mode 0600, beside the record (`state.rs`)
//!                  <--progress lines, then one answer--
//! ```
//!
//! The same user, or root, may administer the mount: the socket's mode says so from the moment
//! others can reach it. Requests carry no key. **Invariant:** a client that hangs, lies or goes
//! away costs the daemon one thread and nothing else.
//! A check that has no client any more stops at the next block.

mod deadline;
mod health;
mod snapshots;

use crate::anchor::freshness::Freshness;
use crate::error::{Error, Exit, Result};
use crate::mount::reads::{Wish, server};
use crate::mount::state::{self, Record};
use crate::report::{AnchorReport, CheckOutcome, DifferenceReport, MountReport, QuotaReport, SnapshotReport};
use cairn_fs::{CheckProgress, Engine, KernelMemory};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use snapshots::{SnapshotAsk, run as run_snapshot};

/// The longest request: a path of 4 KiB, of which each byte may stand as a number, and its frame.
const REQUEST_BYTES_MAX: u64 = 32 << 10;
/// A client says what it wants at once.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Request {
    /// How the mount is.
    Status,
    /// Commit.
    Sync,
    /// Commit, and have that anchored.
    SyncAnchored {
        /// Longest wait.
        timeout_ms: Option<u64>,
    },
    /// Take, list, change, compare snapshots.
    Snapshot {
        /// Which of these.
        what: SnapshotAsk,
    },
    /// Verify everything.
    Check,
    /// Change limits: each that is given; 0 lifts it. Tells them in any case.
    Quota {
        /// Bytes.
        bytes: Option<u64>,
        /// Inodes.
        inodes: Option<u64>,
    },
    /// Answer when the volume has been closed. Progress tells of two steps: the mount has ended,
    /// the volume is closed.
    AwaitEnd,
    /// Commit, and end although the mount is in use.
    End,
    /// Read; frames come before the answer (`reads.rs`).
    Read(Wish),
}

/// What the daemon says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Not the last line: how far it is.
    Progress {
        /// Done so far.
        done: u64,
        /// In all, if that is known.
        total: u64,
    },
    /// Nothing to tell but that it is done.
    Done,
    /// To `Status`.
    Status(Box<MountReport>),
    /// To `Snapshot`: one, all, or none to tell of.
    Snapshots {
        /// One, or all.
        snapshots: Vec<SnapshotReport>,
    },
    /// Not the last line: some of what differs.
    Differences {
        /// As many as there were at once.
        rows: Vec<DifferenceReport>,
    },
    /// To `Check`.
    Checked(CheckOutcome),
    /// To `Quota`.
    Quota(QuotaReport),
    /// It failed.
    Failed {
        /// Why.
        message: String,
        /// The code the client should end with.
        exit: Exit,
    },
}

impl From<&Error> for Answer {
    fn from(error: &Error) -> Self {
        Self::Failed {
            message: error.to_string(),
            exit: error.exit(),
        }
    }
}

/// The daemon's side.
pub(crate) struct Server {
    engine: Arc<Engine>,
    record: Record,
    freshness: Freshness,
    kernel: KernelMemory,
    end_mount: Box<dyn Fn() + Send + Sync>,
    end: Mutex<End>,
    changed: Condvar,
}

/// Waiters for the end, and how it came.
#[derive(Default)]
struct End {
    waiting: usize,
    /// The mount is gone from every namespace, and the volume is being closed.
    closing: bool,
    result: Option<std::result::Result<(), (String, Exit)>>,
}

impl Server {
    /// Serves from now on, on threads of its own. `end_mount` is asked when a client wants the
    /// mount to end.
    pub(crate) fn start(
        engine: Arc<Engine>,
        record: Record,
        freshness: Freshness,
        kernel: KernelMemory,
        end_mount: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Self>> {
        let listener = listen(&state::file(&record.mountpoint, "sock")?)?;
        let server = Arc::new(Self {
            engine,
            record,
            freshness,
            kernel,
            end_mount: Box::new(end_mount),
            end: Mutex::default(),
            changed: Condvar::new(),
        });
        let accept = Arc::clone(&server);
        spawn("control", move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&accept);
                // A thread for each: a client that sends nothing keeps no other waiting.
                let served = spawn("control-client", move || server.serve(&stream));
                if let Err(error) = served {
                    tracing::warn!(%error, "cannot serve a control client");
                }
            }
        })?;
        Ok(server)
    }

    /// Tells waiters that the mount has ended, and that closing the volume takes what time
    /// is left.
    pub(crate) fn closing(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Tells waiters how the volume was closed, and gives them a moment to hear it.
    pub(crate) fn ended(&self, result: &Result<()>) {
        let mut end = self.lock();
        end.result = Some(match result {
            Ok(()) => Ok(()),
            Err(error) => Err((error.to_string(), error.exit())),
        });
        self.changed.notify_all();
        // For a second at most: a client that was stopped must not hold the process, and with it
        // the lock of the store.
        let heard = self
            .changed
            .wait_timeout_while(end, Duration::from_secs(1), |end| end.waiting > 0);
        drop(heard);
    }

    fn serve(&self, stream: &UnixStream) {
        let _ = stream.set_read_timeout(Some(REQUEST_TIME_MAX));
        let mut line = String::new();
        // A line that is longer ends at the limit, parses as nothing and is refused.
        if BufReader::new(stream.take(REQUEST_BYTES_MAX))
            .read_line(&mut line)
            .is_err()
        {
            return;
        }
        let waits = match serde_json::from_str::<Request>(&line) {
            Ok(Request::AwaitEnd) => true,
            Ok(request) => {
                let answer = self
                    .answer(&request, stream)
                    .unwrap_or_else(|error| Answer::from(&error));
                send(stream, &answer);
                false
            }
            Err(error) => {
                let message = format!("the daemon does not understand this version of cairn: {error}");
                send(
                    stream,
                    &Answer::Failed {
                        message,
                        exit: Exit::Usage,
                    },
                );
                false
            }
        };
        if waits {
            self.await_end(stream);
        }
    }

    fn await_end(&self, stream: &UnixStream) {
        let mut end = self.lock();
        // Counted, and told, under the lock: `ended` comes before both or after both. The lines
        // are far smaller than the buffer of the socket, so a client that reads nothing blocks
        // nothing.
        end.waiting += 1;
        // From here on the end cannot be missed: the client may unmount.
        send(stream, &Answer::Progress { done: 0, total: 2 });
        end = self
            .changed
            .wait_while(end, |end| !end.closing && end.result.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        send(stream, &Answer::Progress { done: 1, total: 2 });
        end = self
            .changed
            .wait_while(end, |end| end.result.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let answer = match &end.result {
            Some(Err((message, exit))) => Answer::Failed {
                message: message.clone(),
                exit: *exit,
            },
            _ => Answer::Done,
        };
        send(stream, &answer);
        end.waiting -= 1;
        self.changed.notify_all();
    }

    fn answer(&self, request: &Request, stream: &UnixStream) -> Result<Answer> {
        Ok(match request {
            Request::Status => {
                let freshness = AnchorReport::new(&self.engine.standing(), &self.freshness);
                let mut report = MountReport::new(
                    &self.record,
                    &self.engine.status(),
                    freshness,
                    &self.engine.damage(),
                );
                report.trouble = health::trouble(&self.engine, &self.freshness, &self.record.store);
                Answer::Status(Box::new(report))
            }
            Request::SyncAnchored { timeout_ms } => {
                self.freshness.sync(timeout_ms.map(Duration::from_millis))?;
                Answer::Done
            }
            Request::Check => {
                let progress = |progress: CheckProgress| {
                    let (done, total) = (progress.blocks_done, progress.blocks_total);
                    send(stream, &Answer::Progress { done, total });
                };
                let wanted = || !deadline::has_gone(stream);
                let found = self.engine.check_while(&progress, &wanted);
                if matches!(found, Err(cairn_fs::Error::GivenUp)) {
                    tracing::info!("a check was given up: its client has gone away");
                }
                Answer::Checked(found?.into())
            }
            Request::Sync => {
                self.engine.sync()?;
                Answer::Done
            }
            Request::Snapshot { what } => {
                let mut tell = |rows| {
                    send(stream, &Answer::Differences { rows });
                    !deadline::has_gone(stream)
                };
                let mount = Some((&self.kernel, self.record.mountpoint.as_path()));
                Answer::Snapshots {
                    snapshots: snapshots::run(&self.engine, what, mount, &mut tell)?,
                }
            }
            Request::Quota { bytes, inodes } => Answer::Quota(quota(&self.engine, *bytes, *inodes)?),
            Request::End => {
                // Before the mount is taken away: if this fails, the mount stays, and its users
                // can copy elsewhere what they have.
                self.engine.commit()?;
                (self.end_mount)();
                Answer::Done
            }
            Request::Read(wish) => {
                server::serve(&self.engine, &self.record, wish, stream)?;
                Answer::Done
            }
            Request::AwaitEnd => Answer::Done,
        })
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verifies everything; the same with and without a daemon.
pub(crate) fn check(engine: &Engine, progress: &(dyn Fn(CheckProgress) + Sync)) -> Result<CheckOutcome> {
    Ok(engine.check(progress)?.into())
}

/// Changes the limits that are given, and tells all; the same with and without a daemon.
pub(crate) fn quota(engine: &Engine, bytes: Option<u64>, inodes: Option<u64>) -> Result<QuotaReport> {
    let limit = |given: u64| Some(given).filter(|given| *given > 0);
    if bytes.is_some() || inodes.is_some() {
        engine.change_quota(|quota| {
            quota.bytes = bytes.map_or(quota.bytes, limit);
            quota.inodes = inodes.map_or(quota.inodes, limit);
        })?;
    }
    Ok(QuotaReport::from(&engine.status()))
}

/// A socket at `path` that is private before it is there: it is made in a directory that no other
/// user can enter.
fn listen(path: &Path) -> Result<UnixListener> {
    let private = path.with_extension("new");
    let socket = private.join("s");
    // What a daemon that was killed meanwhile left behind.
    let _ = std::fs::remove_dir_all(&private);
    let made = std::fs::DirBuilder::new().mode(0o700).create(&private);
    made.map_err(Error::at("create", &private))?;
    let listener = UnixListener::bind(&socket).map_err(Error::at("listen on", &socket))?;
    // In the private directory still: the socket has its mode before it has the name that clients
    // use. The rename replaces the socket of a daemon that was killed.
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&socket, mode).map_err(Error::at("protect", &socket))?;
    std::fs::rename(&socket, path).map_err(Error::at("rename", &socket))?;
    let _ = std::fs::remove_dir(&private);
    Ok(listener)
}

/// A client that went away does not matter here: what changes something is done all the same, and a
/// check looks for its client.
fn send(mut stream: &UnixStream, answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let _ = stream.write_all(&line);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread
        .map(drop)
        .map_err(|error| Error::io("cannot start a thread", error))
}

/// The record of the daemon that serves `place`.
fn found(place: &Path) -> Result<Record> {
    Record::find(place)?.ok_or_else(|| {
        let at = place.display();
        Error::NotMounted(format!(
            "no daemon of yours serves {at}: mount the volume, or name the store of one that is not mounted"
        ))
    })
}

/// The command's side: one request, and answers until the last.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    record: Record,
}

impl Client {
    /// Reaches the daemon that serves `place`, or says that there is none.
    pub(crate) fn connect(place: &Path) -> Result<Self> {
        Self::of(found(place)?)
    }

    /// Reaches the daemon with this record.
    pub(crate) fn of(record: Record) -> Result<Self> {
        Self::reach(record, None)
    }

    /// As [`Self::connect`], for a daemon that may hang: each answer comes within `time`, or is
    /// [`Error::NotAnswering`].
    pub(crate) fn connect_within(place: &Path, time: Duration) -> Result<Self> {
        Self::of_within(found(place)?, time)
    }

    /// As [`Self::of`], for a daemon that may hang.
    pub(crate) fn of_within(record: Record, time: Duration) -> Result<Self> {
        Self::reach(record, Some(time))
    }

    fn reach(record: Record, time: Option<Duration>) -> Result<Self> {
        Ok(Self::over(deadline::reach(&record, time)?, record))
    }

    /// Over a connection to the daemon with this record.
    pub(crate) fn over(stream: UnixStream, record: Record) -> Self {
        let stream = BufReader::new(stream);
        Self { stream, record }
    }

    /// The daemon's record.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Asks; [`Self::next`] brings the answers.
    pub(crate) fn send(&mut self, request: &Request) -> Result<()> {
        let mut line =
            serde_json::to_vec(request).map_err(|error| Error::io("cannot ask the daemon", error))?;
        line.push(b'\n');
        if line.len() as u64 > REQUEST_BYTES_MAX {
            return Err(Error::Usage(
                "a name or path is longer than a daemon can be asked for".into(),
            ));
        }
        self.stream
            .get_mut()
            .write_all(&line)
            .map_err(|error| Error::io("cannot ask the daemon", error))
    }

    /// The socket, for what is no line.
    pub(crate) fn stream(&mut self) -> &mut BufReader<UnixStream> {
        &mut self.stream
    }

    /// Whether the daemon says something within `time`.
    pub(crate) fn says_within(&self, time: Duration) -> bool {
        let mut heard = [PollFd::new(self.stream.get_ref(), PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        !self.stream.buffer().is_empty() || matches!(poll(&mut heard, time.as_ref()), Ok(1..))
    }

    /// The next line of the daemon. A failure it reports is this command's failure.
    pub(crate) fn next(&mut self) -> Result<Answer> {
        let gone = || {
            Error::NotMounted(format!(
                "the daemon (pid {}) ended without an answer",
                self.record.pid
            ))
        };
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Err(error) if deadline::is_over(&error) => return Err(deadline::silent(&self.record)),
            // A daemon that is killed closes its sockets: this wait ends with it.
            Ok(0) | Err(_) => return Err(gone()),
            Ok(_) => {}
        }
        match serde_json::from_str(&line)
            .map_err(|error| Error::io("the daemon's answer makes no sense", error))?
        {
            Answer::Failed { message, exit } => Err(Error::Remote { message, exit }),
            answer => Ok(answer),
        }
    }

    /// Asks, and waits for the last answer; `progress` hears the others.
    pub(crate) fn ask(&mut self, request: &Request, mut progress: impl FnMut(u64, u64)) -> Result<Answer> {
        self.send(request)?;
        loop {
            match self.next()? {
                Answer::Progress { done, total } => progress(done, total),
                answer => return Ok(answer),
            }
        }
    }
}
