// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @dev Names one volume: `keccak256(abi.encode(VolumeKey))`. A type of its own, so that no other `bytes32` passes for it.
type VolumeId is bytes32;

/// @notice Who keeps what for whom. A key is used once: a volume that has ended is never opened again.
struct VolumeKey {
    /// Owns the data and pays.
    address publisher;
    /// Runs the machine and the store, and stakes.
    address provider;
    /// The pod that the volume belongs to.
    bytes32 podId;
    /// Number of the volume in that pod.
    uint32 index;
}

/// @notice What an equivocation of the storage plane costs.
enum Penalty {
    /// Publishing stops; the parties agree within a challenge window, or the stake is split by the refund share.
    Freeze,
    /// The whole stake goes to the publisher at once.
    Slash
}

/// @notice What both sides agree on. Times are in seconds, amounts in the smallest unit of `token`.
struct Terms {
    /// ERC-20 of stake and bonds. Must not take a fee on transfer, and must not change balances by itself.
    address token;
    /// What the provider stakes.
    uint128 stake;
    /// What the publisher puts down with each challenge. Goes to the provider when the challenge is answered.
    uint128 bond;
    /// Tells how much the publisher has deposited, see IFunding. Zero: payment is not looked at.
    address funding;
    /// Less than this available means unpaid.
    uint128 minFunding;
    /// Rules on retrieval and on equivocation. Zero: nobody does.
    address arbiter;
    /// Time to answer a challenge or heal a fault. At least as long as a full check of the volume takes.
    uint32 challengeWindow;
    /// Time after an answered challenge in which no other may be opened.
    uint32 cooldown;
    /// Time between the first notice of being unpaid and the provider's right to leave.
    uint32 grace;
    /// Time between the provider's notice and his right to leave a volume that is paid for. Zero: he may not.
    uint32 notice;
    /// From this many lost epochs on, an older version is worth nothing.
    uint32 staleEpochs;
    /// Share of the stake, in 1/10000, that the publisher gets for any fault that is not healed, however little is lost.
    uint16 refundShareBps;
    /// What an equivocation costs.
    Penalty equivocation;
}

/// @notice EIP-712 message by which the publisher accepts terms and vouches for the signer inside the TEE.
struct Agreement {
    address publisher;
    address provider;
    bytes32 podId;
    uint32 index;
    Terms terms;
    /// Address of the key that the storage plane made inside the TEE.
    address signer;
    /// Last second at which the volume may be opened with it.
    uint64 expires;
}

/// @notice EIP-712 message of the storage plane: this version is committed. Also the leaf of an aggregate.
///
/// Of a volume: `root` is the BLAKE3-256 digest of the commit block, `epoch` the number of the commit. Of a plane, whose
/// id is made of its signer alone: `root` is the aggregate, the root of a Merkle tree (sorted pairs, keccak256) over
/// `hashStruct(Publication)` of its volumes, and `epoch` counts its aggregates.
struct Publication {
    VolumeId volume;
    /// The boot that the instance holds.
    uint64 boot;
    uint64 epoch;
    bytes32 root;
    /// The root that stands on chain and is replaced; zero for the first. In a leaf: the root of the volume's own head.
    bytes32 previousRoot;
}

/// @notice EIP-712 message of the storage plane: it has checked a whole version, in answer to a challenge (Answer) or
/// after a fault (Heal). The two are different types, so that one is never taken for the other.
struct Checked {
    VolumeId volume;
    uint64 boot;
    /// Number of the challenge that is answered.
    uint64 number;
    /// The version that was checked: between the one at the time of the challenge and the newest one, both included.
    uint64 epoch;
    bytes32 root;
}

/// @notice EIP-712 message of the storage plane: the newest version is damaged or gone.
struct Fault {
    VolumeId volume;
    uint64 boot;
    /// Number of faults of this volume, this one included.
    uint64 number;
    /// The newest version on chain, which cannot be read.
    uint64 epoch;
    bytes32 root;
    /// The newest version that can be read as a whole; zero and zero if there is none.
    uint64 survivingEpoch;
    bytes32 survivingRoot;
}

/// @notice EIP-712 message of the storage plane: here lies the encrypted volume, checked as a whole.
struct Locator {
    VolumeId volume;
    uint64 boot;
    /// Number of the challenge that is answered.
    uint64 number;
    /// The version that lies there.
    uint64 epoch;
    bytes32 root;
    /// A URI, at most 2048 bytes.
    string locator;
}

/// @notice How a publication was signed, to prove an equivocation.
/// Alone: `path` empty and `aggregate` zero. In a batch: `path` holds the struct hashes of the whole batch, `aggregate` is
/// zero. In an aggregate: `path` is the Merkle proof (empty if it is the only leaf), `aggregate` the plane's publication.
struct Evidence {
    Publication publication;
    bytes32[] path;
    Publication aggregate;
    bytes signature;
}

/// @notice Which rule terms break.
enum TermsRule {
    /// The token is a contract.
    Token,
    /// There is a stake.
    Stake,
    /// There is a bond: without one a publisher could have the volume read from end to end, for nothing, for ever.
    Bond,
    /// There is time to answer.
    ChallengeWindow,
    /// At least one epoch must be lost for a version to be worth nothing.
    StaleEpochs,
    /// A share is at most the whole.
    RefundShare,
    /// The arbiter is neither side.
    Arbiter,
    /// No time is above ten years.
    Times,
    /// The funding adapter is a contract, and a minimum goes with it.
    Funding,
    /// The provider can leave: unpaid, or by notice.
    WayOut,
    /// One more challenge fits into the grace period.
    Grace,
    /// One more challenge fits into the notice.
    Notice
}

/// @notice Where a volume stands. From the top, the first that applies.
enum Status {
    /// Nothing is known of it.
    None,
    /// Offered by one side and not accepted.
    Offered,
    /// In use.
    Active,
    /// A challenge is open, or a fault not healed.
    Challenged,
    /// Unpaid; the provider may leave when the grace period is over.
    Grace,
    /// The provider has given notice.
    Leaving,
    /// The storage plane has equivocated; see Penalty.
    Frozen,
    /// Ended with the stake, or a part of it, paid to the publisher.
    Slashed,
    /// Ended by exit, release or settlement.
    Closed
}

/// @notice A volume has two tracks of challenges, so that a fault cannot be used to evade a retrieval.
enum Track {
    Storage,
    Retrieval
}

/// @notice What is asked of the provider.
enum ChallengeKind {
    None,
    /// Show that the storage plane is there and the volume is whole.
    Presence,
    /// Bring back what the storage plane reports as lost.
    Fault,
    /// Hand over the encrypted volume.
    Retrieval
}

/// @notice What stands on chain for a volume, or for a plane.
struct Head {
    /// The newest root published; zero before the first.
    bytes32 root;
    /// Its epoch.
    uint64 epoch;
    /// The boot that may publish; zero before the first.
    uint64 boot;
    /// Time of the block that took the newest publication; before the first, time of opening.
    uint64 publishedAt;
    /// The key inside the TEE; zero when nobody may publish.
    address signer;
}

/// @notice A challenge that is open; all zero if there is none.
struct Challenge {
    ChallengeKind kind;
    /// Counts the challenges of a volume, of both tracks, from one.
    uint64 number;
    uint64 openedAt;
    /// Last second at which it can be answered.
    uint64 deadline;
    /// The version on chain when it was opened.
    uint64 epoch;
    bytes32 root;
    /// Put down by the publisher; zero for a fault nobody asked for.
    uint128 bond;
    /// Of a fault: what can still be read.
    uint64 survivingEpoch;
    bytes32 survivingRoot;
}

/// @notice All that is known of a volume but its head and its challenges.
struct Record {
    VolumeKey key;
    Terms terms;
    Status status;
    /// What is staked now; zero once the volume has ended.
    uint128 stake;
    /// Who has offered, while it is only offered; and expiry and signer of the offer.
    address offeredBy;
    uint64 offerExpires;
    address offeredSigner;
    /// Time of opening; zero before.
    uint64 openedAt;
    /// End of the grace period; zero if none runs.
    uint64 graceEnds;
    /// End of the provider's notice; zero if none runs.
    uint64 noticeEnds;
    /// End of the freeze; zero if there is none.
    uint64 frozenUntil;
    /// From when on the publisher may challenge again, by track.
    uint64 storageCooldownEnds;
    uint64 retrievalCooldownEnds;
    /// Challenges, faults and changes of the signer so far: the numbers that messages are bound to.
    uint64 challenges;
    uint64 faults;
    uint64 rotations;
    /// How many of those changes were replacements by both parties.
    uint64 replacements;
}
