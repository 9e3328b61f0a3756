//! From a store to an engine and back: making a volume, opening and recovering it, closing it.

pub(crate) mod format;
pub(crate) mod newest;
pub(crate) mod open;
pub(crate) mod recover;
pub(crate) mod redo;
pub(crate) mod replay;
pub(crate) mod status;
