// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Volumes} from "../src/Volumes.sol";
import {StorageStaking} from "../src/StorageStaking.sol";
import {Challenge, Publication, Record, Status, Track, VolumeId} from "../src/types/Types.sol";

/// @title The contract with its inner steps laid open, and storage set to anything.
contract Opened is StorageStaking {
    function setHead(VolumeId volume, HotHead calldata head) external {
        _heads[volume] = head;
    }

    function advance(Publication calldata publication) external {
        HotHead storage head = _heads[publication.volume];
        _advance(head, head.slot, publication);
    }

    function setStake(VolumeId volume, uint128 stake, uint16 refundShareBps, uint32 staleEpochs) external {
        Record storage v = _records[volume];
        v.stake = stake;
        v.terms.refundShareBps = refundShareBps;
        v.terms.staleEpochs = staleEpochs;
        (v.key.publisher, v.key.provider) = (address(1), address(2));
    }

    function lost(VolumeId volume, Challenge calldata c) external returns (uint128) {
        _open[volume][Track.Storage] = c;
        return _lost(_records[volume], _open[volume][Track.Storage]);
    }

    function end(VolumeId volume, uint128 toPublisher) external {
        _end(volume, _records[volume], Status.Slashed, toPublisher);
    }
}

/// @title Checked for all values at once, by halmos, not for some by chance. `check_` functions are not run by forge.
contract SymbolicTest {
    Opened private _staking = new Opened();

    /// @notice Monotonicity: whatever stands there and whatever comes, an epoch that is taken is a greater one, the root
    /// it replaces is the one that stood there, and nothing but root, epoch and time changes.
    function check_a_head_only_moves_on(VolumeId volume, Volumes.HotHead calldata head, Publication calldata p) public {
        if (VolumeId.unwrap(p.volume) != VolumeId.unwrap(volume)) return;
        _staking.setHead(volume, head);
        try _staking.advance(p) {
            assert(head.root == 0 || p.epoch > head.slot.epoch());
            assert(p.previousRoot == head.root);
            assert(p.root != 0);
            assert(p.boot == head.slot.boot() && p.boot != 0);
            assert(_staking.headOf(volume).epoch == p.epoch);
            assert(_staking.headOf(volume).root == p.root);
            assert(_staking.headOf(volume).boot == head.slot.boot());
            assert(_staking.headOf(volume).signer == head.slot.signer());
        } catch {
            assert(_staking.headOf(volume).epoch == head.slot.epoch());
            assert(_staking.headOf(volume).root == head.root);
        }
    }

    /// @notice Solvency: the end of a volume gives out its stake, no more and no less.
    function check_an_end_gives_out_the_stake(VolumeId volume, uint128 stake, uint128 toPublisher) public {
        _staking.setStake(volume, stake, 0, 1);
        try _staking.end(volume, toPublisher) {
            uint256 one = _staking.creditOf(address(0), address(1));
            uint256 two = _staking.creditOf(address(0), address(2));
            assert(one == toPublisher);
            assert(one + two == stake);
            assert(_staking.recordOf(volume).stake == 0);
        } catch {
            assert(toPublisher > stake);
        }
    }

    /// @notice Solvency: a fault costs all of the stake where nothing survives, or too little. Products of two unknowns,
    /// which lie between, are more than solvers manage: the fuzz tests of the split vary them.
    function check_a_fault_that_leaves_nothing_costs_the_stake(
        VolumeId volume,
        uint128 stake,
        uint32 staleEpochs,
        Challenge calldata c
    ) public {
        bool nothing = c.survivingRoot == 0;
        bool tooLittle = c.survivingEpoch <= c.epoch && c.epoch - c.survivingEpoch >= staleEpochs;
        if (!nothing && !tooLittle) return;
        _staking.setStake(volume, stake, 2000, staleEpochs);
        assert(_staking.lost(volume, c) == stake);
    }
}
