//! A key together with its cipher.

use crate::Suite;

/// A key, and the one cipher it is for.
#[derive(Clone, Copy)]
pub(crate) struct AeadKey<'a> {
    /// The cipher.
    pub(crate) suite: Suite,
    /// The key itself.
    pub(crate) bytes: &'a [u8; 32],
}
