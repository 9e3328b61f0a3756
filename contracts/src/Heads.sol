// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Messages} from "./Messages.sol";
import {Volumes} from "./Volumes.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Evidence, Penalty, Publication, Record, Status, Track, VolumeId} from "./types/Types.sol";

/// @title Which version of each volume is the newest.
/// @notice
/// ```text
///   boot(n + 1) ---------> fences what holds boot n; its event tells the new instance root and epoch
///   publish, publishBatch -> root and epoch move on, if boot, epoch, and the root to be replaced are right
///   openPlane -----------> a plane publishes and boots as a volume does, under an id made of its signer;
///                          its root is an aggregate over its volumes, and checkpoint moves one head to what it says
/// ```
/// Invariant: a volume's epoch never falls, and each root follows the one that stood there.
abstract contract Heads is Volumes {
    /// @inheritdoc IStorageStaking
    uint64 public constant MAX_JUMP = 4096;
    /// @inheritdoc IStorageStaking
    uint64 public constant JUMP_PER_SECOND = 1024;
    /// @inheritdoc IStorageStaking
    uint64 public constant MAX_FIRST_EPOCH = 2 ** 32;

    /// @inheritdoc IStorageStaking
    function publish(Publication calldata publication, bytes calldata signature) external {
        HotHead storage head = _heads[publication.volume];
        _requireSigned(Messages.hashPublication(publication), signature, head.signer);
        _advance(head, publication);
    }

    /// @inheritdoc IStorageStaking
    function publishBatch(Publication[] calldata publications, bytes calldata signature) external {
        uint256 count = publications.length;
        if (count == 0) revert EmptyBatch();
        address signer = _heads[publications[0].volume].signer;
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            hashes[i] = Messages.hashPublication(publications[i]);
        }
        _requireSigned(Messages.hashBatch(hashes), signature, signer);

        for (uint256 i = 0; i < count; i++) {
            Publication calldata publication = publications[i];
            HotHead storage head = _heads[publication.volume];
            if (head.signer != signer) revert BadSigner(publication.volume, head.signer);
            _advance(head, publication);
        }
    }

    /// @inheritdoc IStorageStaking
    function openPlane(address signer) external {
        VolumeId plane = _planeOf(signer);
        HotHead storage head = _heads[plane];
        if (signer == address(0) || head.signer != address(0)) revert BadSigner(plane, signer);
        head.signer = signer;
        head.publishedAt = uint32(block.timestamp);
        emit PlaneOpened(plane, signer);
    }

    /// @inheritdoc IStorageStaking
    function checkpoint(Publication calldata publication, bytes32[] calldata proof) external {
        HotHead storage head = _heads[publication.volume];
        // The plane of the zero signer cannot be opened, so it has no root, and a volume that has ended no checkpoint.
        bytes32 root = _heads[_planeOf(head.signer)].root;
        bool inside = root != 0 && MerkleProof.verifyCalldata(proof, root, Messages.hashPublication(publication));
        if (!inside) revert NotInAggregate(publication.volume, root);
        _advance(head, publication);
    }

    /// @inheritdoc IStorageStaking
    function boot(VolumeId volume, uint64 number, bytes32 nonce, bytes calldata signature) external {
        HotHead storage head = _heads[volume];
        uint24 next = head.boot + 1;
        if (number != next) revert WrongBoot(volume, number, head.boot);
        _requireSigned(Messages.hashBoot(volume, number, nonce), signature, head.signer);
        head.boot = next;
        emit Booted(volume, number, nonce, head.root, head.epoch);
    }

    /// @inheritdoc IStorageStaking
    function reportEquivocation(Evidence calldata first, Evidence calldata second) external {
        VolumeId volume = first.publication.volume;
        Record storage v = _active(volume);
        _requireContradiction(first.publication, second.publication);
        address signer = _signerOf(first);
        bool answers = _answersSince[volume][signer] == v.replacements + 1;
        if (signer == address(0) || !answers || _signerOf(second) != signer) revert NoEquivocation(volume);

        emit Equivocated(
            volume,
            signer,
            first.publication.boot,
            first.publication.epoch,
            first.publication.root,
            second.publication.root
        );
        if (v.terms.equivocation == Penalty.Slash) {
            _end(volume, v, Status.Slashed, v.stake);
        } else {
            _freeze(volume, v);
        }
    }

    /// @inheritdoc IStorageStaking
    function planeId(address signer) external pure returns (VolumeId) {
        return _planeOf(signer);
    }

    /// @dev 32 bytes are hashed, and 128 for a volume, so that no plane is ever taken for a volume.
    function _planeOf(address signer) private pure returns (VolumeId) {
        return VolumeId.wrap(keccak256(abi.encode(signer)));
    }

    /// @dev Moves a head on to a publication whose signature or proof has been checked.
    function _advance(HotHead storage head, Publication calldata publication) private {
        VolumeId volume = publication.volume;
        bytes32 current = head.root;
        uint40 latest = head.epoch;
        _requireBoot(volume, publication.boot, head.boot);
        if (current != 0 && publication.epoch <= latest) revert StaleEpoch(volume, publication.epoch, latest);
        if (publication.previousRoot != current) revert WrongPreviousRoot(volume, publication.previousRoot, current);
        if (publication.root == 0) revert ZeroRoot(volume);
        uint64 allowed = current == 0 ? MAX_FIRST_EPOCH : _allowedEpoch(latest, head.publishedAt);
        if (publication.epoch > allowed) revert JumpTooFar(volume, publication.epoch, allowed);

        head.root = publication.root;
        head.epoch = uint40(publication.epoch);
        head.publishedAt = uint32(block.timestamp);
        emit Published(volume, publication.epoch, publication.root, current);
    }

    /// @dev How far the epoch may have come since the last publication. A thief of the key who wanted to use up all
    /// epochs, so that the volume can never be published again, would need 2^28 publications or 34 years.
    function _allowedEpoch(uint40 latest, uint32 publishedAt) private view returns (uint64) {
        uint32 elapsed;
        unchecked {
            // Modulo 2^32 on purpose: right beyond the year 2106 too.
            elapsed = uint32(block.timestamp) - publishedAt;
        }
        uint64 allowed = uint64(latest) + MAX_JUMP + uint64(elapsed) * JUMP_PER_SECOND;
        return allowed < type(uint40).max ? allowed : type(uint40).max;
    }

    /// @dev Only within one boot: an instance that crashed before its publication arrived, and the next one that began
    /// from the version on chain, may both be honest and sign different roots for one epoch.
    function _requireContradiction(Publication calldata first, Publication calldata second) private pure {
        bool same = VolumeId.unwrap(first.volume) == VolumeId.unwrap(second.volume) && first.boot == second.boot
            && first.epoch == second.epoch;
        if (!same || first.root == second.root) revert NoEquivocation(first.volume);
    }

    /// @dev Who has signed a publication, alone, in a batch or in an aggregate; zero if nobody.
    function _signerOf(Evidence calldata evidence) private view returns (address signer) {
        bytes32 leaf = Messages.hashPublication(evidence.publication);
        bytes32 signed = leaf;
        VolumeId plane = evidence.aggregate.volume;
        bool aggregated = VolumeId.unwrap(plane) != 0;
        if (aggregated) {
            if (!MerkleProof.verifyCalldata(evidence.path, evidence.aggregate.root, leaf)) return address(0);
            signed = Messages.hashPublication(evidence.aggregate);
        } else if (evidence.path.length != 0) {
            if (!_contains(evidence.path, leaf)) return address(0);
            signed = Messages.hashBatch(evidence.path);
        }
        (signer,,) = ECDSA.tryRecoverCalldata(_digest(signed), evidence.signature);
        // A volume's own publication is no aggregate, whatever its root.
        if (aggregated && VolumeId.unwrap(plane) != VolumeId.unwrap(_planeOf(signer))) return address(0);
    }

    function _contains(bytes32[] calldata hashes, bytes32 wanted) private pure returns (bool) {
        for (uint256 i = 0; i < hashes.length; i++) {
            if (hashes[i] == wanted) return true;
        }
        return false;
    }

    /// @dev Stops all messages of the storage plane. What is overdue stays to be claimed, or a provider could save his
    /// stake by reporting himself.
    function _freeze(VolumeId volume, Record storage v) private {
        v.status = Status.Frozen;
        v.frozenUntil = _now() + v.terms.challengeWindow;
        _heads[volume].signer = address(0);
        if (_now() <= _open[volume][Track.Storage].deadline) _drop(volume, v, Track.Storage);
        if (_now() <= _open[volume][Track.Retrieval].deadline) _drop(volume, v, Track.Retrieval);
        emit Frozen(volume, v.frozenUntil);
    }
}
