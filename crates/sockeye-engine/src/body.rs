//! The body of an answer: whole, in memory, sent in one piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::Session;

/// The body of an answer.
#[derive(Default)]
pub struct Body {
    bytes: Bytes,
    /// Set for the answer of a poll that carries messages.
    undelivered: Option<Undelivered>,
}

/// Messages that were taken out of the outbox for a poll's answer and exist nowhere else. Dropped anywhere on the way
/// to the connection, it ends the session: it must not live on as if they had been delivered.
pub(crate) struct Undelivered(pub(crate) Option<Session>);

impl Undelivered {
    fn delivered(mut self) {
        self.0 = None;
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.poll_lost();
        }
    }
}

impl Body {
    /// A body of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Body { bytes: bytes.into(), undelivered: None }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The answer of a poll, perhaps with messages.
    pub(crate) fn poll(bytes: Bytes, undelivered: Option<Undelivered>) -> Self {
        Body { bytes, undelivered }
    }

    /// Its messages have reached the connection.
    pub(crate) fn delivered(mut self) {
        if let Some(messages) = self.undelivered.take() {
            messages.delivered();
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::new(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(messages) = self.undelivered.take() {
            messages.delivered();
        }
        match std::mem::take(&mut self.bytes) {
            bytes if bytes.is_empty() => Poll::Ready(None),
            bytes => Poll::Ready(Some(Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
