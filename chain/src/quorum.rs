//! Several endpoints, of which some may lie: what `k` of `n` say alike is taken, nothing else.
//!
//! ```text
//!            .--> endpoint 1 --.
//! question --+--> endpoint 2 --+--> k equal answers --> the answer
//!            `--> endpoint 3 --'    else: disagreement, with what each said
//! ```
//!
//! All are asked at once, and the answer is there as soon as `k` agree, so that a silent endpoint costs nothing
//! while the others do their work. Heights cannot be equal on a chain that grows: of those, the highest that `k`
//! endpoints have reached counts ([`Quorum::reached`]).

use crate::error::{Error, Result, quoted};
use crate::rpc::{Called, Endpoint};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// For those that answer later than enough others.
const PATIENCE_MIN: Duration = Duration::from_millis(200);
/// Longer than any endpoint's deadline: asking ends by itself before this.
const PATIENCE_MAX: Duration = Duration::from_secs(3600);

/// Endpoints, and how many must agree.
#[derive(Clone, Debug)]
pub struct Quorum {
    endpoints: Vec<Arc<Endpoint>>,
    wanted: usize,
}

impl Quorum {
    /// `wanted` of `endpoints` must agree: at least one, and more than half of them, since two halves could each agree
    /// on another chain.
    pub fn new(endpoints: Vec<Endpoint>, wanted: usize) -> Result<Self> {
        if endpoints.is_empty() {
            return Err(Error::Config("name at least one endpoint (rpc)".into()));
        }
        if wanted * 2 <= endpoints.len() || wanted > endpoints.len() {
            return Err(Error::Config(format!(
                "of {} endpoints more than half must agree and no more than there are: quorum = {wanted} is not that",
                endpoints.len()
            )));
        }
        Ok(Self {
            endpoints: endpoints.into_iter().map(Arc::new).collect(),
            wanted,
        })
    }

    /// How many must agree.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// The endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().map(AsRef::as_ref)
    }

    /// The answer that enough endpoints give alike.
    pub fn agree<T>(&self, method: &'static str, params: &Value) -> Result<T>
    where
        T: DeserializeOwned + PartialEq + Debug + Send + 'static,
    {
        let params = params.clone();
        self.equal(method, self.each(move |endpoint| endpoint.ask(method, &params)))
    }

    /// As [`Self::agree`], for a call of a contract, which may revert.
    pub fn call(&self, params: &Value) -> Result<Called> {
        let params = params.clone();
        self.equal("eth_call", self.each(move |endpoint| endpoint.call(&params)))
    }

    /// The greatest value that enough endpoints have at least reached.
    pub fn reached<T>(
        &self,
        what: &'static str,
        ask: impl Fn(&Endpoint) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T>
    where
        T: Ord + Debug + Send + 'static,
    {
        let (mut known, mut failed) = (Vec::new(), Vec::new());
        let answers = self.each(ask);
        let begin = Instant::now();
        loop {
            // The first `k` may be those that hide what is new, and the rest may be silent for good: once there are
            // enough, the others have as long again.
            let patience = if known.len() < self.wanted {
                PATIENCE_MAX
            } else {
                begin.elapsed().max(PATIENCE_MIN)
            };
            match answers.recv_timeout(patience) {
                Ok(Ok(value)) => known.push(value),
                Ok(Err(error)) => failed.push(error),
                Err(_) => break,
            }
        }
        known.sort_by(|a, b| b.cmp(a));
        match known.len() {
            found if found >= self.wanted => Ok(known.swap_remove(self.wanted - 1)),
            _ => Err(self.disagree(what, known.iter().map(short), failed)),
        }
    }

    /// Tells all of them, and is content if one took it. Its failure is that of the first that refused.
    pub fn tell<T>(&self, method: &'static str, params: &Value) -> Result<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let params = params.clone();
        let mut first = None;
        for answer in self.each(move |endpoint| endpoint.ask(method, &params)) {
            match answer {
                Ok(taken) => return Ok(taken),
                // What the network refuses says more than that one endpoint is away.
                Err(error @ Error::Refused { .. }) => first = Some(error),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| self.disagree(method, std::iter::empty(), Vec::new())))
    }

    /// Asks all at once; answers arrive as they come.
    fn each<T: Send + 'static>(
        &self,
        ask: impl Fn(&Endpoint) -> Result<T> + Clone + Send + 'static,
    ) -> Receiver<Result<T>> {
        let (sender, answers) = mpsc::channel();
        for endpoint in &self.endpoints {
            let (endpoint, sender, ask) = (Arc::clone(endpoint), sender.clone(), ask.clone());
            if self.endpoints.len() == 1 {
                let _ = sender.send(ask(&endpoint));
                break;
            }
            // Ends by itself at the endpoint's deadline, whether or not anybody still listens.
            let asking = move || drop(sender.send(ask(&endpoint)));
            if let Err(error) = std::thread::Builder::new().name("chain-ask".into()).spawn(asking) {
                tracing::warn!(%error, "cannot start a thread to ask an endpoint");
            }
        }
        answers
    }

    fn equal<T: PartialEq + Debug>(&self, what: &'static str, answers: Receiver<Result<T>>) -> Result<T> {
        let mut known: Vec<(T, usize)> = Vec::new();
        let mut failed = Vec::new();
        for answer in answers {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            };
            let at = match known.iter().position(|(seen, _)| *seen == answer) {
                Some(at) => at,
                None => {
                    known.push((answer, 0));
                    known.len() - 1
                }
            };
            known[at].1 += 1;
            if known[at].1 >= self.wanted {
                return Ok(known.swap_remove(at).0);
            }
        }
        Err(self.disagree(what, known.iter().map(|(answer, _)| short(answer)), failed))
    }

    /// With one endpoint there is nobody to disagree with: its own failure says more.
    fn disagree(
        &self,
        what: &'static str,
        known: impl Iterator<Item = String>,
        mut failed: Vec<Error>,
    ) -> Error {
        if self.endpoints.len() == 1 && failed.len() == 1 {
            return failed.remove(0);
        }
        let silent = failed
            .iter()
            .all(|error| matches!(error, Error::Unreachable { .. }));
        let said: Vec<_> = known.collect();
        if said.is_empty() && silent {
            let why: Vec<_> = failed.iter().map(ToString::to_string).collect();
            return Error::Unreachable {
                endpoint: "the chain".into(),
                why: why.join("; "),
            };
        }
        let answers: Vec<_> = said
            .into_iter()
            .chain(failed.iter().map(ToString::to_string))
            .collect();
        Error::Disagree {
            what,
            wanted: self.wanted,
            asked: self.endpoints.len(),
            answers: answers.join("; "),
        }
    }
}

fn short(answer: &impl Debug) -> String {
    quoted(&format!("{answer:?}"))
}
