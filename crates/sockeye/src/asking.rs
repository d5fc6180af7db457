//! [`Asking`]: the answers to a broadcast, of this node and of others, gathered until all are there or the time is up.

use std::collections::HashMap;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use sockeye_proto::socket::{Payload, ReadError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ack::{CallError, Collector, TIMEOUT};
use crate::adapter::Answer;
use crate::cluster::{AskedNodes, AskedSockets};
use crate::emit::EmitError;
use crate::namespace::Namespace;
use crate::server::FOR_EVER;
use crate::sync::lock;

/// A broadcast that wants answers and has been sent; await it for them.
///
/// Dropping it forgets the question, and answers that come later are ignored.
#[must_use = "the event was sent; await this for the answers, or use `emit`"]
pub struct Asking<R> {
    state: Result<Box<Waiting>, EmitError>,
    timeout: Duration,
    answer: PhantomData<fn() -> R>,
}

struct Waiting {
    namespace: Namespace,
    gathered: Arc<Gathered>,
    sockets: AskedSockets,
    nodes: Option<AskedNodes>,
}

type LocalAnswer = (Arc<str>, Result<Payload, CallError>);

/// What the sockets of this node answered.
#[derive(Default)]
pub(crate) struct Gathered {
    answers: Mutex<Vec<LocalAnswer>>,
    news: Notify,
}

impl Collector for Gathered {
    fn answered(&self, socket: &Arc<str>, answer: Result<Payload, CallError>) {
        lock(&self.answers).push((Arc::clone(socket), answer));
        self.news.notify_one();
    }
}

/// The answers to a broadcast.
#[derive(Debug)]
pub struct Answers<R> {
    /// Who answered what, in order of arrival. The id is `None` only for sockets on a node that does not tell.
    pub answers: Vec<(SocketId, Result<R, ReadError>)>,
    /// Sockets of this node that did not answer: gone, or too slow.
    pub silent: Vec<Arc<str>>,
    /// How many sockets of other nodes did not answer, as far as their nodes said.
    pub silent_elsewhere: usize,
    /// How many nodes did not even say how many sockets they asked.
    pub silent_nodes: usize,
    /// Why nothing was sent at all.
    pub error: Option<EmitError>,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketId(pub Option<Arc<str>>);

impl std::fmt::Display for SocketId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("?"))
    }
}

impl<R> Answers<R> {
    /// How many did not answer, as far as is known.
    pub fn missing(&self) -> usize {
        self.silent.len() + self.silent_elsewhere
    }

    /// Whether everybody answered.
    pub fn is_complete(&self) -> bool {
        self.missing() == 0 && self.silent_nodes == 0 && self.error.is_none()
    }

    /// The answers that fit, without who gave them.
    pub fn into_values(self) -> Vec<R> {
        self.answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect()
    }
}

impl<R> Asking<R> {
    /// Nothing was sent.
    pub(crate) fn failed(error: EmitError) -> Self {
        Self { state: Err(error), timeout: TIMEOUT, answer: PhantomData }
    }

    /// It was sent to these sockets, and to these nodes.
    pub(crate) fn sent(
        namespace: Namespace,
        gathered: Arc<Gathered>,
        sockets: AskedSockets,
        nodes: Option<AskedNodes>,
        timeout: Duration,
    ) -> Self {
        let state = Waiting { namespace, gathered, sockets, nodes };
        Self { state: Ok(Box::new(state)), timeout, answer: PhantomData }
    }

    /// How long to wait from the moment this is awaited. Default 60 s, or what the operator was told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<R: DeserializeOwned + Send + 'static> IntoFuture for Asking<R> {
    type Output = Answers<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Answers<R>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.state {
                Ok(waiting) => waiting.gather(self.timeout).await,
                Err(error) => Answers {
                    answers: Vec::new(),
                    silent: Vec::new(),
                    silent_elsewhere: 0,
                    silent_nodes: 0,
                    error: Some(error),
                },
            }
        })
    }
}

impl<R> std::fmt::Debug for Asking<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Waiting {
    async fn gather<R: DeserializeOwned>(self, timeout: Duration) -> Answers<R> {
        let Waiting { namespace, gathered, sockets, mut nodes } = self;
        let until = Instant::now() + timeout.min(FOR_EVER);
        let mut answers = Vec::new();
        let mut nodes_out = 0;
        if nodes.is_some() {
            let server = &namespace.server.0;
            match tokio::time::timeout_at(until, server.cluster.server_count(namespace.name())).await {
                Ok(Ok(count)) => nodes_out = count.saturating_sub(1),
                Ok(Err(error)) => tracing::warn!(%error, "how many servers there are is not known"),
                Err(_) => nodes_out = 1,
            }
        }
        // Counts and answers of one node may overtake each other, so both are simply added up.
        let (mut expected_elsewhere, mut heard_elsewhere) = (0_usize, 0_usize);
        let all = async {
            loop {
                let here = lock(&gathered.answers).len();
                let done_here = here >= sockets.asked.len();
                if done_here && nodes_out == 0 && heard_elsewhere >= expected_elsewhere {
                    return;
                }
                let elsewhere = async {
                    match nodes.as_mut() {
                        Some(nodes) => nodes.answers.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = gathered.news.notified() => {}
                    answer = elsewhere => match answer {
                        Some(Answer::ClientCount(count)) => {
                            nodes_out = nodes_out.saturating_sub(1);
                            expected_elsewhere += count;
                        }
                        Some(Answer::Ack { socket, payload }) => {
                            heard_elsewhere += 1;
                            answers.push((SocketId(socket), payload.ack_arguments().arg::<R>()));
                        }
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        };
        // Whether the time was up or all answered: what came is what there is.
        let _ = tokio::time::timeout_at(until, all).await;
        let mut silent: HashMap<Arc<str>, ()> =
            sockets.asked.iter().map(|(id, _)| (Arc::clone(id), ())).collect();
        for (socket, answer) in std::mem::take(&mut *lock(&gathered.answers)) {
            if let Ok(payload) = answer {
                silent.remove(&socket);
                answers.push((SocketId(Some(socket)), payload.ack_arguments().arg::<R>()));
            }
        }
        let silent =
            sockets.asked.iter().map(|(id, _)| id).filter(|id| silent.contains_key(*id)).cloned().collect();
        let silent_elsewhere = expected_elsewhere.saturating_sub(heard_elsewhere);
        Answers { answers, silent, silent_elsewhere, silent_nodes: nodes_out, error: None }
    }
}
