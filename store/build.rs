//! Says how to get RocksDB, before the crate that links it fails without a word of it.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=ROCKSDB_LIB_DIR");
    let Ok(dir) = std::env::var("ROCKSDB_LIB_DIR") else {
        return;
    };
    let library = Path::new(&dir).join("librocksdb.a");
    println!("cargo::rerun-if-changed={}", library.display());
    if !library.is_file() {
        println!("cargo::error=RocksDB is not built yet: run .ci/rocksdb.sh once (two to five minutes)");
    }
}
