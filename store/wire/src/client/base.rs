//! What all calls of a client share: sending, waiting, judging the answer, sending again.

use super::connect::Connect;
use super::kept::Kept;
use super::lane::Lane;
use super::pool::{Change, Lost, PAUSE_MAX, PAUSE_MIN, Pool};
use super::sizes::Sizes;
use crate::answer::DONE;
use crate::error::WireError;
use crate::failure::{Code, Failure};
use crate::frame::{AGAIN, FIELDS_MAX, Incoming, Message, PAYLOAD_MAX};
use crate::hello::{Access, Hello, VERSION};
use crate::random::random;
use crate::request::Request;
use cairn_block::StoreError;
use parking_lot::Mutex;
use std::io;
use std::time::{Duration, Instant};

/// What a client asks for, and how long it waits.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the volume; empty where the server has one only.
    pub volume: String,
    /// Whether it may change anything.
    pub access: Access,
    /// Requests under way at a time; the next ones wait.
    pub lanes_max: usize,
    /// How long a call may take that only reads or queues, server restarts included.
    pub wait: Duration,
    /// The same for a call that waits for a device: a sync, a swap, a reclaim.
    pub wait_long: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            volume: String::new(),
            access: Access::Write,
            lanes_max: 32,
            wait: Duration::from_secs(60),
            wait_long: Duration::from_secs(300),
        }
    }
}

/// Senseless answers to one call before it fails.
const BROKEN_MAX: u32 = 3;

/// A store behind a socket. See the module's picture.
pub struct Client {
    pool: Pool,
    pub(super) kept: Mutex<Kept>,
    pub(super) sizes: Sizes,
    pub(super) options: ClientOptions,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Short,
    Long,
}

impl Client {
    /// Says hello to a server.
    ///
    /// # Errors
    /// Why there is no session: what the server said, or that none was reached in time.
    pub fn connect(connect: Box<dyn Connect>, options: ClientOptions) -> Result<Self, StoreError> {
        let hello = Hello {
            versions: (VERSION, VERSION),
            access: options.access,
            capabilities: 0,
            client: random(),
            fence: 0,
            volume: options.volume.clone(),
        };
        let client = Self {
            pool: Pool::new(connect, hello, options.lanes_max),
            kept: Mutex::default(),
            sizes: Sizes::default(),
            options,
        };
        let lane = client.lane(Instant::now() + client.options.wait);
        let lane = lane.map_err(|lost| lost.into_error("reach its server"))?;
        client.pool.give_back(lane);
        Ok(client)
    }

    /// The number of the lease: it grows with each client that gets one. 0 for a reader.
    pub fn fence(&self) -> u64 {
        self.pool.fence()
    }

    fn lane(&self, until: Instant) -> Result<Lane, Lost> {
        self.pool.take(until, &|lane, change| self.renew(lane, change))
    }

    /// Puts again what a server of another incarnation may not have.
    fn renew(&self, lane: &mut Lane, change: &Change) -> Result<(), WireError> {
        let mut kept = self.kept.lock();
        if change.is_lost {
            kept.put_again(lane)?;
        }
        kept.begin(change.generation, change.is_rebooted);
        Ok(())
    }

    pub(super) fn call<T>(
        &self,
        verb: &'static str,
        wait: Wait,
        request: &Request,
        read: impl Fn(&Incoming) -> Option<T>,
    ) -> Result<T, StoreError> {
        self.call_with(verb, wait, vec![request.encode()], read)
            .map(|(answer, _)| answer)
    }

    /// Sends `messages` over one lane, reads the answer to the last, and says in which session it
    /// came. Sends all of them again for as long as there is time.
    pub(super) fn call_with<T>(
        &self,
        verb: &'static str,
        wait: Wait,
        mut messages: Vec<Message>,
        read: impl Fn(&Incoming) -> Option<T>,
    ) -> Result<(T, u64), StoreError> {
        let is_long =
            |message: &Message| message.fields.len() > FIELDS_MAX || message.payload_len() > PAYLOAD_MAX;
        if messages.iter().any(is_long) {
            return Err(StoreError::io(verb, io::Error::other(WireError::TooLong)));
        }
        let until = Instant::now()
            + match wait {
                Wait::Short => self.options.wait,
                Wait::Long => self.options.wait_long,
            };
        let (mut broken, mut pause) = (0, Duration::ZERO);
        loop {
            let mut lane = self.lane(until).map_err(|lost| lost.into_error(verb))?;
            let generation = lane.generation;
            let why = match lane.exchange(&messages, until) {
                Ok(frame) => match judge(&frame, &read) {
                    Judged::Answer(answer) => {
                        self.pool.give_back(lane);
                        return Ok((answer, generation));
                    }
                    Judged::Failure(failure) => {
                        self.pool.give_back(lane);
                        return Err(failure.into_error(verb));
                    }
                    Judged::Lost(why) => why,
                },
                Err(why) => why,
            };
            // This lane, and with it the session: what was sent may be carried out any time, and
            // only the end of the session says that it will be no more.
            drop(lane);
            self.pool.lose(generation);
            broken += u32::from(matches!(why, WireError::Broken(_)));
            if broken >= BROKEN_MAX || Instant::now() >= until {
                return Err(StoreError::io(verb, why.into_io()));
            }
            tracing::debug!(verb, %why, "the session with the store is lost, and begun anew");
            if let Some(last) = messages.last_mut() {
                last.flags |= AGAIN;
            }
            // At once for the first time. A server that welcomes and then hangs up must not keep
            // this thread busy.
            self.pool.pause(pause, until);
            pause = (pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        }
    }
}

enum Judged<T> {
    Answer(T),
    Failure(Failure),
    Lost(WireError),
}

fn judge<T>(frame: &Incoming, read: &impl Fn(&Incoming) -> Option<T>) -> Judged<T> {
    if frame.kind == DONE {
        return match read(frame) {
            Some(answer) => Judged::Answer(answer),
            None => Judged::Lost(WireError::Broken("an answer of another shape than was asked for")),
        };
    }
    match Failure::decode(frame) {
        Some(failure) if failure.code == Code::NoSession => Judged::Lost(WireError::Ended),
        Some(failure) => Judged::Failure(failure),
        None => Judged::Lost(WireError::Broken("an answer of an unknown kind")),
    }
}
