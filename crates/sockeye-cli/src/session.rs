//! A client made from flags, and what went wrong with one in words.

use anyhow::Context as _;
use sockeye_client::{Builder, Client, ConnectError, Transports};

use crate::options::{Parser, Server, Transport};

/// Exit codes of the commands that speak to a server; `--help` of each lists its own.
pub(crate) mod code {
    /// No connection, or it was lost for good, or the namespace refused.
    pub(crate) const FAILED: u8 = 1;
    /// What was waited for did not come in time.
    pub(crate) const TIMED_OUT: u8 = 4;
    /// Ended by SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// A client as the flags want it.
///
/// # Errors
/// When a flag makes no sense, or names a file that is not there.
pub(crate) fn builder(server: &Server) -> anyhow::Result<Builder> {
    let target = server.target()?;
    let mut url = format!("{}{}", target.origin(), target.namespace);
    if !target.query.is_empty() {
        url = format!("{url}?{}", target.query.trim_start_matches('&'));
    }
    let mut builder = Client::builder(url).path(&target.path);
    for (name, value) in server.headers()? {
        let value = value.to_str().with_context(|| format!("--header {name:?}: only ASCII can be sent"))?;
        builder = builder.header(name.as_str(), value);
    }
    if let Some(auth) = auth(server)? {
        builder = builder.auth(auth);
    }
    if let Some(file) = &server.ca {
        let pem = std::fs::read(file).with_context(|| format!("--ca {}", file.display()))?;
        builder = builder.root_certificate(pem);
    }
    if server.insecure {
        builder = builder.danger_accept_invalid_certificates();
    }
    if server.eio == 3 {
        builder = builder.eio3();
    }
    if server.parser == Parser::Msgpack {
        builder = builder.msgpack();
    }
    Ok(builder.transports(match server.transport {
        None => Transports::Upgrade,
        Some(Transport::Polling) => Transports::Polling,
        Some(Transport::Websocket) => Transports::WebSocket,
    }))
}

/// What `--auth` says.
pub(crate) fn auth(server: &Server) -> anyhow::Result<Option<serde_json::Value>> {
    Ok(server.auth()?.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// In one line, with where to go on from there.
pub(crate) fn explain(error: &ConnectError, server: &Server) -> String {
    let hint = format!("`sockeye doctor {}` looks for the cause", server.url);
    match error {
        ConnectError::Refused(refused) => {
            let data = refused.data.as_deref().map(|data| format!(", with data {data}")).unwrap_or_default();
            crate::doctor::escaped(&format!("the namespace refuses: {}{data}", refused.message), 1000)
        }
        ConnectError::Setup(error) => error.to_string(),
        error => format!("{}; {hint}", crate::doctor::escaped(&error.to_string(), 1000)),
    }
}

/// A runtime on this thread: one connection needs no more.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot start")
}
