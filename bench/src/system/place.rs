//! Where one volume of a system lives, and how paths are flushed, unmounted and waited for.
//!
//! ```text
//! Place: root/  store/   what lies on the disk
//!               mnt/     what is mounted: wait_mounted --> sync_both --> unmount_path, unmount_fuse, take_away
//!               ...      files of the system's own
//! ```

use crate::proc;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where one volume of a system lives.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Everything of the volume is below this absolute path.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// All of it.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// What lies on the disk.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// What is mounted.
    pub(crate) fn mnt(&self) -> PathBuf {
        self.0.join("mnt")
    }

    /// A file of the system's own: key, password, log.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Its directories. Others may look inside: PostgreSQL does not run as root.
    pub(crate) fn prepare(&self) -> Result<()> {
        for dir in [self.0.clone(), self.store(), self.mnt()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&dir)
                .with_context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(())
    }
}

/// Flushes the filesystem at `dir` and the disk below.
pub(super) fn sync_both(place: &Place, dir: &Path) -> Result<()> {
    // From above: the flush of the filesystem leaves dirty pages in the one below.
    for path in [dir, &place.store()] {
        rustix::fs::syncfs(fs::File::open(path)?).with_context(|| format!("syncfs of {}", path.display()))?;
    }
    Ok(())
}

/// Unmounts, patiently: another process may still be closing a file; then waits for the daemons'
/// end.
pub(super) fn unmount_fuse(pids: Vec<i32>, mnt: &Path) -> Result<()> {
    unmount_path(mnt)?;
    if proc::wait_gone(&pids, Duration::from_secs(120)) {
        Ok(())
    } else {
        bail!("its process did not end within two minutes of being unmounted")
    }
}

/// Unmounts one path.
pub(crate) fn unmount_path(mnt: &Path) -> Result<()> {
    let mut tries = 0;
    while proc::mounted_at(mnt).is_some() {
        let mut command = crate::program::command("umount")?;
        match crate::program::run(command.arg(mnt)) {
            Ok(_) => {}
            Err(error) if tries == 50 => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        tries += 1;
    }
    Ok(())
}

/// Detaches whatever is mounted there, dead or alive.
pub(crate) fn take_away(mnt: &Path) {
    // Each pass detaches one layer; a path that stays mounted after a few is not ours to fight.
    for _ in 0..4 {
        if proc::mounted_at(mnt).is_none() {
            return;
        }
        if let Ok(mut command) = crate::program::command("umount") {
            let _ = crate::program::run(command.arg("-l").arg(mnt));
        }
    }
}

/// Waits until something is mounted at `mnt`; some daemons return before.
pub(super) fn wait_mounted(mnt: &Path) -> Result<()> {
    for _ in 0..1500 {
        if proc::mounted_at(mnt).is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing was mounted within 30 s")
}
