// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Messages} from "./Messages.sol";
import {Volumes} from "./Volumes.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Agreement, Record, Status, Terms, TermsRule, VolumeId, VolumeKey} from "./types/Types.sol";

/// @title How a volume comes to be, and how its signer changes.
/// @notice
/// ```text
///   provider: offer(terms, signer, stake)  --> Offered --> accept(publisher's signature), relayed by anyone --> Active
///   publisher: offer(terms)                --> Offered --> accept(publisher's signature), by the provider   --> Active
/// ```
/// Both sides name the signer: the publisher because a key outside a TEE could call anything whole, the provider because
/// a key in the publisher's hand could report faults and take the stake.
abstract contract Agreements is Volumes {
    /// @dev Longer than any term makes sense, short enough that sums of terms never overflow.
    uint32 private constant TERM_SECONDS_MAX = 10 * 365 days;

    /// @inheritdoc IStorageStaking
    function offer(VolumeKey calldata key, Terms calldata terms, address signer, uint64 expires) external nonReentrant {
        VolumeId volume = _idOf(key);
        _requireParties(key);
        if (msg.sender != key.publisher) {
            _requireCaller(volume, key.provider);
        }
        _requireSound(key, terms);
        _requireNotExpired(volume, expires);
        Record storage v = _records[volume];
        if (v.status == Status.Offered) {
            _takeBack(v);
        } else if (v.status != Status.None) {
            revert WrongStatus(volume, v.status);
        }

        v.key = key;
        v.terms = terms;
        v.status = Status.Offered;
        v.offeredBy = msg.sender;
        v.offeredSigner = signer;
        v.offerExpires = expires;
        bool byProvider = msg.sender == key.provider;
        if (byProvider) v.stake = terms.stake;
        if (byProvider || signer != address(0)) _requireSignerApart(volume, v, signer);
        emit Offered(volume, msg.sender, signer, expires);

        if (byProvider) _takeIn(terms.token, msg.sender, terms.stake);
    }

    /// @inheritdoc IStorageStaking
    function withdrawOffer(VolumeId volume) external {
        Record storage v = _records[volume];
        if (v.status != Status.Offered) revert WrongStatus(volume, v.status);
        _requireCaller(volume, v.offeredBy);
        v.status = Status.None;
        emit OfferWithdrawn(volume, msg.sender);
        _takeBack(v);
    }

    /// @inheritdoc IStorageStaking
    function accept(VolumeId volume, address signer, bytes calldata publisherSignature, bytes calldata signerProof)
        external
        nonReentrant
    {
        Record storage v = _records[volume];
        if (v.status != Status.Offered) revert WrongStatus(volume, v.status);
        _requireNotExpired(volume, v.offerExpires);
        bool byProvider = v.offeredBy == v.key.provider;
        if (!byProvider) _requireCaller(volume, v.key.provider);
        // Only a publisher may leave the signer open; the provider names it by calling.
        bool open = !byProvider && v.offeredSigner == address(0);
        if (!open && signer != v.offeredSigner) revert BadSigner(volume, signer);
        _requireSignerApart(volume, v, signer);

        bytes32 agreement = Messages.hashAgreement(
            Agreement(v.key.publisher, v.key.provider, v.key.podId, v.key.index, v.terms, signer, v.offerExpires)
        );
        _requireSignedByParty(agreement, publisherSignature, v.key.publisher);
        _requireSigned(Messages.hashSignerProof(agreement), signerProof, signer);

        v.status = Status.Active;
        v.openedAt = _now();
        v.stake = v.terms.stake;
        _answersSince[volume][signer] = 1;
        _heads[volume].signer = signer;
        _heads[volume].publishedAt = uint32(block.timestamp);
        emit Opened(volume, v.key.publisher, v.key.provider, v.key.podId, v.key.index, signer);

        if (!byProvider) _takeIn(v.terms.token, msg.sender, v.terms.stake);
    }

    /// @inheritdoc IStorageStaking
    function rotateSigner(VolumeId volume, address signer, bytes calldata oldSignature, bytes calldata newSignature)
        external
    {
        Record storage v = _active(volume);
        HotHead storage head = _heads[volume];
        address from = head.signer;
        _requireSignerApart(volume, v, signer);
        // An instance that never booted holds no boot, and one that is fenced holds an old one.
        _requireBoot(volume, head.boot, head.boot);
        bytes32 rotation = Messages.hashRotation(volume, head.boot, v.rotations + 1, signer);
        _requireSigned(rotation, oldSignature, from);
        _requireSigned(rotation, newSignature, signer);

        v.rotations += 1;
        _answersSince[volume][signer] = v.replacements + 1;
        head.signer = signer;
        emit SignerRotated(volume, from, signer);
    }

    /// @inheritdoc IStorageStaking
    function replaceSigner(
        VolumeId volume,
        address signer,
        bytes calldata publisherSignature,
        bytes calldata providerSignature,
        bytes calldata newSignature
    ) external {
        Record storage v = _staked(volume);
        HotHead storage head = _heads[volume];
        address from = head.signer;
        _requireSignerApart(volume, v, signer);
        bytes32 replacement = Messages.hashReplacement(volume, v.rotations + 1, signer);
        _requireSignedByParty(replacement, publisherSignature, v.key.publisher);
        _requireSignedByParty(replacement, providerSignature, v.key.provider);
        _requireSigned(replacement, newSignature, signer);

        v.rotations += 1;
        v.replacements += 1;
        _answersSince[volume][signer] = v.replacements + 1;
        v.status = Status.Active;
        v.frozenUntil = 0;
        head.signer = signer;
        emit SignerReplaced(volume, from, signer);
    }

    /// @dev Gives a stake that came with an offer back.
    function _takeBack(Record storage v) private {
        uint128 stake = v.stake;
        v.stake = 0;
        _credit(v.terms.token, v.key.provider, stake);
    }

    function _requireParties(VolumeKey calldata key) private pure {
        bool two = key.publisher != key.provider && key.publisher != address(0) && key.provider != address(0);
        if (!two) revert BadParties(key.publisher, key.provider);
    }

    function _requireSound(VolumeKey calldata key, Terms calldata terms) private view {
        bool paid = terms.funding != address(0);
        _rule(terms.token.code.length != 0, TermsRule.Token);
        _rule(terms.stake != 0, TermsRule.Stake);
        _rule(terms.bond != 0, TermsRule.Bond);
        _rule(terms.challengeWindow != 0, TermsRule.ChallengeWindow);
        _rule(terms.staleEpochs != 0, TermsRule.StaleEpochs);
        _rule(terms.refundShareBps <= WHOLE_BPS, TermsRule.RefundShare);
        _rule(terms.arbiter != key.publisher && terms.arbiter != key.provider, TermsRule.Arbiter);
        _rule(!paid || (terms.funding.code.length != 0 && terms.minFunding != 0), TermsRule.Funding);
        _rule(paid || terms.notice != 0, TermsRule.WayOut);

        uint256 longest = terms.grace > terms.notice ? terms.grace : terms.notice;
        // Whatever was answered just before leaving began, one more challenge fits in before it ends.
        uint256 challenged = uint256(terms.challengeWindow) + terms.cooldown;
        _rule(longest <= TERM_SECONDS_MAX && challenged <= TERM_SECONDS_MAX, TermsRule.Times);
        _rule(!paid || terms.grace >= challenged, TermsRule.Grace);
        _rule(terms.notice == 0 || terms.notice >= challenged, TermsRule.Notice);
    }

    function _rule(bool kept, TermsRule rule_) private pure {
        if (!kept) revert BadTerms(rule_);
    }
}
