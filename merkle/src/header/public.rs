//! The public part of a header: all but what gives its key away to a holder of another.

use super::feature::{FEATURE_LEN, Feature, Need};
use super::take::take;
use crate::{Error, Result, Suite};

const MAGIC: [u8; 8] = *b"cairnvol";
pub(super) const VERSION: u16 = 2;
const HASH_BLAKE3: u8 = 1;
const FEATURES_MAX: usize = 16;
/// Bounds of the record size.
pub(super) const RECORD_SIZE_MIN: u32 = 4 << 10;
pub(super) const RECORD_SIZE_MAX: u32 = 1 << 20;
/// Bytes before the features.
pub(super) const FIXED_LEN: usize = 98;

/// How records are compressed before they are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
}

/// What stands before the lists behind the features.
pub(super) struct Public {
    pub(super) volume_id: [u8; 16],
    pub(super) record_size: u32,
    pub(super) compression: Compression,
    pub(super) suite: Suite,
    pub(super) origin: [u8; 56],
    pub(super) key_epoch: u32,
    pub(super) features: Vec<Feature>,
    /// Lengths of the lists that follow: replicas, older keys, slots.
    pub(super) counts: [u8; 3],
}

impl Public {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Compression::None = self.compression;
        let mut stored = Vec::with_capacity(FIXED_LEN + self.features.len() * FEATURE_LEN);
        stored.extend_from_slice(&MAGIC);
        stored.extend_from_slice(&VERSION.to_le_bytes());
        stored.extend_from_slice(&self.volume_id);
        stored.extend_from_slice(&self.record_size.to_le_bytes());
        stored.extend_from_slice(&[0, HASH_BLAKE3]);
        stored.extend_from_slice(&self.suite.number().to_le_bytes());
        stored.extend_from_slice(&self.origin);
        stored.extend_from_slice(&self.key_epoch.to_le_bytes());
        stored.push(u8::try_from(self.features.len()).unwrap_or(u8::MAX));
        stored.extend_from_slice(&self.counts);
        self.features
            .iter()
            .for_each(|feature| feature.encode(&mut stored));
        stored
    }

    /// Takes it off the front. A feature without which nothing can be read is refused here, by its
    /// name: what follows may be of a form this build does not know.
    pub(super) fn decode(rest: &mut &[u8]) -> Result<Self> {
        if take(rest)? != MAGIC {
            return Err(Error::Header {
                why: "it does not begin with `cairnvol`",
            });
        }
        let version = u16::from_le_bytes(take(rest)?);
        if version != VERSION {
            return Err(Error::UnknownVersion {
                what: "volume header",
                version: version.into(),
            });
        }
        let volume_id = take(rest)?;
        let record_size = u32::from_le_bytes(take(rest)?);
        let algorithms: [u8; 2] = take(rest)?;
        let suite = u16::from_le_bytes(take(rest)?);
        let (origin, key_epoch) = (take(rest)?, u32::from_le_bytes(take(rest)?));
        let [feature_count, counts @ ..]: [u8; 4] = take(rest)?;
        let features = decode_features(feature_count, rest)?;
        // The features go first: what they name explains all else that is unknown.
        let suite = Suite::from_number(suite).ok_or(Error::UnknownSuite { number: suite })?;
        if algorithms != [0, HASH_BLAKE3] {
            return Err(Error::Header {
                why: "this build does not know its compression or its hash",
            });
        }
        require_record_size(record_size)?;
        Ok(Self {
            volume_id,
            record_size,
            compression: Compression::None,
            suite,
            origin,
            key_epoch,
            features,
            counts,
        })
    }
}

pub(super) fn require_record_size(record_size: u32) -> Result<()> {
    let sizes = RECORD_SIZE_MIN..=RECORD_SIZE_MAX;
    match record_size.is_power_of_two() && sizes.contains(&record_size) {
        true => Ok(()),
        false => Err(Error::Header {
            why: "its record size is not a power of two from 4 KiB to 1 MiB",
        }),
    }
}

fn decode_features(count: u8, rest: &mut &[u8]) -> Result<Vec<Feature>> {
    if usize::from(count) > FEATURES_MAX {
        return Err(Error::Header {
            why: "it has more than sixteen features",
        });
    }
    let mut features: Vec<Feature> = Vec::new();
    for _ in 0..count {
        let feature = Feature::decode(rest)?;
        if features.last().is_some_and(|last| last.name >= feature.name) {
            return Err(Error::Header {
                why: "its features are not in the order of their names",
            });
        }
        features.push(feature);
    }
    let unknown = features
        .iter()
        .find(|feature| feature.need == Need::Reading && !feature.is_known());
    match unknown {
        Some(feature) => Err(Error::UnknownFeature {
            name: feature.name.clone(),
            what: "read",
        }),
        None => Ok(features),
    }
}

/// A header without what follows its public part: a proof must not hand out what a passphrase can
/// be guessed against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderParts {
    public: Vec<u8>,
    record_size: u32,
    suite: Suite,
    rest_hash: [u8; 32],
}

impl HeaderParts {
    pub(super) fn new(public: &Public, rest: &[u8]) -> Self {
        Self {
            public: public.encode(),
            record_size: public.record_size,
            suite: public.suite,
            rest_hash: *blake3::hash(rest).as_bytes(),
        }
    }

    /// The public part of the header, then the hash of the rest.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.public[..], &self.rest_hash].concat()
    }

    /// Reads [`Self::to_bytes`]. Nothing is believed before [`Self::hash`] is what a commit seals.
    ///
    /// # Errors
    /// As [`crate::Header::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let public = Public::decode(&mut rest)?;
        let rest_hash = take(&mut rest)?;
        if !rest.is_empty() {
            return Err(Error::Header {
                why: "something follows the hash of its rest",
            });
        }
        Ok(Self {
            public: bytes[..bytes.len() - 32].to_vec(),
            record_size: public.record_size,
            suite: public.suite,
            rest_hash,
        })
    }

    /// [`crate::Header::hash`] of the header.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(blake3::hash(&self.public).as_bytes());
        hasher.update(&self.rest_hash);
        *hasher.finalize().as_bytes()
    }

    /// What everything in the volume is sealed with. It says how the commit block is opened that
    /// proves it.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The unit a file's bytes are cut into.
    pub fn record_size(&self) -> u32 {
        self.record_size
    }
}
