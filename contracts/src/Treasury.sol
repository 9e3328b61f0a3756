// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";

/// @title Takes tokens in, remembers whom they belong to, and pays them out when asked.
/// @notice
/// ```text
///   account --_takeIn--> stake or bond of a volume --_credit--> credit of an account --withdraw--> account
///           '----------------- _owed[token] is the sum of all of it ------------------'
/// ```
/// Nothing is ever pushed: an account whose token refuses it, or whose code reverts, holds up nobody but itself.
/// Invariant: balance of the contract in a token ≥ `_owed[token]`, for every token that keeps balances as they are.
abstract contract Treasury is IStorageStaking, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    mapping(address token => mapping(address account => uint256)) private _credits;
    mapping(address token => uint256) private _owed;

    /// @inheritdoc IStorageStaking
    function withdraw(address token, address to) external nonReentrant {
        uint256 amount = _credits[token][msg.sender];
        if (amount == 0) revert NothingToWithdraw(token, msg.sender);
        _credits[token][msg.sender] = 0;
        _owed[token] -= amount;
        emit Withdrawn(token, msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc IStorageStaking
    function creditOf(address token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @inheritdoc IStorageStaking
    function owed(address token) external view returns (uint256) {
        return _owed[token];
    }

    /// @dev Pulls `amount` from the caller. Functions that use it are `nonReentrant` and use it last. A token that keeps
    /// a fee would have the stakes of others pay for it, so what arrives must be what was asked for.
    function _takeIn(address token, uint256 amount) internal {
        _owed[token] += amount;
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert WrongAmountReceived(token, received, amount);
    }

    /// @dev Moves `amount`, which is in the contract, to what `account` may withdraw.
    function _credit(address token, address account, uint256 amount) internal {
        // Nothing depends on this but an event that would tell nothing.
        // slither-disable-next-line incorrect-equality
        if (amount == 0) return;
        _credits[token][account] += amount;
        emit Credited(token, account, amount);
    }
}
