//! The file that names the chain, the contract, the volume, the signer and the payer.
//!
//! ```toml
//! rpc = ["https://one.example/key", "https://two.example", "https://three.example"]
//! quorum = 2                      # how many hosts must agree; more than half by default
//! chain_id = 1
//! contract = "0x…"
//! code_hash = "0x…"               # keccak256 of its code, as `cairn chain deploy` prints it
//! finality = "finalized"          # or { confirmations = 12 }
//!
//! [volume]
//! publisher = "0x…"
//! provider = "0x…"
//! pod = "0x…"                     # 32 bytes
//! index = 0
//!
//! [signer]                        # the storage plane alone
//! file = "signer.key"             # or command = ["tee-agent", "get-key", "cairn"]
//!
//! [gas]
//! file = "gas.key"
//! fee_max_gwei = 200
//! ```
//!
//! Paths are relative to the file. Unknown keys are refused: a misspelt safeguard must not be
//! none.

use crate::anchor::EthAnchor;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::key::{Key, SignerCommand, SignerFile, SignerProvider};
use crate::purse::{Fees, Purse};
use crate::quorum::Quorum;
use crate::rpc::Endpoint;
use crate::settle::Pace;
use crate::view::{Chain, Finality, SPREAD_MAX};
use crate::volume::VolumeName;
use ethers_core::types::{Address, H256};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const GWEI: u64 = 1_000_000_000;

/// The configuration. See the module's picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// URLs of endpoints: https, or http to this machine. Those of one host have one vote.
    pub rpc: Vec<String>,
    /// How many hosts must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<usize>,
    /// The chain.
    pub chain_id: u64,
    /// The contract on it.
    pub contract: Address,
    /// What its code must hash to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<H256>,
    /// The block it was created in: history begins there.
    #[serde(default)]
    pub from_block: u64,
    /// A URI under which the publisher can fetch the sealed volume: the answer to a retrieval
    /// challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locator: Option<String>,
    /// How long an endpoint may take to answer.
    #[serde(default = "deadline")]
    pub deadline_secs: u64,
    /// How old the newest final block may be; 0 is any age.
    #[serde(default = "block_age")]
    pub block_age_max_secs: u64,
    /// How far apart in time the newest final blocks of endpoints may lie.
    #[serde(default = "spread")]
    pub spread_max_secs: u64,
    /// Time between two looks at the chain while waiting.
    #[serde(default = "poll")]
    pub poll_millis: u64,
    /// How long failures of endpoints are borne while waiting.
    #[serde(default = "patience")]
    pub patience_secs: u64,
    /// When a block counts as settled.
    #[serde(default = "finality")]
    pub finality: Finality,
    /// The volume.
    pub volume: VolumeName,
    /// The storage plane's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// The account that pays for gas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas: Option<Gas>,
    /// Where the file lies.
    #[serde(skip)]
    dir: PathBuf,
}

/// Where the signer's key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Signer {
    /// A file that only the TEE can read.
    File(PathBuf),
    /// A program of the TEE that prints a secret.
    Command(Vec<String>),
}

/// The account that pays for gas, and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gas {
    /// File with the account's key.
    pub file: PathBuf,
    /// Most that a unit of gas may cost.
    #[serde(default = "fee_max")]
    pub fee_max_gwei: u64,
    /// What the block's maker gets for a unit.
    #[serde(default = "tip")]
    pub tip_gwei: u64,
    /// Offer more after so long.
    #[serde(default = "bump_after")]
    pub bump_after_secs: u64,
}

impl Gas {
    /// The account in `file`, with every setting at its default.
    pub fn new(file: PathBuf) -> Self {
        Self {
            file,
            fee_max_gwei: fee_max(),
            tip_gwei: tip(),
            bump_after_secs: bump_after(),
        }
    }
}

fn deadline() -> u64 {
    10
}
fn block_age() -> u64 {
    3600
}
fn spread() -> u64 {
    SPREAD_MAX.as_secs()
}
fn poll() -> u64 {
    4000
}
fn patience() -> u64 {
    120
}
fn finality() -> Finality {
    Finality::Finalized
}
fn fee_max() -> u64 {
    200
}
fn tip() -> u64 {
    1
}
fn bump_after() -> u64 {
    60
}

impl Config {
    /// One with every setting at its default.
    pub fn new(rpc: Vec<String>, chain_id: u64, contract: Address, volume: VolumeName) -> Self {
        Self {
            rpc,
            quorum: None,
            chain_id,
            contract,
            code_hash: None,
            from_block: 0,
            locator: None,
            deadline_secs: deadline(),
            block_age_max_secs: block_age(),
            spread_max_secs: spread(),
            poll_millis: poll(),
            patience_secs: patience(),
            finality: finality(),
            volume,
            signer: None,
            gas: None,
            dir: PathBuf::new(),
        }
    }

    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("cannot read {}: {error}", path.display())))?;
        let mut config =
            Self::parse(&text).map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
        config.dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(config)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if config
            .locator
            .as_ref()
            .is_some_and(|uri| uri.is_empty() || uri.len() > 2048)
        {
            return Err("a locator has 1 to 2048 bytes".into());
        }
        Ok(config)
    }

    /// As a file's text.
    pub fn text(&self) -> String {
        toml::to_string(self).expect("all its parts have a form in TOML")
    }

    /// The endpoints.
    pub fn quorum(&self) -> Result<Quorum> {
        let deadline = Duration::from_secs(self.deadline_secs.max(1));
        let endpoints: Result<Vec<_>> = self.rpc.iter().map(|url| Endpoint::new(url, deadline)).collect();
        let quorum = Quorum::new(endpoints?, self.quorum)?;
        if quorum.is_one_stranger() {
            tracing::warn!(
                "one host answers for the whole chain: what it hides or makes up is believed. Name three in `rpc`"
            );
        }
        Ok(quorum)
    }

    /// The chain.
    pub fn chain(&self) -> Result<Chain> {
        let age = (self.block_age_max_secs > 0).then(|| Duration::from_secs(self.block_age_max_secs));
        let chain = Chain::new(self.quorum()?, self.chain_id, self.finality, age);
        Ok(chain.with_spread_max(Duration::from_secs(self.spread_max_secs)))
    }

    /// The contract.
    pub fn contract(&self) -> Result<Contract> {
        Ok(Contract::new(self.chain()?, self.contract, self.code_hash))
    }

    /// Looks and patience.
    pub fn pace(&self) -> Pace {
        Pace {
            poll: Duration::from_millis(self.poll_millis.max(1)),
            patience: Duration::from_secs(self.patience_secs),
        }
    }

    /// The signer's key.
    pub fn signer(&self) -> Result<Key> {
        match &self.signer {
            Some(Signer::File(path)) => SignerFile {
                path: self.dir.join(path),
            }
            .signer(),
            Some(Signer::Command(command)) => SignerCommand {
                command: command.clone(),
            }
            .signer(),
            None => Err(Error::Config(
                "there is no [signer]: only the storage plane has one".into(),
            )),
        }
    }

    /// What transactions may cost.
    pub fn fees(&self) -> Fees {
        let (tip, max, bump_after) = self.gas.as_ref().map_or((tip(), fee_max(), bump_after()), |gas| {
            (gas.tip_gwei, gas.fee_max_gwei, gas.bump_after_secs)
        });
        Fees {
            tip: tip.saturating_mul(GWEI),
            max: max.saturating_mul(GWEI),
            bump_after: Duration::from_secs(bump_after),
        }
    }

    /// The account that pays for the storage plane.
    pub fn purse(&self) -> Result<Arc<Purse>> {
        let gas = self
            .gas
            .as_ref()
            .ok_or_else(|| Error::Config("there is no [gas]: no account pays".into()))?;
        Ok(Purse::new(Key::read(&self.dir.join(&gas.file))?, self.fees()))
    }

    /// The volume's anchor, for the storage plane.
    pub fn anchor(&self) -> Result<EthAnchor> {
        let (signer, purse) = (self.signer()?, self.purse()?);
        // The paying account is public and its key sits in a file: its signature must never count
        // as the plane's.
        if signer.address() == purse.address() {
            return Err(Error::Config(
                "gas is paid from the signer's own account: use two keys".into(),
            ));
        }
        Ok(EthAnchor::new(
            self.contract()?,
            &self.volume,
            signer,
            purse,
            self.pace(),
            self.locator.clone(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        rpc = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]
        chain_id = 31337
        contract = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
        finality = { confirmations = 12 }
        [volume]
        publisher = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
        provider = "0x5fbdb2315678afecb367f032d93f642f64180aa4"
        pod = "0x1111111111111111111111111111111111111111111111111111111111111111"
        [signer]
        file = "signer.key"
        [gas]
        file = "gas.key"
    "#;

    #[test]
    fn a_configuration_reads_back_as_it_was_written() {
        let config = Config::parse(TEXT).unwrap();
        assert_eq!(config.finality, Finality::Confirmations(12));
        assert_eq!(config.quorum().unwrap().wanted(), 2, "more than half by default");
        assert_eq!(Config::parse(&config.text()).unwrap(), config);
    }

    #[test]
    fn a_misspelt_safeguard_is_refused() {
        for (right, wrong) in [
            ("chain_id", "chainid"),
            ("finality =", "finallity ="),
            ("[signer]", "[signr]"),
            ("pod =", "podd ="),
            ("127.0.0.1:1\"", "127.0.0.1:1\"\nquorum = 1\n"),
        ] {
            let text = TEXT.replace(right, wrong);
            assert!(Config::parse(&text).is_err(), "{wrong}");
        }
    }

    #[test]
    fn half_of_the_endpoints_are_not_enough() {
        let with = |quorum| {
            Config {
                quorum: Some(quorum),
                ..Config::parse(TEXT).unwrap()
            }
            .quorum()
        };
        for wrong in [0, 1, 4] {
            assert!(with(wrong).is_err(), "{wrong} of 3");
        }
        assert!(with(2).is_ok() && with(3).is_ok());
    }
}
