//! Answers: one shape for each kind of result, written by the server and read by the client.
//!
//! ```text
//!   server: value(Some(bytes)) --> Message ... Incoming --> client: read_value(&frame, len_max)
//! ```
//!
//! A reader gives `None` for what is not of this shape, or more than was asked for. What an answer
//! says is believed no further: hashes, tags and order are checked by the side with the key.

use crate::failure::FAILED;
use crate::frame::{Incoming, Message};
use crate::names::{Names, put_name, put_records, read_name, read_records, take};
use crate::request::{MARK_MAX, put_twin, read_twin};
use bytes::{Buf, BufMut, Bytes};
use cairn_block::group::{Part, groups_len};
use cairn_block::{Cid, Epoch, LogPos, LogRest, MAX_STORED, PutProgress, StoreStats, Twin};
use std::ops::Range;

/// Kind of an answer to what was done.
pub const DONE: u8 = 0;

const _: () = assert!(FAILED != DONE, "both are kinds of answers");

/// Marks of the log that an answer holds at most, and places where it is broken.
const MARKS_MAX: usize = 8;
const BROKEN_MAX: usize = 64;
/// Bytes of such a place's name.
const BROKEN_LEN_MAX: usize = 128;

fn done(fields: Vec<u8>, payload: Vec<Bytes>) -> Message {
    Message {
        kind: DONE,
        flags: 0,
        fields,
        payload,
    }
}

/// It was done, and there is nothing to say.
pub fn nothing() -> Message {
    Message::of(DONE)
}

/// Reads [`nothing`].
pub fn read_nothing(frame: &Incoming) -> Option<()> {
    (frame.fields.is_empty() && frame.payload.is_empty()).then_some(())
}

/// Some bytes, or none.
pub fn value(value: Option<Bytes>) -> Message {
    done(vec![u8::from(value.is_some())], value.into_iter().collect())
}

/// Reads [`value`] of up to `len_max` bytes.
pub fn read_value(frame: &Incoming, len_max: usize) -> Option<Option<Bytes>> {
    match frame.fields[..] {
        [0] if frame.payload.is_empty() => Some(None),
        [1] if frame.payload.len() <= len_max => Some(Some(frame.payload.clone())),
        _ => None,
    }
}

/// Whether it is so.
pub fn truth(truth: bool) -> Message {
    done(vec![u8::from(truth)], Vec::new())
}

/// Reads [`truth`].
pub fn read_truth(frame: &Incoming) -> Option<bool> {
    match frame.fields[..] {
        [bit @ 0..=1] if frame.payload.is_empty() => Some(bit == 1),
        _ => None,
    }
}

/// A part of a block, with the hashes of its groups behind it.
pub fn part(part: Option<Part>) -> Message {
    let Some(part) = part else {
        return done(vec![0], Vec::new());
    };
    done(vec![1], vec![part.bytes, part.groups])
}

/// Reads [`part`], which was asked for as `range`.
pub fn read_part(frame: &Incoming, range: &Range<usize>) -> Option<Option<Part>> {
    let mut payload = frame.payload.clone();
    match frame.fields[..] {
        [0] if payload.is_empty() => Some(None),
        [1] => {
            let bytes = take(&mut payload, range.len())?;
            let groups_fit = payload.len() <= groups_len(MAX_STORED);
            let range = range.clone();
            groups_fit.then_some(Some(Part {
                range,
                bytes,
                groups: payload,
            }))
        }
        _ => None,
    }
}

/// The first of the blocks that were asked for, at least one.
pub fn blocks(blocks: &[Option<Bytes>]) -> Message {
    let (mut fields, mut payload) = (Vec::new(), Vec::new());
    for block in blocks {
        let len = block.as_ref().map_or(u32::MAX, |bytes| bytes.len() as u32);
        fields.put_u32_le(len);
        payload.extend(block.clone());
    }
    done(fields, payload)
}

/// Reads [`blocks`], of which `count_max` were asked for.
pub fn read_blocks(frame: &Incoming, count_max: usize) -> Option<Vec<Option<Bytes>>> {
    let (mut fields, mut payload) = (&frame.fields[..], frame.payload.clone());
    if fields.is_empty() || fields.len() > count_max.saturating_mul(4) {
        return None;
    }
    let mut blocks = Vec::with_capacity(fields.len() / 4);
    while !fields.is_empty() {
        blocks.push(match fields.try_get_u32_le().ok()? {
            u32::MAX => None,
            len if len as usize > MAX_STORED => return None,
            len => Some(take(&mut payload, len as usize)?),
        });
    }
    payload.is_empty().then_some(blocks)
}

/// How far puts have got, this one included.
pub fn progress(progress: PutProgress) -> Message {
    let mut fields = Vec::new();
    fields.put_u64_le(progress.accepted);
    fields.put_u64_le(progress.written);
    done(fields, Vec::new())
}

/// Reads [`progress`].
pub fn read_progress(frame: &Incoming) -> Option<PutProgress> {
    let mut fields = &frame.fields[..];
    let progress = PutProgress {
        accepted: fields.try_get_u64_le().ok()?,
        written: fields.try_get_u64_le().ok()?,
    };
    (fields.is_empty() && frame.payload.is_empty()).then_some(progress)
}

/// Fresh blocks.
pub fn fresh(marks: &[(Epoch, Cid)]) -> Message {
    let mut payload = Vec::new();
    for (epoch, cid) in marks {
        payload.put_u64_le(epoch.0);
        put_name(&mut payload, cid);
    }
    done(Vec::new(), vec![payload.into()])
}

/// Reads [`fresh`]: up to `count_max` marks, in order and behind `after`, so that a caller who goes
/// on behind the last one comes to an end.
pub fn read_fresh(
    frame: &Incoming,
    after: Option<(Epoch, Cid)>,
    count_max: usize,
) -> Option<Vec<(Epoch, Cid)>> {
    let (mut payload, mut last) = (&frame.payload[..], after);
    let mut marks = Vec::new();
    while !payload.is_empty() && marks.len() < count_max {
        let mark = (Epoch(payload.try_get_u64_le().ok()?), read_name(&mut payload)?);
        if last.is_some_and(|last| mark <= last) {
            return None;
        }
        last = Some(mark);
        marks.push(mark);
    }
    (payload.is_empty() && frame.fields.is_empty()).then_some(marks)
}

/// Names of blocks.
pub fn names(cids: &[Cid]) -> Message {
    done(Vec::new(), vec![Names::new(cids).bytes()])
}

/// Reads [`names`]: up to `count_max`, none of them `after`.
pub fn read_names(frame: &Incoming, after: Option<Cid>, count_max: usize) -> Option<Vec<Cid>> {
    let names = Names::read(frame.payload.clone())?;
    if names.len() > count_max || !frame.fields.is_empty() {
        return None;
    }
    let cids: Vec<_> = names.iter().collect();
    let ascends = after.iter().chain(&cids).is_sorted_by(|one, next| one < next);
    ascends.then_some(cids)
}

/// Sizes of the store.
pub fn stats(stats: &StoreStats) -> Message {
    let mut fields = Vec::new();
    for bytes in [stats.used_bytes, stats.available_bytes, stats.garbage_bytes] {
        fields.put_u64_le(bytes);
    }
    done(fields, Vec::new())
}

/// Reads [`stats`].
pub fn read_stats(frame: &Incoming) -> Option<StoreStats> {
    let mut fields = &frame.fields[..];
    let stats = StoreStats {
        used_bytes: fields.try_get_u64_le().ok()?,
        available_bytes: fields.try_get_u64_le().ok()?,
        garbage_bytes: fields.try_get_u64_le().ok()?,
    };
    (fields.is_empty() && frame.payload.is_empty()).then_some(stats)
}

/// Records of the log.
pub fn records(records: &[(LogPos, Bytes)]) -> Message {
    let (mut fields, mut payload) = (Vec::new(), Vec::new());
    put_records(&mut fields, &mut payload, records);
    done(fields, payload)
}

/// Reads [`records`]: in order, from `from` on.
pub fn read_log(frame: &Incoming, from: LogPos) -> Option<Vec<(LogPos, Bytes)>> {
    let records = read_records(&frame.fields, frame.payload.clone())?;
    let ascends = records.is_sorted_by(|(one, _), (next, _)| one < next);
    let begins = records.first().is_none_or(|(first, _)| *first >= from);
    (ascends && begins).then_some(records)
}

/// What of the log is no record. The newest marks, and as many broken places as fit.
pub fn rest(rest: &LogRest) -> Message {
    let (mut fields, mut payload) = (Vec::new(), Vec::new());
    let marks = rest.marks.iter().filter(|mark| mark.len() <= MARK_MAX);
    let marks: Vec<_> = marks.rev().take(MARKS_MAX).cloned().collect();
    fields.put_u8(marks.len() as u8);
    for mark in marks.into_iter().rev() {
        fields.put_u32_le(mark.len() as u32);
        payload.push(mark);
    }
    for place in rest.broken.iter().take(BROKEN_MAX) {
        let place: String = place.chars().take(BROKEN_LEN_MAX / 4).collect();
        fields.put_u32_le(place.len() as u32);
        payload.push(place.into());
    }
    done(fields, payload)
}

/// Reads [`rest`].
pub fn read_rest(frame: &Incoming) -> Option<LogRest> {
    let (mut fields, mut payload) = (&frame.fields[..], frame.payload.clone());
    let mut rest = LogRest::default();
    let marks = usize::from(fields.try_get_u8().ok()?);
    if marks > MARKS_MAX || fields.len() > 4 * (MARKS_MAX + BROKEN_MAX) {
        return None;
    }
    while !fields.is_empty() {
        let len = fields.try_get_u32_le().ok()? as usize;
        let part = take(&mut payload, len)?;
        if rest.marks.len() < marks {
            rest.marks.push(part);
        } else {
            let place = str::from_utf8(&part).ok()?;
            let is_plain = len <= BROKEN_LEN_MAX && !place.chars().any(char::is_control);
            rest.broken.push(is_plain.then(|| place.to_owned())?);
        }
    }
    (payload.is_empty() && rest.marks.len() == marks).then_some(rest)
}

/// A second copy of the head, or none.
pub fn twin(twin: Option<&Twin>) -> Message {
    let (mut fields, mut payload) = (vec![u8::from(twin.is_some())], Vec::new());
    if let Some(twin) = twin {
        put_twin(&mut fields, &mut payload, twin);
    }
    done(fields, payload)
}

/// Reads [`twin()`].
pub fn read_a_twin(frame: &Incoming) -> Option<Option<Twin>> {
    let (is, mut fields) = frame.fields.split_first()?;
    match (is, fields) {
        (0, []) if frame.payload.is_empty() => Some(None),
        (1, _) => {
            let twin = read_twin(&mut fields, frame.payload.clone())?;
            fields.is_empty().then_some(Some(twin))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
