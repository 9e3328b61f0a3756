//! The kernel's table of mounts, and the processes with a copy of one.
//!
//! ```text
//! 36 35 0:53 / /mnt/data rw,nosuid shared:1 - fuse cairn:/srv/store rw,user_id=0
//! id parent device root  at      options  ... kind source
//! ```
//!
//! The number of a mount tells it from all others of the machine, whichever namespace it is in.
//! The device is the same for all copies of one. A path alone says nothing: another mount may lie
//! over it.

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number.
    pub(crate) id: u64,
    /// The mount that it lies in.
    pub(crate) parent: u64,
    /// Major and minor number of its filesystem.
    pub(crate) device: String,
    /// Which directory of the filesystem it shows.
    pub(crate) root: PathBuf,
    /// Where.
    pub(crate) at: PathBuf,
    /// Type of the filesystem.
    pub(crate) kind: String,
    /// What the mount says it is of.
    pub(crate) source: String,
    /// Whether the filesystem takes no changes.
    pub(crate) read_only: bool,
    /// The user of a FUSE mount's daemon.
    pub(crate) user: Option<u32>,
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let number = |field: &[u8]| text(field).parse().ok();
        let mut fields = line.split(|&b| b == b' ');
        let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
        let device = text(fields.next()?);
        let (root, at) = (unescape(fields.next()?), unescape(fields.next()?));
        // Options and optional fields, as many as there are.
        let mut rest = fields.skip_while(|&field| field != b"-").skip(1);
        let kind = text(rest.next()?);
        let source = unescape(rest.next()?).to_string_lossy().into_owned();
        let options = text(rest.next().unwrap_or_default());
        let user = |word: &str| word.strip_prefix("user_id=").and_then(|user| user.parse().ok());
        Some(Self {
            id,
            parent,
            device,
            root,
            at,
            kind,
            source,
            read_only: options.split(',').any(|word| word == "ro"),
            user: options.split(',').find_map(user),
        })
    }

    /// Whether it may be Cairn's by what it says of itself. Mounts of root's by an earlier version
    /// have the type `fuse` alone; of these with another source only the daemon's record tells.
    pub(crate) fn looks_like_cairn(&self) -> bool {
        self.kind == "fuse.cairn" || (self.kind == "fuse" && self.source.starts_with("cairn:"))
    }
}

/// mountinfo writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[3..]),
            None => (bytes.push(first), rest = tail),
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Mounts of this process's namespace.
pub(crate) fn own() -> Vec<Entry> {
    of(Path::new("/proc/self"))
}

/// Mounts of a process's namespace; none of one that is gone.
fn of(process: &Path) -> Vec<Entry> {
    let table = std::fs::read(process.join("mountinfo")).unwrap_or_default();
    table.split(|&b| b == b'\n').filter_map(Entry::parse).collect()
}

/// The mount on `path` that a call on `path` meets: of several the one on top.
pub(crate) fn top<'a>(table: &'a [Entry], path: &Path) -> Option<&'a Entry> {
    // The kernel knows, unless the filesystem there does not answer.
    if let Some(id) = mount_of(path) {
        return table.iter().find(|entry| entry.id == id && entry.at == path);
    }
    let here = || table.iter().filter(|entry| entry.at == path);
    here()
        .find(|entry| !here().any(|over| over.parent == entry.id))
        .or(here().next_back())
}

/// The number of the mount that `path` lies in, from what the kernel remembers: this does not ask
/// the filesystem.
pub(crate) fn mount_of(path: &Path) -> Option<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let found = statx(CWD, path, flags, StatxFlags::MNT_ID).ok()?;
    let told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    told.then_some(found.stx_mnt_id)
}

/// A mount namespace other than this one with a copy of a mount.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// One of the processes in it.
    pub(crate) pid: String,
    /// Its name.
    pub(crate) name: String,
    /// The namespace, as the kernel writes it.
    pub(crate) namespace: String,
    /// Where the copy is, as that process names it.
    pub(crate) at: PathBuf,
}

impl Holder {
    /// The copy, as this process can name it.
    pub(crate) fn path(&self) -> PathBuf {
        let root = Path::new("/proc").join(&self.pid).join("root");
        root.join(self.at.strip_prefix("/").unwrap_or(&self.at))
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        let Self { name, pid, .. } = self;
        format!(
            "{name} (pid {pid}) at {} in {}",
            self.at.display(),
            self.namespace
        )
    }
}

/// Processes with a copy of the mount of this device in another namespace: one for each.
/// Namespaces without a process, and those of processes that this one cannot see, are not found.
pub(crate) fn elsewhere(device: &str) -> Vec<Holder> {
    let mut seen: Vec<u64> = own().iter().map(|entry| entry.id).collect();
    let mut holders = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name();
        if !pid.as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let copy = of(&process.path())
            .into_iter()
            .find(|entry| entry.device == device && !seen.contains(&entry.id));
        if let Some(copy) = copy {
            seen.push(copy.id);
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let namespace = std::fs::read_link(process.path().join("ns/mnt"));
            holders.push(Holder {
                pid: pid.to_string_lossy().into_owned(),
                name: name.trim().to_owned(),
                namespace: namespace.map_or("another mount namespace".into(), |found| {
                    found.display().to_string()
                }),
                at: copy.at,
            });
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_escapes_are_undone() {
        assert_eq!(unescape(br"/mnt/a\040b\134c"), PathBuf::from(r"/mnt/a b\c"));
        assert_eq!(unescape(br"/mnt/\0"), PathBuf::from(r"/mnt/\0"));
    }

    #[test]
    fn a_line_is_taken_apart_however_many_optional_fields_it_has() {
        for optional in ["", "shared:3 ", "shared:3 master:1 "] {
            let line =
                format!("36 35 0:53 /a\\040b /mnt rw,nosuid {optional}- fuse cairn:/srv/s rw,user_id=0");
            let entry = Entry::parse(line.as_bytes()).unwrap();
            assert_eq!((entry.id, entry.parent, entry.device.as_str()), (36, 35, "0:53"));
            assert_eq!((entry.root, entry.at), ("/a b".into(), "/mnt".into()));
            assert_eq!(
                (entry.kind.as_str(), entry.source.as_str()),
                ("fuse", "cairn:/srv/s")
            );
            assert_eq!((entry.read_only, entry.user), (false, Some(0)));
        }
        assert_eq!(Entry::parse(b"36 35 0:53 / /mnt rw"), None);
    }

    #[test]
    fn of_mounts_on_one_directory_the_one_on_top_is_meant() {
        let mount = |id, parent| Entry {
            id,
            parent,
            device: format!("0:{id}"),
            root: "/".into(),
            at: "/no/such/directory".into(),
            kind: "tmpfs".into(),
            source: "none".into(),
            read_only: false,
            user: None,
        };
        let table = [mount(7, 5), mount(5, 1)];
        assert_eq!(top(&table, Path::new("/no/such/directory")).unwrap().id, 7);
        assert_eq!(top(&table, Path::new("/no/such")), None);
    }

    #[test]
    fn proc_is_a_mount_and_its_files_are_not() {
        let table = own();
        assert_eq!(top(&table, Path::new("/proc")).unwrap().kind, "proc");
        assert_eq!(top(&table, Path::new("/proc/self/status")), None);
    }
}
