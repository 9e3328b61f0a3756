// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Status, Track, VolumeId} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";
import {Handler} from "./support/Handler.sol";

/// @title What holds after any sequence of calls.
contract InvariantsTest is Fixture {
    Handler private _handler;

    function setUp() public override {
        super.setUp();
        _handler = new Handler(staking, digests, token, funding);
    }

    /// @dev forge calls the handler only, and only these functions of it.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(_handler);
        targets[0].selectors = new bytes4[](1);
        targets[0].selectors[0] = Handler.step.selector;
    }

    /// @dev One function, so that each sequence of calls is held against all of it.
    function invariant_books_heads_and_ends_hold() public view {
        _solvent();
        _moveOn();
        _final();
    }

    /// @dev The contract holds what it owes, and owes what stands in its books.
    function _solvent() private view {
        uint256 owed = staking.owed(address(token));
        vm.assertGe(token.balanceOf(address(staking)), owed, "balance covers what is owed");
        vm.assertEq(_handler.booked(), owed, "stakes, bonds and credits are what is owed");
        vm.assertEq(_handler.takenIn() - _handler.paidOut(), owed, "nothing comes from nowhere");
    }

    /// @dev An epoch and a boot never fall, and a root changes only with its epoch.
    function _moveOn() private view {
        vm.assertEq(_handler.fallen(), 0, "an epoch or a boot fell");
    }

    /// @dev An ended volume holds no stake, takes no message and never comes back.
    function _final() private view {
        for (uint256 i = 0; i < _handler.count(); i++) {
            VolumeId volume = _handler.volumes(i);
            Status status = staking.recordOf(volume).status;
            if (status != Status.Slashed && status != Status.Closed) {
                vm.assertFalse(_handler.hasEnded(volume));
                continue;
            }
            vm.assertEq(staking.recordOf(volume).stake, 0, "stake of an ended volume");
            vm.assertEq(staking.headOf(volume).signer, address(0));
            vm.assertEq(uint256(staking.challengeOf(volume, Track.Storage).kind), 0, "open storage challenge");
            vm.assertEq(uint256(staking.challengeOf(volume, Track.Retrieval).kind), 0, "open retrieval challenge");
        }
    }

    /// @notice The handler is able to do all it knows, or the invariants would say little: within one long sequence each
    /// action succeeds, and each status is met.
    function test_every_action_of_the_handler_succeeds_and_every_status_is_met() public {
        uint256 seed = 1;
        for (uint256 i = 0; i < 3000; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            _handler.step(seed);
            if (i % 100 == 0) invariant_books_heads_and_ends_hold();
        }
        string[] memory names = _handler.actions();
        for (uint256 i = 0; i < names.length; i++) {
            vm.assertTrue(_handler.succeeded(names[i]) > 0, string.concat(names[i], " never succeeded"));
        }
        for (uint256 i = 0; i <= uint256(Status.Closed); i++) {
            vm.assertTrue(_handler.reached(Status(i)), string.concat("status ", vm.toString(i), " was never met"));
        }
        invariant_books_heads_and_ends_hold();
    }
}
