//! How a client behaves.

use core::time::Duration;

use super::{Reconnection, Transports};
use crate::engine;
use crate::socket::{Dialect, Limits, Protocol};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Engine.IO 4, or 3 for servers of socket.io 1 and 2. Default 4; the dialect must agree, see [`Config::v3`].
    pub protocol: engine::Protocol,
    /// What the server's packets are written in. Default JSON.
    pub dialect: Dialect,
    /// Which transports may be used. Default polling, and on to WebSocket.
    pub transports: Transports,
    /// What is accepted as one packet. Default [`Limits::default`].
    pub limits: Limits,
    /// Whether and how to connect again after a loss. Default yes.
    pub reconnection: Option<Reconnection>,
    /// From the first request to the server's handshake. Default 20 s.
    pub open_timeout: Duration,
    /// From dialing the WebSocket until polling has come to rest. Default 10 s; polling goes on when it is over.
    pub upgrade_timeout: Duration,
    /// How long an orderly close may wait for what has to leave first. Default 5 s.
    pub close_timeout: Duration,
    /// Bytes that may wait for the network while there is a connection. Default 16 MiB; a single packet is taken
    /// whatever its size.
    pub outbox: usize,
    /// Events that may come before the server's answer to CONNECT. Default 10 000. More of them end the connection,
    /// and the session is not taken up again.
    pub early_events: usize,
    /// Bytes of such events. Default 16 MiB.
    pub early_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            protocol: engine::Protocol::V4,
            dialect: Dialect::Json(Protocol::V5),
            transports: Transports::default(),
            limits: Limits::default(),
            reconnection: Some(Reconnection::default()),
            open_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            outbox: 16 << 20,
            early_events: 10_000,
            early_bytes: 16 << 20,
        }
    }
}

impl Config {
    /// For servers of socket.io 1 and 2.
    pub fn v3() -> Config {
        Config { protocol: engine::Protocol::V3, dialect: Dialect::Json(Protocol::V4), ..Config::default() }
    }
}
