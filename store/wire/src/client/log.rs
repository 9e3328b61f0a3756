//! The intent log over a lane.

use super::base::{Client, Wait};
use crate::answer;
use crate::request::{MARK_MAX, RECORDS_MAX, Request};
use bytes::Bytes;
use cairn_block::{Log, LogPos, LogRest, StoreError};
use std::io;

/// Bytes of one append, but at least one record.
const APPEND_BYTES_MAX: usize = 2 << 20;

type Records<'a> = &'a [(LogPos, Bytes)];

impl Log for Client {
    fn log_append(&self, records: Records<'_>) -> Result<(), StoreError> {
        let verb = "append to the log";
        let (first, last) = parts(records);
        for some in first {
            self.log_write(some)?;
        }
        // Durable with all that were written before.
        let request = Request::LogAppend(last.to_vec());
        self.call(verb, Wait::Long, &request, answer::read_nothing)
    }

    fn log_write(&self, records: Records<'_>) -> Result<(), StoreError> {
        let verb = "append to the log";
        let (first, last) = parts(records);
        for some in first.into_iter().chain([last]) {
            let request = Request::LogWrite(some.to_vec());
            self.call(verb, Wait::Long, &request, answer::read_nothing)?;
        }
        Ok(())
    }

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        let (mut found, mut bytes) = (Vec::<(LogPos, Bytes)>::new(), 0);
        let mut from = from;
        loop {
            let request = Request::LogRead {
                from,
                bytes_max: u32::try_from(bytes_max - bytes).unwrap_or(u32::MAX),
            };
            let records = self.call("read the log", Wait::Short, &request, |frame| {
                answer::read_log(frame, from)
            })?;
            let Some((last, _)) = records.last() else {
                return Ok(found);
            };
            from = LogPos {
                seq: last.seq.saturating_add(1),
                ..*last
            };
            bytes += records
                .iter()
                .map(|(_, record)| record.len().max(1))
                .sum::<usize>();
            found.extend(records);
            if bytes >= bytes_max || from.seq == u64::MAX {
                return Ok(found);
            }
        }
    }

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        let verb = "mark the log";
        if mark.len() > MARK_MAX {
            return Err(StoreError::io(verb, io::ErrorKind::InvalidInput.into()));
        }
        let request = Request::LogMark(Bytes::copy_from_slice(mark));
        self.call(verb, Wait::Short, &request, answer::read_nothing)
    }

    fn log_rest(&self) -> Result<LogRest, StoreError> {
        let verb = "read the marks of the log";
        self.call(verb, Wait::Short, &Request::LogRest, answer::read_rest)
    }
}

/// Records in parts that one frame holds each: the first ones, and the last, which may be empty.
fn parts(records: Records<'_>) -> (Vec<Records<'_>>, Records<'_>) {
    let (mut first, mut rest) = (Vec::new(), records);
    loop {
        let mut bytes = 0;
        let fit = rest.iter().take(RECORDS_MAX).take_while(|(_, record)| {
            bytes += record.len();
            bytes <= APPEND_BYTES_MAX
        });
        let count = fit.count().max(1);
        if count >= rest.len() {
            return (first, rest);
        }
        let (some, later) = rest.split_at(count);
        first.push(some);
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_block::Epoch;

    #[test]
    fn records_are_cut_into_parts_that_fit_and_none_is_left_out() {
        let record = |seq: u64, len: usize| {
            let pos = LogPos { epoch: Epoch(1), seq };
            (pos, Bytes::from(vec![0; len]))
        };
        let lengths = [
            [1; 5].to_vec(),
            [APPEND_BYTES_MAX, 1, APPEND_BYTES_MAX + 1, 2].to_vec(),
            vec![],
        ];
        for (lengths, counts) in lengths.iter().zip([&[5][..], &[1, 1, 1, 1], &[0]]) {
            let records: Vec<_> = (0..).zip(lengths).map(|(seq, len)| record(seq, *len)).collect();
            let (first, last) = parts(&records);
            let all: Vec<_> = first.into_iter().chain([last]).collect();
            assert_eq!(all.iter().map(|part| part.len()).collect::<Vec<_>>(), counts);
            assert_eq!(all.concat(), records);
        }
        let many: Vec<_> = (0..RECORDS_MAX as u64 + 1).map(|seq| record(seq, 0)).collect();
        assert_eq!(parts(&many).1.len(), 1);
    }
}
