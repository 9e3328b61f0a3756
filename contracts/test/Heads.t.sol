// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IStorageStaking} from "../src/interfaces/IStorageStaking.sol";
import {Publication, Status, VolumeId} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";
import {Tree} from "./support/Tree.sol";

/// @title Publishing and booting: what moves a head, and what does not.
contract HeadsTest is Fixture {
    function _expectPublishRefused(Publication memory publication, bytes4 selector) private {
        bytes memory signature = _signed(publication);
        vm.expectPartialRevert(selector);
        _send(publication, signature);
    }

    function test_a_publication_moves_root_and_epoch_on() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        bytes memory signature = _signed(publication);
        _pass(60);
        vm.expectEmit();
        emit IStorageStaking.Published(volume, 11, _root(11));
        vm.prank(relay);
        _send(publication, signature);
        vm.assertEq(staking.headOf(volume).root, _root(11));
        vm.assertEq(staking.headOf(volume).epoch, 11);
        vm.assertEq(staking.headOf(volume).publishedAt, block.timestamp);
    }

    function test_an_epoch_that_does_not_grow_is_refused() public {
        VolumeId volume = _volume();
        _expectPublishRefused(_next(volume, 10), IStorageStaking.StaleEpoch.selector);
        _expectPublishRefused(_next(volume, 9), IStorageStaking.StaleEpoch.selector);
    }

    function test_two_instances_from_one_state_cannot_both_publish() public {
        VolumeId volume = _volume();
        Publication memory first = _next(volume, 11);
        Publication memory second = _next(volume, 12);
        _publish(first);
        _expectPublishRefused(second, IStorageStaking.WrongPreviousRoot.selector);
    }

    function test_a_root_of_zero_is_refused() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        publication.root = 0;
        _expectPublishRefused(publication, IStorageStaking.ZeroRoot.selector);
    }

    function test_an_instance_that_has_not_booted_publishes_nothing() public {
        VolumeId volume = _open(_key(0), _terms());
        _expectPublishRefused(_next(volume, 1), IStorageStaking.WrongBoot.selector);
    }

    function test_a_boot_fences_the_instance_before_it() public {
        VolumeId volume = _volume();
        Publication memory old = _next(volume, 11);
        _boot(volume);
        _expectPublishRefused(old, IStorageStaking.WrongBoot.selector);
        _publish(volume, 11);
    }

    function test_a_boot_tells_root_and_epoch_and_the_nonce_of_who_booted() public {
        VolumeId volume = _volume();
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBoot(volume, 2, _nonce(2)));
        vm.expectEmit();
        emit IStorageStaking.Booted(volume, 2, _nonce(2), _root(10), 10);
        staking.boot(volume, 2, _nonce(2), signature);
        vm.assertEq(staking.headOf(volume).boot, 2);
        // Only one of two that start at once gets the boot.
        bytes memory other = _sign(SIGNER_KEY, digests.digestOfBoot(volume, 2, _nonce(3)));
        vm.expectPartialRevert(IStorageStaking.WrongBoot.selector);
        staking.boot(volume, 2, _nonce(3), other);
    }

    function test_boots_are_taken_one_after_the_other() public {
        VolumeId volume = _volume();
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBoot(volume, 3, _nonce(3)));
        vm.expectPartialRevert(IStorageStaking.WrongBoot.selector);
        staking.boot(volume, 3, _nonce(3), signature);
        bytes memory thiefs = _sign(THIEF_KEY, digests.digestOfBoot(volume, 2, _nonce(2)));
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.boot(volume, 2, _nonce(2), thiefs);
    }

    function test_epochs_jump_no_further_than_time_allows() public {
        VolumeId volume = _volume();
        uint64 allowed = 10 + staking.MAX_JUMP();
        _expectPublishRefused(_next(volume, allowed + 1), IStorageStaking.JumpTooFar.selector);
        _pass(100);
        allowed += 100 * staking.JUMP_PER_SECOND();
        _expectPublishRefused(_next(volume, allowed + 1), IStorageStaking.JumpTooFar.selector);
        _publish(volume, allowed);
    }

    function test_the_first_publication_may_be_of_an_old_volume_but_not_use_up_the_epochs() public {
        VolumeId volume = _open(_key(0), _terms());
        _boot(volume);
        uint64 most = staking.MAX_FIRST_EPOCH();
        _expectPublishRefused(_next(volume, most + 1), IStorageStaking.JumpTooFar.selector);
        _publish(volume, most);
    }

    function test_epochs_beyond_what_is_stored_are_refused_not_cut() public {
        VolumeId volume = _volume();
        _pass(30 * 365 days);
        _publish(volume, 9e11);
        _pass(30 * 365 days);
        _expectPublishRefused(_next(volume, uint64(type(uint40).max) + 1), IStorageStaking.JumpTooFar.selector);
        _publish(volume, type(uint40).max);
    }

    function test_time_beyond_32_bits_still_allows_the_same_jumps() public {
        VolumeId volume = _volume();
        vm.warp(uint256(type(uint32).max) - 5);
        _publish(volume, 20);
        _pass(10);
        uint64 allowed = 20 + staking.MAX_JUMP() + 10 * staking.JUMP_PER_SECOND();
        _expectPublishRefused(_next(volume, allowed + 1), IStorageStaking.JumpTooFar.selector);
        _publish(volume, allowed);
    }

    function test_an_unknown_volume_takes_nothing() public {
        VolumeId unknown = VolumeId.wrap(keccak256("nothing"));
        _expectPublishRefused(Publication(unknown, 1, 1, _root(1), 0), IStorageStaking.WrongSignature.selector);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.boot(unknown, 1, _nonce(1), new bytes(65));
    }

    function test_an_ended_volume_keeps_its_root_and_takes_nothing_more() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        vm.prank(publisher);
        staking.release(volume);
        _expectPublishRefused(publication, IStorageStaking.WrongSignature.selector);
        vm.assertEq(staking.headOf(volume).root, _root(10));
        _assertStatus(volume, Status.Closed);
    }

    function testFuzz_epochs_never_fall(uint64[8] calldata epochs) public {
        VolumeId volume = _volume();
        for (uint256 i = 0; i < epochs.length; i++) {
            uint64 latest = staking.headOf(volume).epoch;
            Publication memory publication = _next(volume, epochs[i] % 8192);
            (bytes32 r, bytes32 vs) = _compact(_signed(publication));
            try staking.publish(r, vs, publication) {
                vm.assertTrue(publication.epoch > latest);
                vm.assertEq(staking.headOf(volume).epoch, publication.epoch);
            } catch {
                vm.assertTrue(publication.epoch <= latest || publication.epoch > latest + staking.MAX_JUMP());
                vm.assertEq(staking.headOf(volume).epoch, latest);
            }
        }
    }

    // -------------------------------------------------------------------------------------------------- batches

    function _volumes(uint32 count) private returns (VolumeId[] memory volumes) {
        volumes = new VolumeId[](count);
        for (uint32 i = 0; i < count; i++) {
            volumes[i] = _open(_key(i), _terms());
            _boot(volumes[i]);
        }
    }

    function _batch(VolumeId[] memory volumes, uint64 epoch) private view returns (Publication[] memory batch) {
        batch = new Publication[](volumes.length);
        for (uint256 i = 0; i < volumes.length; i++) {
            batch[i] = _next(volumes[i], epoch);
        }
    }

    function test_a_batch_moves_many_heads_with_one_signature() public {
        VolumeId[] memory volumes = _volumes(3);
        Publication[] memory batch = _batch(volumes, 5);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBatch(batch));
        vm.prank(relay);
        staking.publishBatch(batch, signature);
        for (uint256 i = 0; i < volumes.length; i++) {
            vm.assertEq(staking.headOf(volumes[i]).epoch, 5);
        }
        vm.expectPartialRevert(IStorageStaking.StaleEpoch.selector);
        staking.publishBatch(batch, signature);
    }

    function test_a_batch_is_taken_as_a_whole_or_not_at_all() public {
        VolumeId[] memory volumes = _volumes(2);
        Publication[] memory batch = _batch(volumes, 5);
        batch[1].previousRoot = _root(4);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBatch(batch));
        vm.expectPartialRevert(IStorageStaking.WrongPreviousRoot.selector);
        staking.publishBatch(batch, signature);
        vm.assertEq(staking.headOf(volumes[0]).epoch, 0);
    }

    function test_a_batch_with_an_altered_part_is_refused() public {
        Publication[] memory batch = _batch(_volumes(2), 5);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBatch(batch));
        batch[1].root = _root(6);
        vm.expectPartialRevert(IStorageStaking.WrongSignature.selector);
        staking.publishBatch(batch, signature);
    }

    function test_an_empty_batch_is_refused() public {
        vm.expectPartialRevert(IStorageStaking.EmptyBatch.selector);
        staking.publishBatch(new Publication[](0), new bytes(65));
    }

    function test_a_batch_holds_no_volumes_of_another_signer() public {
        VolumeId[] memory volumes = _volumes(2);
        bytes32 digest = digests.digestOfRotation(volumes[1], 1, 1, newSigner);
        staking.rotateSigner(volumes[1], newSigner, _sign(SIGNER_KEY, digest), _sign(NEW_SIGNER_KEY, digest));
        Publication[] memory batch = _batch(volumes, 5);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBatch(batch));
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        staking.publishBatch(batch, signature);
    }

    // ----------------------------------------------------------------------------------------------- aggregates

    function _plane() private returns (VolumeId plane) {
        plane = staking.planeId(signer);
        staking.openPlane(signer);
        _boot(plane);
    }

    function _aggregate(VolumeId plane, Publication[] memory batch, uint64 sequence) private {
        Publication memory aggregate = _next(plane, sequence);
        aggregate.root = Tree.root(_leaves(batch));
        _publish(aggregate);
    }

    function _leaves(Publication[] memory batch) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](batch.length);
        for (uint256 i = 0; i < batch.length; i++) {
            leaves[i] = digests.leafOf(batch[i]);
        }
    }

    function test_an_aggregate_stands_for_all_volumes_of_a_plane() public {
        VolumeId[] memory volumes = _volumes(5);
        VolumeId plane = _plane();
        Publication[] memory batch = _batch(volumes, 7);
        _aggregate(plane, batch, 1);
        for (uint256 i = 0; i < batch.length; i++) {
            bytes32[] memory proof = Tree.proof(_leaves(batch), i);
            vm.prank(relay);
            staking.checkpoint(batch[i], proof);
            vm.assertEq(staking.headOf(volumes[i]).root, _root(7));
        }
        bytes32[] memory again = Tree.proof(_leaves(batch), 0);
        vm.expectPartialRevert(IStorageStaking.StaleEpoch.selector);
        staking.checkpoint(batch[0], again);
    }

    function test_what_is_not_in_the_aggregate_is_refused() public {
        VolumeId[] memory volumes = _volumes(4);
        Publication[] memory batch = _batch(volumes, 7);
        bytes32[] memory proof = Tree.proof(_leaves(batch), 0);
        // No aggregate yet.
        vm.expectPartialRevert(IStorageStaking.NotInAggregate.selector);
        staking.checkpoint(batch[0], proof);
        _aggregate(_plane(), batch, 1);
        batch[0].root = _root(8);
        vm.expectPartialRevert(IStorageStaking.NotInAggregate.selector);
        staking.checkpoint(batch[0], proof);
    }

    function test_an_aggregate_does_not_undo_a_fence() public {
        VolumeId[] memory volumes = _volumes(2);
        Publication[] memory batch = _batch(volumes, 7);
        _aggregate(_plane(), batch, 1);
        _boot(volumes[0]);
        bytes32[] memory proof = Tree.proof(_leaves(batch), 0);
        vm.expectPartialRevert(IStorageStaking.WrongBoot.selector);
        staking.checkpoint(batch[0], proof);
    }

    function test_an_aggregate_from_a_fork_is_refused() public {
        VolumeId[] memory volumes = _volumes(2);
        Publication[] memory batch = _batch(volumes, 7);
        _aggregate(_plane(), batch, 1);
        _publish(volumes[0], 3);
        bytes32[] memory proof = Tree.proof(_leaves(batch), 0);
        vm.expectPartialRevert(IStorageStaking.WrongPreviousRoot.selector);
        staking.checkpoint(batch[0], proof);
    }

    function test_aggregates_follow_one_another_and_are_fenced() public {
        VolumeId[] memory volumes = _volumes(2);
        VolumeId plane = _plane();
        _aggregate(plane, _batch(volumes, 7), 1);
        Publication memory second = _next(plane, 2);
        Publication memory rival = _next(plane, 3);
        _publish(second);
        _expectPublishRefused(rival, IStorageStaking.WrongPreviousRoot.selector);
        Publication memory third = _next(plane, 3);
        _boot(plane);
        _expectPublishRefused(third, IStorageStaking.WrongBoot.selector);
    }

    function test_a_plane_is_opened_once_and_by_its_signers_name() public {
        vm.expectEmit();
        emit IStorageStaking.PlaneOpened(staking.planeId(signer), signer);
        staking.openPlane(signer);
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        staking.openPlane(signer);
        vm.expectPartialRevert(IStorageStaking.BadSigner.selector);
        staking.openPlane(address(0));
        _assertStatus(staking.planeId(signer), Status.None);
    }

    function test_an_ended_volume_takes_no_checkpoint() public {
        VolumeId[] memory volumes = _volumes(2);
        Publication[] memory batch = _batch(volumes, 7);
        _aggregate(_plane(), batch, 1);
        vm.prank(publisher);
        staking.release(volumes[0]);
        bytes32[] memory proof = Tree.proof(_leaves(batch), 0);
        vm.expectPartialRevert(IStorageStaking.NotInAggregate.selector);
        staking.checkpoint(batch[0], proof);
    }
}
