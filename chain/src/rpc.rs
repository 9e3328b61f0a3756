//! One JSON-RPC endpoint, which may answer with anything or not at all.
//!
//! ```text
//! method, params --HTTP, one deadline over all--> endpoint
//!                                                    |  at most `answer_bytes_max`, then the connection is dropped
//!   typed answer <--serde-- {"id", "result" | "error"}
//! ```
//!
//! Nothing is followed: no redirect, no proxy of the environment. What an endpoint says is believed by nobody here;
//! [`crate::quorum`] asks several.

use crate::error::{Error, Result, quoted};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Large enough for a page of events, small enough to hold several of.
pub const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Questions one endpoint may be thinking about. One that is silent would else gather a thread for each question.
const IN_FLIGHT_MAX: usize = 8;
/// The code geth, anvil and others give to a call that reverted.
const REVERTED: i64 = 3;
/// The method of [`Endpoint::call`].
const CALL: &str = "eth_call";

/// An endpoint of the chain's network.
pub struct Endpoint {
    url: String,
    name: String,
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
    pub fn new(url: &str, deadline: Duration) -> Result<Self> {
        let name = name(url).ok_or_else(|| {
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
            .build();
        Ok(Self {
            url: url.into(),
            name,
            agent: config.into(),
            next_id: AtomicU64::new(1),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Scheme and host of its URL.
    pub fn name(&self) -> &str {
        &self.name
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
        // JSON-RPC errors come with 200 from most servers and with 4xx from some; a redirect is not followed.
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

/// Sends `json` to `url`, for whoever wants to be told of something; the answer is not read.
pub fn post(url: &str, json: &str, deadline: Duration) -> Result<()> {
    let endpoint = Endpoint::new(url, deadline)?;
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

/// Scheme and host: paths, queries and users of such URLs are passwords more often than not.
fn name(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let known = matches!(scheme, "http" | "https") && !host.is_empty();
    known.then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_name_tells_no_password() {
        assert_eq!(
            name("https://user:pw@rpc.example:8545/v3/secret?key=1").unwrap(),
            "https://rpc.example:8545"
        );
        assert_eq!(name("http://127.0.0.1:8545").unwrap(), "http://127.0.0.1:8545");
        for wrong in ["rpc.example", "ftp://host", "http://", "http:///x", ""] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        let endpoint = Endpoint::new("https://rpc.example/v3/secret", Duration::from_secs(1)).unwrap();
        assert!(!format!("{endpoint:?}").contains("secret"));
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
