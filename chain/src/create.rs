//! The contracts' code, as committed with their ABI, for putting them on a chain.

use crate::error::{Error, Result};
use ethers_core::abi::{Token, encode};
use ethers_core::types::Bytes;

/// The staking contract. It takes no arguments.
pub const STORAGE_STAKING: &str = include_str!("../../contracts/abi/StorageStaking.bin");
/// A token that any account may mint, for trying out. It takes no arguments.
pub const TEST_TOKEN: &str = include_str!("../../contracts/abi/TestToken.bin");
/// Deposits per pod. It takes the token.
pub const DEPOSIT_FUNDING: &str = include_str!("../../contracts/abi/DepositFunding.bin");

/// The data of a transaction that creates a contract from `code`, in hexadecimal, with `arguments`.
pub fn creation(code: &str, arguments: &[Token]) -> Result<Bytes> {
    let code: Bytes = code
        .trim()
        .parse()
        .map_err(|error| Error::Config(format!("the contract's committed code: {error}")))?;
    Ok([&code[..], &encode(arguments)].concat().into())
}
