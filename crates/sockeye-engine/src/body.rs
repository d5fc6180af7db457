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
    /// Set for the answer of a poll: messages were taken out of the outbox for it. If nobody asks for the bytes
    /// they are lost, and then the session must not live on as if they had been delivered.
    poll: Option<Session>,
}

impl Body {
    /// A body of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Body { bytes: bytes.into(), poll: None }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The answer of a poll, with messages that exist nowhere else any more.
    pub(crate) fn poll(bytes: Bytes, session: Session) -> Self {
        Body { bytes, poll: Some(session) }
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
        self.poll = None;
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

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(session) = self.poll.take() {
            session.poll_lost();
        }
    }
}
