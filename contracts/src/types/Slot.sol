// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @dev All of a head but its root, in one word, so that a publication reads it once and writes it once:
/// ```text
///   bits   0..159  signer         zero: takes no messages
///        160..199  epoch          2^40 are 34 years at a thousand a second
///        200..223  boot           2^24 are one each second for half a year
///        224..255  publishedAt    seconds modulo 2^32; only differences of it count
/// ```
type Slot is uint256;

using {signer, epoch, boot, publishedAt, allowedEpoch, withSigner, withBoot, withPublication} for Slot global;

function signer(Slot slot) pure returns (address) {
    return address(uint160(Slot.unwrap(slot)));
}

function epoch(Slot slot) pure returns (uint64) {
    return uint40(Slot.unwrap(slot) >> 160);
}

function boot(Slot slot) pure returns (uint64) {
    return uint24(Slot.unwrap(slot) >> 200);
}

function publishedAt(Slot slot) pure returns (uint256) {
    return Slot.unwrap(slot) >> 224;
}

/// @dev Epochs may jump so far at once, and so much further for each second since the last publication.
function allowedEpoch(Slot slot, uint256 time, uint256 jump, uint256 perSecond) pure returns (uint256 allowed) {
    unchecked {
        // The difference modulo 2^32: right beyond the year 2106 too. The sums stay far below 2^64.
        uint256 elapsed = (time - (Slot.unwrap(slot) >> 224)) & type(uint32).max;
        allowed = (Slot.unwrap(slot) >> 160 & type(uint40).max) + jump + elapsed * perSecond;
    }
    if (allowed > type(uint40).max) allowed = type(uint40).max;
}

/// @dev The same with another signer.
function withSigner(Slot slot, address to) pure returns (Slot) {
    return Slot.wrap((Slot.unwrap(slot) >> 160 << 160) | uint160(to));
}

/// @dev The same with another boot, which the caller has found to be below 2^24.
function withBoot(Slot slot, uint64 to) pure returns (Slot) {
    return Slot.wrap((Slot.unwrap(slot) & ~(uint256(type(uint24).max) << 200)) | (uint256(to) << 200));
}

/// @dev The same with another epoch, which the caller has found to be below 2^40, and the time of its publication.
function withPublication(Slot slot, uint64 to, uint256 time) pure returns (Slot) {
    uint256 kept = Slot.unwrap(slot) & (uint256(type(uint24).max) << 200 | type(uint160).max);
    return Slot.wrap(kept | (uint256(to) << 160) | (time << 224));
}
