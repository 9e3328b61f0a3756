// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Messages} from "./Messages.sol";
import {Volumes} from "./Volumes.sol";
import {IFunding} from "./interfaces/IFunding.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Record, Status, Track, VolumeId} from "./types/Types.sol";

/// @title How a volume ends without blame.
/// @notice
/// ```text
///   unpaid:  startGrace --grace--> exit      a deposit and cancelGrace, or just a deposit, undo it
///   paid:    giveNotice --notice-> exit      if the terms allow notice
///   done:    release (publisher)             together: settle (both signatures)
/// ```
/// Invariant: until the exit itself the volume can be challenged, and while a challenge is open there is no exit.
abstract contract Leaving is Volumes {
    /// @inheritdoc IStorageStaking
    function startGrace(VolumeId volume) external {
        Record storage v = _active(volume);
        if (v.graceEnds != 0) revert AlreadyRunning(volume, v.graceEnds);
        uint256 available = _available(volume, v);
        if (available >= v.terms.minFunding) revert Funded(volume, available, v.terms.minFunding);
        v.graceEnds = _now() + v.terms.grace;
        emit GraceStarted(volume, available, v.graceEnds);
    }

    /// @inheritdoc IStorageStaking
    function cancelGrace(VolumeId volume) external {
        Record storage v = _active(volume);
        if (v.graceEnds == 0) revert NotLeaving(volume);
        uint256 available = _available(volume, v);
        if (available < v.terms.minFunding) revert Unfunded(volume, available, v.terms.minFunding);
        v.graceEnds = 0;
        emit GraceCancelled(volume, available);
    }

    /// @inheritdoc IStorageStaking
    function giveNotice(VolumeId volume) external {
        Record storage v = _active(volume);
        _requireCaller(volume, v.key.provider);
        if (v.terms.notice == 0) revert NotInTerms(volume);
        if (v.noticeEnds != 0) revert AlreadyRunning(volume, v.noticeEnds);
        v.noticeEnds = _now() + v.terms.notice;
        emit NoticeGiven(volume, v.noticeEnds);
    }

    /// @inheritdoc IStorageStaking
    function exit(VolumeId volume) external {
        Record storage v = _active(volume);
        _requireCaller(volume, v.key.provider);
        _requireNothingOpen(volume, Track.Storage);
        _requireNothingOpen(volume, Track.Retrieval);
        _requireMayLeave(volume, v);
        _end(volume, v, Status.Closed, 0);
    }

    /// @inheritdoc IStorageStaking
    function release(VolumeId volume) external {
        Record storage v = _staked(volume);
        _requireCaller(volume, v.key.publisher);
        _end(volume, v, Status.Closed, 0);
    }

    /// @inheritdoc IStorageStaking
    function settle(
        VolumeId volume,
        uint128 toPublisher,
        uint64 expires,
        bytes calldata publisherSignature,
        bytes calldata providerSignature
    ) external {
        Record storage v = _staked(volume);
        _requireNotExpired(volume, expires);
        if (toPublisher > v.stake) revert BeyondStake(volume, toPublisher, v.stake);
        bytes32 settlement = Messages.hashSettlement(volume, toPublisher, expires);
        _requireSignedByParty(settlement, publisherSignature, v.key.publisher);
        _requireSignedByParty(settlement, providerSignature, v.key.provider);
        _end(volume, v, Status.Closed, toPublisher);
    }

    function _requireNothingOpen(VolumeId volume, Track track) private view {
        if (_isOpen(volume, track)) revert ChallengeOpen(volume, track, _open[volume][track].number);
    }

    /// @dev A notice that has run out is enough. A grace period counts only if the publisher is still not paying: a
    /// deposit that nobody has told the contract of ends it too.
    function _requireMayLeave(VolumeId volume, Record storage v) private view {
        if (v.noticeEnds != 0 && _now() > v.noticeEnds) return;
        if (v.graceEnds == 0 && v.noticeEnds == 0) revert NotLeaving(volume);
        uint64 ends = v.graceEnds != 0 ? v.graceEnds : v.noticeEnds;
        if (v.graceEnds == 0 || _now() <= ends) revert TooEarly(volume, ends, _now());
        uint256 available = _available(volume, v);
        if (available >= v.terms.minFunding) revert Funded(volume, available, v.terms.minFunding);
    }

    /// @dev An adapter that fails makes the call fail: to take a failure for "unpaid" would let a caller bring one about
    /// by giving too little gas.
    function _available(VolumeId volume, Record storage v) private view returns (uint256) {
        if (v.terms.funding == address(0)) revert NotInTerms(volume);
        return IFunding(v.terms.funding).available(v.key.publisher, v.key.provider, v.key.podId);
    }
}
