//! The fixture of conformance/CONTRACT.md on Sockeye's public API: what the scenarios talk to.

mod echo;
mod flags;

use std::io::Write;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use sockeye_engine::{Body, Config, Engine, Peer, ServeOptions, serve};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use echo::Echo;
use flags::Flags;

/// What requests are handed to.
#[derive(Clone)]
struct Doors {
    echo: Engine<Echo>,
}

impl Doors {
    fn open(flags: &Flags) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.path = "/engine.io".to_owned();
        flags.engine(&mut config);
        Ok(Self { echo: Engine::new(config, Echo)? })
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        match request.uri().path() {
            "/stats" => {
                let stats = json!({ "sessions": self.echo.sessions(), "sockets": 0, "rooms": 0 });
                Response::new(Body::new(stats.to_string()))
            }
            path if self.echo.wants(path) => self.echo.handle(request, peer).await,
            _ => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let doors = Doors::open(&Flags::read()?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let service = move |request, peer| {
        let doors = doors.clone();
        async move { doors.answer(request, peer).await }
    };
    // A test that dies closes our standard input: nothing is left behind.
    let mut options = ServeOptions::default();
    options.grace = std::time::Duration::ZERO;
    serve(listener, options, service, async {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    })
    .await;
    // Reading standard input keeps a thread of the runtime busy that nothing can interrupt.
    std::process::exit(0)
}
