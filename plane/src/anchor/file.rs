//! A file as an anchor: for trying out, and for tests.
//!
//! ```text
//!  cairn-anchor 1          replaced as a whole: written beside, synced, renamed, the directory synced
//!  volume 5f22…            one volume's only
//!  instance 03ab…          the instance that booted last: no other may publish
//!  version 17 c36b…        epoch and hash of the root; absent while nothing is published
//! ```
//!
//! It shows everything an anchor does, and protects from nothing that an anchor is for. **A writer
//! of the file can roll the volume back, or let a second instance in**. A mount with it says so.

use crate::text::hex;
use cairn_merkle::{Anchor, AnchorError, Cancel, Version};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const MAGIC: &str = "cairn-anchor 1";
/// Far above what four lines take.
const BYTES_MAX: u64 = 4096;

/// One instance's view of the file.
#[derive(Debug)]
pub(crate) struct FileAnchor {
    path: PathBuf,
    volume_id: [u8; 16],
    /// Of this instance, once it has booted.
    nonce: Mutex<Option<[u8; 32]>>,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    instance: [u8; 32],
    version: Option<Version>,
}

impl FileAnchor {
    /// The anchor of `volume_id` in the file `path`, which need not be there yet.
    pub(crate) fn new(path: PathBuf, volume_id: [u8; 16]) -> Self {
        Self {
            path,
            volume_id,
            nonce: Mutex::new(None),
        }
    }

    fn read(&self) -> Result<Content, AnchorError> {
        let mut text = String::new();
        match File::open(&self.path) {
            Ok(file) => file
                .take(BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(unreachable)?,
            // A file that is not there yet says nothing; a directory that is not there is a disk
            // that is not mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound && parent(&self.path).is_dir() => {
                return Ok(Content::default());
            }
            Err(error) => return Err(unreachable(error)),
        };
        let content = parse(&text, self.volume_id);
        content.map_err(|why| AnchorError::Untrustworthy {
            why: format!("{} {why}", self.path.display()),
            source: None,
        })
    }

    fn write(&self, content: &Content) -> Result<(), AnchorError> {
        let new = self.path.with_extension("new");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text(content, self.volume_id).as_bytes())?;
            // Bytes, name, directory: a power cut leaves the old text or the new one, and what was
            // answered with `Ok` stays.
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            File::open(parent(&self.path))?.sync_all()
        };
        write().map_err(unreachable)
    }

    /// Reads, decides and writes with no other instance in between.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Content) -> Result<(bool, T), AnchorError>,
    ) -> Result<T, AnchorError> {
        let mut options = OpenOptions::new();
        // In a file of its own: the rename replaces the anchor, and a lock on that would stay with
        // the old one.
        let lock = self.path.with_extension("lock");
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock)
            .map_err(unreachable)?;
        lock.lock().map_err(unreachable)?;
        let mut content = self.read()?;
        let (changed, answer) = change(&mut content)?;
        if changed {
            self.write(&content)?;
        }
        Ok(answer)
    }

    fn nonce(&self) -> std::sync::MutexGuard<'_, Option<[u8; 32]>> {
        self.nonce
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Anchor for FileAnchor {
    fn describe(&self) -> String {
        format!("the file {}", self.path.display())
    }

    fn latest(&self) -> Result<Option<Version>, AnchorError> {
        Ok(self.read()?.version)
    }

    fn boot(&self, nonce: [u8; 32], cancel: &Cancel) -> Result<Option<Version>, AnchorError> {
        if cancel.is_cancelled() {
            return Err(AnchorError::Cancelled);
        }
        let stood = self.change(|content| {
            content.instance = nonce;
            Ok((true, content.version))
        })?;
        // Once the file has it. A boot that failed must not publish, even if its nonce arrived.
        *self.nonce() = Some(nonce);
        Ok(stood)
    }

    fn publish(&self, previous: Option<Version>, next: Version, cancel: &Cancel) -> Result<(), AnchorError> {
        if cancel.is_cancelled() {
            return Err(AnchorError::Cancelled);
        }
        let nonce = *self.nonce();
        self.change(|content| {
            // Before the versions are compared: a fenced instance must not hear `Ok` because its
            // version still stands.
            if nonce != Some(content.instance) {
                return Err(AnchorError::Fenced);
            }
            // An attempt whose answer was lost.
            if content.version == Some(next) {
                return Ok((false, ()));
            }
            if content.version != previous {
                return Err(AnchorError::Conflict {
                    latest: content.version,
                });
            }
            content.version = Some(next);
            Ok((true, ()))
        })
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn unreachable(source: io::Error) -> AnchorError {
    AnchorError::Unreachable {
        source: Box::new(source),
    }
}

fn text(content: &Content, volume_id: [u8; 16]) -> String {
    let mut text = format!(
        "{MAGIC}\nvolume {}\ninstance {}\n",
        hex(&volume_id),
        hex(&content.instance)
    );
    if let Some(version) = content.version {
        text.push_str(&format!(
            "version {} {}\n",
            version.epoch,
            hex(&version.root.digest())
        ));
    }
    text
}

fn parse(text: &str, volume_id: [u8; 16]) -> Result<Content, &'static str> {
    let mut lines = text.lines();
    if lines.next() != Some(MAGIC) {
        return Err("is no anchor file");
    }
    let mut field = |name: &str| {
        let rest = lines.next()?.strip_prefix(name)?;
        Some(rest.strip_prefix(' ')?.to_owned())
    };
    let volume = field("volume")
        .and_then(|hex| unhex(&hex))
        .ok_or("names no volume")?;
    if volume != volume_id {
        return Err("is the anchor of another volume");
    }
    let instance = field("instance")
        .and_then(|hex| unhex(&hex))
        .ok_or("names no instance")?;
    let version = match lines.next() {
        None => None,
        Some(line) => Some(version(line).ok_or("names no proper version")?),
    };
    if lines.next().is_some() {
        return Err("has lines too many");
    }
    let content = Content { instance, version };
    // One content has one text: what a hand or a half-written disk left is not taken for it.
    match self::text(&content, volume_id) == text {
        true => Ok(content),
        false => Err("is not as it was written"),
    }
}

fn version(line: &str) -> Option<Version> {
    let (epoch, digest) = line.strip_prefix("version ")?.split_once(' ')?;
    Some(Version::from_digest(epoch.parse().ok()?, unhex(digest)?))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(any(test, cairn_fuzz))]
pub(crate) mod fuzzing {
    use super::*;

    pub(crate) fn run(data: &[u8]) {
        let parsed = std::str::from_utf8(data).map(|text| (text, parse(text, [7; 16])));
        if let Ok((text, Ok(content))) = parsed {
            assert_eq!(self::text(&content, [7; 16]), text);
        }
    }

    pub(crate) fn seeds() -> Vec<Vec<u8>> {
        let versions = [None, Some(Version::from_digest(5, [9; 32]))];
        let text = |version| {
            text(
                &Content {
                    instance: [1; 32],
                    version,
                },
                [7; 16],
            )
        };
        versions.map(|version| text(version).into_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::testing::anchor_contract;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_keeps_the_contract_of_an_anchor() {
        let dir = dir();
        anchor_contract(&|| Box::new(FileAnchor::new(dir.path().join("anchor"), [7; 16])));
    }

    #[test]
    fn a_file_of_another_volume_and_one_that_was_tampered_with_are_not_trusted() {
        let dir = dir();
        let path = dir.path().join("anchor");
        let anchor = FileAnchor::new(path.clone(), [7; 16]);
        anchor.boot([1; 32], &Cancel::new()).unwrap();
        anchor
            .publish(None, Version::from_digest(5, [9; 32]), &Cancel::new())
            .unwrap();
        let other = FileAnchor::new(path.clone(), [8; 16]);
        assert!(matches!(other.latest(), Err(AnchorError::Untrustworthy { .. })));
        let whole = std::fs::read_to_string(&path).unwrap();
        for len in 0..whole.len() - 1 {
            std::fs::write(&path, &whole[..len]).unwrap();
            // A cut at the end of a line leaves a file without a version: what it cannot say, it
            // cannot protect.
            match anchor.latest() {
                Ok(version) => assert_eq!((version, whole[..len].lines().count()), (None, 3)),
                Err(error) => assert!(matches!(error, AnchorError::Untrustworthy { .. }), "{error}"),
            }
        }
        std::fs::write(&path, format!("{whole}more\n")).unwrap();
        assert!(matches!(anchor.latest(), Err(AnchorError::Untrustworthy { .. })));
        std::fs::write(&path, [0xff; 9000]).unwrap();
        assert!(anchor.latest().is_err());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_anchor_that_cannot_be_reached() {
        let anchor = FileAnchor::new("/nonexistent/dir/anchor".into(), [7; 16]);
        assert!(matches!(anchor.latest(), Err(AnchorError::Unreachable { .. })));
        let booted = anchor.boot([1; 32], &Cancel::new());
        assert!(matches!(booted, Err(AnchorError::Unreachable { .. })));
    }
}
