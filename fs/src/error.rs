//! What can go wrong in the filesystem. `errno.rs` says what the kernel is told.

use crate::Time;
use std::fmt;

/// An operation's failure; the message names the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such name, inode or attribute value.
    #[error("no such file or directory")]
    NoEntry,
    /// The name is taken.
    #[error("already exists")]
    Exists,
    /// A directory was needed.
    #[error("not a directory")]
    NotDirectory,
    /// A directory was refused.
    #[error("is a directory")]
    IsDirectory,
    /// `rmdir` or `rename` onto a directory that still holds names.
    #[error("directory is not empty")]
    NotEmpty,
    /// Above 255 bytes.
    #[error("name is longer than 255 bytes")]
    NameTooLong,
    /// An argument that makes no sense.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// More hard links than a link count holds.
    #[error("too many links")]
    TooManyLinks,
    /// Larger than a file may be.
    #[error("file would be too large")]
    TooLarge,
    /// No such extended attribute.
    #[error("no such extended attribute")]
    NoXattr,
    /// An attribute value that does not fit.
    #[error("extended attributes of one inode are limited to 128 KiB")]
    XattrTooLarge,
    /// Not for this inode, or not for this caller.
    #[error("operation not permitted: {0}")]
    NotPermitted(&'static str),
    /// Not something this filesystem does.
    #[error("operation not supported")]
    Unsupported,
    /// SEEK_DATA or SEEK_HOLE past the end.
    #[error("no data at or after this offset")]
    NoData,
    /// The volume's quota, or the store, is full. Deleting still works.
    #[error("no space left: delete files or snapshots, or enlarge the store or the quota")]
    NoSpace,
    /// The volume was mounted read-only, or turned read-only after a failed sync.
    #[error("the volume is read-only: {0}")]
    ReadOnly(&'static str),
    /// What was synced is lost, and it was not accepted that the volume goes on without it.
    #[error("what was synced is lost: {0}")]
    LogDamaged(Box<LogLoss>),
    /// A snapshot that is held is not destroyed.
    #[error("the snapshot is held ({0}): `cairn snapshot release` ends a hold")]
    Held(String),
    /// Files are open, or processes stand in the tree.
    #[error("it is in use: files are open, or a process works in it")]
    InUse,
    /// The caller went away, or does not want it any more.
    #[error("given up: what asked for it has gone away")]
    GivenUp,
    /// A part of the volume that is needed cannot be read.
    #[error("{0}: `cairn status` and `cairn check` say what is damaged")]
    Damaged(&'static str),
    /// A block, key, header or the store itself.
    #[error(transparent)]
    Merkle(#[from] cairn_merkle::Error),
}

impl From<cairn_merkle::StoreError> for Error {
    fn from(error: cairn_merkle::StoreError) -> Self {
        Self::Merkle(error.into())
    }
}

/// Short for a result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether an error is a lack of room.
pub(crate) fn is_full(error: &Error) -> bool {
    matches!(error, Error::NoSpace)
        || matches!(error, Error::Merkle(cairn_merkle::Error::Store(store)) if store.is_full())
}

/// What was durable and is lost, of the intent log or with it a commit: damaged, or cut by another
/// hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLoss {
    /// The newest commit that is known to be lost, with all that it held of what was logged and
    /// synced before.
    pub commit: Option<cairn_merkle::Epoch>,
    /// Records that are not replayed.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these records, how many are whole, but behind one that is not.
    pub whole: u64,
    /// Time of the newest operation before what is lost, if there is one in the log.
    pub from: Option<Time>,
    /// Time of the newest operation that is lost.
    pub until: Option<Time>,
    /// What is wrong, and where.
    pub what: String,
}

impl fmt::Display for LogLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit,
            records,
            bytes,
            what,
            ..
        } = self;
        match (commit, records) {
            (Some(commit), 0) => write!(f, "commit {commit} is lost: {what}"),
            (Some(commit), _) => {
                write!(
                    f,
                    "commit {commit} and {records} records ({bytes} bytes) that were synced are lost: {what}"
                )
            }
            (None, _) => write!(
                f,
                "{records} records ({bytes} bytes) that were synced are lost: {what}"
            ),
        }
    }
}
