// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Messages} from "./Messages.sol";
import {Volumes} from "./Volumes.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Challenge, ChallengeKind, Checked, Fault, Locator, Record, Status, Track, VolumeId} from "./types/Types.sol";

/// @title What a provider can be asked, and what it costs not to answer.
/// @notice
/// ```text
///   track storage    challenge ---> Presence --answer--> bond to the provider
///                                      |    '--claim---> stake and bond to the publisher
///                    reportFault --> Fault  --heal----> bond, if any, back to the publisher
///                                           '--claim---> stake split by staleness, bond back
///   track retrieval  challenge ---> Retrieval --acknowledge (receipt)--> bond back to the publisher
///                                     |--locate--> bond to the provider
///                                     |--rule----> as the arbiter says
///                                     '--claim---> stake and bond to the publisher
/// ```
/// Answers count up to and at the deadline, claims after it: there is no second in which both or neither hold.
abstract contract Challenges is Volumes {
    uint256 private constant LOCATOR_BYTES_MAX = 2048;

    /// @inheritdoc IStorageStaking
    function challenge(VolumeId volume, Track track) external nonReentrant {
        Record storage v = _active(volume);
        // Only the publisher may ask: a provider who could ask himself would keep the one place always taken.
        _requireCaller(volume, v.key.publisher);
        Challenge storage c = _open[volume][track];
        if (c.kind != ChallengeKind.None) revert ChallengeOpen(volume, track, c.number);
        uint64 cooled = track == Track.Storage ? v.storageCooldownEnds : v.retrievalCooldownEnds;
        if (_now() < cooled) revert CoolingDown(volume, cooled, _now());
        HotHead storage head = _heads[volume];
        if (track == Track.Retrieval && head.root == 0) revert NothingPublished(volume);

        uint64 number = ++v.challenges;
        uint64 deadline = _now() + v.terms.challengeWindow;
        (bytes32 root, uint64 epoch) = (head.root, head.slot.epoch());
        ChallengeKind kind = track == Track.Storage ? ChallengeKind.Presence : ChallengeKind.Retrieval;
        c.kind = kind;
        c.number = number;
        c.openedAt = _now();
        c.deadline = deadline;
        c.epoch = epoch;
        c.root = root;
        c.bond = v.terms.bond;
        emit Challenged(volume, kind, number, deadline, epoch, root);
        _takeIn(v.terms.token, v.terms.bond);
    }

    /// @inheritdoc IStorageStaking
    function answer(Checked calldata checked, bytes calldata signature) external {
        Record storage v = _requireChecked(checked, ChallengeKind.Presence, Messages.hashAnswer(checked), signature);
        emit Answered(checked.volume, checked.number, checked.epoch, checked.root);
        _closeAnswered(checked.volume, v, Track.Storage, v.key.provider);
    }

    /// @inheritdoc IStorageStaking
    function reportFault(Fault calldata fault, bytes calldata signature) external {
        VolumeId volume = fault.volume;
        Record storage v = _active(volume);
        _requireFault(volume, v, fault);
        _requireSigned(Messages.hashFault(fault), signature, _heads[volume].slot.signer());

        // What was asked before stays due when it was: a fault buys no time, and once the time is over it is too late
        // to confess.
        Challenge storage c = _open[volume][Track.Storage];
        uint64 deadline = c.deadline;
        if (c.kind == ChallengeKind.None) {
            deadline = _now() + v.terms.challengeWindow;
            c.openedAt = _now();
            c.deadline = deadline;
        } else if (_now() > deadline) {
            revert TooLate(volume, deadline, _now());
        }
        uint64 number = ++v.challenges;
        v.faults += 1;
        c.kind = ChallengeKind.Fault;
        c.number = number;
        c.epoch = fault.epoch;
        c.root = fault.root;
        c.survivingEpoch = fault.survivingEpoch;
        c.survivingRoot = fault.survivingRoot;
        emit FaultReported(volume, number, deadline, fault.epoch, fault.root, fault.survivingEpoch, fault.survivingRoot);
    }

    /// @inheritdoc IStorageStaking
    function heal(Checked calldata checked, bytes calldata signature) external {
        Record storage v = _requireChecked(checked, ChallengeKind.Fault, Messages.hashHeal(checked), signature);
        emit Healed(checked.volume, checked.number, checked.epoch, checked.root);
        // No cooldown: whoever has just seen a fault may ask again at once.
        _close(checked.volume, v, Track.Storage, v.key.publisher);
    }

    /// @inheritdoc IStorageStaking
    function acknowledge(VolumeId volume, uint64 number, bytes calldata publisherSignature) external {
        Record storage v = _active(volume);
        Challenge storage c = _asked(volume, ChallengeKind.Retrieval);
        if (number != c.number) revert WrongNumber(volume, number, c.number);
        _requireSignedByParty(Messages.hashReceipt(volume, number), publisherSignature, v.key.publisher);

        emit Received(volume, number);
        _closeAnswered(volume, v, Track.Retrieval, v.key.publisher);
    }

    /// @inheritdoc IStorageStaking
    function locate(Locator calldata locator, bytes calldata signature) external {
        VolumeId volume = locator.volume;
        Record storage v = _active(volume);
        Challenge storage c = _pending(volume, ChallengeKind.Retrieval, locator.number);
        _requireVersion(volume, c, locator.boot, locator.epoch, locator.root);
        uint256 length = bytes(locator.locator).length;
        if (length == 0 || length > LOCATOR_BYTES_MAX) revert BadLocator(volume, length);
        _requireSigned(Messages.hashLocator(locator), signature, _heads[volume].slot.signer());

        emit LocatorGiven(volume, locator.number, locator.epoch, locator.root, locator.locator);
        _closeAnswered(volume, v, Track.Retrieval, v.key.provider);
    }

    /// @inheritdoc IStorageStaking
    function rule(VolumeId volume, uint16 shareBps) external {
        Record storage v = _staked(volume);
        // Nobody calls from the zero address, so terms without an arbiter need no check of their own.
        _requireCaller(volume, v.terms.arbiter);
        if (shareBps > WHOLE_BPS) revert BadShare(shareBps);
        bool frozen = v.status == Status.Frozen;
        if (!frozen) _asked(volume, ChallengeKind.Retrieval);

        emit Ruled(volume, msg.sender, shareBps);
        if (shareBps != 0) {
            _end(volume, v, Status.Slashed, _share(v.stake, shareBps));
        } else if (frozen) {
            _end(volume, v, Status.Closed, 0);
        } else {
            _closeAnswered(volume, v, Track.Retrieval, v.key.provider);
        }
    }

    /// @inheritdoc IStorageStaking
    function claim(VolumeId volume, Track track) external {
        Record storage v = _staked(volume);
        Challenge storage c = _open[volume][track];
        if (c.kind == ChallengeKind.None) revert NoChallenge(volume, ChallengeKind.None);
        uint64 until = c.deadline;
        if (track == Track.Retrieval && v.terms.arbiter != address(0)) until += v.terms.challengeWindow;
        if (_now() <= until) revert TooEarly(volume, until, _now());

        uint128 toPublisher = c.kind == ChallengeKind.Fault ? _lost(v, c) : v.stake;
        _close(volume, v, track, v.key.publisher);
        _end(volume, v, Status.Slashed, toPublisher);
    }

    /// @inheritdoc IStorageStaking
    function claimFrozen(VolumeId volume) external {
        Record storage v = _records[volume];
        if (v.status != Status.Frozen) revert WrongStatus(volume, v.status);
        if (_now() <= v.frozenUntil) revert TooEarly(volume, v.frozenUntil, _now());
        _end(volume, v, Status.Slashed, _share(v.stake, v.terms.refundShareBps));
    }

    /// @dev Accepts a full check as the answer to the open challenge of that kind.
    function _requireChecked(Checked calldata checked, ChallengeKind kind, bytes32 structHash, bytes calldata signature)
        private
        view
        returns (Record storage v)
    {
        VolumeId volume = checked.volume;
        v = _active(volume);
        Challenge storage c = _pending(volume, kind, checked.number);
        _requireVersion(volume, c, checked.boot, checked.epoch, checked.root);
        _requireSigned(structHash, signature, _heads[volume].slot.signer());
    }

    function _asked(VolumeId volume, ChallengeKind kind) private view returns (Challenge storage c) {
        c = _open[volume][kind == ChallengeKind.Retrieval ? Track.Retrieval : Track.Storage];
        if (c.kind != kind) revert NoChallenge(volume, kind);
    }

    /// @dev The open challenge of that kind and number, which is not overdue.
    function _pending(VolumeId volume, ChallengeKind kind, uint64 number) private view returns (Challenge storage c) {
        c = _asked(volume, kind);
        if (number != c.number) revert WrongNumber(volume, number, c.number);
        if (_now() > c.deadline) revert TooLate(volume, c.deadline, _now());
    }

    /// @dev A full check takes long, and publishing goes on meanwhile: any version from the one that was asked for to
    /// the newest counts. Where the contract knows the root of that epoch, it must be that one.
    function _requireVersion(VolumeId volume, Challenge storage c, uint64 boot_, uint64 epoch, bytes32 root)
        private
        view
    {
        HotHead storage head = _heads[volume];
        _requireBoot(volume, boot_, head.slot.boot());
        uint64 latest = head.slot.epoch();
        bool right = epoch >= c.epoch && epoch <= latest && (epoch != c.epoch || root == c.root)
            && (epoch != latest || root == head.root);
        if (!right) revert WrongVersion(volume, epoch, root);
    }

    /// @dev A fault is of the newest version, and what survives is older. Bound to the number of faults, so that an old
    /// report cannot be played again after healing.
    function _requireFault(VolumeId volume, Record storage v, Fault calldata fault) private view {
        HotHead storage head = _heads[volume];
        _requireBoot(volume, fault.boot, head.slot.boot());
        if (head.root == 0) revert NothingPublished(volume);
        if (fault.number != v.faults + 1) revert WrongNumber(volume, fault.number, v.faults);
        if (fault.epoch != head.slot.epoch() || fault.root != head.root) {
            revert WrongVersion(volume, fault.epoch, fault.root);
        }
        bool older = fault.survivingRoot == 0 ? fault.survivingEpoch == 0 : fault.survivingEpoch < fault.epoch;
        if (!older) revert WrongVersion(volume, fault.survivingEpoch, fault.survivingRoot);
    }

    /// @dev The publisher's share of the stake for a fault that was not healed: the refund share, and of the rest as
    /// much as the lost epochs are of `staleEpochs`.
    function _lost(Record storage v, Challenge storage c) internal view returns (uint128) {
        if (c.survivingRoot == 0) return v.stake;
        uint256 full = v.terms.staleEpochs;
        uint256 lost = c.epoch - c.survivingEpoch;
        if (lost >= full) return v.stake;
        uint128 refund = _share(v.stake, v.terms.refundShareBps);
        return refund + uint128((v.stake - refund) * lost / full);
    }

    function _closeAnswered(VolumeId volume, Record storage v, Track track, address bondTo) private {
        uint64 ends = _now() + v.terms.cooldown;
        if (track == Track.Storage) v.storageCooldownEnds = ends;
        else v.retrievalCooldownEnds = ends;
        _close(volume, v, track, bondTo);
    }
}
