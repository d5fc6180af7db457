//! Why a connection ended, and at which step something failed.

use core::fmt;

/// Why a socket is no longer connected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The server made this socket leave its namespace. It does not come back by itself.
    ServerDisconnect,
    /// We made it leave. It does not come back by itself.
    ClientDisconnect,
    /// The server was not heard of for longer than it had promised.
    PingTimeout,
    /// The server ended the connection, or the network did.
    TransportClose,
    /// Something broke.
    TransportError(Failure),
    /// The server sent what is no packet, or broke a rule.
    ParseError(String),
}

impl Reason {
    /// The reference's word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Reason::ServerDisconnect => "io server disconnect",
            Reason::ClientDisconnect => "io client disconnect",
            Reason::PingTimeout => "ping timeout",
            Reason::TransportClose => "transport close",
            Reason::TransportError(_) => "transport error",
            Reason::ParseError(_) => "parse error",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::TransportError(failure) => write!(f, "transport error: {failure}"),
            Reason::ParseError(what) => write!(f, "parse error: {what}"),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// What failed, at which step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {message}")]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// What the driver said about it, or we.
    pub message: String,
}

impl Failure {
    pub(super) fn new(step: Step, message: impl Into<String>) -> Failure {
        Failure { step, message: message.into() }
    }
}

/// The steps at which a connection can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The first request, until the server has given a session id.
    Handshake,
    /// A GET for what the server has to say.
    Poll,
    /// A POST of what we have to say.
    Post,
    /// The WebSocket.
    WebSocket,
    /// The move from polling to WebSocket.
    Upgrade,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Handshake => "handshake",
            Step::Poll => "polling request",
            Step::Post => "posting request",
            Step::WebSocket => "WebSocket",
            Step::Upgrade => "upgrade to WebSocket",
        })
    }
}
