//! Stores in directories, copied as a kill leaves them and altered.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::TempDir;

/// A copy of a directory and all in it.
pub fn copy_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("there is a place for it");
    copy_files(dir, copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a store is a directory") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).expect("a copy is empty");
            copy_files(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}

/// Flips bit `bit` of byte `at` of a file.
pub fn flip(path: &Path, at: u64, bit: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("it is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it is that long");
    byte[0] ^= 1 << bit;
    file.write_all_at(&byte, at).expect("it can be written");
}
