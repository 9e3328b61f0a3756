//! `check`: what is damaged; `check --repair`: a volume without it, that says what is gone.
//!
//! ```text
//!  check --repair STORE: look, writing nothing --> show --> ask --> open for writing, repair, look again --> show
//! ```
//!
//! **Invariant:** nothing is written before the damage was shown and the answer was yes. To a
//! volume that has been anchored nothing is written at all, unless that is forced.

use crate::cli::CheckArgs;
use crate::clock;
use crate::error::{Error, Exit, Result};
use crate::mount::control::{self, Answer, Request};
use crate::mount::mountpoint;
use crate::offline;
use crate::offline::commands::{served, unexpected};
use crate::offline::volume::{self, For};
use crate::output::{Output, Progress};
use crate::report::{CheckOutcome, RepairOutcome};
use crate::text::human;
use cairn_fs::{CheckProgress, Engine, Standing};
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Losses printed one by one; `--json` has all that the volume lists.
const GONE_SHOWN: usize = 100;

/// `check`.
pub(crate) fn run(args: &CheckArgs, out: &Output) -> Result<()> {
    if args.repair {
        return repair(args, out);
    }
    let place = &args.place;
    let progress = Progress::blocks(out);
    let found = match served(place)?.filter(|_| !args.version.is_given()) {
        Some(mut client) => {
            // First: the check walks a commit that it makes, and what the kernel still holds would
            // not be in that.
            mountpoint::flush_kernel(&client.record().mountpoint)?;
            match client.ask(&Request::Check, |done, total| progress.set(done, total))? {
                Answer::Checked(outcome) => outcome,
                _ => return Err(unexpected()),
            }
        }
        None => offline::with_version(&place.place, &args.version, &place.key, |engine| {
            look(engine, &progress)
        })?,
    };
    progress.finish();
    out.show(&found, || text(&found))?;
    ended(&place.place, &found)
}

fn look(engine: &Engine, progress: &Progress) -> Result<CheckOutcome> {
    control::check(engine, &|p: CheckProgress| {
        progress.set(p.blocks_done, p.blocks_total)
    })
}

/// The exit code of a check.
fn ended(place: &Path, found: &CheckOutcome) -> Result<()> {
    match found.damaged.len() as u64 + found.damaged_more {
        0 => Ok(()),
        paths => Err(Error::Damaged {
            store: place.to_path_buf(),
            what: format!(
                "{paths} damaged: put the blocks back into the store from a copy, restore these paths, or take away \
                 what cannot be read with `cairn check --repair`"
            ),
        }),
    }
}

/// `check --repair`.
fn repair(args: &CheckArgs, out: &Output) -> Result<()> {
    let (path, key) = (&args.place.place, &args.place.key);
    if args.version.is_given() || path.is_file() {
        return Err(Error::Usage(
            "--repair goes with the newest version in a store: a CAR and an older version never change"
                .into(),
        ));
    }
    if let Some(client) = served(&args.place)? {
        let at = client.record().mountpoint.display().to_string();
        return Err(Error::Busy(format!(
            "the volume is mounted at {at}: unmount it, for it must not be in use while it is repaired"
        )));
    }
    let progress = Progress::blocks(out);
    // For reading: nothing may be written before the answer. The lock goes while the question
    // waits. The repair walks the volume itself, so what changed meanwhile is seen.
    let (found, standing) = volume::with(path, key, For::Reading, |engine| {
        Ok((look(engine, &progress)?, engine.standing()))
    })?;
    progress.finish();
    let whole = found.damaged.is_empty() && found.damaged_more == 0 && found.leaked_blocks == 0;
    if whole {
        let outcome = RepairOutcome::nothing(found);
        return out.show(&outcome, || {
            format!("{}\nthere is nothing to repair", text(&outcome.check))
        });
    }
    if !out.json {
        out.show(&found, || text(&found))?;
    }
    // After the damage was shown, so that it is known either way.
    refuse_anchored(&standing, args.force)?;
    confirm(args.yes, out)?;
    let progress = Progress::blocks(out);
    let outcome = volume::with(path, key, For::Writing, |engine| {
        let repaired = engine.repair(clock::now(), &|p| progress.set(p.blocks_done, p.blocks_total))?;
        // The code of this command speaks of what is left now. A crash before this look leaves the
        // volume before the repair or after it.
        let check = look(engine, &progress)?;
        Ok(RepairOutcome::new(repaired, check))
    })?;
    progress.finish();
    out.show(&outcome, || repair_text(&outcome))?;
    ended(path, &outcome.check)
}

/// What was anchored is what others verify: how a loss is told them first is not settled.
fn refuse_anchored(standing: &Standing, force: bool) -> Result<()> {
    let anchored = standing.anchored.is_some() || standing.publishing || !standing.submitted.is_empty();
    if force || !anchored {
        return Ok(());
    }
    Err(Error::Anchor {
        what: "this volume is published on an anchor, and its readers must learn of a loss first: \
               nothing was repaired. Put the blocks back from a copy; --force repairs all the same"
            .into(),
        exit: Exit::Unanchored,
    })
}

fn confirm(yes: bool, out: &Output) -> Result<()> {
    if yes {
        return Ok(());
    }
    if out.json || !std::io::stdin().is_terminal() {
        return Err(Error::Usage(
            "a repair takes away what cannot be read: nothing was done; --yes repairs without asking".into(),
        ));
    }
    let failed = |error| Error::io("cannot ask on the terminal", error);
    eprint!("Take away what cannot be read, for good? Type `yes`: ");
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Error::Usage("nothing was repaired".into())),
    }
}

fn repair_text(outcome: &RepairOutcome) -> String {
    let mut lines: Vec<String> = outcome.gone.iter().map(|gone| format!("gone: {gone}")).collect();
    lines.truncate(GONE_SHOWN);
    if let Some(more) = outcome
        .gone
        .len()
        .checked_sub(GONE_SHOWN)
        .filter(|more| *more > 0)
    {
        lines.push(format!("gone: {more} more; --json lists them"));
    }
    if outcome.freed_blocks > 0 {
        lines.push(format!(
            "freed {} blocks that nothing named",
            outcome.freed_blocks
        ));
    }
    if outcome.published_damaged {
        lines.push("a published version is damaged, and stays so; nothing was freed that it may name".into());
    }
    lines.push(text(&outcome.check));
    lines.join("\n")
}

/// What people see of a check.
pub(crate) fn text(found: &CheckOutcome) -> String {
    let mut lines: Vec<_> = found
        .damaged
        .iter()
        .map(|d| format!("damaged: {}: {}", d.path, d.what))
        .collect();
    if found.damaged_more > 0 {
        lines.push(format!("damaged: {} more", found.damaged_more));
    }
    let CheckOutcome {
        cipher,
        blocks,
        bytes,
        inodes,
        logged_blocks,
        leaked_blocks,
        ..
    } = found;
    let verdict = if lines.is_empty() { "whole" } else { "DAMAGED" };
    let leaked = match (leaked_blocks, lines.is_empty()) {
        (0, _) => String::new(),
        (leaked, true) => format!(", {leaked} blocks that nothing names"),
        (leaked, false) => format!(", {leaked} blocks that nothing names but, perhaps, what cannot be read"),
    };
    let logged = if *logged_blocks > 0 {
        format!(" ({logged_blocks} of them in the intent log alone)")
    } else {
        String::new()
    };
    lines.push(format!(
        "{verdict}: {blocks} blocks{logged}, {}, {inodes} inodes{leaked}, sealed with {cipher}",
        human(*bytes)
    ));
    lines.extend(found.repaired.as_ref().map(|repaired| repaired.words()));
    lines.join("\n")
}
