// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {StdToken} from "./support/Hostile.sol";
import {FeeToken, ReentrantToken, SilentToken} from "./support/Hostile.sol";
import {DepositFunding} from "../src/adapters/DepositFunding.sol";
import {IStorageStaking} from "../src/interfaces/IStorageStaking.sol";
import {Checked, Evidence, Fault, Penalty, Publication, Status, Terms, Track, VolumeId} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";
import {Tree} from "./support/Tree.sol";

/// @title What somebody might try, each with the defence it meets. `tools/mutants` removes the defences one by one and
/// requires a test to fail. Attacks that belong to one call stand with it: Heads, Challenges, Agreements, Leaving.
contract AttacksTest is Fixture {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // ------------------------------------------------------------------------------------------------ signatures

    function test_a_malleable_signature_is_refused() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SIGNER_KEY, digests.digestOfPublication(publication));
        // In the short form a high s cannot even be said: its highest bit is the parity of v.
        bytes32 high = bytes32(ORDER - uint256(s));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.publish(r, high, publication);
        _send(publication, abi.encodePacked(r, s, v));

        (v, r, s) = vm.sign(SIGNER_KEY, digests.digestOfBoot(volume, 2, _nonce(2)));
        bytes memory twin = abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(IStorageStaking.WrongSignature.selector, address(0), signer));
        staking.boot(volume, 2, _nonce(2), twin);
        staking.boot(volume, 2, _nonce(2), abi.encodePacked(r, s, v));
    }

    function testFuzz_garbage_is_no_signature(bytes calldata garbage, bytes32 r, bytes32 vs) public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.publish(r, vs, publication);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.boot(volume, 2, _nonce(2), garbage);
    }

    function test_zero_is_no_signature_even_where_no_signer_is() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.publish(0, 0, publication);
        vm.prank(publisher);
        staking.release(volume);
        // The signer is zero now, and so is what a bad signature recovers to.
        vm.expectRevert(abi.encodeWithSelector(IStorageStaking.WrongSignature.selector, address(0), address(0)));
        staking.publish(0, 0, publication);
        vm.expectRevert(abi.encodeWithSelector(IStorageStaking.WrongSignature.selector, address(0), address(0)));
        staking.boot(volume, 2, _nonce(2), new bytes(65));
    }

    function testFuzz_every_field_of_a_publication_is_signed(uint8 field, uint64 other, bytes32 root) public {
        VolumeId volume = _volume();
        Publication memory p = _next(volume, 11);
        bytes memory signature = _signed(p);
        bytes32 before = digests.leafOf(p);
        if (field % 5 == 0) p.volume = VolumeId.wrap(root);
        if (field % 5 == 1) p.boot = other;
        if (field % 5 == 2) p.epoch = other;
        if (field % 5 == 3) p.root = root;
        if (field % 5 == 4) p.previousRoot = root;
        vm.assume(digests.leafOf(p) != before);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        _send(p, signature);
    }

    // ---------------------------------------------------------------------------------------------------- replay

    function test_a_message_counts_on_one_chain_only() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        vm.chainId(999);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        _send(publication, signature);
    }

    function test_a_message_counts_on_one_contract_only() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        (IStorageStaking first,) = (staking, digests);
        setUp();
        vm.assertTrue(address(first) != address(staking));
        _volume();
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        _send(publication, signature);
        (bytes32 r, bytes32 vs) = _compact(signature);
        first.publish(r, vs, publication);
    }

    function test_a_message_counts_for_one_volume_only() public {
        VolumeId volume = _volume();
        VolumeId other = _open(_key(1), _terms());
        _boot(other);
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        publication.volume = other;
        publication.previousRoot = 0;
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        _send(publication, signature);
    }

    function test_a_publication_that_a_reorganisation_dropped_counts_again() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        try this.publishAndUndo(publication, signature) {} catch {}
        vm.assertEq(staking.headOf(volume).epoch, 10);
        _send(publication, signature);
        vm.assertEq(staking.headOf(volume).epoch, 11);
    }

    function publishAndUndo(Publication calldata publication, bytes calldata signature) external {
        _send(publication, signature);
        revert("reorganised");
    }

    function testFuzz_whoever_relays_a_message_the_outcome_is_the_same(address whoever) public {
        vm.assume(whoever != address(0));
        VolumeId volume = _volume();
        _challenge(volume, Track.Storage);
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        vm.prank(whoever);
        _send(publication, signature);
        Checked memory checked = _checked(volume);
        signature = _sign(SIGNER_KEY, digests.digestOfAnswer(checked));
        vm.prank(whoever);
        staking.answer(checked, signature);
        _assertCredits(0, BOND);
    }

    // ------------------------------------------------------------------------------------------------ the signer

    function _rotate(VolumeId volume, uint64 boot, uint64 rotation, address to, uint256 from, uint256 toKey) public {
        bytes32 digest = digests.digestOfRotation(volume, boot, rotation, to);
        staking.rotateSigner(volume, to, _sign(from, digest), _sign(toKey, digest));
    }

    function _replace(VolumeId volume, address to, uint256 first, uint256 second, uint256 toKey) public {
        bytes32 digest = digests.digestOfReplacement(volume, staking.recordOf(volume).rotations + 1, to);
        staking.replaceSigner(volume, to, _sign(first, digest), _sign(second, digest), _sign(toKey, digest));
    }

    function test_the_old_signer_hands_over_to_a_new_one() public {
        VolumeId volume = _volume();
        vm.expectEmit();
        emit IStorageStaking.SignerRotated(volume, signer, newSigner);
        _rotate(volume, 1, 1, newSigner, SIGNER_KEY, NEW_SIGNER_KEY);
        vm.assertEq(staking.headOf(volume).signer, newSigner);
        vm.assertEq(staking.recordOf(volume).rotations, 1);
        Publication memory publication = _next(volume, 11);
        bytes memory old = _signed(publication);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        _send(publication, old);
        bytes memory fresh = _sign(NEW_SIGNER_KEY, digests.digestOfPublication(publication));
        _send(publication, fresh);
    }

    function test_a_rotation_is_not_played_again() public {
        VolumeId volume = _volume();
        _rotate(volume, 1, 1, newSigner, SIGNER_KEY, NEW_SIGNER_KEY);
        _replace(volume, signer, PUBLISHER_KEY, PROVIDER_KEY, SIGNER_KEY);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._rotate(volume, 1, 1, newSigner, SIGNER_KEY, NEW_SIGNER_KEY);
    }

    function test_a_fenced_clone_does_not_rotate_the_signer() public {
        VolumeId volume = _volume();
        _boot(volume);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._rotate(volume, 1, 1, newSigner, SIGNER_KEY, NEW_SIGNER_KEY);
        VolumeId fresh = _open(_key(1), _terms());
        vm.expectPartialRevert(IStorageStaking.WrongBoot.selector);
        this._rotate(fresh, 0, 1, newSigner, SIGNER_KEY, NEW_SIGNER_KEY);
    }

    function test_the_new_signer_has_to_agree_and_to_be_apart() public {
        VolumeId volume = _volume();
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._rotate(volume, 1, 1, newSigner, SIGNER_KEY, THIEF_KEY);
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        this._rotate(volume, 1, 1, publisher, SIGNER_KEY, PUBLISHER_KEY);
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        this._replace(volume, provider, PUBLISHER_KEY, PROVIDER_KEY, PROVIDER_KEY);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._replace(volume, newSigner, PUBLISHER_KEY, PROVIDER_KEY, THIEF_KEY);
    }

    function test_neither_side_steals_the_stake_by_replacing_the_signer_alone() public {
        VolumeId volume = _volume();
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._rotate(volume, 1, 1, newSigner, PUBLISHER_KEY, NEW_SIGNER_KEY);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._replace(volume, newSigner, PUBLISHER_KEY, PUBLISHER_KEY, NEW_SIGNER_KEY);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this._replace(volume, newSigner, PROVIDER_KEY, PROVIDER_KEY, NEW_SIGNER_KEY);
        vm.expectEmit();
        emit IStorageStaking.SignerReplaced(volume, signer, newSigner);
        _replace(volume, newSigner, PUBLISHER_KEY, PROVIDER_KEY, NEW_SIGNER_KEY);
        vm.assertEq(staking.headOf(volume).signer, newSigner);
    }

    // ---------------------------------------------------------------------------------------------- equivocation

    function _alone(Publication memory publication) private view returns (Evidence memory evidence) {
        evidence.publication = publication;
        evidence.signature = _signed(publication);
    }

    /// @dev Two publications of one volume, boot and epoch, with different roots.
    function _twins(VolumeId volume) private view returns (Publication memory one, Publication memory two) {
        one = _next(volume, 11);
        two = _next(volume, 11);
        two.root = _root(12);
    }

    function _freezing() private view returns (Terms memory terms) {
        terms = _terms();
        terms.equivocation = Penalty.Freeze;
        terms.arbiter = arbiter;
    }

    function _report(Publication memory one, Publication memory two) private {
        staking.reportEquivocation(_alone(one), _alone(two));
    }

    function _expectNoEquivocation(Evidence memory one, Evidence memory two) private {
        vm.expectPartialRevert(IStorageStaking.NoEquivocation.selector);
        staking.reportEquivocation(one, two);
    }

    function test_a_clone_that_goes_on_publishing_costs_the_stake() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        _publish(one);
        vm.expectEmit();
        emit IStorageStaking.Equivocated(volume, signer, 1, 11, one.root, two.root);
        _report(one, two);
        _assertStatus(volume, Status.Slashed);
        _assertCredits(STAKE, 0);
    }

    function test_honest_instances_before_and_after_a_crash_do_not_equivocate() public {
        VolumeId volume = _volume();
        // Signed, never arrived; the next boot begins from the version on chain.
        (Publication memory one, Publication memory two) = _twins(volume);
        _boot(volume);
        two.boot = 2;
        _expectNoEquivocation(_alone(one), _alone(two));
    }

    function test_what_does_not_contradict_is_no_equivocation() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        _expectNoEquivocation(_alone(one), _alone(one));
        two.epoch = 12;
        _expectNoEquivocation(_alone(one), _alone(two));
        (, two) = _twins(volume);
        two.volume = VolumeId.wrap(keccak256("other"));
        _expectNoEquivocation(_alone(one), _alone(two));
    }

    function test_what_the_signer_has_not_signed_is_no_evidence() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        Evidence memory forged = _alone(two);
        forged.signature = _sign(PUBLISHER_KEY, digests.digestOfPublication(two));
        _expectNoEquivocation(_alone(one), forged);
        Evidence memory first = _alone(one);
        first.signature = _sign(PUBLISHER_KEY, digests.digestOfPublication(one));
        _expectNoEquivocation(first, forged);
        (first.signature, forged.signature) = (new bytes(65), new bytes(65));
        _expectNoEquivocation(first, forged);
    }

    function test_a_batch_or_an_aggregate_hides_no_equivocation() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        Publication[] memory batch = new Publication[](2);
        (batch[0], batch[1]) = (_next(volume, 20), one);
        Evidence memory inBatch;
        inBatch.publication = one;
        inBatch.path = new bytes32[](2);
        (inBatch.path[0], inBatch.path[1]) = (digests.leafOf(batch[0]), digests.leafOf(one));
        inBatch.signature = _sign(SIGNER_KEY, digests.digestOfBatch(batch));

        bytes32[] memory leaves = new bytes32[](2);
        (leaves[0], leaves[1]) = (digests.leafOf(batch[0]), digests.leafOf(two));
        Evidence memory inAggregate;
        inAggregate.publication = two;
        inAggregate.path = Tree.proof(leaves, 1);
        inAggregate.aggregate = Publication(staking.planeId(signer), 1, 1, Tree.root(leaves), 0);
        inAggregate.signature = _signed(inAggregate.aggregate);

        // Neither of them proves what it does not hold.
        Evidence memory wrong = inBatch;
        wrong.publication = two;
        _expectNoEquivocation(wrong, _alone(one));
        wrong.publication = one;
        inAggregate.publication = one;
        _expectNoEquivocation(inAggregate, _alone(two));
        inAggregate.publication = two;

        staking.reportEquivocation(inBatch, inAggregate);
        _assertStatus(volume, Status.Slashed);
    }

    function test_a_volumes_own_publication_is_no_aggregate() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        Evidence memory evidence;
        evidence.publication = two;
        evidence.aggregate = _next(volume, 30);
        evidence.aggregate.root = digests.leafOf(two);
        evidence.signature = _signed(evidence.aggregate);
        _expectNoEquivocation(evidence, _alone(one));
    }

    function test_a_planned_rotation_hides_no_equivocation() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        Evidence memory first = _alone(one);
        Evidence memory second = _alone(two);
        _rotate(volume, 1, 1, newSigner, SIGNER_KEY, NEW_SIGNER_KEY);
        staking.reportEquivocation(first, second);
        _assertStatus(volume, Status.Slashed);
    }

    function test_a_stolen_key_that_both_have_replaced_slashes_nobody() public {
        VolumeId volume = _volume();
        (Publication memory one, Publication memory two) = _twins(volume);
        Evidence memory first = _alone(one);
        Evidence memory second = _alone(two);
        _replace(volume, newSigner, PUBLISHER_KEY, PROVIDER_KEY, NEW_SIGNER_KEY);
        _expectNoEquivocation(first, second);
    }

    function _frozen() private returns (VolumeId volume) {
        volume = _volumeWith(_freezing());
        (Publication memory one, Publication memory two) = _twins(volume);
        _report(one, two);
        _assertStatus(volume, Status.Frozen);
    }

    function test_a_freeze_stops_publishing_until_both_name_a_new_signer() public {
        VolumeId volume = _frozen();
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        _send(publication, signature);
        vm.prank(publisher);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.challenge(volume, Track.Storage);
        _replace(volume, newSigner, PUBLISHER_KEY, PROVIDER_KEY, NEW_SIGNER_KEY);
        _assertStatus(volume, Status.Active);
        vm.assertEq(staking.recordOf(volume).frozenUntil, 0);
        signature = _sign(NEW_SIGNER_KEY, digests.digestOfPublication(publication));
        _send(publication, signature);
    }

    function test_a_freeze_that_is_not_settled_splits_the_stake_by_the_refund_share() public {
        VolumeId volume = _frozen();
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.exit(volume);
        _pass(3 days);
        vm.expectPartialRevert(IStorageStaking.TooEarly.selector);
        staking.claimFrozen(volume);
        _pass(1);
        staking.claimFrozen(volume);
        _assertCredits(200 ether, 800 ether);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.claimFrozen(volume);
    }

    function test_the_arbiter_rules_on_a_freeze() public {
        VolumeId volume = _frozen();
        vm.prank(arbiter);
        staking.rule(volume, 0);
        _assertStatus(volume, Status.Closed);
        _assertCredits(0, STAKE);
    }

    function test_a_freeze_drops_what_is_open_but_not_what_is_overdue() public {
        VolumeId volume = _volumeWith(_freezing());
        _challenge(volume, Track.Storage);
        _pass(3 days + 1);
        _challenge(volume, Track.Retrieval);
        (Publication memory one, Publication memory two) = _twins(volume);
        _report(one, two);
        _assertCredits(BOND, 0);
        staking.claim(volume, Track.Storage);
        _assertStatus(volume, Status.Slashed);
        _assertCredits(STAKE + 2 * BOND, 0);
    }

    // ---------------------------------------------------------------------------------------------------- tokens

    function _termsIn(address hostile) private view returns (Terms memory terms) {
        terms = _terms();
        terms.token = hostile;
    }

    function _give(StdToken hostile) private {
        hostile.mint(provider, 1_000_000 ether);
        hostile.mint(publisher, 1_000_000 ether);
        vm.prank(provider);
        hostile.approve(address(staking), type(uint256).max);
        vm.prank(publisher);
        hostile.approve(address(staking), type(uint256).max);
    }

    function test_a_token_that_keeps_a_fee_is_refused() public {
        FeeToken hostile = new FeeToken();
        _give(hostile);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.WrongAmountReceived.selector);
        staking.offer(_key(0), _termsIn(address(hostile)), signer, uint64(block.timestamp));
    }

    function test_a_token_that_moves_nothing_is_refused() public {
        SilentToken hostile = new SilentToken();
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.WrongAmountReceived.selector);
        staking.offer(_key(0), _termsIn(address(hostile)), signer, uint64(block.timestamp));
    }

    function test_a_token_that_calls_back_takes_nothing_twice() public {
        ReentrantToken hostile = new ReentrantToken(staking);
        _give(hostile);
        VolumeId volume = _open(_key(0), _termsIn(address(hostile)));
        vm.assertEq(hostile.refused(), 2, "withdraw and challenge, while the stake is taken in");
        vm.prank(publisher);
        staking.release(volume);
        vm.prank(provider);
        staking.withdraw(address(hostile), provider);
        vm.assertEq(hostile.refused(), 4, "and again while it is paid out");
        vm.assertEq(hostile.balanceOf(provider), 1_000_000 ether);
        vm.assertEq(hostile.balanceOf(address(staking)), 0);
        vm.assertEq(staking.owed(address(hostile)), 0);
    }

    function test_a_token_that_refuses_a_payment_holds_up_nobody_else() public {
        FeeToken hostile = new FeeToken();
        hostile.setFee(0);
        _give(hostile);
        VolumeId volume = _open(_key(0), _termsIn(address(hostile)));
        VolumeId other = _open(_key(1), _terms());
        hostile.setBroken(true);
        vm.prank(publisher);
        staking.release(volume);
        vm.prank(publisher);
        staking.release(other);
        vm.prank(provider);
        vm.expectRevert();
        staking.withdraw(address(hostile), provider);
        vm.prank(provider);
        staking.withdraw(address(token), relay);
        vm.assertEq(token.balanceOf(relay), STAKE);
        // What was refused is still owed.
        vm.assertEq(staking.creditOf(address(hostile), provider), STAKE);
    }

    function test_one_volumes_money_does_not_pay_for_another() public {
        VolumeId volume = _volume();
        VolumeId other = _open(_key(1), _terms());
        vm.prank(publisher);
        staking.release(volume);
        vm.prank(provider);
        staking.withdraw(address(token), provider);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.NothingToWithdraw.selector);
        staking.withdraw(address(token), provider);
        vm.assertEq(token.balanceOf(address(staking)), STAKE);
        vm.assertEq(staking.recordOf(other).stake, STAKE);
    }

    function test_a_deposit_is_drawn_by_the_provider_it_is_for() public {
        vm.prank(publisher);
        funding.deposit(provider, POD, 100);
        vm.assertEq(funding.available(publisher, provider, POD), 100);
        vm.prank(thief);
        vm.expectPartialRevert(DepositFunding.BeyondDeposit.selector);
        funding.draw(publisher, POD, 1);
        vm.prank(provider);
        funding.draw(publisher, POD, 60);
        vm.assertEq(funding.available(publisher, provider, POD), 40);
        vm.prank(provider);
        vm.expectPartialRevert(DepositFunding.BeyondDeposit.selector);
        funding.draw(publisher, POD, 41);
    }
}
