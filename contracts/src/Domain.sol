// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @title Binds every signature to this contract on this chain (EIP-712).
/// @notice OpenZeppelin's EIP712 also tells its fields apart on chain (EIP-5267), in half a kilobyte of code that the
/// staking contract has no room for.
abstract contract Domain {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("Cairn Storage Staking");
    bytes32 private constant VERSION = keccak256("1");

    uint256 private immutable CHAIN_ID = block.chainid;
    bytes32 private immutable SEPARATOR = _build();

    /// @dev Built anew on a chain that has split off since: a signature counts on one of the two only.
    function _separator() internal view returns (bytes32) {
        return block.chainid == CHAIN_ID ? SEPARATOR : _build();
    }

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(_separator(), structHash);
    }

    function _build() private view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, block.chainid, address(this)));
    }
}
