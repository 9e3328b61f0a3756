//! What unit tests of several modules begin with.

pub(crate) mod stored;
pub(crate) mod tree;

use crate::{Caller, SetIdBits, Time};
use cairn_merkle::{Compression, Header, HeaderParams, Kek, SlotKey, SlotKind, Suite, VolumeKey};
use rand::CryptoRng;

/// Root, at the first moment.
pub(crate) fn caller() -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        umask: 0o022,
        now: Time(1),
        set_id: SetIdBits::Keep,
        kernel_stamps: false,
    }
}

/// The header of a new volume of small records, and its key.
pub(crate) fn header() -> (Header, VolumeKey) {
    header_of(4096)
}

/// The same with records of this size.
pub(crate) fn header_of(record_size: u32) -> (Header, VolumeKey) {
    header_from(&mut rand::rng(), record_size)
}

/// The same with keys from these random bytes.
pub(crate) fn header_with(rng: &mut impl CryptoRng) -> (Header, VolumeKey) {
    header_from(rng, 4096)
}

fn header_from(rng: &mut impl CryptoRng, record_size: u32) -> (Header, VolumeKey) {
    let slot = SlotKey {
        kind: SlotKind::KeyFile,
        kek: Kek::from_bytes([1; 32]),
    };
    let params = HeaderParams {
        record_size,
        compression: Compression::None,
        suite: Suite::default(),
    };
    Header::create(rng, params, &[slot]).unwrap()
}
