// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Messages} from "./Messages.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Agreement, Checked, Fault, Locator, Publication, VolumeId} from "./types/Types.sol";

/// @title Tells what is signed for each message of a staking contract.
/// @notice A contract of its own, which holds nothing and decides nothing: whoever writes a client compares with it. The
/// staking contract would not fit into the size a contract may have if it answered this too.
contract Digests {
    /// @notice The contract whose messages these are.
    IStorageStaking public immutable STAKING;

    /// @param staking Its domain binds every digest.
    constructor(IStorageStaking staking) {
        STAKING = staking;
    }

    /// @notice What is signed for an Agreement.
    function digestOfAgreement(Agreement calldata agreement) external view returns (bytes32) {
        return _digest(Messages.hashAgreement(agreement));
    }

    /// @notice What is signed for a SignerProof.
    function digestOfSignerProof(Agreement calldata agreement) external view returns (bytes32) {
        return _digest(Messages.hashSignerProof(Messages.hashAgreement(agreement)));
    }

    /// @notice What is signed for a Publication.
    function digestOfPublication(Publication calldata publication) external view returns (bytes32) {
        return _digest(Messages.hashPublication(publication));
    }

    /// @notice The leaf that stands for a Publication in an aggregate.
    function leafOf(Publication calldata publication) external pure returns (bytes32) {
        return Messages.hashPublication(publication);
    }

    /// @notice What is signed for a Batch.
    function digestOfBatch(Publication[] calldata publications) external view returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](publications.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = Messages.hashPublication(publications[i]);
        }
        return _digest(Messages.hashBatch(hashes));
    }

    /// @notice What is signed for a Boot.
    function digestOfBoot(VolumeId volume, uint64 boot, bytes32 nonce) external view returns (bytes32) {
        return _digest(Messages.hashBoot(volume, boot, nonce));
    }

    /// @notice What is signed for an Answer.
    function digestOfAnswer(Checked calldata checked) external view returns (bytes32) {
        return _digest(Messages.hashAnswer(checked));
    }

    /// @notice What is signed for a Heal.
    function digestOfHeal(Checked calldata checked) external view returns (bytes32) {
        return _digest(Messages.hashHeal(checked));
    }

    /// @notice What is signed for a Fault.
    function digestOfFault(Fault calldata fault) external view returns (bytes32) {
        return _digest(Messages.hashFault(fault));
    }

    /// @notice What is signed for a Locator.
    function digestOfLocator(Locator calldata locator) external view returns (bytes32) {
        return _digest(Messages.hashLocator(locator));
    }

    /// @notice What is signed for a Receipt.
    function digestOfReceipt(VolumeId volume, uint64 number) external view returns (bytes32) {
        return _digest(Messages.hashReceipt(volume, number));
    }

    /// @notice What is signed for a Rotation.
    function digestOfRotation(VolumeId volume, uint64 boot, uint64 rotation, address signer)
        external
        view
        returns (bytes32)
    {
        return _digest(Messages.hashRotation(volume, boot, rotation, signer));
    }

    /// @notice What is signed for a Replacement.
    function digestOfReplacement(VolumeId volume, uint64 rotation, address signer) external view returns (bytes32) {
        return _digest(Messages.hashReplacement(volume, rotation, signer));
    }

    /// @notice What is signed for a Settlement.
    function digestOfSettlement(VolumeId volume, uint128 toPublisher, uint64 expires) external view returns (bytes32) {
        return _digest(Messages.hashSettlement(volume, toPublisher, expires));
    }

    function _digest(bytes32 structHash) private view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(STAKING.domainSeparator(), structHash);
    }
}
