//! Takes fields off the front of what is left of a header.

use crate::{Error, Result};

/// The next `N` bytes.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk().ok_or(Error::Header {
        why: "it is cut short",
    })?;
    *rest = after;
    Ok(*bytes)
}

/// As many pieces of `N` bytes. The caller has compared the length.
pub(super) fn take_all<const N: usize>(count: usize, rest: &mut &[u8]) -> Result<Vec<[u8; N]>> {
    (0..count).map(|_| take(rest)).collect()
}
