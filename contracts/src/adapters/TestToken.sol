// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that anyone may mint: for tests and for a chain on one's own machine, worth nothing by design.
contract TestToken is ERC20 {
    constructor() ERC20("Cairn test token", "TEST") {}

    /// @notice Gives `amount` to `account`.
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}
