//! What can go wrong, whose fault it is, and how to mend it.

use sockeye_proto::client::{Failure, Reason, Step};
use sockeye_proto::socket::{EncodeError, ReadError};

use crate::extract::Mismatch;
use crate::target::UrlError;

/// Why there is no connection to a namespace.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ConnectError {
    /// What was asked for cannot work, whatever the server says.
    Setup(SetupError),
    /// The server could not be reached, or spoke something else.
    Failed(Reason),
    /// The namespace refused.
    Refused(Refused),
    /// The client was closed, or the socket left, before there was an answer.
    Closed,
}

impl std::error::Error for ConnectError {}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::Failed(reason) => {
                write!(f, "cannot connect: {reason}")?;
                match advice(reason) {
                    "" => Ok(()),
                    advice => write!(f, " ({advice})"),
                }
            }
            Self::Refused(refused) => write!(f, "the server refused: {refused}"),
            Self::Closed => f.write_str("closed before the server answered"),
        }
    }
}

impl From<SetupError> for ConnectError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

/// A client that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A header, a query, a path, a proxy: which, and why not.
    #[error("{what}: {why}")]
    Option {
        /// Which option.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// There is no tokio runtime to run on.
    #[error(
        "there is no tokio runtime here: call this from inside one, or use `sockeye_client::blocking` (feature `blocking`)"
    )]
    NoRuntime,
    /// An encrypted connection was asked for, and this build cannot encrypt.
    #[error("this build has no TLS: switch on the feature `tls` of sockeye-client")]
    NoTls,
}

impl SetupError {
    pub(crate) fn option(what: &'static str, why: impl ToString) -> Self {
        Self::Option { what, why: why.to_string() }
    }
}

/// The server's "no" to a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What a JavaScript client finds in `err.message`.
    pub message: String,
    /// JSON text of what a JavaScript client finds in `err.data`.
    pub data: Option<String>,
}

impl Refused {
    /// The data, read as a `T`.
    ///
    /// # Errors
    /// When there is none, or it is of another shape.
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data.as_deref().unwrap_or("null"))
    }
}

impl From<sockeye_proto::client::Refused> for Refused {
    fn from(refused: sockeye_proto::client::Refused) -> Self {
        Self { message: refused.message, data: refused.data }
    }
}

/// Why an event was not taken. Nothing of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// Connected, but the network takes less than is emitted ([`Builder::outbox`](crate::Builder::outbox)). Wait with
    /// `send(…).await`, or drop the event.
    #[error("the outbox is full")]
    Full,
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
    /// The name is reserved or the arguments cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The event was not sent at all: nothing of it was taken, or it gave way in a full buffer.
    #[error("not sent: {0}")]
    NotSent(#[from] EmitError),
    /// No answer came in time. If it was still waiting for a connection, it was not sent and will not be.
    #[error("operation has timed out")]
    TimedOut,
    /// It was sent, and the connection is over: the server may or may not have heard it.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The answer is not of the type asked for.
    #[error("the answer does not fit: {0}")]
    Answer(ReadError),
}

impl From<EncodeError> for CallError {
    fn from(error: EncodeError) -> Self {
        Self::NotSent(EmitError::from(error))
    }
}

/// What a stream of events says instead of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missed {
    /// The event's payload is not of the stream's type.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Nobody took from the stream for so long that it was full: so many of the oldest are lost.
    #[error("{0} events were lost, because nobody took them from the stream")]
    Lagged(u64),
}

/// What usually mends it; empty if nobody knows.
pub(crate) fn advice(reason: &Reason) -> &'static str {
    let Reason::TransportError(Failure { step, message }) = reason else { return "" };
    let said = |text: &str| message.contains(text);
    if said("Session ID unknown") {
        "the requests of one session reach several servers: switch on sticky sessions, or use WebSocket alone"
    } else if said("Unsupported protocol version") {
        "the server speaks another revision of the protocol: for servers of socket.io 1 and 2 say `.eio3()`"
    } else if said("Transport unknown") {
        "the server does not allow this transport: choose another with `.transports(…)`"
    } else if said("status 404") {
        "nothing answers at this path: is the server's `path` another than `.path(…)`, `/socket.io/` by default?"
    } else if said("status 401") || said("status 403") {
        "the server or something in front of it wants to know who you are: see `.header(…)`"
    } else if said("Connection refused") {
        "nobody listens there: is the server running, and is the port right?"
    } else if said("certificate") || said("UnknownIssuer") {
        "add the authority that signed the certificate with `.root_certificate(…)`"
    } else if *step == Step::Handshake && (said("no valid handshake") || said("packet")) {
        "what answers there is no Socket.IO server of this generation; for socket.io 1 and 2 say `.eio3()`"
    } else {
        ""
    }
}
