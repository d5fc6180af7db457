//! Answers, both ways: the duty to answer an event, and the wait for an answer to one.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::client::{AckId, Call, SocketId};
use sockeye_proto::event::Refusal;
use sockeye_proto::socket::Payload;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::error::{CallError, EmitError};

/// The duty to answer an event, once. Take it as an argument of a handler to answer later or from elsewhere.
///
/// Dropping it answers nothing: the server waits until its own timeout. An answer for a connection that is over is not
/// sent.
pub struct AckSender {
    core: Arc<Core>,
    id: AckId,
}

impl AckSender {
    pub(crate) fn new(core: Arc<Core>, id: AckId) -> Self {
        Self { core, id }
    }

    /// Answers with `args`: one argument, or several in [`Args`](crate::Args).
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub fn send(self, args: impl Serialize) -> Result<(), EmitError> {
        let payload = Payload::args(&args)?;
        self.send_payload(&payload)
    }

    /// Answers with a payload that exists already.
    ///
    /// # Errors
    /// When the dialect cannot say it.
    pub fn send_payload(self, payload: &Payload) -> Result<(), EmitError> {
        self.core.answer(self.id, payload)
    }

    /// Answers with an error: `{"error":{"message", "data"}}` as the only argument.
    pub fn refuse(self, refusal: &Refusal) {
        if let Ok(payload) = Payload::from_parts(refusal.to_ack_json(), Vec::new(), false) {
            // An object in JSON can be said in every dialect.
            let _ = self.send_payload(&payload);
        }
    }
}

impl fmt::Debug for AckSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AckSender(…)")
    }
}

/// How long a call waits unless told otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A call that has been sent, or waits for the connection; await it for the answer.
///
/// Dropping it forgets the call: an answer that comes later is ignored, and an event that has not left yet never will
/// (unless it stands in the line of [`retries`](crate::SocketBuilder::retries)).
#[must_use = "await this for the answer, or use `emit`"]
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

    /// How long to wait from the moment this is awaited, for a connection if need be. Default 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The answer as it came, all its arguments, unread.
    ///
    /// # Errors
    /// When there is none.
    pub async fn raw(self) -> Result<Payload, CallError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Sent(receiver, entry) => {
                let answer = crate::driver::timeout(self.timeout, receiver).await;
                drop(entry);
                match answer {
                    Some(Ok(answer)) => answer,
                    Some(Err(_)) => Err(CallError::Disconnected),
                    None => Err(CallError::TimedOut),
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

/// The wait for an answer, given up when this is dropped.
pub(crate) struct Entry {
    pub(crate) core: Arc<Core>,
    pub(crate) socket: SocketId,
    pub(crate) call: Call,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.core.forget(self.socket, self.call);
    }
}
