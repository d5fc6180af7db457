//! The doors: inside of another HTTP server (tower), or a listener of our own.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use sockeye_engine::{Body, Listener, Peer, RequestBody, ServeOptions};
use tower_layer::Layer;
use tower_service::Service;

use crate::server::Server;

type FindPeer = Arc<dyn Fn(&http::Extensions) -> Option<Peer> + Send + Sync>;

/// What tells the server where a request came from: the peer put into the request's extensions as a [`Peer`] or a
/// [`SocketAddr`], or whatever [`SocketIoLayer::peer`] finds there.
fn find_peer(find: Option<&FindPeer>, extensions: &http::Extensions) -> Peer {
    if let Some(peer) = find.and_then(|find| find(extensions)) {
        return peer;
    }
    let known = extensions.get::<Peer>().copied();
    known.or_else(|| extensions.get::<SocketAddr>().copied().map(Peer::new)).unwrap_or_default()
}

impl Server {
    /// A tower layer: answers requests for the server's path and passes all others on. For axum:
    /// `Router::new().layer(server.layer())`.
    pub fn layer(&self) -> SocketIoLayer {
        SocketIoLayer { server: self.clone(), find_peer: None }
    }

    /// A tower service that answers requests for the server's path, and 404 to all others.
    pub fn service(&self) -> SocketIoService<NotFound> {
        self.layer().layer(NotFound)
    }

    /// Serves a listener until the server is told to [`drain`](Self::drain) or [`close`](Self::close): a server
    /// without a framework. Requests for other paths get 404.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = sockeye::Server::builder().build()?;
    /// io.serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?).await;
    /// # Ok(()) }
    /// ```
    pub async fn serve(&self, listener: impl Into<Listener>) {
        self.serve_with(listener, ServeOptions::default()).await;
    }

    /// The same with settings, TLS among them.
    pub async fn serve_with(&self, listener: impl Into<Listener>, options: ServeOptions) {
        self.serve_beside(listener, options, |_, _| ready(not_found::<Body>()), self.closing()).await;
    }

    /// Serves a listener until `stop` is done, and hands requests for other paths to `others`: a router, for example. The
    /// server's own requests never get there, and cost less than behind a [`layer`](Self::layer) of that router.
    ///
    /// ```no_run
    /// use sockeye::engine::Body;
    ///
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = sockeye::Server::builder().build()?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// let hello = |_, _| async { http::Response::new(Body::new("hello")) };
    /// io.serve_beside(listener, Default::default(), hello, std::future::pending()).await;
    /// # Ok(()) }
    /// ```
    pub async fn serve_beside<F, Fut, B>(
        &self,
        listener: impl Into<Listener>,
        options: ServeOptions,
        others: F,
        stop: impl Future<Output = ()>,
    ) where
        F: Fn(Request<RequestBody>, Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.0.engine.serve(listener, options, others, stop).await;
    }
}

fn not_found<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Puts a [`Server`] in front of other services: [`Server::layer`].
#[derive(Clone)]
pub struct SocketIoLayer {
    server: Server,
    find_peer: Option<FindPeer>,
}

impl SocketIoLayer {
    /// How to find the peer's address in a request's extensions, where the host puts it there in a type of its own. For
    /// axum's `ConnectInfo`:
    /// `.peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| Peer::new(info.0)))`.
    #[must_use]
    pub fn peer(mut self, find: impl Fn(&http::Extensions) -> Option<Peer> + Send + Sync + 'static) -> Self {
        self.find_peer = Some(Arc::new(find));
        self
    }
}

impl fmt::Debug for SocketIoLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketIoLayer")
    }
}

impl<S> Layer<S> for SocketIoLayer {
    type Service = SocketIoService<S>;

    fn layer(&self, inner: S) -> SocketIoService<S> {
        SocketIoService { server: self.server.clone(), find_peer: self.find_peer.clone(), inner }
    }
}

/// A [`Server`] in front of another service.
#[derive(Clone)]
pub struct SocketIoService<S> {
    server: Server,
    find_peer: Option<FindPeer>,
    inner: S,
}

impl<S> fmt::Debug for SocketIoService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketIoService")
    }
}

impl<S, B, R> Service<Request<B>> for SocketIoService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
{
    type Response = Response<EitherBody<R>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.server.0.engine.wants(request.uri().path()) {
            return Answering { answer: Either::Theirs { it: self.inner.call(request) } };
        }
        let peer = find_peer(self.find_peer.as_ref(), request.extensions());
        let engine = self.server.0.engine.clone();
        Answering { answer: Either::Ours { it: Box::pin(async move { engine.handle(request, peer).await }) } }
    }
}

pin_project_lite::pin_project! {
    /// An answer on its way: ours or the inner service's.
    pub struct Answering<F> {
        #[pin]
        answer: Either<Pin<Box<dyn Future<Output = Response<Body>> + Send>>, F>,
    }
}

pin_project_lite::pin_project! {
    #[derive(Debug)]
    #[project = EitherProj]
    enum Either<O, T> {
        Ours { #[pin] it: O },
        Theirs { #[pin] it: T },
    }
}

impl<F> fmt::Debug for Answering<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<EitherBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            EitherProj::Ours { it } => {
                it.poll(cx).map(|response| Ok(response.map(|it| EitherBody { body: Either::Ours { it } })))
            }
            EitherProj::Theirs { it } => {
                it.poll(cx).map_ok(|response| response.map(|it| EitherBody { body: Either::Theirs { it } }))
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The body of an answer: ours or the inner service's.
    pub struct EitherBody<R> {
        #[pin]
        body: Either<Body, R>,
    }
}

impl<R: Default> Default for EitherBody<R> {
    fn default() -> Self {
        Self { body: Either::Theirs { it: R::default() } }
    }
}

impl<R> fmt::Debug for EitherBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EitherBody")
    }
}

impl<R: HttpBody<Data = Bytes>> HttpBody for EitherBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().body.project() {
            EitherProj::Ours { it } => it.poll_frame(cx).map_err(|never| match never {}),
            EitherProj::Theirs { it } => it.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Ours { it } => it.is_end_stream(),
            Either::Theirs { it } => it.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Ours { it } => it.size_hint(),
            Either::Theirs { it } => it.size_hint(),
        }
    }
}

/// The service behind [`Server::service`]: nothing is here.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotFound;

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(not_found()))
    }
}
