//! What a damaged store lost of what was synced, in words, and what a command makes of it.
//!
//! ```text
//!  open --log_loss--> mount: serves read-only, says what is lost, ends with a code of its own
//!                     with --accept-log-loss: goes on for writing, says what is lost
//!                     ls, cat: answer as of before the damage, say it, end with that code
//!                     whatever writes: refused with that code
//! ```

use crate::clock::date;
use crate::error::{Error, Result};
use cairn_fs::{Engine, LogLoss};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A loss, and whether the user accepted it, so that the volume may go on without it.
pub(crate) struct Lost {
    /// What to tell.
    pub(crate) error: Error,
    /// With `--accept-log-loss`.
    pub(crate) accepted: bool,
}

impl Lost {
    /// What the mount of `engine` at `dir` lost.
    pub(crate) fn of_mount(engine: &Engine, store: &Path, dir: &Path) -> Option<Self> {
        let accepted = engine.require_log().is_ok();
        let (at, from) = (dir.display(), store.display());
        let remedy = match accepted {
            true => format!("The volume at {at} goes on without it"),
            false => format!(
                "The volume is mounted at {at} as it was before the damage, read-only. Put back what is lost from a \
                 copy of the store; or, to go on without what is lost: `cairn umount {at}`, then mount {from} with \
                 --accept-log-loss"
            ),
        };
        let error = error(store, engine.log_loss()?, remedy);
        Some(Self { error, accepted })
    }
}

/// What a command that only reads ends with after its answer, which is as of before the damage.
pub(crate) fn after_reading(engine: &Engine, store: &Path) -> Option<Error> {
    let remedy = "What was answered is as of before the damage";
    Some(error(store, engine.log_loss()?, remedy.into()))
}

/// Refuses what would write to a volume whose log lost something.
pub(crate) fn refuse_writing(engine: &Engine, store: &Path) -> Result<()> {
    let remedy = "Nothing was changed. Put back what is lost from a copy of the store, or mount with --accept-log-loss first";
    match (engine.require_log(), engine.log_loss()) {
        (Err(_), Some(loss)) => Err(error(store, loss, remedy.into())),
        _ => Ok(()),
    }
}

/// What `status` tells of a loss.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LostReport {
    /// The newest commit that is lost, if one is.
    commit: Option<u64>,
    /// Records.
    records: u64,
    /// Their bytes.
    bytes: u64,
    /// Of the newest operation before, and of the newest one that is lost: seconds since 1970.
    from: Option<i64>,
    /// See `from`.
    until: Option<i64>,
    /// All of it in words.
    words: String,
}

impl From<&LogLoss> for LostReport {
    fn from(loss: &LogLoss) -> Self {
        let seconds = |time: cairn_fs::Time| time.parts().0;
        Self {
            commit: loss.commit.map(|epoch| epoch.0),
            records: loss.records,
            bytes: loss.bytes,
            from: loss.from.map(seconds),
            until: loss.until.map(seconds),
            words: words(loss),
        }
    }
}

/// Lines of `status` for people; none if the log was whole.
pub(crate) fn status_lines(lost: Option<&LostReport>, torn: Option<&str>) -> String {
    let lost = lost.map(|lost| format!("\nLOST        {}", lost.words));
    let torn =
        torn.map(|torn| format!("\nlog         its end did not verify, a write cut off or damage: {torn}"));
    [lost, torn].into_iter().flatten().collect()
}

fn error(store: &Path, loss: &LogLoss, remedy: String) -> Error {
    Error::LogDamaged {
        store: store.to_path_buf(),
        lost: words(loss),
        remedy,
    }
}

/// `3 records (812 bytes) that were synced are lost, done after … and until …: record 4 is missing`.
fn words(loss: &LogLoss) -> String {
    let utc = |time: cairn_fs::Time| format!("{} UTC", date(time.parts().0));
    let when = match (loss.from.map(utc), loss.until.map(utc)) {
        (Some(from), Some(until)) => format!(", done between {from} and {until}"),
        (None, Some(until)) => format!(", done until {until}"),
        (Some(from), None) => format!(", done after {from}"),
        (None, None) => String::new(),
    };
    let LogLoss {
        commit,
        records,
        bytes,
        whole,
        what,
        ..
    } = loss;
    let records = format!("{records} records ({bytes} bytes) that were synced are lost{when}");
    let lost = match (commit, loss.records) {
        (Some(commit), 0) => format!("commit {commit} is lost"),
        (Some(commit), _) => format!("commit {commit} is lost, and {records}"),
        (None, _) => records,
    };
    let behind = match whole {
        0 => String::new(),
        whole => format!("; {whole} of them are whole, but behind the damage"),
    };
    format!("{lost}: {what}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_fs::Time;

    #[test]
    fn what_is_lost_is_told_with_number_bytes_and_time() {
        let mut loss = LogLoss {
            commit: None,
            records: 3,
            bytes: 812,
            whole: 2,
            from: Some(Time(1_700_000_000_000_000_000)),
            until: Some(Time(1_700_000_005_000_000_000)),
            what: "record 4 of the intent log of epoch 9 is missing".into(),
        };
        let told = words(&loss);
        assert_eq!(
            told,
            "3 records (812 bytes) that were synced are lost, done between 2023-11-14 22:13:20 UTC and \
             2023-11-14 22:13:25 UTC: record 4 of the intent log of epoch 9 is missing; 2 of them are whole, but \
             behind the damage"
        );
        loss.commit = Some(cairn_merkle::Epoch(12));
        let told = words(&loss);
        assert!(
            told.starts_with("commit 12 is lost, and 3 records (812 bytes) that were synced are lost, done"),
            "{told}"
        );
        let commit = LogLoss {
            commit: loss.commit.take(),
            what: "a block is missing".into(),
            ..LogLoss::default()
        };
        assert_eq!(words(&commit), "commit 12 is lost: a block is missing");
        (loss.from, loss.whole) = (None, 0);
        assert!(words(&loss).contains("lost, done until 2023-11-14 22:13:25 UTC: record 4"));
        let report = LostReport::from(&loss);
        let lines = status_lines(Some(&report), Some("record 9 is cut short"));
        assert!(lines.contains("\nLOST        3 records"), "{lines}");
        assert!(lines.contains("\nlog         its end did not verify"), "{lines}");
        assert_eq!(status_lines(None, None), "");
    }
}
