//! What commands answer with: the same structures go over the control socket, out as JSON, and into
//! words.

mod anchor;
mod check;
mod damage;
mod quota;
mod repair;
mod snapshot;

use crate::error::Exit;
use crate::mount::lost::LostReport;
use crate::text::hex;
pub(crate) use anchor::AnchorReport;
use cairn_fs::{CheckReport, KnownDamage, SnapshotInfo, Status};
pub(crate) use check::{CheckOutcome, DamagedPath, RepairOutcome};
pub(crate) use damage::DamageReport;
pub(crate) use quota::QuotaReport;
pub(crate) use repair::{GoneReport, RepairedReport};
use serde::{Deserialize, Serialize};
pub(crate) use snapshot::{DifferenceReport, HoldReport};
use std::path::PathBuf;

/// `status` of a mount.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MountReport {
    /// The daemon.
    pub(crate) pid: u32,
    /// Where the sealed blocks lie.
    #[serde(with = "crate::path")]
    pub(crate) store: PathBuf,
    /// Where it is mounted.
    #[serde(with = "crate::path")]
    pub(crate) mountpoint: PathBuf,
    /// The volume's name.
    pub(crate) volume_id: String,
    /// What everything in it is sealed with.
    pub(crate) cipher: String,
    /// Number of the newest commit.
    pub(crate) epoch: u64,
    /// CID of the newest commit.
    pub(crate) root: String,
    /// Bytes changed since then.
    pub(crate) dirty_bytes: u64,
    /// Memory the engine accounts for.
    pub(crate) memory_bytes: u64,
    /// Bytes the volume holds.
    pub(crate) used_bytes: u64,
    /// Files and directories.
    pub(crate) inodes: u64,
    /// Limits, and what counts towards them.
    pub(crate) quota: QuotaReport,
    /// The worst that is wrong with the mount, if anything is; `status` ends with its code.
    #[serde(default)]
    pub(crate) trouble: Option<Trouble>,
    /// Why the volume cannot be changed, if it cannot.
    pub(crate) read_only: Option<String>,
    /// What of the intent log was durable and is lost.
    #[serde(default)]
    pub(crate) log_lost: Option<LostReport>,
    /// What at the end of the intent log did not verify, and was not known to be durable.
    #[serde(default)]
    pub(crate) log_torn: Option<String>,
    /// How fresh it is.
    pub(crate) freshness: AnchorReport,
    /// What repairs took away, in numbers.
    #[serde(default)]
    pub(crate) repaired: Option<RepairedReport>,
    /// What it met that is damaged.
    #[serde(default)]
    pub(crate) damage: DamageReport,
}

/// Why a mount is not well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// In words, with the remedy.
    pub(crate) message: String,
    /// The code for it.
    pub(crate) exit: Exit,
}

/// One snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotReport {
    /// Its name (bytes that are no UTF-8 are replaced).
    pub(crate) name: String,
    /// The commit it holds.
    pub(crate) epoch: u64,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Files and directories in it.
    pub(crate) inodes: u64,
    /// Bytes its files refer to.
    pub(crate) bytes: u64,
    /// What keeps it from being destroyed.
    #[serde(default)]
    pub(crate) holds: Vec<HoldReport>,
}

impl MountReport {
    /// From the engine's own words.
    pub(crate) fn new(
        record: &crate::mount::state::Record,
        status: &Status,
        freshness: AnchorReport,
        damage: &KnownDamage,
    ) -> Self {
        Self {
            pid: record.pid,
            store: record.store.clone(),
            mountpoint: record.mountpoint.clone(),
            volume_id: hex(&status.volume_id),
            cipher: status.suite.name().to_owned(),
            epoch: status.epoch.0,
            root: status.root.to_string(),
            dirty_bytes: status.dirty_bytes,
            memory_bytes: status.memory_bytes,
            used_bytes: status.used_bytes,
            inodes: status.inodes,
            quota: QuotaReport::from(status),
            trouble: None,
            read_only: status.read_only.map(str::to_owned),
            log_lost: status.log_loss.as_ref().map(LostReport::from),
            log_torn: status.log_torn.clone(),
            freshness,
            repaired: status.repaired.as_ref().map(RepairedReport::from),
            damage: damage.into(),
        }
    }
}

impl From<&SnapshotInfo> for SnapshotReport {
    fn from(info: &SnapshotInfo) -> Self {
        Self {
            name: String::from_utf8_lossy(info.name.as_bytes()).into_owned(),
            epoch: info.epoch,
            created: info.created.parts().0,
            inodes: info.inodes,
            bytes: info.bytes,
            holds: info.holds.iter().map(HoldReport::from).collect(),
        }
    }
}

impl From<CheckReport> for CheckOutcome {
    fn from(report: CheckReport) -> Self {
        let damaged = report.damaged.into_iter().map(|damage| DamagedPath {
            path: String::from_utf8_lossy(&damage.path).into_owned(),
            what: damage.what,
            missing: damage.missing,
            names: damage.names,
        });
        Self {
            cipher: report.suite.name().to_owned(),
            blocks: report.blocks,
            bytes: report.bytes,
            logged_blocks: report.logged_blocks,
            inodes: report.inodes,
            leaked_blocks: report.leaked_blocks,
            damaged: damaged.collect(),
            damaged_more: report.damaged_more,
            repaired: report.repaired.as_ref().map(RepairedReport::from),
            gone: report.gone.iter().map(GoneReport::from).collect(),
        }
    }
}
