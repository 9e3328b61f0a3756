//! Several endpoints, some of which may lie: the equal answer of `k` of `n` is taken, nothing
//! else.
//!
//! ```text
//!            .--> endpoint 1 --.
//! question --+--> endpoint 2 --+--> k equal answers --> the answer
//!            `--> endpoint 3 --'    else: disagreement, with what each said
//! ```
//!
//! All are asked at once, and the answer is there as soon as `k` agree. So a silent endpoint
//! costs nothing while the others do their work. Endpoints of one host share one vote: one
//! operator must not outvote the others.
//!
//! Heights cannot be equal on a chain that grows. Of those, the highest that `k` hosts have
//! reached counts, if `k` answers lie close to it ([`Quorum::reached`]). So one host that shows
//! an old chain beside a single honest answer is an error and not a majority.

use crate::error::{Error, Result};
use crate::quoted;
use crate::rpc::{Called, Endpoint};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Time for the others to answer after `k` have, while the answers differ. A stale node mostly
/// answers first.
const PATIENCE_MIN: Duration = Duration::from_secs(3);
/// Longer than any endpoint's deadline: asking ends by itself before this.
const PATIENCE_MAX: Duration = Duration::from_secs(3600);

/// Endpoints, and how many hosts must agree.
#[derive(Clone, Debug)]
pub struct Quorum {
    hosts: Vec<Arc<Host>>,
    wanted: usize,
}

/// Endpoints of one host, which have one vote: that of the first that answers.
#[derive(Debug)]
struct Host(Vec<Endpoint>);

impl Host {
    fn ask<T>(&self, ask: &impl Fn(&Endpoint) -> Result<T>) -> Result<T> {
        let (last, others) = self
            .0
            .split_last()
            .expect("a host is made with its first endpoint");
        let answered = others.iter().find_map(|endpoint| ask(endpoint).ok());
        answered.map_or_else(|| ask(last), Ok)
    }
}

impl Quorum {
    /// The hosts of `endpoints`, of which `wanted` must agree: at least one, and more than half of
    /// them, since two halves could each agree on another chain. By default the least that is more
    /// than half.
    pub fn new(endpoints: Vec<Endpoint>, wanted: Option<usize>) -> Result<Self> {
        if endpoints.is_empty() {
            return Err(Error::Config("name at least one endpoint (rpc)".into()));
        }
        let mut hosts: Vec<Host> = Vec::new();
        for endpoint in endpoints {
            match hosts.iter_mut().find(|host| host.0[0].host() == endpoint.host()) {
                Some(host) => host.0.push(endpoint),
                None => hosts.push(Host(vec![endpoint])),
            }
        }
        let wanted = wanted.unwrap_or(hosts.len() / 2 + 1);
        if wanted * 2 <= hosts.len() || wanted > hosts.len() {
            return Err(Error::Config(format!(
                "of {} hosts (endpoints of one host count once) more than half must agree and no more than there are: \
                 quorum = {wanted} is not that",
                hosts.len()
            )));
        }
        Ok(Self {
            hosts: hosts.into_iter().map(Arc::new).collect(),
            wanted,
        })
    }

    /// How many must agree.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Whether a single host has all votes, and is not this machine (which may run a node or a
    /// light client).
    pub fn is_one_stranger(&self) -> bool {
        matches!(&self.hosts[..], [only] if !only.0[0].is_local())
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

    /// The greatest value that enough hosts have at least reached, if as many answers are `near` to
    /// it.
    ///
    /// # Errors
    /// [`Error::Disagree`] when too few answer, or when the answers lie too far apart to tell which
    /// of them is stale.
    pub fn reached<T>(
        &self,
        what: &'static str,
        near: impl Fn(&T, &T) -> bool,
        ask: impl Fn(&Endpoint) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T>
    where
        T: Ord + Debug + Send + 'static,
    {
        let (mut known, failed) = self.gather(self.each(ask));
        // Among those behind the k-th there may be honest ones that lag a little: they vouch for it
        // too.
        let vouched = known
            .get(self.wanted - 1)
            .is_some_and(|found| known.iter().filter(|other| near(other, found)).count() >= self.wanted);
        match vouched {
            true => Ok(known.swap_remove(self.wanted - 1)),
            false => Err(self.disagree(what, known.iter().map(short), failed)),
        }
    }

    /// Answers in falling order, and failures. Ends early when `k` hosts name the same highest
    /// value.
    fn gather<T: Ord>(&self, answers: Receiver<Result<T>>) -> (Vec<T>, Vec<Error>) {
        let (mut known, mut failed): (Vec<T>, _) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        loop {
            let agreed = known.get(self.wanted - 1).is_some_and(|found| *found == known[0]);
            let patience = if agreed {
                break;
            } else if known.len() < self.wanted {
                PATIENCE_MAX
            } else {
                // The first `k` may be those that hide what is new, and the rest may be silent for
                // good.
                begin.elapsed().max(PATIENCE_MIN)
            };
            match answers.recv_timeout(patience) {
                Ok(Ok(value)) => known.push(value),
                Ok(Err(error)) => failed.push(error),
                Err(_) => break,
            }
            known.sort_by(|a, b| b.cmp(a));
        }
        (known, failed)
    }

    /// Tells all of them, and is content if one took it. Its failure is that of the first that
    /// refused.
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
        for host in &self.hosts {
            let (host, sender, ask) = (Arc::clone(host), sender.clone(), ask.clone());
            if self.hosts.len() == 1 {
                let _ = sender.send(host.ask(&ask));
                break;
            }
            // Ends by itself at the endpoints' deadlines, also when its answer is no longer waited
            // for.
            let asking = move || drop(sender.send(host.ask(&ask)));
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

    /// One host has no other to disagree with: its own failure says more.
    fn disagree(
        &self,
        what: &'static str,
        known: impl Iterator<Item = String>,
        mut failed: Vec<Error>,
    ) -> Error {
        if self.hosts.len() == 1 && failed.len() == 1 {
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
            asked: self.hosts.len(),
            answers: answers.join("; "),
        }
    }
}

fn short(answer: &impl Debug) -> String {
    quoted(&format!("{answer:?}"))
}
