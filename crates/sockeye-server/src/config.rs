//! What the standalone server can be told. Every field has a default; `Config::default()` serves the demo on
//! loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::ClusterConfig;

/// The settings of [`run`](crate::run).
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on. Default `127.0.0.1`.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose. Default 3000.
    pub port: u16,
    /// The path Socket.IO is served under. Default `/socket.io`.
    pub path: String,
    /// Whether `/` serves the chat demo. `None`, the default: only when [`host`](Self::host) is a loopback
    /// address, because the demo lets everybody in.
    pub demo: Option<bool>,
    /// Whether there is a namespace `/bench` with handlers that `sockeye bench` measures. Default false: everybody in it
    /// can speak to everybody.
    pub bench: bool,
    /// Whether the browser client is served below [`path`](Self::path). Default true; the demo needs it.
    pub client: bool,
    /// Certificate chain and private key, both PEM. `None`, the default, serves plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Origins whose pages may connect, such as `https://example.org`; `*` is any. Empty, the default: only pages
    /// this server serves itself, and clients that are not browsers.
    pub cors_origins: Vec<String>,
    /// Time between two heartbeats. Default 25 s.
    pub ping_interval: Duration,
    /// Time a client has to answer one. Default 20 s.
    pub ping_timeout: Duration,
    /// Greatest message in bytes, on every transport. Default 1,000,000.
    pub max_payload: usize,
    /// Greatest number of bytes waiting for one client before it counts as a slow consumer. Default 1 MiB.
    pub max_queued: usize,
    /// Greatest number of sessions at a time. `None`, the default: no limit but the open files.
    pub max_connections: Option<usize>,
    /// Greatest number of sessions from one address. `None`, the default: no limit.
    pub max_connections_per_ip: Option<usize>,
    /// Whether clients of the 1.x and 2.x generations (Engine.IO 3) are let in. Default true.
    pub allow_eio3: bool,
    /// Whether WebSocket messages may be compressed. Default false: a compressed connection costs memory.
    pub compression: bool,
    /// How long a lost connection can be taken up again with everything it missed. Zero turns it off. Default 2
    /// minutes.
    pub recovery: Duration,
    /// The cluster this server is one of. `None`, the default: it is alone.
    pub cluster: Option<ClusterConfig>,
    /// How long a shutdown may wait for clients to take what is queued for them. Default 10 s.
    pub drain_timeout: Duration,
}

/// The two files TLS needs.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM file with the certificate, and its intermediates after it.
    pub certificate: PathBuf,
    /// PEM file with the private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 3000,
            path: "/socket.io".into(),
            demo: None,
            bench: false,
            client: true,
            tls: None,
            cors_origins: Vec::new(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
            max_queued: 1 << 20,
            max_connections: None,
            max_connections_per_ip: None,
            allow_eio3: true,
            compression: false,
            recovery: Duration::from_secs(120),
            cluster: None,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Whether the demo is served: as [`demo`](Self::demo) says, else on loopback only.
    #[must_use]
    pub fn serves_demo(&self) -> bool {
        self.client && self.demo.unwrap_or(self.host.is_loopback())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}
