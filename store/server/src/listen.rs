//! Where connections come from, and a thread for each.
//!
//! ```text
//!   a socket in the filesystem --accept--\
//!                                         Lanes: one thread each, up to a number
//!   the control socket ---------take-----/
//! ```

use anyhow::{Context, Result, bail};
use cairn_wire::{Server, hand};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Connections at a time, over all sessions.
const LANES_MAX: usize = 256;
/// Enough for what a lane calls, RocksDB included.
const STACK_BYTES: usize = 1 << 20;
/// Before another try, where the kernel has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Threads that serve connections.
pub(crate) struct Lanes {
    server: Arc<Server>,
    /// One reference more for each.
    count: Arc<()>,
}

impl Lanes {
    /// None yet.
    pub(crate) fn new(server: &Arc<Server>) -> Self {
        Self {
            server: Arc::clone(server),
            count: Arc::new(()),
        }
    }

    /// Serves a connection in a thread of its own, or ends it.
    fn serve(&self, socket: OwnedFd) {
        if Arc::strong_count(&self.count) > LANES_MAX {
            tracing::warn!("a connection was refused: there are too many");
            return;
        }
        let (server, counted) = (Arc::clone(&self.server), Arc::clone(&self.count));
        let thread = std::thread::Builder::new()
            .name("lane".into())
            .stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            server.serve(socket);
            drop(counted);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a connection was refused: there is no thread for it");
        }
    }
}

/// Listens at `path`, in place of a socket that a killed server left there.
pub(crate) fn bind(path: &Path) -> Result<UnixListener> {
    let shown = path.display();
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            bail!("{shown} is there and is no socket: choose another place, or remove it");
        }
        if UnixStream::connect(path).is_ok() {
            bail!("a server listens at {shown} already");
        }
        fs::remove_file(path).with_context(|| format!("cannot remove the stale socket {shown}"))?;
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {shown}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot close {shown} to other users"))?;
    Ok(listener)
}

/// Serves what connects, for ever.
pub(crate) fn accept(lanes: &Lanes, listener: &UnixListener) {
    loop {
        match listener.accept() {
            Ok((stream, _)) if is_ours(&stream) => lanes.serve(stream.into()),
            Ok(_) => tracing::warn!("a connection was refused: it is another user's"),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted now");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Serves what is handed over the control socket, until that ends.
pub(crate) fn take(lanes: &Lanes, control: &OwnedFd) {
    loop {
        match hand::take(control) {
            Ok(Some(socket)) => lanes.serve(socket),
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "standard input is no control socket, or has failed");
                return;
            }
        }
    }
}

/// Whether this user, or root, is at the other end. The mode of the socket says the same, but for
/// the moment between its making and its closing.
fn is_ours(stream: &UnixStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}
