//! A store in a directory, its server as a process of its own, and connections to it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses what it needs; the lint spares test functions, not what they share"
)]

use bytes::Bytes;
use cairn_block::{Cid, Codec, Epoch, HeadSwap, LogPos, Sealed};
use cairn_store::{RocksStore, StoreOptions};
use cairn_wire::{Client, ClientOptions, Connect};
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) fn block(n: u64, len: usize) -> Sealed {
    let mut bytes = vec![n as u8; len.max(8)];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Sealed::new(Cid::of(Codec::Leaf, &bytes), Bytes::from(bytes))
}

pub(crate) fn pos(seq: u64) -> LogPos {
    LogPos { epoch: Epoch(1), seq }
}

pub(crate) fn swap<'a>(expected: Option<&'a [u8]>, head: &'a [u8], delete: &'a [Cid]) -> HeadSwap<'a> {
    HeadSwap {
        expected,
        head,
        header: None,
        root_block: b"root block",
        delete,
        settled: Epoch(0),
        restarts_log: false,
    }
}

pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        wait: Duration::from_secs(60),
        wait_long: Duration::from_secs(60),
        ..ClientOptions::default()
    }
}

struct Server {
    dir: TempDir,
    process: Mutex<Option<Child>>,
}

/// A server that is started with the first connection, and again after it was killed.
#[derive(Clone)]
pub(crate) struct Stage(Arc<Server>);

impl Stage {
    /// Over a new, empty store.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::create(&dir.path().join("store"), &StoreOptions::default()).unwrap();
        drop(store);
        Self(Arc::new(Server {
            dir,
            process: Mutex::default(),
        }))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.dir.path().join("store")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.dir.path().join("socket")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(Box::new(self.clone()), options()).unwrap()
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.0.process.lock().unwrap().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM; the code that the process ends with.
    pub(crate) fn terminate(&self) -> Option<i32> {
        let mut process = self.0.process.lock().unwrap().take().unwrap();
        let pid = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        process.wait().unwrap().code()
    }

    /// The process id of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.0.process.lock().unwrap().as_ref().unwrap().id()
    }

    fn start(&self) -> io::Result<Child> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cairn-store"))
            .arg("serve")
            .arg(self.store())
            .arg("--socket")
            .arg(self.socket())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says so when it listens.
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        match line.starts_with("listening") {
            true => Ok(process),
            false => Err(io::Error::other(format!("{}", process.wait()?))),
        }
    }
}

impl Connect for Stage {
    fn connect(&self, _: Instant) -> io::Result<OwnedFd> {
        let mut process = self.0.process.lock().unwrap();
        if process.is_none() {
            *process = Some(self.start()?);
        }
        Ok(UnixStream::connect(self.socket())?.into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.get_mut().unwrap().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
