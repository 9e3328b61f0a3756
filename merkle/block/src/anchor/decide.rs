//! Whether a store's head may be taken for the newest version.
//!
//! ```text
//!   anchored, submitted: what the head's commit knows       latest: what the anchor says
//!   latest above the head       stale
//!   latest is the head          fresh
//!   latest below the head       fresh if the head's commit names it, else forked
//!   no latest                   fresh if the head's commit knows of none anchored, else forgotten
//! ```

use super::version::Version;

/// What [`decide`] makes of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The head is the newest version published, or goes on from it.
    Fresh {
        /// Epochs between the newest version published and the head: what the outside may have
        /// rolled back within.
        ahead: u64,
    },
    /// Nothing was ever published, as far as either side knows.
    Unanchored,
    /// The head is older than what was published.
    Stale {
        /// By so many epochs.
        epochs: u64,
    },
    /// The head does not descend from what was published, or the anchor itself went back to an
    /// older version.
    Forked,
    /// The volume knows that it was published, the anchor knows of nothing: the wrong anchor, or
    /// one rolled back.
    Forgotten,
}

impl Verdict {
    /// Whether the head may be used.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh { .. } | Self::Unanchored)
    }
}

/// Holds `head` against `latest`, the newest version that the anchor has. `anchored` is the last
/// version that the head's commit knows to be published, `submitted` those it was not yet sure of.
///
/// A crash may have come between a publication and the commit that notes it: hence `submitted`. A
/// version submitted and lost leaves no trace on the anchor, so `submitted` alone does not make an
/// empty anchor suspicious.
pub fn decide(
    head: Version,
    anchored: Option<Version>,
    submitted: &[Version],
    latest: Option<Version>,
) -> Verdict {
    let Some(latest) = latest else {
        return match anchored {
            Some(_) => Verdict::Forgotten,
            None => Verdict::Unanchored,
        };
    };
    if latest.epoch > head.epoch {
        return Verdict::Stale {
            epochs: latest.epoch.0 - head.epoch.0,
        };
    }
    let same_or_named = if latest.epoch == head.epoch {
        latest == head
    } else {
        anchored == Some(latest) || submitted.contains(&latest)
    };
    if same_or_named {
        Verdict::Fresh {
            ahead: head.epoch.0 - latest.epoch.0,
        }
    } else {
        Verdict::Forked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Head, anchored, submitted, latest, and what is to come of it.
    type Row<'a> = (Version, Option<Version>, &'a [Version], Option<Version>, Verdict);

    fn version(epoch: u64, branch: u8) -> Version {
        Version::from_digest(epoch, [branch; 32])
    }

    /// One row for each line of the table, and for each way into it.
    #[test]
    fn every_line_of_the_table_holds() {
        let (a, b) = (|epoch| version(epoch, 1), |epoch| version(epoch, 2));
        let fresh = |ahead| Verdict::Fresh { ahead };
        let stale = |epochs| Verdict::Stale { epochs };
        let rows: &[Row<'_>] = &[
            // The head is below what was published, whatever it knows.
            (a(5), None, &[], Some(a(6)), stale(1)),
            (a(5), Some(a(4)), &[a(5)], Some(a(9)), stale(4)),
            (a(5), None, &[], Some(b(6)), stale(1)),
            (a(0), None, &[], Some(a(u64::MAX)), stale(u64::MAX)),
            // The head is what was published: its own commit cannot name it.
            (a(6), None, &[], Some(a(6)), fresh(0)),
            (a(6), Some(a(5)), &[], Some(a(6)), fresh(0)),
            // The same number with another root.
            (a(6), Some(a(5)), &[], Some(b(6)), Verdict::Forked),
            (a(6), Some(b(6)), &[b(6)], Some(b(6)), Verdict::Forked),
            // The head goes on from what was published.
            (a(9), Some(a(6)), &[], Some(a(6)), fresh(3)),
            (a(9), None, &[a(6)], Some(a(6)), fresh(3)),
            (a(9), Some(a(4)), &[a(6), a(8)], Some(a(8)), fresh(1)),
            (a(9), Some(a(4)), &[a(6), a(8)], Some(a(6)), fresh(3)),
            (a(9), Some(a(4)), &[a(6)], Some(a(4)), fresh(5)),
            // It does not: another root, a version it never heard of, or the anchor went back.
            (a(9), Some(a(6)), &[], Some(b(6)), Verdict::Forked),
            (a(9), Some(a(6)), &[a(8)], Some(b(8)), Verdict::Forked),
            (a(9), Some(a(6)), &[a(8)], Some(a(7)), Verdict::Forked),
            (a(9), Some(a(6)), &[], Some(a(3)), Verdict::Forked),
            (a(9), None, &[], Some(a(1)), Verdict::Forked),
            // The anchor has nothing.
            (a(9), None, &[], None, Verdict::Unanchored),
            (a(9), None, &[a(8)], None, Verdict::Unanchored),
            (a(9), Some(a(6)), &[], None, Verdict::Forgotten),
            (a(9), Some(a(6)), &[a(8)], None, Verdict::Forgotten),
        ];
        for (head, anchored, submitted, latest, verdict) in rows {
            let decided = decide(*head, *anchored, submitted, *latest);
            assert_eq!(
                decided, *verdict,
                "head {head}, anchored {anchored:?}, submitted {submitted:?}, latest {latest:?}"
            );
        }
    }

    /// All small cases against the table read the other way round: what must hold for each verdict.
    #[test]
    fn a_head_is_fresh_only_if_it_is_or_names_what_was_published() {
        let mut some = vec![None];
        some.extend((1..4).flat_map(|epoch| [Some(version(epoch, 1)), Some(version(epoch, 2))]));
        let lists: Vec<Vec<Version>> = some.iter().map(|one| one.iter().copied().collect()).collect();
        for head in some.iter().flatten() {
            for (anchored, submitted, latest) in some.iter().flat_map(|anchored| {
                let lists = &lists;
                some.iter()
                    .flat_map(move |latest| lists.iter().map(move |list| (*anchored, list, *latest)))
            }) {
                let named = |version| anchored == Some(version) || submitted.contains(&version);
                let allowed = match latest {
                    None => anchored.is_none(),
                    Some(latest) => latest == *head || (latest.epoch < head.epoch && named(latest)),
                };
                let verdict = decide(*head, anchored, submitted, latest);
                assert_eq!(
                    verdict.is_fresh(),
                    allowed,
                    "{head} {anchored:?} {submitted:?} {latest:?}"
                );
                let newer = latest.is_some_and(|latest| latest.epoch > head.epoch);
                assert_eq!(matches!(verdict, Verdict::Stale { .. }), newer);
            }
        }
    }
}
