//! `audit`: every hash and every link of a version, without its key.

use super::Place;
use crate::cli::verify::AuditArgs;
use crate::error::{Error, Result};
use crate::output::Output;

use crate::text::{hex, human};
use cairn_merkle::Suite;
use cairn_merkle::audit::AuditReport;
use cairn_merkle::walk::Flaw;
use serde::Serialize;
use std::path::Path;

/// Faults printed one by one; `--json` has all that were found.
const FAULTS_SHOWN: usize = 20;

/// What `audit` answers.
#[derive(Debug, Serialize)]
pub(crate) struct AuditOutcome {
    /// Whether every block is there and is what was written.
    pub(crate) whole: bool,
    /// The commit block.
    pub(crate) root: String,
    /// What the commit block says, if it is whole.
    pub(crate) volume_id: Option<String>,
    /// What the volume is sealed with, as its header says: only the key proves a header.
    pub(crate) cipher: Option<&'static str>,
    /// Its number.
    pub(crate) epoch: Option<u64>,
    /// Whether the head of the place names it.
    pub(crate) newest: bool,
    /// Blocks with file data.
    pub(crate) leaves: u64,
    /// All others.
    pub(crate) nodes: u64,
    /// Stored bytes of both.
    pub(crate) bytes: u64,
    /// Whether each block was counted once.
    pub(crate) distinct: bool,
    /// Blocks that are not what they should be.
    pub(crate) fault_count: u64,
    /// Up to ten thousand of them.
    pub(crate) faults: Vec<FaultOutcome>,
}

/// One faulty block.
#[derive(Debug, Serialize)]
pub(crate) struct FaultOutcome {
    /// The block.
    pub(crate) cid: String,
    /// The node that links to it; none for the root.
    pub(crate) parent: Option<String>,
    /// `missing`, `altered`, `malformed` or `too_deep`.
    pub(crate) flaw: &'static str,
    /// The same in words.
    pub(crate) what: String,
}

/// `audit`.
pub(crate) fn audit(args: &AuditArgs, out: &Output) -> Result<()> {
    let place = Place::open(&args.place, &args.version)?;
    let report = place.audit(args.threads, out)?;
    let outcome = AuditOutcome::new(&place, &report);
    out.show(&outcome, || audit_words(&outcome))?;
    verdict(&place.path, &report)
}

impl AuditOutcome {
    pub(crate) fn new(place: &Place, report: &AuditReport) -> Self {
        let fault = |fault: &cairn_merkle::walk::BlockFault| FaultOutcome {
            cid: fault.cid.to_string(),
            parent: fault.parent.map(|parent| parent.to_string()),
            flaw: match fault.flaw {
                Flaw::Missing => "missing",
                Flaw::Altered => "altered",
                Flaw::Malformed { .. } => "malformed",
                Flaw::TooDeep => "too_deep",
            },
            what: fault.to_string(),
        };
        Self {
            whole: report.fault_count == 0,
            root: report.root.to_string(),
            volume_id: report.commit.as_ref().map(|commit| hex(&commit.volume_id)),
            cipher: place.cipher().map(Suite::name),
            epoch: report.commit.as_ref().map(|commit| commit.epoch.0),
            newest: place.head.is_some_and(|head| head.root == report.root),
            leaves: report.leaves,
            nodes: report.nodes,
            bytes: report.bytes,
            distinct: report.distinct,
            fault_count: report.fault_count,
            faults: report.faults.iter().map(fault).collect(),
        }
    }
}

/// What people see of it.
pub(crate) fn audit_words(outcome: &AuditOutcome) -> String {
    let mut lines: Vec<_> = outcome
        .faults
        .iter()
        .take(FAULTS_SHOWN)
        .map(|fault| fault.what.clone())
        .collect();
    if outcome.fault_count > lines.len() as u64 {
        lines.push(format!(
            "and {} more: --json has them",
            outcome.fault_count - lines.len() as u64
        ));
    }
    lines.push(format!("root    {}", outcome.root));
    if let (Some(id), Some(epoch)) = (&outcome.volume_id, outcome.epoch) {
        let newest = if outcome.newest { ", the newest here" } else { "" };
        lines.push(format!("volume  {id}, epoch {epoch}{newest}"));
    }
    lines.extend(
        outcome
            .cipher
            .map(|cipher| format!("cipher  {cipher}, by its header")),
    );
    let AuditOutcome { leaves, nodes, .. } = outcome;
    let verdict = if outcome.whole { "whole" } else { "NOT WHOLE" };
    let each = if outcome.distinct {
        ""
    } else {
        ", shared ones counted more than once"
    };
    lines.push(format!(
        "{verdict}: {leaves} leaves and {nodes} nodes, {}{each}",
        human(outcome.bytes)
    ));
    lines.join("\n")
}

/// The worst fault, in words: what was altered goes before what is missing, since copies cannot
/// mend what they are copies of.
pub(crate) enum Worst {
    /// Something is not what was written.
    Altered(String),
    /// A block is not there, and none that is there was altered.
    Missing(String),
}

impl Worst {
    /// Of an audit; `None` if all is whole.
    pub(crate) fn of(report: &AuditReport) -> Option<Self> {
        let altered = report.faults.iter().find(|fault| fault.flaw != Flaw::Missing);
        let what = |fault: &cairn_merkle::walk::BlockFault| match report.fault_count {
            1 => fault.to_string(),
            count => format!("{fault}, and {} more", count - 1),
        };
        altered
            .map(|fault| Self::Altered(what(fault)))
            .or_else(|| report.faults.first().map(|fault| Self::Missing(what(fault))))
    }
}

/// Missing and altered blocks have codes of their own.
pub(crate) fn verdict(path: &Path, report: &AuditReport) -> Result<()> {
    let store = path.to_path_buf();
    match Worst::of(report) {
        Some(Worst::Altered(what)) => Err(Error::Damaged { store, what }),
        Some(Worst::Missing(what)) => Err(Error::Incomplete { store, what }),
        None => Ok(()),
    }
}
