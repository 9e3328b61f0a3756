//! The session of a client, and its lanes.
//!
//! ```text
//!   take --> idle lane | a new one that joins | no session: one caller says hello, the others wait
//!   give_back          lose: the lanes of a generation are dropped, and the next caller says hello
//! ```
//!
//! A generation is one session, as the client counts them.

use super::connect::Connect;
use super::lane::Lane;
use crate::answer::DONE;
use crate::error::WireError;
use crate::failure::{Code, Failure};
use crate::frame::{Incoming, Message};
use crate::hello::{Access, Hello, VERSION, Welcome, join};
use cairn_block::StoreError;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::io;
use std::time::{Duration, Instant};

/// Pauses between attempts to reach a server, the first and the longest.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(2);
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What is new in a session, as against the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) generation: u64,
    /// The server was started anew: what it had in memory is gone.
    pub(super) is_lost: bool,
    /// Its machine was.
    pub(super) is_rebooted: bool,
}

/// Why there is no lane.
#[derive(Debug)]
pub(super) enum Lost {
    /// The server refuses.
    Refused(Failure),
    /// It was not reached in time.
    Late(Option<WireError>),
}

impl Lost {
    pub(super) fn into_error(self, verb: &'static str) -> StoreError {
        match self {
            Self::Refused(failure) => failure.into_error(verb),
            Self::Late(Some(why)) => StoreError::io(verb, why.into_io()),
            Self::Late(None) => StoreError::io(verb, io::ErrorKind::TimedOut.into()),
        }
    }
}

/// What a new session does before anything else is sent in it.
pub(super) type Renew<'a> = &'a dyn Fn(&mut Lane, &Change) -> Result<(), WireError>;

/// The lanes of one client.
pub(super) struct Pool {
    connect: Box<dyn Connect>,
    hello: Hello,
    lanes_max: usize,
    state: Mutex<State>,
    /// A lane came back, a session began or was lost.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    generation: u64,
    /// The token of the session, while there is one.
    token: Option<[u8; 32]>,
    is_greeting: bool,
    idle: Vec<Lane>,
    lanes: usize,
    /// What the last welcome said.
    known: Option<Welcome>,
    /// Another client has the volume: for good.
    fenced: Option<Failure>,
}

impl Pool {
    pub(super) fn new(connect: Box<dyn Connect>, hello: Hello, lanes_max: usize) -> Self {
        Self {
            connect,
            hello,
            lanes_max: lanes_max.max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn fence(&self) -> u64 {
        self.state
            .lock()
            .known
            .as_ref()
            .map_or(0, |welcome| welcome.fence)
    }

    /// A lane of the session, or of a new one if there is none.
    pub(super) fn take(&self, until: Instant, renew: Renew<'_>) -> Result<Lane, Lost> {
        let mut state = self.state.lock();
        let (mut pause, mut refused) = (PAUSE_MIN, None);
        loop {
            if let Some(failure) = &state.fenced {
                return Err(Lost::Refused(failure.clone()));
            }
            let tried = match state.token {
                Some(token) => match state.idle.pop() {
                    Some(lane) => return Ok(lane),
                    None if state.lanes < self.lanes_of(&state) => Some(self.join(&mut state, &token, until)),
                    None => None,
                },
                None if !state.is_greeting => Some(self.greet(&mut state, until, renew)),
                None => None,
            };
            let why = match tried {
                Some(Ok(Some(lane))) => return Ok(lane),
                // The session was lost meanwhile.
                Some(Ok(None)) => continue,
                Some(Err(Lost::Refused(failure))) if self.is_final(&mut state, &failure) => {
                    return Err(Lost::Refused(failure));
                }
                Some(Err(why)) => Some(why),
                None => None,
            };
            if let Some(Lost::Refused(failure)) = &why {
                refused = Some(failure.clone());
            }
            let now = Instant::now();
            if now >= until {
                // What the server said says more than that the time was over.
                return Err(refused.map_or_else(|| why.unwrap_or(Lost::Late(None)), Lost::Refused));
            }
            // Without an attempt of its own, a caller waits for the others'.
            let wake = match why {
                Some(_) => until.min(now + pause),
                None => until,
            };
            if why.is_some() {
                pause = (pause * 2).min(PAUSE_MAX);
            }
            self.changed.wait_until(&mut state, wake);
        }
    }

    fn lanes_of(&self, state: &State) -> usize {
        let allowed = state
            .known
            .as_ref()
            .map_or(1, |welcome| usize::from(welcome.lanes));
        self.lanes_max.min(allowed.max(1))
    }

    /// Whether a refusal is worth no further attempt. A client that was never welcomed hears of
    /// it at once; after that, a server may be on its way down or up.
    fn is_final(&self, state: &mut State, failure: &Failure) -> bool {
        if failure.code == Code::Fenced {
            state.fenced = Some(failure.clone());
        }
        state.fenced.is_some() || state.known.is_none() && failure.code != Code::Busy
    }

    /// A lane more for the session, or `None` where that was lost meanwhile.
    fn join(
        &self,
        state: &mut MutexGuard<'_, State>,
        token: &[u8; 32],
        until: Instant,
    ) -> Result<Option<Lane>, Lost> {
        let generation = state.generation;
        state.lanes += 1;
        let joined = MutexGuard::unlocked(state, || self.begin(generation, &join(token), until));
        match joined {
            Ok((lane, _)) if state.generation == generation => Ok(Some(lane)),
            Ok(_) => Ok(None),
            Err(why) => {
                self.forget(state, generation);
                Err(why)
            }
        }
    }

    /// Begins a session; its first lane.
    fn greet(
        &self,
        state: &mut MutexGuard<'_, State>,
        until: Instant,
        renew: Renew<'_>,
    ) -> Result<Option<Lane>, Lost> {
        state.is_greeting = true;
        let (generation, known) = (state.generation, state.known.clone());
        let greeted = MutexGuard::unlocked(state, || self.say_hello(generation, known, until, renew));
        state.is_greeting = false;
        let greeted = greeted.map(|(lane, welcome)| {
            state.token = Some(welcome.token);
            state.known = Some(welcome);
            state.lanes = 1;
            Some(lane)
        });
        self.changed.notify_all();
        greeted
    }

    fn say_hello(
        &self,
        generation: u64,
        known: Option<Welcome>,
        until: Instant,
        renew: Renew<'_>,
    ) -> Result<(Lane, Welcome), Lost> {
        let hello = Hello {
            fence: known.as_ref().map_or(0, |known| known.fence),
            ..self.hello.clone()
        };
        let (mut lane, frame) = self.begin(generation, &hello.encode(), until)?;
        let broken = |what| Lost::Late(Some(WireError::Broken(what)));
        let welcome = Welcome::decode(&frame).ok_or_else(|| broken("no welcome"))?;
        let leased = (welcome.fence != 0) == (hello.access == Access::Write);
        if welcome.version != VERSION || welcome.capabilities & !hello.capabilities != 0 || !leased {
            return Err(broken("a welcome to what was not asked for"));
        }
        let differs =
            |of: fn(&Welcome) -> [u8; 16]| known.as_ref().is_some_and(|known| of(known) != of(&welcome));
        let change = Change {
            generation,
            is_lost: differs(|welcome| welcome.incarnation),
            is_rebooted: differs(|welcome| welcome.boot),
        };
        renew(&mut lane, &change).map_err(|why| Lost::Late(Some(why)))?;
        Ok((lane, welcome))
    }

    /// A connection whose first frame was answered well.
    fn begin(&self, generation: u64, first: &Message, until: Instant) -> Result<(Lane, Incoming), Lost> {
        let late = |why| Lost::Late(Some(why));
        let socket = self.connect.connect(until).map_err(|why| late(why.into()))?;
        let mut lane = Lane::new(socket, generation);
        let first = std::slice::from_ref(first);
        let frame = lane.exchange(first, until).map_err(late)?;
        if frame.kind == DONE {
            return Ok((lane, frame));
        }
        match Failure::decode(&frame) {
            Some(failure) => Err(Lost::Refused(failure)),
            None => Err(late(WireError::Broken("a greeting of an unknown kind"))),
        }
    }

    /// A lane that is idle again.
    pub(super) fn give_back(&self, lane: Lane) {
        let mut state = self.state.lock();
        if state.generation == lane.generation {
            state.idle.push(lane);
            self.changed.notify_one();
        }
    }

    /// A lane of this generation broke: all of them are given up.
    pub(super) fn lose(&self, generation: u64) {
        let mut state = self.state.lock();
        self.forget(&mut state, generation);
    }

    /// Waits, but not past `until`.
    pub(super) fn pause(&self, pause: Duration, until: Instant) {
        let wake = until.min(Instant::now() + pause);
        let mut state = self.state.lock();
        while Instant::now() < wake {
            self.changed.wait_until(&mut state, wake);
        }
    }

    fn forget(&self, state: &mut State, generation: u64) {
        if state.generation == generation {
            state.generation += 1;
            state.token = None;
            state.lanes = 0;
            state.idle.clear();
            self.changed.notify_all();
        }
    }
}
