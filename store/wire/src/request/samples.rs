//! One request of each kind, for tests and for the fuzzer to begin with.

use super::Request::{self, *};
use crate::names::Names;
use bytes::Bytes;
use cairn_block::{Cid, Epoch, LogPos, PartHint, PutHint, Sealed};

#[expect(clippy::too_many_lines, reason = "one after the other")]
pub(crate) fn samples() -> Vec<Request> {
    let (leaf, node) = (Cid::leaf([7; 32]), Cid::node([8; 32]));
    let names = || Names::new(&[leaf, node]);
    let pos = LogPos {
        epoch: Epoch(3),
        seq: 4,
    };
    let records = || vec![(pos, Bytes::from("record")), (pos, Bytes::from("next"))];
    let large = Bytes::from(vec![1; 64 << 10]);
    let block = |groups| Sealed {
        cid: leaf,
        bytes: large.clone(),
        groups,
    };
    let twin = cairn_block::Twin {
        head: Bytes::from("head"),
        header: Bytes::new(),
        root_block: Bytes::from("root"),
    };
    let swap = |expected: Option<&'static str>, header: Option<&'static str>| SwapHead {
        expected: expected.map(Bytes::from),
        head: Bytes::from("head"),
        header: header.map(Bytes::from),
        root_block: Bytes::from("root"),
        settled: Epoch(9),
        restarts_log: header.is_some(),
    };
    let put = |hint, blocks| Put {
        epoch: Epoch(u64::MAX),
        hint,
        blocks,
    };
    let part = |hint| GetPart {
        cid: node,
        range: 5..7,
        hint,
    };
    vec![
        Get(leaf),
        GetNow(node),
        part(PartHint::Once),
        part(PartHint::Again),
        GetMany(names()),
        Holds(leaf),
        put(PutHint::Bulk, vec![]),
        put(
            PutHint::Small,
            vec![block(Bytes::new()), block(large.slice(..128))],
        ),
        Delete(names()),
        Sync,
        Fresh {
            after: None,
            count_max: 1,
        },
        Fresh {
            after: Some((Epoch(2), node)),
            count_max: 1,
        },
        List {
            after: None,
            count_max: 1,
        },
        List {
            after: Some(leaf),
            count_max: u32::MAX,
        },
        Stats,
        Probe,
        Reclaim,
        Close,
        LogAppend(records()),
        LogWrite(records()),
        LogRead {
            from: pos,
            bytes_max: 8,
        },
        LogMark(Bytes::from("mark")),
        LogRest,
        Head,
        Header,
        Twin,
        HeadAfresh,
        TwinAhead(1),
        Adopt {
            twin,
            settled: Epoch(1),
        },
        DropTwinsAhead,
        Stage(names()),
        PrepareDelete,
        swap(None, None),
        swap(Some(""), None),
        swap(Some("old"), Some("header")),
    ]
}
