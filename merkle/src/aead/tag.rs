//! Length of the tag that every sealing ends with.

/// Length of the tag behind every ciphertext.
pub(crate) const TAG_LEN: usize = 16;
