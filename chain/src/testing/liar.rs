//! An endpoint between a test and its chain that tells the truth until it is told to lie.

use super::Anvil;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What it does with questions.
#[derive(Clone, Debug, PartialEq)]
pub enum Lie {
    /// Hands on question and answer.
    Truth,
    /// Takes the question and never answers.
    Silence,
    /// Answers bytes that are no HTTP.
    Noise,
    /// Answers HTTP that is no JSON.
    Garbage,
    /// Answers JSON that fits no question.
    Nonsense,
    /// Answers with a body without an end: 4 GiB.
    Endless,
    /// Answers one byte a second, for ever.
    Drip,
    /// Sends the asker elsewhere.
    Redirect,
    /// Fails.
    Failing,
    /// Shows no block above this height.
    Old(u64),
    /// The same, and dates its newest block at the present.
    OldAsNew(u64),
    /// Says that this height is final already.
    Ahead(u64),
    /// Tells the truth, after a while.
    Slow(Duration),
    /// Says that it is another chain.
    OtherChain,
    /// Shows other code at every address.
    OtherCode,
    /// Answers calls with these bytes.
    Calls(Vec<u8>),
    /// Takes transactions and hands none on.
    Swallow,
    /// Says that no event ever happened.
    NoEvents,
}

/// The endpoint.
#[derive(Debug)]
pub struct Liar {
    url: String,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    /// One in front of `anvil`.
    pub fn start(anvil: &Anvil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let lie = Arc::new(Mutex::new(Lie::Truth));
        let (shared, chain) = (Arc::clone(&lie), anvil.url().to_owned());
        // Ends with the process: a test's endpoints live as long as it does.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (lie, chain) = (Arc::clone(&shared), chain.clone());
                std::thread::spawn(move || drop(serve(client, &lie, &chain)));
            }
        });
        Self { url, lie }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on.
    pub fn tell(&self, lie: Lie) {
        *self.lie.lock() = lie;
    }
}

fn serve(mut client: TcpStream, lie: &Mutex<Lie>, chain: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    while let Some(body) = request(&mut reader)? {
        let question: Value = serde_json::from_slice(&body)?;
        let lie = lie.lock().clone();
        let text = match lie {
            Lie::Silence => {
                // Until the asker gives up.
                return reader.read_to_end(&mut Vec::new()).map(drop);
            }
            Lie::Noise => return client.write_all(b"\0\xff noise\r\n\r\n"),
            Lie::Endless => return endless(&mut client),
            Lie::Drip => return drip(&mut client),
            Lie::Redirect => {
                let answer = format!("HTTP/1.1 307 x\r\nlocation: {chain}\r\ncontent-length: 0\r\n\r\n");
                client.write_all(answer.as_bytes())?;
                continue;
            }
            Lie::Failing => {
                client.write_all(b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n")?;
                continue;
            }
            Lie::Garbage => "<html>\u{1b}[2J</html>".into(),
            Lie::Nonsense => json!({ "id": question["id"], "result": { "number": [[]] } }).to_string(),
            Lie::Slow(delay) => {
                std::thread::sleep(delay);
                hand_on(&question, chain).to_string()
            }
            lie => twisted(&lie, question, chain).to_string(),
        };
        write!(
            client,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
    Ok(())
}

/// The body of one HTTP request.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

fn endless(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4294967296\r\n\r\n{\"id\":1,\"result\":\"0x")?;
    let zeros = [b'0'; 1 << 16];
    (0..1 << 16).try_for_each(|_| client.write_all(&zeros))
}

fn drip(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
    loop {
        client.write_all(b" ")?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn twisted(lie: &Lie, mut question: Value, chain: &str) -> Value {
    let id = question["id"].clone();
    let method = question["method"].as_str().unwrap_or_default().to_owned();
    let said = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
    match (lie, method.as_str()) {
        (Lie::OtherChain, "eth_chainId") => said(json!("0x539")),
        (Lie::OtherCode, "eth_getCode") => said(json!("0x6001600155")),
        (Lie::Calls(bytes), "eth_call") => said(json!(ethers_core::types::Bytes::from(bytes.clone()))),
        (Lie::Swallow, "eth_sendRawTransaction") => said(json!(ethers_core::types::H256::zero())),
        (Lie::NoEvents, "eth_getLogs") => said(json!([])),
        (Lie::Ahead(height), "eth_getBlockByNumber") => {
            let mut answer = hand_on(&question, chain);
            if question["params"][0] == "finalized" {
                answer["result"]["number"] = json!(format!("{height:#x}"));
            }
            answer
        }
        (Lie::OldAsNew(height), "eth_getBlockByNumber") => {
            let is_claim = question["params"][0] == "finalized";
            let newest = json!({ "id": 1, "method": question["method"], "params": ["finalized", false] });
            let mut answer = twisted(&Lie::Old(*height), question, chain);
            if is_claim {
                answer["result"]["timestamp"] = hand_on(&newest, chain)["result"]["timestamp"].clone();
            }
            answer
        }
        (Lie::Old(height), "eth_blockNumber") => said(json!(format!("{height:#x}"))),
        (Lie::Old(height), "eth_getBlockByNumber") => {
            let named = question["params"][0].as_str().unwrap_or_default().to_owned();
            let above =
                u64::from_str_radix(named.trim_start_matches("0x"), 16).is_ok_and(|asked| asked > *height);
            if above {
                return said(Value::Null);
            }
            if !named.starts_with("0x") {
                question["params"][0] = json!(format!("{height:#x}"));
            }
            hand_on(&question, chain)
        }
        _ => hand_on(&question, chain),
    }
}

fn hand_on(question: &Value, chain: &str) -> Value {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .into();
    let answer = agent
        .post(chain)
        .header("content-type", "application/json")
        .send(question.to_string());
    let text = answer
        .ok()
        .and_then(|mut answer| answer.body_mut().read_to_string().ok())
        .unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}
