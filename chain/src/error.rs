//! The errors between here and the chain.
//!
//! **Invariant:** text from outside is cut and stripped of control characters before it stands in
//! a message ([`crate::quoted()`]). An endpoint is named without the path and the user of its URL,
//! which often are its password.

use crate::revert::Revert;
use ethers_core::types::{Address, H256, U256};
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the chain's client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint does not answer, or not in time.
    #[error("{endpoint} does not answer: {why}")]
    Unreachable {
        /// Which endpoint.
        endpoint: String,
        /// What the network said.
        why: String,
    },
    /// More than any true answer needs.
    #[error("{endpoint} answers with more than {limit} bytes")]
    TooLong {
        /// Which endpoint.
        endpoint: String,
        /// What is read at most.
        limit: u64,
    },
    /// Not what the protocol allows.
    #[error("{endpoint} answers with nonsense: {why}")]
    Nonsense {
        /// Which endpoint.
        endpoint: String,
        /// What does not fit.
        why: String,
    },
    /// The endpoint understood and refused.
    #[error("{endpoint} refuses {method}: {message} (code {code})")]
    Refused {
        /// Which endpoint.
        endpoint: String,
        /// What was asked.
        method: &'static str,
        /// JSON-RPC's number.
        code: i64,
        /// Its reason, [`crate::quoted()`].
        message: String,
    },
    /// It serves another chain than the one configured.
    #[error("{endpoint} serves chain {found}, not chain {wanted}")]
    WrongChain {
        /// Which endpoint.
        endpoint: String,
        /// The chain configured.
        wanted: u64,
        /// The chain it names.
        found: u64,
    },
    /// Too few endpoints gave the same answer.
    #[error("no {wanted} of {asked} endpoints agree on {what}: {answers}")]
    Disagree {
        /// What was asked.
        what: &'static str,
        /// How many must agree.
        wanted: usize,
        /// How many were asked.
        asked: usize,
        /// What they said, in short.
        answers: String,
    },
    /// Not the staking contract.
    #[error("at {address:?} lies no staking contract: {why}")]
    NotTheContract {
        /// The address configured.
        address: Address,
        /// What lies there.
        why: String,
    },
    /// The newest block on which the endpoints agree is older than one seen before, or too old to
    /// believe.
    #[error("the endpoints show an old chain: {why}")]
    OldChain {
        /// What gives it away.
        why: String,
    },
    /// The contract knows no such volume.
    #[error("the contract has no volume {0:?}")]
    NoVolume(H256),
    /// The contract refused, with its own error.
    #[error("the contract refuses: {0}")]
    Reverted(Revert),
    /// The nonce of a transaction was used by another one.
    #[error("another transaction of {from:?} took nonce {nonce}: is its gas key used elsewhere too?")]
    NonceTaken {
        /// The account that pays.
        from: Address,
        /// The nonce.
        nonce: U256,
    },
    /// Gas costs more than the configuration allows.
    #[error("gas costs {wanted_gwei} gwei, and at most {allowed_gwei} are allowed (fee_max_gwei)")]
    TooExpensive {
        /// What inclusion would take.
        wanted_gwei: u64,
        /// What the configuration allows.
        allowed_gwei: u64,
    },
    /// The account that pays for gas cannot.
    #[error("the gas account {account:?} holds {balance} wei, and this transaction may cost {needed}")]
    NoGas {
        /// The account.
        account: Address,
        /// What it has.
        balance: U256,
        /// What is needed.
        needed: U256,
    },
    /// It was not done in the time given.
    #[error("{what} is not final after {seconds} s")]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// Another instance has booted since this one did.
    #[error("another instance of this volume has taken over")]
    Fenced,
    /// Another version than the one to be replaced stands on chain.
    #[error("another version stands on chain than the one that was to be replaced")]
    Conflict,
    /// The volume has ended, and nothing counts for it any more.
    #[error("the volume has ended on chain: {0}")]
    Ended(&'static str),
    /// The caller gave up waiting. What was sent may still come about.
    #[error("the wait was given up")]
    Cancelled,
    /// The configuration makes no sense.
    #[error("the chain's configuration: {0}")]
    Config(String),
    /// A key file is missing, readable by others, or no key.
    #[error("the key in {}: {why}", path.display())]
    Key {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    /// Whether asking again later may help: the network or an endpoint failed, not what was asked.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TooLong { .. }
            | Self::Nonsense { .. }
            | Self::Refused { .. }
            | Self::WrongChain { .. }
            | Self::Disagree { .. }
            | Self::OldChain { .. }
            | Self::TooExpensive { .. }
            | Self::NoGas { .. }
            | Self::NotInTime { .. } => true,
            Self::NotTheContract { .. }
            | Self::NoVolume(_)
            | Self::Reverted(_)
            | Self::NonceTaken { .. }
            | Self::Fenced
            | Self::Conflict
            | Self::Ended(_)
            | Self::Cancelled
            | Self::Config(_)
            | Self::Key { .. } => false,
        }
    }
}
