//! What the kernel is told: the one file that speaks errno.
//!
//! There is no `_` arm anywhere below, so that a new kind of failure has to choose its errno.

use crate::Error;
use cairn_merkle::{Error as MerkleError, StoreError};
use fuser::Errno;
use std::io::ErrorKind;

impl From<&Error> for Errno {
    fn from(error: &Error) -> Self {
        match error {
            Error::NoEntry => Self::ENOENT,
            Error::Exists => Self::EEXIST,
            Error::NotDirectory => Self::ENOTDIR,
            Error::IsDirectory => Self::EISDIR,
            Error::NotEmpty => Self::ENOTEMPTY,
            Error::NameTooLong => Self::ENAMETOOLONG,
            Error::Invalid(_) => Self::EINVAL,
            Error::TooManyLinks => Self::EMLINK,
            Error::TooLarge => Self::EFBIG,
            Error::NoXattr => Self::ENODATA,
            // What setxattr(2) names for "no room for this attribute"; E2BIG is the kernel's own,
            // above 64 KiB.
            Error::XattrTooLarge | Error::NoSpace => Self::ENOSPC,
            Error::NotPermitted(_) => Self::EPERM,
            Error::Unsupported => Self::EOPNOTSUPP,
            Error::NoData => Self::ENXIO,
            Error::ReadOnly(_) | Error::LogDamaged(_) => Self::EROFS,
            Error::GivenUp => Self::EINTR,
            Error::Held(_) | Error::InUse => Self::EBUSY,
            Error::Damaged(_) => Self::EIO,
            Error::Merkle(error) => of_merkle(error),
        }
    }
}

/// The caller did nothing wrong: the bytes below are not the ones that were written, or cannot be
/// had. Damage is `EIO`, never `EACCES` and never zeros.
fn of_merkle(error: &MerkleError) -> Errno {
    match error {
        MerkleError::Store(error) => of_store(error),
        MerkleError::Missing { .. }
        | MerkleError::Corrupt { .. }
        | MerkleError::WrongKey
        | MerkleError::Header { .. }
        | MerkleError::UnknownSuite { .. }
        | MerkleError::UnknownFeature { .. }
        | MerkleError::UnknownVersion { .. }
        | MerkleError::HeadForged
        | MerkleError::HeaderMismatch
        | MerkleError::Log { .. }
        | MerkleError::Malformed { .. }
        | MerkleError::TooLarge { .. } => Errno::EIO,
    }
}

fn of_store(error: &StoreError) -> Errno {
    match error {
        StoreError::Io { source, .. } if source.kind() == ErrorKind::StorageFull => Errno::ENOSPC,
        StoreError::Io { .. } | StoreError::HeadMoved => Errno::EIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn every_failure_has_its_errno() {
        let cases = [
            (Error::NoEntry, libc::ENOENT),
            (Error::Exists, libc::EEXIST),
            (Error::NotDirectory, libc::ENOTDIR),
            (Error::IsDirectory, libc::EISDIR),
            (Error::NotEmpty, libc::ENOTEMPTY),
            (Error::NameTooLong, libc::ENAMETOOLONG),
            (Error::Invalid("test"), libc::EINVAL),
            (Error::TooManyLinks, libc::EMLINK),
            (Error::TooLarge, libc::EFBIG),
            (Error::NoXattr, libc::ENODATA),
            (Error::XattrTooLarge, libc::ENOSPC),
            (Error::NotPermitted("test"), libc::EPERM),
            (Error::Unsupported, libc::EOPNOTSUPP),
            (Error::NoData, libc::ENXIO),
            (Error::NoSpace, libc::ENOSPC),
            (Error::ReadOnly("test"), libc::EROFS),
            (Error::GivenUp, libc::EINTR),
            (Error::Held("test".into()), libc::EBUSY),
            (Error::InUse, libc::EBUSY),
            (Error::Damaged("test"), libc::EIO),
        ];
        for (error, code) in cases {
            assert_eq!(Errno::from(&error).code(), code, "{error}");
        }
    }

    #[test]
    fn a_full_store_is_enospc_and_all_other_damage_is_eio() {
        let full = StoreError::io("put", io::ErrorKind::StorageFull.into());
        assert_eq!(Errno::from(&Error::from(full)).code(), libc::ENOSPC);
        let damage = [
            MerkleError::Store(StoreError::io("get", io::ErrorKind::PermissionDenied.into())),
            MerkleError::Store(StoreError::HeadMoved),
            MerkleError::WrongKey,
            MerkleError::Header { why: "test" },
            MerkleError::UnknownSuite { number: 9 },
            MerkleError::UnknownVersion {
                what: "test",
                version: 9,
            },
            MerkleError::HeadForged,
            MerkleError::HeaderMismatch,
            MerkleError::Malformed {
                what: "test",
                why: "test",
            },
            MerkleError::TooLarge {
                what: "test",
                len: 2,
                len_max: 1,
            },
        ];
        for error in damage {
            let error = Error::from(error);
            assert_eq!(Errno::from(&error).code(), libc::EIO, "{error}");
        }
    }
}
