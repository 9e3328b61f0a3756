//! The volume header: the parameters of a volume, and the slots that give its key to entitled
//! holders.
//!
//! ```text
//!  magic | version | volume id | record size | algorithms | room for more | features | lists | slots
//!  slot: kind | Argon2id's parameters | salt | volume key, wrapped
//!                                               `-- AAD: the whole header without any wrapped key
//! ```
//!
//! No field can be altered, and no slot added or taken away, without every slot failing to open.
//! The hash in each commit finds an older header that was put back whole
//! ([`crate::Commit::require_header`]).

mod feature;
mod public;
mod slot;
mod take;

pub use feature::{Feature, Need};
pub use public::{Compression, HeaderParts};
pub use slot::{Slot, SlotKey, SlotKind};

use crate::aead::{self, ONE_TIME};
use crate::key::leaving_no_trace;
use crate::{Error, Kek, Result, Suite, VolumeKey};
use public::{Public, VERSION};
use rand::CryptoRng;
use slot::{SLOT_LEN, WRAPPED_LEN};
use take::take_all;

/// Stored bytes of a replica's id, and of an older key: its epoch, salt, the key wrapped.
const REPLICA_LEN: usize = 16;
const OLDER_KEY_LEN: usize = 4 + 32 + WRAPPED_LEN;

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
    /// What builds before it may not know, in the order of the names.
    pub features: Vec<Feature>,
    /// Room that this build has no use for.
    reserved: Reserved,
    /// One to eight ways to the volume key.
    pub slots: Vec<Slot>,
}

/// Room in the header for what is to come. This build fills it with nothing, and keeps what a newer
/// one put there under a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reserved {
    /// The version of another volume that this one began as: volume id, epoch, digest of the root.
    origin: [u8; 56],
    /// Number of the volume key that the slots hold.
    key_epoch: u32,
    /// Ids of the volume's replicas.
    replicas: Vec<[u8; REPLICA_LEN]>,
    /// Volume keys before this one, each wrapped under the next.
    older_keys: Vec<[u8; OLDER_KEY_LEN]>,
}

impl Reserved {
    const NOTHING: Self = Self {
        origin: [0; 56],
        key_epoch: 1,
        replicas: Vec::new(),
        older_keys: Vec::new(),
    };
}

impl Header {
    /// The version this build writes.
    pub const VERSION: u16 = VERSION;
    /// The most slots a header has.
    pub const SLOTS_MAX: usize = 8;
    /// The smallest record.
    pub const RECORD_SIZE_MIN: u32 = public::RECORD_SIZE_MIN;
    /// The largest record.
    pub const RECORD_SIZE_MAX: u32 = public::RECORD_SIZE_MAX;

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
            features: Vec::new(),
            reserved: Reserved::NOTHING,
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

    /// The feature that keeps this build from changing the volume, if there is one.
    pub fn unknown_feature(&self) -> Option<&Feature> {
        self.features.iter().find(|feature| !feature.is_known())
    }

    /// Refuses to change what a build must know more for.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`].
    pub fn require_writable(&self) -> Result<()> {
        match self.unknown_feature() {
            None => Ok(()),
            Some(feature) => Err(Error::UnknownFeature {
                name: feature.name.clone(),
                what: "change",
            }),
        }
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut stored = self.public().encode();
        self.encode_rest(&mut stored);
        stored
    }

    fn public(&self) -> Public {
        let count = |len: usize| u8::try_from(len).unwrap_or(u8::MAX);
        let Reserved {
            origin,
            key_epoch,
            replicas,
            older_keys,
        } = &self.reserved;
        Public {
            volume_id: self.volume_id,
            record_size: self.record_size,
            compression: self.compression,
            suite: self.suite,
            origin: *origin,
            key_epoch: *key_epoch,
            features: self.features.clone(),
            counts: [replicas.len(), older_keys.len(), self.slots.len()].map(count),
        }
    }

    fn encode_rest(&self, stored: &mut Vec<u8>) {
        self.encode_lists(stored);
        for slot in &self.slots {
            slot.encode_clear(stored);
            stored.extend_from_slice(&slot.wrapped);
        }
    }

    /// Parses the stored form strictly. Opens nothing: what it says is believed only after
    /// [`Self::unlock`].
    ///
    /// # Errors
    /// [`Error::UnknownFeature`] and [`Error::UnknownSuite`] where a newer build can read the
    /// volume; [`Error::UnknownVersion`]; else the rule that is broken.
    pub fn decode(stored: &[u8]) -> Result<Self> {
        let mut rest = stored;
        let public = Public::decode(&mut rest)?;
        let [replicas, older_keys, slots] = public.counts.map(usize::from);
        if rest.len() != replicas * REPLICA_LEN + older_keys * OLDER_KEY_LEN + slots * SLOT_LEN {
            return Err(Error::Header {
                why: "its length does not fit what it says is in it",
            });
        }
        let reserved = Reserved {
            origin: public.origin,
            key_epoch: public.key_epoch,
            replicas: take_all(replicas, &mut rest)?,
            older_keys: take_all(older_keys, &mut rest)?,
        };
        // The length was compared: at most 255.
        let slots = (0..slots)
            .map(|_| Slot::decode(&mut rest))
            .collect::<Result<_>>()?;
        let header = Self {
            volume_id: public.volume_id,
            record_size: public.record_size,
            compression: public.compression,
            suite: public.suite,
            features: public.features,
            reserved,
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
        let mut rest = Vec::new();
        self.encode_rest(&mut rest);
        HeaderParts::new(&self.public(), &rest)
    }

    fn require_valid(&self) -> Result<()> {
        public::require_record_size(self.record_size)?;
        if !(1..=Self::SLOTS_MAX).contains(&self.slots.len()) {
            return Err(Error::Header {
                why: "it does not have one to eight key slots",
            });
        }
        if self.features.is_empty() && self.reserved != Reserved::NOTHING {
            return Err(Error::Header {
                why: "room that is reserved is filled, and no feature says with what",
            });
        }
        self.features.iter().try_for_each(Feature::require_valid)?;
        self.slots.iter().try_for_each(|slot| slot.kind.require_valid())
    }

    /// The stored form without any wrapped key.
    fn associated_data(&self) -> Vec<u8> {
        let mut aad = self.public().encode();
        self.encode_lists(&mut aad);
        self.slots.iter().for_each(|slot| slot.encode_clear(&mut aad));
        aad
    }

    /// What stands between the public part and the slots.
    fn encode_lists(&self, stored: &mut Vec<u8>) {
        stored.extend(self.reserved.replicas.iter().flatten());
        stored.extend(self.reserved.older_keys.iter().flatten());
    }
}

#[cfg(test)]
mod tests;
