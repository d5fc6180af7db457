//! Sockeye beside routes of one's own, on hyper alone. `cargo run -p example-hyper-embed`.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::{Data, Server, Socket};
use tokio::net::TcpListener;

async fn echo(socket: Socket, Data(text): Data<String>) {
    socket.emit("echo", &text).ok();
}

/// What is not Socket.IO.
async fn page(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("nothing at {}; Socket.IO is at /socket.io/\n", request.uri().path());
    Ok(Response::new(Full::from(text)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().on("echo", echo).build()?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("open http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        // TODO by the hall's API
        let service = io.service_over(service_fn(page));
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
