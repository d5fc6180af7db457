//! `sockeye serve`: flags and environment become a [`Config`], everything else is `sockeye-server`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use sockeye_server::{Adapter, ClusterConfig, Config, TlsFiles};
use tracing_subscriber::EnvFilter;

use crate::options::seconds;

/// The flags of `sockeye serve`. Each can also be given as an environment variable; a flag wins.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sockeye                                       chat demo on http://127.0.0.1:3000/
  sockeye serve --host 0.0.0.0 --port 80        every interface, without the demo
  sockeye serve --tls-cert c.pem --tls-key k.pem --host :: --port 443
  sockeye serve --redis redis://10.0.0.5        one of several servers
  SOCKEYE_CORS=https://example.org sockeye      pages of example.org may connect

Signals: SIGINT or SIGTERM lets clients finish and then ends; a second one ends at once.")]
pub(crate) struct ServeArgs {
    /// Address to listen on
    #[arg(long, env = "SOCKEYE_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,

    /// Port to listen on; 0 lets the system choose one [also: PORT]
    #[arg(long, short, env = "SOCKEYE_PORT", value_name = "PORT", value_parser = port)]
    port: Option<u16>,

    /// Path that Socket.IO is served under
    #[arg(long, env = "SOCKEYE_PATH", default_value = "/socket.io", value_name = "PATH")]
    path: String,

    /// Serve the chat demo even beyond loopback, where anybody may join it
    #[arg(long, env = "SOCKEYE_DEMO", conflicts_with = "no_demo")]
    demo: bool,

    /// Do not serve the chat demo
    #[arg(long, env = "SOCKEYE_NO_DEMO")]
    no_demo: bool,

    /// Add the namespace /bench, with handlers for `sockeye bench`; everybody in it can speak to everybody
    #[arg(long, env = "SOCKEYE_BENCH")]
    bench: bool,

    /// Do not serve the browser client below the path, nor the demo, which needs it
    #[arg(long, env = "SOCKEYE_NO_CLIENT", conflicts_with = "demo")]
    no_client: bool,

    /// PEM file with the certificate chain; turns HTTPS and WSS on
    #[arg(long, env = "SOCKEYE_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the private key
    #[arg(long, env = "SOCKEYE_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Origin whose pages may connect, such as https://example.org; repeat it, or * for any
    #[arg(long, env = "SOCKEYE_CORS", value_delimiter = ',', value_name = "ORIGIN")]
    cors: Vec<String>,

    /// Seconds between two heartbeats
    #[arg(long, env = "SOCKEYE_PING_INTERVAL", default_value = "25", value_name = "SECONDS", value_parser = seconds)]
    ping_interval: Duration,

    /// Seconds a client has to answer a heartbeat
    #[arg(long, env = "SOCKEYE_PING_TIMEOUT", default_value = "20", value_name = "SECONDS", value_parser = seconds)]
    ping_timeout: Duration,

    /// Greatest message in bytes, on every transport
    #[arg(long, env = "SOCKEYE_MAX_PAYLOAD", default_value_t = 1_000_000, value_name = "BYTES")]
    max_payload: usize,

    /// Bytes that may wait for one client before it is closed as a slow consumer
    #[arg(long, env = "SOCKEYE_MAX_QUEUED", default_value_t = 1 << 20, value_name = "BYTES")]
    max_queued: usize,

    /// Greatest number of clients at a time
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS", value_name = "COUNT")]
    max_connections: Option<usize>,

    /// Greatest number of clients from one address
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS_PER_IP", value_name = "COUNT")]
    max_connections_per_ip: Option<usize>,

    /// Refuse clients of Socket.IO 1.x and 2.x (Engine.IO 3)
    #[arg(long, env = "SOCKEYE_NO_EIO3")]
    no_eio3: bool,

    /// Compress WebSocket messages (permessage-deflate); costs memory for every client
    #[arg(long, env = "SOCKEYE_COMPRESSION")]
    compression: bool,

    /// Seconds in which a lost connection can be taken up again without a gap; 0 turns it off
    #[arg(long, env = "SOCKEYE_RECOVERY", default_value = "120", value_name = "SECONDS", value_parser = seconds)]
    recovery: Duration,

    /// Redis that joins this server to others: redis://, rediss://, redis-cluster:// or redis-sentinel://
    #[arg(long, env = "SOCKEYE_REDIS", hide_env_values = true, value_name = "URL")]
    redis: Option<String>,

    /// Which of Node's adapters the servers of the cluster use
    #[arg(
        long,
        env = "SOCKEYE_ADAPTER",
        requires = "redis",
        value_enum,
        default_value = "classic",
        value_name = "KIND"
    )]
    adapter: Kind,

    /// What the names of channels and of the stream begin with; nothing else in Redis may
    #[arg(
        long,
        env = "SOCKEYE_REDIS_KEY",
        requires = "redis",
        default_value = "socket.io",
        value_name = "PREFIX"
    )]
    redis_key: String,

    /// PEM file with the authority that signed Redis's certificate, instead of those the system trusts
    #[arg(long, env = "SOCKEYE_REDIS_CA", requires = "redis", value_name = "FILE")]
    redis_ca: Option<PathBuf>,

    /// Tell headers, query and auth of clients to the other servers that ask
    #[arg(long, env = "SOCKEYE_SHARE_HANDSHAKE", requires = "redis")]
    share_handshake: bool,

    /// Seconds a shutdown waits for clients to take what is queued for them
    #[arg(long, env = "SOCKEYE_DRAIN_TIMEOUT", default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    drain_timeout: Duration,

    /// What to log: error, warn, info, debug, trace, or a filter such as sockeye=debug
    #[arg(long, env = "SOCKEYE_LOG", default_value = "warn", value_name = "FILTER")]
    log: String,
}

/// The adapters, by their names here.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// createAdapter of @socket.io/redis-adapter
    Classic,
    /// createShardedAdapter of @socket.io/redis-adapter, for Redis 7
    Sharded,
    /// @socket.io/redis-streams-adapter: a lost connection is taken up again by any server
    Streams,
}

impl From<Kind> for Adapter {
    fn from(kind: Kind) -> Adapter {
        match kind {
            Kind::Classic => Adapter::Classic,
            Kind::Sharded => Adapter::Sharded,
            Kind::Streams => Adapter::Streams,
        }
    }
}

impl ServeArgs {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log).with_context(|| {
            format!("--log {:?} is not a filter; try error, warn, info, debug, trace", self.log)
        })?;
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        let config = self.config()?;
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the runtime cannot start")?
            .block_on(sockeye_server::run(config))?;
        Ok(())
    }

    fn config(self) -> anyhow::Result<Config> {
        Ok(Config {
            host: self.host,
            port: self.port.map_or_else(platform_port, Ok)?,
            path: self.path,
            client: !self.no_client,
            bench: self.bench,
            demo: match (self.demo, self.no_demo) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            tls: self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
            cors_origins: self.cors,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            max_payload: self.max_payload,
            max_queued: self.max_queued,
            max_connections: self.max_connections,
            max_connections_per_ip: self.max_connections_per_ip,
            allow_eio3: !self.no_eio3,
            compression: self.compression,
            recovery: self.recovery,
            cluster: self.redis.map(|redis| ClusterConfig {
                adapter: self.adapter.into(),
                key: self.redis_key,
                certificate_authority: self.redis_ca,
                share_handshake: self.share_handshake,
                ..ClusterConfig::new(redis)
            }),
            drain_timeout: self.drain_timeout,
        })
    }
}

/// The `PORT` that hosting platforms set, or 3000.
fn platform_port() -> anyhow::Result<u16> {
    match std::env::var("PORT") {
        Err(_) => Ok(3000),
        Ok(text) => port(&text).map_err(|error| anyhow::anyhow!("PORT={text:?}: {error}")),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a port number, 0 to 65535".to_owned())
}
