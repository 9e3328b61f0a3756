//! What `mount` and `umount` are asked.

use crate::cli::anchor::AnchorArgs;
use crate::cli::key::KeyArgs;
use crate::cli::values::{MountWord, WordMeans, memory, mount_word, size, time};
use crate::cli::verify::VersionArgs;
use crate::error::Result;
use crate::path::make_absolute;
use cairn_fs::MountFlag;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// `mount`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct MountArgs {
    /// Directory of the sealed blocks; a CAR with --read-only
    #[serde(with = "crate::path")]
    pub(crate) store: PathBuf,
    /// Where to mount
    #[serde(with = "crate::path")]
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
    /// If the store lost what was synced (of the intent log, or the newest commit): go on for
    /// writing without it
    #[arg(long)]
    pub(crate) accept_log_loss: bool,
    /// Options of mount(8): ro, rw, nosuid, nodev, noexec, noatime, sync, dirsync and their
    /// opposites; what fstab says to mount(8) and systemd (nofail, _netdev, noauto, user, x-*) is
    /// taken, too
    #[arg(short = 'o', long = "options", value_name = "OPTION,...", value_delimiter = ',', value_parser = mount_word)]
    pub(crate) words: Vec<MountWord>,
    /// Upper limit of the daemon's memory, 256M at least
    #[arg(long, value_name = "SIZE", default_value = "768M", value_parser = memory)]
    pub(crate) memory: u64,
    /// Have each write ask for room when less than this is left [default: as much as the kernel may
    /// hold of dirty pages, 64M at least]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) full_margin: Option<u64>,
    /// Longest time until a change without an fsync is durable
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) commit_interval: Duration,
    /// Let mkdir and rmdir in .snapshots take and destroy snapshots. Not for a mount that backups
    /// are restored to: what writes a `.snapshots` back would take a snapshot for each in it
    #[arg(long)]
    pub(crate) snapshot_dirs: bool,
    /// Only the user who mounts may look inside (otherwise every user, as permissions allow)
    #[arg(long)]
    pub(crate) no_allow_other: bool,
    #[command(flatten)]
    pub(crate) anchor: AnchorArgs,
    /// Threads that answer the kernel, and that seal [default: one for each 4 processors, and one
    /// for each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Where the daemon logs [default: the run directory, see docs/operations.md]
    #[arg(long, value_name = "FILE")]
    #[serde(with = "crate::path")]
    pub(crate) log_file: Option<PathBuf>,
    /// How the daemon logs; RUST_LOG sets what
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Source that mount(8) and df show [default: cairn:STORE]
    #[arg(long, value_name = "NAME", env = "FSUT_FSNAME", hide_env = true)]
    #[serde(with = "crate::path")]
    pub(crate) fsname: Option<OsString>,
    /// Mount over a directory that is not empty: what is in it is hidden while the volume is
    /// mounted
    #[arg(long, conflicts_with = "protect_mountpoint")]
    pub(crate) nonempty: bool,
    /// Make the empty directory below the mount immutable, so that nothing is written there while
    /// nothing is mounted
    #[arg(long)]
    pub(crate) protect_mountpoint: bool,
    /// This process is to become the daemon: standard input has all that was asked for
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
    /// Commit, and end the daemon although files are open or other namespaces have the mount: they
    /// get errors
    #[arg(long)]
    pub(crate) force: bool,
    /// Longest wait for other mount namespaces to let go of the mount. A commit takes as long as it
    /// takes
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,
}

impl MountArgs {
    /// Whether every change is refused. Of `ro` and `rw` the last one counts.
    pub(crate) fn is_read_only(&self) -> bool {
        let said = self.words.iter().rev().find_map(|word| match word.means {
            Some(WordMeans::ReadOnly) => Some(true),
            Some(WordMeans::ReadWrite) => Some(false),
            _ => None,
        });
        self.read_only || said == Some(true)
    }

    /// Flags among the options, as those in their order leave them.
    pub(crate) fn flags(&self) -> Vec<MountFlag> {
        let mut flags = Vec::new();
        for means in self.words.iter().filter_map(|word| word.means) {
            match means {
                WordMeans::Flag(flag) => flags.push(flag),
                WordMeans::Not(flag) => flags.retain(|had| *had != flag),
                WordMeans::ByUsers { programs } => {
                    flags.extend([MountFlag::NoSuid, MountFlag::NoDev]);
                    flags.extend((!programs).then_some(MountFlag::NoExec));
                }
                WordMeans::ReadOnly | WordMeans::ReadWrite => {}
            }
        }
        flags
    }

    /// Has its paths lead to the same files wherever the process works.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub(crate) fn make_absolute(&mut self) -> Result<()> {
        // Every field by name: one that is added is looked at here.
        let Self {
            store,
            dir,
            key,
            version,
            foreground: _,
            read_only: _,
            accept_log_loss: _,
            words: _,
            memory: _,
            full_margin: _,
            commit_interval: _,
            snapshot_dirs: _,
            no_allow_other: _,
            anchor,
            threads: _,
            log_file,
            log_format: _,
            fsname: _,
            nonempty: _,
            protect_mountpoint: _,
            daemon_child: _,
        } = self;
        let mut paths = [store, dir].into_iter().chain(log_file);
        paths.try_for_each(make_absolute)?;
        key.make_absolute()?;
        version.make_absolute()?;
        anchor.make_absolute()
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::{CommandFactory, Parser};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    /// Every option of `mount`, at another value than its default.
    const OPTIONS: [(&str, Option<&[u8]>); 27] = [
        ("key-file", Some(b"caf\xe9")),
        ("passphrase", None),
        ("passphrase-file", Some(b"words")),
        ("root", Some(&[b'7'; 64])),
        ("base", Some(b"a,b.car")),
        ("foreground", None),
        ("read-only", None),
        ("accept-log-loss", None),
        ("options", Some(b"ro,noexec,sync")),
        ("memory", Some(b"300M")),
        ("full-margin", Some(b"1M")),
        ("commit-interval", Some(b"1234ms")),
        ("snapshot-dirs", None),
        ("no-allow-other", None),
        ("anchor", Some(b"file:caf\xe9")),
        ("no-anchor", None),
        ("anchor-policy", Some(b"wait")),
        ("publish-interval", Some(b"7s")),
        ("publish-bytes", Some(b"5M")),
        ("challenge-interval", Some(b"9s")),
        ("publish-last", Some(b"11s")),
        ("threads", Some(b"3")),
        ("log-file", Some(b"a log")),
        ("log-format", Some(b"json")),
        ("fsname", Some(b"a\\b,c")),
        ("nonempty", None),
        ("protect-mountpoint", None),
    ];

    fn parse(options: &[(&str, Option<&[u8]>)]) -> MountArgs {
        let mut line: Vec<OsString> = ["cairn", "mount", "a store", "a dir"].map(Into::into).into();
        for (name, value) in options {
            line.push(format!("--{name}").into());
            line.extend(value.map(|value| OsStr::from_bytes(value).to_owned()));
        }
        match Cli::parse_from(line).command {
            Command::Mount(args) => *args,
            _ => unreachable!("the line says mount"),
        }
    }

    fn handed_over(args: &MountArgs) -> MountArgs {
        serde_json::from_str(&serde_json::to_string(args).unwrap()).unwrap()
    }

    #[test]
    fn a_daemon_is_handed_over_every_option_as_it_was_given() {
        let command = Cli::command();
        let mount = command.find_subcommand("mount").unwrap();
        let named: Vec<_> = mount.get_arguments().filter_map(|arg| arg.get_long()).collect();
        let listed = |name: &str| OPTIONS.iter().any(|(option, _)| *option == name);
        // What the daemon itself is told by, and what is of all commands.
        let apart = ["daemon-child", "json", "help", "version"];
        let forgotten: Vec<_> = named
            .iter()
            .filter(|name| !listed(name) && !apart.contains(name))
            .collect();
        assert!(
            forgotten.is_empty(),
            "options that no test hands over: {forgotten:?}"
        );
        let default = parse(&[]);
        assert_eq!(handed_over(&default), default);
        for option in OPTIONS {
            let args = parse(&[option]);
            assert_ne!(args, default, "{option:?} changes something");
            assert_eq!(handed_over(&args), args, "{option:?}");
        }
    }

    #[test]
    fn of_options_that_oppose_each_other_the_last_one_counts() {
        let of = |words: &str| {
            let args = parse(&[("options", Some(words.as_bytes()))]);
            (args.is_read_only(), args.flags())
        };
        assert_eq!(of("ro,rw"), (false, vec![]));
        assert_eq!(of("rw,ro"), (true, vec![]));
        assert_eq!(of("noexec,nodev,exec"), (false, vec![MountFlag::NoDev]));
        let by_users = vec![MountFlag::NoSuid, MountFlag::NoDev];
        assert_eq!(of("user,exec"), (false, by_users.clone()));
        assert_eq!(of("owner,nofail,x-a=b"), (false, by_users));
    }

    #[test]
    fn every_path_is_made_absolute() {
        let paths = ["key-file", "passphrase-file", "base", "anchor", "log-file"];
        for option in OPTIONS.into_iter().filter(|(name, _)| paths.contains(name)) {
            let mut args = parse(&[option]);
            args.make_absolute().unwrap();
            let here = std::env::current_dir().unwrap();
            assert_eq!((args.store, args.dir), (here.join("a store"), here.join("a dir")));
            let (name, value) = option;
            let given = OsStr::from_bytes(value.unwrap());
            let anchored = match &args.anchor.anchor {
                Some(crate::cli::anchor::Spec::File(path)) => Some(path.clone()),
                _ => None,
            };
            let got = match name {
                "key-file" => args.key.key_file,
                "passphrase-file" => args.key.passphrase_file,
                "base" => args.version.base.first().cloned(),
                "anchor" => anchored,
                _ => args.log_file,
            };
            let want = given
                .as_bytes()
                .strip_prefix(b"file:")
                .map_or(given, OsStr::from_bytes);
            assert_eq!(got, Some(here.join(want)), "{name}");
        }
    }
}
