//! The key of a volume, on the command line.

use clap::Args;
use std::path::PathBuf;

/// The key of the volume.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct KeyArgs {
    /// File with the key: 64 hexadecimal digits, mode 0600 (`create` makes it if it is absent)
    #[arg(long, value_name = "FILE", group = "key")]
    pub(crate) key_file: Option<PathBuf>,
    /// Ask for a passphrase (or read one line of standard input, if that is no terminal)
    #[arg(long, group = "key")]
    pub(crate) passphrase: bool,
    /// File with the passphrase
    #[arg(long, value_name = "FILE", group = "key")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl KeyArgs {
    /// Whether any is named.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase || self.key_file.is_some() || self.passphrase_file.is_some()
    }
}
