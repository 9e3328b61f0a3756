//! Pays for transactions and brings them onto the chain: nonces, fees, and sending lost ones
//! again.
//!
//! ```text
//! begin: try it in the newest block, free nonce, fees --> sign --> send to all endpoints
//!   advance, at each look:   nonce used   --> mined (what it did, the caller reads from the chain)
//!                            used once and free again  --> a reorganisation took it out: send the same bytes again
//!                            waiting for `bump_after`  --> sign again with higher fees, send
//! ```
//!
//! A message may thus reach the chain twice. That is harmless, because the contract takes each at
//! most once: its messages are numbered or compare and swap.
//!
//! **Invariant:** no transaction ever offers more than `fee_max` for a unit of gas, whatever
//! endpoints say it costs.

use crate::error::{Error, Result};
use crate::key::Key;
use crate::revert::Revert;
use crate::rpc::Called;
use crate::view::{Chain, View};
use ethers_core::types::transaction::eip2718::TypedTransaction;
use ethers_core::types::{Address, Bytes, Eip1559TransactionRequest, H256, NameOrAddress, Signature, U256};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most gas a transaction may ask for: more than creating the contract takes, less than endpoints
/// could make us offer.
const GAS_MAX: u64 = 12_000_000;
/// Replacing a transaction takes at least a tenth more.
const BUMP_PERCENT: u64 = 125;
/// How often a price is raised at once when a node holds an older one of ours that we forgot.
const RAISES_MAX: usize = 24;

/// What a transaction may cost.
#[derive(Clone, Copy, Debug)]
pub struct Fees {
    /// For the block's maker, per unit of gas, in wei.
    pub tip: u64,
    /// At most, tip included, per unit of gas, in wei.
    pub max: u64,
    /// Offer more after so long without inclusion.
    pub bump_after: Duration,
}

/// An account that pays.
#[derive(Debug)]
pub struct Purse {
    key: Key,
    fees: Fees,
    in_flight: parking_lot::Mutex<BTreeSet<u64>>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not in a block.
    Pending,
    /// Its nonce is used: by one of its forms, or by another transaction of the account.
    Mined,
}

/// A transaction on its way.
#[derive(Debug)]
pub struct Sending {
    purse: Arc<Purse>,
    request: Eip1559TransactionRequest,
    nonce: u64,
    tip: u64,
    fee: u64,
    raw: Bytes,
    hashes: Vec<H256>,
    sent: Instant,
    mined: bool,
}

impl Purse {
    /// The account of `key`.
    pub fn new(key: Key, fees: Fees) -> Arc<Self> {
        Arc::new(Self {
            key,
            fees,
            in_flight: parking_lot::Mutex::default(),
        })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Sends `data` to `to`, or creates a contract. What would revert is not sent.
    pub fn begin(
        self: &Arc<Self>,
        chain: &Chain,
        newest: &View,
        to: Option<Address>,
        data: &Bytes,
    ) -> Result<Sending> {
        let from = self.address();
        // Tried before anything is signed: what reverts would cost gas, and its nonce.
        if let Called::Reverted(data) = chain.simulate(newest, from, to, data)? {
            return Err(Error::Reverted(Revert::new(data)));
        }
        let gas = chain.gas(from, to, data)?;
        // By the time it is mined, storage may have changed and it may need more.
        let gas = gas.saturating_add(gas / 4).min(GAS_MAX);
        let fee = self.fee(newest, self.fees.tip)?;
        // An account without funds is told here. A node would say no more than "insufficient
        // funds".
        let (balance, needed) = (chain.balance(newest, from)?, U256::from(gas) * U256::from(fee));
        if balance < needed {
            return Err(Error::NoGas {
                account: from,
                balance,
                needed,
            });
        }
        let mut request = Eip1559TransactionRequest::new()
            .chain_id(chain.id())
            .gas(gas)
            .data(data.clone());
        request.to = to.map(NameOrAddress::Address);
        // The nonce last: from here on nothing fails before the transaction is signed, and dropping
        // it gives the nonce back.
        let mut sending = Sending {
            nonce: self.take_nonce(chain.sent(newest, from)?),
            purse: Arc::clone(self),
            request,
            tip: self.fees.tip,
            fee,
            raw: Bytes::new(),
            hashes: Vec::new(),
            sent: Instant::now(),
            mined: false,
        };
        sending.sign();
        sending.send(chain)?;
        Ok(sending)
    }

    /// The lowest that is neither used nor taken by a transaction on its way.
    fn take_nonce(&self, used: u64) -> u64 {
        let mut taken = self.in_flight.lock();
        let free = (used..).find(|nonce| !taken.contains(nonce)).unwrap_or(used);
        taken.insert(free);
        free
    }

    /// Twice the block's price, so that six full blocks in a row do not outbid it.
    fn fee(&self, newest: &View, tip: u64) -> Result<u64> {
        let least = newest.base_fee.saturating_add(tip);
        if least > self.fees.max {
            return Err(self.too_expensive(least));
        }
        Ok(newest
            .base_fee
            .saturating_mul(2)
            .saturating_add(tip)
            .min(self.fees.max))
    }

    fn too_expensive(&self, wanted: u64) -> Error {
        Error::TooExpensive {
            wanted_gwei: wanted.div_ceil(1_000_000_000),
            allowed_gwei: self.fees.max / 1_000_000_000,
        }
    }
}

impl Sending {
    /// Names of all forms it was sent in; one of them may be in a block.
    pub fn hashes(&self) -> &[H256] {
        &self.hashes
    }

    /// The nonce it uses.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Looks where it is as of `newest`, and does what is needed to bring it on.
    pub fn advance(&mut self, chain: &Chain, newest: &View) -> Result<Progress> {
        // The nonce decides, not a receipt: it is used whichever of the forms a block took.
        if chain.sent(newest, self.purse.address())? > self.nonce {
            self.mined = true;
            return Ok(Progress::Mined);
        }
        if std::mem::take(&mut self.mined) {
            tracing::warn!(
                nonce = self.nonce,
                "a reorganisation took a transaction out of the chain: sending it again"
            );
            // The same bytes: nodes that still have them say so, and nothing is paid twice.
            self.send(chain)?;
        } else if self.sent.elapsed() >= self.purse.fees.bump_after {
            self.raise(newest)?;
            self.send(chain)?;
        }
        Ok(Progress::Pending)
    }

    /// Offers at least an eighth more, and what the newest block asks for.
    fn raise(&mut self, newest: &View) -> Result<()> {
        let more = |fee: u64| {
            u64::try_from(u128::from(fee) * u128::from(BUMP_PERCENT) / 100 + 1).unwrap_or(u64::MAX)
        };
        let max = self.purse.fees.max;
        let tip = more(self.tip).min(max);
        let fee = self.purse.fee(newest, tip)?.max(more(self.fee)).min(max);
        if fee < more(self.fee).min(self.fee.saturating_add(self.fee / 10)) {
            // At the limit. What was sent last may still be taken: it is only sent again.
            return Ok(());
        }
        tracing::info!(
            nonce = self.nonce,
            fee_gwei = fee / 1_000_000_000,
            "offering more for a transaction that waits"
        );
        (self.tip, self.fee) = (tip, fee);
        self.sign();
        Ok(())
    }

    fn sign(&mut self) {
        // All forms share the nonce, so at most one of them is ever mined.
        let request = self
            .request
            .clone()
            .nonce(self.nonce)
            .max_priority_fee_per_gas(self.tip)
            .max_fee_per_gas(self.fee);
        let typed: TypedTransaction = request.into();
        let bytes = self.purse.key.sign(&typed.sighash().0);
        let signature = Signature {
            r: U256::from_big_endian(&bytes[..32]),
            s: U256::from_big_endian(&bytes[32..64]),
            // EIP-1559 wants the parity alone.
            v: u64::from(bytes[64] - 27),
        };
        self.raw = typed.rlp_signed(&signature);
        self.hashes.push(typed.hash(&signature));
    }

    /// Sends what is signed. A node that already has it, or sees its nonce used, is no failure: the
    /// next look tells.
    fn send(&mut self, chain: &Chain) -> Result<()> {
        for _ in 0..RAISES_MAX {
            self.sent = Instant::now();
            let sent = chain
                .quorum()
                .tell::<H256>("eth_sendRawTransaction", &json!([self.raw]));
            let said = match sent {
                Ok(_) => return Ok(()),
                Err(Error::Refused { ref message, .. }) => message.to_lowercase(),
                Err(error) => return Err(error),
            };
            if ["already known", "already imported", "nonce too low"]
                .iter()
                .any(|known| said.contains(known))
            {
                return Ok(());
            }
            // Any other refusal is of the transaction itself: a higher price would not help.
            if !said.contains("underpriced") {
                return sent.map(drop);
            }
            // An earlier transaction that this process does not remember waits with the same nonce.
            let before = self.fee;
            let newest = chain.newest()?;
            self.raise(&newest)?;
            if self.fee == before {
                return Err(self.purse.too_expensive(before.saturating_add(before / 8)));
            }
        }
        Err(self.purse.too_expensive(self.fee))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.purse.in_flight.lock().remove(&self.nonce);
    }
}
