//! The reasons of a refusal by the contract, or by a token.

use crate::bindings::StorageStakingErrors;
use crate::quoted;
use ethers_contract::ContractRevert;
use ethers_core::types::Bytes;
use std::fmt;

/// What a call reverted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revert(Vec<u8>);

impl Revert {
    /// From the bytes that came back.
    pub fn new(data: Vec<u8>) -> Self {
        Self(data)
    }

    /// The contract's own error, if it is one.
    pub fn error(&self) -> Option<StorageStakingErrors> {
        StorageStakingErrors::decode_with_selector(&self.0)
    }
}

/// Name and values of the error, or the bytes.
impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error() {
            Some(StorageStakingErrors::RevertString(reason)) => f.write_str(&quoted(&reason)),
            Some(error) => {
                let debug = format!("{error:?}");
                let name = debug.split(['(', ' ']).next().unwrap_or_default();
                write!(f, "{name}({})", quoted(&error.to_string()))
            }
            None if self.0.is_empty() => f.write_str("it gives no reason"),
            None => f.write_str(&quoted(&Bytes::from(self.0.clone()).to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::StaleEpoch;
    use ethers_contract::EthError;
    use ethers_core::abi::AbiEncode;

    #[test]
    fn a_revert_is_told_by_name_and_values() {
        let error = StaleEpoch {
            volume: [1; 32],
            given: 5,
            latest: 7,
        };
        let revert = Revert::new(error.encode());
        assert!(matches!(
            revert.error(),
            Some(StorageStakingErrors::StaleEpoch(_))
        ));
        let text = revert.to_string();
        assert!(
            text.starts_with("StaleEpoch(") && text.ends_with(", 5, 7)"),
            "{text}"
        );
    }

    #[test]
    fn any_bytes_can_be_told() {
        for data in [
            &b""[..],
            &[1, 2, 3],
            &[0xff; 4096],
            &[8, 0xc3, 0x79, 0xa0],
            &StaleEpoch::selector(),
        ] {
            assert!(!Revert::new(data.to_vec()).to_string().is_empty());
        }
    }
}
