//! Endpoints that lie, hang or flood. The answer is the truth or an error, in bounded time and
//! memory.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use cairn_chain::error::Error;
use cairn_chain::quorum::Quorum;
use cairn_chain::rpc::Endpoint;
use cairn_chain::testing::{Anvil, Liar, Lie};
use cairn_chain::view::{Chain, Finality};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(2);
const CHAIN_ID: u64 = 31337;

fn chain(endpoints: &[&str], wanted: usize) -> Chain {
    let endpoints = endpoints
        .iter()
        .map(|url| Endpoint::new(url, DEADLINE).unwrap())
        .collect();
    Chain::new(
        Quorum::new(endpoints, Some(wanted)).unwrap(),
        CHAIN_ID,
        Finality::Finalized,
        None,
    )
}

/// Bytes of memory this process has ever used.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn an_endpoint_that_answers_with_four_gibibytes_is_cut_off_and_takes_no_memory() {
    let anvil = Anvil::start();
    let liar = Liar::start(&anvil);
    let chain = chain(&[liar.url()], 1);
    chain.view().unwrap();
    let before = peak_bytes();
    liar.tell(Lie::Endless);
    let error = chain.view().unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    assert!(peak_bytes() - before < 64 << 20);
}

#[test]
fn silence_and_a_drip_end_at_the_deadline() {
    let anvil = Anvil::start();
    let liar = Liar::start(&anvil);
    let chain = chain(&[liar.url()], 1);
    for lie in [Lie::Silence, Lie::Drip] {
        liar.tell(lie.clone());
        let begin = Instant::now();
        let error = chain.view().unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{lie:?}: {error}");
        assert!(begin.elapsed() < DEADLINE * 3, "{lie:?}");
    }
}

#[test]
fn garbage_noise_nonsense_failures_and_redirects_are_errors() {
    let anvil = Anvil::start();
    let liar = Liar::start(&anvil);
    let chain = chain(&[liar.url()], 1);
    for lie in [
        Lie::Garbage,
        Lie::Noise,
        Lie::Nonsense,
        Lie::Failing,
        Lie::Redirect,
    ] {
        liar.tell(lie.clone());
        let error = chain.view().unwrap_err();
        assert!(error.is_passing(), "{lie:?}: {error}");
        assert!(
            !error.to_string().contains('\u{1b}'),
            "{lie:?} steers the terminal"
        );
    }
    liar.tell(Lie::Truth);
    chain.view().unwrap();
}

#[test]
fn another_chain_is_refused_by_its_number() {
    let anvil = Anvil::start();
    let liar = Liar::start(&anvil);
    liar.tell(Lie::OtherChain);
    let error = chain(&[liar.url()], 1).view().unwrap_err();
    assert!(
        matches!(
            error,
            Error::WrongChain {
                wanted: CHAIN_ID,
                found: 1337,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn two_honest_endpoints_outvote_any_liar() {
    let anvil = Anvil::start();
    anvil.mine(40);
    let (liar, honest) = (Liar::start(&anvil), Liar::start(&anvil));
    let chain = chain(&[liar.url(), honest.url(), anvil.url()], 2);
    let right = chain.view().unwrap();
    for lie in [
        Lie::Silence,
        Lie::Noise,
        Lie::Garbage,
        Lie::Nonsense,
        Lie::Endless,
        Lie::Failing,
        Lie::Old(3),
        Lie::OtherChain,
    ] {
        liar.tell(lie.clone());
        assert_eq!(
            chain.view().unwrap_or_else(|error| panic!("{lie:?}: {error}")),
            right,
            "{lie:?}"
        );
    }
}

#[test]
fn a_silent_endpoint_does_not_hold_up_the_others() {
    let anvil = Anvil::start();
    let liar = Liar::start(&anvil);
    liar.tell(Lie::Silence);
    let honest = Liar::start(&anvil);
    let chain = chain(&[liar.url(), honest.url(), anvil.url()], 2);
    let begin = Instant::now();
    chain.view().unwrap();
    assert!(begin.elapsed() < DEADLINE, "{:?}", begin.elapsed());
}

/// Blocks an hour apart, so that an old height is also an old time.
fn hours_old(anvil: &Anvil) {
    for _ in 0..40 {
        anvil.pass(3600);
        anvil.mine(1);
    }
}

#[test]
fn a_stale_endpoint_does_not_win_while_an_honest_one_is_slow() {
    let anvil = Anvil::start();
    hours_old(&anvil);
    let (stale, slow) = (Liar::start(&anvil), Liar::start(&anvil));
    let chain = chain(&[stale.url(), slow.url(), anvil.url()], 2);
    let right = chain.view().unwrap();
    stale.tell(Lie::Old(3));
    slow.tell(Lie::Slow(Duration::from_millis(600)));
    assert_eq!(chain.view().unwrap(), right);
}

#[test]
fn a_stale_endpoint_beside_a_single_honest_one_is_an_error_and_no_old_truth() {
    let anvil = Anvil::start();
    hours_old(&anvil);
    let (stale, silent) = (Liar::start(&anvil), Liar::start(&anvil));
    // The first look: no memory of a higher block helps.
    let fresh = || chain(&[stale.url(), silent.url(), anvil.url()], 2);
    silent.tell(Lie::Silence);
    for lie in [Lie::Old(3), Lie::OldAsNew(3)] {
        stale.tell(lie.clone());
        let error = fresh().view().unwrap_err();
        assert!(
            matches!(error, Error::Disagree { .. } | Error::OldChain { .. }),
            "{lie:?}: {error}"
        );
    }
    // An endpoint that is behind by less than nodes are at times is not stale.
    stale.tell(Lie::Truth);
    fresh().view().unwrap();
}

#[test]
fn a_height_that_one_endpoint_makes_up_does_not_hide_the_true_one() {
    let anvil = Anvil::start();
    anvil.mine(40);
    let (liar, honest) = (Liar::start(&anvil), Liar::start(&anvil));
    let chain = chain(&[liar.url(), honest.url(), anvil.url()], 2);
    let right = chain.view().unwrap();
    liar.tell(Lie::Ahead(1 << 40));
    assert_eq!(chain.view().unwrap(), right);
}

#[test]
fn endpoints_of_one_host_have_one_vote() {
    let anvil = Anvil::start();
    anvil.mine(40);
    let liar = Liar::start(&anvil);
    let twice = || {
        let urls = [liar.url(), liar.url(), anvil.url()];
        urls.map(|url| Endpoint::new(url, DEADLINE).unwrap()).into()
    };
    let error = Quorum::new(twice(), Some(3)).unwrap_err();
    assert!(error.to_string().contains("of 2 hosts"), "{error}");
    let chain = Chain::new(
        Quorum::new(twice(), None).unwrap(),
        CHAIN_ID,
        Finality::Finalized,
        None,
    );
    chain.view().unwrap();
    liar.tell(Lie::OtherChain);
    let error = chain.view().unwrap_err();
    assert!(
        matches!(error, Error::Disagree { .. }),
        "outvoted by itself: {error}"
    );
}

#[test]
fn one_liar_and_one_honest_endpoint_agree_on_nothing() {
    let anvil = Anvil::start();
    anvil.mine(40);
    let (liar, honest) = (Liar::start(&anvil), Liar::start(&anvil));
    honest.tell(Lie::Truth);
    let chain = chain(&[liar.url(), honest.url()], 2);
    let right = chain.view().unwrap();
    liar.tell(Lie::OtherChain);
    let error = chain.view().unwrap_err();
    assert!(matches!(error, Error::Disagree { .. }), "{error}");
    liar.tell(Lie::Truth);
    assert_eq!(chain.view().unwrap(), right);
}

#[test]
fn a_chain_that_goes_back_after_it_was_seen_is_refused() {
    let anvil = Anvil::start();
    anvil.mine(40);
    let liar = Liar::start(&anvil);
    let chain = chain(&[liar.url()], 1);
    let seen = chain.view().unwrap();
    liar.tell(Lie::Old(seen.number - 1));
    let error = chain.view().unwrap_err();
    assert!(matches!(error, Error::OldChain { .. }), "{error}");
    liar.tell(Lie::Truth);
    assert_eq!(chain.view().unwrap(), seen);
}

#[test]
fn a_newest_block_that_is_too_old_is_not_believed() {
    let anvil = Anvil::start_with(&["--timestamp", "1700000000"]);
    let endpoint = || vec![Endpoint::new(anvil.url(), DEADLINE).unwrap()];
    let limit = |age| {
        Chain::new(
            Quorum::new(endpoint(), Some(1)).unwrap(),
            CHAIN_ID,
            Finality::Finalized,
            age,
        )
    };
    limit(None).view().unwrap();
    let error = limit(Some(Duration::from_secs(3600))).view().unwrap_err();
    assert!(matches!(error, Error::OldChain { .. }), "{error}");
}
