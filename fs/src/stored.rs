//! What lies in blocks: the encodings of records, of a volume's state, and of the rows of its
//! tables.
//!
//! Nothing here reads a block or knows an engine: bytes in, values out, and back.

pub(crate) mod codec;
pub(crate) mod held;
pub(crate) mod name;
pub(crate) mod publication;
pub(crate) mod record;
pub(crate) mod repairs;
pub(crate) mod snapshot;
pub(crate) mod volume;
