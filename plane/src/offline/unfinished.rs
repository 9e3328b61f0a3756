//! Files that appear whole or not at all, whatever ends the command.
//!
//! ```text
//!   a file without a name --written, synced--> linked to its name         a kill leaves nothing
//!   where there are none: NAME.part --written, synced--> renamed          a kill leaves that, and the next command takes it
//! ```
//!
//! Nothing that has the name already is ever written over.

use crate::error::{Error, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, renameat_with};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file on its way.
pub(super) struct UnfinishedFile {
    pub(super) file: File,
    path: PathBuf,
    /// The name that it has meanwhile, if it has one.
    part: Option<PathBuf>,
}

impl UnfinishedFile {
    /// A new file, to be `path`, with the permissions `mode` less the umask.
    ///
    /// # Errors
    /// When there is a file of this name, or none can be made.
    pub(super) fn create(path: &Path, mode: u32) -> Result<Self> {
        // Now, and not after an hour of work. The last step looks again.
        if fs::symlink_metadata(path).is_ok() {
            return Err(exists(path));
        }
        let dir = parent(path);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, Mode::from_raw_mode(mode)) {
            Ok(file) => Ok(Self {
                file: file.into(),
                path: path.to_path_buf(),
                part: None,
            }),
            // Not every filesystem has files without a name; kernels and filesystems say so in
            // three ways.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::create_part(path, mode),
            Err(error) => Err(Error::at("create a file in", dir)(error)),
        }
    }

    fn create_part(path: &Path, mode: u32) -> Result<Self> {
        let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".part");
        let part = path.with_file_name(name);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let flags = OFlags::NOFOLLOW.bits() as i32;
        let file = options.mode(mode).custom_flags(flags).open(&part);
        let file = file.map_err(Error::at("create", &part))?;
        // One that another command still writes is not taken from it.
        if file.try_lock().is_err() {
            return Err(Error::Busy(format!(
                "another command writes {} now",
                part.display()
            )));
        }
        file.set_len(0).map_err(Error::at("write", &part))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            part: Some(part),
        })
    }

    /// Gives it its name, with all of it durable.
    ///
    /// # Errors
    /// When the disk is full or fails, or the name was taken meanwhile: then there is no file.
    pub(super) fn finish(mut self) -> Result<()> {
        let path = self.path.clone();
        self.file
            .flush()
            .and_then(|()| self.file.sync_all())
            .map_err(|error| writing(&path, error))?;
        // The bytes are durable before the name is there, and the name before this returns. A
        // power cut in between leaves no file, or the whole one.
        let named = match &self.part {
            None => {
                let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, open, CWD, &path, AtFlags::SYMLINK_FOLLOW)
            }
            Some(part) => match renameat_with(CWD, part, CWD, &path, RenameFlags::NOREPLACE) {
                // A filesystem that cannot tell: it was looked at when this began.
                Err(Errno::INVAL) if fs::symlink_metadata(&path).is_err() => rustix::fs::rename(part, &path),
                renamed => renamed,
            },
        };
        match named {
            Ok(()) => self.part = None,
            Err(Errno::EXIST) => return Err(exists(&path)),
            Err(error) => return Err(Error::at("create", &path)(error)),
        }
        File::open(parent(&path))
            .and_then(|dir| dir.sync_all())
            .map_err(Error::at("sync the directory of", &path))
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            let _ = fs::remove_file(part);
        }
    }
}

/// A failure to write to a file, with what helps against a full disk.
pub(super) fn writing(path: &Path, error: io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": make room there, or write it to another disk; what was there so far is taken away"
        }
        _ => "",
    };
    Error::io(
        format!("cannot write {}", path.display()),
        io::Error::new(error.kind(), format!("{error}{remedy}")),
    )
}

fn exists(path: &Path) -> Error {
    let why = "it exists already, and nothing is ever written over: name another file, or remove it";
    Error::io(
        format!("cannot create {}", path.display()),
        io::Error::new(io::ErrorKind::AlreadyExists, why),
    )
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_has_its_name_once_it_is_whole_and_never_another_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result");
        type Create = fn(&Path, u32) -> Result<UnfinishedFile>;
        let ways: [Create; 2] = [UnfinishedFile::create, UnfinishedFile::create_part];
        for create in ways {
            let mut unfinished = create(&path, 0o600).unwrap();
            unfinished.file.write_all(b"half").unwrap();
            assert!(!path.exists());
            drop(unfinished);
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
            let mut unfinished = create(&path, 0o600).unwrap();
            unfinished.file.write_all(b"whole").unwrap();
            unfinished.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"whole");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(UnfinishedFile::create(&path, 0o600).is_err());
            fs::remove_file(&path).unwrap();
            let late = create(&path, 0o600).unwrap();
            fs::write(&path, "another's").unwrap();
            assert!(late.finish().is_err());
            assert_eq!(fs::read(&path).unwrap(), b"another's");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_part_that_a_kill_left_is_taken_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result");
        fs::write(dir.path().join("result.part"), "left").unwrap();
        let mut mine = UnfinishedFile::create_part(&path, 0o644).unwrap();
        assert!(matches!(
            UnfinishedFile::create_part(&path, 0o644),
            Err(Error::Busy(_))
        ));
        mine.file.write_all(b"new").unwrap();
        mine.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
