//! What `mount` and `umount` are asked.

use crate::cli::anchor::AnchorArgs;
use crate::cli::key::KeyArgs;
use crate::cli::values::{MountWord, WordMeans, memory, mount_word, size, time};
use crate::cli::verify::VersionArgs;
use cairn_fs::MountFlag;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// `mount`.
#[derive(Clone, Debug, Args)]
pub(crate) struct MountArgs {
    /// Directory of the sealed blocks; a CAR with --read-only
    pub(crate) store: PathBuf,
    /// Where to mount
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Stay in the foreground, log to standard error
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Refuse every change; the same as -o ro
    #[arg(long)]
    pub(crate) read_only: bool,
    /// If the store lost what was synced (of the intent log, or the newest commit): go on for writing without it
    #[arg(long)]
    pub(crate) accept_log_loss: bool,
    /// Options of mount(8): ro, rw, nosuid, nodev, noexec, noatime, sync, dirsync and their opposites
    #[arg(short = 'o', long = "options", value_name = "OPTION,...", value_delimiter = ',', value_parser = mount_word)]
    pub(crate) words: Vec<MountWord>,
    /// Upper limit of the daemon's memory, 256M at least
    #[arg(long, value_name = "SIZE", default_value = "768M", value_parser = memory)]
    pub(crate) memory: u64,
    /// Have each write ask for room when less than this is left [default: as much as the kernel may hold of dirty pages, 64M at least]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) full_margin: Option<u64>,
    /// Longest time until a change without an fsync is durable
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) commit_interval: Duration,
    /// Only the user who mounts may look inside (otherwise every user, as permissions allow)
    #[arg(long)]
    pub(crate) no_allow_other: bool,
    #[command(flatten)]
    pub(crate) anchor: AnchorArgs,
    /// Threads that answer the kernel, and that seal [default: one for each 4 processors, and one for each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Where the daemon logs [default: the run directory, see docs/operations.md]
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// How the daemon logs; RUST_LOG sets what
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Source that mount(8) and df show [default: cairn:STORE]
    #[arg(long, value_name = "NAME", env = "FSUT_FSNAME", hide_env = true)]
    pub(crate) fsname: Option<String>,
    /// Make the empty directory below the mount immutable, so that nothing is written there while nothing is mounted
    #[arg(long)]
    pub(crate) protect_mountpoint: bool,
    /// This process is to become the daemon
    #[arg(long, hide = true)]
    pub(crate) daemon_child: bool,
}

/// `umount`.
#[derive(Debug, Args)]
pub(crate) struct UmountArgs {
    /// Where the volume is mounted
    pub(crate) dir: PathBuf,
    /// Detach although files are open, and do not wait; the daemon ends when the last one is closed
    #[arg(long, conflicts_with = "force")]
    pub(crate) lazy: bool,
    /// Commit, and end the daemon although files are open or other namespaces have the mount: they get errors
    #[arg(long)]
    pub(crate) force: bool,
    /// Longest wait for other mount namespaces to let go of the mount. A commit takes as long as it takes
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,
}

impl MountArgs {
    /// Whether every change is refused.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
            || self
                .words
                .iter()
                .any(|word| word.means == Some(WordMeans::ReadOnly))
    }

    /// Flags among the options.
    pub(crate) fn flags(&self) -> Vec<MountFlag> {
        let flag = |word: &MountWord| match word.means {
            Some(WordMeans::Flag(flag)) => Some(flag),
            _ => None,
        };
        self.words.iter().filter_map(flag).collect()
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
