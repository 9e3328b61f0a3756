//! Standard output, which may be a pipe whose reader closes it after the first lines.

use anyhow::Result;
use std::io::{ErrorKind, Write};

/// Prints all of it, or as much as is wanted.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
