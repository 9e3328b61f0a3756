// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Agreements} from "./Agreements.sol";
import {Challenges} from "./Challenges.sol";
import {Heads} from "./Heads.sol";
import {Leaving} from "./Leaving.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";

/// @title Storage Staking: the newest root of each volume, and a stake that answers for it.
/// @notice Start at IStorageStaking. This file puts the parts together:
/// ```text
///                    Treasury   tokens in and out
///                       |
///                    Volumes    what is stored, and the steps all share
///        ______________|____________________
///       |          |            |           |
///   Agreements   Heads     Challenges    Leaving
///   offer,       boot,     answer, heal, grace, notice,
///   accept,      publish   locate,       exit, settle
///   signers                claim
/// ```
contract StorageStaking is Agreements, Heads, Challenges, Leaving {
    /// @inheritdoc IStorageStaking
    function domainSeparator() external view returns (bytes32) {
        return _separator();
    }
}
