//! The untrusted side: where sealed blocks lie.
