//! What a command can fail with, and the exit code each failure has.
//!
//! **Invariant:** every message names the thing concerned and, where there is one, the remedy. The
//! codes are part of the command's contract: `docs/operations.md` lists them, scripts rely on them.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// How a command ended. The numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Anything without a code of its own.
    Other = 1,
    /// The command line makes no sense (the number clap uses too).
    Usage = 2,
    /// The key or passphrase opens no key slot of the volume.
    WrongKey = 3,
    /// A block, head, header or log record is missing or is not what was written.
    Damaged = 4,
    /// There is no Cairn volume, or one of a version this program does not know.
    NotAVolume = 5,
    /// Another process has the volume open, or the mount is in use.
    Busy = 6,
    /// The store, or the disk below it, is full or failed.
    Store = 7,
    /// `create` found something where it was to make a volume.
    NotEmpty = 8,
    /// No daemon serves what was named.
    NotMounted = 9,
    /// The volume is older than what its anchor names.
    Stale = 10,
    /// The volume does not go on from what its anchor names.
    Forked = 11,
    /// The anchor cannot be reached, cannot be trusted, or refuses.
    AnchorUnreachable = 12,
    /// Another instance of the volume has taken over.
    Fenced = 13,
    /// The volume has been anchored, and was to be mounted without its anchor.
    Unanchored = 14,
    /// A block is missing, and none that is there was altered.
    Incomplete = 15,
    /// A proof is under another root than the one to be trusted.
    OtherRoot = 16,
    /// The intent log lost what was synced; a mount serves what was there before, read-only.
    LogDamaged = 17,
}

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A combination of arguments clap cannot see through.
    #[error("{0}")]
    Usage(String),
    /// Opens none of the volume's slots.
    #[error("{key} does not open the volume in {}: it was created or last rekeyed with another key, or its header was altered", store.display())]
    WrongKey {
        /// What was tried, in words.
        key: String,
        /// The volume's store.
        store: PathBuf,
    },
    /// Head, header or blocks are not what was written.
    #[error("the volume in {} is damaged or was altered: {what}", store.display())]
    Damaged {
        /// The volume's store.
        store: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Missing, foreign, or from the future.
    #[error("{} holds no volume that can be opened: {what}", store.display())]
    NotAVolume {
        /// What was named.
        store: PathBuf,
        /// Why it is none.
        what: String,
    },
    /// The store lost what was synced: of the intent log, or the newest commit.
    #[error("the volume in {} is damaged: {lost}. {remedy}", store.display())]
    LogDamaged {
        /// The volume's store.
        store: PathBuf,
        /// What is lost, and where.
        lost: String,
        /// How it goes on.
        remedy: String,
    },
    /// In use by another process.
    #[error("{0}")]
    Busy(String),
    /// A signal ended the command.
    #[error("{0}")]
    Interrupted(String),
    /// A block that a link leads to is not there.
    #[error("the volume in {} is not complete: {what}", store.display())]
    Incomplete {
        /// The volume's store, or the CAR.
        store: PathBuf,
        /// The block.
        what: String,
    },
    /// What was shown is true of something else.
    #[error("{what}")]
    OtherRoot {
        /// Both roots.
        what: String,
    },
    /// The store refused.
    #[error("the store {}: {what}", store.display())]
    Store {
        /// Where it lies.
        store: PathBuf,
        /// What it said.
        what: String,
    },
    /// Not a place for a new volume.
    #[error("{0}")]
    NotEmpty(String),
    /// No daemon there to talk to.
    #[error("{0}")]
    NotMounted(String),
    /// The volume is not what its anchor says, or the anchor says nothing.
    #[error("{what}")]
    Anchor {
        /// What does not fit, and with which anchor.
        what: String,
        /// Which of the anchor's codes.
        exit: Exit,
    },
    /// The chain, or the way to it.
    #[error(transparent)]
    Chain(#[from] cairn_chain::Error),
    /// What a publisher's check found; its code is of their own table.
    #[error("{message}")]
    Trouble {
        /// The code.
        code: u8,
        /// Its word.
        kind: &'static str,
        /// What it is.
        message: String,
    },
    /// The filesystem refused.
    #[error(transparent)]
    Fs(#[from] cairn_fs::Error),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, naming the file.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// The daemon's answer, or that of the child which was to become it.
    #[error("{message}")]
    Remote {
        /// The other process's message.
        message: String,
        /// The other process's code.
        exit: Exit,
    },
}

/// Short for a result of this crate.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Wraps the cause, saying what was being done.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    /// For `map_err`: `verb` and the path make the message.
    pub(crate) fn at<E: Into<io::Error>>(verb: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::io(format!("cannot {verb} {}", path.display()), source)
    }

    /// The number the process ends with. The publisher's checks have a table of their own.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Trouble { code, .. } => *code,
            Self::Chain(error) if error.is_passing() => 7,
            _ => self.exit() as u8,
        }
    }

    /// The word for it.
    pub(crate) fn kind(&self) -> serde_json::Value {
        match self {
            Self::Trouble { kind, .. } => serde_json::json!(kind),
            Self::Chain(error) if error.is_passing() => serde_json::json!("unreachable"),
            _ => serde_json::json!(self.exit()),
        }
    }

    /// The code the process ends with, of all commands but the publisher's checks.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::WrongKey { .. } => Exit::WrongKey,
            Self::Damaged { .. } => Exit::Damaged,
            Self::NotAVolume { .. } => Exit::NotAVolume,
            Self::Incomplete { .. } => Exit::Incomplete,
            Self::OtherRoot { .. } => Exit::OtherRoot,
            Self::LogDamaged { .. } | Self::Fs(cairn_fs::Error::LogDamaged(_)) => Exit::LogDamaged,
            Self::Busy(_) => Exit::Busy,
            Self::Store { .. } => Exit::Store,
            Self::NotEmpty(_) => Exit::NotEmpty,
            Self::NotMounted(_) => Exit::NotMounted,
            Self::Fs(cairn_fs::Error::NoSpace) => Exit::Store,
            Self::Fs(cairn_fs::Error::Merkle(error)) => merkle_exit(error),
            Self::Fs(_) | Self::Io { .. } | Self::Chain(_) | Self::Trouble { .. } | Self::Interrupted(_) => {
                Exit::Other
            }
            Self::Remote { exit, .. } | Self::Anchor { exit, .. } => *exit,
        }
    }
}

/// The code for what went wrong between key and store.
fn merkle_exit(error: &cairn_merkle::Error) -> Exit {
    use cairn_merkle::Error as Merkle;
    match error {
        Merkle::Missing { .. } | Merkle::Corrupt { .. } | Merkle::HeadForged | Merkle::HeaderMismatch => {
            Exit::Damaged
        }
        Merkle::Header { .. } | Merkle::Log { .. } | Merkle::Malformed { .. } | Merkle::TooLarge { .. } => {
            Exit::Damaged
        }
        Merkle::WrongKey => Exit::WrongKey,
        Merkle::UnknownVersion { .. } => Exit::NotAVolume,
        Merkle::Store(cairn_merkle::StoreError::HeadMoved) => Exit::Busy,
        Merkle::Store(cairn_merkle::StoreError::Io { .. }) => Exit::Store,
    }
}
