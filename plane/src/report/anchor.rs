//! What `status` tells of a mount's freshness.

use crate::anchor::freshness::{Freshness, Trust};
use crate::anchor::publish::{Punctuality, Window};
use crate::text::human;
use cairn_fs::Standing;
use cairn_merkle::Version;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VersionReport {
    /// Number of the commit.
    pub(crate) epoch: u64,
    /// CID of its block.
    pub(crate) root: String,
}

impl From<Version> for VersionReport {
    fn from(version: Version) -> Self {
        Self {
            epoch: version.epoch.0,
            root: version.root.to_string(),
        }
    }
}

/// Freshness, and what is not anchored yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AnchorReport {
    /// Where versions are published, if anywhere.
    pub(crate) anchor: Option<String>,
    /// How far it is proven that this mount began with the newest version.
    pub(crate) trust: Trust,
    /// The last version known to be anchored.
    pub(crate) anchored: Option<VersionReport>,
    /// Versions on their way.
    pub(crate) submitted: Vec<VersionReport>,
    /// The epoch of the newest change: what has to be anchored for all to be.
    pub(crate) changed_epoch: u64,
    /// Stored bytes that only published versions name.
    pub(crate) held_bytes: u64,
    /// What the outside could roll back; only for a mount that publishes.
    pub(crate) window: Option<WindowReport>,
}

/// The rollback window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WindowReport {
    /// Epochs since the anchored version, 0 if all is anchored.
    pub(crate) epochs: u64,
    /// Seconds since the anchored version was made.
    pub(crate) seconds: f64,
    /// Bytes written since then.
    pub(crate) bytes: u64,
    /// Seconds to the next publication, if one is due.
    pub(crate) next_seconds: Option<f64>,
    /// Why the last publication failed.
    pub(crate) error: Option<String>,
    /// Whether another instance has taken over.
    pub(crate) fenced: bool,
    /// How publications kept to their schedule since the mount.
    #[serde(default)]
    pub(crate) schedule: ScheduleReport,
}

/// Publications that came because the interval was over, and how late they were.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ScheduleReport {
    /// How many there were.
    pub(crate) publications: u64,
    /// Milliseconds from when the last was to begin until the epoch was closed that it publishes; 0
    /// if it was closed before.
    pub(crate) closed_late_ms: f64,
    /// The worst of these.
    pub(crate) closed_late_ms_max: f64,
    /// Milliseconds from when the last was due until it was handed to the anchor, whose own time is
    /// not in it.
    pub(crate) handed_late_ms: f64,
    /// The worst of these.
    pub(crate) handed_late_ms_max: f64,
}

impl AnchorReport {
    /// From the engine's and the publisher's own words.
    pub(crate) fn new(standing: &Standing, freshness: &Freshness) -> Self {
        let window = freshness.publisher.as_ref();
        let window = window.map(|publisher| WindowReport::from(publisher.window()));
        Self {
            anchor: freshness.anchor.as_ref().map(|anchor| anchor.describe()),
            trust: freshness.trust,
            anchored: standing.anchored.map(VersionReport::from),
            submitted: standing
                .submitted
                .iter()
                .copied()
                .map(VersionReport::from)
                .collect(),
            changed_epoch: standing.changed.0,
            held_bytes: standing.held_bytes,
            window,
        }
    }

    /// For people: lines that follow those of the volume.
    pub(crate) fn words(&self) -> String {
        let trust = match self.trust {
            Trust::None => "no anchor: the store can bring back any state this volume had",
            Trust::Unverified => "NOT VERIFIED: the anchor did not answer, this may be an old version",
            Trust::Checked => "fresh when it was mounted",
            Trust::Booted => "fresh, and the only instance",
        };
        let mut lines = vec![match &self.anchor {
            Some(anchor) => format!("anchor      {anchor}: {trust}"),
            None => format!("anchor      {trust}"),
        }];
        if let Some(anchored) = &self.anchored {
            lines.push(format!(
                "anchored    epoch {} ({})",
                anchored.epoch, anchored.root
            ));
        }
        if let Some(window) = &self.window {
            lines.push(window.words());
        }
        if self.held_bytes > 0 {
            let held = human(self.held_bytes);
            lines.push(format!("held        {held} for published versions"));
        }
        lines.join("\n")
    }
}

impl From<Window> for WindowReport {
    fn from(window: Window) -> Self {
        Self {
            epochs: window.epochs,
            seconds: window.age.as_secs_f64(),
            bytes: window.bytes,
            next_seconds: window.next.map(|next| next.as_secs_f64()),
            error: window.error,
            fenced: window.fenced,
            schedule: window.punctuality.into(),
        }
    }
}

impl From<Punctuality> for ScheduleReport {
    fn from(found: Punctuality) -> Self {
        let ms = |late: Duration| late.as_secs_f64() * 1000.0;
        Self {
            publications: found.count,
            closed_late_ms: ms(found.closed.last),
            closed_late_ms_max: ms(found.closed.max),
            handed_late_ms: ms(found.handed.last),
            handed_late_ms_max: ms(found.handed.max),
        }
    }
}

impl WindowReport {
    fn words(&self) -> String {
        let mut text = match self.epochs {
            0 => "window      none: everything is anchored".to_owned(),
            epochs => format!(
                "window      {epochs} epochs, {}, {:.0} s can be rolled back",
                human(self.bytes),
                self.seconds
            ),
        };
        if let Some(next) = self.next_seconds {
            let next = indicatif::HumanDuration(Duration::from_secs_f64(next));
            text.push_str(&format!("; next publication in {next}"));
        }
        let schedule = &self.schedule;
        if schedule.publications > 0 {
            text.push_str(&format!(
                "\nschedule    {} publications, closed {:.0} ms and handed over {:.0} ms late at worst",
                schedule.publications, schedule.closed_late_ms_max, schedule.handed_late_ms_max
            ));
        }
        // Last, where it is seen: the window grows until this is mended.
        if let Some(error) = &self.error {
            text.push_str(&format!("\npublishing  FAILED: {error}"));
        }
        text
    }
}
