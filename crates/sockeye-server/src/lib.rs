//! The standalone Sockeye server as a function: [`run`] serves what a [`Config`] says until a signal comes.
//!
//! On the public API of `sockeye` only; whoever embeds the library can do all of this.

mod assets;
mod banner;
mod bench;
mod cluster;
mod config;
mod demo;
mod error;
mod open_files;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use sockeye::engine::DeflateOptions;
use sockeye::{ConnectionStateRecovery, Cors, Origins, Peer, ServeOptions, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tower_service::Service as _;

pub use cluster::{Adapter, ClusterConfig};
pub use config::{Config, TlsFiles};
pub use error::StartError;

/// Serves until SIGINT or SIGTERM, then lets clients finish and returns. A second signal ends the process at once.
///
/// Raises the process's limit of open files and prints where it listens to standard output.
///
/// # Errors
///
/// Everything that keeps the server from starting; nothing afterwards.
pub async fn run(config: Config) -> Result<(), StartError> {
    let open_files = open_files::raise();
    let options = serve_options(&config)?;
    let io = server(&config)?;
    let listener = listen(config.address()).await?;
    let address = listener.local_addr().map_err(|error| StartError::Listen(config.address(), error))?;
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    println!("{}", banner::text(&config, address, open_files));

    let (stop, stopped) = oneshot::channel::<()>();
    let draining = Arc::new(AtomicBool::new(false));
    let others = answer(router(&io, config.serves_demo(), draining.clone()));
    let server = io.clone();
    let serving = tokio::spawn(async move {
        let stop = async {
            // An error means that the sender is gone, which is a reason to stop as well.
            let _ = stopped.await;
        };
        server.serve_beside(listener, options, others, stop).await;
    });

    signals.next().await;
    draining.store(true, Ordering::Relaxed);
    println!("Letting clients finish; a second signal ends at once.");
    tokio::spawn(async move {
        signals.next().await;
        // 128 + SIGINT, as a shell would report it.
        std::process::exit(130);
    });
    // New clients are refused before the door is closed, so that a load balancer sees /readyz change.
    io.drain(config.drain_timeout).await;
    drop(stop);
    if let Err(error) = serving.await {
        tracing::error!(%error, "the listener's task ended badly");
    }
    Ok(())
}

/// The Socket.IO server that a configuration describes.
fn server(config: &Config) -> Result<Server, StartError> {
    let mut builder = Server::builder()
        .path(config.path.clone())
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .max_payload(config.max_payload)
        .max_queue(config.max_queued)
        .allow_eio3(config.allow_eio3)
        .serve_client(config.client);
    if !config.cors_origins.is_empty() {
        builder = builder.cors(Cors::new(origins(&config.cors_origins)));
    }
    if let Some(count) = config.max_connections {
        builder = builder.max_sessions(count);
    }
    if let Some(count) = config.max_connections_per_ip {
        builder = builder.max_sessions_per_ip(count);
    }
    if config.compression {
        builder = builder.per_message_deflate(DeflateOptions::default());
    }
    if !config.recovery.is_zero() {
        builder = builder.connection_state_recovery(ConnectionStateRecovery::new().window(config.recovery));
    }
    if let Some(cluster) = &config.cluster {
        builder = cluster.join(builder)?;
    }
    if config.serves_demo() {
        builder = demo::add_to(builder);
    }
    if config.bench {
        builder = bench::add_to(builder);
    }
    builder.build().map_err(|error| StartError::Settings(error.to_string()))
}

fn origins(list: &[String]) -> Origins {
    if list.iter().any(|origin| origin == "*") { Origins::Any } else { Origins::List(list.to_vec()) }
}

fn serve_options(config: &Config) -> Result<ServeOptions, StartError> {
    let mut options = ServeOptions::default();
    options.grace = config.drain_timeout;
    #[cfg(feature = "tls")]
    if let Some(files) = &config.tls {
        options.tls = Some(tls::load(files)?);
    }
    #[cfg(not(feature = "tls"))]
    if config.tls.is_some() {
        return Err(StartError::NoTls);
    }
    Ok(options)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse(address),
        io::ErrorKind::PermissionDenied => StartError::NoPermission(address),
        io::ErrorKind::AddrNotAvailable => StartError::NoSuchAddress(address),
        _ => StartError::Listen(address, error),
    })
}

/// Everything that is not Socket.IO.
fn router(io: &Server, demo: bool, draining: Arc<AtomicBool>) -> Router {
    let cluster = io.cluster_state();
    let ready = move || async move {
        // A server whose cluster is out of reach goes on serving its own clients, and taking new ones: all servers
        // would be taken out of service at once otherwise.
        let cluster = cluster.map(|state| format!("cluster: {}\n", cluster::tell(&state.borrow())));
        let (status, word) = match draining.load(Ordering::Relaxed) {
            true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            false => (StatusCode::OK, "ready"),
        };
        (status, format!("{word}\n{}", cluster.unwrap_or_default()))
    };
    let router = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
    if demo {
        router.fallback(|request: Request<Body>| async move {
            assets::demo_page(request.uri().path(), request.method(), request.headers())
        })
    } else {
        router.fallback(|| async { (StatusCode::NOT_FOUND, "not found\n").into_response() })
    }
}

/// Hands a request to the router.
fn answer<B>(router: Router) -> impl Fn(Request<B>, Peer) -> Answer + Clone + Send + Sync + 'static
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    move |request: Request<B>, _| {
        let mut router = router.clone();
        Box::pin(async move {
            match router.call(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}

/// A response under way.
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
