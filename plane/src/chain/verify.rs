//! `verify`: the version that the chain names, held against what a place has of it.
//!
//! ```text
//!  chain --final block--> the version published --.
//!  place --newest commit block--------------------+--> older: stale    same epoch, other root: forked
//!                                                 `--> every block of the version published: audit, or check with a key
//! ```
//!
//! **Invariant:** the root that is verified is the one on chain. What the place says of itself only
//! tells a stale volume from one that lost a block.

use super::place::Local;
use super::watch::Report;
use crate::cli::chain::VerifyArgs;
use crate::cli::verify::VersionArgs;
use crate::error::{Error, Result};
use crate::offline::check;
use crate::offline::{self, AuditOutcome, Place, Worst};
use crate::output::Output;
use crate::report::CheckOutcome;
use cairn_chain::{Config, Limits, Standing, Trouble, Watch};
use cairn_merkle::Version;
use cairn_merkle::audit::{self, AuditReport};
use cairn_merkle::walk::commit_of;
use serde::Serialize;

/// What `verify` answers: how the volume stands, and what reading it showed.
#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    audited: Option<AuditOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<CheckOutcome>,
}

/// What was read, and what is wrong with it.
#[derive(Default)]
struct Read {
    audited: Option<AuditOutcome>,
    checked: Option<CheckOutcome>,
    trouble: Option<Trouble>,
}

impl From<Trouble> for Read {
    fn from(trouble: Trouble) -> Self {
        Self {
            trouble: Some(trouble),
            ..Self::default()
        }
    }
}

/// `verify`.
pub(super) fn verify(args: &VerifyArgs, out: &Output) -> Result<()> {
    let config = Config::read(&args.config.config)?;
    let limits = Limits {
        age_max: args.age_max.map(|time| time.as_secs()),
        gas_min: None,
    };
    let (standing, mut troubles) =
        Watch::default().look(&config.contract()?, config.volume.id(), None, &limits)?;
    let (mut local, mut read) = (None, Read::default());
    if let Some(standing) = &standing {
        (local, read) = held_against(standing, args, out)?;
    }
    troubles.extend(read.trouble);
    let outcome = Outcome {
        report: Report::new(standing.as_ref(), troubles, local),
        audited: read.audited,
        checked: read.checked,
    };
    out.show(&outcome, || outcome.words())?;
    outcome.report.end()
}

/// The place's newest version beside the published one, and what reading the latter showed.
fn held_against(standing: &Standing, args: &VerifyArgs, out: &Output) -> Result<(Option<Local>, Read)> {
    let Some(published) = standing.version() else {
        let why = "nothing has been published yet".into();
        return Ok((None, Trouble::Stale { why }.into()));
    };
    let version = VersionArgs {
        root: None,
        base: args.base.clone(),
    };
    let place = Place::open(&args.place, &version)?;
    let newest = match commit_of(place.store.as_ref(), place.root) {
        Ok(commit) => commit,
        Err(error) => return Ok((None, flawed(error, &place)?.into())),
    };
    let local = Local::of_place(newest.epoch, &place);
    if !local.may_hold(published) {
        return Ok((Some(local), Read::default()));
    }
    let place = place.at(published.root)?;
    let read = match commit_of(place.store.as_ref(), published.root) {
        Ok(commit) if commit.epoch == published.epoch => read(place, args, out)?,
        Ok(commit) => Trouble::Forked {
            why: format!(
                "the root on chain is of epoch {}, and was published as {published}",
                commit.epoch
            ),
        }
        .into(),
        Err(error) => flawed(error, &place)?.into(),
    };
    Ok((Some(local), read))
}

fn read(place: Place, args: &VerifyArgs, out: &Output) -> Result<Read> {
    if !args.key.is_given() {
        let report = place.audit(None, out)?;
        return Ok(Read {
            trouble: trouble_of(&report),
            audited: Some(AuditOutcome::new(&place, &report)),
            checked: None,
        });
    }
    let (store, root) = (place.store.clone(), place.root);
    match check(place, args, out) {
        // A volume that does not even open: which block it is, an audit tells.
        Err(Error::Damaged { what, .. }) => {
            let report = audit::audit(store.as_ref(), root, audit::threads(), &|_| {}).ok();
            let trouble = report.and_then(|report| trouble_of(&report));
            Ok(trouble.unwrap_or(Trouble::Altered { why: what }).into())
        }
        read => read,
    }
}

fn trouble_of(report: &AuditReport) -> Option<Trouble> {
    Worst::of(report).map(|worst| match worst {
        Worst::Altered(why) => Trouble::Altered { why },
        Worst::Missing(why) => Trouble::Incomplete { why },
    })
}

fn check(place: Place, args: &VerifyArgs, out: &Output) -> Result<Read> {
    let found = place.check(&args.key, out)?;
    let altered = found.damaged.iter().find(|damaged| !damaged.missing);
    let trouble = altered.or(found.damaged.first()).map(|damaged| {
        let why = match found.damaged.len() {
            1 => format!("{}: {}", damaged.path, damaged.what),
            count => format!("{}: {}, and {} more", damaged.path, damaged.what, count - 1),
        };
        match damaged.missing {
            true => Trouble::Incomplete { why },
            false => Trouble::Altered { why },
        }
    });
    Ok(Read {
        trouble,
        checked: Some(found),
        audited: None,
    })
}

/// What it means that a commit block cannot be read; only the store's own failures are failures of
/// the command.
fn flawed(error: cairn_merkle::Error, place: &Place) -> Result<Trouble> {
    let why = error.to_string();
    match error {
        cairn_merkle::Error::Missing { .. } => Ok(Trouble::Incomplete { why }),
        error @ cairn_merkle::Error::Store(_) => Err(place.explain(error)),
        _ => Ok(Trouble::Altered { why }),
    }
}

impl Local {
    /// Whether the place may have the published version at all: it is not stale and not forked from
    /// it.
    fn may_hold(&self, published: Version) -> bool {
        let own = self.version();
        own.epoch > published.epoch || own == published
    }
}

impl Outcome {
    fn words(&self) -> String {
        let mut text = self.report.words();
        let read =
            (self.audited.as_ref().map(offline::audit_words)).or(self.checked.as_ref().map(check::text));
        if let Some(read) = read {
            text = format!("{text}\n{read}");
        }
        text
    }
}
