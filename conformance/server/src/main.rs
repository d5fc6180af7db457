//! The fixture of conformance/CONTRACT.md on Sockeye's public API: what the scenarios talk to.

mod chat;
mod cluster;
mod echo;
mod flags;

use std::convert::Infallible;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use sockeye::engine::{Body, Config, Engine, serve};
use sockeye::{Peer, ServeOptions, Server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

use echo::Echo;
use flags::Flags;

/// What is behind Socket.IO: bare Engine.IO, and what the scenarios ask about the server.
#[derive(Clone)]
struct Behind {
    echo: Engine<Echo>,
    server: Server,
    member: cluster::Member,
    log: chat::Log,
}

impl Behind {
    fn open(flags: &Flags) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.path = "/engine.io".to_owned();
        flags.engine(&mut config);
        let log = chat::Log::default();
        let server = chat::server(flags, &log)?;
        let member = cluster::Member::new(&server, flags);
        Ok(Self { echo: Engine::new(config, Echo)?, server, member, log })
    }

    fn stats(&self) -> String {
        let stats = self.server.stats();
        let sessions = stats.engine.sessions + self.echo.sessions();
        json!({ "sessions": sessions, "sockets": stats.sockets, "rooms": stats.rooms }).to_string()
    }
}

impl Service<Request<Incoming>> for Behind {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let it = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/stats" => Response::new(Body::new(it.stats())),
                "/log" => Response::new(Body::new(it.log.to_json())),
                "/readyz" => Response::new(Body::new("ok".to_owned())),
                "/do" => {
                    let body = request.into_body().collect().await;
                    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                    Response::new(Body::new(it.member.answer(&body).await))
                }
                path if it.echo.wants(path) => {
                    let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
                    it.echo.handle(request, peer).await
                }
                _ => {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    response
                }
            })
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let behind = Behind::open(&Flags::read()?)?;
    let server = behind.server.clone();
    let doors = server.layer().layer(behind);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let service = move |mut request: Request<Incoming>, peer: Peer| {
        let mut doors = doors.clone();
        request.extensions_mut().insert(peer);
        async move {
            match doors.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    };
    let mut options = ServeOptions::default();
    options.grace = Duration::ZERO;
    // A test that dies closes our standard input: nothing is left behind.
    let end = async {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    };
    serve(listener, options, service, end).await;
    // The others of a cluster are told, and sessions that may be taken up again elsewhere are left there.
    server.close().await;
    // Reading standard input keeps a thread of the runtime busy that nothing can interrupt.
    std::process::exit(0)
}
