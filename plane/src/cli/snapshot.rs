//! What `snapshot` is asked.

use crate::cli::place::PlaceArgs;
use clap::Subcommand;

/// `snapshot`.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Hold the volume as it is now
    #[command(
        after_help = "Examples:\n  cairn snapshot create /mnt/data before-upgrade\n  \
        cairn snapshot create /srv/store nightly --key-file /etc/cairn/volume.key"
    )]
    Create {
        #[command(flatten)]
        place: PlaceArgs,
        /// Name of the snapshot
        name: String,
    },
    /// List the snapshots, with their holds
    #[command(after_help = "Example:\n  cairn --json snapshot list /mnt/data")]
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Give a snapshot's space back
    #[command(
        after_help = "Example:\n  cairn snapshot destroy /mnt/data before-upgrade\n\n\
        A snapshot that is held is refused (6): release its holds first."
    )]
    Destroy {
        #[command(flatten)]
        place: PlaceArgs,
        /// Name of the snapshot
        name: String,
    },
    /// Give a snapshot another name
    #[command(after_help = "Example:\n  cairn snapshot rename /mnt/data nightly monday")]
    Rename {
        #[command(flatten)]
        place: PlaceArgs,
        /// Its name
        old: String,
        /// The name it is to have
        new: String,
    },
    /// List the names that differ between a snapshot and another one, or the live tree
    #[command(after_help = "Examples:\n  cairn snapshot diff /mnt/data monday\n  \
        cairn --json snapshot diff /mnt/data monday tuesday\n\n\
        A line for each name: + added, - removed, M modified, R renamed (old -> new); a directory ends with /. A byte that\n\
        does not print is \\ and three octal digits. In JSON an object a line. The time it takes goes with the difference.")]
    Diff {
        #[command(flatten)]
        place: PlaceArgs,
        /// The snapshot to begin with
        from: String,
        /// The snapshot to compare it with [default: the live tree]
        to: Option<String>,
    },
    /// Make the tree of a snapshot the live one again, as a new version; all snapshots stay
    #[command(
        after_help = "Examples:\n  cairn snapshot rollback /mnt/data before-upgrade\n  \
        cairn snapshot rollback /srv/store nightly --key-file /etc/cairn/volume.key\n\n\
        The tree as it was is taken as a snapshot first, whose name is printed: nothing is lost. A mount that is in use is\n\
        refused (6), and so is a plain user's: unmount it, and name the store."
    )]
    Rollback {
        #[command(flatten)]
        place: PlaceArgs,
        /// Name of the snapshot
        name: String,
    },
    /// Keep a snapshot from being destroyed until the hold is released
    #[command(after_help = "Examples:\n  cairn snapshot hold /mnt/data monday\n  \
        cairn snapshot hold /mnt/data monday audit-2026")]
    Hold {
        #[command(flatten)]
        place: PlaceArgs,
        /// Name of the snapshot
        name: String,
        /// What the hold is called; a snapshot may have several
        #[arg(default_value = "keep")]
        tag: String,
    },
    /// End a hold
    #[command(after_help = "Example:\n  cairn snapshot release /mnt/data monday audit-2026")]
    Release {
        #[command(flatten)]
        place: PlaceArgs,
        /// Name of the snapshot
        name: String,
        /// What the hold is called
        #[arg(default_value = "keep")]
        tag: String,
    },
}
