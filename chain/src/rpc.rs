//! One JSON-RPC endpoint, which may answer with anything or not at all.
//!
//! ```text
//! method, params --HTTP, one deadline over all--> endpoint
//!                                                    |  at most `answer_bytes_max`, then the connection is dropped
//!   typed answer <--serde-- {"id", "result" | "error"}
//! ```
//!
//! Nothing is followed: no redirect, no proxy of the environment. Nothing here believes a
//! statement of an endpoint; [`crate::quorum`] asks several.

use crate::error::{Error, Result};
use crate::quoted;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use ureq::http::Uri;
use ureq::tls::{TlsConfig, TlsProvider};

/// Large enough for a page of events, small enough to hold several of.
pub const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Questions one endpoint may be thinking about. One that is silent would else gather a thread for
/// each question.
const IN_FLIGHT_MAX: usize = 8;
/// The code geth, anvil and others give to a call that reverted.
const REVERTED: i64 = 3;
/// The method of [`Endpoint::call`].
const CALL: &str = "eth_call";

/// An endpoint of the chain's network.
pub struct Endpoint {
    url: String,
    name: String,
    host: String,
    agent: ureq::Agent,
    next_id: AtomicU64,
    in_flight: AtomicUsize,
}

/// What a contract answered to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// The bytes it returned.
    Returned(Vec<u8>),
    /// The bytes it reverted with: selector and arguments of an error, or nothing.
    Reverted(Vec<u8>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

impl Endpoint {
    /// An endpoint at `url`, each of whose answers must have arrived `deadline` after it was asked.
    ///
    /// # Errors
    /// A URL that is none, or that would carry questions in the clear to another machine.
    pub fn new(url: &str, deadline: Duration) -> Result<Self> {
        let endpoint = Self::anywhere(url, deadline)?;
        if endpoint.name.starts_with("http://") && !endpoint.is_local() {
            return Err(Error::Config(format!(
                "{} is not encrypted, and every machine on the way could answer in its place: use https, \
                 or http to this machine",
                endpoint.name
            )));
        }
        Ok(endpoint)
    }

    /// As [`Self::new`], in the clear to any machine: for messages that carry no secret and get no
    /// answer.
    fn anywhere(url: &str, deadline: Duration) -> Result<Self> {
        let (name, host) = name(url).ok_or_else(|| {
            Error::Config("an endpoint's URL begins with http:// or https:// and names a host".into())
        })?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(deadline))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_response_header_size(16 << 10)
            .user_agent("cairn")
            .tls_config(tls())
            .build();
        Ok(Self {
            url: url.into(),
            name,
            host,
            agent: config.into(),
            next_id: AtomicU64::new(1),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Scheme and host of its URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What answers there: the host, and on this machine also the port, since a proxy to each
    /// network has its own.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.host
            .rsplit_once(':')
            .is_some_and(|(host, _)| is_loopback(host))
    }

    /// Asks, and parses the answer as `T`.
    pub fn ask<T: DeserializeOwned>(&self, method: &'static str, params: &Value) -> Result<T> {
        let (id, body) = self.exchange(method, params)?;
        self.parse(method, id, &body)
    }

    /// The answer in `body` to question `id`.
    pub(crate) fn parse<T: DeserializeOwned>(&self, method: &'static str, id: u64, body: &[u8]) -> Result<T> {
        match self.answer(id, body)? {
            Ok(result) => {
                serde_json::from_str(result.get()).map_err(|error| self.nonsense(&error.to_string()))
            }
            Err(failure) => Err(self.refused(method, &failure)),
        }
    }

    /// `eth_call`: a revert is an answer too.
    pub fn call(&self, params: &Value) -> Result<Called> {
        let (id, body) = self.exchange(CALL, params)?;
        self.parse_call(id, &body)
    }

    /// As [`Self::parse`], of a call.
    pub(crate) fn parse_call(&self, id: u64, body: &[u8]) -> Result<Called> {
        match self.answer(id, body)? {
            Ok(result) => {
                let bytes: ethers_core::types::Bytes =
                    serde_json::from_str(result.get()).map_err(|error| self.nonsense(&error.to_string()))?;
                Ok(Called::Returned(bytes.to_vec()))
            }
            Err(failure) => match failure.revert() {
                Some(data) => Ok(Called::Reverted(data)),
                None => Err(self.refused(CALL, &failure)),
            },
        }
    }

    fn exchange(&self, method: &'static str, params: &Value) -> Result<(u64, Vec<u8>)> {
        let _slot = Slot::take(self)?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let sent = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(&request);
        let mut answer = sent.map_err(|error| self.unreachable(&error.to_string()))?;
        let status = answer.status();
        // JSON-RPC errors come with 200 from most servers and with 4xx from some; a redirect is not
        // followed.
        if status.is_redirection() || status.is_server_error() {
            return Err(self.unreachable(&format!("HTTP status {status}")));
        }
        let mut bytes = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(ANSWER_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.unreachable(&error.to_string()))?;
        if bytes.len() as u64 > ANSWER_BYTES_MAX {
            return Err(Error::TooLong {
                endpoint: self.name.clone(),
                limit: ANSWER_BYTES_MAX,
            });
        }
        Ok((id, bytes))
    }

    fn answer<'a>(&self, id: u64, body: &'a [u8]) -> Result<std::result::Result<&'a RawValue, Failure>> {
        let envelope: Envelope<'a> =
            serde_json::from_slice(body).map_err(|error| self.nonsense(&error.to_string()))?;
        match envelope {
            Envelope {
                error: Some(failure), ..
            } => Ok(Err(failure)),
            Envelope { id: found, .. } if found != Some(id) => {
                Err(self.nonsense("the answer belongs to another question"))
            }
            // What is not there (a receipt, a block) is `null`, which serde reads as `None` here.
            Envelope { result, .. } => Ok(Ok(result.unwrap_or(RawValue::NULL))),
        }
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable {
            endpoint: self.name.clone(),
            why: quoted(why),
        }
    }

    /// An answer that cannot be what was asked for.
    pub(crate) fn nonsense(&self, why: &str) -> Error {
        Error::Nonsense {
            endpoint: self.name.clone(),
            why: quoted(why),
        }
    }

    fn refused(&self, method: &'static str, failure: &Failure) -> Error {
        Error::Refused {
            endpoint: self.name.clone(),
            method,
            code: failure.code,
            message: quoted(&failure.message),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Failure {
    /// The revert's bytes, if this failure is one. Nodes differ in code and place.
    fn revert(&self) -> Option<Vec<u8>> {
        let data = match &self.data {
            Some(Value::String(hex)) => Some(hex),
            Some(Value::Object(map)) => map.get("data").and_then(|data| match data {
                Value::String(hex) => Some(hex),
                _ => None,
            }),
            _ => None,
        };
        let bytes = data.and_then(|hex| hex.parse::<ethers_core::types::Bytes>().ok());
        match bytes {
            Some(bytes) => Some(bytes.to_vec()),
            None if self.code == REVERTED || self.message.contains("revert") => Some(Vec::new()),
            None => None,
        }
    }
}

/// One of the questions an endpoint may think about at a time.
struct Slot<'a>(&'a Endpoint);

impl<'a> Slot<'a> {
    fn take(endpoint: &'a Endpoint) -> Result<Self> {
        if endpoint.in_flight.fetch_add(1, Ordering::AcqRel) >= IN_FLIGHT_MAX {
            endpoint.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(endpoint.unreachable("it has not answered earlier questions"));
        }
        Ok(Self(endpoint))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sends `json` to `url`, for a listener that asked for notices; the answer is not read.
pub fn post(url: &str, json: &str, deadline: Duration) -> Result<()> {
    let endpoint = Endpoint::anywhere(url, deadline)?;
    let sent = endpoint
        .agent
        .post(&endpoint.url)
        .header("content-type", "application/json")
        .send(json);
    let status = sent
        .map_err(|error| endpoint.unreachable(&error.to_string()))?
        .status();
    if status.is_success() {
        Ok(())
    } else {
        Err(endpoint.unreachable(&format!("HTTP status {status}")))
    }
}

/// TLS 1.2 and 1.3 over AWS-LC, against the roots built in.
fn tls() -> TlsConfig {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build()
}

/// Scheme and authority, and what [`Endpoint::host`] says. Paths, queries and users of such URLs
/// are passwords more often than not.
fn name(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    let name = format!("{scheme}://{host}{port}");
    let host = match is_loopback(&host) {
        true => format!("{host}{}", if port.is_empty() { ":80" } else { &port }),
        false => host,
    };
    Some((name, host))
}

/// Whether `host`, as URLs write it, is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_endpoints_name_tells_no_password() {
        let name_of = |url| name(url).unwrap().0;
        assert_eq!(
            name_of("https://user:pw@rpc.example:8545/v3/secret?key=1"),
            "https://rpc.example:8545"
        );
        assert_eq!(name_of("http://127.0.0.1:8545"), "http://127.0.0.1:8545");
        for wrong in ["rpc.example", "ftp://host", "http://", "http:///x", ""] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        let endpoint = Endpoint::new("https://rpc.example/v3/secret", Duration::from_secs(1)).unwrap();
        assert!(!format!("{endpoint:?}").contains("secret"));
    }

    #[test]
    fn a_host_is_one_whatever_port_path_and_user_its_urls_have() {
        let host = |url| {
            Endpoint::new(url, Duration::from_secs(1))
                .unwrap()
                .host()
                .to_owned()
        };
        assert_eq!(
            host("https://RPC.example/one"),
            host("https://me@rpc.example:444/two")
        );
        assert_ne!(host("https://a.example"), host("https://b.example"));
        assert_ne!(
            host("http://127.0.0.1:1"),
            host("http://127.0.0.1:2"),
            "two proxies here"
        );
    }

    #[test]
    fn a_question_to_an_https_endpoint_begins_with_a_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut record = [0; 3];
            stream.read_exact(&mut record).unwrap();
            record
        });
        let endpoint = Endpoint::new(&url, Duration::from_secs(5)).unwrap();
        let answer: Result<String> = endpoint.ask("eth_chainId", &json!([]));
        assert!(answer.is_err());
        // A handshake record, of any version of TLS.
        assert_eq!(heard.join().unwrap()[..2], [0x16, 3]);
    }

    #[test]
    fn questions_in_the_clear_go_to_this_machine_alone() {
        let new = |url| Endpoint::new(url, Duration::from_secs(1));
        for fine in [
            "http://127.0.0.1:8545",
            "http://localhost",
            "http://[::1]:8545",
            "https://rpc.example",
        ] {
            assert!(new(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://rpc.example",
            "http://10.0.0.1:8545",
            "http://127.0.0.1.example",
            "http://127.0.0.1@rpc.example",
            "http://[2001:db8::1]:8545",
        ] {
            let error = new(wrong).unwrap_err().to_string();
            assert!(error.contains("not encrypted"), "{wrong}: {error}");
        }
    }

    #[test]
    fn reverts_are_found_where_nodes_put_them() {
        let failure = |text| serde_json::from_str::<Failure>(text).unwrap().revert();
        assert_eq!(
            failure(r#"{"code":3,"message":"execution reverted","data":"0x0102"}"#),
            Some(vec![1, 2])
        );
        assert_eq!(
            failure(r#"{"code":-32000,"message":"x","data":{"data":"0x03"}}"#),
            Some(vec![3])
        );
        assert_eq!(failure(r#"{"code":3,"message":""}"#), Some(vec![]));
        assert_eq!(failure(r#"{"code":-32000,"message":"header not found"}"#), None);
        assert_eq!(
            failure(r#"{"code":-32000,"message":"header not found","data":7}"#),
            None
        );
    }
}
