//! `sockeye doctor`: walks the way of a client step by step and names the first thing that is in its way.
//!
//! It speaks at the lowest level by itself instead of through a client, since a client hides what it is to show, and
//! every request goes over a connection of its own, as those of many clients behind a balancer do. Secrets (`--auth`,
//! `--header`) are neither shown nor sent to a server whose certificate is not valid.

mod certificates;
mod network;
mod refused;
mod report;
mod speech;
mod walk;
mod websocket;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::options::{Server, seconds};
use report::{Report, Severity, Told};

pub(crate) use report::escaped;

/// The flags of `sockeye doctor`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sockeye doctor https://example.org
  sockeye doctor http://localhost:3000/admin --auth '{\"token\":\"…\"}'   the namespace /admin
  sockeye doctor https://example.org --origin https://app.example.org  as a page of that origin
  sockeye doctor https://example.org --heartbeat                       also waits for a heartbeat
  sockeye doctor https://example.org --json | jq -r '.findings[].cause'

Causes, as --json names them:
  dns-failed, connection-refused, connection-timeout, connection-failed, plain-http, tls-expected, tls-failed,
  certificate-expired, certificate-not-yet-valid, certificate-self-signed, certificate-wrong-host,
  missing-intermediate, certificate-unknown-ca, certificate-invalid, no-roots, clock-skew,
  no-answer, not-http, redirect, unauthorized, forbidden, origin-refused, cors, too-many-requests, gateway,
  wrong-path, protocol-eio3, protocol-eio4, protocol-0.9, plain-websocket, not-socketio, handshake-refused,
  polling-disabled, no-sticky-sessions, cookie-stickiness, second-request-refused, responses-held-back,
  namespace-unknown, namespace-refused, namespace-silent, parser-mismatch,
  upgrade-not-offered, upgrade-blocked, upgrade-buffered, upgrade-failed, idle-cut

Exit codes: 0 nothing is wrong; 1 clients cannot connect; 2 wrong usage; 3 clients can connect, but not as they could.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    server: Server,

    /// Look with the eyes of a page of this origin, such as https://app.example.org
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,

    /// Wait for a whole heartbeat, to find what cuts idle connections
    #[arg(long)]
    heartbeat: bool,

    /// Seconds that each answer may take
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    timeout: Duration,

    /// Print one JSON object at the end, for programs
    #[arg(long, conflicts_with = "verbose")]
    json: bool,

    /// Show what every step asked and was answered
    #[arg(long, short)]
    verbose: bool,
}

impl DoctorArgs {
    /// Walks and tells.
    ///
    /// # Errors
    /// When the flags make no sense together with the world: a URL that is none, a file that is not there.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let plan = self.plan()?;
        let told = if self.json { Told::Json } else { Told::Text { verbose: self.verbose } };
        let mut report = Report::new(&plan.target, told);
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime cannot start")?
            .block_on(walk::walk(&plan, &mut report))?;
        Ok(match report.finish() {
            None => ExitCode::SUCCESS,
            Some(Severity::Broken) => ExitCode::from(1),
            Some(Severity::Degraded) => ExitCode::from(3),
        })
    }

    fn plan(&self) -> anyhow::Result<walk::Plan> {
        if self.timeout.is_zero() {
            bail!("--timeout must be above 0");
        }
        if let Some(origin) = &self.origin
            && (!origin.contains("://")
                || origin.ends_with('/')
                || origin.parse::<http::HeaderValue>().is_err())
        {
            bail!("--origin {origin:?}: expected scheme and host, such as https://app.example.org");
        }
        Ok(walk::Plan {
            target: self.server.target()?,
            auth: self.server.auth()?,
            headers: self.server.headers()?,
            origin: self.origin.clone(),
            transport: self.server.transport,
            eio: self.server.eio,
            parser: self.server.parser,
            insecure: self.server.insecure,
            ca: self.server.ca.clone(),
            timeout: self.timeout,
            heartbeat: self.heartbeat,
        })
    }
}
