//! Sockeye in front of a service of one's own, on hyper alone. `cargo run -p example-hyper-embed`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sockeye::{Data, Peer, Server, Socket};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

async fn echo(socket: Socket, Data(text): Data<String>) {
    socket.emit("echo", &text).ok();
}

/// What is not Socket.IO.
#[derive(Clone)]
struct Page;

impl<B> Service<Request<B>> for Page {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let text = format!("nothing at {}; Socket.IO is at /socket.io/\n", request.uri().path());
        ready(Ok(Response::new(Full::from(text))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().on("echo", echo).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("open http://{}", listener.local_addr()?);
    loop {
        let (stream, remote) = listener.accept().await?;
        // hyper does not know where a connection is from, so we say it; limits per address depend on it.
        let front = io.layer().peer(move |_| Some(Peer::new(remote)));
        let service = TowerToHyperService::new(front.layer(Page));
        tokio::spawn(async move {
            // Upgrades are how WebSockets begin.
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            if let Err(error) = connection.await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}
