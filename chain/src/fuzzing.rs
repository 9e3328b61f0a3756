//! Each decoder of this crate as a function of bytes, for `tests/fuzz` (see
//! [`cairn_block::fuzzing`]).
//!
//! JSON, TOML and the ABI have many encodings of one thing. So a decoded value must only mean the
//! same when it is encoded and decoded again.

use crate::bindings::{
    ChallengeOfReturn, CreditOfReturn, DomainSeparatorReturn, HeadOfReturn, RecordOfReturn,
    StorageStakingEvents,
};
use crate::history::Log;
use crate::party::Receipt;
use crate::revert::Revert;
use crate::rpc::Endpoint;
use crate::view::Block;
use crate::{Config, key};
use cairn_block::fuzzing::Target;
use ethers_contract::EthLogDecode;
use ethers_core::abi::{AbiDecode, AbiEncode, RawLog};
use ethers_core::types::{Address, Bytes, H256, U64, U256};
use std::sync::LazyLock;
use std::time::Duration;

/// All decoders of this crate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "rpc_answer",
        run: rpc_answer,
        seeds: rpc_answer_seeds,
    },
    Target {
        name: "contract_answer",
        run: contract_answer,
        seeds: contract_answer_seeds,
    },
    Target {
        name: "contract_event",
        run: contract_event,
        seeds: contract_event_seeds,
    },
    Target {
        name: "chain_config",
        run: chain_config,
        seeds: chain_config_seeds,
    },
    Target {
        name: "chain_key_file",
        run: chain_key_file,
        seeds: || vec![vec![b'7'; 64], b"0x".repeat(33)],
    },
];

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| {
    Endpoint::new("http://127.0.0.1:1", Duration::from_secs(1)).expect("this is a URL with a host")
});

fn rpc_answer(data: &[u8]) {
    let _ = ENDPOINT.parse::<U64>("eth_blockNumber", 1, data);
    let _ = ENDPOINT.parse::<U256>("eth_getBalance", 1, data);
    let _ = ENDPOINT.parse::<H256>("eth_sendRawTransaction", 1, data);
    let _ = ENDPOINT.parse::<Bytes>("eth_getCode", 1, data);
    let _ = ENDPOINT
        .parse::<Option<Block>>("eth_getBlockByNumber", 1, data)
        .map(|block| block.map(crate::View::from));
    let _ = ENDPOINT.parse::<Option<Receipt>>("eth_getTransactionReceipt", 1, data);
    let _ = ENDPOINT.parse::<Vec<Log>>("eth_getLogs", 1, data);
    let _ = ENDPOINT.parse_call(1, data);
}

fn contract_answer(data: &[u8]) {
    again::<RecordOfReturn>(data);
    again::<HeadOfReturn>(data);
    again::<ChallengeOfReturn>(data);
    again::<CreditOfReturn>(data);
    again::<DomainSeparatorReturn>(data);
    let _ = Revert::new(data.to_vec()).to_string();
}

fn again<T: AbiDecode + AbiEncode>(data: &[u8]) {
    if let Ok(answer) = T::decode(data) {
        let encoded = answer.encode();
        assert_eq!(T::decode(&encoded).ok().map(AbiEncode::encode), Some(encoded));
    }
}

/// First byte: how many topics. Then these, 32 bytes each, then the event's data.
fn contract_event(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else {
        return;
    };
    let (topics, _) = rest.as_chunks::<32>();
    let count = usize::from(*count % 5).min(topics.len());
    let log = RawLog {
        topics: topics[..count].iter().map(|topic| H256(*topic)).collect(),
        data: rest[count * 32..].to_vec(),
    };
    let _ = StorageStakingEvents::decode_log(&log);
}

fn chain_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(config) = Config::parse(text) {
        let text = config.text();
        assert_eq!(Config::parse(&text).map(|config| config.text()), Ok(text));
        let _ = (config.quorum(), config.pace(), config.fees());
    }
}

fn chain_key_file(data: &[u8]) {
    if let Some(bytes) = key::parse(data) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(key::parse(digits.as_bytes()).as_deref(), Some(&*bytes));
    }
}

fn rpc_answer_seeds() -> Vec<Vec<u8>> {
    let hash = format!("0x{}", "12".repeat(32));
    let address = format!("0x{}", "34".repeat(20));
    let block = format!(r#"{{"number":"0x5","hash":"{hash}","timestamp":"0x60","baseFeePerGas":"0x7"}}"#);
    let receipt = format!(
        r#"{{"transactionHash":"{hash}","blockHash":"{hash}","blockNumber":"0x5","gasUsed":"0x9","contractAddress":null,"status":"0x1"}}"#
    );
    let log = format!(
        r#"[{{"address":"{address}","topics":["{hash}"],"data":"0x01","blockNumber":"0x5","blockHash":"{hash}","transactionHash":"{hash}","logIndex":"0x0","removed":false}}]"#
    );
    let answers = [
        "\"0x10\"".to_owned(),
        format!("\"{hash}\""),
        "null".to_owned(),
        block,
        receipt,
        log,
    ];
    let answers =
        answers.map(|result| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#).into_bytes());
    let failure =
        br#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"reverted","data":{"data":"0x0102"}}}"#;
    answers.into_iter().chain([failure.to_vec()]).collect()
}

fn contract_answer_seeds() -> Vec<Vec<u8>> {
    // A record has dynamic parts, which begin with their offsets.
    let words = |words: &[u8]| {
        words
            .iter()
            .flat_map(|last| [[0; 31].to_vec(), vec![*last]].concat())
            .collect()
    };
    vec![
        words(&[32]),
        words(&[1; 4]),
        words(&[1; 40]),
        words(&[32, 64, 96, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ]
}

fn contract_event_seeds() -> Vec<Vec<u8>> {
    let events = crate::bindings::STORAGESTAKING_ABI.events();
    let topics = events.map(|event| [&[2][..], event.signature().as_bytes(), &[1; 32], &[0; 128]].concat());
    topics.collect()
}

fn chain_config_seeds() -> Vec<Vec<u8>> {
    let volume = crate::VolumeName {
        publisher: Address::repeat_byte(1),
        provider: Address::repeat_byte(2),
        pod: H256::repeat_byte(3),
        index: 0,
    };
    let config = Config::new(
        vec!["http://127.0.0.1:8545".into()],
        31337,
        Address::repeat_byte(4),
        volume,
    );
    vec![config.text().into_bytes()]
}
