//! What can be said about an emit besides its name and arguments, and why it may fail.

use sockeye_engine::SendError;
use sockeye_proto::socket::EncodeError;

/// Why an event was not sent. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The client's outbox has no room for it ([`ServerBuilder::max_queue`](crate::ServerBuilder::max_queue)). The
    /// socket stays: wait with `send(…).await`, drop the event, or disconnect the client.
    #[error("the outbox is full")]
    Full,
    /// The socket has left.
    #[error("the socket is disconnected")]
    Closed,
    /// The name is reserved or the arguments cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl From<SendError> for EmitError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full => Self::Full,
            SendError::Closed => Self::Closed,
        }
    }
}

/// How one packet is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Drop it for whoever cannot take it right now.
    pub(crate) volatile: bool,
    /// Whether a transport may compress it.
    pub(crate) compress: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { volatile: false, compress: true }
    }
}
