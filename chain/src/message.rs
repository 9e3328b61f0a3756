//! The signed messages: EIP-712, bound to one chain, one contract and one kind.
//!
//! ```text
//! digest = keccak256(0x19 0x01 | domain separator | keccak256(type hash | words of the fields))
//!                                  name, version, chain, contract
//! ```
//!
//! The types are those of `contracts/src/interfaces/IStorageStaking.sol`;
//! `contracts/vectors/eip712.json` holds both sides to the same bytes.

use crate::bindings::{Checked, Fault, Locator, Publication, Terms};
use ethers_core::abi::{Token, encode};
use ethers_core::types::{Address, H256, U256};
use ethers_core::utils::keccak256;

const DOMAIN: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const NAME: &str = "Cairn Storage Staking";
const VERSION: &str = "1";

/// Where a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The chain.
    pub chain_id: u64,
    /// The contract on it.
    pub contract: Address,
}

impl Domain {
    /// As the contract computes it.
    pub fn separator(&self) -> [u8; 32] {
        keccak256(encode(&[
            word(keccak256(DOMAIN)),
            word(keccak256(NAME)),
            word(keccak256(VERSION)),
            Token::Uint(self.chain_id.into()),
            Token::Address(self.contract),
        ]))
    }

    /// What is signed for `message`.
    pub fn digest(&self, message: &impl Message) -> [u8; 32] {
        let mut bytes = [0; 66];
        bytes[..2].copy_from_slice(&[0x19, 0x01]);
        bytes[2..34].copy_from_slice(&self.separator());
        bytes[34..].copy_from_slice(&message.struct_hash());
        keccak256(bytes)
    }
}

/// A message that can be signed.
pub trait Message {
    /// Its type, with the types it is made of behind it.
    const TYPE: &'static str;

    /// Its fields, each as one word.
    fn words(&self) -> Vec<Token>;

    /// EIP-712's `hashStruct`.
    fn struct_hash(&self) -> [u8; 32] {
        let mut words = vec![word(keccak256(Self::TYPE))];
        words.extend(self.words());
        keccak256(encode(&words))
    }
}

fn word(bytes: [u8; 32]) -> Token {
    Token::FixedBytes(bytes.to_vec())
}

fn uint(number: impl Into<U256>) -> Token {
    Token::Uint(number.into())
}

macro_rules! terms_type {
    () => {
        "Terms(address token,uint128 stake,uint128 bond,address funding,uint128 minFunding,address arbiter,\
         uint32 challengeWindow,uint32 cooldown,uint32 grace,uint32 notice,uint32 staleEpochs,\
         uint16 refundShareBps,uint8 equivocation)"
    };
}

macro_rules! publication_type {
    () => {
        "Publication(bytes32 volume,uint64 boot,uint64 epoch,bytes32 root,bytes32 previousRoot)"
    };
}

impl Message for Terms {
    const TYPE: &'static str = terms_type!();

    fn words(&self) -> Vec<Token> {
        vec![
            Token::Address(self.token),
            uint(self.stake),
            uint(self.bond),
            Token::Address(self.funding),
            uint(self.min_funding),
            Token::Address(self.arbiter),
            uint(self.challenge_window),
            uint(self.cooldown),
            uint(self.grace),
            uint(self.notice),
            uint(self.stale_epochs),
            uint(self.refund_share_bps),
            uint(self.equivocation),
        ]
    }
}

/// The publisher accepts terms, and vouches for the signer inside the TEE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Owns the data.
    pub publisher: Address,
    /// Stakes.
    pub provider: Address,
    /// The pod.
    pub pod_id: [u8; 32],
    /// The volume in the pod.
    pub index: u32,
    /// What both agree on.
    pub terms: Terms,
    /// The storage plane's key.
    pub signer: Address,
    /// Last second at which the volume may be opened with it.
    pub expires: u64,
}

impl Message for Agreement {
    const TYPE: &'static str = concat!(
        "Agreement(address publisher,address provider,bytes32 podId,uint32 index,Terms terms,address signer,uint64 expires)",
        terms_type!()
    );

    fn words(&self) -> Vec<Token> {
        vec![
            Token::Address(self.publisher),
            Token::Address(self.provider),
            word(self.pod_id),
            uint(self.index),
            word(self.terms.struct_hash()),
            Token::Address(self.signer),
            uint(self.expires),
        ]
    }
}

/// The signer's consent to an agreement: the key exists, and means this contract and volume.
pub struct SignerProof<'a>(pub &'a Agreement);

impl Message for SignerProof<'_> {
    const TYPE: &'static str = "SignerProof(bytes32 agreement)";

    fn words(&self) -> Vec<Token> {
        vec![word(self.0.struct_hash())]
    }
}

impl Message for Publication {
    const TYPE: &'static str = publication_type!();

    fn words(&self) -> Vec<Token> {
        vec![
            word(self.volume),
            uint(self.boot),
            uint(self.epoch),
            word(self.root),
            word(self.previous_root),
        ]
    }
}

/// Newer versions of many volumes of one signer.
pub struct Batch<'a>(pub &'a [Publication]);

impl Message for Batch<'_> {
    const TYPE: &'static str = concat!("Batch(Publication[] publications)", publication_type!());

    fn words(&self) -> Vec<Token> {
        let hashes: Vec<u8> = self.0.iter().flat_map(Message::struct_hash).collect();
        vec![word(keccak256(hashes))]
    }
}

/// Fences all earlier instances of a volume.
pub struct Boot {
    /// The volume.
    pub volume: H256,
    /// One more than the current boot.
    pub boot: u64,
    /// Fresh.
    pub nonce: [u8; 32],
}

impl Message for Boot {
    const TYPE: &'static str = "Boot(bytes32 volume,uint64 boot,bytes32 nonce)";

    fn words(&self) -> Vec<Token> {
        vec![word(self.volume.0), uint(self.boot), word(self.nonce)]
    }
}

fn checked(checked: &Checked) -> Vec<Token> {
    vec![
        word(checked.volume),
        uint(checked.boot),
        uint(checked.number),
        uint(checked.epoch),
        word(checked.root),
    ]
}

/// The answer to a challenge: the whole version was checked.
pub struct Answer<'a>(pub &'a Checked);

impl Message for Answer<'_> {
    const TYPE: &'static str = "Answer(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root)";

    fn words(&self) -> Vec<Token> {
        checked(self.0)
    }
}

/// What was reported as lost is there again.
pub struct Heal<'a>(pub &'a Checked);

impl Message for Heal<'_> {
    const TYPE: &'static str = "Heal(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root)";

    fn words(&self) -> Vec<Token> {
        checked(self.0)
    }
}

impl Message for Fault {
    const TYPE: &'static str = "Fault(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root,\
        uint64 survivingEpoch,bytes32 survivingRoot)";

    fn words(&self) -> Vec<Token> {
        vec![
            word(self.volume),
            uint(self.boot),
            uint(self.number),
            uint(self.epoch),
            word(self.root),
            uint(self.surviving_epoch),
            word(self.surviving_root),
        ]
    }
}

impl Message for Locator {
    const TYPE: &'static str =
        "Locator(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root,string locator)";

    fn words(&self) -> Vec<Token> {
        vec![
            word(self.volume),
            uint(self.boot),
            uint(self.number),
            uint(self.epoch),
            word(self.root),
            word(keccak256(&self.locator)),
        ]
    }
}

/// The publisher confirms that it has the data it asked for.
pub struct Receipt {
    /// The volume.
    pub volume: H256,
    /// The challenge.
    pub number: u64,
}

impl Message for Receipt {
    const TYPE: &'static str = "Receipt(bytes32 volume,uint64 number)";

    fn words(&self) -> Vec<Token> {
        vec![word(self.volume.0), uint(self.number)]
    }
}

/// The old signer hands over to a new one.
pub struct Rotation {
    /// The volume.
    pub volume: H256,
    /// The boot the old signer holds.
    pub boot: u64,
    /// Number of changes of the signer, this one included.
    pub rotation: u64,
    /// The new signer.
    pub signer: Address,
}

impl Message for Rotation {
    const TYPE: &'static str = "Rotation(bytes32 volume,uint64 boot,uint64 rotation,address signer)";

    fn words(&self) -> Vec<Token> {
        vec![
            word(self.volume.0),
            uint(self.boot),
            uint(self.rotation),
            Token::Address(self.signer),
        ]
    }
}

/// Both parties name a new signer.
pub struct Replacement {
    /// The volume.
    pub volume: H256,
    /// Number of changes of the signer, this one included.
    pub rotation: u64,
    /// The new signer.
    pub signer: Address,
}

impl Message for Replacement {
    const TYPE: &'static str = "Replacement(bytes32 volume,uint64 rotation,address signer)";

    fn words(&self) -> Vec<Token> {
        vec![
            word(self.volume.0),
            uint(self.rotation),
            Token::Address(self.signer),
        ]
    }
}

/// Both parties end the volume and divide the stake.
pub struct Settlement {
    /// The volume.
    pub volume: H256,
    /// The publisher's part of the stake.
    pub to_publisher: u128,
    /// Last second at which it counts.
    pub expires: u64,
}

impl Message for Settlement {
    const TYPE: &'static str = "Settlement(bytes32 volume,uint128 toPublisher,uint64 expires)";

    fn words(&self) -> Vec<Token> {
        vec![word(self.volume.0), uint(self.to_publisher), uint(self.expires)]
    }
}
