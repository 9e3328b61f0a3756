//! The identity of a volume on chain.

use crate::bindings::{self, Record};
use crate::message::Agreement;
use ethers_core::abi::{Token, encode};
use ethers_core::types::{Address, H256};
use ethers_core::utils::keccak256;
use serde::{Deserialize, Serialize};

/// The public name of a volume on chain: its parties, its pod, its number. No secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeName {
    /// Owns the data.
    pub publisher: Address,
    /// Runs the machine, and stakes.
    pub provider: Address,
    /// The pod the volume belongs to.
    pub pod: H256,
    /// Its number in the pod.
    #[serde(default)]
    pub index: u32,
}

impl VolumeName {
    /// The name the contract has for it.
    pub fn id(&self) -> H256 {
        let words = [
            Token::Address(self.publisher),
            Token::Address(self.provider),
            Token::FixedBytes(self.pod.as_bytes().to_vec()),
            Token::Uint(self.index.into()),
        ];
        keccak256(encode(&words)).into()
    }
}

impl From<VolumeName> for bindings::VolumeKey {
    fn from(key: VolumeName) -> Self {
        Self {
            publisher: key.publisher,
            provider: key.provider,
            pod_id: key.pod.into(),
            index: key.index,
        }
    }
}

/// What both sides sign to accept the offer that stands on chain, with `signer` as the storage
/// plane's key.
pub fn offered(record: &Record, signer: Address) -> Agreement {
    Agreement {
        publisher: record.key.publisher,
        provider: record.key.provider,
        pod_id: record.key.pod_id,
        index: record.key.index,
        terms: record.terms.clone(),
        signer,
        expires: record.offer_expires,
    }
}
