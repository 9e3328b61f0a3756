//! A server in a thread, over a store in memory, and connections to it that can be cut.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses what it needs; the lint spares test functions, not what they share"
)]

use bytes::Bytes;
use cairn_block::{BlockStore, Blocks, Cid, Codec, Epoch, LogPos, MemoryStore, PutHint, Sealed};
use cairn_wire::{Client, ClientOptions, Connect, Failure, Server, ServerOptions, Volumes};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) fn block(n: u64) -> Sealed {
    let bytes = Bytes::from(format!("block {n}"));
    Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes)
}

pub(crate) fn put(store: &impl Blocks, n: u64) {
    store.put(Epoch(1), &[block(n)], PutHint::Bulk).unwrap();
}

pub(crate) fn pos(seq: u64) -> LogPos {
    LogPos { epoch: Epoch(1), seq }
}

pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        wait: Duration::from_secs(20),
        wait_long: Duration::from_secs(20),
        ..ClientOptions::default()
    }
}

/// One store for every name.
struct Only(Arc<dyn BlockStore>);

impl Volumes for Only {
    fn open(&self, _: &str) -> Result<Arc<dyn BlockStore>, Failure> {
        Ok(Arc::clone(&self.0))
    }
}

/// A server, and the far ends of its sockets.
#[derive(Clone)]
pub(crate) struct Stage {
    server: Arc<Server>,
    sockets: Arc<Mutex<Vec<UnixStream>>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub(crate) fn over(store: Arc<dyn BlockStore>) -> Self {
        let options = ServerOptions {
            lease: Duration::from_millis(20),
            ..ServerOptions::default()
        };
        Self {
            server: Arc::new(Server::new(Box::new(Only(store)), options)),
            sockets: Arc::default(),
        }
    }

    pub(crate) fn connect(&self) -> Box<dyn Connect> {
        Box::new(self.clone())
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.connect(), options()).unwrap()
    }

    /// Cuts all connections there are.
    pub(crate) fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn connected(&self) -> usize {
        self.sockets.lock().unwrap().len()
    }
}

impl Connect for Stage {
    fn connect(&self, _: Instant) -> io::Result<OwnedFd> {
        let (near, far) = UnixStream::pair()?;
        // Of the far end, so that the server hears of the client's.
        let other = far.try_clone()?;
        self.sockets.lock().unwrap().push(far.try_clone()?);
        let server = Arc::clone(&self.server);
        std::thread::spawn(move || {
            server.serve(far.into());
            let _ = other.shutdown(Shutdown::Both);
        });
        Ok(near.into())
    }
}
