//! Answers, both ways: the duty to answer an event, and the wait for an answer to one.
//!
//! Every wait is bounded in time and number, and lives in a table of its own socket: an answer can only reach who
//! asked that socket. An entry goes when it is answered, when its future is dropped, when its time is up, when its
//! socket leaves; there is no other way out and no timer of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::socket::{EncodeError, Payload, ReadError};
use tokio::sync::oneshot;

use crate::emit::EmitError;
use crate::socket::{Inner, Socket};
use sockeye_proto::event::Refusal;

/// The duty to answer an event, once. Take it as an argument of a handler to answer later or from elsewhere.
///
/// Dropping it answers nothing: the client waits until its own timeout. A second answer cannot be given, since
/// answering uses it up.
pub struct AckSender {
    socket: Socket,
    id: u64,
}

impl AckSender {
    pub(crate) fn new(socket: Socket, id: u64) -> Self {
        Self { socket, id }
    }

    /// Answers with `args`: one argument, or several in [`Args`](crate::proto::Args).
    ///
    /// # Errors
    /// When the answer cannot be written, does not fit the outbox, or the socket has left.
    pub fn send(self, args: impl Serialize) -> Result<(), EmitError> {
        self.socket.answer(self.id, args).map(drop)
    }

    /// The same, and says how many bytes were sent.
    pub(crate) fn send_counted(self, args: impl Serialize) -> Result<usize, EmitError> {
        self.socket.answer(self.id, args)
    }

    /// Answers with a payload that exists already.
    ///
    /// # Errors
    /// When it does not fit the outbox, or the socket has left.
    pub fn send_payload(self, payload: Payload) -> Result<(), EmitError> {
        self.socket.answer_payload(self.id, &payload)
    }

    /// Answers with an error: `{"error":{"message", "data"}}` as the only argument.
    pub fn refuse(self, refusal: &Refusal) {
        if let Ok(payload) = Payload::from_parts(refusal.to_ack_json(), Vec::new(), false) {
            // Whoever cannot be told is gone or about to be closed for not reading.
            let _ = self.send_payload(payload);
        }
    }

    /// The socket that waits.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl fmt::Debug for AckSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckSender").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The event was not sent at all.
    #[error("not sent: {0}")]
    NotSent(#[from] EmitError),
    /// No answer came in time, or too many calls of this socket were waiting and this was the oldest.
    #[error("operation has timed out")]
    TimedOut,
    /// The socket left before it answered.
    #[error("the socket disconnected")]
    Disconnected,
    /// The answer is not of the type asked for.
    #[error("the answer does not fit: {0}")]
    Answer(ReadError),
}

/// How long a call waits unless told otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A call that has been sent; await it for the answer.
///
/// Dropping it forgets the call, and an answer that comes later is ignored.
#[must_use = "the event was sent; await this for the answer, or use `emit`"]
pub struct Asked<R> {
    timeout: Duration,
    state: State,
    answer: PhantomData<fn() -> R>,
}

enum State {
    Sent(oneshot::Receiver<Result<Payload, CallError>>, Entry),
    Failed(CallError),
}

impl<R> Asked<R> {
    pub(crate) fn failed(error: impl Into<CallError>) -> Self {
        Self { timeout: TIMEOUT, state: State::Failed(error.into()), answer: PhantomData }
    }

    pub(crate) fn sent(receiver: oneshot::Receiver<Result<Payload, CallError>>, entry: Entry) -> Self {
        Self { timeout: TIMEOUT, state: State::Sent(receiver, entry), answer: PhantomData }
    }

    /// How long to wait from the moment this is awaited. Default 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The answer as it came, all its arguments, unread.
    pub async fn raw(self) -> Result<Payload, CallError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Sent(receiver, entry) => {
                let answer = tokio::time::timeout(self.timeout, receiver).await;
                drop(entry);
                match answer {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) => Err(CallError::Disconnected),
                    Err(_) => Err(CallError::TimedOut),
                }
            }
        }
    }
}

impl<R: DeserializeOwned + 'static> IntoFuture for Asked<R> {
    type Output = Result<R, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<R, CallError>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.raw().await?.ack_arguments().arg().map_err(CallError::Answer) })
    }
}

impl<R> fmt::Debug for Asked<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// An entry in a socket's table, removed when this is dropped.
pub(crate) struct Entry {
    pub(crate) socket: Weak<Inner>,
    pub(crate) id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.forget_ack(self.id);
        }
    }
}

/// Who waits for one answer.
pub(crate) enum Waiter {
    One(oneshot::Sender<Result<Payload, CallError>>),
    Many(Arc<dyn Collector>),
}

/// Who gathers the answers to a broadcast.
pub(crate) trait Collector: Send + Sync {
    /// A socket answered, or will not.
    fn answered(&self, socket: &Arc<str>, answer: Result<Payload, CallError>);
}

/// The answers one socket owes us.
#[derive(Default)]
pub(crate) struct Waiting {
    /// By id, and so in the order of asking. Not there while nobody waits.
    #[expect(clippy::box_collection, reason = "boxed it is one word in every socket instead of three")]
    table: Option<Box<BTreeMap<u64, Waiter>>>,
}

impl Waiting {
    /// Adds a wait. Over `limit`, the oldest is handed back: its time is up.
    pub(crate) fn add(&mut self, id: u64, waiter: Waiter, limit: usize) -> Option<Waiter> {
        let table = self.table.get_or_insert_default();
        table.insert(id, waiter);
        (table.len() > limit).then(|| table.pop_first()).flatten().map(|(_, oldest)| oldest)
    }

    /// Takes out the wait for `id`.
    pub(crate) fn take(&mut self, id: u64) -> Option<Waiter> {
        let table = self.table.as_mut()?;
        let waiter = table.remove(&id);
        if table.is_empty() {
            self.table = None;
        }
        waiter
    }

    /// The socket has left: nobody will answer.
    pub(crate) fn fail(self, socket: &Arc<str>) {
        for waiter in self.table.into_iter().flat_map(|table| table.into_values()) {
            waiter.answer(socket, Err(CallError::Disconnected));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.len())
    }
}

impl Waiter {
    /// Gives the answer. User code is not run, only woken.
    pub(crate) fn answer(self, socket: &Arc<str>, answer: Result<Payload, CallError>) {
        match self {
            // The asker may have stopped waiting.
            Waiter::One(sender) => drop(sender.send(answer)),
            Waiter::Many(collector) => collector.answered(socket, answer),
        }
    }
}

impl From<EncodeError> for CallError {
    fn from(error: EncodeError) -> Self {
        Self::NotSent(EmitError::from(error))
    }
}
