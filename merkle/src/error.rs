//! The errors between a key and an untrusted store.

use crate::{Cid, Epoch, StoreError};

/// Why a block, header, head or log record was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A link names a block that the store does not have.
    #[error("block {cid} is missing from the store")]
    Missing {
        /// The block asked for.
        cid: Cid,
    },
    /// The hash, the tag or the structure below them is not what was written.
    #[error("block {cid} is not what was written")]
    Corrupt {
        /// The block asked for.
        cid: Cid,
    },
    /// The store failed to answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key slot of the header opens with the key given.
    #[error("no key slot of this volume opens with this key")]
    WrongKey,
    /// The volume header is malformed, or asks for what this build does not know.
    #[error("the volume header is not acceptable: {why}")]
    Header {
        /// The rule it breaks.
        why: &'static str,
    },
    /// The volume is sealed with a cipher this build does not know.
    #[error(
        "the volume is sealed with cipher number {number}: this build of cairn does not know it, a newer one may"
    )]
    UnknownSuite {
        /// Its number in the format.
        number: u16,
    },
    /// The volume has a feature this build does not know.
    #[error("to {what} this volume takes its feature `{name}`, which this build of cairn does not know")]
    UnknownFeature {
        /// Its name in the header.
        name: String,
        /// What it is needed for: to `read` or to `change`.
        what: &'static str,
    },
    /// A structure carries a version this build does not know.
    #[error("this {what} has version {version}, which this build of cairn does not know")]
    UnknownVersion {
        /// The structure.
        what: &'static str,
        /// The version it claims.
        version: u64,
    },
    /// The MAC of the head does not agree: it was not written by a holder of the volume key.
    #[error("the head of the store was not written with this volume's key")]
    HeadForged,
    /// The header is not the one the commit was made under.
    #[error("the volume header is not the one the newest commit was made under")]
    HeaderMismatch,
    /// A log record is missing, foreign, out of its place or altered.
    #[error("record {seq} of the intent log of epoch {epoch} is not acceptable: {why}")]
    Log {
        /// The epoch the record adds to.
        epoch: Epoch,
        /// Its number within the epoch.
        seq: u64,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Bytes do not have the structure they should have.
    #[error("this {what} is malformed: {why}")]
    Malformed {
        /// The structure.
        what: &'static str,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A structure is longer than the format allows.
    #[error("this {what} has {len} bytes, the format allows {len_max}")]
    TooLarge {
        /// The structure.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest one allowed.
        len_max: usize,
    },
}

impl Error {
    /// Whether a block is not there or not what was written, rather than a store that does not
    /// answer.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Corrupt { .. } => true,
            Self::UnknownVersion { .. } | Self::Malformed { .. } | Self::TooLarge { .. } => true,
            Self::Store(_) | Self::WrongKey | Self::Header { .. } => false,
            Self::UnknownSuite { .. } | Self::UnknownFeature { .. } => false,
            Self::HeadForged | Self::HeaderMismatch | Self::Log { .. } => false,
        }
    }

    /// The block that is not there or is not what was written, if that is what went wrong. A store
    /// that does not answer may have it the next time; and what is malformed under its tag was
    /// written so.
    pub fn damaged(&self) -> Option<Cid> {
        match self {
            Self::Missing { cid } | Self::Corrupt { cid } => Some(*cid),
            Self::UnknownVersion { .. } | Self::Malformed { .. } | Self::TooLarge { .. } => None,
            Self::Store(_) | Self::WrongKey | Self::Header { .. } => None,
            Self::UnknownSuite { .. } | Self::UnknownFeature { .. } => None,
            Self::HeadForged | Self::HeaderMismatch | Self::Log { .. } => None,
        }
    }
}

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;
