//! Volumes to test on: made over any store, closed, reopened, copied.

use bytes::Bytes;
use cairn_fs::{Caller, CheckReport, Config, Engine, Quota, Result, SetIdBits, Time};
use cairn_merkle::clear::HeadClaim;
use cairn_merkle::testing::{CrashStore, TestRng};
use cairn_merkle::{
    BlockStore, Cid, Codec, Compression, Epoch, HeadSwap, Header, HeaderParams, Kek, LogPos, PutHint, Sealed,
    SlotKey, SlotKind, Suite, VolumeKey,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Small, so that a few kilobytes already take several records.
pub const RECORD_SIZE: u32 = 4096;

/// The superuser at the given moment: permissions are the kernel's business, not the engine's.
pub fn root_at(now: i64) -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        umask: 0,
        now: Time(now.into()),
        set_id: SetIdBits::Keep,
        kernel_stamps: false,
    }
}

/// No commit happens but those a test asks for.
pub fn config() -> Config {
    Config {
        commit_interval: Duration::from_secs(24 * 3600),
        memory_bytes: 64 << 20,
        // So that what is cut off or killed after an fsync has its mark.
        mark_delay: Duration::ZERO,
        // So that whatever may be parked is.
        inodes_max: 1,
        // So that most files take several commits to be destroyed.
        destroy_leaves: 3,
        ..Config::default()
    }
}

/// Makes an empty volume in `store`.
pub fn create(store: &dyn BlockStore, quota: Quota) -> Result<()> {
    create_with(store, quota, RECORD_SIZE)
}

/// Makes an empty volume with records of `record_size` bytes in `store`.
pub fn create_with(store: &dyn BlockStore, quota: Quota, record_size: u32) -> Result<()> {
    create_of(Suite::default(), store, quota, record_size)
}

/// The same, sealed with `suite`.
pub fn create_of(suite: Suite, store: &dyn BlockStore, quota: Quota, record_size: u32) -> Result<()> {
    let params = HeaderParams {
        record_size,
        compression: Compression::None,
        suite,
    };
    let slots = [SlotKey {
        kind: SlotKind::KeyFile,
        kek: kek(),
    }];
    let (header, key) =
        // From a seed: a run that failed is the same again.
        Header::create(&mut TestRng::new(1), params, &slots).map_err(cairn_fs::Error::Merkle)?;
    cairn_fs::format(store, &header, &key, quota, root_at(1))
}

/// The key of the volume in `store`.
pub fn key_of(store: &dyn BlockStore) -> Result<VolumeKey> {
    let stored = store.header()?.ok_or(cairn_fs::Error::NoEntry)?;
    let header = Header::decode(&stored).map_err(cairn_fs::Error::Merkle)?;
    header.unlock(|_| Some(kek())).map_err(cairn_fs::Error::Merkle)
}

/// Opens the volume in `store` with the settings of [`config`].
pub fn open(store: Arc<dyn BlockStore>, now: i64) -> Result<Arc<Engine>> {
    let key = key_of(&*store)?;
    Engine::open(store, key, config(), Time(now.into()))
}

/// Makes a volume in `store` and opens it.
pub fn create_and_open(store: Arc<dyn BlockStore>) -> Result<Arc<Engine>> {
    create(
        &*store,
        Quota {
            bytes: None,
            inodes: None,
        },
    )?;
    open(store, 2)
}

/// Has the engine check everything; any damage and any block that nothing names is an error.
pub fn require_clean(engine: &Engine) -> std::result::Result<CheckReport, String> {
    let report = engine.check(&|_| {}).map_err(|error| format!("check: {error}"))?;
    // First: what the log lost is in no tree, so a check cannot miss it.
    if let Some(loss) = engine.log_loss() {
        return Err(format!("the log lost something: {loss}"));
    }
    if !report.damaged.is_empty() {
        return Err(format!("check found damage: {:?}", report.damaged));
    }
    if report.leaked_blocks != 0 {
        return Err(format!("{} blocks leaked", report.leaked_blocks));
    }
    Ok(report)
}

/// Names of all blocks in `store`.
pub fn block_names(store: &dyn BlockStore) -> Vec<Cid> {
    let mut names: Vec<Cid> = Vec::new();
    loop {
        let page = store
            .list(names.last().copied(), 1000)
            .expect("a store in memory lists its blocks");
        if page.is_empty() {
            return names;
        }
        names.extend(page);
    }
}

/// The whole intent log of `store`.
pub fn log_of(store: &dyn BlockStore) -> Vec<(LogPos, bytes::Bytes)> {
    let from = LogPos {
        epoch: Epoch(0),
        seq: 0,
    };
    store
        .log_read(from, usize::MAX)
        .expect("a store in memory reads its log")
}

/// What stands in a store, to be altered before it is put into another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Stored blocks by name, with the epoch of those still fresh.
    pub blocks: BTreeMap<Cid, (Epoch, bytes::Bytes)>,
    /// The intent log.
    pub log: Vec<(LogPos, bytes::Bytes)>,
    /// The marks beside it.
    pub marks: Vec<bytes::Bytes>,
    /// The head, if it is not to be lost.
    pub head: Option<Vec<u8>>,
    /// The header, if it is not to be lost; a store without a head has none either.
    pub header: Option<Vec<u8>>,
}

impl Copy {
    /// Copies everything out of `store`, which holds a volume.
    pub fn of(store: &dyn BlockStore) -> Self {
        let fresh = store
            .fresh(None, usize::MAX)
            .expect("a store in memory lists what is fresh");
        let fresh: BTreeMap<Cid, Epoch> = fresh.into_iter().map(|(epoch, cid)| (cid, epoch)).collect();
        let stored = |cid: &Cid| store.get(cid).ok().flatten().expect("a listed block is there");
        let epoch_of = |cid: &Cid| fresh.get(cid).copied().unwrap_or(Epoch(0));
        let blocks = block_names(store)
            .into_iter()
            .map(|cid| (cid, (epoch_of(&cid), stored(&cid))))
            .collect();
        let head = store.head().ok().flatten().map(|head| head.to_vec());
        let header = store.header().ok().flatten().map(|header| header.to_vec());
        Self {
            blocks,
            log: log_of(store),
            marks: store.log_rest().expect("a store in memory has marks").marks,
            head,
            header,
        }
    }

    /// Puts everything into `store`, which is empty.
    pub fn put_into(&self, store: &dyn BlockStore) {
        let put = |fresh: bool| {
            for (cid, (epoch, bytes)) in self
                .blocks
                .iter()
                .filter(|(_, (epoch, _))| (epoch.0 > 0) == fresh)
            {
                let block = Sealed::new(*cid, bytes.clone());
                store
                    .put(*epoch, &[block], PutHint::Bulk)
                    .expect("a store in memory takes a block");
            }
        };
        // In the order in which a mount makes them: what is settled, the head, what came after it.
        put(false);
        if let Some(head) = &self.head {
            // Both copies are what this says, altered or not.
            let root = HeadClaim::parse(head).ok().map(|claim| claim.root);
            let root_block = root.and_then(|root| self.blocks.get(&root));
            let root_block = root_block.map_or_else(Bytes::new, |(_, bytes)| bytes.clone());
            let swap = HeadSwap {
                expected: None,
                head,
                header: self.header.as_deref(),
                root_block: &root_block,
                delete: &[],
                settled: Epoch(0),
                restarts_log: false,
            };
            store.swap_head(&swap).expect("an empty store takes a head");
        }
        put(true);
        store
            .log_append(&self.log)
            .expect("a store in memory takes a log");
        // A mark says how far the log was durable, so the log is there first.
        for mark in &self.marks {
            store.log_mark(mark).expect("a store in memory takes a mark");
        }
        store.sync().expect("a store in memory syncs");
    }

    /// A store in memory with this in it.
    pub fn into_memory(self) -> Arc<cairn_merkle::MemoryStore> {
        let store = Arc::new(cairn_merkle::MemoryStore::new());
        self.put_into(&*store);
        store
    }

    /// A store that can lose power with this in it, all of it durable.
    pub fn into_crash(self) -> CrashStore {
        let store = CrashStore::new();
        self.put_into(&store);
        store
    }

    /// Names of the leaves or of the nodes.
    pub fn names(&self, codec: Codec) -> Vec<Cid> {
        self.blocks
            .keys()
            .copied()
            .filter(|cid| cid.codec() == codec)
            .collect()
    }
}

fn kek() -> Kek {
    Kek::from_bytes([7; 32])
}
