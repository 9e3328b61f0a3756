//! Seals the records of the intent log, and opens them in the order they were written.
//!
//! ```text
//!  volume key --derive(salt of this mount)--> LogKey --derive(epoch)--> one key per epoch, nonce = seq
//!  record: version | tag of the record before | ciphertext | tag --'
//!  mark:   version | number | ciphertext | tag      a key of its own, nonce = number
//! ```
//!
//! Each record carries the tag of the one before, so a gap, a swap or a record of another mount
//! ends replay. A mark says how far the log is durable; like a record it proves that this mount
//! wrote it, and nothing else.
//!
//! **Invariant:** within one salt no position and no mark's number is sealed twice with different
//! bytes, or its nonce would be used twice. A mount draws a fresh salt and never takes back
//! either, not even after a failed append.

use crate::aead::{self, TAG_LEN};
use crate::key::Locked;
use crate::{Error, LogPos, Result, SubKey, Suite, VolumeKey};
use bytes::Bytes;

const CONTEXT: &str = "cairn 2026-11 intent log";
const CONTEXT_EPOCH: &str = "cairn 2026-11 intent log epoch";
const CONTEXT_MARK: &str = "cairn 2026-11 intent log mark";
const VERSION: u8 = 2;
const PREFIX_LEN: usize = 1 + TAG_LEN;

/// Seals and opens the intent log of one mount.
#[derive(Debug)]
pub struct LogKey {
    locked: Locked,
    suite: Suite,
}

/// A record that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was sealed.
    pub plain: Vec<u8>,
    /// Tag of the record that this one follows; zeros for the first one of a mount.
    pub previous: [u8; TAG_LEN],
    /// Its own.
    pub tag: [u8; TAG_LEN],
}

impl LogKey {
    /// The key of the mount that drew `salt`.
    pub fn new(key: &VolumeKey, salt: [u8; 32]) -> Self {
        Self {
            locked: key.derive_locked(CONTEXT, &salt),
            suite: key.suite(),
        }
    }

    /// The cipher of the volume, which the links in a record are for as well.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Seals a record that follows the one with the tag `prev`; zeros for the first one of a mount.
    /// Returns the stored bytes and this record's tag.
    pub fn seal(&self, pos: LogPos, prev: [u8; TAG_LEN], plain: &[u8]) -> (Bytes, [u8; TAG_LEN]) {
        let mut sealed = Vec::with_capacity(plain.len() + TAG_LEN);
        sealed.extend_from_slice(plain);
        aead::seal(
            self.epoch_key(pos).aead(),
            nonce(pos.seq),
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

    /// Opens the record at `pos`. Whether it follows the one before is for the caller to see:
    /// [`Opened::previous`].
    pub fn open(&self, pos: LogPos, stored: &[u8]) -> Result<Opened> {
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
        let (previous, sealed) = rest
            .split_first_chunk::<TAG_LEN>()
            .ok_or_else(|| refuse("it is cut short"))?;
        let tag = *sealed.last_chunk().ok_or_else(|| refuse("it is cut short"))?;
        let mut plain = sealed.to_vec();
        aead::open(
            self.epoch_key(pos).aead(),
            nonce(pos.seq),
            &associated_data(pos, previous),
            &mut plain,
        )
        .ok_or_else(|| refuse("it is not what this mount wrote at this place"))?;
        Ok(Opened {
            plain,
            previous: *previous,
            tag,
        })
    }

    /// Seals the mark with this number, which grows by one with each mark of a mount.
    pub fn seal_mark(&self, number: u64, plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        aead::seal(
            self.mark_key().aead(),
            nonce(number),
            &mark_data(number),
            &mut sealed,
        );
        [&[VERSION][..], &number.to_le_bytes(), &sealed].concat()
    }

    /// Opens a mark; `None` for anything that is none of this mount's.
    pub fn open_mark(&self, stored: &[u8]) -> Option<Vec<u8>> {
        let (number, sealed) = stored.strip_prefix(&[VERSION])?.split_first_chunk()?;
        let number = u64::from_le_bytes(*number);
        let mut plain = sealed.to_vec();
        aead::open(
            self.mark_key().aead(),
            nonce(number),
            &mark_data(number),
            &mut plain,
        )?;
        Some(plain)
    }

    fn mark_key(&self) -> SubKey {
        self.locked.derive(self.suite, CONTEXT_MARK, &[])
    }

    fn epoch_key(&self, pos: LogPos) -> SubKey {
        self.locked
            .derive(self.suite, CONTEXT_EPOCH, &pos.epoch.0.to_le_bytes())
    }
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}

fn mark_data(number: u64) -> [u8; 9] {
    let mut aad = [VERSION; 9];
    aad[1..].copy_from_slice(&number.to_le_bytes());
    aad
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
        sealed_with(Suite::default())
    }

    fn sealed_with(suite: Suite) -> LogKey {
        LogKey::new(&VolumeKey::from_bytes(suite, [1; 32]), [2; 32])
    }

    #[test]
    fn records_open_at_their_place_and_name_the_one_before() {
        let opened = |plain: &[u8], previous, tag| Opened {
            plain: plain.to_vec(),
            previous,
            tag,
        };
        for log in Suite::ALL.map(sealed_with) {
            let (first, tag) = log.seal(FIRST, [0; 16], b"first");
            let (second, last) = log.seal(SECOND, tag, b"second");
            assert_eq!(log.open(FIRST, &first).unwrap(), opened(b"first", [0; 16], tag));
            assert_eq!(log.open(SECOND, &second).unwrap(), opened(b"second", tag, last));
        }
    }

    #[test]
    fn records_and_marks_of_the_other_cipher_are_refused() {
        for (suite, other) in [(0, 1), (1, 0)] {
            let (log, other) = (sealed_with(Suite::ALL[suite]), sealed_with(Suite::ALL[other]));
            let (record, _) = log.seal(FIRST, [0; 16], b"first");
            assert!(other.open(FIRST, &record).is_err());
            let mark = log.seal_mark(7, b"so far");
            assert_eq!(log.open_mark(&mark).as_deref(), Some(&b"so far"[..]));
            assert_eq!(other.open_mark(&mark), None);
        }
    }

    #[test]
    fn another_place_and_another_mount_are_refused() {
        let (first, _) = log().seal(FIRST, [0; 16], b"first");
        let elsewhere = LogPos {
            epoch: Epoch(6),
            seq: 0,
        };
        for pos in [SECOND, elsewhere] {
            assert!(log().open(pos, &first).is_err());
        }
        let other_mount = LogKey::new(&VolumeKey::from_bytes(Suite::default(), [1; 32]), [3; 32]);
        assert!(other_mount.open(FIRST, &first).is_err());
    }

    #[test]
    fn a_mark_opens_as_it_was_sealed_and_no_other() {
        let mark = log().seal_mark(7, b"so far");
        assert_eq!(log().open_mark(&mark).as_deref(), Some(&b"so far"[..]));
        for bit in 0..mark.len() * 8 {
            let mut altered = mark.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(log().open_mark(&altered), None);
        }
        for len in 0..mark.len() {
            assert_eq!(log().open_mark(&mark[..len]), None);
        }
        let other_mount = LogKey::new(&VolumeKey::from_bytes(Suite::default(), [1; 32]), [3; 32]);
        assert_eq!(other_mount.open_mark(&mark), None);
        // Neither passes for the other.
        let (record, _) = log().seal(
            LogPos {
                epoch: Epoch(0),
                seq: 7,
            },
            [0; 16],
            b"so far",
        );
        assert_eq!(log().open_mark(&record), None);
    }

    #[test]
    fn any_altered_bit_and_any_other_length_are_refused() {
        let (record, _) = log().seal(FIRST, [0; 16], b"first");
        for bit in 0..record.len() * 8 {
            let mut altered = record.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(log().open(FIRST, &altered).is_err());
        }
        for len in 0..record.len() {
            assert!(log().open(FIRST, &record[..len]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(stored in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(log().open(FIRST, &stored).is_err());
            prop_assert!(log().open_mark(&stored).is_none());
        }
    }
}
