//! The storage plane's side of the contract, on a real chain: publishing, fencing,
//! reorganisations, fees, challenges.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use cairn_block::{Anchor, AnchorError, Cancel, ChallengeKind, Fault, Version};
use cairn_chain::bindings::{BootedFilter, ChallengeCall, ClaimCall, PublishedFilter};
use cairn_chain::history::{Range, events};
use cairn_chain::testing::{Anvil, BOND, Liar, Lie, STAKE, Setup, WINDOW, within};
use cairn_chain::{EthAnchor, Key, Standing, Status, Track};
use std::time::Duration;

/// Long enough for a machine that does much else; what should be quick is not held up by it.
const LONG: Duration = Duration::from_secs(300);

fn version(epoch: u64) -> Version {
    Version::from_digest(epoch, [epoch as u8; 32])
}

fn nonce(byte: u8) -> [u8; 32] {
    [byte; 32]
}

fn booted(setup: &Setup) -> EthAnchor {
    let anchor = setup.anchor();
    setup
        .anvil
        .while_mining(|| anchor.boot(nonce(1), &within(LONG)).unwrap());
    anchor
}

fn publish(setup: &Setup, anchor: &EthAnchor, previous: Option<Version>, next: Version) {
    setup
        .anvil
        .while_mining(|| anchor.publish(previous, next, &within(LONG)).unwrap());
}

/// Waits until `condition`, which the chain or another thread brings about.
fn until(what: &str, condition: impl Fn() -> bool) {
    let patience = within(LONG);
    while !condition() {
        assert!(!patience.wait(Duration::from_millis(10)), "never: {what}");
    }
}

fn published_now(setup: &Setup) -> u64 {
    let contract = setup.contract_now();
    contract
        .head(&contract.view().unwrap(), setup.volume.id())
        .unwrap()
        .epoch
}

#[test]
fn publish_restart_publish() {
    let setup = Setup::new();
    let first = setup.anchor();
    assert_eq!(first.latest().unwrap(), None);
    assert_eq!(
        setup
            .anvil
            .while_mining(|| first.boot(nonce(1), &within(LONG)))
            .unwrap(),
        None
    );
    publish(&setup, &first, None, version(5));
    publish(&setup, &first, Some(version(5)), version(9));
    drop(first);

    let second = setup.anchor();
    let stood = setup
        .anvil
        .while_mining(|| second.boot(nonce(2), &within(LONG)))
        .unwrap();
    assert_eq!(stood, Some(version(9)));
    publish(&setup, &second, Some(version(9)), version(10));
    assert_eq!(second.latest().unwrap(), Some(version(10)));
}

#[test]
fn publishing_and_booting_take_no_more_gas_than_the_contract_promises() {
    let setup = Setup::new();
    let first = booted(&setup);
    // The first root of a volume takes more: nothing stood there.
    publish(&setup, &first, None, version(5));
    publish(&setup, &first, Some(version(5)), version(9));
    let second = setup.anchor();
    setup
        .anvil
        .while_mining(|| second.boot(nonce(2), &within(LONG)).unwrap());

    let contract = setup.contract_now();
    let range = Range {
        from: 0,
        to: contract.view().unwrap().number,
    };
    let id = setup.volume.id();
    let published = events::<PublishedFilter>(&contract, id, range).unwrap();
    let booted = events::<BootedFilter>(&contract, id, range).unwrap();
    for (transaction, limit) in [
        (published.last().unwrap().transaction, 41_000),
        (booted.last().unwrap().transaction, 40_000),
    ] {
        let receipt: cairn_chain::party::Receipt = setup
            .anvil
            .ask("eth_getTransactionReceipt", serde_json::json!([transaction]));
        assert!(receipt.gas_used.as_u64() <= limit, "{receipt:?}");
    }
}

#[test]
fn what_is_published_already_is_published_and_anything_else_in_its_place_a_conflict() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    publish(&setup, &anchor, None, version(5));
    publish(&setup, &anchor, None, version(5));
    for (previous, next) in [(None, 7), (Some(3), 7), (Some(5), 4)] {
        let answer = anchor.publish(previous.map(version), version(next), &within(LONG));
        assert!(
            matches!(answer, Err(AnchorError::Conflict { latest }) if latest == Some(version(5))),
            "{previous:?} -> {next}: {answer:?}"
        );
    }
}

#[test]
fn a_second_instance_fences_the_first() {
    let setup = Setup::new();
    let first = booted(&setup);
    publish(&setup, &first, None, version(5));
    let second = setup.anchor();
    setup
        .anvil
        .while_mining(|| second.boot(nonce(2), &within(LONG)).unwrap());
    let answer = first.publish(Some(version(5)), version(6), &within(LONG));
    assert!(matches!(answer, Err(AnchorError::Fenced)), "{answer:?}");
    publish(&setup, &second, Some(version(5)), version(6));
    // Nor does what the first says of a check count any more.
    setup.approve(&setup.publisher, setup.staking, BOND);
    setup.send(&setup.publisher, setup.staking, challenge(&setup, Track::Storage));
    setup.anvil.settle();
    let asked = first.pending_challenge().unwrap().unwrap();
    let answer = first.answer(&asked, version(6), &within(LONG));
    assert!(matches!(answer, Err(AnchorError::Fenced)), "{answer:?}");
}

fn challenge(setup: &Setup, track: Track) -> ChallengeCall {
    ChallengeCall {
        volume: setup.volume.id().0,
        track: track as u8,
    }
}

#[test]
fn a_publication_that_a_reorganisation_takes_out_is_sent_again_until_it_is_final() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| anchor.publish(None, version(5), &within(LONG)));
        until("it is in a block", || published_now(&setup) == 5);
        setup.anvil.automine(false);
        setup.anvil.reorg(2);
        assert_eq!(published_now(&setup), 0, "the reorganisation took it out");
        until("it is sent again", || setup.anvil.waiting() == 1);
        setup.anvil.while_mining(|| publishing.join().unwrap().unwrap());
    });
    assert_eq!(anchor.latest().unwrap(), Some(version(5)));
}

#[test]
fn a_gas_price_that_rises_tenfold_while_publishing_is_outbid() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    setup.anvil.automine(false);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| anchor.publish(None, version(5), &within(LONG)));
        until("it waits", || setup.anvil.waiting() == 1);
        setup.anvil.base_fee(100);
        setup.anvil.mine(1);
        assert_eq!(
            published_now(&setup),
            0,
            "what was offered is not enough any more"
        );
        until("more is offered, and it is taken", || {
            setup.anvil.mine(1);
            published_now(&setup) == 5
        });
        setup.anvil.while_mining(|| publishing.join().unwrap().unwrap());
    });
}

#[test]
fn no_price_above_the_limit_is_ever_offered() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    setup.anvil.base_fee(600);
    setup.anvil.mine(1);
    setup.anvil.automine(false);
    // Endpoints that made the price up would have us pay it: it is refused, and the purse stays
    // shut.
    let answer = anchor.publish(None, version(5), &within(Duration::from_millis(300)));
    assert!(matches!(answer, Err(AnchorError::Cancelled)), "{answer:?}");
    assert_eq!(setup.anvil.waiting(), 0);
}

#[test]
fn transactions_that_an_endpoint_swallows_are_sent_again() {
    let setup = Setup::new();
    let liar = Liar::start(&setup.anvil);
    let mut config = setup.config();
    config.rpc = vec![liar.url().into()];
    let anchor = setup.anchor_with(&config, &setup.signer);
    setup
        .anvil
        .while_mining(|| anchor.boot(nonce(1), &within(LONG)).unwrap());
    liar.tell(Lie::Swallow);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| anchor.publish(None, version(5), &within(LONG)));
        setup.anvil.mine(3);
        assert_eq!(published_now(&setup), 0);
        liar.tell(Lie::Truth);
        setup.anvil.while_mining(|| publishing.join().unwrap().unwrap());
    });
}

#[test]
fn an_endpoint_that_hides_new_blocks_lets_nobody_boot() {
    let setup = Setup::new();
    let first = booted(&setup);
    publish(&setup, &first, None, version(5));
    let liar = Liar::start(&setup.anvil);
    let mut config = setup.config();
    config.rpc = vec![liar.url().into()];
    let second = setup.anchor_with(&config, &setup.signer);
    let seen = second.contract().view().unwrap().number;
    publish(&setup, &first, Some(version(5)), version(6));
    liar.tell(Lie::Old(seen));
    assert_eq!(
        second.latest().unwrap(),
        Some(version(5)),
        "by itself an old view cannot be told"
    );
    let answer = setup
        .anvil
        .while_mining(|| second.boot(nonce(2), &within(Duration::from_secs(2))));
    assert!(answer.is_err(), "{answer:?}");
    liar.tell(Lie::Truth);
    let stood = setup
        .anvil
        .while_mining(|| second.boot(nonce(3), &within(LONG)))
        .unwrap();
    assert_eq!(stood, Some(version(6)));
}

#[test]
fn lies_about_the_contract_are_not_believed() {
    let setup = Setup::new();
    let liar = Liar::start(&setup.anvil);
    let mut config = setup.config();
    config.rpc = vec![liar.url().into()];
    let contract = setup.contract_now();
    let code = contract
        .chain()
        .code(&contract.view().unwrap(), setup.staking)
        .unwrap();
    config.code_hash = Some(ethers_core::utils::keccak256(code).into());
    let fresh = || setup.anchor_with(&config, &setup.signer);
    assert_eq!(fresh().latest().unwrap(), None);
    for lie in [
        Lie::OtherCode,
        Lie::OtherChain,
        Lie::Calls(vec![0; 32]),
        Lie::Calls(vec![]),
        Lie::Calls(vec![0xff; 8192]),
    ] {
        liar.tell(lie.clone());
        let answer = fresh().latest();
        assert!(
            matches!(answer, Err(AnchorError::Untrustworthy { .. })),
            "{lie:?}: {answer:?}"
        );
    }
    for lie in [Lie::Garbage, Lie::Nonsense, Lie::Endless] {
        liar.tell(lie.clone());
        let answer = fresh().latest();
        assert!(
            matches!(answer, Err(AnchorError::Untrustworthy { .. })),
            "{lie:?}: {answer:?}"
        );
    }
    let mut hasty = config.clone();
    hasty.deadline_secs = 1;
    for lie in [Lie::Silence, Lie::Failing] {
        liar.tell(lie.clone());
        let answer = setup.anchor_with(&hasty, &setup.signer).latest();
        assert!(
            matches!(answer, Err(AnchorError::Unreachable { .. })),
            "{lie:?}: {answer:?}"
        );
    }
    liar.tell(Lie::Truth);
    let mut other = config.clone();
    other.code_hash = None;
    for (what, address) in [
        ("another contract", setup.token),
        ("no contract", setup.gas.address()),
    ] {
        other.contract = address;
        let answer = setup.anchor_with(&other, &setup.signer).latest();
        assert!(
            matches!(answer, Err(AnchorError::Untrustworthy { .. })),
            "{what}: {answer:?}"
        );
    }
}

#[test]
fn a_challenge_is_seen_answered_and_its_bond_goes_to_the_provider() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    publish(&setup, &anchor, None, version(5));
    assert_eq!(anchor.pending_challenge().unwrap(), None);
    setup.approve(&setup.publisher, setup.staking, BOND);
    setup.send(&setup.publisher, setup.staking, challenge(&setup, Track::Storage));
    setup.anvil.settle();
    let asked = anchor.pending_challenge().unwrap().unwrap();
    assert_eq!(asked.kind, ChallengeKind::Integrity);
    let wrong = anchor.answer(&asked, version(4), &within(LONG));
    assert!(matches!(wrong, Err(AnchorError::Conflict { .. })), "{wrong:?}");
    setup
        .anvil
        .while_mining(|| anchor.answer(&asked, version(5), &within(LONG)))
        .unwrap();
    assert_eq!(anchor.pending_challenge().unwrap(), None);
    anchor.answer(&asked, version(5), &within(LONG)).unwrap();
    let contract = setup.contract_now();
    let credit = contract
        .credit(&contract.view().unwrap(), setup.token, setup.provider.address())
        .unwrap();
    assert_eq!(credit.as_u128(), BOND);
}

#[test]
fn a_challenge_that_is_missed_pays_the_publisher() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    publish(&setup, &anchor, None, version(5));
    setup.approve(&setup.publisher, setup.staking, BOND);
    setup.send(&setup.publisher, setup.staking, challenge(&setup, Track::Storage));
    setup.anvil.settle();
    let asked = anchor.pending_challenge().unwrap().unwrap();
    let claim = || ClaimCall {
        volume: setup.volume.id().0,
        track: Track::Storage as u8,
    };
    setup.try_send(&setup.publisher, claim()).unwrap_err();
    setup.anvil.pass(u64::from(WINDOW) + 1);
    let late = anchor.answer(&asked, version(5), &within(LONG));
    assert!(matches!(late, Err(AnchorError::Refused { .. })), "{late:?}");
    setup.send(&setup.publisher, setup.staking, claim());
    let contract = setup.contract_now();
    let credit = contract
        .credit(&contract.view().unwrap(), setup.token, setup.publisher.address())
        .unwrap();
    assert_eq!(credit.as_u128(), STAKE + BOND);
    let standing = Standing::read(&contract, setup.volume.id(), None).unwrap();
    assert_eq!(standing.status, Status::Slashed);
    setup.anvil.settle();
    let after = anchor.answer(&asked, version(5), &within(LONG));
    assert!(matches!(after, Err(AnchorError::Refused { .. })), "{after:?}");
}

#[test]
fn a_fault_is_reported_stands_as_a_challenge_and_is_healed() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    publish(&setup, &anchor, None, version(5));
    publish(&setup, &anchor, Some(version(5)), version(6));
    let fault = Fault {
        version: version(6),
        survivor: Some(version(5)),
    };
    setup
        .anvil
        .while_mining(|| anchor.report_fault(&fault, &within(LONG)))
        .unwrap();
    anchor.report_fault(&fault, &within(LONG)).unwrap();
    let asked = anchor.pending_challenge().unwrap().unwrap();
    assert_eq!(asked.kind, ChallengeKind::Integrity);
    setup
        .anvil
        .while_mining(|| anchor.answer(&asked, version(6), &within(LONG)))
        .unwrap();
    assert_eq!(anchor.pending_challenge().unwrap(), None);
    let contract = setup.contract_now();
    let standing = Standing::read(&contract, setup.volume.id(), None).unwrap();
    assert_eq!(standing.status, Status::Active);
}

#[test]
fn a_retrieval_is_answered_by_who_has_a_locator_and_left_alone_by_who_has_none() {
    let setup = Setup::new();
    let anchor = booted(&setup);
    publish(&setup, &anchor, None, version(5));
    setup.approve(&setup.publisher, setup.staking, BOND);
    setup.send(
        &setup.publisher,
        setup.staking,
        challenge(&setup, Track::Retrieval),
    );
    setup.anvil.settle();
    assert_eq!(anchor.pending_challenge().unwrap(), None);
    let mut config = setup.config();
    config.locator = Some("https://provider.example/volume.car".into());
    let anchor = setup.anchor_with(&config, &setup.signer);
    setup
        .anvil
        .while_mining(|| anchor.boot(nonce(2), &within(LONG)).unwrap());
    let asked = anchor.pending_challenge().unwrap().unwrap();
    assert_eq!(asked.kind, ChallengeKind::Retrieval);
    setup
        .anvil
        .while_mining(|| anchor.answer(&asked, version(5), &within(LONG)))
        .unwrap();
    assert_eq!(anchor.pending_challenge().unwrap(), None);
}

#[test]
fn another_signer_than_the_volumes_is_refused_before_gas_is_paid() {
    let setup = Setup::new();
    let anchor = setup.anchor_with(&setup.config(), &Key::random());
    let before: String = setup.anvil.ask(
        "eth_getBalance",
        serde_json::json!([setup.gas.address(), "latest"]),
    );
    let answer = anchor.boot(nonce(1), &within(LONG));
    assert!(matches!(answer, Err(AnchorError::Refused { .. })), "{answer:?}");
    let after: String = setup.anvil.ask(
        "eth_getBalance",
        serde_json::json!([setup.gas.address(), "latest"]),
    );
    assert_eq!(before, after);
}

#[test]
fn an_empty_gas_account_is_named() {
    let setup = Setup::new();
    let mut config = setup.config();
    config.patience_secs = 0;
    let anchor = setup.anchor_with(&config, &setup.signer);
    setup
        .anvil
        .while_mining(|| anchor.boot(nonce(1), &within(LONG)).unwrap());
    setup.anvil.ask::<serde_json::Value>(
        "anvil_setBalance",
        serde_json::json!([setup.gas.address(), "0x1"]),
    );
    let answer = anchor.publish(None, version(5), &Cancel::new());
    let Err(AnchorError::Refused { why, .. }) = answer else {
        panic!("{answer:?}")
    };
    assert!(why.contains(&format!("{:?}", setup.gas.address())), "{why}");
}

#[test]
fn an_anvil_ends_with_its_test() {
    let anvil = Anvil::start();
    let url = anvil.url().to_owned();
    drop(anvil);
    let endpoint = cairn_chain::rpc::Endpoint::new(&url, Duration::from_secs(1)).unwrap();
    endpoint
        .ask::<String>("eth_chainId", &serde_json::json!([]))
        .unwrap_err();
}
