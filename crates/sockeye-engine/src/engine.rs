//! The engine: requests in, sessions out.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Application, Body, Config, ConfigError, Peer, Stats};

/// An Engine.IO server: takes requests from any HTTP host and keeps the sessions. Cheap to clone.
pub struct Engine<A: Application>(Arc<Inner<A>>);

struct Inner<A> {
    application: A,
    config: Config,
}

impl<A: Application> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Engine(self.0.clone())
    }
}

impl<A: Application> Engine<A> {
    /// An engine with these settings, on the current tokio runtime once it handles something.
    pub fn new(config: Config, application: A) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Engine(Arc::new(Inner { application, config })))
    }

    /// The application it was made with.
    pub fn application(&self) -> &A {
        &self.0.application
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Whether requests for this path (without the query) are this engine's.
    pub fn wants(&self, path: &str) -> bool {
        let _ = path;
        todo!()
    }

    /// Answers a request for this engine's path. Polls are held until there is something to say, so run it
    /// concurrently with other requests. Dropping the future means that the client has gone away.
    ///
    /// A WebSocket needs a host that offers hyper's upgrades (`hyper::upgrade::on`), as hyper, axum and
    /// [`serve`](crate::serve) do. Never fails: refusals are answers too.
    pub async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let _ = (request, peer);
        todo!()
    }

    /// The raw door: takes over a stream on which the head of an upgrade request has been read (and nothing else
    /// answered). Answers the 101 or the refusal on it. Bytes that were read beyond the head go into `early`.
    pub async fn adopt<S>(&self, stream: S, request: Parts, early: bytes::Bytes, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let _ = (stream, request, early, peer);
        todo!()
    }

    /// Goes down in order: new handshakes get 503, every session is closed after its outbox has been sent
    /// (WebSocket close 1001, polls `1`), and what is left after `deadline` is cut. Returns when every task of
    /// this engine is gone.
    pub async fn drain(&self, deadline: Duration) {
        let _ = deadline;
        todo!()
    }

    /// A snapshot of the counters.
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
