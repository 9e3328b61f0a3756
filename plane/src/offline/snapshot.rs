//! `snapshot`, of a mount or of a store.

use crate::cli::place::PlaceArgs;
use crate::cli::snapshot::SnapshotCommand as Command;
use crate::clock;
use crate::error::Result;
use crate::mount::control::{self, Answer, Client, Request, SnapshotAsk as Ask};
use crate::mount::mountpoint;
use crate::offline::commands::{served, unexpected};
use crate::offline::volume::{self, For};
use crate::output::Output;
use crate::report::{DifferenceReport, SnapshotReport};
use crate::text::human;
use serde_json::json;

/// `snapshot`.
pub(crate) fn snapshot(command: &Command, out: &Output) -> Result<()> {
    let (place, ask) = asked(command);
    let told = run(place, &ask, out)?;
    match &ask {
        Ask::Create { name } => out.show(&told, || format!("created snapshot {name}")),
        Ask::List => out.show(&told, || table(&told)),
        Ask::Destroy { name } => out.show(&json!({ "destroyed": name }), || {
            format!("destroyed snapshot {name}")
        }),
        Ask::Rename { old, new } => out.show(&json!({ "renamed": old, "to": new }), || {
            format!("snapshot {old} is called {new} now")
        }),
        Ask::Hold { name, tag } => out.show(&json!({ "held": name, "tag": tag }), || {
            format!("snapshot {name} is held by {tag}")
        }),
        Ask::Release { name, tag } => out.show(&json!({ "released": name, "tag": tag }), || {
            format!("snapshot {name} is not held by {tag} any more")
        }),
        Ask::Rollback { name } => {
            out.show(&json!({ "rolled_back_to": name, "before": told.first() }), || {
                let before = told.first().map_or("", |before| before.name.as_str());
                format!("rolled back to {name}; the tree before is snapshot {before}")
            })
        }
        // Its lines are out.
        Ask::Diff { .. } => Ok(()),
    }
}

fn asked(command: &Command) -> (&PlaceArgs, Ask) {
    let own = String::clone;
    match command {
        Command::Create { place, name } => (place, Ask::Create { name: own(name) }),
        Command::List { place } => (place, Ask::List),
        Command::Destroy { place, name } => (place, Ask::Destroy { name: own(name) }),
        Command::Rename { place, old, new } => {
            let (old, new) = (own(old), own(new));
            (place, Ask::Rename { old, new })
        }
        Command::Diff { place, from, to } => {
            let (from, to) = (own(from), to.clone());
            (place, Ask::Diff { from, to })
        }
        Command::Rollback { place, name } => (place, Ask::Rollback { name: own(name) }),
        Command::Hold { place, name, tag } => {
            let (name, tag) = (own(name), own(tag));
            (place, Ask::Hold { name, tag })
        }
        Command::Release { place, name, tag } => {
            let (name, tag) = (own(name), own(tag));
            (place, Ask::Release { name, tag })
        }
    }
}

/// Has the daemon do it, or opens the store.
fn run(place: &PlaceArgs, ask: &Ask, out: &Output) -> Result<Vec<SnapshotReport>> {
    if let Some(client) = served(place)? {
        return by_daemon(client, ask, out);
    }
    let purpose = match ask {
        Ask::List | Ask::Diff { .. } => For::Reading,
        _ => For::Writing,
    };
    volume::with(&place.place, &place.key, purpose, |engine| {
        if matches!(ask, Ask::Diff { to: None, .. }) && engine.status().dirty_bytes > 0 {
            eprintln!(
                "cairn: note: the intent log holds changes since the last commit, which are not compared; mount the \
                 volume to have them in it"
            );
        }
        let mut printed = Ok(());
        let mut tell = |rows| {
            printed = print(rows, out);
            printed.is_ok()
        };
        let told = control::run_snapshot(engine, ask, None, &mut tell);
        printed.and(told)
    })
}

fn by_daemon(mut client: Client, ask: &Ask, out: &Output) -> Result<Vec<SnapshotReport>> {
    // These concern what the daemon has, so pages of the kernel go first.
    if matches!(
        ask,
        Ask::Create { .. } | Ask::Rollback { .. } | Ask::Diff { to: None, .. }
    ) {
        mountpoint::flush_kernel(&client.record().mountpoint)?;
    }
    client.send(&Request::Snapshot { what: ask.clone() })?;
    loop {
        match client.next()? {
            // A reader that has ended, such as `head`, ends this and with it the daemon's work.
            Answer::Differences { rows } => print(rows, out)?,
            Answer::Snapshots { snapshots } => return Ok(snapshots),
            _ => return Err(unexpected()),
        }
    }
}

fn print(rows: Vec<DifferenceReport>, out: &Output) -> Result<()> {
    rows.iter().try_for_each(|row| out.line(row, || row.line()))
}

fn table(list: &[SnapshotReport]) -> String {
    let row = |s: &SnapshotReport| {
        let tags: Vec<&str> = s.holds.iter().map(|hold| hold.tag.as_str()).collect();
        let held = match tags.is_empty() {
            true => String::new(),
            false => format!("  held by {}", tags.join(", ")),
        };
        format!(
            "{}  epoch {:>8}  {:>12}  {:>9} inodes  {}{held}",
            clock::date(s.created),
            s.epoch,
            human(s.bytes),
            s.inodes,
            s.name
        )
    };
    list.iter().map(row).collect::<Vec<_>>().join("\n")
}
