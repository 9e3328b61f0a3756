//! What is asked, and what is said before the first block.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a client wants to read. A version is named by the CID of its commit block; without one it
/// is the newest, with all that was done before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "snake_case")]
pub(crate) enum Wish {
    /// Sealed blocks of a version, which stays whole until the client closes.
    Blocks {
        /// The version.
        root: Option<String>,
    },
    /// A directory of the volume as it is now.
    List {
        /// From the volume's root.
        #[serde(with = "crate::path")]
        path: PathBuf,
    },
    /// The bytes of a file of the volume as it is now.
    Copy {
        /// From the volume's root.
        #[serde(with = "crate::path")]
        path: PathBuf,
    },
    /// A proof of what a path leads to.
    Prove {
        /// From the volume's root.
        #[serde(with = "crate::path")]
        path: PathBuf,
        /// The version.
        root: Option<String>,
        /// Whether it carries the bytes of a file.
        content: bool,
    },
}

/// The version that is read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    /// The CID of its commit block.
    pub(super) root: String,
    /// The head that names it, as stored, if one does.
    pub(super) head: Option<Vec<u8>>,
    /// The volume's header, as stored.
    pub(super) header: Vec<u8>,
    /// Why changes made before are not in it, if there may be some.
    pub(super) lacks: Option<String>,
}
