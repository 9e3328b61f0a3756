//! Blocks that the server has taken and not yet written.
//!
//! ```text
//!   put answered --> kept, until an answer says that it was written, or a sync has come after it
//!                      `-- another incarnation of the server: put again, before anything else
//! ```
//!
//! They are shared with what the caller gave, not copied.

use super::lane::Lane;
use crate::answer::{DONE, read_progress};
use crate::error::WireError;
use crate::request::Request;
use cairn_block::{Cid, PutProgress};
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes that are kept before a put waits for a sync. An honest server writes far sooner.
pub(super) const KEPT_BYTES_MAX: usize = 32 << 20;
/// For each put that is sent again.
const AGAIN_WAIT: Duration = Duration::from_secs(30);

struct Entry {
    /// Where it stands among the puts of this client.
    number: u64,
    /// What the server had accepted when it had accepted this.
    accepted: u64,
    put: Request,
    bytes: usize,
}

/// Puts that a kill of the server may undo.
#[derive(Default)]
pub(super) struct Kept {
    /// The session whose answers count.
    generation: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Puts so far, and how many of them are durable.
    count: u64,
    synced: u64,
    /// Something that was put, and not synced, may be lost.
    in_doubt: bool,
}

impl Kept {
    /// Keeps a put that was answered in a session. False if that is over: the put may be lost, and
    /// must be sent again.
    pub(super) fn keep(&mut self, generation: u64, put: &Request, progress: PutProgress) -> bool {
        if generation != self.generation {
            return false;
        }
        self.count += 1;
        self.written(progress.written);
        if progress.accepted > progress.written
            && let Request::Put { blocks, .. } = put
        {
            let bytes = blocks.iter().map(|block| block.bytes.len()).sum();
            self.bytes += bytes;
            self.entries.push_back(Entry {
                number: self.count,
                accepted: progress.accepted,
                put: put.clone(),
                bytes,
            });
        }
        true
    }

    fn written(&mut self, written: u64) {
        self.drop_if(|entry| entry.accepted <= written);
    }

    fn drop_if(&mut self, mut is_done: impl FnMut(&Entry) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| {
            let done = is_done(entry);
            if done {
                *bytes -= entry.bytes;
            }
            !done
        });
    }

    /// How many puts there were: those before a sync that begins now.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// A sync that began after so many puts went well. False if what it should have made durable
    /// may be lost.
    pub(super) fn synced(&mut self, count: u64) -> bool {
        if self.in_doubt {
            return false;
        }
        self.synced = self.synced.max(count);
        self.drop_if(|entry| entry.number <= count);
        true
    }

    /// Blocks were deleted: none of them may come back.
    pub(super) fn deleted(&mut self, cids: &[Cid]) {
        if self.entries.is_empty() {
            return;
        }
        let gone: FxHashSet<&Cid> = cids.iter().collect();
        for entry in &mut self.entries {
            let Request::Put { blocks, .. } = &mut entry.put else {
                continue;
            };
            blocks.retain(|block| !gone.contains(&block.cid));
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes > KEPT_BYTES_MAX
    }

    /// Puts all of them again, over the first lane of a session.
    pub(super) fn put_again(&mut self, lane: &mut Lane) -> Result<(), WireError> {
        for entry in &mut self.entries {
            let frame = lane.exchange(&[entry.put.encode()], Instant::now() + AGAIN_WAIT)?;
            match read_progress(&frame).filter(|_| frame.kind == DONE) {
                Some(progress) => entry.accepted = progress.accepted,
                // Accepted once, refused now: a sync must not say that it is there.
                None => self.in_doubt = true,
            }
        }
        Ok(())
    }

    /// A session begins.
    pub(super) fn begin(&mut self, generation: u64, is_rebooted: bool) {
        self.generation = generation;
        self.in_doubt |= is_rebooted && self.count > self.synced;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cairn_block::{Codec, Epoch, PutHint, Sealed};

    fn put(n: u8, len: usize) -> (Request, Cid) {
        let bytes = Bytes::from(vec![n; len]);
        let block = Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes);
        let cid = block.cid;
        let put = Request::Put {
            epoch: Epoch(1),
            hint: PutHint::Bulk,
            blocks: vec![block],
        };
        (put, cid)
    }

    fn at(accepted: u64, written: u64) -> PutProgress {
        PutProgress { accepted, written }
    }

    #[test]
    fn a_put_is_kept_until_it_is_written_or_synced() {
        let mut kept = Kept::default();
        assert!(kept.keep(0, &put(1, 10).0, at(1, 0)));
        assert!(kept.keep(0, &put(2, 20).0, at(2, 0)));
        assert_eq!((kept.entries.len(), kept.bytes), (2, 30));
        assert!(kept.keep(0, &put(3, 40).0, at(3, 1)));
        assert_eq!((kept.entries.len(), kept.bytes), (2, 60), "the first is written");
        let count = kept.count();
        assert!(kept.keep(0, &put(4, 1).0, at(4, 1)));
        assert!(kept.synced(count));
        assert_eq!(
            (kept.entries.len(), kept.bytes),
            (1, 1),
            "the last came after the sync began"
        );
        assert!(kept.keep(0, &put(5, 1).0, at(5, 5)));
        assert_eq!((kept.entries.len(), kept.bytes), (0, 0));
        assert!(kept.keep(0, &put(6, KEPT_BYTES_MAX).0, at(6, 5)) && !kept.is_full());
        assert!(kept.keep(0, &put(7, 1).0, at(7, 5)) && kept.is_full());
    }

    #[test]
    fn an_answer_of_a_session_that_is_over_counts_for_nothing() {
        let mut kept = Kept::default();
        kept.begin(3, false);
        assert!(!kept.keep(2, &put(1, 10).0, at(1, 0)));
        assert!(kept.keep(3, &put(1, 10).0, at(1, 0)));
    }

    #[test]
    fn what_was_deleted_is_not_put_again() {
        let mut kept = Kept::default();
        let (request, cid) = put(1, 10);
        assert!(kept.keep(0, &request, at(1, 0)));
        kept.deleted(&[cid]);
        let Request::Put { blocks, .. } = &kept.entries[0].put else {
            panic!("it is a put");
        };
        assert!(blocks.is_empty());
    }

    #[test]
    fn after_a_start_of_the_machine_what_was_not_synced_is_in_doubt() {
        let mut kept = Kept::default();
        assert!(kept.keep(0, &put(1, 10).0, at(1, 1)));
        assert!(kept.synced(kept.count()));
        kept.begin(1, true);
        assert!(kept.synced(1), "all of it was synced");
        assert!(kept.keep(1, &put(2, 10).0, at(2, 2)));
        kept.begin(2, false);
        assert!(kept.synced(1));
        kept.begin(3, true);
        assert!(!kept.synced(2));
    }
}
