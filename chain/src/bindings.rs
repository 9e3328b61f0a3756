//! The contracts' calls, events, errors and structs, generated while building from the committed
//! ABI.
//!
//! The generated code has no documentation of its own:
//! `contracts/src/interfaces/IStorageStaking.sol` has it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::too_many_lines,
    clippy::unwrap_used
)]

ethers_contract::abigen!(StorageStaking, "../contracts/abi/StorageStaking.json");

/// A token: of it, only what every ERC-20 has is used outside tests.
pub mod token {
    ethers_contract::abigen!(TestToken, "../contracts/abi/TestToken.json");
}

/// Deposits per pod.
pub mod deposits {
    ethers_contract::abigen!(DepositFunding, "../contracts/abi/DepositFunding.json");
}
