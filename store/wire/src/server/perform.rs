//! Carries a request out on a store.
//!
//! What may have been carried out before, its answer lost, comes with the flag *again*. All but two
//! requests do no harm twice. A swap of the head and an adoption ask whether the head is there
//! already.

use crate::answer;
use crate::failure::{Code, Failure};
use crate::frame::{Message, PAYLOAD_MAX};
use crate::names::Names;
use crate::request::{RECORDS_MAX, Request};
use bytes::Bytes;
use cairn_block::{BlockStore, Cid, Epoch, HeadSwap, StoreError, Twin};

/// Bytes of blocks or records in one answer, but at least one of them.
const BATCH_BYTES: usize = 2 << 20;
/// Blocks that are read at once: as many as fill an answer where they are of the usual size.
const BATCH_COUNT: usize = 16;
/// Names in one answer.
const LIST_MAX: usize = 8 << 10;
/// Names that may be staged.
const STAGED_MAX: usize = 1 << 20;

/// Names that came ahead of the request that uses them.
#[derive(Default)]
pub(super) struct Staged(Vec<Cid>);

type Answered = Result<Option<Message>, Failure>;

/// Carries `request` out; `None` where there is nothing to answer.
pub(super) fn perform(
    store: &dyn BlockStore,
    request: Request,
    again: bool,
    staged: &mut Staged,
) -> Answered {
    let done = |result: Result<(), StoreError>| result.map(|()| answer::nothing());
    let answered = match request {
        Request::Stage(names) => return stage(staged, &names),
        Request::GetMany(names) => return get_many(store, &names).map(Some),
        Request::Get(cid) => store.get(&cid).map(answer::value),
        Request::GetNow(cid) => store.get_now(&cid).map(answer::value),
        Request::GetPart { cid, range, hint } => {
            let range = range.start as usize..range.end as usize;
            store.get_part(&cid, range, hint).map(answer::part)
        }
        Request::Holds(cid) => store.holds(&cid).map(answer::truth),
        Request::Put { epoch, hint, blocks } => store
            .put(epoch, &blocks, hint)
            .map(|()| answer::progress(store.put_progress())),
        Request::Delete(names) => done(store.delete(&names.iter().collect::<Vec<_>>())),
        Request::Sync => done(store.sync()),
        Request::Fresh { after, count_max } => {
            let marks = store.fresh(after, LIST_MAX.min(count_max as usize));
            marks.map(|marks| answer::fresh(&marks))
        }
        Request::List { after, count_max } => {
            let cids = store.list(after, LIST_MAX.min(count_max as usize));
            cids.map(|cids| answer::names(&cids))
        }
        Request::Stats => store.stats().map(|stats| answer::stats(&stats)),
        Request::Probe => done(store.probe()),
        Request::Reclaim => done(store.reclaim()),
        // The lease ends with the lanes (lane.rs). The store stays open for others, and is closed
        // with the server.
        Request::Close => Ok(answer::nothing()),
        Request::LogAppend(records) => done(store.log_append(&records)),
        Request::LogWrite(records) => done(store.log_write(&records)),
        Request::LogRead { from, bytes_max } => log_read(store, from, bytes_max as usize),
        Request::LogMark(mark) => done(store.log_mark(&mark)),
        Request::LogRest => store.log_rest().map(|rest| answer::rest(&rest)),
        Request::Head => store.head().map(answer::value),
        Request::Header => store.header().map(answer::value),
        Request::Twin => store.twin().map(|twin| answer::twin(twin.as_ref())),
        Request::HeadAfresh => store.head_afresh().map(answer::value),
        Request::TwinAhead(at) => store
            .twins_ahead()
            .map(|twins| answer::twin(twins.get(usize::from(at)))),
        Request::Adopt { twin, settled } => done(adopt(store, &twin, settled, again)),
        Request::DropTwinsAhead => done(store.drop_twins_ahead()),
        Request::PrepareDelete => done(store.prepare_delete(&std::mem::take(&mut staged.0))),
        Request::SwapHead {
            expected,
            head,
            header,
            root_block,
            settled,
            restarts_log,
        } => {
            let delete = std::mem::take(&mut staged.0);
            let swap = HeadSwap {
                expected: expected.as_deref(),
                head: &head,
                header: header.as_deref(),
                root_block: &root_block,
                delete: &delete,
                settled,
                restarts_log,
            };
            done(swap_head(store, &swap, again))
        }
    };
    answered.map(Some).map_err(Failure::from)
}

fn stage(staged: &mut Staged, names: &Names) -> Answered {
    if staged.0.len() + names.len() > STAGED_MAX {
        staged.0 = Vec::new();
        return Err(Failure::new(Code::Refused, "too many names are staged"));
    }
    staged.0.extend(names.iter());
    Ok(None)
}

/// As many of the first blocks as one answer holds.
fn get_many(store: &dyn BlockStore, names: &Names) -> Result<Message, Failure> {
    if names.is_empty() {
        return Err(Failure::new(Code::Refused, "no block was asked for"));
    }
    let cids: Vec<_> = names.iter().collect();
    let (mut found, mut bytes) = (Vec::<Option<Bytes>>::new(), 0);
    for some in cids.chunks(BATCH_COUNT) {
        for block in store.get_many(some)? {
            bytes += block.as_ref().map_or(0, Bytes::len);
            if bytes > BATCH_BYTES && !found.is_empty() {
                return Ok(answer::blocks(&found));
            }
            found.push(block);
        }
        if bytes >= BATCH_BYTES || found.len() + BATCH_COUNT > RECORDS_MAX {
            break;
        }
    }
    Ok(answer::blocks(&found))
}

fn log_read(
    store: &dyn BlockStore,
    from: cairn_block::LogPos,
    bytes_max: usize,
) -> Result<Message, StoreError> {
    let mut records = store.log_read(from, bytes_max.min(BATCH_BYTES))?;
    records.truncate(RECORDS_MAX);
    let mut bytes = 0;
    // A store stops about there, and perhaps behind a record too many.
    let fits = records.iter().take_while(|(_, record)| {
        bytes += record.len();
        bytes <= PAYLOAD_MAX
    });
    let count = fits.count();
    records.truncate(count);
    Ok(answer::records(&records))
}

fn swap_head(store: &dyn BlockStore, swap: &HeadSwap<'_>, again: bool) -> Result<(), StoreError> {
    match store.swap_head(swap) {
        // A head is never the same twice: it was this very swap that put it there, and with it all
        // else that it says.
        Err(StoreError::HeadMoved) if again && store.head()?.as_deref() == Some(swap.head) => Ok(()),
        swapped => swapped,
    }
}

fn adopt(store: &dyn BlockStore, twin: &Twin, settled: Epoch, again: bool) -> Result<(), StoreError> {
    match store.adopt(twin, settled) {
        Err(StoreError::HeadMoved) if again && store.head()?.as_ref() == Some(&twin.head) => Ok(()),
        adopted => adopted,
    }
}
