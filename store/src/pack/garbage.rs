//! The dead bytes of each pack, and the file that keeps their number over a clean close.
//!
//! ```text
//!   forget: counted --close--> garbage.new, synced --renamed--> garbage, directory synced
//!   open:   whole? taken away, and known     absent, torn or altered? unknown: the next reclaim looks at every pack
//! ```
//!
//! *Unknown* costs one walk of the index. *Nothing is dead*, said wrongly, would leak room for
//! ever, so only a whole file says anything. A power cut leaves an empty file of one that was
//! never synced.

use crate::own;
use rustc_hash::FxHashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "garbage";
const NEW: &str = "garbage.new";
const MAGIC: &[u8; 8] = b"cairngbg";
/// A pack's number and its dead bytes.
const ENTRY_LEN: usize = 4 + 8;
const SUM_LEN: usize = 16;

/// What deletes left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Garbage {
    /// Dead bytes of each pack.
    by_pack: FxHashMap<u32, u64>,
    /// Packs of before a crash, about which nothing is known.
    unknown: bool,
}

impl Garbage {
    /// Dead bytes that are known.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_pack
            .values()
            .fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Whether there may be more.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Whether a pack may hold any.
    pub(crate) fn suspects(&self, pack: u32) -> bool {
        self.unknown || self.by_pack.contains_key(&pack)
    }

    /// So many bytes of a pack are dead, too.
    pub(crate) fn add(&mut self, pack: u32, bytes: u64) {
        let dead = self.by_pack.entry(pack).or_default();
        *dead = dead.saturating_add(bytes);
    }

    /// Nothing is known from here on.
    pub(crate) fn lose_track(&mut self) {
        self.unknown = true;
    }

    /// Leaves it in the directory of the packs, durable and whole or not at all. What is unknown is
    /// not written down.
    pub(crate) fn save(&self, dir: &Path) -> io::Result<()> {
        if self.unknown {
            return Ok(());
        }
        let new = dir.join(NEW);
        // What a crash left of an earlier close; made anew, so that no link is written through.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&self.encode())?;
        file.sync_all()?;
        // Only a durable file gets the name, and the name is durable before the caller hears of
        // success.
        fs::rename(&new, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    }

    /// Reads what a clean close knew, and takes it away: from now on it is old. Of `packs` packs,
    /// it cannot say more.
    pub(crate) fn take(dir: &Path, packs: usize) -> io::Result<Self> {
        let found = read(&dir.join(NAME), packs)?;
        let Some(found) = found else {
            return Ok(Self::unknown());
        };
        // Gone, durably, before the first delete of this handle: a crash must not leave a count
        // that lacks what died since.
        fs::remove_file(dir.join(NAME))?;
        File::open(dir)?.sync_all()?;
        Ok(Self::decode(&found).unwrap_or_else(|| {
            tracing::warn!("packs/garbage is not whole: the next reclaim looks at every pack");
            Self::unknown()
        }))
    }

    /// As [`Self::take`], but leaves it: a look makes nothing old.
    pub(crate) fn look(dir: &Path, packs: usize) -> io::Result<Self> {
        let found = read(&dir.join(NAME), packs)?;
        Ok(found
            .and_then(|found| Self::decode(&found))
            .unwrap_or_else(Self::unknown))
    }

    fn unknown() -> Self {
        Self {
            unknown: true,
            ..Self::default()
        }
    }

    /// Magic, entries in order, checksum (docs/format.md, section 17).
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let mut entries: Vec<_> = self.by_pack.iter().collect();
        entries.sort_unstable();
        for (pack, dead) in entries {
            bytes.extend_from_slice(&pack.to_le_bytes());
            bytes.extend_from_slice(&dead.to_le_bytes());
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (said, sum) = bytes.split_last_chunk::<SUM_LEN>()?;
        let entries = said.strip_prefix(MAGIC).filter(|_| checksum(said) == *sum)?;
        let entries = entries.chunks_exact(ENTRY_LEN);
        entries.remainder().is_empty().then_some(())?;
        let parse = |entry: &[u8]| {
            let (pack, dead) = entry.split_first_chunk()?;
            Some((
                u32::from_le_bytes(*pack),
                u64::from_le_bytes(dead.try_into().ok()?),
            ))
        };
        let entries: Vec<(u32, u64)> = entries.map(parse).collect::<Option<_>>()?;
        // One form for one state: in order, and no pack twice.
        entries.is_sorted_by(|a, b| a.0 < b.0).then_some(())?;
        Some(Self {
            by_pack: entries.into_iter().collect(),
            unknown: false,
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; SUM_LEN] {
    let hash = blake3::hash(bytes);
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *first
}

/// The file's bytes, of which there are no more than so many packs need; `None` if there is none. A
/// file that is larger, or none of bytes, reads as one that is not whole: what lies outside does
/// not decide how much memory is taken.
fn read(path: &Path, packs: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match own::open(path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // An entry for each pack that is there, at most.
    let len_max = MAGIC.len() + packs.saturating_mul(ENTRY_LEN) + SUM_LEN;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > len_max as u64 {
        return Ok(Some(Vec::new()));
    }
    let mut bytes = Vec::new();
    file.take(len_max as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::*;

    /// A file that counts two packs.
    pub(crate) fn garbage() -> Vec<u8> {
        let mut garbage = Garbage::default();
        garbage.add(5, 1024);
        garbage.add(17, 512);
        garbage.encode()
    }

    /// What a file says encodes back to it; with its checksum made `right`, which takes no key.
    pub(crate) fn decode_garbage(mut file: Vec<u8>, right: bool) {
        if let Some((said, sum)) = file.split_last_chunk_mut::<SUM_LEN>().filter(|_| right) {
            *sum = checksum(said);
        }
        if let Some(garbage) = Garbage::decode(&file) {
            assert_eq!(garbage.encode(), file);
            assert!(!garbage.is_unknown());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Garbage {
        let mut garbage = Garbage::default();
        garbage.add(5, 1024);
        garbage.add(7, 512);
        garbage.add(5, 512);
        garbage
    }

    fn found(bytes: &[u8], packs: usize) -> Garbage {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), bytes).unwrap();
        let garbage = Garbage::take(dir.path(), packs).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "it was taken away");
        garbage
    }

    #[test]
    fn what_was_saved_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        // What a power cut left of an earlier close.
        fs::write(dir.path().join(NEW), "half").unwrap();
        some().save(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(Garbage::take(dir.path(), 9).unwrap(), some());
        assert!(Garbage::take(dir.path(), 9).unwrap().is_unknown());
    }

    #[test]
    fn only_a_whole_file_says_anything() {
        for garbage in [Garbage::default(), some()] {
            let whole = garbage.encode();
            assert_eq!(found(&whole, 9), garbage);
            for len in 0..whole.len() {
                assert!(found(&whole[..len], 9).is_unknown(), "{len} bytes");
            }
            for bit in 0..whole.len() * 8 {
                let mut altered = whole.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(found(&altered, 9).is_unknown(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_file_that_says_more_than_there_are_packs_is_not_read() {
        assert_eq!(found(&some().encode(), 2), some());
        assert!(found(&some().encode(), 1).is_unknown());
        let dir = tempfile::tempdir().unwrap();
        let giant = File::create(dir.path().join(NAME)).unwrap();
        giant.set_len(1 << 42).unwrap();
        assert_eq!(read(&dir.path().join(NAME), 1000).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn what_is_unknown_is_not_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let mut garbage = some();
        garbage.lose_track();
        garbage.save(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
