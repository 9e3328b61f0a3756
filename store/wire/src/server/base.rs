//! The volumes and sessions of a server: greetings, leases, the end.

use super::session::Session;
use crate::answer;
use crate::failure::{Code, Failure};
use crate::frame::{Incoming, Message};
use crate::hello::{Access, Hello, VERSION, Welcome, read_join};
use crate::random::random;
use cairn_block::BlockStore;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a server finds volumes.
pub trait Volumes: Send + Sync {
    /// Opens a volume. Asked once for each name until the server ends.
    ///
    /// # Errors
    /// What the client is told.
    fn open(&self, name: &str) -> Result<Arc<dyn BlockStore>, Failure>;
}

/// What a server allows, and how long it waits.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Lanes of one session at a time.
    pub lanes_max: usize,
    /// Sessions at a time.
    pub sessions_max: usize,
    /// For a greeting, for what follows the first byte of a request, and for an answer to be taken.
    pub patience: Duration,
    /// How long a lease outlives the last lane of its client.
    pub lease: Duration,
    /// Tells this start of the machine from others.
    pub boot: [u8; 16],
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            lanes_max: 32,
            sessions_max: 64,
            patience: Duration::from_secs(30),
            lease: Duration::from_secs(10),
            boot: [0; 16],
        }
    }
}

/// A volume that is open, and which client writes to it.
struct Volume {
    store: Arc<dyn BlockStore>,
    lease: Mutex<Lease>,
}

#[derive(Default)]
struct Lease {
    /// Grows with each client that gets it.
    fence: u64,
    holder: Option<([u8; 16], Arc<Session>)>,
}

/// Serves volumes. Each lane is a call of [`Self::serve`].
pub struct Server {
    volumes: Box<dyn Volumes>,
    pub(super) options: ServerOptions,
    incarnation: [u8; 16],
    open: Mutex<FxHashMap<String, Arc<Volume>>>,
    sessions: Mutex<FxHashMap<[u8; 32], Arc<Session>>>,
}

impl Server {
    /// A server that has opened nothing yet.
    pub fn new(volumes: Box<dyn Volumes>, options: ServerOptions) -> Self {
        Self {
            volumes,
            options,
            incarnation: random(),
            open: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// Ends every session, waits for what is under way, and closes what is open.
    pub fn drain(&self) {
        let sessions: Vec<_> = self.sessions.lock().drain().collect();
        for (_, session) in sessions {
            session.end(self.options.patience);
        }
        for (name, volume) in self.open.lock().drain() {
            if let Err(error) = volume.store.close() {
                tracing::warn!(%error, name, "a volume was not closed well");
            }
        }
    }

    /// The session that a lane's first frame asks for, and the answer.
    pub(super) fn greet(&self, frame: &Incoming) -> Result<(Arc<Session>, Message), Failure> {
        if let Some(token) = read_join(frame) {
            let session = self.sessions.lock().get(&token).cloned();
            let session = session.ok_or_else(|| Failure::new(Code::NoSession, "there is no such session"))?;
            return Ok((session, answer::nothing()));
        }
        let hello = Hello::decode(frame);
        let hello = hello.ok_or_else(|| Failure::new(Code::Refused, "that is no greeting of Cairn's"))?;
        let (oldest, newest) = hello.versions;
        if !(oldest..=newest).contains(&VERSION) {
            let reason = format!(
                "this store speaks version {VERSION} of the protocol, and the client {oldest} to {newest}"
            );
            return Err(Failure::new(Code::Version, reason));
        }
        let volume = self.volume(&hello.volume)?;
        let (session, fence) = match hello.access {
            Access::Read => (self.add_session(&volume, Access::Read)?, 0),
            Access::Write => self.lease(&volume, &hello)?,
        };
        let welcome = Welcome {
            version: VERSION,
            capabilities: 0,
            fence,
            lanes: u16::try_from(self.options.lanes_max).unwrap_or(u16::MAX),
            token: session.token,
            incarnation: self.incarnation,
            boot: self.options.boot,
        };
        Ok((session, welcome.encode()))
    }

    /// One at a time: the second who asks for a volume finds it open.
    fn volume(&self, name: &str) -> Result<Arc<Volume>, Failure> {
        let mut open = self.open.lock();
        if let Some(volume) = open.get(name) {
            return Ok(Arc::clone(volume));
        }
        let volume = Arc::new(Volume {
            store: self.volumes.open(name)?,
            lease: Mutex::default(),
        });
        open.insert(name.to_owned(), Arc::clone(&volume));
        Ok(volume)
    }

    /// A session that may write, for the client that holds the lease or gets it.
    fn lease(&self, volume: &Volume, hello: &Hello) -> Result<(Arc<Session>, u64), Failure> {
        let mut lease = volume.lease.lock();
        let continues = match &lease.holder {
            Some((client, _)) if *client == hello.client => true,
            Some((_, session)) if session.holds_until(self.options.lease) > Instant::now() => {
                let reason = "another client writes to this volume";
                return Err(Failure::new(Code::Busy, reason));
            }
            _ => false,
        };
        if !continues && hello.fence != 0 && hello.fence < lease.fence {
            let reason = "another client has written to this volume since";
            return Err(Failure::new(Code::Fenced, reason));
        }
        if let Some((_, old)) = &lease.holder {
            self.sessions.lock().remove(&old.token);
            // Before the welcome: else a request of the old session could reach the store behind
            // one that the client sends again.
            if !old.end(self.options.patience) {
                let reason = "the session before this one has a request under way that does not end";
                return Err(Failure::new(Code::Busy, reason));
            }
        }
        let session = self.add_session(volume, Access::Write)?;
        if !continues {
            // Above what the client had before this server was started.
            lease.fence = lease.fence.max(hello.fence) + 1;
        }
        lease.holder = Some((hello.client, Arc::clone(&session)));
        Ok((session, lease.fence))
    }

    fn add_session(&self, volume: &Volume, access: Access) -> Result<Arc<Session>, Failure> {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.options.sessions_max {
            return Err(Failure::new(Code::Busy, "there are too many sessions"));
        }
        let session = Arc::new(Session::new(random(), access, Arc::clone(&volume.store)));
        sessions.insert(session.token, Arc::clone(&session));
        Ok(session)
    }

    /// A lane has gone: without any, a session is over.
    pub(super) fn leave(&self, session: &Session) {
        // Under the lock, so that no lane joins a session that is taken out.
        let mut sessions = self.sessions.lock();
        if session.is_deserted() {
            sessions.remove(&session.token);
        }
    }
}
