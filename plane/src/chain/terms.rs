//! The terms of a volume as people write them.

use crate::error::{Error, Result};
use cairn_chain::bindings::Terms;
use ethers_core::types::Address;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Terms in TOML. Times in seconds, amounts in the smallest unit of the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TermsFile {
    token: Address,
    #[serde(with = "super::amount")]
    stake: u128,
    #[serde(with = "super::amount")]
    bond: u128,
    #[serde(default)]
    funding: Address,
    #[serde(default, with = "super::amount")]
    min_funding: u128,
    #[serde(default)]
    arbiter: Address,
    challenge_window: u32,
    cooldown: u32,
    #[serde(default)]
    grace: u32,
    #[serde(default)]
    notice: u32,
    stale_epochs: u32,
    refund_share_bps: u16,
    #[serde(default)]
    equivocation: Penalty,
}

/// What two versions of one epoch cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Penalty {
    #[default]
    Freeze,
    Slash,
}

impl TermsFile {
    /// Reads them.
    pub(crate) fn read(path: &Path) -> Result<Terms> {
        let text = std::fs::read_to_string(path).map_err(Error::at("read", path))?;
        let file: Self = toml::from_str(&text)
            .map_err(|error| Error::Usage(format!("{}: {}", path.display(), error.message())))?;
        Ok(file.terms())
    }

    /// Terms for a chain of one's own: short times, nothing of worth.
    pub(crate) fn for_trying_out(token: Address, funding: Address) -> Self {
        Self {
            token,
            stake: 1_000_000,
            bond: 1_000,
            funding,
            min_funding: 100,
            arbiter: Address::zero(),
            challenge_window: 3600,
            cooldown: 60,
            grace: 7200,
            notice: 7200,
            stale_epochs: 100,
            refund_share_bps: 1_000,
            equivocation: Penalty::Freeze,
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            token: self.token,
            stake: self.stake,
            bond: self.bond,
            funding: self.funding,
            min_funding: self.min_funding,
            arbiter: self.arbiter,
            challenge_window: self.challenge_window,
            cooldown: self.cooldown,
            grace: self.grace,
            notice: self.notice,
            stale_epochs: self.stale_epochs,
            refund_share_bps: self.refund_share_bps,
            equivocation: self.equivocation as u8,
        }
    }
}

#[cfg(any(test, cairn_fuzz))]
pub(crate) mod fuzzing {
    use super::*;

    pub(crate) fn run(data: &[u8]) {
        let parsed = std::str::from_utf8(data)
            .ok()
            .and_then(|text| toml::from_str::<TermsFile>(text).ok());
        if let Some(terms) = parsed {
            let text = toml::to_string(&terms).ok();
            assert_eq!(text.and_then(|text| toml::from_str(&text).ok()), Some(terms));
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let terms = TermsFile::for_trying_out(Address::repeat_byte(1), Address::repeat_byte(2));
        vec![toml::to_string(&terms).unwrap_or_default().into_bytes()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_read_back_as_they_were_written_and_unknown_ones_are_refused() {
        let file = TermsFile::for_trying_out(Address::repeat_byte(1), Address::repeat_byte(2));
        let text = toml::to_string(&file).unwrap();
        assert_eq!(toml::from_str::<TermsFile>(&text).unwrap(), file);
        let written = text.replace("stake = \"1000000\"", "stake = \"5_000_000_000_000_000_000_000\"");
        assert_eq!(
            toml::from_str::<TermsFile>(&written).unwrap().stake,
            5 * 10_u128.pow(21)
        );
        assert!(toml::from_str::<TermsFile>(&text.replace("cooldown", "cool_down")).is_err());
    }
}
