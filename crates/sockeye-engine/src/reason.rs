//! Why a session ended.
//!
//! A session ending is an event with a reason, never an error. The strings are fixed and are the ones
//! that the JavaScript server uses, so that handlers can be moved over unchanged; nothing a peer sent
//! ever becomes part of one.

use std::fmt;
use std::sync::Arc;

/// Why a session, or a socket on it, was closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The peer closed the connection, or sent a close packet: `transport close`.
    TransportClose,
    /// The connection failed or the peer broke a rule of the transport: `transport error`. The text says
    /// which, from a closed list ([`Reason::description`]).
    TransportError(&'static str),
    /// The peer did not answer a ping, or sent none, in time: `ping timeout`.
    PingTimeout,
    /// The peer sent something that does not decode: `parse error`.
    ParseError,
    /// The application closed the engine session: `forced close`.
    ForcedClose,
    /// The server closed the connection, for instance because no namespace was joined in time:
    /// `forced server close`.
    ForcedServerClose,
    /// The server is going away: `server shutting down`.
    ServerShuttingDown,
    /// The server disconnected the socket from its namespace: `server namespace disconnect`.
    ServerNamespaceDisconnect,
    /// The client left the namespace: `client namespace disconnect`.
    ClientNamespaceDisconnect,
    /// The peer does not take what is sent to it: the outbox overflowed, or nothing left it for
    /// [`Config::stall_timeout`](crate::Config::stall_timeout): `slow consumer`.
    SlowConsumer,
    /// A handler or hook panicked: `server error`.
    ServerError,
    /// A reason of the application's own. Keep it a fixed string.
    Custom(Arc<str>),
}

impl Reason {
    /// The text that handlers compare with, for instance `transport close`.
    pub fn as_str(&self) -> &str {
        match self {
            Reason::TransportClose => "transport close",
            Reason::TransportError(_) => "transport error",
            Reason::PingTimeout => "ping timeout",
            Reason::ParseError => "parse error",
            Reason::ForcedClose => "forced close",
            Reason::ForcedServerClose => "forced server close",
            Reason::ServerShuttingDown => "server shutting down",
            Reason::ServerNamespaceDisconnect => "server namespace disconnect",
            Reason::ClientNamespaceDisconnect => "client namespace disconnect",
            Reason::SlowConsumer => "slow consumer",
            Reason::ServerError => "server error",
            Reason::Custom(text) => text,
        }
    }

    /// What exactly was wrong, for [`Reason::TransportError`]: a fixed text such as
    /// `overlap from client` or `invalid heartbeat direction`.
    pub fn description(&self) -> Option<&'static str> {
        match self {
            Reason::TransportError(text) => Some(text),
            _ => None,
        }
    }

    /// The status code of the WebSocket close frame that ends a session for this reason.
    ///
    /// The reference sends close frames without a code. A code tells proxies and logs more, and the
    /// official clients report `transport close` whatever it is.
    pub fn close_code(&self) -> u16 {
        match self {
            Reason::ServerShuttingDown => 1001,
            Reason::ParseError | Reason::TransportError(_) => 1002,
            Reason::SlowConsumer => 1008,
            Reason::ServerError => 1011,
            _ => 1000,
        }
    }

    /// Where this reason is counted in [`Stats`](crate::Stats). Custom reasons share one place, so that
    /// the set stays closed.
    pub(crate) fn index(&self) -> usize {
        match self {
            Reason::TransportClose => 0,
            Reason::TransportError(_) => 1,
            Reason::PingTimeout => 2,
            Reason::ParseError => 3,
            Reason::ForcedClose => 4,
            Reason::ForcedServerClose => 5,
            Reason::ServerShuttingDown => 6,
            Reason::ServerNamespaceDisconnect => 7,
            Reason::ClientNamespaceDisconnect => 8,
            Reason::SlowConsumer => 9,
            Reason::ServerError => 10,
            Reason::Custom(_) => 11,
        }
    }
}

/// Names for [`Reason::index`].
pub(crate) const NAMES: [&str; 12] = [
    "transport close",
    "transport error",
    "ping timeout",
    "parse error",
    "forced close",
    "forced server close",
    "server shutting down",
    "server namespace disconnect",
    "client namespace disconnect",
    "slow consumer",
    "server error",
    "custom",
];

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
