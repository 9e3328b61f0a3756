// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Publication, Track, VolumeId} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";
import {Tree} from "./support/Tree.sol";

/// @title What each transaction costs as a whole, 21,000 and calldata included.
/// @notice Run with `--isolate`, which makes each call a transaction of its own. The figures are committed in
/// `snapshots/Gas.json`; those with a limit are held to it here.
contract GasTest is Fixture {
    function _measured(string memory name, uint256 limit) private {
        uint256 gas = vm.snapshotGasLastCall("Gas", name);
        if (limit != 0) vm.assertLe(gas, limit, name);
    }

    function test_gas_of_publishing_and_booting() public {
        VolumeId volume = _volume();
        Publication memory publication = _next(volume, 11);
        (bytes32 r, bytes32 vs) = _compact(_signed(publication));
        staking.publish(r, vs, publication);
        _measured("publish", 41_000);

        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBoot(volume, 2, _nonce(2)));
        staking.boot(volume, 2, _nonce(2), signature);
        _measured("boot", 40_000);
    }

    function test_gas_of_a_batch_of_a_hundred() public {
        Publication[] memory batch = new Publication[](100);
        for (uint32 i = 0; i < 100; i++) {
            VolumeId volume = _open(_key(i), _terms());
            _boot(volume);
            _publish(volume, 10);
            batch[i] = _next(volume, 11);
        }
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfBatch(batch));
        staking.publishBatch(batch, signature);
        _measured("publish a batch of 100", 100 * 15_000);
    }

    function test_gas_of_an_aggregate_and_a_checkpoint() public {
        VolumeId volume = _volume();
        VolumeId plane = staking.planeId(signer);
        staking.openPlane(signer);
        _boot(plane);
        _publish(plane, 1);

        bytes32[] memory leaves = new bytes32[](1024);
        Publication memory publication = _next(volume, 11);
        for (uint256 i = 0; i < leaves.length; i++) {
            leaves[i] = keccak256(abi.encode(i));
        }
        leaves[7] = digests.leafOf(publication);
        Publication memory aggregate = _next(plane, 2);
        aggregate.root = Tree.root(leaves);
        (bytes32 r, bytes32 vs) = _compact(_signed(aggregate));
        staking.publish(r, vs, aggregate);
        _measured("publish an aggregate of any number", 42_000);

        bytes32[] memory proof = Tree.proof(leaves, 7);
        staking.checkpoint(publication, proof);
        _measured("checkpoint one of 1024", 0);
    }

    function test_gas_of_what_is_rare() public {
        vm.prank(provider);
        staking.offer(_key(1), _terms(), signer, uint64(block.timestamp));
        _measured("offer", 0);
        VolumeId volume = _volume();
        vm.prank(publisher);
        staking.challenge(volume, Track.Storage);
        _measured("challenge", 0);
        bytes memory signature = _sign(SIGNER_KEY, digests.digestOfAnswer(_checked(volume)));
        staking.answer(_checked(volume), signature);
        _measured("answer", 0);
        signature = _sign(SIGNER_KEY, digests.digestOfFault(_fault(volume, 9)));
        staking.reportFault(_fault(volume, 9), signature);
        _measured("report a fault", 0);
        _pass(3 days + 1);
        staking.claim(volume, Track.Storage);
        _measured("claim", 0);
        vm.prank(publisher);
        staking.withdraw(address(token), publisher);
        _measured("withdraw", 0);
    }
}
