//! How a client is to be: everything there is to choose, with its defaults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use sockeye_proto::client::{self as machine, Config, Reconnection, Transports};
use sockeye_proto::engine::Protocol;
use sockeye_proto::socket::{Dialect, Protocol as Revision};
use sockeye_proto::websocket::deflate;

use crate::client::{Client, Plan, socket_options};
use crate::core::Core;
use crate::driver;
use crate::error::{ConnectError, SetupError};
use crate::socket::Socket;
use crate::states::States;
use crate::target::{Target, UrlError};
use crate::traffic::{Tap, Traffic};
use crate::wire::{self, Dialer, Jar, Proxy, Route, Settings};

/// Prepares a [`Client`]: [`Client::builder`].
///
/// The methods that sockets have, too (`on`, `auth`, `retries`, …), are about the socket of the URL's namespace.
#[must_use = "it does nothing before `connect`, `start` or `build`"]
pub struct Builder {
    target: Result<Target, UrlError>,
    plan: Plan,
    config: Config,
    msgpack: bool,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    cookies: bool,
    max_message: usize,
    deflate: Option<deflate::Options>,
    request_timeout: Duration,
    route: Route,
    proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    tls: wire::TlsOptions,
    states: States,
    tap: Option<Tap>,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Builder {
        Builder {
            target: Target::read(url),
            plan: Plan::default(),
            config: Config::default(),
            msgpack: false,
            path: "/socket.io/".to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            cookies: true,
            max_message: 16 << 20,
            deflate: None,
            request_timeout: Duration::from_secs(20),
            route: Route::Tcp,
            proxy: None,
            #[cfg(feature = "tls")]
            tls: wire::TlsOptions::default(),
            states: States::default(),
            tap: None,
        }
    }

    socket_options!(plan);

    /// Which transports may be used. Default: polling, and on to WebSocket where the server offers it.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.config.transports = transports;
        self
    }

    /// Whether and how a lost connection is opened again. Default: after 1 s, then twice as long each time up to 5 s,
    /// give or take half, for ever. `None`: never.
    pub fn reconnection(mut self, plan: impl Into<Option<Reconnection>>) -> Self {
        self.config.reconnection = plan.into();
        self
    }

    /// Speaks Engine.IO 3, for servers of socket.io 1 and 2.
    pub fn eio3(mut self) -> Self {
        self.config.protocol = Protocol::V3;
        self
    }

    /// Speaks MessagePack, for servers with `socket.io-msgpack-parser`.
    pub fn msgpack(mut self) -> Self {
        self.msgpack = true;
        self
    }

    /// The path of the requests. Default `/socket.io/`, which has to be the server's `path`.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Adds to the query of every request; servers read it as `socket.handshake.query`. A query in the URL is added as it
    /// stands.
    pub fn query(mut self, key: &str, value: &str) -> Self {
        self.query.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header to every request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match wire::header(name, value) {
            Ok((name, value)) => {
                self.headers.append(name, value);
            }
            Err(why) => self.bad(SetupError::option("header", format!("{name}: {why}"))),
        }
        self
    }

    /// Whether cookies that the server sets are sent with the requests that follow: sticky sessions need them. Default
    /// `true`.
    pub fn cookies(mut self, keep: bool) -> Self {
        self.cookies = keep;
        self
    }

    /// Offers permessage-deflate on the WebSocket. Default `None`: on small messages it costs more than it saves.
    pub fn compression(mut self, options: impl Into<Option<deflate::Options>>) -> Self {
        self.deflate = options.into();
        self
    }

    /// The largest message or answer taken from the server, in bytes. Default 16 MiB. A larger one ends the connection.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Binary attachments that one packet of the server may have. Default 10.
    pub fn max_attachments(mut self, most: usize) -> Self {
        self.config.limits.attachments = most;
        self
    }

    /// Bytes that may wait for the network while there is a connection; beyond, `emit` fails as full. Default 16 MiB.
    pub fn outbox(mut self, bytes: usize) -> Self {
        self.config.outbox = bytes;
        self
    }

    /// From the first request to the server's handshake, and for every request that is to be answered at once. Default
    /// 20 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.open_timeout = timeout;
        self.request_timeout = timeout;
        self
    }

    /// How long the move from polling to WebSocket may take. Default 10 s; polling goes on when it is over.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.config.upgrade_timeout = timeout;
        self
    }

    /// How long a close may wait for what has to leave first. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// Goes through a proxy: `http://[user:password@]host[:port]` (CONNECT), or `socks5://…`. The proxy resolves the
    /// server's name.
    pub fn proxy(mut self, url: &str) -> Self {
        match Proxy::read(url) {
            Ok(proxy) => self.proxy = Some(proxy),
            Err(error) => self.bad(error),
        }
        self
    }

    /// Connects through this socket of the file system; the URL's host is only said to the server.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.route = Route::Unix(path.into());
        self
    }

    /// Trusts who was signed by this authority (PEM, one or several), beside those that the operating system trusts.
    #[cfg(feature = "tls")]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.roots.push(pem.into());
        self
    }

    /// Trusts only the authorities of [`root_certificate`](Self::root_certificate), and not the operating system's.
    #[cfg(feature = "tls")]
    pub fn only_root_certificates(mut self) -> Self {
        self.tls.only_these = true;
        self
    }

    /// Shows this certificate to servers that ask for one: the chain and its private key, both in PEM.
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.identity = Some((chain.into(), key.into()));
        self
    }

    /// Encrypts as this says, instead of all the other TLS options.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls.config = Some(config);
        self
    }

    /// Takes any certificate at all, so that anybody in between can read and change everything. For tests.
    #[cfg(feature = "tls")]
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.tls.insecure = true;
        self
    }

    /// Calls `seen` with everything that crosses the network, in order: for logs and tools. It must be quick. What it
    /// sees holds the application's secrets.
    pub fn tap(mut self, seen: impl Fn(Traffic<'_>) + Send + Sync + 'static) -> Self {
        self.tap = Some(Tap(Arc::new(seen)));
        self
    }

    /// A value that handlers can ask for as [`State<T>`](crate::State).
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Connects, and resolves when the namespace of the URL has accepted.
    ///
    /// # Errors
    /// When it refuses, with its data; when the server cannot be reached (but see
    /// [`wait_for_server`](Self::wait_for_server)); when an option cannot be used.
    pub async fn connect(self) -> Result<Socket, ConnectError> {
        let (client, plan, namespace) = self.take_apart()?;
        plan.connect(&client, &namespace).await
    }

    /// The socket of the URL's namespace at once; it connects by itself, and again after failures. What is emitted
    /// meanwhile waits.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn start(self) -> Result<Socket, SetupError> {
        let (client, plan, namespace) = self.take_apart()?;
        let (socket, _) = plan.open(&client, &namespace)?;
        socket.start();
        Ok(socket)
    }

    /// A client that connects when its first socket does ([`Client::connect`]). What was said about a socket here is for
    /// the one of the URL's namespace.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn build(self) -> Result<Client, SetupError> {
        let (client, plan, namespace) = self.take_apart()?;
        plan.open(&client, &namespace)?;
        Ok(client)
    }

    fn bad(&mut self, error: SetupError) {
        self.plan.bad.get_or_insert(error);
    }

    fn take_apart(mut self) -> Result<(Client, Plan, String), SetupError> {
        let target = self.target?;
        if let Some(bad) = self.plan.bad.take() {
            return Err(bad);
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(SetupError::NoRuntime);
        }
        if target.secure && !cfg!(feature = "tls") {
            return Err(SetupError::NoTls);
        }
        let path = clean_path(&self.path)?;
        let namespace = target.namespace.clone();
        let mut query = target.query.clone();
        for (key, value) in &self.query {
            for (between, text) in [("&", key), ("=", value)] {
                if !(between == "&" && query.is_empty()) {
                    query.push_str(between);
                }
                escape(text, &mut query);
            }
        }
        let revision = match self.config.protocol {
            Protocol::V4 => Revision::V5,
            Protocol::V3 => Revision::V4,
        };
        self.config.dialect = if self.msgpack { Dialect::Msgpack(revision) } else { Dialect::Json(revision) };
        self.config.limits.attachment_bytes = self.max_message;
        #[cfg(feature = "tls")]
        let tls = target.secure.then(|| wire::Tls::new(&target.host, self.tls)).transpose()?;
        let settings = Settings {
            dialer: Dialer::new(
                target.clone(),
                self.route,
                self.proxy,
                self.request_timeout,
                #[cfg(feature = "tls")]
                tls,
            ),
            target,
            path,
            query,
            headers: self.headers,
            jar: self.cookies.then(Jar::default),
            protocol: self.config.protocol,
            max_message: self.max_message,
            deflate: self.deflate,
            request_timeout: self.request_timeout,
            close_timeout: self.config.close_timeout,
            tap: self.tap,
        };
        let mut random = [0; 8];
        // It spreads attempts to reconnect; without it they still grow.
        getrandom::fill(&mut random).ok();
        let machine = machine::Client::new(self.config, u64::from_le_bytes(random));
        let core = Core::new(machine, self.states);
        driver::start(Arc::clone(&core), Arc::new(settings));
        Ok((Client::new(core), self.plan, namespace))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn clean_path(path: &str) -> Result<String, SetupError> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    match path.parse::<http::uri::PathAndQuery>() {
        Ok(parsed) if parsed.query().is_none() && !path.contains('#') => Ok(path),
        Ok(_) => Err(SetupError::option("path", "holds no query and no fragment")),
        Err(error) => Err(SetupError::option("path", error)),
    }
}

fn escape(text: &str, into: &mut String) {
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}
