//! Which volume a command is about.

use crate::cli::key::KeyArgs;
use clap::Args;
use std::path::PathBuf;

/// A mount, or a store with its key.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Mount point, or the store (for some commands a CAR) of a volume that is not mounted
    pub(crate) place: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}
