// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Digests} from "../../src/Digests.sol";
import {DepositFunding} from "../../src/adapters/DepositFunding.sol";
import {TestToken} from "../../src/adapters/TestToken.sol";
import {IStorageStaking} from "../../src/interfaces/IStorageStaking.sol";
import {
    Agreement,
    ChallengeKind,
    Evidence,
    Head,
    Penalty,
    Publication,
    Status,
    Terms,
    Track,
    VolumeId,
    VolumeKey
} from "../../src/types/Types.sol";
import {Fixture} from "./Fixture.sol";

/// @title Does one random thing at a time, to a few volumes, and keeps books of its own.
/// @notice Anything may be tried at any time; what the contract refuses is counted as refused. Few volumes, and times
/// that pass in steps of a term's size, make it meet the interesting states often.
contract Handler is Fixture {
    uint256 private constant LIVE = 3;

    /// All there ever were, and the few that are played with.
    VolumeId[] public volumes;
    VolumeId[LIVE] private _live;
    mapping(string action => uint256) public succeeded;
    mapping(Status => bool) public reached;
    mapping(VolumeId => bool) public hasEnded;
    uint256 public takenIn;
    uint256 public paidOut;
    uint256 public fallen;

    mapping(VolumeId => Head) private _seen;
    uint64 private _surviving;

    constructor(IStorageStaking staking_, Digests digests_, TestToken token_, DepositFunding funding_) {
        (staking, digests, token, funding) = (staking_, digests_, token_, funding_);
        for (uint256 i = 0; i < LIVE; i++) {
            _live[i] = _fresh();
        }
    }

    function setUp() public override {}

    function count() external view returns (uint256) {
        return volumes.length;
    }

    function actions() public pure returns (string[] memory names) {
        names = new string[](24);
        (names[0], names[1], names[2], names[3]) = ("offer", "withdrawOffer", "accept", "publish");
        (names[4], names[5], names[6], names[7]) = ("boot", "batch", "aggregate", "checkpoint");
        (names[8], names[9], names[10], names[11]) = ("challenge", "answer", "fault", "heal");
        (names[12], names[13], names[14], names[15]) = ("retrieve", "acknowledge", "locate", "claim");
        (names[16], names[17], names[18], names[19]) = ("startGrace", "cancelGrace", "giveNotice", "exit");
        (names[20], names[21], names[22], names[23]) = ("equivocate", "replaceSigner", "end", "withdraw");
    }

    /// @notice One random action on one random volume, then perhaps some time, then a look at all heads.
    function step(uint256 seed) external {
        string[] memory names = actions();
        string memory name = names[seed % names.length];
        VolumeId volume = _live[(seed >> 16) % LIVE];
        (bool ok,) = address(this).call(abi.encodeCall(this.act, (seed % names.length, volume, seed >> 32)));
        if (ok) succeeded[name] += 1;
        // Most steps take no time, or nobody would ever answer in time: a volume meets one in three of them, and one in
        // 24 of those is the answer.
        if ((seed >> 200) % 16 == 0) _pass((seed >> 208) % 1 days);
        if ((seed >> 224) % 400 == 0) _pass(31 days);
        for (uint256 i = 0; i < LIVE; i++) {
            _look(_live[i]);
        }
        Status status = staking.recordOf(volume).status;
        if (status == Status.Slashed || status == Status.Closed) _live[(seed >> 16) % LIVE] = _fresh();
    }

    /// @dev By itself, so that what reverts leaves nothing behind, not in the books either.
    function act(uint256 action, VolumeId volume, uint256 seed) external {
        require(msg.sender == address(this), "by step only");
        uint256 before = token.balanceOf(address(staking));
        if (action < 8) _moveOn(action, volume, seed);
        else if (action < 16) _ask(action, volume, seed);
        else _leave(action, volume, seed);
        uint256 now_ = token.balanceOf(address(staking));
        if (now_ > before) takenIn += now_ - before;
        else paidOut += before - now_;
    }

    /// @notice All stakes, bonds and credits there should be.
    function booked() external view returns (uint256 sum) {
        sum = _credit(publisher) + _credit(provider);
        for (uint256 i = 0; i < volumes.length; i++) {
            sum += staking.recordOf(volumes[i]).stake;
            sum += staking.challengeOf(volumes[i], Track.Storage).bond;
            sum += staking.challengeOf(volumes[i], Track.Retrieval).bond;
        }
    }

    function _fresh() private returns (VolumeId volume) {
        volume = staking.volumeId(_key(uint32(volumes.length)));
        volumes.push(volume);
    }

    function _indexOf(VolumeId volume) private view returns (uint32) {
        for (uint32 i = 0; i < volumes.length; i++) {
            if (VolumeId.unwrap(volumes[i]) == VolumeId.unwrap(volume)) return i;
        }
        revert("unknown");
    }

    function _look(VolumeId volume) private {
        Head memory head = staking.headOf(volume);
        Head memory seen = _seen[volume];
        bool fell = head.epoch < seen.epoch || head.boot < seen.boot || head.publishedAt < seen.publishedAt;
        bool swapped = seen.root != 0 && head.root != seen.root && head.epoch == seen.epoch;
        if (fell || swapped) fallen += 1;
        _seen[volume] = head;
        Status status = staking.recordOf(volume).status;
        reached[status] = true;
        if (status == Status.Slashed || status == Status.Closed) hasEnded[volume] = true;
    }

    function _randomTerms(uint256 seed) private view returns (Terms memory terms) {
        terms = _terms();
        terms.arbiter = arbiter;
        terms.notice = 5 days;
        terms.equivocation = seed % 2 == 0 ? Penalty.Freeze : Penalty.Slash;
        terms.stake = uint128(_bound(seed >> 8, 1, 1000 ether));
        terms.refundShareBps = uint16((seed >> 16) % 10_001);
    }

    function _moveOn(uint256 action, VolumeId volume, uint256 seed) private {
        if (action == 0) _offer(volume, seed);
        if (action == 1) {
            vm.prank(staking.recordOf(volume).offeredBy);
            staking.withdrawOffer(volume);
        }
        if (action == 2) _accept(volume);
        if (action == 3) {
            // Right most of the time, and sometimes stale, or far too far ahead.
            uint64 epoch = staking.headOf(volume).epoch + uint64(seed % 60);
            if (seed % 13 == 0) epoch += 1e12;
            _surviving = staking.headOf(volume).epoch;
            _publish(volume, epoch);
        }
        if (action == 4) _boot(volume);
        if (action == 5) _batchOf(volume);
        if (action == 6) _aggregateOf(volume);
        if (action == 7) {
            _aggregateOf(volume);
            staking.checkpoint(_next(volume, staking.headOf(volume).epoch + 1), new bytes32[](0));
        }
    }

    function _ask(uint256 action, VolumeId volume, uint256 seed) private {
        if (action == 8) _challenge(volume, Track.Storage);
        if (action == 9) _answer(_checked(volume));
        if (action == 10) _report(_fault(volume, uint64(seed % (staking.headOf(volume).epoch + 1))));
        if (action == 11) _heal(_checked(volume));
        if (action == 12) _challenge(volume, Track.Retrieval);
        if (action == 13) {
            uint64 number = staking.challengeOf(volume, Track.Retrieval).number;
            staking.acknowledge(volume, number, _sign(PUBLISHER_KEY, digests.digestOfReceipt(volume, number)));
        }
        if (action == 14) _locate(_locator(volume));
        if (action == 15) {
            if (staking.recordOf(volume).frozenUntil != 0) staking.claimFrozen(volume);
            else staking.claim(volume, Track(seed % 2));
        }
    }

    function _leave(uint256 action, VolumeId volume, uint256 seed) private {
        if (action == 16) staking.startGrace(volume);
        if (action == 17) _payAndCancel(volume);
        if (action == 18 || action == 19) vm.prank(provider);
        if (action == 18) staking.giveNotice(volume);
        if (action == 19) staking.exit(volume);
        // Rarely, or nothing would live long enough to meet the rest.
        if (action == 20) _equivocate(volume, seed);
        if (action == 21) {
            bytes32 digest = digests.digestOfReplacement(volume, staking.recordOf(volume).rotations + 1, signer);
            bytes memory tee = _sign(SIGNER_KEY, digest);
            staking.replaceSigner(volume, signer, _sign(PUBLISHER_KEY, digest), _sign(PROVIDER_KEY, digest), tee);
        }
        if (action == 22) _end(volume, seed);
        if (action == 23) {
            address who = seed % 2 == 0 ? publisher : provider;
            vm.prank(who);
            staking.withdraw(address(token), who);
        }
    }

    function _offer(VolumeId volume, uint256 seed) private {
        address by = seed % 3 == 0 ? publisher : provider;
        VolumeKey memory key = _key(_indexOf(volume));
        uint64 expires = uint64(block.timestamp + 30 days);
        vm.prank(by);
        staking.offer(key, _randomTerms(seed), signer, expires);
    }

    function _accept(VolumeId volume) private {
        VolumeKey memory key = _key(_indexOf(volume));
        Agreement memory agreement = Agreement(
            key.publisher,
            key.provider,
            key.podId,
            key.index,
            staking.recordOf(volume).terms,
            signer,
            staking.recordOf(volume).offerExpires
        );
        bytes memory consent = _sign(PUBLISHER_KEY, digests.digestOfAgreement(agreement));
        bytes memory proof = _sign(SIGNER_KEY, digests.digestOfSignerProof(agreement));
        vm.prank(provider);
        staking.accept(volume, signer, consent, proof);
    }

    function _batchOf(VolumeId volume) private {
        Publication[] memory batch = new Publication[](2);
        batch[0] = _next(volume, staking.headOf(volume).epoch + 1);
        batch[1] = _next(volume, staking.headOf(volume).epoch + 2);
        batch[1].previousRoot = batch[0].root;
        staking.publishBatch(batch, _sign(SIGNER_KEY, digests.digestOfBatch(batch)));
    }

    function _aggregateOf(VolumeId volume) private {
        VolumeId plane = staking.planeId(signer);
        if (staking.headOf(plane).signer == address(0)) staking.openPlane(signer);
        if (staking.headOf(plane).boot == 0) _boot(plane);
        Publication memory aggregate = _next(plane, staking.headOf(plane).epoch + 1);
        aggregate.root = digests.leafOf(_next(volume, staking.headOf(volume).epoch + 1));
        _publish(aggregate);
    }

    function _payAndCancel(VolumeId volume) private {
        vm.prank(publisher);
        funding.deposit(provider, POD, MIN_FUNDING);
        staking.cancelGrace(volume);
        vm.prank(provider);
        funding.draw(publisher, POD, MIN_FUNDING);
    }

    function _equivocate(VolumeId volume, uint256 seed) private {
        require(seed % 6 == 0, "not now");
        Evidence memory one;
        Evidence memory two;
        one.publication = _next(volume, 77);
        two.publication = _next(volume, 77);
        two.publication.root = _root(78);
        one.signature = _signed(one.publication);
        two.signature = _signed(two.publication);
        staking.reportEquivocation(one, two);
    }

    function _end(VolumeId volume, uint256 seed) private {
        require(seed % 8 == 0, "not now");
        if ((seed >> 8) % 3 == 0) {
            vm.prank(publisher);
            staking.release(volume);
        } else if ((seed >> 8) % 3 == 1) {
            vm.prank(arbiter);
            staking.rule(volume, uint16((seed >> 16) % 10_001));
        } else {
            uint128 part = uint128((seed >> 16) % (staking.recordOf(volume).stake + 1));
            bytes32 digest = digests.digestOfSettlement(volume, part, uint64(block.timestamp));
            bytes memory second = _sign(PROVIDER_KEY, digest);
            staking.settle(volume, part, uint64(block.timestamp), _sign(PUBLISHER_KEY, digest), second);
        }
    }
}
