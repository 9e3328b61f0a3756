//! What is done with snapshots, the same with and without a daemon.
//!
//! ```text
//!  rollback of a mount: kernel forgets --> nothing left that is in use? --> snapshot, new version --> kernel forgets
//!                                              `--no--> code 6, with the processes
//! ```

use crate::clock;
use crate::error::{Error, Exit, Result};
use crate::mount::mountpoint;
use crate::report::{DifferenceReport, SnapshotReport};
use cairn_fs::{Engine, KernelMemory, Name, SnapshotInfo, Time};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// Differences told at once.
const ROWS: usize = 256;
/// The kernel says at once what it has forgotten; its requests may queue behind others.
const FORGETS: Duration = Duration::from_millis(200);
/// How long a rollback tries to find a moment in which nothing uses the mount.
const IN_USE_MAX: Duration = Duration::from_secs(5);
/// Snapshots taken before a rollback in one second.
const SAME_SECOND_MAX: u32 = 100;

/// What is asked of snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum SnapshotAsk {
    /// Take one.
    Create {
        /// Its name.
        name: String,
    },
    /// Name all.
    List,
    /// Give one back.
    Destroy {
        /// Its name.
        name: String,
    },
    /// Name one otherwise.
    Rename {
        /// Its name.
        old: String,
        /// The other one.
        new: String,
    },
    /// Tell what differs.
    Diff {
        /// The older one.
        from: String,
        /// The newer one; `None` for the live tree.
        to: Option<String>,
    },
    /// Go back to one; answers the one that was taken before.
    Rollback {
        /// Its name.
        name: String,
    },
    /// Keep one.
    Hold {
        /// Its name.
        name: String,
        /// The hold's.
        tag: String,
    },
    /// Keep it no more.
    Release {
        /// Its name.
        name: String,
        /// The hold's.
        tag: String,
    },
}

fn named(text: &str) -> Result<Name> {
    Ok(Name::new(text.as_bytes())?)
}

/// Does what is asked; answers the snapshots that there is something to tell of. `tell` hears
/// differences, and answers whether it wants more. `mount`: the volume is mounted there.
pub(crate) fn run(
    engine: &Engine,
    ask: &SnapshotAsk,
    mount: Option<(&KernelMemory, &Path)>,
    tell: &mut dyn FnMut(Vec<DifferenceReport>) -> bool,
) -> Result<Vec<SnapshotReport>> {
    act(engine, ask, mount, tell).map_err(|error| match error {
        Error::Fs(cairn_fs::Error::NoEntry) => Error::Remote {
            message: format!(
                "{}: `cairn snapshot list` names all, with their holds",
                ask.missing()
            ),
            exit: Exit::Other,
        },
        Error::Fs(cairn_fs::Error::Exists) => Error::Remote {
            message: format!("{} already", ask.taken()),
            exit: Exit::Other,
        },
        error => error,
    })
}

impl SnapshotAsk {
    /// What is not there.
    fn missing(&self) -> String {
        match self {
            Self::Create { name }
            | Self::Destroy { name }
            | Self::Rollback { name }
            | Self::Hold { name, .. } => {
                format!("there is no snapshot {name}")
            }
            Self::Rename { old, .. } => format!("there is no snapshot {old}"),
            Self::Diff { from, to: None } => format!("there is no snapshot {from}"),
            Self::Diff { from, to: Some(to) } => format!("there is no snapshot {from}, or no snapshot {to}"),
            Self::Release { name, tag } => format!("there is no snapshot {name}, or it has no hold {tag}"),
            Self::List => "there is no snapshot".into(),
        }
    }

    /// What is there already.
    fn taken(&self) -> String {
        match self {
            Self::Hold { name, tag } => format!("the snapshot {name} has a hold {tag}"),
            Self::Rename { new, .. } => format!("there is a snapshot {new}"),
            Self::Create { name } => format!("there is a snapshot {name}"),
            _ => "there is a snapshot of that name".into(),
        }
    }
}

fn act(
    engine: &Engine,
    ask: &SnapshotAsk,
    mount: Option<(&KernelMemory, &Path)>,
    tell: &mut dyn FnMut(Vec<DifferenceReport>) -> bool,
) -> Result<Vec<SnapshotReport>> {
    match ask {
        SnapshotAsk::Create { name } => {
            let made = engine.snapshot_create(&named(name)?, clock::now())?;
            return Ok(vec![SnapshotReport::from(&made)]);
        }
        SnapshotAsk::List => return Ok(engine.snapshot_list().iter().map(SnapshotReport::from).collect()),
        SnapshotAsk::Rollback { name } => {
            let taken = rollback(engine, &named(name)?, mount)?;
            return Ok(vec![SnapshotReport::from(&taken)]);
        }
        SnapshotAsk::Destroy { name } => engine.snapshot_destroy(&named(name)?)?,
        SnapshotAsk::Rename { old, new } => engine.snapshot_rename(&named(old)?, &named(new)?)?,
        SnapshotAsk::Hold { name, tag } => engine.snapshot_hold(&named(name)?, &named(tag)?, clock::now())?,
        SnapshotAsk::Release { name, tag } => engine.snapshot_release(&named(name)?, &named(tag)?)?,
        SnapshotAsk::Diff { from, to } => {
            let to = to.as_deref().map(named).transpose()?;
            diff(engine, &named(from)?, to.as_ref(), tell)?;
        }
    }
    Ok(Vec::new())
}

fn diff(
    engine: &Engine,
    from: &Name,
    to: Option<&Name>,
    tell: &mut dyn FnMut(Vec<DifferenceReport>) -> bool,
) -> Result<()> {
    let mut rows = Vec::new();
    engine.snapshot_diff(from, to, &mut |found| {
        rows.push(DifferenceReport::from(found));
        match rows.len() < ROWS || tell(std::mem::take(&mut rows)) {
            true => Ok(()),
            false => Err(cairn_fs::Error::GivenUp),
        }
    })?;
    if !rows.is_empty() {
        tell(rows);
    }
    Ok(())
}

fn rollback(engine: &Engine, to: &Name, mount: Option<(&KernelMemory, &Path)>) -> Result<SnapshotInfo> {
    let Some((kernel, at)) = mount else {
        return roll_back(engine, to, clock::now());
    };
    // From here on no absent name is remembered: one could be there afterwards.
    let _watching = kernel.watch();
    let end = Instant::now() + IN_USE_MAX;
    let done = loop {
        kernel.forget().map_err(|error| cannot_forget(at, error))?;
        // What only looks at names uses none for long: between two looks there is a moment.
        let done = match engine.await_unused(FORGETS) {
            true => roll_back(engine, to, clock::now()),
            false => Err(cairn_fs::Error::InUse.into()),
        };
        match done {
            Err(Error::Fs(cairn_fs::Error::InUse)) if Instant::now() < end => {}
            Err(Error::Fs(cairn_fs::Error::InUse)) => {
                return Err(Error::Busy(format!(
                    "{} is in use{}: end what uses it, or unmount it and roll back its store",
                    at.display(),
                    mountpoint::used_by(at)
                )));
            }
            done => break done,
        }
    };
    // What was asked for meanwhile is of the tree before.
    if let Err(error) = kernel.forget() {
        tracing::error!(%error, "the kernel could not be told that the tree is another: unmount, and mount again");
    }
    done
}

fn cannot_forget(at: &Path, error: std::io::Error) -> Error {
    let dir = at.display();
    match error.kind() {
        ErrorKind::PermissionDenied => Error::Busy(format!(
            "a plain user's mount is not rolled back while it is mounted, for the kernel would go on with names of the \
             tree before: `cairn umount {dir}`, then roll back the store with its key"
        )),
        ErrorKind::NotFound => Error::Busy(format!("another mount lies over {dir}: take it away first")),
        _ => Error::io(format!("cannot have the kernel forget the tree at {dir}"), error),
    }
}

/// With a name for the snapshot that is taken before: the moment, and a number where that is taken.
fn roll_back(engine: &Engine, to: &Name, now: Time) -> Result<SnapshotInfo> {
    let moment = clock::date(now.parts().0).replace(' ', "T");
    for attempt in 1..=SAME_SECOND_MAX {
        let number = match attempt {
            1 => String::new(),
            number => format!("-{number}"),
        };
        let before = named(&format!("before-rollback-{moment}Z{number}"))?;
        match engine.snapshot_rollback(to, &before, now) {
            Err(cairn_fs::Error::Exists) => {}
            done => return Ok(done?),
        }
    }
    Err(cairn_fs::Error::Exists.into())
}
