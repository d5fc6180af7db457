//! Our own accept loop.
use crate::Peer;
use http::{Request, Response};
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

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

/// Settings of [`serve`].
#[derive(Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Time to send the head of a request. Default 10 s.
    pub head_timeout: Duration,
    /// The largest head of a request in bytes. Default 16 KiB.
    pub max_head: usize,
    /// The largest number of headers. Default 100.
    pub max_headers: usize,
    /// The greatest number of connections; more wait in the kernel's queue. Default none.
    pub max_connections: Option<usize>,
    /// How long requests under way may take once `stop` is done. Default 10 s.
    pub grace: Duration,
    /// Encrypts every connection. Default none.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<rustls::ServerConfig>>,
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
            grace: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            tls_timeout: Duration::from_secs(10),
        }
    }
}

/// Accepts connections and hands their requests to `service`, until `stop` is done; then lets requests under way
/// finish and returns. Sessions on WebSockets are not waited for: [`Engine::drain`](crate::Engine::drain) does that.
pub async fn serve<F, Fut, B>(
    listener: impl Into<Listener>,
    options: ServeOptions,
    service: F,
    stop: impl Future<Output = ()>,
) where
    F: Fn(Request<hyper::body::Incoming>, Peer) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let _ = (listener.into(), options, service, stop);
    todo!()
}
