//! Opening byte streams to the server.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::proxy::Proxy;
use super::stream::Stream;
use crate::target::Target;

/// How the server is reached.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// By the host and port of the URL.
    Tcp,
    /// Through this socket of the file system, whatever the URL's host.
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// Opens streams.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Inner>);

struct Inner {
    target: Target,
    route: Route,
    proxy: Option<Proxy>,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Tls>,
}

impl Dialer {
    pub(crate) fn new(
        target: Target,
        route: Route,
        proxy: Option<Proxy>,
        timeout: Duration,
        #[cfg(feature = "tls")] tls: Option<super::tls::Tls>,
    ) -> Dialer {
        Dialer(Arc::new(Inner {
            target,
            route,
            proxy,
            timeout,
            #[cfg(feature = "tls")]
            tls,
        }))
    }

    /// A fresh stream, encrypted where the URL says so. The error says at which step it failed.
    pub(crate) async fn dial(&self) -> Result<Stream, String> {
        let reached = async {
            let stream = self.0.reach().await?;
            #[cfg(feature = "tls")]
            if let Some(tls) = &self.0.tls {
                return tls.wrap(stream).await;
            }
            Ok(stream)
        };
        match tokio::time::timeout(self.0.timeout, reached).await {
            Ok(reached) => reached,
            Err(_) => Err(format!("no connection to {} within {:?}", self.0.target, self.0.timeout)),
        }
    }
}

impl Inner {
    async fn reach(&self) -> Result<Stream, String> {
        match &self.route {
            Route::Tcp => {
                let Target { host, port, .. } = &self.target;
                let Some(proxy) = &self.proxy else {
                    return Ok(Stream::new(tcp(host, *port).await?));
                };
                let mut stream = tcp(&proxy.host, proxy.port).await.map_err(|why| format!("proxy: {why}"))?;
                proxy.ask(&mut stream, host, *port).await.map_err(|why| format!("proxy {proxy:?}: {why}"))?;
                Ok(Stream::new(stream))
            }
            #[cfg(unix)]
            Route::Unix(path) => match tokio::net::UnixStream::connect(path).await {
                Ok(stream) => Ok(Stream::new(stream)),
                Err(error) => Err(format!("Unix socket {}: {error}", path.display())),
            },
        }
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| format!("TCP connection to {host}, port {port}: {error}"))?;
    // Small packets, and a wait for each of them otherwise. A stream that cannot is slower, not broken.
    stream.set_nodelay(true).ok();
    Ok(stream)
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialer({}, {:?})", self.0.target, self.0.route)
    }
}

/// For hyper's pool of connections, which all go to the same server.
impl Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = Undialed;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Undialed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Undialed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial().await.map(TokioIo::new).map_err(Undialed) })
    }
}

/// In the words of [`Dialer::dial`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Undialed(String);
