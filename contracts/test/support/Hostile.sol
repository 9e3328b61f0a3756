// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IStorageStaking} from "../../src/interfaces/IStorageStaking.sol";
import {Track, VolumeId} from "../../src/types/Types.sol";

/// @dev What the hostile tokens have in common: anyone may mint.
contract StdToken is ERC20("Hostile", "HOST") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @title Keeps a part of each transfer, or refuses transfers altogether.
contract FeeToken is StdToken {
    uint256 private _feeBps = 100;
    bool private _broken;

    function setFee(uint256 bps) external {
        _feeBps = bps;
    }

    function setBroken(bool broken) external {
        _broken = broken;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (_broken) revert("broken");
        uint256 fee = from == address(0) ? 0 : amount * _feeBps / 10_000;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// @title Says yes and moves nothing.
contract SilentToken {
    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }

    function balanceOf(address) external pure returns (uint256) {
        return 42;
    }
}

/// @title Calls back into the staking contract at each transfer, to withdraw or open something meanwhile.
contract ReentrantToken is StdToken {
    IStorageStaking private immutable STAKING;
    /// How often it was turned away.
    uint256 public refused;

    constructor(IStorageStaking staking) {
        STAKING = staking;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(STAKING) && to != address(STAKING)) return;
        bytes4 guard = bytes4(keccak256("ReentrancyGuardReentrantCall()"));
        try STAKING.withdraw(address(this), address(this)) {}
        catch (bytes memory reason) {
            if (bytes4(reason) == guard) refused += 1;
        }
        try STAKING.challenge(VolumeId.wrap(0), Track.Storage) {}
        catch (bytes memory reason) {
            if (bytes4(reason) == guard) refused += 1;
        }
    }
}
