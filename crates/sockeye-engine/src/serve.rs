//! Our own accept loop: TCP or Unix sockets, optionally TLS, HTTP/1.1, with a limit on everything that a stranger can
//! make us wait for or hold.
//!
//! It knows nothing of Engine.IO: [`serve`] hands requests to a function, which may be an engine, a router, or both;
//! [`Engine::serve`](crate::Engine::serve) has a door of its own in front (`door.rs`). The loop never exits because of
//! what a client or the kernel did.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::Peer;
use crate::patient::Patient;
use crate::stream::Stream;

/// What [`serve`] listens on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener::Tcp(listener)
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Listener::Unix(listener)
    }
}

impl Listener {
    async fn accept(&self, local: Option<SocketAddr>) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Small messages leave when they are written, not when the peer has acknowledged the last ones.
                // A stream that refuses is dead already.
                let _ = stream.set_nodelay(true);
                let local = local.or_else(|| stream.local_addr().ok());
                let peer = Peer { remote: Some(remote), local, secure: false };
                Ok((Stream::Tcp(stream), peer))
            }
            #[cfg(unix)]
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::default()))
            }
        }
    }

    /// The address that all connections come to, if it is the same for all.
    fn local(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => {
                listener.local_addr().ok().filter(|local| !local.ip().is_unspecified())
            }
            #[cfg(unix)]
            Listener::Unix(_) => None,
        }
    }
}

/// Settings of [`serve`].
#[derive(Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Time to send the head of a request, and how long a connection may lie idle between two. Default 10 s.
    pub head_timeout: Duration,
    /// The largest head of a request in bytes. Default 16 KiB.
    pub max_head: usize,
    /// The largest number of headers. Default 100.
    pub max_headers: usize,
    /// The greatest number of connections; more wait in the kernel's queue. A WebSocket counts only until it is one.
    /// Default none.
    pub max_connections: Option<usize>,
    /// How long a client may take nothing of an answer that is being written to it. Default 30 s.
    pub write_timeout: Duration,
    /// How long requests under way may take once `stop` is done. Default 10 s.
    pub grace: Duration,
    /// Encrypts every connection. Default none.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Time for the TLS handshake. Default 10 s.
    #[cfg(feature = "tls")]
    pub tls_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            head_timeout: Duration::from_secs(10),
            max_head: 16 * 1024,
            max_headers: 100,
            max_connections: None,
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            tls_timeout: Duration::from_secs(10),
        }
    }
}

/// Accepts connections and hands their requests to `service`, until `stop` is done; then lets requests under way
/// finish, for as long as [`ServeOptions::grace`] says, and returns. Sessions on WebSockets are not waited for:
/// [`Engine::drain`](crate::Engine::drain) does that.
pub async fn serve<F, Fut, B>(
    listener: impl Into<Listener>,
    options: ServeOptions,
    service: F,
    stop: impl Future<Output = ()>,
) where
    F: Fn(Request<Incoming>, Peer) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let options = Arc::new(options);
    let settings = options.clone();
    let receive = move |visit: Visit| {
        let (options, service) = (settings.clone(), service.clone());
        tokio::spawn(async move {
            let Visit { stream, peer, mut stopping, place } = visit;
            if let Some((stream, peer)) = encrypt(stream, peer, &options).await {
                let service = move |request| service(request, peer);
                hyper(Bytes::new(), stream, &options, service, &mut stopping).await;
            }
            drop(place);
        });
    };
    accept(listener.into(), &options, receive, stop).await;
}

/// A connection that has just come.
pub(crate) struct Visit {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    /// Changes when the connection is to come to an end, and is closed when it is to end at once.
    pub(crate) stopping: watch::Receiver<()>,
    /// To be dropped when it is no HTTP connection any more.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// Has every connection that comes received, until `stop` is done; then waits for them to end, for a while.
pub(crate) async fn accept(
    listener: Listener,
    options: &ServeOptions,
    receive: impl Fn(Visit),
    stop: impl Future<Output = ()>,
) {
    let places = options.max_connections.map(|most| Arc::new(Semaphore::new(most)));
    let local = listener.local();
    // Dropping the sender tells every connection to end; its `closed` tells us when all have.
    let (stop_all, stopping) = watch::channel(());
    let mut stop = pin!(stop);
    let mut pause = Duration::ZERO;
    loop {
        let next = async {
            let place = match &places {
                Some(places) => places.clone().acquire_owned().await.ok(),
                None => None,
            };
            (place, listener.accept(local).await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = Duration::ZERO;
                receive(Visit { stream, peer, stopping: stopping.clone(), place });
            }
            Err(error) if is_the_clients(&error) => {}
            // Out of descriptors or memory: trying again at once would spin, and others need what there is.
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "cannot accept connections, waiting");
                pause = (pause * 2).clamp(Duration::from_millis(10), Duration::from_secs(1));
                tokio::select! {
                    () = &mut stop => break,
                    () = sleep(pause) => {}
                }
            }
        }
    }
    drop(listener);
    drop(stopping);
    let _ = stop_all.send(());
    let _ = timeout(options.grace, stop_all.closed()).await;
    // Whoever is left sees the sender go, and leaves at once.
}

/// Leaves a connection to hyper, up to its end or until it is a WebSocket. `early` is what has been read of it.
pub(crate) async fn hyper<Fut, B>(
    early: Bytes,
    stream: Stream,
    options: &ServeOptions,
    service: impl Fn(Request<Incoming>) -> Fut,
    stopping: &mut watch::Receiver<()>,
) where
    Fut: Future<Output = Response<B>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let service = service_fn(move |request| {
        let answer = service(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        .max_headers(options.max_headers)
        .max_header_size(options.max_head)
        // Head and body as one piece: copying what a poll is answered with costs less than a vectored write does.
        .writev(false)
        .serve_connection(TokioIo::new(Patient::new(early, stream, options.write_timeout)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    // Errors are the client's: broken requests, resets, timeouts. They were answered where that was possible.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        _ = stopping.changed() => {}
    }
}

#[cfg(feature = "tls")]
pub(crate) async fn encrypt(stream: Stream, peer: Peer, options: &ServeOptions) -> Option<(Stream, Peer)> {
    let Some(tls) = &options.tls else { return Some((stream, peer)) };
    let handshake = tokio_rustls::TlsAcceptor::from(tls.clone()).accept(stream);
    // Large, and of no use to connections without it.
    let stream = Box::pin(timeout(options.tls_timeout, handshake)).await.ok()?.ok()?;
    Some((Stream::Other(Box::new(stream)), Peer { secure: true, ..peer }))
}

#[cfg(not(feature = "tls"))]
pub(crate) async fn encrypt(stream: Stream, peer: Peer, _: &ServeOptions) -> Option<(Stream, Peer)> {
    Some((stream, peer))
}

/// Whether accepting failed for one connection only, which is gone already.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
