// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Tells how much a publisher has deposited for a pod.
/// @notice Fits payment channels that are keyed by publisher, provider and pod, as Apocryph's are. A provider can often
/// take what is available himself, so a low answer only ever starts a grace period.
interface IFunding {
    /// @param publisher Who pays.
    /// @param provider Who is paid.
    /// @param podId What is paid for.
    /// @return What is left of the deposit, in the channel's own unit.
    function available(address publisher, address provider, bytes32 podId) external view returns (uint256);
}
