//! What a command can fail with, and the exit code each failure has.
//!
//! **Invariants:** every message names the thing concerned and, where there is one, the remedy. All
//! commands share one table of codes, and each number in it has one meaning. The codes are part of
//! the command's contract: `docs/operations.md` lists them, scripts rely on them.

use cairn_chain::Trouble;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// How a command ended. The numbers never change their meaning.
///
/// `--help` prints the first line of each comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Any other failure.
    Other = 1,
    /// The command line makes no sense.
    ///
    /// The number is clap's, too.
    Usage = 2,
    /// The key or passphrase opens no key slot.
    WrongKey = 3,
    /// A block, head, header or log record is altered or missing.
    Damaged = 4,
    /// No Cairn volume, or one of an unknown version.
    NotAVolume = 5,
    /// Another process has the volume open, or the mount is in use.
    Busy = 6,
    /// The store, or the disk below it, is full or failed.
    Store = 7,
    /// The place for a new volume is not empty.
    NotEmpty = 8,
    /// Nothing is mounted there, or its daemon is gone.
    NotMounted = 9,
    /// Older than what is anchored.
    Stale = 10,
    /// Does not go on from what is anchored.
    Forked = 11,
    /// The anchor or chain fails, refuses or is not trusted.
    Unreachable = 12,
    /// Another instance has taken over.
    Fenced = 13,
    /// Anchored before: name the anchor.
    Unanchored = 14,
    /// A block is missing, and none was altered.
    Incomplete = 15,
    /// The proof is under another root.
    OtherRoot = 16,
    /// The store lost what was synced.
    LogDamaged = 17,
    /// A challenge is open or was missed, or the volume is frozen.
    Challenged = 18,
    /// The volume has ended on chain.
    Slashed = 19,
    /// A reorganisation, low gas, unpaid, or the provider leaves.
    Warning = 20,
    /// The daemon does not answer in time.
    NotAnswering = 21,
}

impl Exit {
    /// Its word in `--json`.
    pub(crate) fn kind(self) -> String {
        (self.to_possible_value()).map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The table, for `--help`.
    pub(crate) fn table() -> String {
        let head = "Exit codes, with the word of --json:\n  0  done".to_owned();
        Self::value_variants()
            .iter()
            .fold(head, |table, exit| format!("{table}\n{}", exit.line()))
    }

    /// What the publisher's checks end with, the worst first, for their `--help`.
    pub(crate) fn checks() -> String {
        let worst_first = [
            Self::Slashed,
            Self::Forked,
            Self::Unreachable,
            Self::Damaged,
            Self::Incomplete,
            Self::Challenged,
            Self::Stale,
            Self::Warning,
        ];
        let head = "Exit codes, the worst first; `cairn --help` has all:\n  0  fresh".to_owned();
        worst_first
            .iter()
            .fold(head, |table, exit| format!("{table}\n{}", exit.line()))
    }

    fn line(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        let help = help.map_or_else(String::new, ToString::to_string);
        format!("{:>3}  {:<12}  {help}", self as u8, self.kind())
    }
}

impl From<&Trouble> for Exit {
    fn from(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Slashed | Trouble::Closed => Self::Slashed,
            Trouble::Forked { .. } => Self::Forked,
            Trouble::Unreachable { .. } => Self::Unreachable,
            Trouble::Altered { .. } => Self::Damaged,
            Trouble::Incomplete { .. } => Self::Incomplete,
            Trouble::Missed { .. } | Trouble::Challenged { .. } | Trouble::Frozen { .. } => Self::Challenged,
            Trouble::Stale { .. } => Self::Stale,
            Trouble::Reorganised { .. }
            | Trouble::Unpaid { .. }
            | Trouble::Leaving { .. }
            | Trouble::LowGas { .. } => Self::Warning,
        }
    }
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
    /// What reads standard output has ended.
    #[error("the reader of standard output has ended")]
    NoReader,
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
    /// There is a daemon, and it does not say anything.
    #[error("{0}")]
    NotAnswering(String),
    /// The volume is not what its anchor or the chain says, or these say nothing or bad news.
    #[error("{what}")]
    Anchor {
        /// What does not fit, and with which anchor.
        what: String,
        /// The code for it.
        exit: Exit,
    },
    /// The chain, or the way to it.
    #[error(transparent)]
    Chain(#[from] cairn_chain::Error),
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

    /// The code the process ends with.
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
            Self::NotAnswering(_) => Exit::NotAnswering,
            Self::Fs(cairn_fs::Error::NoSpace) => Exit::Store,
            Self::Fs(cairn_fs::Error::Held(_) | cairn_fs::Error::InUse) => Exit::Busy,
            Self::Fs(cairn_fs::Error::Merkle(error)) => merkle_exit(error),
            Self::Chain(error) if error.is_passing() => Exit::Unreachable,
            Self::NoReader | Self::Fs(_) | Self::Io { .. } | Self::Chain(_) | Self::Interrupted(_) => {
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
        Merkle::UnknownVersion { .. } | Merkle::UnknownSuite { .. } | Merkle::UnknownFeature { .. } => {
            Exit::NotAVolume
        }
        Merkle::Store(cairn_merkle::StoreError::HeadMoved) => Exit::Busy,
        // What stands between this command and the store has ended.
        Merkle::Store(cairn_merkle::StoreError::Io { source, .. })
            if source.kind() == io::ErrorKind::ConnectionAborted =>
        {
            Exit::NotMounted
        }
        Merkle::Store(cairn_merkle::StoreError::Io { .. }) => Exit::Store,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Number and word of each row, as in `| 3 | `wrong_key` | ...`.
    fn rows(text: &str) -> Vec<(u8, String)> {
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = cells.next()?.parse().ok()?;
            let word = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((number, word.to_owned()))
        };
        text.lines().filter_map(row).collect()
    }

    #[test]
    fn the_document_has_one_table_and_it_lists_each_exit_code_by_number_and_name() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
        let listed = rows(&std::fs::read_to_string(document).unwrap());
        let known = Exit::value_variants().iter();
        let known: Vec<_> = known.map(|exit| (*exit as u8, exit.kind())).collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn the_word_of_a_code_is_the_same_everywhere_and_the_help_lists_it() {
        let table = Exit::table();
        for exit in Exit::value_variants() {
            assert_eq!(serde_json::json!(exit), exit.kind());
            let listed = |line: &&str| {
                let mut words = line.split_whitespace();
                let number = words.next() == Some(&(*exit as u8).to_string());
                number && words.next() == Some(&exit.kind()) && words.next().is_some()
            };
            assert_eq!(table.lines().filter(listed).count(), 1, "{exit:?}");
        }
    }
}
