//! The promises of every store, asked of a client over a socket.

mod stage;

use cairn_block::testing::store_contract;
use cairn_block::{Blocks, Heads, Log};
use cairn_wire::{Access, Client, ClientOptions};
use stage::{Stage, block, options, pos};

#[test]
fn a_client_keeps_the_contract() {
    store_contract(|| Stage::new().client());
}

#[test]
fn one_client_writes_at_a_time_and_readers_stand_beside_it() {
    let stage = Stage::new();
    let writer = stage.client();
    let reading = ClientOptions {
        access: Access::Read,
        ..options()
    };
    let reader = Client::connect(stage.connect(), reading.clone()).unwrap();
    let impatient = ClientOptions {
        wait: std::time::Duration::from_millis(50),
        ..options()
    };
    let refused = Client::connect(stage.connect(), impatient).unwrap_err();
    assert!(refused.to_string().contains("another client"), "{refused}");
    stage::put(&writer, 1);
    assert_eq!(reader.get(&block(1).cid).unwrap(), Some(block(1).bytes));
    let changes = [
        reader.delete(&[block(1).cid]),
        reader.log_append(&[(pos(1), block(1).bytes)]),
        reader.drop_twins_ahead(),
        reader.reclaim(),
    ];
    assert!(changes.iter().all(Result::is_err));
    writer.close().unwrap();
    assert_eq!(writer.fence(), 1);
    drop(writer);
    // The server hears of the end of its lanes in its own time.
    let next = stage.client();
    assert_eq!((next.fence(), reader.fence()), (2, 0));
}

#[test]
fn a_client_whose_lease_went_to_another_does_not_go_on() {
    let stage = Stage::new();
    let first = stage.client();
    stage::put(&first, 1);
    // Nothing is heard of the first any more, for longer than its lease.
    stage.cut();
    let second = stage.client();
    assert_eq!(second.fence(), 2);
    second.close().unwrap();
    drop(second);
    let refused = first.sync().unwrap_err();
    assert!(
        refused.to_string().contains("another client has written"),
        "{refused}"
    );
    assert!(first.get(&block(1).cid).is_err(), "for good");
}

#[test]
fn many_threads_share_few_lanes() {
    let stage = Stage::new();
    let client = Client::connect(
        stage.connect(),
        ClientOptions {
            lanes_max: 2,
            ..options()
        },
    )
    .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for n in 0..50 {
                    stage::put(client, thread * 100 + n);
                    assert!(client.holds(&block(thread * 100 + n).cid).unwrap());
                }
            });
        }
    });
    assert_eq!(stage.connected(), 2);
}

#[test]
fn a_session_that_is_lost_is_begun_anew_without_a_word() {
    let stage = Stage::new();
    let client = stage.client();
    for n in 0..20 {
        stage::put(&client, n);
        stage.cut();
        assert!(client.holds(&block(n).cid).unwrap());
        client.sync().unwrap();
        stage.cut();
    }
    assert_eq!(client.list(None, 100).unwrap().len(), 20);
    assert_eq!(client.fence(), 1, "the lease stays with its client");
}
