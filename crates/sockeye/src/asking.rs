//! [`Asking`]: the answers to a broadcast, of this server and of others, gathered until all are there or the time is up.

use std::collections::HashSet;
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
use crate::cluster::{Asked, AskedSockets, BusError, ClientAnswers, Missing};
use crate::emit::EmitError;
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
    gathered: Arc<Gathered>,
    sockets: AskedSockets,
    nodes: Option<Result<Asked, BusError>>,
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
    /// Who answered what: sockets of other servers first, then those of this one, each in order of arrival. The id is
    /// `None` for sockets of other servers: what servers tell each other has no room for it.
    pub answers: Vec<(SocketId, Result<R, ReadError>)>,
    /// Sockets of this node that did not answer: gone, or too slow.
    pub silent: Vec<Arc<str>>,
    /// How many sockets of other servers did not answer, as far as their servers said.
    pub silent_elsewhere: usize,
    /// Servers that did not even say how many sockets they asked.
    pub silent_servers: Missing,
    /// Why other servers were not asked, or who they are is not known. Sockets of this server were asked all the same.
    pub bus: Option<BusError>,
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
        self.missing() == 0 && self.silent_servers.is_empty() && self.bus.is_none() && self.error.is_none()
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

    /// It was sent to these sockets, and to other servers or not.
    pub(crate) fn sent(
        gathered: Arc<Gathered>,
        sockets: AskedSockets,
        nodes: Option<Result<Asked, BusError>>,
        timeout: Duration,
    ) -> Self {
        let state = Waiting { gathered, sockets, nodes };
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
                    silent_servers: Missing::default(),
                    bus: None,
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
        let Waiting { gathered, sockets, nodes } = self;
        let until = Instant::now() + timeout.min(FOR_EVER);
        let here = async {
            while lock(&gathered.answers).len() < sockets.asked.len() {
                gathered.news.notified().await;
            }
        };
        let there = async {
            match &nodes {
                Some(Ok(asked)) => asked.all().await,
                _ => Ok(()),
            }
        };
        // Whether the time was up or all answered: what came is what there is.
        let waited = tokio::time::timeout_at(until, async { tokio::join!(here, there).1 }).await;
        let (elsewhere, bus) = match nodes {
            Some(Ok(asked)) => (asked.close(), waited.ok().and_then(Result::err)),
            Some(Err(error)) => (ClientAnswers::default(), Some(error)),
            None => (ClientAnswers::default(), None),
        };
        let read = |payload: Payload| payload.ack_arguments().arg::<R>();
        let mut answers: Vec<_> =
            elsewhere.answers.into_iter().map(|answer| (SocketId(None), read(answer))).collect();
        let mut silent: HashSet<Arc<str>> = sockets.asked.iter().map(|(id, _)| Arc::clone(id)).collect();
        for (socket, answer) in std::mem::take(&mut *lock(&gathered.answers)) {
            if let Ok(payload) = answer {
                silent.remove(&socket);
                answers.push((SocketId(Some(socket)), read(payload)));
            }
        }
        let silent =
            sockets.asked.iter().map(|(id, _)| id).filter(|id| silent.contains(*id)).cloned().collect();
        Answers {
            answers,
            silent,
            silent_elsewhere: usize::try_from(elsewhere.silent).unwrap_or(usize::MAX),
            silent_servers: elsewhere.missing,
            bus,
            error: None,
        }
    }
}
