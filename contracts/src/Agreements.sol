// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Messages} from "./Messages.sol";
import {Volumes} from "./Volumes.sol";
import {IStorageStaking} from "./interfaces/IStorageStaking.sol";
import {Slot} from "./types/Slot.sol";
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

        if (byProvider) _takeIn(terms.token, terms.stake);
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
        _heads[volume].slot = _opened(signer);
        emit Opened(volume, v.key.publisher, v.key.provider, v.key.podId, v.key.index, signer);

        if (!byProvider) _takeIn(v.terms.token, v.terms.stake);
    }

    /// @inheritdoc IStorageStaking
    function rotateSigner(VolumeId volume, address signer, bytes calldata oldSignature, bytes calldata newSignature)
        external
    {
        Record storage v = _active(volume);
        Slot slot = _heads[volume].slot;
        address from = slot.signer();
        _requireSignerApart(volume, v, signer);
        // An instance that never booted holds no boot, and one that is fenced holds an old one.
        _requireBoot(volume, slot.boot(), slot.boot());
        bytes32 rotation = Messages.hashRotation(volume, slot.boot(), v.rotations + 1, signer);
        _requireSigned(rotation, oldSignature, from);
        _requireSigned(rotation, newSignature, signer);

        v.rotations += 1;
        _answersSince[volume][signer] = v.replacements + 1;
        _setSigner(volume, signer);
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
        address from = _heads[volume].slot.signer();
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
        _setSigner(volume, signer);
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
        uint256 longest = terms.grace > terms.notice ? terms.grace : terms.notice;
        // Whatever was answered just before leaving began, one more challenge fits in before it ends.
        uint256 challenged = uint256(terms.challengeWindow) + terms.cooldown;

        TermsRule broken;
        if (terms.token.code.length == 0) broken = TermsRule.Token;
        else if (terms.stake == 0) broken = TermsRule.Stake;
        else if (terms.bond == 0) broken = TermsRule.Bond;
        else if (terms.challengeWindow == 0) broken = TermsRule.ChallengeWindow;
        else if (terms.staleEpochs == 0) broken = TermsRule.StaleEpochs;
        else if (terms.refundShareBps > WHOLE_BPS) broken = TermsRule.RefundShare;
        else if (terms.arbiter == key.publisher || terms.arbiter == key.provider) broken = TermsRule.Arbiter;
        else if (paid && (terms.funding.code.length == 0 || terms.minFunding == 0)) broken = TermsRule.Funding;
        else if (!paid && terms.notice == 0) broken = TermsRule.WayOut;
        else if (longest > TERM_SECONDS_MAX || challenged > TERM_SECONDS_MAX) broken = TermsRule.Times;
        else if (paid && terms.grace < challenged) broken = TermsRule.Grace;
        else if (terms.notice != 0 && terms.notice < challenged) broken = TermsRule.Notice;
        else return;
        revert BadTerms(broken);
    }
}
