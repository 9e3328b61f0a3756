//! The staking contract, read at a block on which the endpoints agree.
//!
//! Before anything is believed, `Contract::verify` asks what lies at the address: code, and the
//! domain separator of that code. The separator names the contract, its version, the chain and
//! the address itself. A hash of the code, if configured, must be met too: only that tells this
//! contract from a look-alike.

use crate::bindings::{
    Challenge, ChallengeOfCall, ChallengeOfReturn, CreditOfCall, CreditOfReturn, DomainSeparatorCall,
    DomainSeparatorReturn, Head, HeadOfCall, HeadOfReturn, Record, RecordOfCall, RecordOfReturn,
};
use crate::error::{Error, Result};
use crate::message::Domain;
use crate::revert::Revert;
use crate::rpc::Called;
use crate::view::{Chain, View};
use ethers_core::abi::{AbiDecode, AbiEncode};
use ethers_core::types::{Address, H256, U256};
use ethers_core::utils::keccak256;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// The contract at one address of one chain.
#[derive(Debug)]
pub struct Contract {
    chain: Chain,
    address: Address,
    code_hash: Option<H256>,
    verified: AtomicBool,
}

/// What is asked of the provider, by which kind of challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// To show that the volume is there and whole.
    Storage,
    /// To hand it over.
    Retrieval,
}

/// Where a volume stands, numbered as in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing is known of it.
    None,
    /// Offered by one side and not accepted.
    Offered,
    /// In use.
    Active,
    /// A challenge is open, or a fault not healed.
    Challenged,
    /// Unpaid; the provider may leave when the grace period is over.
    Grace,
    /// The provider has given notice.
    Leaving,
    /// The storage plane has signed two versions of one epoch.
    Frozen,
    /// Ended with the stake, or a part of it, paid to the publisher.
    Slashed,
    /// Ended without.
    Closed,
}

impl Status {
    /// From the contract's number.
    pub fn from_number(number: u8) -> Option<Self> {
        use Status::{Active, Challenged, Closed, Frozen, Grace, Leaving, None, Offered, Slashed};
        [
            None, Offered, Active, Challenged, Grace, Leaving, Frozen, Slashed, Closed,
        ]
        .get(usize::from(number))
        .copied()
    }
}

impl Contract {
    /// The contract at `address`; its code must have the hash `code_hash`, if there is one.
    pub fn new(chain: Chain, address: Address, code_hash: Option<H256>) -> Self {
        Self {
            chain,
            address,
            code_hash,
            verified: AtomicBool::new(false),
        }
    }

    /// No contract yet: for creating one.
    pub fn unverified(chain: Chain) -> Self {
        Self {
            verified: AtomicBool::new(true),
            ..Self::new(chain, Address::zero(), None)
        }
    }

    /// The chain it lies on.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where it lies.
    pub fn address(&self) -> Address {
        self.address
    }

    /// What messages to it are bound to.
    pub fn domain(&self) -> Domain {
        Domain {
            chain_id: self.chain.id(),
            contract: self.address,
        }
    }

    /// The newest final block, in which the contract has been verified to be the one meant.
    pub fn view(&self) -> Result<View> {
        let view = self.chain.view()?;
        if !self.verified.load(Ordering::Acquire) {
            self.verify(&view)?;
            self.verified.store(true, Ordering::Release);
        }
        Ok(view)
    }

    fn verify(&self, view: &View) -> Result<()> {
        let wrong = |why: String| Error::NotTheContract {
            address: self.address,
            why,
        };
        let code = self.chain.code(view, self.address)?;
        if code.is_empty() {
            return Err(wrong(format!("no code at block {}", view.number)));
        }
        let found = H256(keccak256(&code));
        if let Some(wanted) = self.code_hash.filter(|&wanted| wanted != found) {
            return Err(wrong(format!("its code has the hash {found:?}, not {wanted:?}")));
        }
        let separator = match self
            .chain
            .call(view, self.address, &DomainSeparatorCall.encode())?
        {
            Called::Returned(bytes) => DomainSeparatorReturn::decode(bytes).ok().map(|found| found.0),
            Called::Reverted(_) => None,
        };
        if separator != Some(self.domain().separator()) {
            return Err(wrong(
                "it does not answer with this contract's name, version, chain and address".into(),
            ));
        }
        Ok(())
    }

    /// The newest version of a volume as of `view`.
    pub fn head(&self, view: &View, volume: H256) -> Result<Head> {
        let answer: HeadOfReturn = self.read(view, HeadOfCall { volume: volume.0 })?;
        Ok(answer.0)
    }

    /// Terms, status and times of a volume as of `view`.
    pub fn record(&self, view: &View, volume: H256) -> Result<Record> {
        let answer: RecordOfReturn = self.read(view, RecordOfCall { volume: volume.0 })?;
        Ok(answer.record)
    }

    /// The open challenge of a track as of `view`, if there is one.
    pub fn challenge(&self, view: &View, volume: H256, track: Track) -> Result<Option<Challenge>> {
        let call = ChallengeOfCall {
            volume: volume.0,
            track: track as u8,
        };
        let answer: ChallengeOfReturn = self.read(view, call)?;
        Ok(Some(answer.0).filter(|open| open.kind != 0))
    }

    /// What `account` may withdraw as of `view`.
    pub fn credit(&self, view: &View, token: Address, account: Address) -> Result<U256> {
        let answer: CreditOfReturn = self.read(view, CreditOfCall { token, account })?;
        Ok(answer.0)
    }

    fn read<T: AbiDecode>(&self, view: &View, call: impl AbiEncode) -> Result<T> {
        match self.chain.call(view, self.address, &call.encode())? {
            Called::Returned(bytes) => T::decode(bytes).map_err(|error| Error::NotTheContract {
                address: self.address,
                why: format!("it answers what this contract never answers ({error})"),
            }),
            Called::Reverted(data) => Err(Error::Reverted(Revert::new(data))),
        }
    }
}
