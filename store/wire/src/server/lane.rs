//! One lane: a greeting, then request by request.

use super::base::Server;
use super::perform::{Staged, perform};
use super::session::Session;
use crate::error::WireError;
use crate::failure::{Code, Failure};
use crate::frame::{AGAIN, Incoming, Message, PAYLOAD_MAX, receive, send};
use crate::hello::Access;
use crate::request::Request;
use crate::socket::Socket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

impl Server {
    /// Serves one lane on this thread, until the client ends it or breaks the protocol.
    pub fn serve(&self, socket: OwnedFd) {
        if let Err(error) = serve(self, socket) {
            tracing::debug!(%error, "a lane ended");
        }
    }
}

fn serve(server: &Server, socket: OwnedFd) -> Result<(), WireError> {
    let patience = server.options.patience;
    let mut socket = Socket::new(socket);
    socket.set_deadline(Instant::now() + patience);
    let greeting = receive(&mut socket, 0)?;
    let (session, welcome) = match server.greet(&greeting) {
        Ok(found) => found,
        Err(failure) => return send(&mut socket, greeting.id, &failure.encode()),
    };
    let served = run(server, &session, &mut socket, (greeting.id, &welcome));
    server.leave(&session);
    match served {
        Err(WireError::Ended) => Ok(()),
        other => other,
    }
}

fn run(
    server: &Server,
    session: &Arc<Session>,
    socket: &mut Socket,
    (id, welcome): (u64, &Message),
) -> Result<(), WireError> {
    let patience = server.options.patience;
    let _lane = match session.enter(socket.ender(), server.options.lanes_max) {
        Ok(lane) => lane,
        Err(failure) => return send(socket, id, &failure.encode()),
    };
    send(socket, id, welcome)?;
    let mut staged = Staged::default();
    loop {
        socket.wait_then(patience);
        let frame = receive(socket, PAYLOAD_MAX)?;
        let answer = answer(session, &mut staged, &frame);
        socket.set_write_deadline(Instant::now() + patience);
        if let Some(answer) = answer {
            send(socket, frame.id, &answer)?;
        }
    }
}

/// What a request is answered with; nothing where names were staged.
fn answer(session: &Session, staged: &mut Staged, frame: &Incoming) -> Option<Message> {
    let Some(request) = Request::decode(frame) else {
        let failure = Failure::new(Code::Refused, "that is no request");
        return Some(failure.encode());
    };
    if request.changes() && session.access == Access::Read {
        let failure = Failure::new(Code::ReadOnly, "this session only reads");
        return Some(failure.encode());
    }
    let _running = match session.begin() {
        Ok(running) => running,
        Err(failure) => return Some(failure.encode()),
    };
    if request == Request::Close {
        session.close();
    }
    let again = frame.flags & AGAIN != 0;
    match perform(&*session.store, request, again, staged) {
        Ok(answer) => answer,
        Err(failure) => Some(failure.encode()),
    }
}
