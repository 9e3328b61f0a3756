// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Messages} from "./Messages.sol";
import {Volumes} from "./Volumes.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Slot} from "./types/Slot.sol";
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
    /// @dev The dispatcher tries selectors from the lowest to the highest, 22 gas each. With the signature in front this
    /// one is the 13th, else it would be the 33rd.
    function publish(bytes32 r, bytes32 vs, Publication calldata publication) external {
        HotHead storage head = _heads[publication.volume];
        Slot slot = head.slot;
        // slither-disable-next-line unused-return
        (address recovered,,) = ECDSA.tryRecover(_digest(Messages.hashPublication(publication)), r, vs);
        _requireSigner(recovered, slot.signer());
        _advance(head, slot, publication);
    }

    /// @inheritdoc IStorageStaking
    function publishBatch(Publication[] calldata publications, bytes calldata signature) external {
        uint256 count = publications.length;
        if (count == 0) revert EmptyBatch();
        address signer = _heads[publications[0].volume].slot.signer();
        bytes32[] memory hashes = new bytes32[](count);
        // One pass, and the signature last: if it is wrong, nothing of this has happened.
        for (uint256 i = 0; i < count; i++) {
            Publication calldata publication = publications[i];
            HotHead storage head = _heads[publication.volume];
            Slot slot = head.slot;
            if (slot.signer() != signer) revert BadSigner(publication.volume, slot.signer());
            hashes[i] = Messages.hashPublication(publication);
            _advance(head, slot, publication);
        }
        _requireSigned(Messages.hashBatch(hashes), signature, signer);
    }

    /// @inheritdoc IStorageStaking
    function openPlane(address signer) external {
        VolumeId plane = _planeOf(signer);
        HotHead storage head = _heads[plane];
        if (signer == address(0) || head.slot.signer() != address(0)) revert BadSigner(plane, signer);
        head.slot = _opened(signer);
        emit PlaneOpened(plane, signer);
    }

    /// @inheritdoc IStorageStaking
    function checkpoint(Publication calldata publication, bytes32[] calldata proof) external {
        HotHead storage head = _heads[publication.volume];
        // The plane of the zero signer cannot be opened, so it has no root, and a volume that has ended no checkpoint.
        Slot slot = head.slot;
        bytes32 root = _heads[_planeOf(slot.signer())].root;
        bool inside = root != 0 && MerkleProof.verifyCalldata(proof, root, Messages.hashPublication(publication));
        if (!inside) revert NotInAggregate(publication.volume, root);
        _advance(head, slot, publication);
    }

    /// @inheritdoc IStorageStaking
    function boot(VolumeId volume, uint64 number, bytes32 nonce, bytes calldata signature) external {
        HotHead storage head = _heads[volume];
        Slot slot = head.slot;
        bool next = number == slot.boot() + 1 && number <= type(uint24).max;
        if (!next) revert WrongBoot(volume, number, slot.boot());
        _requireSigned(Messages.hashBoot(volume, number, nonce), signature, slot.signer());
        head.slot = slot.withBoot(number);
        emit Booted(volume, number, nonce, head.root, slot.epoch());
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
    function _advance(HotHead storage head, Slot slot, Publication calldata publication) internal {
        VolumeId volume = publication.volume;
        bytes32 current = head.root;
        bytes32 root = publication.root;
        uint64 epoch = publication.epoch;
        _requireBoot(volume, publication.boot, slot.boot());
        // A thief of the key who wanted to use up all epochs, so that the volume can never be published again, would
        // need 2^28 publications or 34 years.
        uint256 allowed = MAX_FIRST_EPOCH;
        if (current != 0) {
            if (epoch <= slot.epoch()) revert StaleEpoch(volume, epoch, slot.epoch());
            allowed = slot.allowedEpoch(block.timestamp, MAX_JUMP, JUMP_PER_SECOND);
        }
        if (publication.previousRoot != current) revert WrongPreviousRoot(volume, publication.previousRoot, current);
        if (root == 0) revert ZeroRoot(volume);
        if (epoch > allowed) revert JumpTooFar(volume, epoch, uint64(allowed));

        head.root = root;
        head.slot = slot.withPublication(epoch, block.timestamp);
        emit Published(volume, epoch, root);
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
        // slither-disable-next-line unused-return
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
        _setSigner(volume, address(0));
        if (_now() <= _open[volume][Track.Storage].deadline) _drop(volume, v, Track.Storage);
        if (_now() <= _open[volume][Track.Retrieval].deadline) _drop(volume, v, Track.Retrieval);
        emit Frozen(volume, v.frozenUntil);
    }
}
