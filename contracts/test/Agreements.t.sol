// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IStorageStaking} from "../src/interfaces/IStorageStaking.sol";
import {Agreement, Status, Terms, TermsRule, VolumeId, VolumeKey} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";
import {Wallet} from "./support/Wallet.sol";

/// @title How a volume comes to be.
contract AgreementsTest is Fixture {
    function _accept(Agreement memory agreement, address by, uint256 publisherKey, uint256 signerKey) private {
        VolumeKey memory key = VolumeKey(agreement.publisher, agreement.provider, agreement.podId, agreement.index);
        bytes memory consent = _sign(publisherKey, digests.digestOfAgreement(agreement));
        bytes memory proof = _sign(signerKey, digests.digestOfSignerProof(agreement));
        VolumeId volume = staking.volumeId(key);
        vm.prank(by);
        staking.accept(volume, agreement.signer, consent, proof);
    }

    function _offer(address by, Terms memory terms, address tee) private returns (Agreement memory agreement) {
        agreement = _agreement(_key(0), terms, tee);
        vm.prank(by);
        staking.offer(_key(0), terms, tee, agreement.expires);
    }

    function test_a_providers_offer_is_accepted_by_the_publishers_signature() public {
        VolumeId volume = staking.volumeId(_key(0));
        Agreement memory agreement = _offer(provider, _terms(), signer);
        _assertStatus(volume, Status.Offered);
        vm.assertEq(token.balanceOf(address(staking)), STAKE);

        vm.expectEmit();
        emit IStorageStaking.Opened(volume, publisher, provider, POD, 0, signer);
        _accept(agreement, relay, PUBLISHER_KEY, SIGNER_KEY);

        _assertStatus(volume, Status.Active);
        vm.assertEq(staking.headOf(volume).signer, signer);
        vm.assertEq(staking.headOf(volume).publishedAt, block.timestamp);
        vm.assertEq(staking.recordOf(volume).stake, STAKE);
        vm.assertEq(staking.recordOf(volume).terms.staleEpochs, 100);
        vm.assertEq(staking.recordOf(volume).key.podId, POD);
        vm.assertEq(staking.owed(address(token)), STAKE);
    }

    function test_a_publishers_offer_is_accepted_by_the_provider_who_names_the_signer() public {
        Agreement memory agreement = _offer(publisher, _terms(), address(0));
        vm.assertEq(token.balanceOf(address(staking)), 0);
        agreement.signer = signer;
        _accept(agreement, provider, PUBLISHER_KEY, SIGNER_KEY);
        _assertStatus(staking.volumeId(_key(0)), Status.Active);
        vm.assertEq(token.balanceOf(address(staking)), STAKE);
    }

    function test_a_publishers_offer_may_name_the_signer() public {
        Agreement memory agreement = _offer(publisher, _terms(), signer);
        agreement.signer = newSigner;
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        this.acceptForTest(agreement, provider, PUBLISHER_KEY, NEW_SIGNER_KEY);
        agreement.signer = signer;
        _accept(agreement, provider, PUBLISHER_KEY, SIGNER_KEY);
    }

    function acceptForTest(Agreement memory agreement, address by, uint256 publisherKey, uint256 signerKey) external {
        _accept(agreement, by, publisherKey, signerKey);
    }

    function test_nobody_but_the_provider_accepts_a_publishers_offer() public {
        Agreement memory agreement = _offer(publisher, _terms(), signer);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        this.acceptForTest(agreement, relay, PUBLISHER_KEY, SIGNER_KEY);
    }

    function test_a_signer_the_publisher_has_not_vouched_for_is_refused() public {
        // A key outside a TEE, held by the provider: it would call anything whole.
        Agreement memory agreement = _offer(provider, _terms(), thief);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this.acceptForTest(agreement, provider, PROVIDER_KEY, THIEF_KEY);
        // The publisher's signature over another signer does not do either.
        bytes memory consent = _sign(PUBLISHER_KEY, digests.digestOfAgreement(_agreement(_key(0), _terms(), signer)));
        bytes memory proof = _sign(THIEF_KEY, digests.digestOfSignerProof(agreement));
        VolumeId volume = staking.volumeId(_key(0));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.accept(volume, thief, consent, proof);
    }

    function test_a_signer_the_provider_has_not_named_is_refused() public {
        // A key of the publisher's: it would report faults and take the stake.
        Agreement memory agreement = _offer(provider, _terms(), signer);
        agreement.signer = thief;
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        this.acceptForTest(agreement, publisher, PUBLISHER_KEY, THIEF_KEY);
    }

    function test_a_party_or_the_arbiter_is_no_signer() public {
        Terms memory terms = _terms();
        terms.arbiter = arbiter;
        address[4] memory bad = [address(0), publisher, provider, arbiter];
        uint64 expires = uint64(block.timestamp + 1);
        for (uint256 i = 0; i < bad.length; i++) {
            vm.prank(provider);
            vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
            staking.offer(_key(0), terms, bad[i], expires);
        }
        Agreement memory agreement = _offer(publisher, terms, address(0));
        agreement.signer = publisher;
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        this.acceptForTest(agreement, provider, PUBLISHER_KEY, PUBLISHER_KEY);
    }

    function test_a_signer_that_has_not_signed_for_this_volume_is_refused() public {
        Agreement memory agreement = _offer(provider, _terms(), signer);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this.acceptForTest(agreement, relay, PUBLISHER_KEY, THIEF_KEY);
    }

    function test_terms_altered_after_the_publishers_signature_are_refused() public {
        Agreement memory signed = _agreement(_key(0), _terms(), signer);
        Terms memory altered = _terms();
        altered.stake = 1;
        _offer(provider, altered, signer);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this.acceptForTest(signed, relay, PUBLISHER_KEY, SIGNER_KEY);
    }

    function test_an_agreement_counts_on_one_chain_and_contract_only() public {
        Agreement memory agreement = _offer(provider, _terms(), signer);
        bytes memory consent = _sign(PUBLISHER_KEY, digests.digestOfAgreement(agreement));
        bytes memory proof = _sign(SIGNER_KEY, digests.digestOfSignerProof(agreement));
        VolumeId volume = staking.volumeId(_key(0));
        vm.chainId(999);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.accept(volume, signer, consent, proof);
    }

    function test_an_offer_is_good_up_to_and_at_its_expiry() public {
        Agreement memory agreement = _offer(provider, _terms(), signer);
        vm.warp(uint256(agreement.expires) + 1);
        vm.expectPartialRevert(IStorageStaking.Expired.selector);
        this.acceptForTest(agreement, relay, PUBLISHER_KEY, SIGNER_KEY);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.Expired.selector);
        staking.offer(_key(1), _terms(), signer, agreement.expires);
        vm.warp(agreement.expires);
        _accept(agreement, relay, PUBLISHER_KEY, SIGNER_KEY);
    }

    function test_an_offer_can_be_taken_back_by_who_made_it() public {
        VolumeId volume = staking.volumeId(_key(0));
        _offer(provider, _terms(), signer);
        vm.prank(publisher);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        staking.withdrawOffer(volume);
        vm.prank(provider);
        staking.withdrawOffer(volume);
        _assertStatus(volume, Status.None);
        _assertCredits(0, STAKE);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.withdrawOffer(volume);
    }

    function test_an_offer_that_is_replaced_gives_its_stake_back() public {
        _offer(provider, _terms(), signer);
        Terms memory better = _terms();
        better.stake = 2 * STAKE;
        Agreement memory agreement = _offer(publisher, better, signer);
        _assertCredits(0, STAKE);
        _accept(agreement, provider, PUBLISHER_KEY, SIGNER_KEY);
        vm.assertEq(staking.owed(address(token)), 3 * uint256(STAKE));
        vm.assertEq(staking.recordOf(staking.volumeId(_key(0))).stake, 2 * STAKE);
    }

    function test_strangers_offer_nothing() public {
        vm.prank(thief);
        vm.expectPartialRevert(IStorageStaking.NotAllowed.selector);
        staking.offer(_key(0), _terms(), signer, uint64(block.timestamp));
    }

    function test_the_two_sides_are_two_accounts() public {
        VolumeKey[3] memory bad = [
            VolumeKey(publisher, publisher, POD, 0),
            VolumeKey(address(0), provider, POD, 0),
            VolumeKey(publisher, address(0), POD, 0)
        ];
        for (uint256 i = 0; i < bad.length; i++) {
            vm.prank(publisher);
            vm.expectPartialRevert(IStorageStaking.BadParties.selector);
            staking.offer(bad[i], _terms(), signer, uint64(block.timestamp));
        }
    }

    function _refused(Terms memory terms, TermsRule rule) private {
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStorageStaking.BadTerms.selector, rule));
        staking.offer(_key(0), terms, signer, uint64(block.timestamp));
    }

    function test_terms_that_cannot_be_kept_are_refused() public {
        Terms memory t = _terms();
        t.token = address(1);
        _refused(t, TermsRule.Token);
        t = _terms();
        t.stake = 0;
        _refused(t, TermsRule.Stake);
        t = _terms();
        t.bond = 0;
        _refused(t, TermsRule.Bond);
        t = _terms();
        t.challengeWindow = 0;
        _refused(t, TermsRule.ChallengeWindow);
        t = _terms();
        t.staleEpochs = 0;
        _refused(t, TermsRule.StaleEpochs);
        t = _terms();
        t.refundShareBps = 10_001;
        _refused(t, TermsRule.RefundShare);
        t = _terms();
        t.arbiter = publisher;
        _refused(t, TermsRule.Arbiter);
        t.arbiter = provider;
        _refused(t, TermsRule.Arbiter);
        t = _terms();
        t.funding = address(1);
        _refused(t, TermsRule.Funding);
        t = _terms();
        t.minFunding = 0;
        _refused(t, TermsRule.Funding);
    }

    function test_times_that_leave_no_room_for_a_challenge_are_refused() public {
        Terms memory t = _terms();
        t.funding = address(0);
        t.notice = 0;
        _refused(t, TermsRule.WayOut);
        t = _terms();
        t.notice = type(uint32).max;
        _refused(t, TermsRule.Times);
        t = _terms();
        t.challengeWindow = type(uint32).max;
        t.cooldown = type(uint32).max;
        _refused(t, TermsRule.Times);
        t = _terms();
        t.grace = 4 days - 1;
        _refused(t, TermsRule.Grace);
        t = _terms();
        t.notice = 4 days - 1;
        _refused(t, TermsRule.Notice);
    }

    function test_a_volume_that_has_ended_is_never_opened_again() public {
        VolumeId volume = _volume();
        vm.prank(publisher);
        staking.release(volume);
        vm.prank(provider);
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.offer(_key(0), _terms(), signer, uint64(block.timestamp));
        vm.expectPartialRevert(IStorageStaking.WrongStatus.selector);
        staking.accept(volume, signer, "", "");
    }

    function test_a_publisher_may_be_a_contract() public {
        Wallet wallet = new Wallet(publisher);
        VolumeKey memory key = VolumeKey(address(wallet), provider, POD, 0);
        Agreement memory agreement = _agreement(key, _terms(), signer);
        vm.prank(provider);
        staking.offer(key, _terms(), signer, agreement.expires);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        this.acceptForTest(agreement, relay, THIEF_KEY, SIGNER_KEY);
        _accept(agreement, relay, PUBLISHER_KEY, SIGNER_KEY);
        _assertStatus(staking.volumeId(key), Status.Active);
    }
}
