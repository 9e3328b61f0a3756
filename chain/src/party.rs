//! A transaction of one's own: sent, mined, final, with its receipt.
//!
//! For publisher, provider and relayer. The storage plane does not use it. It brings its changes
//! about as a state of the chain ([`crate::settle`]): a receipt may not be the truth a moment
//! later.

use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::purse::Purse;
use crate::revert::Revert;
use crate::settle::{Goal, Pace, settle};
use crate::view::View;
use cairn_block::Cancel;
use ethers_core::types::{Address, Bytes, H256, U64};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// Someone with an account.
#[derive(Debug)]
pub struct Party {
    contract: Contract,
    purse: Arc<Purse>,
    pace: Pace,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Receipt {
    /// Its name.
    pub transaction_hash: H256,
    /// The block it is in.
    pub block_hash: H256,
    /// That block's height.
    pub block_number: U64,
    /// What it took.
    pub gas_used: U64,
    /// The contract it created, if it did.
    pub contract_address: Option<Address>,
    /// 1 if it did what it should.
    pub status: U64,
}

impl Party {
    /// The account of `purse`, dealing with `contract`.
    pub fn new(contract: Contract, purse: Arc<Purse>, pace: Pace) -> Self {
        Self {
            contract,
            purse,
            pace,
        }
    }

    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.purse.address()
    }

    /// Sends `data` to `to` (or creates a contract) and waits until that is final.
    pub fn send(&self, to: Option<Address>, data: Bytes, cancel: &Cancel) -> Result<Receipt> {
        let mut goal = Transaction {
            party: self,
            to,
            data,
        };
        settle(&self.contract, &self.purse, self.pace, cancel, &mut goal)
    }
}

struct Transaction<'a> {
    party: &'a Party,
    to: Option<Address>,
    data: Bytes,
}

impl Transaction<'_> {
    fn receipt(&self, hash: H256) -> Result<Option<Receipt>> {
        self.party
            .contract
            .chain()
            .quorum()
            .agree("eth_getTransactionReceipt", &json!([hash]))
    }
}

impl Goal for Transaction<'_> {
    type Reached = Receipt;

    fn reached(&mut self, settled: &View, hashes: &[H256]) -> Result<Option<Receipt>> {
        for &hash in hashes {
            let Some(receipt) = self
                .receipt(hash)?
                .filter(|found| found.block_number.as_u64() <= settled.number)
            else {
                continue;
            };
            if receipt.status.is_zero() {
                return Err(Error::Reverted(Revert::new(Vec::new())));
            }
            return Ok(Some(receipt));
        }
        Ok(None)
    }

    fn under_way(&mut self, _: &View) -> Result<bool> {
        Ok(false)
    }

    fn transaction(&mut self, _: &View) -> Result<(Option<Address>, Bytes)> {
        Ok((self.to, self.data.clone()))
    }

    fn taken(&mut self, nonce: u64) -> Result<()> {
        // Sending it again could do it twice.
        Err(Error::NonceTaken {
            from: self.party.address(),
            nonce: nonce.into(),
        })
    }
}
