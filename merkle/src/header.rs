//! The volume header: the parameters of a volume, and the slots that give its key to entitled
//! holders.
//!
//! ```text
//!  magic | version | volume id | record size | algorithms | slot count | slots
//!  slot: kind | Argon2id's parameters | salt | volume key, wrapped
//!                                               `-- AAD: the whole header without any wrapped key
//! ```
//!
//! No field can be altered, and no slot added or taken away, without every slot failing to open.
//! The hash in each commit finds an older header that was put back whole
//! ([`crate::Commit::require_header`]).

use crate::aead::{self, ONE_TIME, TAG_LEN};
use crate::key::leaving_no_trace;
use crate::{Error, Kek, Result, VolumeKey};
use rand::CryptoRng;

const MAGIC: [u8; 8] = *b"cairnvol";
const VERSION: u16 = 1;
const HASH_BLAKE3: u8 = 1;
const AEAD_CHACHA20_POLY1305: u8 = 1;
const FIXED_LEN: usize = 34;
const SLOT_CLEAR_LEN: usize = 64;
const WRAPPED_LEN: usize = 32 + TAG_LEN;
const SLOT_LEN: usize = SLOT_CLEAR_LEN + WRAPPED_LEN;

/// Limits on Argon2id, so that a hostile header can neither eat the reader's memory nor hold it up for long.
const M_KIB_MAX: u32 = 1 << 20;
const T_MAX: u32 = 16;
const P_MAX: u32 = 16;

/// How records are compressed before they are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
}

/// What is chosen when a volume is created, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderParams {
    /// The unit a file's bytes are cut into: a power of two from 4 KiB to 1 MiB.
    pub record_size: u32,
    /// How records are compressed.
    pub compression: Compression,
}

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
    salt: [u8; 32],
    wrapped: [u8; WRAPPED_LEN],
}

/// What a volume is, and the slots that hold its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Names the volume; drawn at random.
    pub volume_id: [u8; 16],
    /// The unit a file's bytes are cut into.
    pub record_size: u32,
    /// How records are compressed.
    pub compression: Compression,
    /// One to eight ways to the volume key.
    pub slots: Vec<Slot>,
}

impl Header {
    /// The version this build writes.
    pub const VERSION: u16 = VERSION;
    /// The most slots a header has.
    pub const SLOTS_MAX: usize = 8;
    /// The smallest record.
    pub const RECORD_SIZE_MIN: u32 = 4 << 10;
    /// The largest record.
    pub const RECORD_SIZE_MAX: u32 = 1 << 20;

    /// A new volume: draws its id and its key, and wraps the key for each of `slots`.
    pub fn create(
        rng: &mut (impl CryptoRng + ?Sized),
        params: HeaderParams,
        slots: &[SlotKey],
    ) -> Result<(Self, VolumeKey)> {
        let mut volume_id = [0; 16];
        rng.fill_bytes(&mut volume_id);
        let key = VolumeKey::random(rng);
        let HeaderParams {
            record_size,
            compression,
        } = params;
        let bare = Self {
            volume_id,
            record_size,
            compression,
            slots: Vec::new(),
        };
        let header = bare.rekey(rng, &key, slots)?;
        Ok((header, key))
    }

    /// The same volume and key behind new slots. Each slot authenticates all others, so all are made anew.
    pub fn rekey(
        &self,
        rng: &mut (impl CryptoRng + ?Sized),
        key: &VolumeKey,
        slots: &[SlotKey],
    ) -> Result<Self> {
        let mut header = Self {
            slots: Vec::with_capacity(slots.len()),
            ..self.clone()
        };
        for slot in slots {
            let mut salt = [0; 32];
            rng.fill_bytes(&mut salt);
            header.slots.push(Slot {
                kind: slot.kind,
                salt,
                wrapped: [0; WRAPPED_LEN],
            });
        }
        header.require_valid()?;
        let aad = header.associated_data();
        for (slot, SlotKey { kek, .. }) in header.slots.iter_mut().zip(slots) {
            let wrapping = kek.wrapping_key(&slot.salt);
            let (plain, wrapped) = (key.as_bytes(), &mut slot.wrapped);
            leaving_no_trace(|| aead::seal_into(wrapping.as_bytes(), ONE_TIME, &aad, plain, wrapped));
        }
        Ok(header)
    }

    /// The volume key, from the first slot that opens. `kek_of` makes the key for a kind of slot, or passes it by
    /// with `None`.
    pub fn unlock(&self, mut kek_of: impl FnMut(&SlotKind) -> Option<Kek>) -> Result<VolumeKey> {
        let aad = self.associated_data();
        for slot in &self.slots {
            let Some(kek) = kek_of(&slot.kind) else { continue };
            let wrapping = kek.wrapping_key(&slot.salt);
            let opened = VolumeKey::try_filled(|key| {
                aead::open_into(wrapping.as_bytes(), ONE_TIME, &aad, &slot.wrapped, key).ok_or(())
            });
            if let Ok(key) = opened {
                return Ok(key);
            }
        }
        Err(Error::WrongKey)
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut stored = self.encode_fixed();
        for slot in &self.slots {
            slot.encode_clear(&mut stored);
            stored.extend_from_slice(&slot.wrapped);
        }
        stored
    }

    /// Parses the stored form strictly. Opens nothing: what it says is believed only after [`Self::unlock`].
    pub fn decode(stored: &[u8]) -> Result<Self> {
        let mut rest = stored;
        if take(&mut rest)? != MAGIC {
            return Err(Error::Header {
                why: "it does not begin with `cairnvol`",
            });
        }
        let version = u16::from_le_bytes(take(&mut rest)?);
        if version != VERSION {
            return Err(Error::UnknownVersion {
                what: "volume header",
                version: version.into(),
            });
        }
        let volume_id = take(&mut rest)?;
        let record_size = u32::from_le_bytes(take(&mut rest)?);
        let [compression, hash, aead, slot_count] = take(&mut rest)?;
        let compression = match compression {
            0 => Compression::None,
            _ => {
                return Err(Error::Header {
                    why: "this build does not know its compression",
                });
            }
        };
        if (hash, aead) != (HASH_BLAKE3, AEAD_CHACHA20_POLY1305) {
            return Err(Error::Header {
                why: "this build does not know its hash or cipher",
            });
        }
        if rest.len() != usize::from(slot_count) * SLOT_LEN {
            return Err(Error::Header {
                why: "its length does not fit its number of slots",
            });
        }
        let mut slots = Vec::new();
        while !rest.is_empty() && slots.len() <= Self::SLOTS_MAX {
            slots.push(Slot::decode(&mut rest)?);
        }
        let header = Self {
            volume_id,
            record_size,
            compression,
            slots,
        };
        header.require_valid()?;
        Ok(header)
    }

    /// Hash of the stored form, which each commit seals: of what its two parts hash to.
    pub fn hash(&self) -> [u8; 32] {
        self.parts().hash()
    }

    /// The public parts of the header.
    pub fn parts(&self) -> HeaderParts {
        let stored = self.encode();
        let (fixed, slots) = stored
            .split_first_chunk()
            .expect("a header begins with 34 fixed bytes");
        HeaderParts {
            fixed: *fixed,
            slots_hash: *blake3::hash(slots).as_bytes(),
        }
    }

    fn require_valid(&self) -> Result<()> {
        let sizes = Self::RECORD_SIZE_MIN..=Self::RECORD_SIZE_MAX;
        if !self.record_size.is_power_of_two() || !sizes.contains(&self.record_size) {
            return Err(Error::Header {
                why: "its record size is not a power of two from 4 KiB to 1 MiB",
            });
        }
        if !(1..=Self::SLOTS_MAX).contains(&self.slots.len()) {
            return Err(Error::Header {
                why: "it does not have one to eight key slots",
            });
        }
        self.slots.iter().try_for_each(|slot| slot.kind.require_valid())
    }

    /// The stored form without any wrapped key.
    fn associated_data(&self) -> Vec<u8> {
        let mut aad = self.encode_fixed();
        self.slots.iter().for_each(|slot| slot.encode_clear(&mut aad));
        aad
    }

    fn encode_fixed(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(FIXED_LEN + self.slots.len() * SLOT_LEN);
        stored.extend_from_slice(&MAGIC);
        stored.extend_from_slice(&VERSION.to_le_bytes());
        stored.extend_from_slice(&self.volume_id);
        stored.extend_from_slice(&self.record_size.to_le_bytes());
        let Compression::None = self.compression;
        let slot_count = u8::try_from(self.slots.len()).unwrap_or(u8::MAX);
        stored.extend_from_slice(&[0, HASH_BLAKE3, AEAD_CHACHA20_POLY1305, slot_count]);
        stored
    }
}

impl SlotKind {
    fn require_valid(&self) -> Result<()> {
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
    fn encode_clear(&self, stored: &mut Vec<u8>) {
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

    fn decode(rest: &mut &[u8]) -> Result<Self> {
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

/// A header without its key slots: a proof must not hand out what a passphrase can be guessed against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderParts {
    fixed: [u8; FIXED_LEN],
    slots_hash: [u8; 32],
}

impl HeaderParts {
    /// Length of [`Self::to_bytes`].
    pub const LEN: usize = FIXED_LEN + 32;

    /// The first 34 bytes of the header, then the hash of its slots.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..FIXED_LEN].copy_from_slice(&self.fixed);
        bytes[FIXED_LEN..].copy_from_slice(&self.slots_hash);
        bytes
    }

    /// Splits [`Self::to_bytes`]. Nothing is believed before [`Self::hash`] is what a commit seals.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (fixed, slots_hash) = bytes.split_first_chunk().expect("66 bytes begin with 34");
        Self {
            fixed: *fixed,
            slots_hash: *slots_hash.first_chunk().expect("the other 32 are left"),
        }
    }

    /// [`Header::hash`] of the header.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(blake3::hash(&self.fixed).as_bytes());
        hasher.update(&self.slots_hash);
        *hasher.finalize().as_bytes()
    }

    /// The unit a file's bytes are cut into.
    pub fn record_size(&self) -> Result<u32> {
        let mut rest = &self.fixed[..];
        let (magic, version): ([u8; 8], [u8; 2]) = (take(&mut rest)?, take(&mut rest)?);
        let _volume_id: [u8; 16] = take(&mut rest)?;
        let record_size = u32::from_le_bytes(take(&mut rest)?);
        let sizes = Header::RECORD_SIZE_MIN..=Header::RECORD_SIZE_MAX;
        let known = (magic, u16::from_le_bytes(version)) == (MAGIC, VERSION);
        if known && record_size.is_power_of_two() && sizes.contains(&record_size) {
            Ok(record_size)
        } else {
            Err(Error::Header {
                why: "it is of an unknown version, or its record size is none",
            })
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk().ok_or(Error::Header {
        why: "it is cut short",
    })?;
    *rest = after;
    Ok(*bytes)
}

#[cfg(test)]
mod tests;
