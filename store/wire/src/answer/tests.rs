use super::*;
use cairn_block::group::GROUP_BYTES;

fn frame(message: Message) -> Incoming {
    Incoming {
        kind: message.kind,
        flags: 0,
        id: 0,
        fields: message.fields,
        payload: message.payload.concat().into(),
    }
}

/// `read` of each frame that is one byte longer or shorter than `message`, in fields or payload.
fn altered<T>(message: Message, read: impl Fn(&Incoming) -> Option<T>) -> Vec<bool> {
    let whole = frame(message);
    let with = |fields: Vec<u8>, payload: Bytes| {
        let frame = Incoming {
            fields,
            payload,
            ..whole.clone()
        };
        read(&frame).is_some()
    };
    let (fields, payload) = (whole.fields.clone(), whole.payload.clone());
    let longer = [&payload[..], b"-"].concat().into();
    vec![
        with([&fields[..], &[0]].concat(), payload.clone()),
        with(
            fields.split_last().map_or(vec![9], |(_, less)| less.to_vec()),
            payload.clone(),
        ),
        with(fields.clone(), longer),
        with(fields, payload.slice(payload.len().min(1)..)),
    ]
}

fn pos(seq: u64) -> LogPos {
    LogPos { epoch: Epoch(1), seq }
}

#[test]
fn answers_are_read_as_they_were_written() {
    assert_eq!(read_nothing(&frame(nothing())), Some(()));
    for value in [None, Some(Bytes::new()), Some(Bytes::from("value"))] {
        assert_eq!(read_value(&frame(super::value(value.clone())), 5), Some(value));
    }
    assert_eq!(
        [true, false].map(|bit| read_truth(&frame(truth(bit)))),
        [Some(true), Some(false)]
    );
    let whole = Part {
        range: 0..GROUP_BYTES,
        bytes: vec![1; GROUP_BYTES].into(),
        groups: vec![2; 128].into(),
    };
    for part in [None, Some(whole)] {
        assert_eq!(
            read_part(&frame(super::part(part.clone())), &(0..GROUP_BYTES)),
            Some(part)
        );
    }
    let some = [Some(Bytes::from("one")), None, Some(Bytes::new())];
    assert_eq!(read_blocks(&frame(blocks(&some)), 3).as_deref(), Some(&some[..]));
    let far = PutProgress {
        accepted: 3,
        written: 2,
    };
    assert_eq!(read_progress(&frame(progress(far))), Some(far));
    let marks = [(Epoch(1), Cid::leaf([2; 32])), (Epoch(3), Cid::node([1; 32]))];
    assert_eq!(
        read_fresh(&frame(fresh(&marks)), None, 2).as_deref(),
        Some(&marks[..])
    );
    let cids = marks.map(|(_, cid)| cid);
    let sorted = [cids[1], cids[0]];
    assert_eq!(
        read_names(&frame(names(&sorted)), None, 2).as_deref(),
        Some(&sorted[..])
    );
    let sizes = StoreStats {
        used_bytes: 1,
        available_bytes: 2,
        garbage_bytes: 3,
    };
    assert_eq!(read_stats(&frame(stats(&sizes))), Some(sizes));
    let log = [(pos(1), Bytes::from("record")), (pos(2), Bytes::new())];
    assert_eq!(read_log(&frame(records(&log)), pos(0)).as_deref(), Some(&log[..]));
    let left = LogRest {
        marks: vec![Bytes::from("mark")],
        broken: vec!["intent/00001 at byte 7".into()],
    };
    assert_eq!(read_rest(&frame(rest(&left))), Some(left));
    let copy = Twin {
        head: Bytes::from("head"),
        header: Bytes::new(),
        root_block: Bytes::from("root"),
    };
    for twin in [None, Some(copy)] {
        assert_eq!(read_a_twin(&frame(super::twin(twin.as_ref()))), Some(twin));
    }
}

#[test]
fn answers_of_another_shape_are_refused() {
    let refused = [
        altered(nothing(), read_nothing)[..3].to_vec(),
        altered(value(None), |frame| read_value(frame, 9))
            .drain(..3)
            .collect(),
        altered(truth(true), read_truth)[..3].to_vec(),
        altered(progress(PutProgress::default()), read_progress)[..3].to_vec(),
        altered(stats(&StoreStats::default()), read_stats)[..3].to_vec(),
        altered(names(&[Cid::leaf([1; 32])]), |frame| read_names(frame, None, 9))[2..].to_vec(),
        altered(fresh(&[(Epoch(1), Cid::leaf([1; 32]))]), |frame| {
            read_fresh(frame, None, 9)
        })[2..]
            .to_vec(),
        altered(blocks(&[Some(Bytes::from("one"))]), |frame| read_blocks(frame, 1)),
        altered(records(&[(pos(1), Bytes::from("one"))]), |frame| {
            read_log(frame, pos(0))
        }),
        altered(twin(Some(&Twin::default())), read_a_twin)[..3].to_vec(),
    ];
    for (at, accepted) in refused.iter().enumerate() {
        assert!(!accepted.contains(&true), "shape {at}: {accepted:?}");
    }
}

#[test]
fn no_answer_is_more_than_was_asked_for() {
    let three = Bytes::from("one");
    assert_eq!(read_value(&frame(value(Some(three.clone()))), 2), None);
    assert_eq!(read_blocks(&frame(blocks(&[None, None])), 1), None);
    assert_eq!(read_blocks(&frame(blocks(&[])), 1), None, "no step forward");
    let cid = |first| Cid::leaf([first; 32]);
    let two = frame(names(&[cid(1), cid(2)]));
    assert_eq!(read_names(&two, None, 1), None);
    assert_eq!(read_names(&two, Some(cid(1)), 2), None, "no step forward");
    assert_eq!(read_names(&frame(names(&[cid(2), cid(1)])), None, 2), None);
    let two = frame(fresh(&[(Epoch(1), cid(1)), (Epoch(1), cid(2))]));
    assert_eq!(read_fresh(&two, None, 1), None);
    assert_eq!(
        read_fresh(&two, Some((Epoch(1), cid(1))), 2),
        None,
        "no step forward"
    );
    assert_eq!(read_fresh(&two, Some((Epoch(2), cid(0))), 2), None);
    let log = |seqs: &[u64]| {
        let log: Vec<_> = seqs.iter().map(|seq| (pos(*seq), three.clone())).collect();
        frame(records(&log))
    };
    assert_eq!(read_log(&log(&[1, 2]), pos(2)), None);
    assert_eq!(read_log(&log(&[2, 2]), pos(0)), None);
    let part_of = |len: usize, groups: usize| {
        frame(part(Some(Part {
            range: 0..len,
            bytes: vec![0; len].into(),
            groups: vec![0; groups].into(),
        })))
    };
    assert_eq!(read_part(&part_of(10, 0), &(0..11)), None);
    assert_eq!(
        read_part(&part_of(10, groups_len(MAX_STORED) + 1), &(0..10)),
        None
    );
    let noisy = LogRest {
        marks: vec![three; 20],
        broken: vec!["place ".repeat(100); 500],
    };
    let kept = read_rest(&frame(rest(&noisy))).unwrap();
    assert_eq!((kept.marks.len(), kept.broken.len()), (MARKS_MAX, BROKEN_MAX));
    let escape = LogRest {
        broken: vec!["\u{1b}[2J".into()],
        ..LogRest::default()
    };
    assert_eq!(read_rest(&frame(rest(&escape))), None, "no control of a terminal");
}
