//! Key slots: each holds the volume key, wrapped for one way to open it.

use super::take::take;
use crate::aead::TAG_LEN;
use crate::{Error, Kek, Result};

pub(super) const SLOT_CLEAR_LEN: usize = 64;
pub(super) const WRAPPED_LEN: usize = 32 + TAG_LEN;
pub(super) const SLOT_LEN: usize = SLOT_CLEAR_LEN + WRAPPED_LEN;

/// Limits on Argon2id, so that a hostile header can neither eat the reader's memory nor hold it up
/// for long.
pub(super) const M_KIB_MAX: u32 = 1 << 20;
const T_MAX: u32 = 16;
const P_MAX: u32 = 16;

/// Where a slot's key-encryption key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// The 32 bytes of a key file.
    KeyFile,
    /// Argon2id (RFC 9106) of a passphrase, with an output of 32 bytes.
    Argon2id {
        /// Salt of the stretching.
        salt: [u8; 16],
        /// Memory in KiB, from 8 `p` to 1 GiB.
        m_kib: u32,
        /// Passes, 1 to 16.
        t: u32,
        /// Lanes, 1 to 16.
        p: u32,
    },
}

/// A slot about to be made.
#[derive(Debug)]
pub struct SlotKey {
    /// How the key is found again.
    pub kind: SlotKind,
    /// The key itself.
    pub kek: Kek,
}

/// A volume key, wrapped for one key-encryption key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where the key-encryption key comes from.
    pub kind: SlotKind,
    /// Salt of the key that wraps.
    pub(super) salt: [u8; 32],
    pub(super) wrapped: [u8; WRAPPED_LEN],
}

impl SlotKind {
    pub(super) fn require_valid(&self) -> Result<()> {
        let &Self::Argon2id { m_kib, t, p, .. } = self else {
            return Ok(());
        };
        let in_bounds =
            (1..=P_MAX).contains(&p) && (1..=T_MAX).contains(&t) && (8 * p..=M_KIB_MAX).contains(&m_kib);
        if in_bounds {
            Ok(())
        } else {
            Err(Error::Header {
                why: "the cost of a passphrase slot is out of bounds",
            })
        }
    }
}

impl Slot {
    pub(super) fn encode_clear(&self, stored: &mut Vec<u8>) {
        let (kind, [m_kib, t, p], salt) = match self.kind {
            SlotKind::KeyFile => (1_u32, [0; 3], [0; 16]),
            SlotKind::Argon2id { salt, m_kib, t, p } => (2, [m_kib, t, p], salt),
        };
        for number in [kind, m_kib, t, p] {
            stored.extend_from_slice(&number.to_le_bytes());
        }
        stored.extend_from_slice(&salt);
        stored.extend_from_slice(&self.salt);
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Result<Self> {
        let kind = u32::from_le_bytes(take(rest)?);
        let m_kib = u32::from_le_bytes(take(rest)?);
        let t = u32::from_le_bytes(take(rest)?);
        let p = u32::from_le_bytes(take(rest)?);
        let stretch_salt = take(rest)?;
        let kind = match kind {
            1 if (m_kib, t, p, stretch_salt) == (0, 0, 0, [0; 16]) => SlotKind::KeyFile,
            1 => {
                return Err(Error::Header {
                    why: "a key file slot has a cost or a passphrase's salt",
                });
            }
            2 => SlotKind::Argon2id {
                salt: stretch_salt,
                m_kib,
                t,
                p,
            },
            _ => {
                return Err(Error::Header {
                    why: "this build does not know a key slot's kind",
                });
            }
        };
        Ok(Self {
            kind,
            salt: take(rest)?,
            wrapped: take(rest)?,
        })
    }
}
