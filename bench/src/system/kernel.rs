//! Filesystems of the kernel: the disk's own as it is, and others on an image file of the disk.
//!
//! An image is attached with direct I/O, so that its bytes are not cached twice and a flush is a
//! flush of the disk.

use super::kind::{About, Kind, System};
use super::place::{Place, sync_both, unmount_path};
use crate::program;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// The filesystem that everything lies on.
pub(super) struct Disk {
    title: &'static str,
}

impl Disk {
    /// Named after its type.
    pub(super) fn new(disk_type: &str) -> Self {
        Self {
            title: match disk_type {
                "ext4" => "ext4 (the disk)",
                "xfs" => "XFS (the disk)",
                "btrfs" => "btrfs (the disk)",
                "zfs" => "ZFS (the disk)",
                "tmpfs" => "tmpfs (no disk!)",
                _ => "the disk",
            },
        }
    }
}

impl System for Disk {
    fn about(&self) -> About {
        About {
            id: "disk",
            title: self.title,
            kind: Kind::Disk,
            sealed: false,
            includes: "a plain directory on the filesystem that all others store on",
            leaves_out: "encryption, checksums of data, any tie between versions",
            packages: &[],
            by_default: true,
        }
    }

    fn version(&self) -> Result<String> {
        Ok(format!(
            "Linux {}",
            rustix::system::uname().release().to_string_lossy()
        ))
    }

    fn create(&self, _place: &Place) -> Result<()> {
        Ok(())
    }

    fn mount(&self, _place: &Place) -> Result<()> {
        Ok(())
    }

    fn unmount(&self, _place: &Place) -> Result<()> {
        Ok(())
    }

    fn daemons(&self, _place: &Place) -> Vec<i32> {
        Vec::new()
    }

    fn directory(&self, place: &Place) -> PathBuf {
        place.store()
    }
}

/// A filesystem of the kernel on an image file.
struct Image {
    about: About,
    /// Its type for mount(8).
    kind: &'static str,
    /// Makes it.
    mkfs: &'static [&'static str],
}

/// All of them.
pub(super) fn all() -> Vec<Box<dyn System>> {
    let image = |id, title, packages, includes, leaves_out, kind, mkfs, by_default| {
        let about = About {
            id,
            title,
            kind: Kind::Kernel,
            sealed: false,
            includes,
            leaves_out,
            packages,
            by_default,
        };
        Box::new(Image { about, kind, mkfs }) as Box<dyn System>
    };
    vec![
        image(
            "btrfs",
            "btrfs, sha256",
            &["btrfs-progs"][..],
            "sha256 of every block, copy on write, on an image file of the disk behind a loop device",
            "encryption; a Merkle root that says more than each block's checksum",
            "btrfs",
            &["mkfs.btrfs", "-q", "--csum", "sha256"][..],
            true,
        ),
        image(
            "ext4-image",
            "ext4 (image)",
            &["e2fsprogs"][..],
            "an image file of the disk behind a loop device: shows what the loop costs btrfs and ZFS",
            "encryption, checksums of data",
            "ext4",
            &[
                // Not lazily: the kernel would write the tables in the background of the first
                // rows.
                "mkfs.ext4",
                "-q",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
                "-m",
                "0",
            ][..],
            false,
        ),
    ]
}

/// Size of an image: sparse, so only what is used takes space.
const IMAGE_BYTES: u64 = 24 << 30;

impl System for Image {
    fn about(&self) -> About {
        self.about
    }

    fn version(&self) -> Result<String> {
        let mkfs = program::version(self.mkfs[0], "-V")?;
        program::need("losetup")?;
        anyhow::ensure!(
            rustix::process::geteuid().is_root(),
            "needs root for a loop device"
        );
        anyhow::ensure!(
            std::path::Path::new("/dev/loop-control").exists(),
            "there is no /dev/loop-control, so no loop device"
        );
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        anyhow::ensure!(
            known.lines().any(|line| line.trim() == self.kind),
            "this kernel has no {} (/proc/filesystems): modprobe {}",
            self.kind,
            self.kind
        );
        Ok(mkfs.lines().next().unwrap_or_default().to_owned())
    }

    fn create(&self, place: &Place) -> Result<()> {
        let image = place.store().join("image");
        fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
        let mut command = program::command(self.mkfs[0])?;
        program::run(command.args(&self.mkfs[1..]).arg(&image)).map(drop)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        mount_image(&place.store().join("image"), &place.mnt(), self.kind)
    }

    fn unmount(&self, place: &Place) -> Result<()> {
        // The loop device was told to detach itself with its last user.
        unmount_path(&place.mnt())?;
        sync_both(place, &place.store())
    }

    fn daemons(&self, _place: &Place) -> Vec<i32> {
        Vec::new()
    }

    fn has_snapshots(&self) -> bool {
        self.kind == "btrfs"
    }

    fn snapshot(&self, place: &Place, name: &str) -> Result<()> {
        let mut command = program::command("btrfs")?;
        command
            .args(["subvolume", "snapshot", "-r"])
            .arg(place.mnt())
            .arg(place.mnt().join(name));
        program::run(&mut command).map(drop)
    }
}

/// Attaches an image to a loop device and mounts that; the device goes with the mount.
pub(crate) fn mount_image(image: &std::path::Path, mnt: &std::path::Path, kind: &str) -> Result<()> {
    let mut losetup = program::command("losetup")?;
    let device = program::run(losetup.args(["--find", "--show", "--direct-io=on"]).arg(image))
        .context("no loop device can be had")?;
    let device = device.trim();
    let mut mount = program::command("mount")?;
    let mounted = program::run(mount.args(["-t", kind, "-o", "noatime", device]).arg(mnt));
    // Detaching a device in use marks it to go with its last user; after a failed mount it goes at
    // once.
    let detached = program::run(program::command("losetup")?.args(["--detach", device]));
    mounted.and(detached).map(drop)
}
