// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IStorageStaking} from "../src/interfaces/IStorageStaking.sol";
import {
    Challenge,
    ChallengeKind,
    Checked,
    Fault,
    Locator,
    Status,
    Terms,
    Track,
    VolumeId
} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";

/// @title The three kinds of challenges: presence, fault and retrieval.
contract ChallengesTest is Fixture {
    function _expectAnswerRefused(Checked memory checked, bytes4 selector) private {
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfAnswer(checked));
        vm.expectPartialRevert(selector);
        staking.answer(checked, signature);
    }

    function _expectFaultRefused(Fault memory fault, bytes4 selector) private {
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfFault(fault));
        vm.expectPartialRevert(selector);
        staking.reportFault(fault, signature);
    }

    function _expectLocatorRefused(Locator memory locator, bytes4 selector) private {
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfLocator(locator));
        vm.expectPartialRevert(selector);
        staking.locate(locator, signature);
    }

    // ------------------------------------------------------------------------------------------------- presence

    function test_an_answered_challenge_gives_its_bond_to_the_provider() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Storage);
        _assertStatus(volume, Status.Challenged);
        vm.assertEq(uint256(c.kind), uint256(ChallengeKind.Presence));
        vm.assertEq(c.deadline, block.timestamp + 3 days);
        vm.assertEq(c.root, _root(10));
        vm.assertEq(token.balanceOf(address(staking)), STAKE + BOND);
        _answer(_checked(volume));
        _assertStatus(volume, Status.Active);
        _assertCredits(0, BOND);
    }

    function test_an_unanswered_challenge_gives_stake_and_bond_to_the_publisher() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        _pass(3 days + 1);
        vm.expectEmit();
        emit IStorageStaking.Ended(volume, Status.Slashed, STAKE, 0);
        vm.prank(relay);
        staking.claim(volume, Track.Storage);
        _assertStatus(volume, Status.Slashed);
        _assertCredits(STAKE + BOND, 0);
        vm.assertEq(staking.headOf(volume).signer, address(0));
        vm.assertEq(staking.recordOf(volume).stake, 0);
    }

    function test_at_the_deadline_an_answer_counts_and_a_claim_does_not() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Storage);
        vm.warp(c.deadline);
        vm.expectPartialRevert(IStorageStaking.TooEarly.selector);
        staking.claim(volume, Track.Storage);
        _answer(_checked(volume));
    }

    function test_after_the_deadline_a_claim_counts_and_an_answer_does_not() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Storage);
        vm.warp(uint256(c.deadline) + 1);
        _expectAnswerRefused(_checked(volume), IStorageStaking.TooLate.selector);
        staking.claim(volume, Track.Storage);
    }

    function testFuzz_at_every_second_either_the_answer_or_the_claim_counts(uint32 after_) public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        _pass(after_ % 7 days);
        Checked memory checked = _checked(volume);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfAnswer(checked));
        uint256 both;
        try this.claimAndUndo(volume) {}
        catch (bytes memory reason) {
            if (bytes4(reason) == Undone.selector) both += 1;
        }
        try staking.answer(checked, signature) {
            both += 1;
        } catch {}
        vm.assertEq(both, 1);
    }

    error Undone();

    function claimAndUndo(VolumeId volume) external {
        staking.claim(volume, Track.Storage);
        revert Undone();
    }

    function test_nobody_but_the_publisher_challenges() public {
        VolumeId volume = _volume();
        address[2] memory others = [provider, thief];
        for (uint256 i = 0; i < others.length; i++) {
            vm.prank(others[i]);
            vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
            staking.challenge(volume, Track.Storage);
        }
    }

    function test_one_challenge_at_a_time_and_a_pause_after_each() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        vm.prank(publisher);
        vm.expectPartialRevert(IStorageStaking.ChallengeOpen.selector);
        staking.challenge(volume, Track.Storage);
        _answer(_checked(volume));
        _pass(1 days - 1);
        vm.prank(publisher);
        vm.expectPartialRevert(IStorageStaking.CoolingDown.selector);
        staking.challenge(volume, Track.Storage);
        _pass(1);
        _challenge(volume, Track.Storage);
    }

    function test_an_answer_names_the_challenge_and_a_version_that_counts() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        Checked memory checked = _checked(volume);
        checked.number += 1;
        _expectAnswerRefused(checked, IStorageStaking.WrongNumber.selector);
        checked = _checked(volume);
        checked.root = _root(9);
        _expectAnswerRefused(checked, IStorageStaking.WrongVersion.selector);
        checked = _checked(volume);
        checked.epoch = 9;
        _expectAnswerRefused(checked, IStorageStaking.WrongVersion.selector);
        checked.epoch = 11;
        _expectAnswerRefused(checked, IStorageStaking.WrongVersion.selector);
        checked = _checked(volume);
        checked.boot = 0;
        _expectAnswerRefused(checked, IStorageStaking.WrongBoot.selector);
    }

    function test_a_check_that_took_long_counts_although_publishing_went_on() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        Checked memory checked = _checked(volume);
        _publish(volume, 11);
        _publish(volume, 12);
        Checked memory wrong = _checked(volume);
        wrong.root = _root(11);
        _expectAnswerRefused(wrong, IStorageStaking.WrongVersion.selector);
        checked.epoch = 11;
        checked.root = _root(11);
        _answer(checked);
    }

    function test_an_answer_is_not_played_again() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        Checked memory checked = _checked(volume);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfAnswer(checked));
        staking.answer(checked, signature);
        vm.expectPartialRevert(IStorageStaking.NoChallenge.selector);
        staking.answer(checked, signature);
        _pass(1 days);
        _challenge(volume, Track.Storage);
        vm.expectPartialRevert(IStorageStaking.WrongNumber.selector);
        staking.answer(checked, signature);
    }

    function test_an_answer_heals_nothing_and_a_heal_answers_nothing() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        Checked memory checked = _checked(volume);
        bytes memory asHeal = _sign(SIGNER_KEY, digests.digestOfHeal(checked));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.answer(checked, asHeal);
        vm.expectPartialRevert(IStorageStaking.NoChallenge.selector);
        staking.heal(checked, asHeal);
        _report(_fault(volume, 9));
        checked = _checked(volume);
        bytes memory asAnswer = _sign(SIGNER_KEY, digests.digestOfAnswer(checked));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.heal(checked, asAnswer);
    }

    function test_nothing_is_claimed_when_nothing_is_open() public {
        VolumeId volume = _volume();
        vm.expectPartialRevert(IStorageStaking.NoChallenge.selector);
        staking.claim(volume, Track.Storage);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.claim(VolumeId.wrap(0), Track.Storage);
    }

    // --------------------------------------------------------------------------------------------------- faults

    function test_a_fault_opens_a_challenge_by_itself_and_healing_answers_it() public {
        VolumeId volume = _volume();
        _report(_fault(volume, 8));
        Challenge memory c = staking.challengeOf(volume, Track.Storage);
        vm.assertEq(uint256(c.kind), uint256(ChallengeKind.Fault));
        vm.assertEq(c.survivingEpoch, 8);
        vm.assertEq(c.deadline, block.timestamp + 3 days);
        vm.warp(c.deadline);
        _heal(_checked(volume));
        _assertStatus(volume, Status.Active);
        _assertCredits(0, 0);
        // Whoever has just seen a fault may ask at once.
        _challenge(volume, Track.Storage);
    }

    function test_a_fault_that_is_not_healed_splits_the_stake_by_staleness() public {
        VolumeId volume = _volume();
        _publish(volume, 60);
        _report(_fault(volume, 10));
        _pass(3 days + 1);
        staking.claim(volume, Track.Storage);
        // A refund share of 20 %, and 50 of 100 epochs of the rest.
        _assertCredits(600 ether, 400 ether);
    }

    function test_what_is_too_old_or_gone_is_worth_nothing() public {
        VolumeId volume = _volume();
        _publish(volume, 110);
        _report(_fault(volume, 10));
        _pass(3 days + 1);
        uint256 before = _credit(publisher);
        staking.claim(volume, Track.Storage);
        vm.assertEq(_credit(publisher) - before, STAKE);

        VolumeId other = _open(_key(1), _terms());
        _boot(other);
        _publish(other, 3);
        _report(_fault(other, 0));
        _pass(3 days + 1);
        staking.claim(other, Track.Storage);
        vm.assertEq(_credit(publisher) - before, 2 * uint256(STAKE));
        vm.assertEq(_credit(provider), 0);
    }

    function testFuzz_a_split_gives_away_the_stake_and_no_less_for_more_lost(
        uint128 stake,
        uint16 refund,
        uint32 full,
        uint64 lost
    ) public {
        Terms memory terms = _terms();
        terms.stake = uint128(_bound(stake, 1, 500_000 ether));
        terms.refundShareBps = refund % 10_001;
        terms.staleEpochs = uint32(_bound(full, 1, type(uint32).max));
        VolumeId volume = _open(_key(0), terms);
        _boot(volume);
        _publish(volume, 2 ** 32);
        lost = uint64(_bound(lost, 1, 2 ** 32 - 1));
        _report(_fault(volume, 2 ** 32 - lost));
        _pass(3 days + 1);
        staking.claim(volume, Track.Storage);
        vm.assertEq(_credit(publisher) + _credit(provider), terms.stake);
        uint256 least = uint256(terms.stake) * terms.refundShareBps / 10_000;
        vm.assertGe(_credit(publisher), least, "the refund share at least");
        vm.assertEq(lost >= terms.staleEpochs ? _credit(provider) : 0, 0, "nothing for what is worth nothing");
    }

    function test_a_fault_is_of_the_newest_version_and_what_survives_is_older() public {
        VolumeId volume = _open(_key(0), _terms());
        _boot(volume);
        _expectFaultRefused(_fault(volume, 0), IStorageStaking.NothingPublished.selector);
        _publish(volume, 10);
        _expectFaultRefused(_fault(volume, 10), IStorageStaking.WrongVersion.selector);
        Fault memory fault = _fault(volume, 9);
        fault.epoch = 9;
        _expectFaultRefused(fault, IStorageStaking.WrongVersion.selector);
        fault = _fault(volume, 9);
        fault.survivingRoot = 0;
        _expectFaultRefused(fault, IStorageStaking.WrongVersion.selector);
        fault = _fault(volume, 9);
        fault.boot = 2;
        _expectFaultRefused(fault, IStorageStaking.WrongBoot.selector);
        fault = _fault(volume, 9);
        fault.root = _root(9);
        _expectFaultRefused(fault, IStorageStaking.WrongVersion.selector);
    }

    function test_a_fault_is_reported_by_the_storage_plane_only() public {
        VolumeId volume = _volume();
        Fault memory fault = _fault(volume, 9);
        bytes memory signature = _sign(PUBLISHER_KEY, digests.digestOfFault(fault));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.reportFault(fault, signature);
    }

    function test_a_fault_is_not_played_again_after_healing() public {
        VolumeId volume = _volume();
        Fault memory fault = _fault(volume, 9);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfFault(fault));
        staking.reportFault(fault, signature);
        _heal(_checked(volume));
        vm.expectPartialRevert(IStorageStaking.WrongNumber.selector);
        staking.reportFault(fault, signature);
    }

    function test_a_fault_takes_the_place_of_a_challenge_and_buys_no_time() public {
        VolumeId volume = _volume();
        Challenge memory asked = _challenge(volume, Track.Storage);
        _pass(2 days);
        _report(_fault(volume, 9));
        Challenge memory c = staking.challengeOf(volume, Track.Storage);
        vm.assertEq(c.deadline, asked.deadline);
        vm.assertEq(c.number, asked.number + 1);
        // Once more, and worse.
        _report(_fault(volume, 5));
        c = staking.challengeOf(volume, Track.Storage);
        vm.assertEq(c.deadline, asked.deadline);
        vm.assertEq(c.survivingEpoch, 5);
        _heal(_checked(volume));
        _assertCredits(BOND, 0);
    }

    function test_it_is_too_late_to_confess_after_the_deadline() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        _pass(3 days + 1);
        _expectFaultRefused(_fault(volume, 9), IStorageStaking.TooLate.selector);
        staking.claim(volume, Track.Storage);
        _assertCredits(STAKE + BOND, 0);
    }

    function test_healing_after_the_deadline_is_too_late() public {
        VolumeId volume = _volume();
        _report(_fault(volume, 9));
        _pass(3 days + 1);
        Checked memory checked = _checked(volume);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfHeal(checked));
        vm.expectPartialRevert(IStorageStaking.TooLate.selector);
        staking.heal(checked, signature);
    }

    // ------------------------------------------------------------------------------------------------ retrieval

    function _receive(VolumeId volume, uint64 number) private {
        bytes memory receipt = _sign(PUBLISHER_KEY, digests.digestOfReceipt(volume, number));
        vm.prank(relay);
        staking.acknowledge(volume, number, receipt);
    }

    function test_a_receipt_closes_a_retrieval_and_costs_the_publisher_nothing() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Retrieval);
        _assertStatus(volume, Status.Challenged);
        bytes memory forged = _sign(PROVIDER_KEY, digests.digestOfReceipt(volume, c.number));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.acknowledge(volume, c.number, forged);
        _receive(volume, c.number);
        _assertCredits(BOND, 0);
        _assertStatus(volume, Status.Active);
    }

    function test_a_receipt_is_for_one_retrieval_only() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Retrieval);
        bytes memory receipt = _sign(PUBLISHER_KEY, digests.digestOfReceipt(volume, c.number));
        staking.acknowledge(volume, c.number, receipt);
        _pass(1 days);
        _challenge(volume, Track.Retrieval);
        vm.expectPartialRevert(IStorageStaking.WrongNumber.selector);
        staking.acknowledge(volume, c.number, receipt);
    }

    function test_a_signed_locator_closes_a_retrieval() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Retrieval);
        vm.warp(c.deadline);
        Locator memory locator = _locator(volume);
        vm.expectEmit();
        emit IStorageStaking.LocatorGiven(volume, c.number, 10, _root(10), locator.locator);
        _locate(locator);
        _assertCredits(0, BOND);
        vm.prank(publisher);
        vm.expectPartialRevert(IStorageStaking.CoolingDown.selector);
        staking.challenge(volume, Track.Retrieval);
        // The other track has a pause of its own.
        _challenge(volume, Track.Storage);
    }

    function test_a_locator_is_signed_and_names_a_version_and_a_place() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Retrieval);
        Locator memory locator = _locator(volume);
        locator.locator = "";
        _expectLocatorRefused(locator, IStorageStaking.BadLocator.selector);
        locator.locator = string(new bytes(2049));
        _expectLocatorRefused(locator, IStorageStaking.BadLocator.selector);
        locator = _locator(volume);
        locator.root = _root(9);
        _expectLocatorRefused(locator, IStorageStaking.WrongVersion.selector);
        locator = _locator(volume);
        bytes memory providers = _sign(PROVIDER_KEY, digests.digestOfLocator(locator));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.locate(locator, providers);
        _pass(3 days + 1);
        _expectLocatorRefused(locator, IStorageStaking.TooLate.selector);
    }

    function test_a_retrieval_that_is_refused_costs_the_stake() public {
        VolumeId volume = _volume();
        Challenge memory c = _challenge(volume, Track.Retrieval);
        vm.warp(c.deadline);
        vm.expectPartialRevert(IStorageStaking.TooEarly.selector);
        staking.claim(volume, Track.Retrieval);
        _pass(1);
        staking.claim(volume, Track.Retrieval);
        _assertCredits(STAKE + BOND, 0);
    }

    function test_before_the_first_publication_there_is_nothing_to_retrieve() public {
        VolumeId volume = _open(_key(0), _terms());
        vm.prank(publisher);
        vm.expectPartialRevert(IStorageStaking.NothingPublished.selector);
        staking.challenge(volume, Track.Retrieval);
    }

    function test_a_fault_does_not_evade_a_retrieval() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Retrieval);
        _report(_fault(volume, 9));
        _heal(_checked(volume));
        _pass(3 days + 1);
        staking.claim(volume, Track.Retrieval);
        _assertCredits(STAKE + BOND, 0);
    }

    function test_what_ends_a_volume_drops_the_other_challenge_and_gives_its_bond_back() public {
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        _challenge(volume, Track.Retrieval);
        _pass(3 days + 1);
        staking.claim(volume, Track.Storage);
        _assertCredits(STAKE + 2 * BOND, 0);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.claim(volume, Track.Retrieval);
    }

    // -------------------------------------------------------------------------------------------------- arbiter

    function _arbitrated() private returns (VolumeId volume) {
        Terms memory terms = _terms();
        terms.arbiter = arbiter;
        volume = _volumeWith(terms);
        _challenge(volume, Track.Retrieval);
    }

    function test_the_arbiter_dismisses_a_retrieval() public {
        VolumeId volume = _arbitrated();
        vm.prank(arbiter);
        staking.rule(volume, 0);
        _assertStatus(volume, Status.Active);
        _assertCredits(0, BOND);
    }

    function test_the_arbiter_divides_the_stake() public {
        VolumeId volume = _arbitrated();
        vm.prank(arbiter);
        vm.expectPartialRevert(IStorageStaking.BadShare.selector);
        staking.rule(volume, 10_001);
        vm.prank(arbiter);
        staking.rule(volume, 2500);
        _assertStatus(volume, Status.Slashed);
        _assertCredits(250 ether + BOND, 750 ether);
    }

    function test_the_arbiter_has_time_before_a_claim() public {
        VolumeId volume = _arbitrated();
        _pass(6 days);
        vm.expectPartialRevert(IStorageStaking.TooEarly.selector);
        staking.claim(volume, Track.Retrieval);
        _pass(1);
        staking.claim(volume, Track.Retrieval);
        _assertCredits(STAKE + BOND, 0);
    }

    function test_the_arbiter_rules_on_nothing_else() public {
        VolumeId volume = _arbitrated();
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        staking.rule(volume, 0);
        _receive(volume, 1);
        _challenge(volume, Track.Storage);
        vm.prank(arbiter);
        vm.expectPartialRevert(IStorageStaking.NoChallenge.selector);
        staking.rule(volume, 10_000);
    }
}
