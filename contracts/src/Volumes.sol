// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Domain} from "./Domain.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Treasury} from "./Treasury.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Slot} from "./types/Slot.sol";
import {Challenge, ChallengeKind, Head, Record, Status, Terms, Track, VolumeId, VolumeKey} from "./types/Types.sol";

/// @title What is stored of each volume, and the few steps that all parts share.
/// @notice What every publication touches lies in two slots of its own; all the rest is cold:
/// ```text
///   slot 0 | root                                                              32 |
///   slot 1 | signer                  20 | epoch  5 | boot  3 | publishedAt      4 |
/// ```
/// A volume whose signer is zero takes no messages of a storage plane: that is how an end or a freeze is seen here
/// without reading a third slot.
abstract contract Volumes is Treasury, Domain {
    struct HotHead {
        bytes32 root;
        Slot slot;
    }

    uint16 internal constant WHOLE_BPS = 10_000;

    mapping(VolumeId => HotHead) internal _heads;
    /// @dev The stored status is one of None, Offered, Active, Frozen, Slashed, Closed; the others follow from the rest.
    mapping(VolumeId => Record) internal _records;
    mapping(VolumeId => mapping(Track => Challenge)) internal _open;
    /// @dev One more than `replacements` at the time the signer was named: signers that handed over to one another answer
    /// for each other, those before a replacement by both parties answer no more.
    mapping(VolumeId => mapping(address signer => uint64)) internal _answersSince;

    // ---------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IStorageStaking
    function volumeId(VolumeKey calldata key) external pure returns (VolumeId) {
        return _idOf(key);
    }

    /// @inheritdoc IStorageStaking
    function headOf(VolumeId volume) external view returns (Head memory) {
        Slot slot = _heads[volume].slot;
        return Head(_heads[volume].root, slot.epoch(), slot.boot(), uint64(slot.publishedAt()), slot.signer());
    }

    /// @inheritdoc IStorageStaking
    function challengeOf(VolumeId volume, Track track) external view returns (Challenge memory) {
        return _open[volume][track];
    }

    /// @inheritdoc IStorageStaking
    function recordOf(VolumeId volume) external view returns (Record memory record) {
        record = _records[volume];
        record.status = _statusOf(volume, record.status);
    }

    // --------------------------------------------------------------------------------------------------- checks

    function _idOf(VolumeKey calldata key) internal pure returns (VolumeId) {
        return VolumeId.wrap(keccak256(abi.encode(key)));
    }

    function _now() internal view returns (uint64) {
        return uint64(block.timestamp);
    }

    function _statusOf(VolumeId volume, Status stored) internal view returns (Status) {
        if (stored != Status.Active) return stored;
        if (_isOpen(volume, Track.Storage) || _isOpen(volume, Track.Retrieval)) return Status.Challenged;
        if (_records[volume].graceEnds != 0) return Status.Grace;
        return _records[volume].noticeEnds != 0 ? Status.Leaving : Status.Active;
    }

    function _isOpen(VolumeId volume, Track track) internal view returns (bool) {
        return _open[volume][track].kind != ChallengeKind.None;
    }

    /// @dev The volume, which is in use.
    function _active(VolumeId volume) internal view returns (Record storage v) {
        v = _records[volume];
        if (v.status != Status.Active) revert WrongStatus(volume, v.status);
    }

    /// @dev The volume, which holds a stake: in use or frozen.
    function _staked(VolumeId volume) internal view returns (Record storage v) {
        v = _records[volume];
        if (v.status != Status.Active && v.status != Status.Frozen) revert WrongStatus(volume, v.status);
    }

    function _requireCaller(VolumeId volume, address allowed) internal view {
        if (msg.sender != allowed) revert NotAllowed(volume, msg.sender);
    }

    function _requireNotExpired(VolumeId volume, uint64 expires) internal view {
        if (_now() > expires) revert Expired(volume, expires, _now());
    }

    /// @dev A boot of zero is held by nobody: an instance boots before it says anything.
    function _requireBoot(VolumeId volume, uint64 given, uint64 current) internal pure {
        if (given != current || given == 0) revert WrongBoot(volume, given, current);
    }

    /// @dev A signer that a party holds could be made to say anything: faults that take the stake, or answers to
    /// challenges. What the contract can see of that, it refuses; for the rest the publisher vouches with his signature.
    function _requireSignerApart(VolumeId volume, Record storage v, address signer) internal view {
        bool apart =
            signer != address(0) && signer != v.key.publisher && signer != v.key.provider && signer != v.terms.arbiter;
        if (!apart) revert BadSigner(volume, signer);
    }

    /// @dev Signatures of keys in a TEE: 65 bytes, low s. Malformed ones recover to zero, and zero is refused.
    function _requireSigned(bytes32 structHash, bytes calldata signature, address signer) internal view {
        // Why nothing was recovered does not matter: it is zero then, here and wherever a signature is looked at.
        // slither-disable-next-line unused-return
        (address recovered,,) = ECDSA.tryRecoverCalldata(_digest(structHash), signature);
        _requireSigner(recovered, signer);
    }

    function _requireSigner(address recovered, address signer) internal pure {
        if (recovered != signer || signer == address(0)) revert WrongSignature(recovered, signer);
    }

    /// @dev Signatures of parties, which may be contracts.
    function _requireSignedByParty(bytes32 structHash, bytes calldata signature, address party) internal view {
        bool signed = SignatureChecker.isValidSignatureNowCalldata(party, _digest(structHash), signature);
        if (!signed) revert WrongSignature(address(0), party);
    }

    // --------------------------------------------------------------------------------------------------- effects

    /// @dev The slot of a head that nothing has been published to.
    function _opened(address signer) internal view returns (Slot) {
        return Slot.wrap(0).withSigner(signer).withPublication(0, block.timestamp);
    }

    function _setSigner(VolumeId volume, address signer) internal {
        _heads[volume].slot = _heads[volume].slot.withSigner(signer);
    }

    /// @dev Closes the open challenge of a track, and gives its bond to `bondTo`.
    function _close(VolumeId volume, Record storage v, Track track, address bondTo) internal {
        uint128 bond = _open[volume][track].bond;
        delete _open[volume][track];
        _credit(v.terms.token, bondTo, bond);
    }

    /// @dev Closes what is open and need not be answered any more. The bond goes back.
    function _drop(VolumeId volume, Record storage v, Track track) internal {
        if (!_isOpen(volume, track)) return;
        uint64 number = _open[volume][track].number;
        _close(volume, v, track, v.key.publisher);
        emit ChallengeDropped(volume, number);
    }

    /// @dev Ends the volume for good, and divides its stake. Without a signer nothing can be published any more; root
    /// and epoch stay to be read.
    function _end(VolumeId volume, Record storage v, Status status, uint128 toPublisher) internal {
        uint128 toProvider = v.stake - toPublisher;
        v.stake = 0;
        v.status = status;
        _setSigner(volume, address(0));
        _drop(volume, v, Track.Storage);
        _drop(volume, v, Track.Retrieval);
        _credit(v.terms.token, v.key.publisher, toPublisher);
        _credit(v.terms.token, v.key.provider, toProvider);
        emit Ended(volume, status, toPublisher, toProvider);
    }

    function _share(uint128 stake, uint256 shareBps) internal pure returns (uint128) {
        // No more than the stake, since a share is at most WHOLE_BPS.
        return uint128(uint256(stake) * shareBps / WHOLE_BPS);
    }
}
