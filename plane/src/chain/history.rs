//! Every version ever published of a volume, with what does not fit.

use crate::cli::chain::ConfigArgs;
use crate::error::{Error, Exit, Result};
use crate::output::{Output, Progress};
use cairn_chain::bindings::StorageStakingEvents as Event;
use cairn_chain::history::{Found, Range, events};
use cairn_chain::{Config, anchor};
use serde::Serialize;

#[derive(Debug, Default, Serialize)]
struct History {
    entries: Vec<Entry>,
    versions: u64,
    gaps: u64,
    forks: u64,
}

#[derive(Debug, Serialize)]
struct Entry {
    block: u64,
    transaction: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// Epochs between this version and the one before that were never published.
    #[serde(skip_serializing_if = "is_zero")]
    skipped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<&'static str>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl History {
    /// `last` is the epoch published before.
    fn add(&mut self, found: Found<Event>, last: &mut Option<u64>) {
        let (block, transaction) = (found.block, format!("{:?}", found.transaction));
        let mut entry = Entry {
            block,
            transaction,
            what: String::new(),
            epoch: None,
            root: None,
            skipped: 0,
            fork: None,
        };
        match found.event {
            Event::PublishedFilter(event) => {
                // The contract does not let this happen: endpoints that show it lie.
                if last.is_some_and(|epoch| epoch >= event.epoch) {
                    entry.fork = Some("it does not follow the version before");
                    self.forks += 1;
                }
                entry.skipped = last.map_or(0, |epoch| event.epoch.saturating_sub(epoch + 1));
                self.gaps += u64::from(entry.skipped > 0);
                self.versions += 1;
                entry.what = "published".into();
                entry.epoch = Some(event.epoch);
                entry.root = anchor::version(event.epoch, event.root).map(|version| version.root.to_string());
                *last = Some(event.epoch);
            }
            Event::EquivocatedFilter(event) => {
                entry.what = "equivocated".into();
                entry.epoch = Some(event.epoch);
                entry.fork = Some("two versions of this epoch were signed");
                self.forks += 1;
            }
            Event::BootedFilter(event) => entry.what = format!("booted {}", event.boot),
            Event::ChallengedFilter(event) => {
                entry.what = format!("challenge {} until {}", event.number, event.deadline);
            }
            Event::FaultReportedFilter(event) => {
                entry.what = format!(
                    "fault {}: epoch {} is damaged, epoch {} survives",
                    event.number, event.epoch, event.surviving_epoch
                );
            }
            event => {
                let debug = format!("{event:?}");
                entry.what = debug.split("Filter").next().unwrap_or_default().to_lowercase();
            }
        }
        self.entries.push(entry);
    }

    fn words(&self) -> String {
        let line = |entry: &Entry| {
            let mut line = format!("block {:>9}  {}", entry.block, entry.what);
            if let (Some(epoch), Some(root)) = (entry.epoch, &entry.root) {
                line += &format!("  epoch {epoch:>9}  {root}");
            }
            if entry.skipped > 0 {
                line += &format!("  ({} epochs not published)", entry.skipped);
            }
            if let Some(fork) = entry.fork {
                line += &format!("  FORK: {fork}");
            }
            line
        };
        let mut lines: Vec<_> = self.entries.iter().map(line).collect();
        lines.push(format!(
            "{} versions, {} gaps, {} forks",
            self.versions, self.gaps, self.forks
        ));
        lines.join("\n")
    }
}

/// `chain history`.
pub(super) fn history(args: &ConfigArgs, out: &Output) -> Result<()> {
    let config = Config::read(&args.config)?;
    let contract = config.contract()?;
    let progress = Progress::spinner(out, "reading the chain's events");
    let range = Range {
        from: config.from_block,
        to: contract.view()?.number,
    };
    let found = events::<Event>(&contract, config.volume.id(), range)?;
    progress.finish();
    let (mut history, mut last) = (History::default(), None);
    found.into_iter().for_each(|event| history.add(event, &mut last));
    out.show(&history, || history.words())?;
    if history.forks == 0 {
        return Ok(());
    }
    Err(Error::Anchor {
        what: format!("{} forks in the history", history.forks),
        exit: Exit::Forked,
    })
}
