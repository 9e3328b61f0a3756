//! The contract does what its rules say. Random acts, right and wrong ones, run on a chain and in
//! a model of the rules; both are compared after each. A failure names the seed that replays it.
//!
//! ```text
//! seed --> Acts --act--> Rules (the rules, written anew)      what may be withdrawn, owed, held;
//!                  '---> Ledger (anvil, the contract)         heads, records, challenges: the same
//! ```
//!
//! `CAIRN_MODEL_SEED` and `CAIRN_MODEL_STEPS` replay one, or go on for longer.

mod acts;
mod ledger;
mod rules;

use acts::Acts;
use ledger::Ledger;
use rules::{Rules, Who};
use std::collections::BTreeMap;

/// An ended volume is never opened again, so there must be many.
const VOLUMES: usize = 64;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Compares money, planes and the given volumes.
fn compare(rules: &Rules, ledger: &Ledger, volumes: &[usize], at: &str) {
    for head in volumes.iter().copied().chain(VOLUMES..VOLUMES + 2) {
        assert_eq!(ledger.head(head), rules.heads[head], "head {head} {at}");
    }
    for &v in volumes {
        let volume = &rules.volumes[v];
        let found = ledger.record(v);
        assert_eq!(found.status, volume.status() as u8, "status of {v} {at}");
        assert_eq!(found.stake, volume.stake, "stake of {v} {at}");
        let times = [
            found.opened_at,
            found.grace_ends,
            found.notice_ends,
            found.frozen_until,
        ];
        let expected = [
            volume.opened_at,
            volume.grace_ends,
            volume.notice_ends,
            volume.frozen_until,
        ];
        assert_eq!(times, expected, "opened, grace, notice, frozen of {v} {at}");
        let cooled = [found.storage_cooldown_ends, found.retrieval_cooldown_ends];
        assert_eq!(cooled, volume.cooled, "cooldowns of {v} {at}");
        let counts = [
            found.challenges,
            found.faults,
            found.rotations,
            found.replacements,
        ];
        let expected = [
            volume.challenges,
            volume.faults,
            volume.rotations,
            volume.replacements,
        ];
        assert_eq!(
            counts, expected,
            "challenges, faults, rotations, replacements of {v} {at}"
        );
        for track in 0..2 {
            assert_eq!(
                ledger.open(v, track),
                volume.open[track],
                "track {track} of {v} {at}"
            );
        }
    }
    assert_eq!(ledger.owed(), rules.owed.into(), "owed {at}");
    assert!(ledger.is_solvent(), "the contract holds what it owes {at}");
    for who in [Who::Publisher, Who::Provider] {
        let credit = rules.credits.get(&who).copied().unwrap_or_default();
        assert_eq!(ledger.credit(who), credit.into(), "credit of {who:?} {at}");
        assert_eq!(
            ledger.won(who),
            rules.holds.get(&who).copied().unwrap_or_default(),
            "tokens of {who:?} {at}"
        );
    }
}

/// Runs `steps` acts, and tells how often each kind succeeded.
fn run(seed: u64, steps: u64) -> BTreeMap<String, u64> {
    let ledger = Ledger::new(VOLUMES);
    let mut rules = Rules::new(VOLUMES, ledger.now());
    let mut acts = Acts::new(
        seed,
        ledger.terms(),
        (0..VOLUMES + 2).map(|head| ledger.id(head)).collect(),
    );
    let mut done = BTreeMap::new();
    for step in 0..steps {
        let (act, wait) = acts.next(&rules);
        let now = rules.now + wait;
        let at = format!("after step {step} of CAIRN_MODEL_SEED={seed}, {wait} s later: {act:?}");
        let played: Vec<usize> = acts::live(&rules).collect();
        let found = ledger.act(&act, now);
        let expected = rules.act(&act, now).map_err(str::to_owned);
        assert_eq!(found, expected, "the chain and the rules {at}");
        compare(&rules, &ledger, &played, &at);
        if found.is_ok() {
            let kind = format!("{act:?}")
                .split([' ', '{'])
                .next()
                .unwrap_or_default()
                .to_owned();
            *done.entry(kind).or_default() += 1;
        }
    }
    let all: Vec<usize> = (0..VOLUMES).collect();
    compare(
        &rules,
        &ledger,
        &all,
        &format!("at the end of CAIRN_MODEL_SEED={seed}"),
    );
    done
}

#[test]
fn the_contract_does_what_the_rules_say() {
    let steps = setting("CAIRN_MODEL_STEPS", 500);
    let seed = setting("CAIRN_MODEL_SEED", 4);
    let done = run(seed, steps);
    println!("seed {seed}: {done:?}");
    // A model that never gets anywhere would agree with anything.
    let missing: Vec<&str> = acts::KINDS
        .iter()
        .copied()
        .filter(|kind| !done.contains_key(*kind))
        .collect();
    assert!(
        steps < 500 || missing.is_empty(),
        "never succeeded with seed {seed}: {missing:?}"
    );
}
