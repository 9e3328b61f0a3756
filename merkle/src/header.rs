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

mod slot;

pub use slot::{Slot, SlotKey, SlotKind};

use crate::aead::{self, ONE_TIME};
use crate::key::leaving_no_trace;
use crate::{Error, Kek, Result, Suite, VolumeKey};
use rand::CryptoRng;
use slot::{SLOT_LEN, WRAPPED_LEN, take};

const MAGIC: [u8; 8] = *b"cairnvol";
const VERSION: u16 = 2;
const HASH_BLAKE3: u8 = 1;
const FIXED_LEN: usize = 34;
const SUITE_AT: usize = 32;

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
    /// What everything in the volume is sealed with.
    pub suite: Suite,
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
    /// What everything in the volume is sealed with.
    pub suite: Suite,
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
        let HeaderParams {
            record_size,
            compression,
            suite,
        } = params;
        let key = VolumeKey::random(suite, rng);
        let bare = Self {
            volume_id,
            record_size,
            compression,
            suite,
            slots: Vec::new(),
        };
        let header = bare.rekey(rng, &key, slots)?;
        Ok((header, key))
    }

    /// The same volume and key behind new slots. Each slot authenticates all others, so all are
    /// made anew.
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
            let wrapping = kek.wrapping_key(self.suite, &slot.salt);
            let (plain, wrapped) = (key.as_bytes(), &mut slot.wrapped);
            leaving_no_trace(|| aead::seal_into(wrapping.aead(), ONE_TIME, &aad, plain, wrapped));
        }
        Ok(header)
    }

    /// The volume key, from the first slot that opens. `kek_of` makes the key for a kind of slot,
    /// or passes it by with `None`.
    pub fn unlock(&self, mut kek_of: impl FnMut(&SlotKind) -> Option<Kek>) -> Result<VolumeKey> {
        let aad = self.associated_data();
        for slot in &self.slots {
            let Some(kek) = kek_of(&slot.kind) else { continue };
            let wrapping = kek.wrapping_key(self.suite, &slot.salt);
            let opened = VolumeKey::try_filled(self.suite, |key| {
                aead::open_into(wrapping.aead(), ONE_TIME, &aad, &slot.wrapped, key).ok_or(())
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

    /// Parses the stored form strictly. Opens nothing: what it says is believed only after
    /// [`Self::unlock`].
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
        let [compression, hash, suite, slot_count] = take(&mut rest)?;
        let compression = match compression {
            0 => Compression::None,
            _ => {
                return Err(Error::Header {
                    why: "this build does not know its compression",
                });
            }
        };
        if hash != HASH_BLAKE3 {
            return Err(Error::Header {
                why: "this build does not know its hash",
            });
        }
        let suite = suite_of(suite)?;
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
            suite,
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
        stored.extend_from_slice(&[0, HASH_BLAKE3, self.suite.number(), slot_count]);
        stored
    }
}

/// A header without its key slots: a proof must not hand out what a passphrase can be guessed
/// against.
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

    /// What everything in the volume is sealed with.
    pub fn suite(&self) -> Result<Suite> {
        // Before the rest is believed or even known: it says how the commit block is opened that
        // proves it.
        suite_of(self.fixed[SUITE_AT])
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

fn suite_of(number: u8) -> Result<Suite> {
    Suite::from_number(number).ok_or(Error::UnknownSuite { number })
}

#[cfg(test)]
mod tests;
