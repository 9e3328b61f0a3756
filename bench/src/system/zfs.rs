//! ZFS in the forms this machine can have.
//!
//! | form | when | may be called |
//! |---|---|---|
//! | the kernel's own module | `/dev/zfs` exists | ZFS |
//! | OpenZFS' engine (libzpool) behind a small FUSE front, `bench/zfs/zlfuse.c` | built by `bench/zfs/build.sh` | zlfuse, never ZFS |
//! | that engine alone, `bench/zfs/zpoolbench.c`, no filesystem: the workload `engine` | the same | the engine, a floor |
//!
//! The front's file layer is not ZFS's own: no ZPL, no replay of its log. So its figures stand for
//! the engine: DMU, ARC, ZIL, checksums and encryption.

use super::kind::{About, Kind, System};
use super::place::{Place, sync_both, unmount_fuse, wait_mounted};
use crate::program;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// All forms, each encrypted with two checksums and in plain.
pub(super) fn all() -> Vec<Box<dyn System>> {
    let mut systems: Vec<Box<dyn System>> = Vec::new();
    for settings in NATIVE {
        systems.push(Box::new(Native(settings)));
    }
    for settings in ENGINE {
        systems.push(Box::new(Engine(settings)));
    }
    systems
}

/// How a pool is made.
struct Settings {
    id: &'static str,
    title: &'static str,
    sealed: bool,
    checksum: &'static str,
    by_default: bool,
}

static NATIVE: &[Settings] = &[
    Settings {
        id: "zfs",
        title: "ZFS aes-256-gcm, sha256",
        sealed: true,
        checksum: "sha256",
        by_default: true,
    },
    Settings {
        id: "zfs-blake3",
        title: "ZFS aes-256-gcm, blake3",
        sealed: true,
        checksum: "blake3",
        by_default: true,
    },
    Settings {
        id: "zfs-plain",
        title: "ZFS plain, sha256",
        sealed: false,
        checksum: "sha256",
        by_default: true,
    },
];

static ENGINE: &[Settings] = &[
    Settings {
        id: "zlfuse",
        title: "zlfuse aes-256-gcm, sha256",
        sealed: true,
        checksum: "sha256",
        by_default: true,
    },
    Settings {
        id: "zlfuse-blake3",
        title: "zlfuse aes-256-gcm, blake3",
        sealed: true,
        checksum: "blake3",
        by_default: false,
    },
    Settings {
        id: "zlfuse-plain",
        title: "zlfuse plain, sha256",
        sealed: false,
        checksum: "sha256",
        by_default: false,
    },
];

/// Size of a pool's file: sparse, so only what is used takes space.
const POOL_MIB: u64 = 24 << 10;

/// The kernel's own.
struct Native(&'static Settings);

impl Native {
    /// A pool's name is global on a machine: it follows from the place.
    fn pool(place: &Place) -> String {
        let hash = blake3::hash(place.root().as_os_str().as_encoded_bytes()).to_hex();
        format!("cairnbench{}", &hash[..8])
    }

    fn call(name: &str, arguments: &[&str]) -> Result<()> {
        program::run(program::command(name)?.args(arguments)).map(drop)
    }
}

impl System for Native {
    fn about(&self) -> About {
        About {
            id: self.0.id,
            title: self.0.title,
            kind: Kind::Kernel,
            sealed: self.0.sealed,
            includes: "the kernel's ZFS, 128 KiB records, no compression, on a file of the disk",
            leaves_out: "a root that a reader without the key can verify, or that is anchored anywhere",
            packages: &["zfsutils-linux", "zfs-dkms"],
            by_default: self.0.by_default,
        }
    }

    fn version(&self) -> Result<String> {
        ensure!(
            Path::new("/dev/zfs").exists(),
            "there is no /dev/zfs: this kernel has no ZFS module loaded (apt install zfs-dkms zfsutils-linux; modprobe zfs)"
        );
        Ok(program::run(program::command("zfs")?.arg("version"))?
            .lines()
            .next()
            .unwrap_or("zfs")
            .to_owned())
    }

    fn create(&self, place: &Place) -> Result<()> {
        let (file, key) = (place.store().join("pool"), place.file("key"));
        fs::File::create(&file)?.set_len(POOL_MIB << 20)?;
        fs::write(&key, [7u8; 32])?;
        let mut command = program::command("zpool")?;
        command.args([
            "create",
            "-o",
            "ashift=12",
            "-o",
            // In no list of the machine: nothing imports the pool by itself.
            "cachefile=none",
            "-O",
            "compression=off",
            "-O",
            "atime=off",
        ]);
        command
            .args(["-O", "recordsize=128k", "-O"])
            .arg(format!("checksum={}", self.0.checksum));
        if self.0.sealed {
            command.args(["-O", "encryption=aes-256-gcm", "-O", "keyformat=raw", "-O"]);
            command.arg(format!("keylocation=file://{}", key.display()));
        }
        command
            .arg("-O")
            .arg(format!("mountpoint={}", place.mnt().display()));
        let pool = Self::pool(place);
        // Exported at once: every mount is an import then, the first one too.
        program::run(command.arg(&pool).arg(&file))?;
        Self::call("zpool", &["export", &pool])
    }

    fn mount(&self, place: &Place) -> Result<()> {
        let pool = Self::pool(place);
        let mut import = program::command("zpool")?;
        program::run(
            import
                .args(["import", "-N", "-o", "cachefile=none", "-d"])
                .arg(place.store())
                .arg(&pool),
        )?;
        if self.0.sealed {
            Self::call("zfs", &["load-key", &pool])?;
        }
        Self::call("zfs", &["mount", &pool])
    }

    fn unmount(&self, place: &Place) -> Result<()> {
        Self::call("zpool", &["export", &Self::pool(place)])?;
        sync_both(place, &place.store())
    }

    fn daemons(&self, _place: &Place) -> Vec<i32> {
        Vec::new()
    }

    fn flush(&self, place: &Place) -> Result<()> {
        // The pool first: its flush writes to the file that the disk then flushes.
        Self::call("zpool", &["sync", &Self::pool(place)])?;
        sync_both(place, &place.mnt())
    }

    fn has_snapshots(&self) -> bool {
        true
    }

    fn snapshot(&self, place: &Place, name: &str) -> Result<()> {
        Self::call("zfs", &["snapshot", &format!("{}@{name}", Self::pool(place))])
    }
}

/// libzpool behind FUSE.
struct Engine(&'static Settings);

/// Where `bench/zfs/build.sh` puts what it builds.
fn engine_dir() -> Option<PathBuf> {
    let cache = std::env::var_os("CAIRN_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(home?.join("cairn"))
    })?;
    Some(cache.join("zlfuse"))
}

/// One of the programs that `bench/zfs/build.sh` builds around the engine.
pub(crate) fn engine_program(name: &str) -> Result<Command> {
    let dir = engine_dir().context("neither CAIRN_CACHE nor HOME is set")?;
    let program = dir.join(name);
    ensure!(
        program.is_file(),
        "{name} is not built: bench/zfs/build.sh builds it from Debian's packages, and installs nothing"
    );
    let mut command = Command::new(program);
    command
        .env("LD_LIBRARY_PATH", dir.join("lib"))
        // Its ARC allocates and frees records without end: with the default settings that is most
        // of its time.
        .env("MALLOC_ARENA_MAX", "2")
        .env(
            "GLIBC_TUNABLES",
            "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4294967296",
        );
    Ok(command)
}

impl Engine {
    /// Creates or imports a pool and serves it.
    fn serve(&self, place: &Place, verb: &str) -> Result<()> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(place.file("log"))?;
        let mut command = engine_program("zlfuse")?;
        command
            .arg(verb)
            .arg(place.store().join("pool"))
            .arg(POOL_MIB.to_string())
            .arg(if self.0.sealed { "enc" } else { "plain" })
            .args([self.0.checksum, "131072"])
            .arg(place.mnt())
            .arg("writeback") // the kernel's write cache, as Cairn has it
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = command.spawn()?;
        wait_mounted(&place.mnt()).inspect_err(|_| {
            let _ = child.kill();
        })
    }
}

impl System for Engine {
    fn about(&self) -> About {
        About {
            id: self.0.id,
            title: self.0.title,
            kind: Kind::Fuse,
            sealed: self.0.sealed,
            includes: "OpenZFS' engine (libzpool: DMU, ARC, ZIL, real checksums and encryption) behind a FUSE front of ours, 128 KiB records",
            leaves_out: "ZFS's own file layer and its place in the kernel: this is not ZFS's speed; no replay after a crash",
            packages: &[],
            by_default: self.0.by_default,
        }
    }

    fn version(&self) -> Result<String> {
        let dir = engine_dir().context("neither CAIRN_CACHE nor HOME is set")?;
        engine_program("zlfuse")?;
        Ok(format!(
            "libzpool {}",
            fs::read_to_string(dir.join("version")).unwrap_or_default().trim()
        ))
    }

    fn create(&self, place: &Place) -> Result<()> {
        self.serve(place, "create")?;
        self.unmount(place)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        self.serve(place, "import")
    }

    fn unmount(&self, place: &Place) -> Result<()> {
        unmount_fuse(self.daemons(place), &place.mnt())
    }

    fn fills_with_its_disk(&self) -> bool {
        false // The pool's file is sparse, and larger than any disk that is filled here.
    }

    fn can_crash(&self) -> bool {
        false
    }
}
