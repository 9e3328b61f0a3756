//! The machine a run was made on: without it a figure is an anecdote.

use crate::proc;
use rustix::system::uname;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What a reader needs to judge figures by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub(crate) cpu: String,
    /// How many of them.
    pub(crate) cpus: usize,
    /// Memory.
    pub(crate) memory_mib: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The distribution.
    pub(crate) os: String,
    /// Filesystem type that everything lies on.
    pub(crate) disk_type: String,
    /// Device, options and free space of it.
    pub(crate) disk: String,
    /// Load average when the run began: others' work disturbs.
    pub(crate) load: String,
    /// Whether caches could be dropped.
    pub(crate) drops_caches: bool,
}

impl Machine {
    /// This one, working in `dir`.
    pub(crate) fn here(dir: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| {
                rest.trim_start_matches([' ', '\t', ':', '='])
                    .trim_matches('"')
                    .to_owned()
            })
        };
        let memory = after(&text("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let memory_kib = memory
            .split(' ')
            .next()
            .and_then(|n| n.parse::<u64>().ok())
            .unwrap_or(0);
        let mount = proc::mount_of(dir);
        let free = rustix::fs::statvfs(dir).map_or(0, |s| s.f_bavail * s.f_frsize);
        Self {
            cpu: after(&text("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib / 1024,
            kernel: uname().release().to_string_lossy().into_owned(),
            os: after(&text("/etc/os-release"), "PRETTY_NAME").unwrap_or_default(),
            disk_type: mount
                .as_ref()
                .map_or_else(|| "unknown".into(), |mount| mount.kind.clone()),
            disk: mount.map_or_else(String::new, |mount| {
                format!("{} ({}), {} GiB free", mount.source, mount.options, free >> 30)
            }),
            load: text("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            // Tried and not guessed: root of a container may be refused.
            drops_caches: drop_caches(),
        }
    }
}

/// Empties the kernel's caches of clean pages, names and inodes; whether that was allowed.
pub(crate) fn drop_caches() -> bool {
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let machine = Machine::here(Path::new("/"));
        assert!(machine.cpus > 0 && machine.memory_mib > 0, "{machine:?}");
        assert!(
            !machine.kernel.is_empty() && !machine.disk_type.is_empty(),
            "{machine:?}"
        );
    }
}
