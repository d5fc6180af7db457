//! Every setting of the engine, its unit, its default, and what it bounds.
//!
//! Checked once, in [`Config::check`]: a server with a contradictory setting does not start. Nothing here
//! changes while the server runs.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response};

use crate::cookie::Cookie;
use crate::cors::{Cors, Origins};
use crate::{Body, Handshake, Peer, Transport};

/// A boxed future, as the asynchronous hooks return it.
pub type HookFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Decides whether a handshake may proceed. `Err` carries the message that the client is told.
pub type AllowRequest = Arc<dyn Fn(Arc<Handshake>) -> HookFuture<Result<(), String>> + Send + Sync>;
/// Makes the session id. It must be unique and unguessable. `Err` refuses the handshake (code 3).
pub type GenerateId = Arc<dyn Fn(Arc<Handshake>) -> HookFuture<Result<String, String>> + Send + Sync>;
/// May change the headers of an answer. Names and values are typed, so nothing can be injected.
pub type HeadersHook = Arc<dyn Fn(&mut HeaderMap, &Parts) + Send + Sync>;
/// Finds the address of the real client behind a proxy that is trusted, from headers it sets.
pub type ClientIp = Arc<dyn Fn(&Parts, &Peer) -> Option<IpAddr> + Send + Sync>;
/// Answers a path below [`Config::path`] that is not Engine.IO, for instance the client bundle.
pub type Files = Arc<dyn Fn(&str, &Parts) -> Option<Response<Body>> + Send + Sync>;

/// The engine's settings. Make one with [`Config::default`] and change fields.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where Engine.IO lives. Default `/socket.io`. A trailing slash is ignored here.
    pub path: String,
    /// Whether the path ends with a slash, as every official client asks for by default. Default `true`.
    /// Matching is exact either way: `/socket.iofoo` and `/socket.io/anything` are somebody else's.
    pub add_trailing_slash: bool,
    /// Transports that may be used. Default polling and WebSocket.
    pub transports: Vec<Transport>,
    /// Whether the handshake offers to upgrade. Default `true`. With `false` an upgrade that is tried anyway
    /// is refused.
    pub allow_upgrades: bool,
    /// Whether Engine.IO revision 3 (Socket.IO 1 and 2 clients) is served. Default **`true`**, unlike the
    /// reference: one server for every client.
    pub allow_eio3: bool,
    /// Whether texts of revision 3 clients are looked at for the double UTF-8 of the oldest ones (Socket.IO
    /// 1.x). Default `true`. It misreads only a 2.x text that is itself UTF-8 read as Latin-1.
    pub eio3_double_utf8: bool,

    /// Time between two pings. Default 25 s.
    pub ping_interval: Duration,
    /// Time to wait for the pong. Default 20 s.
    pub ping_timeout: Duration,
    /// Time in which an upgrade must complete; the session stays on polling otherwise. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Time to receive a whole POST body, or to finish a WebSocket message that has begun. Default 30 s.
    pub upload_timeout: Duration,
    /// The least rate, in bytes per second, of a POST body once 5 s have passed. Default 1024.
    pub upload_rate: u32,
    /// Time a peer gets to take anything at all while something is waiting for it. Default 30 s; then the
    /// session closes with [`Reason::SlowConsumer`](crate::Reason::SlowConsumer). Polling sessions are
    /// bounded by the heartbeat instead.
    pub stall_timeout: Duration,

    /// The greatest message a client may send, in bytes, on every transport: the body of a POST, a
    /// WebSocket message after inflation. A message of exactly this size passes. Default 1 000 000. Told to the
    /// client as `maxPayload`. Was `maxHttpBufferSize`.
    ///
    /// A larger one ends the session, with 413 or close code 1009. The reference leaves a polling session open after
    /// 413; its client gives it up all the same, and the session would lie there until its ping timeout.
    pub max_payload: usize,
    /// The greatest number of bytes waiting in one session's outbox. Default 1 MiB. One message larger than
    /// this still goes out when the outbox is empty.
    pub max_queue: usize,
    /// The greatest body of one poll's answer, in bytes, before the rest waits for the next poll. At least one
    /// message is always sent. Default 1 MiB.
    pub max_poll: usize,
    /// The greatest number of packets in one poll's answer. Default 16: clients of the python-engineio family drop the
    /// connection over more. Others have no limit, and only come back sooner.
    pub max_poll_packets: usize,

    /// The greatest number of sessions. Beyond it handshakes get 503. Default none.
    pub max_sessions: Option<usize>,
    /// The greatest number of sessions from one address. Default none. Not applied to loopback and private
    /// addresses unless [`Config::client_ip`] is set, since behind those stands a proxy or a LAN.
    pub max_sessions_per_ip: Option<usize>,
    /// The greatest number of sessions that the application has not settled ([`Session::settle`](crate::Session::settle)), in all.
    /// Default 10 000.
    pub max_unsettled: usize,
    /// The same for one address, exempting as above. Default 64. An IPv6 /64 counts as one address.
    pub max_unsettled_per_ip: usize,
    /// Handshakes per second and burst from one address, exempting as above. Default 100 and 1 000.
    pub handshake_rate: Option<(u32, u32)>,
    /// Finds the client's address behind a trusted proxy. Default none: the peer's own address.
    /// `X-Forwarded-For` is never looked at by itself.
    pub client_ip: Option<ClientIp>,

    /// Cross-origin resource sharing. Default none: no headers, and `OPTIONS` is refused.
    pub cors: Option<Cors>,
    /// Which web pages may connect. Default `None`: the origins of [`Config::cors`] if set, else the page's own
    /// host only. A request without `Origin` (anything but a browser) always passes, but for scripts (JSONP), which
    /// name no origin: those of other sites are refused unless every origin is allowed. See [`Origins`].
    pub origins: Option<Origins>,
    /// A cookie with the session id, for sticky load balancers. Default none. Never read back.
    pub cookie: Option<Cookie>,
    /// Sent as a message straight after the open packet. Default none.
    pub initial_packet: Option<Initial>,
    /// Compression of poll answers. Default from 1024 bytes on.
    pub http_compression: Option<HttpCompression>,
    /// permessage-deflate on WebSocket. Default off: it costs memory and time.
    pub deflate: Option<sockeye_proto::websocket::deflate::Options>,
    /// Whether a WebSocket frame whose length is not in its shortest form is refused. Default `false`.
    pub strict_lengths: bool,

    /// Asked once per handshake, before a session exists. Default none.
    pub allow_request: Option<AllowRequest>,
    /// Makes session ids. Default 20 characters from the system's random source.
    pub generate_id: Option<GenerateId>,
    /// Called for the first answer of a session.
    pub initial_headers: Option<HeadersHook>,
    /// Called for every answer.
    pub headers: Option<HeadersHook>,
    /// Answers requests for names right below the path, the client bundle's for instance: gets the name and the
    /// request's head; `None` is 404. CORS headers and the `headers` hook are added. Default none.
    pub files: Option<Files>,
}

/// The configured first message of every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initial {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

/// Compression of poll answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCompression {
    /// Bodies below this many bytes stay plain. Default 1024.
    pub threshold: usize,
    /// zlib level, 0 to 9. Default 6.
    pub level: u32,
}

impl Default for HttpCompression {
    fn default() -> Self {
        HttpCompression { threshold: 1024, level: 6 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: "/socket.io".to_owned(),
            add_trailing_slash: true,
            transports: vec![Transport::Polling, Transport::WebSocket],
            allow_upgrades: true,
            allow_eio3: true,
            eio3_double_utf8: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            upload_timeout: Duration::from_secs(30),
            upload_rate: 1024,
            stall_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            max_queue: 1 << 20,
            max_poll: 1 << 20,
            max_poll_packets: 16,
            max_sessions: None,
            max_sessions_per_ip: None,
            max_unsettled: 10_000,
            max_unsettled_per_ip: 64,
            handshake_rate: Some((100, 1_000)),
            client_ip: None,
            cors: None,
            origins: None,
            cookie: None,
            initial_packet: None,
            http_compression: Some(HttpCompression::default()),
            deflate: None,
            strict_lengths: false,
            allow_request: None,
            generate_id: None,
            initial_headers: None,
            headers: None,
            files: None,
        }
    }
}

/// A contradiction in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `credentials` with every origin: browsers refuse it, and reflecting would hand cookies to any page.
    #[error("CORS credentials need a list of origins: `*` would be refused by browsers")]
    CredentialsForEveryone,
    /// An origin is not `scheme://host[:port]`.
    #[error("`{0}` is not an origin: write scheme://host or scheme://host:port")]
    BadOrigin(String),
    /// A CORS header name, method or value cannot be sent.
    #[error("`{0}` cannot be a CORS header value")]
    BadCors(String),
    /// A part of the cookie has a character that does not belong there.
    #[error("the cookie's {0} has a character that cannot be there")]
    BadCookie(&'static str),
    /// `SameSite=None` needs `Secure`.
    #[error("a cookie with SameSite=None must be Secure")]
    InsecureCookie,
    /// The path does not start with `/` or has characters a path cannot have.
    #[error("`{0}` is not a path: it starts with / and holds no spaces, ? or #, such as /socket.io")]
    BadPath(String),
    /// No transport is allowed.
    #[error("no transport is allowed")]
    NoTransport,
    /// A setting that must not be zero is zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

/// No server runs longer.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Config {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes "for ever" a time that can be added to a moment.
    pub(crate) fn bounded(mut self) -> Self {
        for wait in [
            &mut self.ping_interval,
            &mut self.ping_timeout,
            &mut self.upgrade_timeout,
            &mut self.upload_timeout,
            &mut self.stall_timeout,
        ] {
            *wait = (*wait).min(FOR_EVER);
        }
        self
    }

    /// Finds contradictions. [`Engine::new`](crate::Engine::new) calls this.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.path.starts_with('/')
            || self.path.bytes().any(|b| !b.is_ascii_graphic() || b"?#\"<>\\".contains(&b))
        {
            return Err(ConfigError::BadPath(self.path.clone()));
        }
        if self.transports.is_empty() {
            return Err(ConfigError::NoTransport);
        }
        for (name, zero) in [
            ("ping_interval", self.ping_interval.is_zero()),
            ("ping_timeout", self.ping_timeout.is_zero()),
            ("upgrade_timeout", self.upgrade_timeout.is_zero()),
            ("upload_timeout", self.upload_timeout.is_zero()),
            ("stall_timeout", self.stall_timeout.is_zero()),
            ("max_payload", self.max_payload == 0),
            ("max_queue", self.max_queue == 0),
            ("max_poll", self.max_poll == 0),
            // An answer may have to begin with three packets of the engine's own.
            ("max_poll_packets", self.max_poll_packets < 4),
        ] {
            if zero {
                return Err(ConfigError::Zero(name));
            }
        }
        if let Some(cors) = &self.cors {
            cors.check()?;
        }
        if let Some(origins) = &self.origins {
            origins.check()?;
        }
        if let Some(cookie) = &self.cookie {
            cookie.check()?;
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("path", &self.path)
            .field("transports", &self.transports)
            .finish_non_exhaustive()
    }
}
