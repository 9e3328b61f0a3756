//! One block on which the endpoints agree: all reads through it are of one moment, and final.
//!
//! ```text
//! each endpoint: newest final height   -->  the highest that k have reached  -->  hash on which k agree  -->  View
//!                (its `finalized`, or newest - n)                                                              |
//!                                          calls, code, events "at this hash" <--------------------------------'
//! ```
//!
//! **Invariant:** heights never fall. An endpoint may hide new blocks, and it may show old ones
//! after new ones. The second is noticed here. The first is noticed by [`Finality`], by the
//! block's age and, for an instance that may publish, by a boot.

use crate::error::{Error, Result};
use crate::quorum::Quorum;
use crate::rpc::{Called, Endpoint};
use ethers_core::types::{Address, Bytes, H256, U64, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a block counts as settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finality {
    /// The chain says so: its `finalized` block.
    Finalized,
    /// So many blocks lie on top of it. For chains without finality; 0 believes the newest block.
    Confirmations(u64),
}

/// A block, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// Its height.
    pub number: u64,
    /// When it was made, in seconds since 1970, by the chain's clock.
    pub timestamp: u64,
    /// Its name.
    pub hash: H256,
    /// What a unit of gas cost in it, in wei.
    pub base_fee: u64,
}

/// As it comes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    number: U64,
    hash: H256,
    timestamp: U64,
    base_fee_per_gas: Option<U64>,
}

/// The endpoints and what may be believed of them.
#[derive(Debug)]
pub struct Chain {
    quorum: Quorum,
    chain_id: u64,
    finality: Finality,
    block_age_max: Option<Duration>,
    spread_max: Duration,
    seen: AtomicU64,
}

/// Newest final blocks of honest nodes lie closer together: at most two of Ethereum's epochs, 13
/// minutes.
pub const SPREAD_MAX: Duration = Duration::from_secs(900);

/// What an endpoint says of its newest final block. Ordered by height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    number: u64,
    timestamp: u64,
}

impl Chain {
    /// The chain `chain_id` as `quorum` shows it. A newest final block older than `block_age_max`
    /// is not believed.
    pub fn new(quorum: Quorum, chain_id: u64, finality: Finality, block_age_max: Option<Duration>) -> Self {
        Self {
            quorum,
            chain_id,
            finality,
            block_age_max,
            spread_max: SPREAD_MAX,
            seen: AtomicU64::new(0),
        }
    }

    /// Endpoints whose newest final blocks were made further apart than this are believed none of.
    pub fn with_spread_max(self, spread_max: Duration) -> Self {
        Self { spread_max, ..self }
    }

    /// The endpoints.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The chain's number.
    pub fn id(&self) -> u64 {
        self.chain_id
    }

    /// The newest block that is final.
    pub fn view(&self) -> Result<View> {
        let (chain_id, finality, spread) = (self.chain_id, self.finality, self.spread_max.as_secs());
        let near = move |a: &Claim, b: &Claim| a.timestamp.abs_diff(b.timestamp) <= spread;
        let claim = self
            .quorum
            .reached("the newest final block", near, move |endpoint| {
                require_chain(endpoint, chain_id)?;
                newest_final(endpoint, finality)
            })?;
        let height = claim.number;
        let before = self.seen.fetch_max(height, Ordering::AcqRel);
        if height < before {
            return Err(Error::OldChain {
                why: format!("block {before} was final before, now only block {height} is"),
            });
        }
        let view = self
            .block(json!(U64::from(height)))?
            .ok_or_else(|| Error::OldChain {
                why: format!("block {height} is final and cannot be had"),
            })?;
        // A stale endpoint that dates its block forward would pass for one that is close to the
        // others.
        if view.timestamp != claim.timestamp {
            return Err(Error::OldChain {
                why: format!(
                    "an endpoint dates block {height} at {} and it is of {}",
                    claim.timestamp, view.timestamp
                ),
            });
        }
        self.require_young(&view)?;
        Ok(view)
    }

    /// The newest block, final or not, on one endpoint's word: for fees and waiting, never for a
    /// decision.
    pub fn newest(&self) -> Result<View> {
        let height = self
            .quorum
            .reached("the newest block", |_, _| true, newest_height)?;
        self.block(json!(U64::from(height)))?
            .ok_or_else(|| Error::OldChain {
                why: format!("block {height} cannot be had"),
            })
    }

    /// The block that `which` names, if there is one.
    pub fn block(&self, which: Value) -> Result<Option<View>> {
        let found: Option<Block> = self
            .quorum
            .agree("eth_getBlockByNumber", &json!([which, false]))?;
        Ok(found.map(Into::into))
    }

    /// Calls `to` as of `view`, without a sender.
    pub fn call(&self, view: &View, to: Address, data: &[u8]) -> Result<Called> {
        let call = json!({ "to": to, "data": Bytes::from(data.to_vec()) });
        self.quorum.call(&json!([call, at(view)]))
    }

    /// What a transaction of `from` would do as of `view`.
    pub fn simulate(&self, view: &View, from: Address, to: Option<Address>, data: &Bytes) -> Result<Called> {
        self.quorum.call(&json!([transaction(from, to, data), at(view)]))
    }

    /// The gas that enough endpoints think such a transaction needs.
    pub fn gas(&self, from: Address, to: Option<Address>, data: &Bytes) -> Result<u64> {
        let params = json!([transaction(from, to, data)]);
        let ask = move |endpoint: &Endpoint| endpoint.ask::<U64>("eth_estimateGas", &params);
        Ok(self.quorum.reached("the gas needed", |_, _| true, ask)?.as_u64())
    }

    /// How many transactions `account` has sent as of `view`.
    pub fn sent(&self, view: &View, account: Address) -> Result<u64> {
        let count: U64 = self
            .quorum
            .agree("eth_getTransactionCount", &json!([account, at(view)]))?;
        Ok(count.as_u64())
    }

    /// What `account` holds as of `view`, in wei.
    pub fn balance(&self, view: &View, account: Address) -> Result<U256> {
        self.quorum.agree("eth_getBalance", &json!([account, at(view)]))
    }

    /// The code at `address` as of `view`.
    pub fn code(&self, view: &View, address: Address) -> Result<Vec<u8>> {
        let code: Bytes = self.quorum.agree("eth_getCode", &json!([address, at(view)]))?;
        Ok(code.to_vec())
    }

    /// The clock lies outside and may be set back, the endpoints may hide new blocks: this only
    /// stops an attacker that cannot do both.
    fn require_young(&self, view: &View) -> Result<()> {
        let Some(limit) = self.block_age_max else {
            return Ok(());
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_secs(view.timestamp));
        if age > limit {
            return Err(Error::OldChain {
                why: format!(
                    "the newest final block, {}, is {} s old, and {} s are allowed (block_age_max_secs)",
                    view.number,
                    age.as_secs(),
                    limit.as_secs()
                ),
            });
        }
        Ok(())
    }
}

/// By hash, so that no reorganisation between two questions mixes two chains (EIP-1898).
fn at(view: &View) -> Value {
    json!({ "blockHash": view.hash, "requireCanonical": true })
}

fn transaction(from: Address, to: Option<Address>, data: &Bytes) -> Value {
    match to {
        Some(to) => json!({ "from": from, "to": to, "data": data }),
        None => json!({ "from": from, "data": data }),
    }
}

/// The number of the chain that enough endpoints say they serve.
pub fn chain_id(quorum: &Quorum) -> Result<u64> {
    let id: U64 = quorum.agree("eth_chainId", &json!([]))?;
    Ok(id.as_u64())
}

fn require_chain(endpoint: &Endpoint, wanted: u64) -> Result<()> {
    let found: U64 = endpoint.ask("eth_chainId", &json!([]))?;
    if found.as_u64() == wanted {
        return Ok(());
    }
    Err(Error::WrongChain {
        endpoint: endpoint.name().into(),
        wanted,
        found: found.as_u64(),
    })
}

fn newest_final(endpoint: &Endpoint, finality: Finality) -> Result<Claim> {
    let which = match finality {
        Finality::Finalized => json!("finalized"),
        Finality::Confirmations(count) => json!(U64::from(newest_height(endpoint)?.saturating_sub(count))),
    };
    let block = |which| endpoint.ask::<Option<Block>>("eth_getBlockByNumber", &json!([which, false]));
    // A chain that is younger than its first final block has its first block.
    let found = match block(which)? {
        Some(found) => Some(found),
        None => block(json!("0x0"))?,
    };
    let found = found.ok_or_else(|| endpoint.nonsense("it has no block at all"))?;
    Ok(Claim {
        number: found.number.as_u64(),
        timestamp: found.timestamp.as_u64(),
    })
}

fn newest_height(endpoint: &Endpoint) -> Result<u64> {
    let height: U64 = endpoint.ask("eth_blockNumber", &json!([]))?;
    Ok(height.as_u64())
}

impl From<Block> for View {
    fn from(block: Block) -> Self {
        Self {
            number: block.number.as_u64(),
            timestamp: block.timestamp.as_u64(),
            hash: block.hash,
            base_fee: block.base_fee_per_gas.map_or(0, |fee| fee.as_u64()),
        }
    }
}
