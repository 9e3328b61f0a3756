// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IStorageStaking} from "../src/interfaces/IStorageStaking.sol";
import {Status, Terms, Track, VolumeId} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";

/// @title How a volume ends without blame.
contract LeavingTest is Fixture {
    function _pay(uint256 amount) private {
        vm.prank(publisher);
        funding.deposit(provider, POD, amount);
    }

    function _expectExitRefused(VolumeId volume, bytes4 selector) private {
        vm.prank(provider);
        vm.expectPartialRevert(selector);
        staking.exit(volume);
    }

    function test_an_unpaid_provider_leaves_with_the_stake_after_the_grace_period() public {
        VolumeId volume = _volume();
        vm.expectEmit();
        emit IStorageStaking.GraceStarted(volume, 0, uint64(block.timestamp + 7 days));
        vm.prank(relay);
        staking.startGrace(volume);
        _assertStatus(volume, Status.Grace);
        _pass(7 days);
        _expectExitRefused(volume, IStorageStaking.TooEarly.selector);
        _pass(1);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        staking.exit(volume);
        vm.prank(provider);
        staking.exit(volume);
        _assertStatus(volume, Status.Closed);
        _assertCredits(0, STAKE);
    }

    function test_a_deposit_cancels_the_grace_period() public {
        VolumeId volume = _volume();
        staking.startGrace(volume);
        vm.expectPartialRevert(IStorageStaking.Unfunded.selector);
        staking.cancelGrace(volume);
        _pay(MIN_FUNDING);
        vm.expectEmit();
        emit IStorageStaking.GraceCancelled(volume, MIN_FUNDING);
        vm.prank(relay);
        staking.cancelGrace(volume);
        _assertStatus(volume, Status.Active);
        vm.expectPartialRevert(IStorageStaking.NotLeaving.selector);
        staking.cancelGrace(volume);
        _pass(8 days);
        _expectExitRefused(volume, IStorageStaking.NotLeaving.selector);
    }

    function test_a_deposit_nobody_has_told_of_keeps_the_provider_too() public {
        VolumeId volume = _volume();
        staking.startGrace(volume);
        _pass(7 days);
        _pay(MIN_FUNDING);
        _pass(1);
        _expectExitRefused(volume, IStorageStaking.Funded.selector);
    }

    function test_a_paid_volume_has_no_grace_period() public {
        VolumeId volume = _volume();
        _pay(MIN_FUNDING);
        vm.expectPartialRevert(IStorageStaking.Funded.selector);
        staking.startGrace(volume);
    }

    function test_a_channel_drained_by_the_provider_starts_a_whole_grace_period_each_time() public {
        VolumeId volume = _volume();
        for (uint256 i = 0; i < 3; i++) {
            _pay(MIN_FUNDING);
            vm.prank(provider);
            funding.draw(publisher, POD, MIN_FUNDING);
            staking.startGrace(volume);
            vm.expectPartialRevert(IStorageStaking.AlreadyRunning.selector);
            staking.startGrace(volume);
            _pass(6 days);
            _expectExitRefused(volume, IStorageStaking.TooEarly.selector);
            _pay(MIN_FUNDING);
            staking.cancelGrace(volume);
            vm.prank(provider);
            funding.draw(publisher, POD, MIN_FUNDING);
        }
    }

    function test_data_stays_challengeable_and_retrievable_through_the_grace_period() public {
        VolumeId volume = _volume();
        staking.startGrace(volume);
        _pass(6 days);
        _challenge(volume, Track.Retrieval);
        _locate(_locator(volume));
        _challenge(volume, Track.Storage);
        _pass(1 days + 1);
        _expectExitRefused(volume, IStorageStaking.ChallengeOpen.selector);
        _pass(2 days);
        staking.claim(volume, Track.Storage);
        _assertStatus(volume, Status.Slashed);
        _assertCredits(STAKE + BOND, BOND);
    }

    function test_leaving_just_before_a_challenge_does_not_save_the_stake() public {
        VolumeId volume = _volume();
        vm.prank(provider);
        staking.giveNotice(volume);
        _assertStatus(volume, Status.Leaving);
        // The last second at which the notice runs, and even one after it.
        _pass(30 days + 1);
        _challenge(volume, Track.Retrieval);
        _expectExitRefused(volume, IStorageStaking.ChallengeOpen.selector);
        _pass(3 days + 1);
        _expectExitRefused(volume, IStorageStaking.ChallengeOpen.selector);
        staking.claim(volume, Track.Retrieval);
        _assertCredits(STAKE + BOND, 0);
    }

    function test_whoever_answered_just_before_leaving_can_be_challenged_once_more() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        _answer(_checked(volume));
        staking.startGrace(volume);
        _pass(1 days);
        _challenge(volume, Track.Storage);
        _pass(3 days + 1);
        staking.claim(volume, Track.Storage);
        _assertCredits(STAKE + BOND, BOND);
    }

    function test_a_provider_leaves_after_his_notice() public {
        VolumeId volume = _volume();
        _pay(MIN_FUNDING);
        _expectExitRefused(volume, IStorageStaking.NotLeaving.selector);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        staking.giveNotice(volume);
        vm.prank(provider);
        staking.giveNotice(volume);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.AlreadyRunning.selector);
        staking.giveNotice(volume);
        _pass(30 days);
        _expectExitRefused(volume, IStorageStaking.TooEarly.selector);
        _pass(1);
        vm.prank(provider);
        staking.exit(volume);
        _assertCredits(0, STAKE);
    }

    function test_a_grace_period_that_ends_first_lets_the_provider_leave_before_his_notice_does() public {
        VolumeId volume = _volume();
        vm.prank(provider);
        staking.giveNotice(volume);
        staking.startGrace(volume);
        _pass(7 days + 1);
        vm.prank(provider);
        staking.exit(volume);
    }

    function test_terms_without_notice_or_funding_have_neither() public {
        Terms memory terms = _terms();
        terms.notice = 0;
        VolumeId volume = _volumeWith(terms);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.NotInTerms.selector);
        staking.giveNotice(volume);

        terms = _terms();
        terms.funding = address(0);
        VolumeId other = _open(_key(1), terms);
        vm.expectPartialRevert(IStorageStaking.NotInTerms.selector);
        staking.startGrace(other);
    }

    function test_a_funding_adapter_that_fails_is_not_taken_for_unpaid() public {
        Terms memory terms = _terms();
        terms.funding = address(this);
        VolumeId volume = _volumeWith(terms);
        vm.expectRevert("broken");
        staking.startGrace(volume);
    }

    function available(address, address, bytes32) external pure returns (uint256) {
        revert("broken");
    }

    function test_the_publisher_releases_the_provider() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        staking.release(volume);
        vm.prank(publisher);
        staking.release(volume);
        _assertStatus(volume, Status.Closed);
        _assertCredits(BOND, STAKE);
    }

    function _settle(VolumeId volume, uint128 toPublisher, uint64 expires, uint256 first, uint256 second) private {
        bytes32 digest = digests.digestOfSettlement(volume, toPublisher, expires);
        bytes memory one = _sign(first, digest);
        bytes memory two = _sign(second, digest);
        vm.prank(relay);
        staking.settle(volume, toPublisher, expires, one, two);
    }

    function settleForTest(VolumeId volume, uint128 toPublisher, uint64 expires, uint256 first, uint256 second)
        external
    {
        _settle(volume, toPublisher, expires, first, second);
    }

    function test_both_together_divide_the_stake_as_they_like() public {
        VolumeId volume = _volume();
        uint64 expires = uint64(block.timestamp);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this.settleForTest(volume, 1, expires, PUBLISHER_KEY, PUBLISHER_KEY);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this.settleForTest(volume, 1, expires, PROVIDER_KEY, PROVIDER_KEY);
        vm.expectPartialRevert(IStorageStaking.BeyondStake.selector);
        this.settleForTest(volume, STAKE + 1, expires, PUBLISHER_KEY, PROVIDER_KEY);
        vm.expectPartialRevert(IStorageStaking.Expired.selector);
        this.settleForTest(volume, 1, expires - 1, PUBLISHER_KEY, PROVIDER_KEY);
        _settle(volume, 300 ether, expires, PUBLISHER_KEY, PROVIDER_KEY);
        _assertStatus(volume, Status.Closed);
        _assertCredits(300 ether, 700 ether);
    }
}
