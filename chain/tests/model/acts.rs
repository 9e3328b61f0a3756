//! The next act: mostly one that may succeed as things stand, and often enough one that is off by
//! a little.

use crate::rules::{Act, Check, HeadNo, KeyNo, Root, Rules, Who};
use cairn_chain::Status;
use cairn_chain::bindings::{Publication, Terms};
use cairn_chain::message::Message;
use cairn_chain::testing::{GRACE, MIN_FUNDING, WINDOW};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Played with at a time; an ended one makes room for the next.
const LIVE: usize = 3;

/// All kinds of acts.
pub(crate) const KINDS: [&str; 29] = [
    "Offer",
    "WithdrawOffer",
    "Accept",
    "OpenPlane",
    "Boot",
    "Publish",
    "Batch",
    "Checkpoint",
    "Challenge",
    "Answer",
    "Heal",
    "Fault",
    "Acknowledge",
    "Locate",
    "Rule",
    "Claim",
    "ClaimFrozen",
    "StartGrace",
    "CancelGrace",
    "Deposit",
    "Draw",
    "GiveNotice",
    "Exit",
    "Release",
    "Settle",
    "Withdraw",
    "Rotate",
    "Replace",
    "Equivocate",
];

/// A source of acts.
pub(crate) struct Acts {
    rng: StdRng,
    terms: Terms,
    ids: Vec<[u8; 32]>,
}

impl Acts {
    /// The same for the same seed.
    pub(crate) fn new(seed: u64, terms: Terms, ids: Vec<[u8; 32]>) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            terms,
            ids,
        }
    }

    /// The next act, and how many seconds pass before it.
    pub(crate) fn next(&mut self, rules: &Rules) -> (Act, u64) {
        let live: Vec<usize> = live(rules).collect();
        let v = live[self.rng.random_range(0..live.len())];
        let kind = self.kind(rules, v);
        let act = self.act(kind, rules, v, &live);
        let wait = match self.rng.random_range(0..40) {
            0 => 1 + u64::from(GRACE),
            1..=2 => 1 + u64::from(WINDOW),
            3..=5 => self.rng.random_range(1..u64::from(WINDOW)),
            // Just at an edge: the second of a deadline, and the one after it.
            6..=9 => self.edge(rules, v),
            _ => self.rng.random_range(1..30),
        };
        (act, wait)
    }

    fn edge(&mut self, rules: &Rules, v: usize) -> u64 {
        let volume = &rules.volumes[v];
        let open = volume.open.iter().flatten().map(|open| open.deadline);
        let times = [
            volume.grace_ends,
            volume.notice_ends,
            volume.frozen_until,
            volume.expires,
        ];
        let next = open.chain(times).filter(|&time| time > rules.now).min();
        next.map_or(1, |time| time - rules.now + self.rng.random_range(0..2))
    }

    fn once_in(&mut self, times: u32) -> bool {
        self.rng.random_range(0..times) == 0
    }

    fn kind(&mut self, rules: &Rules, v: usize) -> &'static str {
        let volume = &rules.volumes[v];
        let [storage, retrieval] = volume.open;
        let paid = rules.available >= MIN_FUNDING;
        let overdue = volume.open.iter().flatten().any(|open| rules.now > open.deadline);
        let likely: &[&str] = match volume.stored {
            _ if self.once_in(8) => &KINDS,
            Status::None => &["Offer"],
            Status::Offered => &["Accept", "Accept", "Accept", "WithdrawOffer", "Offer"],
            Status::Frozen => &["Replace", "ClaimFrozen", "ClaimFrozen", "Claim", "Rule", "Settle"],
            _ if rules.heads[v].boot == 0 => &["Boot"],
            _ if overdue && self.once_in(2) => &["Claim", "Fault", "Rule"],
            _ if storage.is_some_and(|open| open.kind == 1) && self.once_in(2) => {
                &["Answer", "Fault", "Publish"]
            }
            _ if storage.is_some_and(|open| open.kind == 2) && self.once_in(2) => &["Heal", "Publish"],
            _ if retrieval.is_some() && self.once_in(2) => &["Locate", "Acknowledge", "Rule"],
            _ if volume.grace_ends != 0 && paid => &["CancelGrace", "CancelGrace", "Draw"],
            _ if volume.grace_ends != 0 && self.once_in(2) => &["Exit", "Deposit"],
            _ if volume.notice_ends != 0 && self.once_in(3) => &["Exit"],
            _ if self.once_in(2) => &[
                "Publish",
                "Publish",
                "Batch",
                "Challenge",
                "Challenge",
                "Fault",
                "Boot",
            ],
            _ if self.once_in(2) => &[
                "OpenPlane",
                "Checkpoint",
                "Checkpoint",
                "Rotate",
                "Replace",
                "Withdraw",
            ],
            _ if self.once_in(2) => &[
                "StartGrace",
                "CancelGrace",
                "Draw",
                "Draw",
                "GiveNotice",
                "Withdraw",
            ],
            _ => &[
                "Equivocate",
                "Release",
                "Settle",
                "Exit",
                "Publish",
                "Publish",
                "Publish",
                "Publish",
            ],
        };
        likely[self.rng.random_range(0..likely.len())]
    }

    /// `usual`, or sometimes any party.
    fn who(&mut self, usual: Who) -> Who {
        let anyone = [Who::Publisher, Who::Provider, Who::Arbiter, Who::Stranger];
        if self.once_in(10) {
            anyone[self.rng.random_range(0..anyone.len())]
        } else {
            usual
        }
    }

    /// `usual`, or sometimes another; the third is a thief's.
    fn key(&mut self, usual: Option<KeyNo>) -> KeyNo {
        if self.once_in(12) {
            self.rng.random_range(0..3)
        } else {
            usual.unwrap_or(2)
        }
    }

    /// `right`, or sometimes one beside it.
    fn near(&mut self, right: u64) -> u64 {
        match self.rng.random_range(0..24) {
            0 => right + 1,
            1 => right.saturating_sub(1),
            _ => right,
        }
    }

    fn root(&mut self) -> Root {
        let mut root = [0; 32];
        self.rng.fill(&mut root[..]);
        root
    }

    fn another_root(&mut self, right: Root) -> Root {
        if self.once_in(20) { self.root() } else { right }
    }

    fn publication(&mut self, rules: &Rules, head: HeadNo) -> Publication {
        let stands = rules.heads[head];
        let ahead = match self.rng.random_range(0..16) {
            0 => 0,
            1 => self.rng.random_range(1..1 << 34),
            2 => 4096 + (rules.now - stands.published_at) * 1024,
            _ => self.rng.random_range(1..60),
        };
        let root = self.root();
        Publication {
            volume: self.ids[head],
            boot: self.near(stands.boot),
            epoch: stands.epoch + ahead,
            root: if self.once_in(24) { [0; 32] } else { root },
            previous_root: self.another_root(stands.root),
        }
    }

    fn check(&mut self, rules: &Rules, v: usize, number: u64) -> Check {
        let head = rules.heads[v];
        Check {
            boot: self.near(head.boot),
            number: self.near(number),
            epoch: self.near(head.epoch),
            root: self.another_root(head.root),
            by: self.key(head.signer),
        }
    }

    fn act(&mut self, kind: &str, rules: &Rules, v: usize, live: &[usize]) -> Act {
        let volume = &rules.volumes[v];
        match kind {
            "Offer" => self.offer(rules, v),
            "WithdrawOffer" => Act::WithdrawOffer {
                v,
                by: self.who(volume.offered_by),
            },
            "Accept" => {
                let signer = volume
                    .offered_signer
                    .unwrap_or_else(|| self.rng.random_range(0..2));
                let signer = if self.once_in(12) { 1 - signer } else { signer };
                let (consent, proof) = (!self.once_in(12), self.key(Some(signer)));
                Act::Accept {
                    v,
                    by: self.who(Who::Provider),
                    signer,
                    consent,
                    proof,
                }
            }
            "OpenPlane" => Act::OpenPlane {
                key: self.rng.random_range(0..2),
            },
            "Boot" | "Publish" => self.on_a_head(kind, rules, v),
            "Batch" => self.batch(rules, live),
            "Checkpoint" => self.checkpoint(rules, v),
            "Challenge" => {
                let track = self.rng.random_range(0..2);
                Act::Challenge {
                    v,
                    track,
                    by: self.who(Who::Publisher),
                }
            }
            "Answer" | "Heal" | "Fault" | "Acknowledge" | "Locate" => self.answer(kind, rules, v),
            "Rule" => {
                let share_bps = [0, 0, 3333, 10_000, 10_001][self.rng.random_range(0..5)];
                Act::Rule {
                    v,
                    by: self.who(Who::Arbiter),
                    share_bps,
                }
            }
            "Claim" => Act::Claim {
                v,
                track: self.rng.random_range(0..2),
            },
            "ClaimFrozen" => Act::ClaimFrozen { v },
            "StartGrace" => Act::StartGrace { v },
            "CancelGrace" => Act::CancelGrace { v },
            other => self.part(other, rules, v),
        }
    }

    /// What is said to a challenge, or instead of an answer.
    fn answer(&mut self, kind: &str, rules: &Rules, v: usize) -> Act {
        let (volume, head) = (&rules.volumes[v], rules.heads[v]);
        let [storage, retrieval] = volume.open.map(|open| open.map_or(0, |open| open.number));
        match kind {
            "Answer" => Act::Answer {
                v,
                check: self.check(rules, v, storage),
            },
            "Heal" => Act::Heal {
                v,
                check: self.check(rules, v, storage),
            },
            "Fault" => {
                let epoch = head.epoch.saturating_sub(self.rng.random_range(0..200));
                let surviving = if self.once_in(4) {
                    (0, [0; 32])
                } else {
                    (epoch, self.root())
                };
                Act::Fault {
                    v,
                    check: self.check(rules, v, volume.faults + 1),
                    surviving,
                }
            }
            "Acknowledge" => Act::Acknowledge {
                v,
                number: self.near(retrieval),
                by: self.who(Who::Publisher),
            },
            "Locate" => {
                let text = if self.once_in(12) {
                    ""
                } else {
                    "https://provider.example/volume.car"
                };
                Act::Locate {
                    v,
                    check: self.check(rules, v, retrieval),
                    text,
                }
            }
            unknown => unreachable!("{unknown} is no answer"),
        }
    }

    /// How the parties part, and change what they agreed on.
    fn part(&mut self, kind: &str, rules: &Rules, v: usize) -> Act {
        let (volume, head) = (&rules.volumes[v], rules.heads[v]);
        match kind {
            "Deposit" => Act::Deposit {
                amount: self.rng.random_range(1..2 * MIN_FUNDING),
            },
            "Draw" => Act::Draw {
                amount: rules.available + u128::from(self.once_in(8)),
            },
            "GiveNotice" => Act::GiveNotice {
                v,
                by: self.who(Who::Provider),
            },
            "Exit" => Act::Exit {
                v,
                by: self.who(Who::Provider),
            },
            "Release" => Act::Release {
                v,
                by: self.who(Who::Publisher),
            },
            "Settle" => {
                let to_publisher = self.rng.random_range(0..volume.stake + 2);
                let expires = rules.now + self.rng.random_range(0..100);
                Act::Settle {
                    v,
                    to_publisher,
                    expires,
                    agreed: !self.once_in(8),
                }
            }
            "Withdraw" => {
                let usual = if self.once_in(2) {
                    Who::Publisher
                } else {
                    Who::Provider
                };
                Act::Withdraw { by: self.who(usual) }
            }
            "Rotate" => {
                let (to, rotation) = (self.rng.random_range(0..2), self.near(volume.rotations + 1));
                Act::Rotate {
                    v,
                    to,
                    boot: self.near(head.boot),
                    rotation,
                    old: self.key(head.signer),
                }
            }
            "Replace" => {
                let (to, rotation) = (self.rng.random_range(0..2), self.near(volume.rotations + 1));
                Act::Replace {
                    v,
                    to,
                    rotation,
                    agreed: !self.once_in(8),
                }
            }
            "Equivocate" => {
                let one = self.root();
                let roots = [one, if self.once_in(8) { one } else { self.root() }];
                Act::Equivocate {
                    v,
                    boot: head.boot,
                    epoch: head.epoch + 1,
                    roots,
                    by: self.key(head.signer),
                }
            }
            unknown => unreachable!("{unknown} is no kind of act"),
        }
    }

    fn offer(&mut self, rules: &Rules, v: usize) -> Act {
        let usual = if self.once_in(3) {
            Who::Publisher
        } else {
            Who::Provider
        };
        let mut terms = self.terms.clone();
        terms.stake = if self.once_in(16) {
            0
        } else {
            self.rng.random_range(1..1_000_000)
        };
        terms.refund_share_bps = self.rng.random_range(0..=10_000);
        terms.stale_epochs = self.rng.random_range(1..200);
        terms.equivocation = self.rng.random_range(0..2);
        let signer = (!self.once_in(6)).then(|| self.rng.random_range(0..2));
        let expires = rules.now + self.rng.random_range(0..6 * u64::from(WINDOW));
        Act::Offer {
            v,
            by: self.who(usual),
            terms: Box::new(terms),
            signer,
            expires,
        }
    }

    /// Of the volume, or of its signer's plane.
    fn on_a_head(&mut self, kind: &str, rules: &Rules, v: usize) -> Act {
        let plane = rules.heads[v].signer.map(|key| rules.volumes.len() + key);
        let plane = plane.filter(|&plane| rules.heads[plane].signer.is_some());
        let head = if self.once_in(4) { plane.unwrap_or(v) } else { v };
        let by = self.key(rules.heads[head].signer);
        match kind {
            "Boot" => Act::Boot {
                head,
                boot: self.near(rules.heads[head].boot + 1),
                by,
            },
            _ => {
                let mut publication = self.publication(rules, head);
                if head != v && !self.once_in(4) {
                    // An aggregate of one leaf is the leaf; `checkpoint` finds it again by the same
                    // numbers.
                    publication.root = leaf(rules, v, self.ids[v]).struct_hash();
                }
                Act::Publish {
                    head,
                    publication,
                    by,
                }
            }
        }
    }

    fn checkpoint(&mut self, rules: &Rules, v: usize) -> Act {
        let stands = rules.heads[v];
        let plane = stands.signer.map(|key| rules.volumes.len() + key);
        let expected = leaf(rules, v, self.ids[v]);
        let published = plane.is_some_and(|plane| rules.heads[plane].root == expected.struct_hash());
        match plane.filter(|_| !published && !self.once_in(6)) {
            // First the aggregate, and before that the plane.
            Some(plane) if rules.heads[plane].signer.is_none() => Act::OpenPlane {
                key: plane - rules.volumes.len(),
            },
            Some(plane) if rules.heads[plane].boot == 0 => Act::Boot {
                head: plane,
                boot: 1,
                by: plane - rules.volumes.len(),
            },
            Some(plane) => {
                let mut publication = self.publication(rules, plane);
                publication.root = expected.struct_hash();
                Act::Publish {
                    head: plane,
                    publication,
                    by: plane - rules.volumes.len(),
                }
            }
            None => Act::Checkpoint {
                v,
                publication: expected,
            },
        }
    }

    fn batch(&mut self, rules: &Rules, live: &[usize]) -> Act {
        let first = live[self.rng.random_range(0..live.len())];
        let signer = rules.heads[first].signer;
        let mut heads: Vec<HeadNo> = vec![first];
        for &other in live.iter().filter(|&&other| other != first) {
            if rules.heads[other].signer == signer || self.once_in(6) {
                heads.push(other);
            }
        }
        if self.once_in(20) {
            heads.clear();
        }
        let publications = heads.iter().map(|&head| self.publication(rules, head)).collect();
        Act::Batch {
            heads,
            publications,
            by: self.key(signer),
        }
    }
}

/// The next version of a volume that an aggregate stands for.
fn leaf(rules: &Rules, v: usize, id: [u8; 32]) -> Publication {
    let stands = rules.heads[v];
    let mut root = [1; 32];
    root[..8].copy_from_slice(&(stands.epoch + 1).to_be_bytes());
    Publication {
        volume: id,
        boot: stands.boot,
        epoch: stands.epoch + 1,
        root,
        previous_root: stands.root,
    }
}

/// The volumes that are played with.
pub(crate) fn live(rules: &Rules) -> impl Iterator<Item = usize> + '_ {
    let volumes = rules.volumes.iter().enumerate();
    let going = volumes.filter(|(_, volume)| !matches!(volume.stored, Status::Slashed | Status::Closed));
    going.map(|(v, _)| v).take(LIVE)
}
