// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IFunding} from "../interfaces/IFunding.sol";

/// @title Deposits per publisher, provider and pod, which the provider draws from.
/// @notice The smallest thing that fits IFunding: for trying out, and where no payment contract is in use yet. A payment
/// contract that has `available(publisher, provider, podId)` itself needs no adapter; any other gets one of this shape.
/// The deposit cannot be taken back, and nothing stops a provider from drawing it all at once: that is the weakest
/// promise a funding contract can make, and the one the staking contract counts on.
contract DepositFunding is IFunding {
    using SafeERC20 for IERC20;

    /// @notice `amount` more is there for a pod.
    event Deposited(address indexed publisher, address indexed provider, bytes32 indexed podId, uint256 amount);
    /// @notice The provider has taken `amount`.
    event Drawn(address indexed publisher, address indexed provider, bytes32 indexed podId, uint256 amount);

    /// @notice More was asked for than is there.
    error BeyondDeposit(uint256 asked, uint256 available);

    /// @notice What is paid in.
    IERC20 public immutable TOKEN;

    mapping(address publisher => mapping(address provider => mapping(bytes32 podId => uint256))) private _deposits;

    /// @param token Paid by publishers, drawn by providers. Must not take a fee on transfer.
    constructor(IERC20 token) {
        TOKEN = token;
    }

    /// @notice Pays `amount` in for what `provider` does for the caller's pod.
    function deposit(address provider, bytes32 podId, uint256 amount) external {
        _deposits[msg.sender][provider][podId] += amount;
        emit Deposited(msg.sender, provider, podId, amount);
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Takes `amount` of what a publisher has paid in for the caller.
    function draw(address publisher, bytes32 podId, uint256 amount) external {
        uint256 left = _deposits[publisher][msg.sender][podId];
        if (amount > left) revert BeyondDeposit(amount, left);
        _deposits[publisher][msg.sender][podId] = left - amount;
        emit Drawn(publisher, msg.sender, podId, amount);
        TOKEN.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IFunding
    function available(address publisher, address provider, bytes32 podId) external view returns (uint256) {
        return _deposits[publisher][provider][podId];
    }
}
