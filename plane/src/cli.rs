//! The command line: what can be asked, with examples.

pub(crate) mod anchor;
pub(crate) mod chain;
pub(crate) mod helper;
pub(crate) mod key;
pub(crate) mod mount;
pub(crate) mod place;
pub(crate) mod see;
pub(crate) mod snapshot;
pub(crate) mod values;
pub(crate) mod verify;

use crate::cli::key::KeyArgs;
use crate::cli::mount::{MountArgs, UmountArgs};
use crate::cli::place::PlaceArgs;
use crate::cli::see::{ListArgs, QuotaArgs, StatusArgs};
use crate::cli::snapshot::SnapshotCommand;
use crate::cli::values::{cipher, size, time};
use crate::cli::verify::{AuditArgs, ExportArgs, ImportArgs, ProveArgs, VerifyProofArgs, VersionArgs};
use crate::error::Exit;
use cairn_merkle::Suite;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// A filesystem whose every byte is sealed, and verified against one root.
#[derive(Debug, Parser)]
#[command(version, after_help = Exit::table(), propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    /// Answer and fail in JSON, one object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a volume in a new or empty directory. Nothing else ever formats
    #[command(after_help = "Examples:\n  install -d -m 700 /etc/cairn\n  \
        cairn create /srv/store --key-file /etc/cairn/volume.key\n  \
        cairn create /srv/store --passphrase --quota 10G --record-size 16K\n  \
        cairn create /srv/store --key-file /etc/cairn/volume.key --cipher aes-256-gcm\n\n\
        A key file that is not there is made. Without its key the volume is lost. Keep the file where a reboot leaves it,\n\
        not below /run or /tmp, and a copy on another machine; neither where the store's owner can read it.")]
    Create(CreateArgs),
    /// Mount a volume and return once it serves
    #[command(
        after_help = "Examples:\n  cairn mount /srv/store /mnt/data --key-file /etc/cairn/volume.key\n  \
        cairn mount /srv/store /mnt/data --passphrase --read-only\n  \
        cairn mount backup.car /mnt/data --key-file /etc/cairn/volume.key --read-only\n  \
        cairn mount /srv/store /mnt/data --key-file /etc/cairn/volume.key --foreground --log-format json\n  \
        cairn mount /srv/store /mnt/data --key-file /etc/cairn/volume.key --anchor file:/var/lib/cairn/anchor\n\n\
        A daemon ends cleanly on SIGTERM, on SIGINT and on umount: it commits first. A second signal ends it at once."
    )]
    Mount(Box<MountArgs>),
    /// Unmount, and wait until the daemon has committed and ended
    #[command(
        after_help = "Examples:\n  cairn umount /mnt/data\n  cairn umount --lazy /mnt/data\n  \
        cairn umount --timeout 1m /mnt/data\n\n\
        Only a mount of Cairn is touched; what else is mounted there is refused (9), and so is one below another \
        mount (6).\nA mount that another mount namespace (a container) has a copy of lives on there: who has it is \
        told after a second,\nand after --timeout the command ends with 6, with everything committed. Of files \
        that are open here it ends with 6 at once."
    )]
    Umount(UmountArgs),
    /// Show a mount and whether it is well, or what a store tells without a key
    #[command(
        after_help = "Examples:\n  cairn status /mnt/data\n  cairn --json status /srv/store\n  \
        cairn status --timeout 3s /mnt/data\n\n\
        Of a mount it ends with 0 only if all is well, so it serves as a liveness probe: 7 if the store is gone, fails or\n\
        is full, 9 if the daemon is gone, 21 if it does not answer, 13 if another instance has taken over."
    )]
    Status(StatusArgs),
    /// List the mounts of this user (of root: all), with what each holds and whether it answers
    #[command(after_help = "Examples:\n  cairn list\n  cairn --json list --timeout 1s")]
    List(ListArgs),
    /// Make everything written so far durable (sync(2) does not reach a FUSE filesystem)
    #[command(
        after_help = "Examples:\n  cairn sync /mnt/data\n  cairn sync --anchored --timeout 5m /mnt/data"
    )]
    Sync {
        /// Where the volume is mounted
        dir: PathBuf,
        /// Return only when it is on the anchor, finally: then no rollback can undo it
        #[arg(long)]
        anchored: bool,
        /// Longest wait for the anchor [default: none]
        #[arg(long, value_name = "TIME", value_parser = time, requires = "anchored")]
        timeout: Option<Duration>,
    },
    /// Create, list, compare, hold, go back to and destroy snapshots; they are browsable under
    /// .snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Verify every block the volume names, and name the damaged paths
    #[command(
        after_help = "Examples:\n  cairn check /mnt/data\n  cairn check /srv/store --key-file /etc/cairn/volume.key\n  \
        cairn check backup.car --key-file /etc/cairn/volume.key"
    )]
    Check(CheckArgs),
    /// Give the volume's key a new key file or passphrase; data stays as it is
    #[command(
        after_help = "Examples:\n  cairn rekey /srv/store --key-file old --new-key-file new\n  \
        cairn rekey /srv/store --key-file old --new-passphrase"
    )]
    Rekey(RekeyArgs),
    /// Show or change how much a volume may hold
    #[command(
        after_help = "Examples:\n  cairn quota /mnt/data\n  cairn quota /mnt/data --bytes 20G\n  \
        cairn quota /srv/store --inodes none --key-file /etc/cairn/volume.key"
    )]
    Quota(QuotaArgs),
    /// List a directory of a volume, mounted or not
    #[command(
        after_help = "Examples:\n  cairn ls /srv/store / --key-file /etc/cairn/volume.key --long\n  \
        cairn ls /mnt/data /var/log\n\n\
        The daemon of a mounted volume has the key: none is asked for, unless for an older version with --root."
    )]
    Ls {
        #[command(flatten)]
        path: PathArgs,
        /// Mode, owner, size and time too
        #[arg(short, long)]
        long: bool,
    },
    /// Write a file of a volume, mounted or not, to standard output
    #[command(
        after_help = "Examples:\n  cairn cat /srv/store /etc/motd --key-file /etc/cairn/volume.key\n  \
        cairn cat /mnt/data /.snapshots/monday/etc/motd\n\n\
        The daemon of a mounted volume has the key: none is asked for, unless for an older version with --root."
    )]
    Cat(PathArgs),
    /// Verify every hash and every link of a version, without its key
    #[command(
        after_help = "Examples:\n  cairn audit /srv/store\n  cairn audit /mnt/data\n  cairn --json audit backup.car\n  \
        cairn audit monday.car --base sunday.car\n\n\
        Ends with 0 if everything is there and is what was written, 4 if a block was altered, 15 if blocks are missing.\n\
        The root it prints is to be compared with the one on chain. A mounted volume is committed first."
    )]
    Audit(AuditArgs),
    /// Write a version into a CAR, which any IPLD tool reads; no key is needed
    #[command(after_help = "Examples:\n  cairn export /srv/store --car backup.car\n  \
        cairn export /mnt/data --car backup.car\n  \
        cairn export /srv/store --car monday.car --since sunday.car\n  \
        cairn export /srv/store --v1 --car - | ssh elsewhere 'cat > backup.car'\n\n\
        A mounted volume is committed first, and its daemon keeps that version while it is written.")]
    Export(ExportArgs),
    /// Make a store of a CAR, verifying every block
    #[command(after_help = "Examples:\n  cairn import backup.car /srv/store\n  \
        cairn import monday.car /srv/store --base sunday.car")]
    Import(ImportArgs),
    /// Prove to a reader without the key what a path leads to, or that it leads to nothing
    #[command(
        after_help = "Examples:\n  cairn prove /srv/store /etc/motd --key-file /etc/cairn/volume.key -o motd.proof\n  \
        cairn prove backup.car /var/log/app --content --key-file /etc/cairn/volume.key -o app.proof\n  \
        cairn prove /mnt/data /etc/motd -o motd.proof\n\n\
        The daemon of a mounted volume has the key, and none is asked for.\n\
        A proof discloses the nodes on the path, and with them the names, the attributes and the contents of up to 2 KiB of\n\
        what else stands in these nodes. docs/threat-model.md says it in full."
    )]
    Prove(ProveArgs),
    /// Verify a proof against the root you trust
    #[command(
        after_help = "Example:\n  cairn verify-proof motd.proof --root bafyr4i… --output motd\n\n\
        Ends with 0 if the proof holds, whichever of the two it proves; 4 if it does not; 16 if it is under another root."
    )]
    VerifyProof(VerifyProofArgs),
    /// Verify the version that the chain names against a mount, a store or a CAR: without a key
    /// every hash and link, with one every path
    #[command(after_help = "Examples:\n  cairn verify /srv/store --config chain.toml\n  \
        cairn verify /mnt/data --config chain.toml\n  \
        cairn verify backup.car --config chain.toml --key-file /etc/cairn/volume.key\n\n\
        Ends with the codes of `cairn chain status`: 4 if something was altered, 15 if a block is missing.")]
    Verify(crate::cli::chain::VerifyArgs),
    /// Stake, publish and watch on chain
    #[command(subcommand)]
    Chain(Box<crate::cli::chain::ChainCommand>),
}

/// `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Directory for the sealed blocks: new or empty
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Unit of sealing: a power of two from 4K to 1M. Smaller for databases, larger for streams
    #[arg(long, value_name = "SIZE", default_value = "128K", value_parser = size)]
    pub(crate) record_size: u64,
    /// What the volume is sealed with, for good: `chacha20-poly1305` or `aes-256-gcm`
    ///
    /// Both keep the same promises. AES is faster where the processor has instructions for it, and
    /// slower where not. `create` measures both, and says so when the other would seal at least
    /// twice as fast on this machine.
    #[arg(long, value_name = "CIPHER", default_value = Suite::default().name(), value_parser = cipher)]
    pub(crate) cipher: Suite,
    /// Most bytes the volume may hold
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) quota: Option<u64>,
    /// Most files and directories the volume may hold
    #[arg(long, value_name = "COUNT", value_parser = size)]
    pub(crate) inodes: Option<u64>,
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Make the volume in a store whole again by taking away what cannot be read, and list what is
    /// gone
    ///
    /// First put back from a copy of the store what you can. It shows what is damaged, and asks.
    /// Files that lost bytes move to /lost+found, with holes; the volume keeps a list of all that
    /// is gone.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Repair without asking
    #[arg(long, requires = "repair")]
    pub(crate) yes: bool,
    /// Repair a volume that has been anchored, too
    #[arg(long, requires = "repair")]
    pub(crate) force: bool,
}

/// A path within a volume.
#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// Mount point, store, or a CAR
    pub(crate) store: PathBuf,
    /// Path from the volume's root; `/.snapshots/NAME/…` reads a snapshot
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) version: VersionArgs,
}

/// `rekey`.
#[derive(Debug, Args)]
pub(crate) struct RekeyArgs {
    /// Directory of the sealed blocks; the volume must not be mounted
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The new key file, created if it is absent
    #[arg(long, value_name = "FILE", group = "new")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// Ask for the new passphrase
    #[arg(long, group = "new")]
    pub(crate) new_passphrase: bool,
    /// File with the new passphrase
    #[arg(long, value_name = "FILE", group = "new")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
