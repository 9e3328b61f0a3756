//! The second copy of head, header and commit block: two files beside RocksDB and the packs.
//!
//! ```text
//!   swap g:  twin-(g mod 2) written over, synced ---> one durable batch of the index: head, ..., swap g is done
//!   read:    the index says g ---> twin-(g mod 2), if it is whole and of swap g
//! ```
//!
//! The index says which file counts. So a crash between the two steps leaves the old copy in
//! force. The index still says g - 1, and that file was not touched. `read` answers the copy of
//! the newest swap that was done, never of an older or an unfinished one.
//!
//! A file is written over and not renamed, and keeps its length: a swap waits for one write of
//! data and no journal.

use crate::own;
use bytes::Bytes;
use cairn_block::buffer::ALIGN;
use cairn_block::{HeadSwap, MAX_STORED, Twin};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"cairntwn";
const SUM_LEN: usize = 16;
/// Magic, generation, three lengths, checksum.
const PREFIX_LEN: usize = 8 + 8 + 3 * 4 + SUM_LEN;
const HEAD_MAX: usize = 4 << 10;
const HEADER_MAX: usize = 64 << 10;

/// Writes the copy that swap `generation` leaves, durably.
pub(crate) fn write(dir: &Path, generation: u64, swap: &HeadSwap<'_>, header: &[u8]) -> io::Result<()> {
    let mut bytes = encode(generation, [swap.head, header, swap.root_block])?;
    let path = path_of(dir, generation);
    let file = match own::open(&path, true) {
        Ok(file) if own::is_ours(&file) => file,
        _ => create(dir, &path)?,
    };
    let room = file.metadata()?.len();
    if room < bytes.len() as u64 {
        // Zeros up to where it may grow within this room: the next swaps only write data.
        bytes.resize(bytes.len().next_multiple_of(16 * ALIGN), 0);
    }
    file.write_all_at(&bytes, 0)?;
    Ok(rustix::fs::fdatasync(&file)?)
}

fn encode(generation: u64, parts: [&[u8]; 3]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PREFIX_LEN + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&generation.to_le_bytes());
    for part in parts {
        let len = u32::try_from(part.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        bytes.extend_from_slice(&len.to_le_bytes());
    }
    let sum = checksum(&bytes, &parts);
    bytes.extend_from_slice(&sum);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Ok(bytes)
}

/// The copy of swap `generation`, or `None` if it is not whole or not there.
pub(crate) fn read(dir: &Path, generation: u64) -> io::Result<Option<Twin>> {
    let found = lying(dir, generation)?;
    Ok(found.and_then(|(of, twin)| (of == generation).then_some(twin)))
}

/// The copy in the place of that of swap `generation`, and of which swap it is, or `None` if it is
/// not whole or not there. Damage makes no whole copy of another swap: such a copy comes from an
/// older or another state of the store.
pub(crate) fn lying(dir: &Path, generation: u64) -> io::Result<Option<(u64, Twin)>> {
    let file = match own::open(&path_of(dir, generation), false) {
        Ok(file) => file,
        // Taken away, or something else put in its place.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) => return Ok(None),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut prefix = [0; PREFIX_LEN];
    let mut file = file.take((PREFIX_LEN + HEAD_MAX + HEADER_MAX + MAX_STORED) as u64);
    if let Err(error) = file.read_exact(&mut prefix) {
        return absence(error);
    }
    let (said, sum) = prefix.split_at(PREFIX_LEN - SUM_LEN);
    let number = |at: usize| u32::from_le_bytes(said[at..at + 4].try_into().expect("four bytes")) as usize;
    let lens = [number(16), number(20), number(24)];
    let fits = lens[0] <= HEAD_MAX && lens[1] <= HEADER_MAX && lens[2] <= MAX_STORED;
    if said[..8] != *MAGIC || !fits {
        return Ok(None);
    }
    let mut bytes = vec![0; lens.iter().sum()];
    if let Err(error) = file.read_exact(&mut bytes) {
        return absence(error);
    }
    if checksum(said, &[&bytes]) != *sum {
        return Ok(None);
    }
    let bytes = Bytes::from(bytes);
    let of = u64::from_le_bytes(said[8..16].try_into().expect("eight bytes"));
    let twin = Twin {
        head: bytes.slice(..lens[0]),
        header: bytes.slice(lens[0]..lens[0] + lens[1]),
        root_block: bytes.slice(lens[0] + lens[1]..),
    };
    Ok(Some((of, twin)))
}

/// Takes away the copy in the place of that of swap `generation`, durably.
pub(crate) fn remove(dir: &Path, generation: u64) -> io::Result<()> {
    fs::remove_file(path_of(dir, generation))?;
    File::open(dir)?.sync_all()
}

/// A file that ends early is none; what a device cannot read of it neither.
fn absence<T>(error: io::Error) -> io::Result<Option<T>> {
    let raw = error.raw_os_error();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(None),
        _ if raw == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(None),
        _ => Err(error),
    }
}

/// Makes the file, in place of whatever cannot be opened there.
fn create(dir: &Path, path: &Path) -> io::Result<File> {
    let file = own::create(path)?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

fn path_of(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("twin-{}", generation % 2))
}

fn checksum(prefix: &[u8], parts: &[&[u8]]) -> [u8; SUM_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prefix);
    for part in parts {
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *first
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::*;

    /// The file of swap 1.
    pub(crate) fn twin() -> Vec<u8> {
        encode(1, [b"head", b"header", b"root block"]).expect("its parts are short")
    }

    /// What a file says encodes back to it; with its checksum made `right`, which takes no key.
    pub(crate) fn read_twin(dir: &Path, mut file: Vec<u8>, right: bool) {
        if let Some((prefix, parts)) = file.split_first_chunk_mut::<PREFIX_LEN>().filter(|_| right) {
            let (said, sum) = prefix.split_at_mut(PREFIX_LEN - SUM_LEN);
            sum.copy_from_slice(&checksum(said, &[parts]));
        }
        fs::write(path_of(dir, 1), &file).expect("a file can be written");
        if let Some(twin) = read(dir, 1).expect("a file can be read") {
            let encoded = encode(1, [&twin.head, &twin.header, &twin.root_block]);
            assert!(file.starts_with(&encoded.expect("it was read")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_block::Epoch;

    fn swap<'a>(head: &'a [u8], root_block: &'a [u8]) -> HeadSwap<'a> {
        HeadSwap {
            expected: None,
            head,
            header: None,
            root_block,
            delete: &[],
            settled: Epoch(0),
            restarts_log: false,
        }
    }

    fn twin(head: &'static [u8], header: &'static [u8], root_block: Vec<u8>) -> Twin {
        Twin {
            head: Bytes::from_static(head),
            header: Bytes::from_static(header),
            root_block: root_block.into(),
        }
    }

    #[test]
    fn the_copy_of_each_swap_is_found_and_that_of_the_one_before_stays() {
        let dir = tempfile::tempdir().unwrap();
        let sizes = [0, 700, 100_000, 9, MAX_STORED, 5000];
        for (generation, len) in (1..).zip(sizes) {
            let block = vec![generation as u8; len];
            write(dir.path(), generation, &swap(b"head", &block), b"header").unwrap();
            let expected = Some(twin(b"head", b"header", block));
            assert_eq!(read(dir.path(), generation).unwrap(), expected, "{len} bytes");
            let before = read(dir.path(), generation - 1).unwrap();
            assert_eq!(before.is_some(), generation > 1);
            assert_eq!(read(dir.path(), generation + 2).unwrap(), None, "of another swap");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn any_altered_bit_any_shorter_file_and_anything_else_in_its_place_is_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 2, &swap(b"head", b"root block"), b"header").unwrap();
        let path = path_of(dir.path(), 2);
        let whole = fs::read(&path).unwrap();
        let len = PREFIX_LEN + 20;
        assert!(whole[len..].iter().all(|byte| *byte == 0));
        for bit in 0..len * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, altered).unwrap();
            assert_eq!(read(dir.path(), 2).unwrap(), None, "bit {bit}");
        }
        for len in 0..len {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(read(dir.path(), 2).unwrap(), None, "{len} bytes");
        }
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let replaced = |what| {
            assert_eq!(read(dir.path(), 2).unwrap(), None, "{what}");
            write(dir.path(), 2, &swap(b"head", b"root block"), b"header").unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "{what}");
            fs::remove_file(&path).unwrap();
        };
        replaced("a link");
        fs::create_dir(&path).unwrap();
        replaced("a directory");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        replaced("a pipe");
        assert_eq!(
            fs::read(&elsewhere).unwrap(),
            whole,
            "nothing was written through it"
        );
    }
}
