use super::*;

fn incoming(message: &Message) -> Incoming {
    Incoming {
        kind: message.kind,
        flags: 0,
        id: 0,
        fields: message.fields.clone(),
        payload: message.payload.concat().into(),
    }
}

#[test]
fn every_request_is_decoded_as_it_was_encoded() {
    let mut kinds = std::collections::BTreeSet::new();
    for request in samples() {
        let message = request.encode();
        kinds.insert(message.kind);
        assert_eq!(Request::decode(&incoming(&message)), Some(request));
    }
    assert_eq!(
        kinds.len(),
        usize::from(kind::PROBE - kind::GET) + 1,
        "each kind has a sample"
    );
}

#[test]
fn what_is_longer_or_shorter_than_a_request_is_none() {
    for request in samples() {
        let whole = incoming(&request.encode());
        let mut longer = whole.clone();
        longer.fields.push(0);
        let mut heavier = whole.clone();
        heavier.payload = [&whole.payload[..], b"-"].concat().into();
        for altered in [longer, heavier] {
            let found = Request::decode(&altered);
            // A mark is any bytes.
            assert!(
                found.is_none() || matches!(found, Some(Request::LogMark(_))) && altered.fields.is_empty(),
                "{request:?}"
            );
        }
        for len in 0..whole.fields.len() {
            let mut cut = whole.clone();
            cut.fields.truncate(len);
            let found = Request::decode(&cut);
            let as_none = matches!(request, Request::Fresh { .. } | Request::List { .. }) && len == 4;
            assert!(found.is_none() || as_none, "{request:?} cut to {len}");
        }
    }
}

#[test]
fn only_what_leaves_all_as_it_is_is_open_to_readers() {
    let reads = samples().into_iter().filter(|request| !request.changes());
    let kinds: std::collections::BTreeSet<u8> = reads.map(|request| request.kind()).collect();
    use kind::*;
    let expected = [
        GET,
        GET_NOW,
        GET_PART,
        GET_MANY,
        HOLDS,
        SYNC,
        FRESH,
        LIST,
        STATS,
        PROBE,
        LOG_READ,
        LOG_REST,
        HEAD,
        HEADER,
        TWIN,
        HEAD_AFRESH,
        TWIN_AHEAD,
        STAGE,
    ];
    assert_eq!(kinds, expected.into());
}
