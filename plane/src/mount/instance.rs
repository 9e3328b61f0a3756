//! One writer of a volume on a machine, under whatever path its store lies.
//!
//! ```text
//! store's directory --flock (store/src/lock.rs)--> one handle of this directory, in every namespace: the guard
//! volume id --abstract socket @cairn-volume-ID--> one writer of this volume: a copy of the store beside it, too
//! ```
//!
//! Two mounts that write two copies of one volume without an anchor would each go on by itself.
//! Where there is an anchor, it decides: the later boot fences the earlier instance, on this
//! machine as on another. A warning is enough here. The name lies in no filesystem. Neither a user
//! who owns the store nor another run directory takes it away, and it goes with the process. It
//! reaches as far as the network namespace does. Any user can bind a name first. So a holder
//! counts only if it is root's or this user's: others may at worst make a warning.

use crate::error::{Error, Result};
use crate::output;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// How long to wait for a writer on its way out: it has let go of the store already.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// What another writer of the same volume means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing would end one of the two: the second is refused.
    Refuse,
    /// The volume is anchored, so that the later one fences the earlier: it is warned of.
    Warn,
}

/// The right to write a volume, until it is dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    _listener: Option<UnixListener>,
}

impl Instance {
    /// Takes the name of a volume.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process of root's or of this user's has it, unless that is
    /// only warned of.
    pub(crate) fn claim(volume_id: &[u8; 16], beside: Beside) -> Result<Self> {
        if beside == Beside::Refuse {
            return Self::claim_within(volume_id, ENDING_MAX);
        }
        // No wait: the anchor decides between the two, and the name is asked for the warning
        // alone.
        Self::claim_within(volume_id, Duration::ZERO).or_else(|error| match error {
            Error::Busy(why) => {
                output::warn(&format!("{why}: the anchor lets the later of the two go on"));
                Ok(Self { _listener: None })
            }
            error => Err(error),
        })
    }

    fn claim_within(volume_id: &[u8; 16], patience: Duration) -> Result<Self> {
        let id = crate::text::hex(volume_id);
        let start = Instant::now();
        let taken = |source| Error::io(format!("cannot take the name of volume {id}"), source);
        let name = format!("cairn-volume-{id}");
        let address = SocketAddr::from_abstract_name(&name).map_err(taken)?;
        loop {
            // The kernel gives the name to one of two that ask at once. The loser looks at the
            // holder, which may be gone by then: it tries again.
            match UnixListener::bind_addr(&address) {
                Ok(listener) => {
                    return Ok(Self {
                        _listener: Some(listener),
                    });
                }
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    output::warn(&format!(
                        "no name can be taken for the volume: only the lock of its store guards it: {error}"
                    ));
                    return Ok(Self { _listener: None });
                }
                Err(_) => {}
            }
            match holder(&name) {
                Some(uid) if !counts(uid) => {
                    output::warn(&format!(
                        "another user (uid {uid}) holds the name of the volume: only the lock of its store guards it"
                    ));
                    return Ok(Self { _listener: None });
                }
                _ if start.elapsed() < patience => std::thread::sleep(Duration::from_millis(20)),
                _ => {
                    return Err(Error::Busy(format!(
                        "volume {id} is in use by another process, which serves it from another copy of its store"
                    )));
                }
            }
        }
    }
}

/// The user whose process holds a name; `None` if it was given up meanwhile, or nothing can be
/// learned of it.
fn holder(name: &str) -> Option<u32> {
    // Nothing accepts, so a blocking call could wait for ever once the queue is full.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes()).ok()?).ok()?;
    socket_peercred(&socket).ok().map(|cred| cred.uid.as_raw())
}

fn counts(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_one_writer_at_a_time() {
        let (id, other) = (rand::random(), rand::random());
        let first = Instance::claim_within(&id, Duration::ZERO).unwrap();
        let second = || Instance::claim_within(&id, Duration::ZERO);
        assert!(matches!(second(), Err(Error::Busy(_))));
        // Any number of times: callers that ask do not fill a queue that others wait for.
        for _ in 0..300 {
            assert!(second().is_err());
        }
        Instance::claim_within(&other, Duration::ZERO).unwrap();
        Instance::claim(&id, Beside::Warn).unwrap();
        assert!(second().is_err(), "a claim that was warned takes nothing away");
        drop(first);
        second().unwrap();
    }
}
