//! The key of a volume, on the command line.

use crate::error::Result;
use crate::path::make_absolute;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The key of the volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct KeyArgs {
    /// File with the key: 64 hexadecimal digits, mode 0600 (`create` makes it if it is absent)
    #[arg(long, value_name = "FILE", group = "key")]
    #[serde(with = "crate::path")]
    pub(crate) key_file: Option<PathBuf>,
    /// Ask for a passphrase (or read one line of standard input, if that is no terminal)
    #[arg(long, group = "key")]
    pub(crate) passphrase: bool,
    /// File with the passphrase
    #[arg(long, value_name = "FILE", group = "key")]
    #[serde(with = "crate::path")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The passphrase is what is left of standard input: the parent of a daemon has read it.
    #[arg(skip)]
    pub(crate) handed_over: bool,
}

impl KeyArgs {
    /// Whether any is named.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase || self.key_file.is_some() || self.passphrase_file.is_some()
    }

    /// Has its paths lead to the same files wherever the process works.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub(crate) fn make_absolute(&mut self) -> Result<()> {
        let Self {
            key_file,
            passphrase: _,
            passphrase_file,
            handed_over: _,
        } = self;
        let mut files = key_file.iter_mut().chain(passphrase_file);
        files.try_for_each(make_absolute)
    }
}
