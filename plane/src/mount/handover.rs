//! What a daemon gets from the command that starts it: all that was asked for, and the passphrase.
//!
//! ```text
//!  standard input of the child:   {"store":"/srv/store","dir":"/mnt/data",...}\n   passphrase, to the end
//! ```
//!
//! One line holds the whole of [`MountArgs`], so no option can be forgotten on the way. The
//! passphrase follows as it is, newlines and all.
//!
//! **Invariant:** the line holds no secret.

use crate::cli::mount::MountArgs;
use crate::error::{Error, Result};
use std::io::Write;

/// Far longer than a few dozen paths; a longer line is no line of ours.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Writes both to the child's standard input.
///
/// # Errors
/// When the arguments cannot be written as JSON. A child that is gone says why on its standard
/// output.
pub(crate) fn give(args: &MountArgs, words: Option<&[u8]>, mut to: impl Write) -> Result<()> {
    let mut line = serde_json::to_vec(args).map_err(|error| Error::io("cannot start the daemon", error))?;
    line.push(b'\n');
    let _ = to
        .write_all(&line)
        .and_then(|()| to.write_all(words.unwrap_or_default()));
    Ok(())
}

/// Reads the arguments from this process's standard input, and leaves the passphrase there.
///
/// # Errors
/// When it holds something else.
pub(crate) fn take() -> Result<MountArgs> {
    let failed = |error: std::io::Error| Error::io("cannot read what the daemon is to do", error);
    let mut line = Vec::new();
    let mut byte = [0];
    // Byte by byte: whatever reads ahead would take the passphrase with it, and keep a copy.
    while line.len() < LINE_BYTES_MAX {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut byte));
        match read.map_err(|error| failed(error.into()))? {
            0 => break,
            _ if byte == *b"\n" => break,
            _ => line.push(byte[0]),
        }
    }
    serde_json::from_slice(&line).map_err(|error| failed(error.into()))
}
