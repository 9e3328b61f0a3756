//! The contract's events of one volume, in order.
//!
//! Endpoints limit the answer to one question, each in its own way. So a range is asked for in
//! pages, and a refused page is halved. The answer is the same on enough endpoints, and each
//! event is of this contract, this volume and this range.

use crate::contract::Contract;
use crate::error::{Error, Result};
use ethers_contract::EthLogDecode;
use ethers_core::abi::RawLog;
use ethers_core::types::{Address, Bytes, H256, U64};
use serde::Deserialize;
use serde_json::json;

/// Public endpoints allow between 500 and 10,000 blocks.
const PAGE_BLOCKS: u64 = 5_000;

/// Blocks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// An event and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<E> {
    /// What happened.
    pub event: E,
    /// In which block.
    pub block: u64,
    /// In which transaction.
    pub transaction: H256,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Log {
    address: Address,
    topics: Vec<H256>,
    data: Bytes,
    block_number: U64,
    block_hash: H256,
    transaction_hash: H256,
    log_index: U64,
    #[serde(default)]
    removed: bool,
}

/// The events of kind `E` of `volume` in `range`, oldest first; of others nothing is said.
pub fn events<E: EthLogDecode>(contract: &Contract, volume: H256, range: Range) -> Result<Vec<Found<E>>> {
    let mut found = Vec::new();
    let (mut from, mut blocks) = (range.from, PAGE_BLOCKS);
    while from <= range.to {
        let page = Range {
            from,
            to: range.to.min(from.saturating_add(blocks - 1)),
        };
        match logs(contract, volume, page) {
            Ok(logs) => {
                found.extend(logs.into_iter().filter_map(decode));
                let Some(next) = page.to.checked_add(1) else { break };
                from = next;
            }
            // Too much for one answer, in whatever words the endpoint has for that.
            Err(error) if blocks > 1 && !matches!(error, Error::Unreachable { .. }) => blocks /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn logs(contract: &Contract, volume: H256, page: Range) -> Result<Vec<Log>> {
    let filter = json!([{
        "address": contract.address(),
        "topics": [null, volume],
        "fromBlock": U64::from(page.from),
        "toBlock": U64::from(page.to),
    }]);
    let logs: Vec<Log> = contract.chain().quorum().agree("eth_getLogs", &filter)?;
    let mut last = None;
    for log in &logs {
        let at = (log.block_number, log.log_index);
        let asked_for = log.address == contract.address()
            && log.topics.get(1) == Some(&volume)
            && (page.from..=page.to).contains(&log.block_number.as_u64())
            && !log.removed
            && last < Some(at);
        if !asked_for {
            return Err(Error::Nonsense {
                endpoint: "the chain".into(),
                why: "events that were not asked for, or out of order".into(),
            });
        }
        last = Some(at);
    }
    Ok(logs)
}

fn decode<E: EthLogDecode>(log: Log) -> Option<Found<E>> {
    let raw = RawLog {
        topics: log.topics,
        data: log.data.to_vec(),
    };
    Some(Found {
        event: E::decode_log(&raw).ok()?,
        block: log.block_number.as_u64(),
        transaction: log.transaction_hash,
    })
}
