//! Encrypting filesystems behind FUSE: Cairn's rivals. Each with its own defaults; only the cost of
//! stretching a password is turned down, since it is no part of any figure.

use super::kind::{About, Kind, System};
use super::place::{Place, unmount_path, wait_mounted};
use crate::program;
use anyhow::Result;
use std::fs;
use std::process::{Command, Stdio};

/// All of them.
pub(super) fn all() -> Vec<Box<dyn System>> {
    vec![
        Box::new(Gocryptfs { xchacha: false }),
        Box::new(Gocryptfs { xchacha: true }),
        Box::new(Securefs),
        Box::new(Cryfs),
        Box::new(Zerofs),
    ]
}

const PASSWORD: &str = "benchmark";

/// gocryptfs, with its default cipher or with the one that resembles Cairn's.
struct Gocryptfs {
    xchacha: bool,
}

impl System for Gocryptfs {
    fn about(&self) -> About {
        About {
            id: if self.xchacha {
                "gocryptfs-xchacha"
            } else {
                "gocryptfs"
            },
            title: if self.xchacha {
                "gocryptfs (XChaCha20)"
            } else {
                "gocryptfs"
            },
            kind: Kind::Fuse,
            sealed: true,
            includes: if self.xchacha {
                "XChaCha20-Poly1305 per 4 KiB block, encrypted names, FUSE"
            } else {
                "AES-256-GCM per 4 KiB block, encrypted names, FUSE"
            },
            leaves_out: "any tie between files and versions: blocks, files and whole trees can be replaced by older ones; hides neither sizes nor the tree's shape",
            packages: &["gocryptfs"],
            by_default: !self.xchacha,
        }
    }

    fn version(&self) -> Result<String> {
        program::version("gocryptfs", "-version")
    }

    fn create(&self, place: &Place) -> Result<()> {
        fs::write(place.file("password"), PASSWORD)?;
        let mut command = program::command("gocryptfs")?;
        command
            .args(["-init", "-q", "-scryptn", "10", "-passfile"])
            .arg(place.file("password"));
        if self.xchacha {
            command.arg("-xchacha");
        }
        program::run(command.arg(place.store())).map(drop)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        let mut command = program::command("gocryptfs")?;
        command
            .args(["-q", "-allow_other", "-passfile"])
            .arg(place.file("password"));
        program::start(command.arg(place.store()).arg(place.mnt()), &place.file("log"))?;
        wait_mounted(&place.mnt())
    }
}

/// securefs in its default format.
struct Securefs;

impl System for Securefs {
    fn about(&self) -> About {
        About {
            id: "securefs",
            title: "securefs",
            kind: Kind::Fuse,
            sealed: true,
            includes: "AES-256-GCM per 4 KiB block, encrypted names, FUSE",
            leaves_out: "any tie between files and versions: files and trees can be replaced by older ones; hides neither sizes nor the tree's shape",
            packages: &["securefs"],
            by_default: true,
        }
    }

    fn version(&self) -> Result<String> {
        let text = program::run(program::command("securefs")?.arg("version"))?;
        Ok(text.lines().next().unwrap_or("securefs").to_owned())
    }

    fn create(&self, place: &Place) -> Result<()> {
        let mut command = program::command("securefs")?;
        command.args([
            "create",
            "--pbkdf",
            "pkcs5-pbkdf2-hmac-sha256",
            "--rounds",
            "1000",
            "--pass",
            PASSWORD,
        ]);
        program::run(command.arg(place.store())).map(drop)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        let mut command = program::command("securefs")?;
        command.args(["mount", "-b", "-o", "allow_other", "--pass", PASSWORD]);
        program::start(command.arg(place.store()).arg(place.mnt()), &place.file("log"))?;
        wait_mounted(&place.mnt())
    }
}

/// CryFS with its defaults.
struct Cryfs;

impl System for Cryfs {
    fn about(&self) -> About {
        About {
            id: "cryfs",
            title: "CryFS",
            kind: Kind::Fuse,
            sealed: true,
            includes: "XChaCha20-Poly1305 in blocks of 16 KiB of one size, FUSE; notices older blocks as long as its local state is there",
            leaves_out: "durability: its fsync returns before anything reaches the disk, so every row with fsync is for scale only",
            packages: &["cryfs"],
            by_default: false,
        }
    }

    fn version(&self) -> Result<String> {
        // `--version` looks for updates on the network unless told not to.
        let mut command = program::command("cryfs")?;
        let text = program::run(command.arg("--version").env("CRYFS_NO_UPDATE_CHECK", "true"))?;
        Ok(text.lines().next().unwrap_or("cryfs").to_owned())
    }

    fn create(&self, _place: &Place) -> Result<()> {
        Ok(()) // The first mount creates.
    }

    fn mount(&self, place: &Place) -> Result<()> {
        fs::write(place.file("password"), format!("{PASSWORD}\n"))?;
        let mut command = program::command("cryfs")?;
        command
            .env("CRYFS_FRONTEND", "noninteractive")
            .env("CRYFS_NO_UPDATE_CHECK", "true")
            .env("CRYFS_LOCAL_STATE_DIR", place.file("state"))
            .stdin(Stdio::from(fs::File::open(place.file("password"))?))
            .args(["-o", "allow_other"])
            .arg(place.store())
            .arg(place.mnt());
        program::start(&mut command, &place.file("log"))?;
        wait_mounted(&place.mnt())
    }
}

/// ZeroFS on local files. Not packaged by Debian, and its sync takes seconds: only when asked for.
/// It is built from its repository: the crate of its name is older and cannot mount.
struct Zerofs;

impl Zerofs {
    fn config(place: &Place) -> String {
        let show = |path: std::path::PathBuf| path.display().to_string();
        format!(
            "[cache]\ndir = \"{}\"\ndisk_size_gb = 4.0\nmemory_size_gb = 1.0\n\n\
             [storage]\nurl = \"file://{}\"\nencryption_password = \"{PASSWORD}\"\n\n\
             [servers.ninep]\nunix_socket = \"{}\"\n",
            show(place.file("cache")),
            show(place.store()),
            show(place.file("9p.sock")),
        )
    }
}

impl System for Zerofs {
    fn about(&self) -> About {
        About {
            id: "zerofs",
            title: "ZeroFS",
            kind: Kind::Fuse,
            sealed: true,
            includes: "XChaCha20-Poly1305 over an LSM tree (SlateDB) of objects in local files, its own FUSE mount",
            leaves_out: "an object store's latency; made for object stores, so a local disk is not its ground",
            packages: &[],
            by_default: false,
        }
    }

    fn version(&self) -> Result<String> {
        let version = program::version("zerofs", "--version")?;
        // What is on crates.io (0.19) serves 9P, NFS and NBD and has no mount of its own.
        program::run(program::command("zerofs")?.args(["mount", "--help"])).map_err(|error| {
            error.context(format!(
                "{version} has no `zerofs mount`: build the one of its repository, 2.x"
            ))
        })?;
        Ok(version)
    }

    fn create(&self, place: &Place) -> Result<()> {
        Ok(fs::write(place.file("zerofs.toml"), Self::config(place))?)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        // The mount point is not among the server's arguments. Its configuration file is, and by
        // that it is found again.
        let log = fs::File::create(place.file("server.log"))?;
        let mut server = Command::new(program::need("zerofs")?);
        server
            .args(["run", "-c"])
            .arg(place.file("zerofs.toml"))
            .stdin(Stdio::null());
        server.stdout(log.try_clone()?).stderr(log).spawn()?;
        let socket = place.file("9p.sock");
        for _ in 0..1500 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let mut command = program::command("zerofs")?;
        command.arg("mount").arg(&socket).arg(place.mnt());
        let log = fs::File::create(place.file("log"))?;
        command.stdout(log.try_clone()?).stderr(log).spawn()?;
        wait_mounted(&place.mnt())
    }

    fn daemons(&self, place: &Place) -> Vec<i32> {
        let mut pids = crate::proc::with_argument(&place.mnt());
        pids.extend(crate::proc::with_argument(&place.file("zerofs.toml")));
        pids
    }

    fn unmount(&self, place: &Place) -> Result<()> {
        unmount_path(&place.mnt())?;
        let pids = self.daemons(place);
        pids.iter()
            .for_each(|&pid| crate::proc::signal(pid, rustix::process::Signal::TERM));
        anyhow::ensure!(
            crate::proc::wait_gone(&pids, std::time::Duration::from_secs(120)),
            "its server did not end within two minutes"
        );
        // The next mount waits for this name: an old socket would end that wait too early.
        fs::remove_file(place.file("9p.sock")).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        Ok(())
    }
}
