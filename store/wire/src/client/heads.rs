//! The head and its second copies over a lane.

use super::base::{Client, Wait};
use crate::answer;
use crate::frame::Message;
use crate::names::{NAMES_MAX, Names};
use crate::request::{HEAD_MAX, HEADER_MAX, Request};
use bytes::Bytes;
use cairn_block::{Cid, Epoch, HeadSwap, Heads, StoreError, Twin};

/// Second copies of later swaps that are asked for: a store keeps two.
const TWINS_MAX: u8 = 4;

impl Heads for Client {
    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        self.call("read the head", Wait::Short, &Request::Head, |frame| {
            answer::read_value(frame, HEAD_MAX)
        })
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        self.call("read the header", Wait::Short, &Request::Header, |frame| {
            answer::read_value(frame, HEADER_MAX)
        })
    }

    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        let verb = "read the second copy of the head";
        self.call(verb, Wait::Short, &Request::Twin, answer::read_a_twin)
    }

    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        self.call("look at the head", Wait::Short, &Request::HeadAfresh, |frame| {
            answer::read_value(frame, HEAD_MAX)
        })
    }

    fn twins_ahead(&self) -> Result<Vec<Twin>, StoreError> {
        let mut twins = Vec::new();
        for at in 0..TWINS_MAX {
            let verb = "look for a newer head";
            let twin = self.call(verb, Wait::Short, &Request::TwinAhead(at), answer::read_a_twin)?;
            let Some(twin) = twin else { break };
            twins.push(twin);
        }
        Ok(twins)
    }

    fn adopt(&self, twin: &Twin, settled: Epoch) -> Result<(), StoreError> {
        let request = Request::Adopt {
            twin: twin.clone(),
            settled,
        };
        self.call("adopt a head", Wait::Long, &request, answer::read_nothing)
    }

    fn drop_twins_ahead(&self) -> Result<(), StoreError> {
        let verb = "give up a newer head";
        self.call(verb, Wait::Long, &Request::DropTwinsAhead, answer::read_nothing)
    }

    fn prepare_delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let messages = staged(cids, &Request::PrepareDelete);
        let verb = "look up what is deleted next";
        self.call_with(verb, Wait::Long, messages, answer::read_nothing)
            .map(drop)
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        let copy = Bytes::copy_from_slice;
        let request = Request::SwapHead {
            expected: swap.expected.map(copy),
            head: copy(swap.head),
            header: swap.header.map(copy),
            root_block: copy(swap.root_block),
            settled: swap.settled,
            restarts_log: swap.restarts_log,
        };
        let messages = staged(swap.delete, &request);
        self.call_with("swap the head", Wait::Long, messages, answer::read_nothing)?;
        self.kept.lock().deleted(swap.delete);
        Ok(())
    }
}

/// Names ahead of the request that uses them, on one lane.
fn staged(cids: &[Cid], request: &Request) -> Vec<Message> {
    let stages = cids.chunks(NAMES_MAX);
    let stages = stages.map(|some| Request::Stage(Names::new(some)).encode());
    stages.chain([request.encode()]).collect()
}
