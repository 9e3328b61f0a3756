//! Seals the records of the intent log, and opens them in the order they were written.
//!
//! ```text
//!  volume key --derive(salt of this mount)--> LogKey --derive(epoch)--> one key per epoch, nonce = seq
//!  record: version | tag of the record before | ciphertext | tag --'
//! ```
//!
//! Each record carries the tag of the one before, so a gap, a swap or a record of another mount ends replay.
//!
//! **Invariant:** within one salt no position is sealed twice with different bytes, or its nonce would be used
//! twice. A mount draws a fresh salt and never takes back a position, not even after an append that failed.

use crate::aead::{self, TAG_LEN};
use crate::key::Locked;
use crate::{Error, LogPos, Result, SubKey, VolumeKey};
use bytes::Bytes;
use subtle::ConstantTimeEq;

const CONTEXT: &str = "cairn 2026-11 intent log";
const CONTEXT_EPOCH: &str = "cairn 2026-11 intent log epoch";
const VERSION: u8 = 1;
const PREFIX_LEN: usize = 1 + TAG_LEN;

/// Seals and opens the intent log of one mount.
#[derive(Debug)]
pub struct LogKey(Locked);

impl LogKey {
    /// The key of the mount that drew `salt`.
    pub fn new(key: &VolumeKey, salt: [u8; 32]) -> Self {
        Self(key.derive_locked(CONTEXT, &salt))
    }

    /// Seals a record that follows the one with the tag `prev`; zeros for the first one of a mount. Returns the
    /// stored bytes and this record's tag.
    pub fn seal(&self, pos: LogPos, prev: [u8; TAG_LEN], plain: &[u8]) -> (Bytes, [u8; TAG_LEN]) {
        let mut sealed = Vec::with_capacity(plain.len() + TAG_LEN);
        sealed.extend_from_slice(plain);
        aead::seal(
            self.epoch_key(pos).as_bytes(),
            nonce(pos),
            &associated_data(pos, &prev),
            &mut sealed,
        );
        let tag = *sealed.last_chunk().expect("sealing ends with the tag");
        let mut stored = Vec::with_capacity(PREFIX_LEN + sealed.len());
        stored.push(VERSION);
        stored.extend_from_slice(&prev);
        stored.extend_from_slice(&sealed);
        (stored.into(), tag)
    }

    /// Opens the record at `pos`, and if `prev` is given requires that the record follows the one with that tag.
    /// Returns the plaintext and this record's tag.
    pub fn open(
        &self,
        pos: LogPos,
        prev: Option<[u8; TAG_LEN]>,
        stored: &[u8],
    ) -> Result<(Vec<u8>, [u8; TAG_LEN])> {
        let refuse = |why| Error::Log {
            epoch: pos.epoch,
            seq: pos.seq,
            why,
        };
        let (&version, rest) = stored.split_first().ok_or_else(|| refuse("it is empty"))?;
        if version != VERSION {
            return Err(Error::UnknownVersion {
                what: "log record",
                version: version.into(),
            });
        }
        let (stored_prev, sealed) = rest
            .split_first_chunk::<TAG_LEN>()
            .ok_or_else(|| refuse("it is cut short"))?;
        let tag = *sealed.last_chunk().ok_or_else(|| refuse("it is cut short"))?;
        let mut plain = sealed.to_vec();
        aead::open(
            self.epoch_key(pos).as_bytes(),
            nonce(pos),
            &associated_data(pos, stored_prev),
            &mut plain,
        )
        .ok_or_else(|| refuse("it was not written by this mount at this place"))?;
        if prev.is_some_and(|prev| !bool::from(prev.ct_eq(stored_prev))) {
            return Err(refuse("it does not follow the record before it"));
        }
        Ok((plain, tag))
    }

    fn epoch_key(&self, pos: LogPos) -> SubKey {
        self.0.derive(CONTEXT_EPOCH, &pos.epoch.0.to_le_bytes())
    }
}

fn nonce(pos: LogPos) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&pos.seq.to_le_bytes());
    nonce
}

fn associated_data(pos: LogPos, prev: &[u8; TAG_LEN]) -> [u8; 33] {
    let mut aad = [VERSION; 33];
    aad[1..9].copy_from_slice(&pos.epoch.0.to_le_bytes());
    aad[9..17].copy_from_slice(&pos.seq.to_le_bytes());
    aad[17..].copy_from_slice(prev);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;
    use proptest::prelude::*;

    const FIRST: LogPos = LogPos {
        epoch: Epoch(5),
        seq: 0,
    };
    const SECOND: LogPos = LogPos {
        epoch: Epoch(5),
        seq: 1,
    };

    fn log() -> LogKey {
        LogKey::new(&VolumeKey::from_bytes([1; 32]), [2; 32])
    }

    #[test]
    fn records_open_in_the_order_they_were_sealed() {
        let (first, tag) = log().seal(FIRST, [0; 16], b"first");
        let (second, last) = log().seal(SECOND, tag, b"second");
        assert_eq!(
            log().open(FIRST, Some([0; 16]), &first).unwrap(),
            (b"first".to_vec(), tag)
        );
        assert_eq!(
            log().open(SECOND, Some(tag), &second).unwrap(),
            (b"second".to_vec(), last)
        );
        assert_eq!(log().open(SECOND, None, &second).unwrap().1, last);
    }

    #[test]
    fn a_gap_a_swap_and_a_foreign_record_are_refused() {
        let (first, tag) = log().seal(FIRST, [0; 16], b"first");
        let (second, _) = log().seal(SECOND, tag, b"second");
        assert!(matches!(
            log().open(SECOND, Some([0; 16]), &second),
            Err(Error::Log { seq: 1, .. })
        ));
        assert!(log().open(SECOND, None, &first).is_err());
        assert!(
            log()
                .open(
                    LogPos {
                        epoch: Epoch(6),
                        seq: 0
                    },
                    None,
                    &first
                )
                .is_err()
        );
        let other_mount = LogKey::new(&VolumeKey::from_bytes([1; 32]), [3; 32]);
        assert!(other_mount.open(FIRST, None, &first).is_err());
    }

    #[test]
    fn any_altered_bit_and_any_other_length_are_refused() {
        let (record, _) = log().seal(FIRST, [0; 16], b"first");
        for bit in 0..record.len() * 8 {
            let mut altered = record.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(log().open(FIRST, None, &altered).is_err());
        }
        for len in 0..record.len() {
            assert!(log().open(FIRST, None, &record[..len]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(stored in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(log().open(FIRST, None, &stored).is_err());
        }
    }
}
