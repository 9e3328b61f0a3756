// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    Agreement,
    Challenge,
    ChallengeKind,
    Checked,
    Evidence,
    Fault,
    Head,
    Locator,
    Publication,
    Record,
    Status,
    Terms,
    TermsRule,
    Track,
    VolumeId,
    VolumeKey
} from "../types/Types.sol";

/// @title Storage Staking: the newest root of each volume, and a stake that answers for it.
/// @notice Three parties meet here. The **provider** runs the machine and stakes. The **publisher** owns the data. The
/// **signer** is a key that only the storage plane inside the TEE holds: it alone says which version is the newest, that
/// a volume is whole, or that it is not. Nobody else does anything on their behalf: no owner, no proxy, no pause.
///
/// Messages are EIP-712 under the domain `("Cairn Storage Staking", "1", chainid, this)`:
/// ```text
/// Agreement(address publisher,address provider,bytes32 podId,uint32 index,Terms terms,address signer,uint64 expires)
///   Terms(address token,uint128 stake,uint128 bond,address funding,uint128 minFunding,address arbiter,
///         uint32 challengeWindow,uint32 cooldown,uint32 grace,uint32 notice,uint32 staleEpochs,
///         uint16 refundShareBps,uint8 equivocation)                          publisher
/// SignerProof(bytes32 agreement)             agreement = hashStruct(Agreement) signer
/// Publication(bytes32 volume,uint64 boot,uint64 epoch,bytes32 root,bytes32 previousRoot)       signer
/// Batch(Publication[] publications)Publication(...)                          signer
/// Boot(bytes32 volume,uint64 boot,bytes32 nonce)                             signer
/// Answer(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root) signer
/// Heal(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root)   signer
/// Fault(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root,
///       uint64 survivingEpoch,bytes32 survivingRoot)                         signer
/// Locator(bytes32 volume,uint64 boot,uint64 number,uint64 epoch,bytes32 root,string locator)   signer
/// Receipt(bytes32 volume,uint64 number)                                      publisher
/// Rotation(bytes32 volume,uint64 boot,uint64 rotation,address signer)        old signer and new signer
/// Replacement(bytes32 volume,uint64 rotation,address signer)                 publisher, provider and new signer
/// Settlement(bytes32 volume,uint128 toPublisher,uint64 expires)              publisher and provider
/// ```
/// Signatures of signers are 65 bytes `r || s || v`, low s; that of `publish` is the same in 64 (EIP-2098). Publisher and provider may also be contracts (ERC-1271).
/// Every signed message may be relayed by anyone; none names who relays it, so taking one out of the pool gains nothing.
interface IStorageStaking {
    // ------------------------------------------------------------------------------------------------- errors

    /// @notice The two sides of a volume are two different accounts, and neither is zero.
    error BadParties(address publisher, address provider);
    /// @notice The terms cannot be kept; `rule` says which one they break.
    error BadTerms(TermsRule rule);
    /// @notice What was called needs another status.
    error WrongStatus(VolumeId volume, Status current);
    /// @notice The caller is not who may do this.
    error NotAllowed(VolumeId volume, address caller);
    /// @notice The signature is malformed, or another account's. `recovered` is zero if nothing could be recovered.
    error WrongSignature(address recovered, address expected);
    /// @notice The signer is zero, a party, the arbiter, or another one than the provider has offered.
    error BadSigner(VolumeId volume, address signer);
    /// @notice The offer or the signed message is past its time.
    error Expired(VolumeId volume, uint64 expires, uint64 time);

    /// @notice Epochs only grow: an older root must never hide a newer one.
    error StaleEpoch(VolumeId volume, uint64 given, uint64 latest);
    /// @notice A thief of the key must not use up the epochs: see `MAX_JUMP` and `JUMP_PER_SECOND`.
    error JumpTooFar(VolumeId volume, uint64 given, uint64 allowed);
    /// @notice Two instances from one state cannot both go on: the root to be replaced is not the one on chain.
    error WrongPreviousRoot(VolumeId volume, bytes32 given, bytes32 current);
    /// @notice No commit block has the digest zero.
    error ZeroRoot(VolumeId volume);
    /// @notice The instance holds another boot than the current one: it has been fenced, or has not booted.
    error WrongBoot(VolumeId volume, uint64 given, uint64 current);
    /// @notice A batch holds at least one publication.
    error EmptyBatch();
    /// @notice The publication is not a leaf of the newest aggregate of the volume's plane.
    error NotInAggregate(VolumeId volume, bytes32 aggregateRoot);
    /// @notice The two publications do not contradict each other, or were not signed by a signer that answers for it.
    error NoEquivocation(VolumeId volume);

    /// @notice One challenge at a time on a track.
    error ChallengeOpen(VolumeId volume, Track track, uint64 number);
    /// @notice No challenge of that kind is open.
    error NoChallenge(VolumeId volume, ChallengeKind kind);
    /// @notice The message is bound to another number than the current one.
    error WrongNumber(VolumeId volume, uint64 given, uint64 current);
    /// @notice Challenges have a pause between them.
    error CoolingDown(VolumeId volume, uint64 ends, uint64 time);
    /// @notice The answer comes after the deadline.
    error TooLate(VolumeId volume, uint64 deadline, uint64 time);
    /// @notice The time for this has not come.
    error TooEarly(VolumeId volume, uint64 until, uint64 time);
    /// @notice The version named in the answer or report is not one that counts.
    error WrongVersion(VolumeId volume, uint64 epoch, bytes32 root);
    /// @notice There is nothing to be retrieved or lost before the first publication.
    error NothingPublished(VolumeId volume);
    /// @notice The locator is empty or above 2048 bytes.
    error BadLocator(VolumeId volume, uint256 length);
    /// @notice Shares are at most 10000.
    error BadShare(uint256 shareBps);
    /// @notice The settlement gives more than the stake.
    error BeyondStake(VolumeId volume, uint128 given, uint128 stake);

    /// @notice The publisher has paid: `available` is at least `minimum`.
    error Funded(VolumeId volume, uint256 available, uint256 minimum);
    /// @notice The publisher has not paid: `available` is below `minimum`.
    error Unfunded(VolumeId volume, uint256 available, uint256 minimum);
    /// @notice The provider has neither been unpaid for a grace period, nor given notice, nor been released.
    error NotLeaving(VolumeId volume);
    /// @notice It runs already.
    error AlreadyRunning(VolumeId volume, uint64 ends);
    /// @notice The terms have no such thing: no funding adapter, no arbiter, no notice.
    error NotInTerms(VolumeId volume);

    /// @notice The token gave another amount than was asked for.
    error WrongAmountReceived(address token, uint256 received, uint256 expected);
    /// @notice There is nothing to withdraw.
    error NothingToWithdraw(address token, address account);

    // ------------------------------------------------------------------------------------------------- events

    /// @notice One side has offered terms, which `recordOf` tells. If it is the provider, the stake is in the contract.
    event Offered(VolumeId indexed volume, address indexed by, address signer, uint64 expires);
    /// @notice The offer is gone; a stake that came with it can be withdrawn.
    event OfferWithdrawn(VolumeId indexed volume, address indexed by);
    /// @notice Both sides have accepted, and the stake is in the contract.
    event Opened(
        VolumeId indexed volume,
        address indexed publisher,
        address indexed provider,
        bytes32 podId,
        uint32 index,
        address signer
    );

    /// @notice A newer version stands on chain, in the place of the one that the event before this one tells.
    event Published(VolumeId indexed volume, uint64 epoch, bytes32 root);
    /// @notice An instance has fenced all earlier ones. `root` and `epoch` are what stands on chain at this moment; the
    /// instance's fresh `nonce` in its own receipt proves that what it sees of the chain is not from the past.
    event Booted(VolumeId indexed volume, uint64 boot, bytes32 nonce, bytes32 root, uint64 epoch);
    /// @notice A plane can publish aggregates.
    event PlaneOpened(VolumeId indexed plane, address indexed signer);
    /// @notice Two contradicting publications were signed in one boot: a TEE of the provider is cloned or broken.
    event Equivocated(
        VolumeId indexed volume,
        address indexed signer,
        uint64 boot,
        uint64 epoch,
        bytes32 firstRoot,
        bytes32 secondRoot
    );
    /// @notice Nothing is published until both sides name a new signer; else the stake is split after `until`.
    event Frozen(VolumeId indexed volume, uint64 until);

    /// @notice The publisher asks, and waits until `deadline`. `epoch` and `root` are what stands on chain.
    event Challenged(
        VolumeId indexed volume, ChallengeKind indexed kind, uint64 number, uint64 deadline, uint64 epoch, bytes32 root
    );
    /// @notice The storage plane has checked the whole version and answered.
    event Answered(VolumeId indexed volume, uint64 number, uint64 epoch, bytes32 root);
    /// @notice The storage plane says that the newest version is damaged, and what is left.
    event FaultReported(
        VolumeId indexed volume,
        uint64 number,
        uint64 deadline,
        uint64 epoch,
        bytes32 root,
        uint64 survivingEpoch,
        bytes32 survivingRoot
    );
    /// @notice The storage plane has checked the whole version again and found it good.
    event Healed(VolumeId indexed volume, uint64 number, uint64 epoch, bytes32 root);
    /// @notice The encrypted volume lies at `locator`.
    event LocatorGiven(VolumeId indexed volume, uint64 number, uint64 epoch, bytes32 root, string locator);
    /// @notice The publisher has what he asked for.
    event Received(VolumeId indexed volume, uint64 number);
    /// @notice The arbiter has decided. `shareBps` of the stake go to the publisher; zero dismisses.
    event Ruled(VolumeId indexed volume, address indexed arbiter, uint16 shareBps);
    /// @notice A challenge ended without an answer because the volume ended or was frozen; its bond went back.
    event ChallengeDropped(VolumeId indexed volume, uint64 number);

    /// @notice The old signer has named the new one.
    event SignerRotated(VolumeId indexed volume, address indexed from, address indexed to);
    /// @notice Publisher and provider have named a new signer together.
    event SignerReplaced(VolumeId indexed volume, address indexed from, address indexed to);

    /// @notice The publisher has not paid; the provider may leave after `ends`.
    event GraceStarted(VolumeId indexed volume, uint256 available, uint64 ends);
    /// @notice The publisher has paid again.
    event GraceCancelled(VolumeId indexed volume, uint256 available);
    /// @notice The provider wants to leave, and may after `ends`.
    event NoticeGiven(VolumeId indexed volume, uint64 ends);
    /// @notice The volume has ended, and this is how its stake was divided.
    event Ended(VolumeId indexed volume, Status status, uint128 toPublisher, uint128 toProvider);

    /// @notice `account` may withdraw `amount` more.
    event Credited(address indexed token, address indexed account, uint256 amount);
    /// @notice `account` has had `amount` paid out to `to`.
    event Withdrawn(address indexed token, address indexed account, address to, uint256 amount);

    // ------------------------------------------------------------------------------------- offer and acceptance

    /// @notice Offers terms. The provider's offer takes the stake in and names the signer; the publisher's may leave the
    /// signer open (zero). A new offer replaces the old one, whoever made it; a replaced stake can be withdrawn.
    /// @param expires Last second at which it can be accepted.
    function offer(VolumeKey calldata key, Terms calldata terms, address signer, uint64 expires) external;

    /// @notice Takes an offer back. Only who has made it, at any time before it is accepted.
    function withdrawOffer(VolumeId volume) external;

    /// @notice Opens the volume. An offer of the provider is accepted by the publisher's signature, whoever relays it; an
    /// offer of the publisher by the provider himself, whose stake is taken in.
    /// @param publisherSignature Over the Agreement (terms, signer and expiry of the offer): the publisher vouches that
    /// the signer lives in a TEE that runs the code he expects.
    /// @param signerProof Of the signer, over the SignerProof: the key exists, and agrees to this contract and volume.
    function accept(VolumeId volume, address signer, bytes calldata publisherSignature, bytes calldata signerProof)
        external;

    // ------------------------------------------------------------------------------------------- what is newest

    /// @notice Puts a newer version of a volume, or a newer aggregate of a plane, on chain.
    /// @param r The first half of the signature over the Publication.
    /// @param vs The second half, with the parity of v in its highest bit (EIP-2098): what is sent most often is short.
    function publish(bytes32 r, bytes32 vs, Publication calldata publication) external;

    /// @notice Puts newer versions of many volumes of one signer on chain, all or none.
    /// @param signature Over the Batch, by the signer that all the volumes have.
    function publishBatch(Publication[] calldata publications, bytes calldata signature) external;

    /// @notice Lets a plane publish aggregates, and boot, under its id. Anyone may: the id is made of the signer alone.
    function openPlane(address signer) external;

    /// @notice Moves one volume's head to what the newest aggregate of its plane says. Anyone may.
    /// @param proof Sorted-pair Merkle proof of `hashStruct(publication)`.
    function checkpoint(Publication calldata publication, bytes32[] calldata proof) external;

    /// @notice Fences all earlier instances: from now on only messages of `boot` count.
    /// @param boot One more than the current boot.
    /// @param nonce Fresh randomness of the instance, found again in the event.
    function boot(VolumeId volume, uint64 boot, bytes32 nonce, bytes calldata signature) external;

    /// @notice Proves that two different roots were signed for one volume, boot and epoch. Only one instance holds a
    /// boot, so the TEE was cloned or broken, and who runs it answers for that.
    function reportEquivocation(Evidence calldata first, Evidence calldata second) external;

    // ----------------------------------------------------------------------------------------------- the signer

    /// @notice The old signer hands over to a new one.
    /// @param oldSignature Of the old signer, over the Rotation.
    /// @param newSignature Of the new signer, over the same.
    function rotateSigner(VolumeId volume, address signer, bytes calldata oldSignature, bytes calldata newSignature)
        external;

    /// @notice Publisher and provider name a new signer when the old key is lost or stolen. Neither can alone: who
    /// controls the signer controls the stake. Also ends a freeze.
    function replaceSigner(
        VolumeId volume,
        address signer,
        bytes calldata publisherSignature,
        bytes calldata providerSignature,
        bytes calldata newSignature
    ) external;

    // ----------------------------------------------------------------------------------------------- challenges

    /// @notice Asks the provider, on the storage track to show that the storage plane is there and the volume whole
    /// (Presence), on the retrieval track to hand the encrypted volume over. Publisher only; takes the bond in.
    function challenge(VolumeId volume, Track track) external;

    /// @notice Answers a presence challenge, up to and at its deadline. The bond goes to the provider.
    /// @param signature Of the signer, over the Answer.
    function answer(Checked calldata checked, bytes calldata signature) external;

    /// @notice Reports that the newest version is damaged. Opens a challenge by itself, or takes the place of an open
    /// presence challenge or fault, whose deadline stays.
    function reportFault(Fault calldata fault, bytes calldata signature) external;

    /// @notice Answers a fault, up to and at its deadline. A bond goes back to the publisher.
    /// @param signature Of the signer, over the Heal.
    function heal(Checked calldata checked, bytes calldata signature) external;

    /// @notice Closes a retrieval challenge by the publisher's signature over the Receipt, at any time before its claim.
    /// The bond goes back to the publisher, so that a receipt costs him nothing.
    function acknowledge(VolumeId volume, uint64 number, bytes calldata publisherSignature) external;

    /// @notice Closes a retrieval challenge, up to and at its deadline. The bond goes to the provider.
    function locate(Locator calldata locator, bytes calldata signature) external;

    /// @notice The arbiter decides an open retrieval challenge, or a freeze if there is no such challenge.
    /// @param shareBps What the publisher gets of the stake, in 1/10000; zero dismisses the challenge (the bond goes to
    /// the provider) or gives the whole stake of a frozen volume back to the provider.
    function rule(VolumeId volume, uint16 shareBps) external;

    /// @notice Ends the volume after a deadline has passed without an answer. Anyone may.
    /// Presence and retrieval: the stake goes to the publisher. Fault: it is split by how stale the surviving version
    /// is. With an arbiter, a retrieval can be claimed one challenge window later, so that he has time to rule.
    function claim(VolumeId volume, Track track) external;

    /// @notice Ends a frozen volume after the freeze: the stake is split by the refund share. Anyone may.
    function claimFrozen(VolumeId volume) external;

    // -------------------------------------------------------------------------------------------------- leaving

    /// @notice Starts the grace period of a volume that is not paid for. Anyone may.
    function startGrace(VolumeId volume) external;

    /// @notice Ends the grace period of a volume that is paid for again. Anyone may.
    function cancelGrace(VolumeId volume) external;

    /// @notice The provider gives notice of a volume that is paid for, if the terms let him.
    function giveNotice(VolumeId volume) external;

    /// @notice The provider leaves with the stake: after the grace period if still unpaid, or after his notice, and in
    /// either case while no challenge is open.
    function exit(VolumeId volume) external;

    /// @notice The publisher needs the volume no more: the stake goes back, open challenges are dropped.
    function release(VolumeId volume) external;

    /// @notice Publisher and provider end the volume together and divide the stake as they like.
    function settle(
        VolumeId volume,
        uint128 toPublisher,
        uint64 expires,
        bytes calldata publisherSignature,
        bytes calldata providerSignature
    ) external;

    /// @notice Pays out all that the caller may withdraw.
    function withdraw(address token, address to) external;

    // ---------------------------------------------------------------------------------------------------- views

    /// @notice How far an epoch may jump at once, however short the time since the last publication.
    function MAX_JUMP() external view returns (uint64);

    /// @notice How much further it may jump for each second since the last publication.
    function JUMP_PER_SECOND() external view returns (uint64);

    /// @notice How far the first publication may go: a volume can be older than its place on chain.
    function MAX_FIRST_EPOCH() external view returns (uint64);

    /// @notice Name of a volume.
    function volumeId(VolumeKey calldata key) external pure returns (VolumeId);

    /// @notice Name of a plane: what its aggregates are published under, and its head is found by.
    function planeId(address signer) external pure returns (VolumeId);

    /// @notice What is known of a volume but its head and its challenges.
    function recordOf(VolumeId volume) external view returns (Record memory);

    /// @notice The newest version of a volume, or aggregate of a plane, on chain.
    function headOf(VolumeId volume) external view returns (Head memory);

    /// @notice The open challenge of a track.
    function challengeOf(VolumeId volume, Track track) external view returns (Challenge memory);

    /// @notice What `account` may withdraw.
    function creditOf(address token, address account) external view returns (uint256);

    /// @notice All stakes, bonds and credits in a token: the contract holds at least as much of it.
    function owed(address token) external view returns (uint256);

    /// @notice EIP-712 domain separator. What is signed for each message, see Digests.
    function domainSeparator() external view returns (bytes32);
}
