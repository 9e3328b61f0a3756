// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Agreement, Checked, Fault, Locator, Publication, Terms, VolumeId} from "./types/Types.sol";

/// @title EIP-712 struct hashes of all that is signed.
/// @notice One type per purpose, so that a signature given for one is never taken for another. The type strings stand in
/// IStorageStaking; `vectors/eip712.json` holds an example of each.
library Messages {
    // Whole literals, because only those are hashed while compiling, not while running.
    bytes32 internal constant TERMS = keccak256(
        "Terms(address token,uint128 stake,uint128 bond,address funding,uint128 minFunding,address arbiter,uint32 challengeWindow,uint32 cooldown,uint32 grace,uint32 notice,uint32 staleEpochs,uint16 refundShareBps,uint8 equivocation)"
    );
    bytes32 internal constant AGREEMENT = keccak256(
        "Agreement(address publisher,address provider,bytes32 podId,uint32 index,Terms terms,address signer,uint64 expires)Terms(address token,uint128 stake,uint128 bond,address funding,uint128 minFunding,address arbiter,uint32 challengeWindow,uint32 cooldown,uint32 grace,uint32 notice,uint32 staleEpochs,uint16 refundShareBps,uint8 equivocation)"
    );
    bytes32 internal constant SIGNER_PROOF = keccak256("SignerProof(bytes32 agreement)");
    bytes32 internal constant PUBLICATION =
        keccak256("Publication(bytes32 volume,uint64 boot,uint64 epoch,bytes32 root,bytes32 previousRoot)");
    bytes32 internal constant BATCH = keccak256(
        "Batch(Publication[] publications)Publication(bytes32 volume,uint64 boot,uint64 epoch,bytes32 root,bytes32 previousRoot)"
    );
    bytes32 internal constant BOOT = keccak256("Boot(bytes32 volume,uint64 boot,bytes32 nonce)");
    bytes32 internal constant ANSWER =
        keccak256("Answer(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root)");
    bytes32 internal constant HEAL =
        keccak256("Heal(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root)");
    bytes32 internal constant FAULT = keccak256(
        "Fault(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root,uint64 survivingEpoch,bytes32 survivingRoot)"
    );
    bytes32 internal constant LOCATOR =
        keccak256("Locator(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root,string locator)");
    bytes32 internal constant RECEIPT = keccak256("Receipt(bytes32 volume,uint64 number)");
    bytes32 internal constant ROTATION =
        keccak256("Rotation(bytes32 volume,uint64 boot,uint64 rotation,address signer)");
    bytes32 internal constant REPLACEMENT = keccak256("Replacement(bytes32 volume,uint64 rotation,address signer)");
    bytes32 internal constant SETTLEMENT = keccak256("Settlement(bytes32 volume,uint128 toPublisher,uint64 expires)");

    function hashAgreement(Agreement memory agreement) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                AGREEMENT,
                agreement.publisher,
                agreement.provider,
                agreement.podId,
                agreement.index,
                keccak256(abi.encode(TERMS, agreement.terms)),
                agreement.signer,
                agreement.expires
            )
        );
    }

    function hashSignerProof(bytes32 agreement) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNER_PROOF, agreement));
    }

    /// @dev `keccak256(abi.encode(PUBLICATION, publication))`, for a quarter of the gas: without it a batch costs more than
    /// 15,000 a volume. 192 bytes are hashed, so that no inner node of an aggregate (64 bytes) passes for a leaf. Bits beyond
    /// a field's width would be hashed as they are; whoever reads the field then reverts, as always with calldata.
    function hashPublication(Publication calldata publication) internal pure returns (bytes32 structHash) {
        bytes32 typeHash = PUBLICATION;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 0x20), publication, 0xa0)
            structHash := keccak256(free, 0xc0)
        }
    }

    /// @param publications Struct hashes of the publications.
    function hashBatch(bytes32[] memory publications) internal pure returns (bytes32) {
        bytes32 list;
        // The array where it lies: copying it would cost a batch 60 a volume.
        assembly ("memory-safe") {
            list := keccak256(add(publications, 0x20), mul(mload(publications), 0x20))
        }
        return keccak256(abi.encode(BATCH, list));
    }

    function hashBoot(VolumeId volume, uint64 boot, bytes32 nonce) internal pure returns (bytes32) {
        return keccak256(abi.encode(BOOT, volume, boot, nonce));
    }

    function hashAnswer(Checked calldata checked) internal pure returns (bytes32) {
        return keccak256(abi.encode(ANSWER, checked));
    }

    function hashHeal(Checked calldata checked) internal pure returns (bytes32) {
        return keccak256(abi.encode(HEAL, checked));
    }

    function hashFault(Fault calldata fault) internal pure returns (bytes32) {
        return keccak256(abi.encode(FAULT, fault));
    }

    function hashLocator(Locator calldata locator) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                LOCATOR,
                locator.volume,
                locator.boot,
                locator.number,
                locator.epoch,
                locator.root,
                keccak256(bytes(locator.locator))
            )
        );
    }

    function hashReceipt(VolumeId volume, uint64 number) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT, volume, number));
    }

    function hashRotation(VolumeId volume, uint64 boot, uint64 rotation, address signer)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(ROTATION, volume, boot, rotation, signer));
    }

    function hashReplacement(VolumeId volume, uint64 rotation, address signer) internal pure returns (bytes32) {
        return keccak256(abi.encode(REPLACEMENT, volume, rotation, signer));
    }

    function hashSettlement(VolumeId volume, uint128 toPublisher, uint64 expires) internal pure returns (bytes32) {
        return keccak256(abi.encode(SETTLEMENT, volume, toPublisher, expires));
    }
}
