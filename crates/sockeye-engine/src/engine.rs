//! The engine: its door for requests, its door for raw streams, and its end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::alarm::Alarm;
use crate::common::{Alive, Common};
use crate::config::FOR_EVER;
use crate::mail::Command;
use crate::reply;
use crate::service::{Answer, Upgrade};
use crate::stream::Stream;
use crate::{Application, Body, Config, ConfigError, Peer, Reason, Stats};

/// How long a host may take to hand over a stream after it was told 101.
const HANDOVER: Duration = Duration::from_secs(10);
/// How long cut tasks get to notice, and those that are past their session to end: the longest wait for a peer to
/// answer a close frame, and a little.
const CUT: Duration = Duration::from_secs(6);

/// An Engine.IO server: takes requests from any HTTP host and keeps the sessions. Cheap to clone.
pub struct Engine<A: Application>(pub(crate) Arc<Inner<A>>);

pub(crate) struct Inner<A> {
    pub(crate) application: A,
    pub(crate) common: Arc<Common>,
}

impl<A: Application> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Engine(self.0.clone())
    }
}

/// What a path names.
pub(crate) enum Place<'a> {
    Engine,
    /// A file of this name right below the path.
    File(&'a str),
    Elsewhere,
}

impl<A: Application> Engine<A> {
    /// An engine with these settings. It runs on whichever tokio runtime calls it.
    pub fn new(config: Config, application: A) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Engine(Arc::new(Inner { application, common: Arc::new(Common::new(config.bounded())) })))
    }

    /// The application it was made with.
    pub fn application(&self) -> &A {
        &self.0.application
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.0.common.config
    }

    /// Whether requests for this path (without the query) are this engine's. Exact: nothing is normalised, and
    /// nothing below the path is taken, except the names right below it where [`Config::files`] is set.
    pub fn wants(&self, path: &str) -> bool {
        !matches!(self.place(path), Place::Elsewhere)
    }

    pub(crate) fn place<'a>(&self, path: &'a str) -> Place<'a> {
        let config = &self.0.common.config;
        match path.strip_prefix(config.path.trim_end_matches('/')) {
            Some("") if !config.add_trailing_slash => Place::Engine,
            Some("/") => Place::Engine,
            Some(below) => match below.strip_prefix('/') {
                Some(name) if config.files.is_some() && !name.contains('/') => Place::File(name),
                _ => Place::Elsewhere,
            },
            None => Place::Elsewhere,
        }
    }

    /// Answers a request for this engine's path. Polls are held until there is something to say, so run it
    /// concurrently with other requests. Dropping the future means that the client has gone away.
    ///
    /// A WebSocket needs a host that offers hyper's upgrades (`hyper::upgrade::on`), as hyper, axum and
    /// [`serve`](crate::serve()) do. Never fails: refusals are answers too.
    pub async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let (mut parts, body) = request.into_parts();
        let handover = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let Answer { response, upgrade } = self.answer(&parts, Some(body), peer).await;
        if upgrade.is_some() && handover.is_none() {
            tracing::error!("the HTTP host offers no upgrades: WebSockets cannot be served");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
        if let (Some(upgrade), Some(handover)) = (upgrade, handover) {
            let engine = self.clone();
            let alive = Alive::new(&self.0.common);
            tokio::spawn(async move {
                // Without a stream the upgrade is dropped, and with it the place of a session that never was.
                if let Ok(Ok(upgraded)) = timeout(HANDOVER, handover).await {
                    let (stream, early) = Stream::from_upgraded(upgraded);
                    engine.upgraded(upgrade, stream, early);
                }
                drop(alive);
            });
        }
        response
    }

    /// The raw door: takes over a stream on which the head of an upgrade request has been read (and nothing else
    /// answered). Answers the 101 or the refusal on it. Bytes that were read beyond the head go into `early`.
    ///
    /// Returns when the answer is written; the session, if there is one, lives on its own.
    pub async fn adopt<S>(&self, stream: S, request: Parts, early: Bytes, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut stream = Stream::new(stream);
        let answer = self.answer(&request, None::<Body>, peer).await;
        let Answer { response, upgrade } = answer;
        let mut out = Vec::new();
        reply::head(&response, upgrade.is_none(), &mut out);
        out.extend_from_slice(response.body().bytes());
        let write = async {
            stream.write_all(&out).await?;
            stream.flush().await
        };
        if !matches!(timeout(HANDOVER, write).await, Ok(Ok(()))) {
            return;
        }
        match upgrade {
            Some(upgrade) => self.upgraded(upgrade, stream, early),
            None => {
                let _ = timeout(HANDOVER, stream.shutdown()).await;
            }
        }
    }

    fn upgraded(&self, upgrade: Upgrade, stream: Stream, early: Bytes) {
        if let Some(task) = self.begin(upgrade, stream, early, Bytes::new(), Alarm::new()) {
            tokio::spawn(task);
        }
    }

    /// Goes down in order: new handshakes get 503, every session is closed after its outbox has been sent
    /// (WebSocket close 1001, polls `1`), and what is left after `deadline` is cut. Returns when every task of
    /// this engine is gone.
    pub async fn drain(&self, deadline: Duration) {
        let common = &self.0.common;
        common.draining.store(true, Relaxed);
        for session in common.registry.all() {
            session.close(Reason::ServerShuttingDown);
        }
        let until = Instant::now() + deadline.min(FOR_EVER);
        if timeout_at(until, self.idle()).await.is_ok() {
            return;
        }
        // Whoever is left neither reads nor hangs up. Sessions that are over but not yet gone are in no registry;
        // their own deadlines are seconds.
        for session in common.registry.all() {
            session.0.command(Command::Cut);
        }
        let _ = timeout(CUT, self.idle()).await;
    }

    /// Waits until no task is left.
    async fn idle(&self) {
        let common = &self.0.common;
        loop {
            let told = common.idle.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if common.counters.tasks.load(Relaxed) == 0 {
                return;
            }
            told.await;
        }
    }

    /// Whether [`drain`](Self::drain) has begun.
    pub fn is_draining(&self) -> bool {
        self.0.common.draining.load(Relaxed)
    }

    /// The number of sessions now.
    pub fn sessions(&self) -> usize {
        self.0.common.counters.sessions.load(Relaxed)
    }

    /// Finds a session by its id.
    pub fn session(&self, id: &str) -> Option<crate::Session> {
        self.0.common.registry.find(id)
    }

    /// A snapshot of the counters.
    pub fn stats(&self) -> Stats {
        self.0.common.counters.snapshot()
    }
}
