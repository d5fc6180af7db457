//! [`TestServer`]: the application's server, and the door through which test clients come.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use sockeye::{Peer, Server};
use sockeye_proto::socket::{Dialect, Protocol};

use crate::PATIENCE;
use crate::client::{Recovery, Refused, TestClient};
use crate::wire::{self, Wire};

/// Bytes a stream in memory holds before its writer waits: about a kernel's socket buffer.
const STREAM: usize = 64 * 1024;

/// The server under test.
///
/// Clients reach it through [`Server::attach`] with a stream in memory. Everything else about it is the application's
/// own; [`io`](Self::io) gives it back.
#[derive(Clone)]
pub struct TestServer {
    io: Server,
}

impl TestServer {
    /// Takes the application's server. Nothing is started and no port is opened.
    pub fn new(io: Server) -> Self {
        Self { io }
    }

    /// The server itself, to emit and to look.
    pub fn io(&self) -> &Server {
        &self.io
    }

    /// Connects a client to the main namespace. Settings may follow; await it for the [`TestClient`].
    ///
    /// ```
    /// # use sockeye::Server;
    /// # use sockeye_testkit::{TestServer, run};
    /// # let io = Server::builder().namespace("/chat", |ns| ns).build().unwrap();
    /// # run(async {
    /// let server = TestServer::new(io);
    /// let plain = server.connect().await;
    /// let other = server.connect().namespace("/chat").auth(serde_json::json!({"token": "t"})).await;
    /// # });
    /// ```
    pub fn connect(&self) -> Connect {
        Connect {
            io: self.io.clone(),
            wire: None,
            namespace: "/".to_owned(),
            auth: None,
            query: String::new(),
            headers: Vec::new(),
            msgpack: false,
            recovery: None,
            patience: PATIENCE,
        }
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestServer")
    }
}

/// A client about to connect. Await it, or its [`refused`](Self::refused).
#[derive(Clone)]
#[must_use = "await it to connect"]
pub struct Connect {
    io: Server,
    wire: Option<Wire>,
    namespace: String,
    auth: Option<String>,
    query: String,
    headers: Vec<(String, String)>,
    msgpack: bool,
    recovery: Option<Recovery>,
    pub(crate) patience: Duration,
}

impl Connect {
    /// The namespace. Default `/`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.to_owned();
        self
    }

    /// What the client sends with its CONNECT; must serialise as an object. Default: nothing.
    ///
    /// # Panics
    /// When it cannot be serialised.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        match serde_json::to_string(&auth) {
            Ok(json) => self.auth = Some(json),
            Err(error) => panic!("the auth payload cannot be serialised: {error}"),
        }
        self
    }

    /// Adds to the query of the handshake's URL. Key and value are taken as they are, percent-encoded if need be.
    pub fn query(mut self, key: &str, value: &str) -> Self {
        self.query.push_str(&format!("&{key}={value}"));
        self
    }

    /// Adds a header to the handshake.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Speaks MessagePack instead of JSON.
    pub fn msgpack(mut self) -> Self {
        self.msgpack = true;
        self
    }

    /// How long this client waits for what it expects, in virtual time. Default [`PATIENCE`].
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Connects, and expects a refusal: gives message and data.
    ///
    /// # Panics
    /// When the server lets the client in, or does not answer.
    pub async fn refused(self) -> Refused {
        match self.attempt().await {
            Err(refused) => refused,
            Ok(client) => panic!("expected a refusal but {client:?} was let in"),
        }
    }

    /// Connects; the server may refuse.
    ///
    /// # Errors
    /// The server's CONNECT_ERROR.
    ///
    /// # Panics
    /// When there is no answer at all.
    pub async fn attempt(mut self) -> Result<TestClient, Refused> {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => match self.open().await {
                Ok(wire) => wire,
                Err(error) => panic!("no connection: {error}"),
            },
        };
        TestClient::join(wire, self).await
    }

    pub(crate) fn no_auth(mut self) -> Self {
        self.auth = None;
        self.recovery = None;
        self
    }

    pub(crate) fn over(mut self, wire: Wire) -> Self {
        self.wire = Some(wire);
        self
    }

    pub(crate) fn recovering(mut self, recovery: Option<Recovery>) -> Self {
        self.recovery = recovery;
        self
    }

    pub(crate) fn namespace_name(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn offset(&self) -> Option<String> {
        self.recovery.as_ref()?.offset.clone()
    }

    /// The payload of the CONNECT: `auth`, and what recovery adds to it.
    pub(crate) fn connect_json(&self) -> Option<String> {
        let Some(recovery) = &self.recovery else { return self.auth.clone() };
        let mut auth: serde_json::Map<String, serde_json::Value> =
            self.auth.as_ref().and_then(|auth| serde_json::from_str(auth).ok()).unwrap_or_default();
        auth.insert("pid".to_owned(), recovery.pid.clone().into());
        if let Some(offset) = &recovery.offset {
            auth.insert("offset".to_owned(), offset.clone().into());
        }
        Some(serde_json::Value::Object(auth).to_string())
    }

    /// The Engine.IO handshake.
    async fn open(&self) -> Result<Wire, String> {
        let (ours, theirs) = tokio::io::duplex(STREAM);
        let uri = format!("{}/?EIO=4&transport=websocket{}", self.io.path(), self.query);
        let mut request = http::Request::builder()
            .method("GET")
            .uri(uri)
            .header("host", "test.invalid")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", wire::key());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (request, ()) = request.body(()).map_err(|error| error.to_string())?.into_parts();
        let io = self.io.clone();
        tokio::spawn(async move { io.attach(theirs, request, Bytes::new(), Peer::default()).await });
        let dialect = if self.msgpack { Dialect::Msgpack(Protocol::V5) } else { Dialect::Json(Protocol::V5) };
        match tokio::time::timeout(self.patience, Wire::open(ours, dialect)).await {
            Ok(wire) => wire,
            Err(_) => Err(format!("no handshake within {:?}", self.patience)),
        }
    }
}

impl IntoFuture for Connect {
    type Output = TestClient;
    type IntoFuture = Pin<Box<dyn Future<Output = TestClient> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let namespace = self.namespace.clone();
            match self.attempt().await {
                Ok(client) => client,
                Err(refused) => panic!("the server refused CONNECT {namespace}: {refused:?}"),
            }
        })
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
