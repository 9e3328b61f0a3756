//! A session: the lanes of one client to one volume.
//!
//! ```text
//!   enter --> lane --begin--> a request under way --> ends      end: cut all lanes, wait for what is under way
//! ```

use crate::failure::{Code, Failure};
use crate::hello::Access;
use crate::socket::Ender;
use cairn_block::BlockStore;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The lanes of one client to one volume.
pub(super) struct Session {
    /// What its lanes join with.
    pub(super) token: [u8; 32],
    pub(super) access: Access,
    pub(super) store: Arc<dyn BlockStore>,
    state: Mutex<State>,
    /// Nothing is under way any more.
    still: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    /// The client will not write again: the lease need not outlive its lanes.
    is_closed: bool,
    running: usize,
    lanes: FxHashMap<u64, Ender>,
    entered: u64,
    /// When the last lane went.
    left: Option<Instant>,
}

/// A lane of a session.
pub(super) struct Entered<'a> {
    session: &'a Session,
    number: u64,
}

/// A request under way.
pub(super) struct Running<'a>(&'a Session);

fn over() -> Failure {
    Failure::new(Code::NoSession, "this session is over")
}

impl Session {
    pub(super) fn new(token: [u8; 32], access: Access, store: Arc<dyn BlockStore>) -> Self {
        Self {
            token,
            access,
            store,
            state: Mutex::default(),
            still: Condvar::new(),
        }
    }

    /// Adds a lane, which `ender` cuts.
    pub(super) fn enter(&self, ender: Ender, lanes_max: usize) -> Result<Entered<'_>, Failure> {
        let mut state = self.state.lock();
        if state.is_over {
            return Err(over());
        }
        if state.lanes.len() >= lanes_max {
            return Err(Failure::new(Code::Refused, "the session has too many lanes"));
        }
        state.entered += 1;
        let number = state.entered;
        state.lanes.insert(number, ender);
        Ok(Entered {
            session: self,
            number,
        })
    }

    /// Begins a request: the session does not end before it has.
    pub(super) fn begin(&self) -> Result<Running<'_>, Failure> {
        let mut state = self.state.lock();
        if state.is_over {
            return Err(over());
        }
        state.running += 1;
        Ok(Running(self))
    }

    /// The client will not write again.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
    }

    /// Cuts all lanes and waits for what is under way; whether all of it ended in time.
    pub(super) fn end(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.state.lock();
        state.is_over = true;
        state.lanes.values().for_each(Ender::end);
        while state.running > 0 {
            if self.still.wait_until(&mut state, until).timed_out() {
                return state.running == 0;
            }
        }
        true
    }

    /// Whether it has had lanes, and has none.
    pub(super) fn is_deserted(&self) -> bool {
        let state = self.state.lock();
        state.entered > 0 && state.lanes.is_empty()
    }

    /// Until when no other client gets the lease, if nothing more is heard of this one.
    pub(super) fn holds_until(&self, lease: Duration) -> Instant {
        let state = self.state.lock();
        match state.left {
            Some(left) if state.lanes.is_empty() && state.is_closed => left,
            Some(left) if state.lanes.is_empty() => left + lease,
            _ => Instant::now() + lease,
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = self.session.state.lock();
        state.lanes.remove(&self.number);
        state.left = Some(Instant::now());
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.running -= 1;
        if state.running == 0 {
            self.0.still.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Socket;
    use cairn_block::MemoryStore;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_session_ends_after_what_is_under_way_and_begins_nothing_more() {
        let session = Session::new([0; 32], Access::Write, Arc::new(MemoryStore::new()));
        let (near, _far) = UnixStream::pair().unwrap();
        let ender = Socket::new(near.into()).ender();
        let lane = session.enter(ender.clone(), 1).unwrap();
        assert!(
            session.enter(ender.clone(), 1).is_err(),
            "no more lanes than allowed"
        );
        let running = session.begin().unwrap();
        assert!(!session.end(Duration::from_millis(1)));
        assert!(session.begin().is_err() && session.enter(ender, 9).is_err());
        std::thread::scope(|scope| {
            let ending = scope.spawn(|| session.end(Duration::from_secs(60)));
            drop(running);
            assert!(ending.join().unwrap());
        });
        let lease = Duration::from_secs(60);
        assert!(!session.is_deserted());
        drop(lane);
        assert!(session.is_deserted());
        assert!(session.holds_until(lease) > Instant::now());
        session.close();
        assert!(session.holds_until(lease) <= Instant::now());
    }
}
