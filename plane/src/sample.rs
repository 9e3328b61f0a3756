//! A small volume in memory, for tests of what surrounds the engine.

use cairn_fs::{Caller, Config, Engine, InodeNo, Kind, Name, Opening, Operations, Quota, SetIdBits, Time};
use cairn_merkle::testing::TestRng;
use cairn_merkle::{
    Blocks, Cid, Compression, Epoch, HeadSwap, Header, HeaderParams, Heads, Kek, MemoryStore, PutHint,
    Sealed, SlotKey, SlotKind, Suite, VolumeKey,
};
use std::sync::Arc;
use std::time::Duration;

/// A volume that is open.
pub(crate) struct Sample {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) engine: Arc<Engine>,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

pub(crate) fn caller() -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        umask: 0,
        now: Time(7),
        set_id: SetIdBits::Keep,
        kernel_stamps: false,
    }
}

pub(crate) fn config() -> Config {
    Config {
        // No commit but those that a test asks for.
        commit_interval: Duration::from_secs(24 * 3600),
        ..Config::with_memory(64 << 20)
    }
}

/// The volume key of the sample in `store`.
pub(crate) fn key(store: &MemoryStore) -> VolumeKey {
    let header = Header::decode(&store.header().unwrap().unwrap()).unwrap();
    header.unlock(|_| Some(Kek::from_bytes([7; 32]))).unwrap()
}

/// Everything a store holds, as its owner might copy it away.
pub(crate) fn copy(store: &MemoryStore) -> Arc<MemoryStore> {
    let new = MemoryStore::new();
    for cid in store.list(None, usize::MAX).unwrap() {
        let bytes = store.get(&cid).unwrap().unwrap();
        new.put(Epoch(0), &[Sealed::new(cid, bytes)], PutHint::Bulk)
            .unwrap();
    }
    let twin = store.twin().unwrap().unwrap();
    new.swap_head(&HeadSwap {
        expected: None,
        head: &twin.head,
        header: Some(&twin.header),
        root_block: &twin.root_block,
        delete: &[],
        settled: Epoch(0),
        restarts_log: false,
    })
    .unwrap();
    Arc::new(new)
}

/// The volume in `store`, found and not opened.
pub(crate) fn opening(store: &Arc<MemoryStore>) -> Opening {
    Opening::newest(store.clone(), key(store)).unwrap()
}

impl Sample {
    /// An empty volume.
    pub(crate) fn new() -> Self {
        let params = HeaderParams {
            record_size: 128 << 10,
            compression: Compression::None,
            suite: Suite::default(),
        };
        let slots = [SlotKey {
            kind: SlotKind::KeyFile,
            kek: Kek::from_bytes([7; 32]),
        }];
        let (header, key) = Header::create(&mut TestRng::new(1), params, &slots).unwrap();
        let store = Arc::new(MemoryStore::new());
        cairn_fs::format(store.as_ref(), &header, &key, Quota::default(), caller()).unwrap();
        let engine = opening(&store).open(config()).unwrap();
        Self { store, engine }
    }

    /// Makes a file, or writes over one.
    pub(crate) fn put(&self, file: &str, bytes: &[u8]) {
        let found = self.engine.lookup(InodeNo::ROOT, &name(file));
        let attr = found.unwrap_or_else(|_| {
            let made = self
                .engine
                .mknod(InodeNo::ROOT, &name(file), Kind::File, 0o644, 0, caller());
            made.unwrap()
        });
        self.engine.write(attr.ino, 0, bytes, caller(), false).unwrap();
        self.engine.forget(attr.ino, 1);
    }

    /// Names of all blocks.
    pub(crate) fn blocks(&self) -> Vec<Cid> {
        self.store.list(None, usize::MAX).unwrap()
    }

    /// Puts a block back.
    pub(crate) fn restore(&self, cid: Cid, bytes: bytes::Bytes) {
        let block = Sealed::new(cid, bytes);
        self.store.put(Epoch(0), &[block], PutHint::Bulk).unwrap();
    }
}
