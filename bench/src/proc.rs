//! What the kernel knows of processes, disks and mounts, read from /proc and /sys.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Processes that were started with exactly this path as one of their arguments. A filesystem's
/// daemon has its mount point there; a program that works inside the mount has a longer path.
pub(crate) fn with_argument(path: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid.unsigned_abs() != own)
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|&b| b == 0)
                .any(|argument| argument == path.as_os_str().as_bytes())
        })
        .collect()
}

/// Sends a signal to a process; that it has gone already is fine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Waits until none of these processes is left; whether that came true in time.
pub(crate) fn wait_gone(pids: &[i32], limit: Duration) -> bool {
    let start = Instant::now();
    // A zombie has ended: reaping it is left to its parent.
    let alive = |pid: &i32| fields(*pid).is_some_and(|f| f.first().is_some_and(|state| state != "Z"));
    while pids.iter().any(alive) {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The fields of /proc/PID/stat behind the command's name, which may itself hold blanks and
/// parentheses.
fn fields(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(
        text.rsplit_once(')')?
            .1
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
}

/// CPU seconds of one process so far, without its children.
pub(crate) fn cpu_seconds(pid: i32) -> f64 {
    ticks(&fields(pid).unwrap_or_default(), 11..13)
}

/// CPU seconds of this process and of all children it has waited for.
pub(crate) fn own_cpu_seconds() -> f64 {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    ticks(&fields(own).unwrap_or_default(), 11..15)
}

fn ticks(fields: &[String], which: std::ops::Range<usize>) -> f64 {
    let sum: u64 = fields
        .get(which)
        .unwrap_or_default()
        .iter()
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    sum as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// A line `name: value` of a file in /proc/PID.
fn value(pid: i32, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The most memory a process had resident, since its start or since [`reset_peak`].
pub(crate) fn peak_bytes(pid: i32) -> u64 {
    value(pid, "status", "VmHWM").unwrap_or(0) * 1024
}

/// Lets a process's peak start again at what it holds now. Needs no more than ownership; if it
/// fails the peak is that of the whole mount, which is larger, never smaller.
pub(crate) fn reset_peak(pid: i32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Bytes written so far to the disk that holds `path`, by all processes. What /proc/PID/io counts
/// would be one process's own. But it counts a whole large folio for each small write into it: 256
/// times too much on Linux 6.18.
pub(crate) fn device_written_bytes(path: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let text = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    // Field 7 of Documentation/admin-guide/iostats.rst: sectors of 512 bytes, whatever the disk's
    // own are.
    text.split_whitespace()
        .nth(6)?
        .parse::<u64>()
        .ok()
        .map(|sectors| sectors * 512)
}

/// Space that a directory's files take on disk.
pub(crate) fn space_bytes(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    let own = meta.blocks() * 512;
    if !meta.is_dir() {
        return own;
    }
    let Ok(entries) = fs::read_dir(path) else {
        return own;
    };
    own + entries
        .flatten()
        .map(|entry| space_bytes(&entry.path()))
        .sum::<u64>()
}

/// One line of the mount table.
pub(crate) struct MountLine {
    /// What is mounted.
    pub(crate) source: String,
    /// The filesystem's type.
    pub(crate) kind: String,
    /// Its options.
    pub(crate) options: String,
}

/// The topmost mount at exactly this path.
pub(crate) fn mounted_at(path: &Path) -> Option<MountLine> {
    let text = fs::read_to_string("/proc/self/mounts").ok()?;
    let wanted = path.to_str()?.replace(' ', "\\040");
    text.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        let (source, at) = (words.next()?, words.next()?);
        (at == wanted).then_some(())?;
        Some(MountLine {
            source: source.to_owned(),
            kind: words.next()?.to_owned(),
            options: words.next()?.to_owned(),
        })
    })
}

/// The mount that holds `path`.
pub(crate) fn mount_of(path: &Path) -> Option<MountLine> {
    let path = fs::canonicalize(path).ok()?;
    path.ancestors().find_map(mounted_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time_and_the_root_is_mounted() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(peak_bytes(own) > 1 << 20);
        assert!(own_cpu_seconds() >= cpu_seconds(own));
        assert!(mounted_at(Path::new("/proc")).is_some_and(|mount| mount.kind == "proc"));
        assert!(mount_of(Path::new("/proc/self/fd")).is_some_and(|mount| mount.kind == "proc"));
    }

    #[test]
    fn a_process_is_found_by_a_whole_argument_only() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read x", "/some/mount"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // A new program's arguments show a moment after its parent goes on.
        let start = Instant::now();
        while with_argument(Path::new("/some/mount")) != [pid] {
            assert!(start.elapsed() < Duration::from_secs(5));
            std::thread::yield_now();
        }
        assert!(with_argument(Path::new("/some")).is_empty());
        signal(pid, Signal::KILL);
        assert!(wait_gone(&[pid], Duration::from_secs(5)));
        child.wait().unwrap();
    }

    #[test]
    fn space_counts_blocks_of_a_whole_tree() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), vec![1; 100_000]).unwrap();
        rustix::fs::fsync(fs::File::open(dir.path().join("a/b")).unwrap()).unwrap();
        assert!(space_bytes(dir.path()) >= 100_000);
    }
}
