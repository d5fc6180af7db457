//! The steps below HTTP: name, connection, TLS. Each gives what the next needs, or tells the cause and stops.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::report::{Finding, Outcome};
use super::walk::{Stop, Walk};
use super::wire::{Ask, Door, Trouble};

impl Walk<'_> {
    pub(super) async fn dns(&mut self) -> Result<Vec<SocketAddr>, Stop> {
        let target = &self.plan.target;
        let begun = Instant::now();
        let found = timeout(self.plan.timeout, lookup_host((target.host.as_str(), target.port))).await;
        let took = begun.elapsed();
        let why = match found {
            Ok(Ok(addresses)) => {
                let mut seen = BTreeSet::new();
                // In the order in which the system wants them tried.
                let all: Vec<SocketAddr> =
                    addresses.filter(|address| seen.insert(*address)).take(8).collect();
                if !all.is_empty() {
                    let shown: Vec<String> = all.iter().map(|address| address.ip().to_string()).collect();
                    let detail = format!("{} → {}", target.host, shown.join(", "));
                    self.report.step("dns", Outcome::Good, took, detail);
                    return Ok(all);
                }
                "the name has no address".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.plan.timeout),
        };
        let host = target.host.clone();
        self.report.step("dns", Outcome::Bad, took, format!("{host}: {why}"));
        self.stop(
            Finding::broken("dns-failed", format!("The name {host:?} does not lead to an address."))
                .seen(why)
                .fix("look for a typing error in the host")
                .fix(format!("ask another resolver: dig +short {host} @1.1.1.1"))
                .fix("in containers: use the name of the service, and the network that it is on"),
        )
    }

    pub(super) async fn tcp(&mut self, addresses: Vec<SocketAddr>) -> Result<SocketAddr, Stop> {
        let begun = Instant::now();
        let mut tried = Vec::new();
        let mut last = io::ErrorKind::NotConnected;
        for address in addresses {
            let one = Instant::now();
            match timeout(self.plan.timeout, TcpStream::connect(address)).await {
                Ok(Ok(_)) => {
                    let mut detail = address.to_string();
                    if !tried.is_empty() {
                        detail.push_str(&format!(", after {}", tried.join(", ")));
                    }
                    self.report.step("tcp", Outcome::Good, one.elapsed(), detail);
                    return Ok(address);
                }
                Ok(Err(error)) => {
                    last = error.kind();
                    tried.push(format!("{address}: {error}"));
                }
                Err(_) => {
                    last = io::ErrorKind::TimedOut;
                    tried.push(format!("{address}: no answer within {:?}", self.plan.timeout));
                }
            }
        }
        let all = tried.join("; ");
        self.report.step("tcp", Outcome::Bad, begun.elapsed(), &all);
        let port = self.plan.target.port;
        let finding = match last {
            io::ErrorKind::ConnectionRefused => {
                Finding::broken("connection-refused", format!("Nobody listens on port {port}."))
                    .fix("start the server, or name the port that it listens on")
                    .fix("if it listens on 127.0.0.1 only, no other machine or container reaches it: let it listen on 0.0.0.0 or ::")
            }
            io::ErrorKind::TimedOut => {
                Finding::broken("connection-timeout", "The address does not answer: packets are dropped on the way.")
                    .fix(format!("open port {port} in the firewall or security group"))
                    .fix("check that the address is the server's (an old DNS record?)")
            }
            _ => Finding::broken("connection-failed", "The address cannot be reached from here.")
                .fix("check this machine's network, and that it has IPv6 if the address is one"),
        };
        self.stop(finding.seen(all))
    }

    pub(super) async fn tls(&mut self, address: SocketAddr) -> Result<Door, Stop> {
        let target = &self.plan.target;
        let mut door = Door {
            address,
            tls: None,
            authority: target.authority(),
            headers: self.plan.headers.clone(),
            origin: self.plan.origin.clone(),
            cookies: Vec::new(),
            timeout: self.plan.timeout,
        };
        if !target.tls {
            self.report.step("tls", Outcome::Skipped, Duration::ZERO, "not asked for (http)");
            return Ok(door);
        }
        let host = target.host.clone();
        let Ok(name) = ServerName::try_from(host.clone()) else {
            self.report.step(
                "tls",
                Outcome::Bad,
                Duration::ZERO,
                format!("{host:?} is no name for a certificate"),
            );
            return self
                .stop(Finding::broken("certificate-wrong-host", "No certificate can be for this name."));
        };
        let witness = self.witness.clone();
        let config = match witness.config() {
            Ok(config) => config,
            Err(error) => {
                self.report.step("tls", Outcome::Bad, Duration::ZERO, error.to_string());
                return self.stop(Finding::broken("tls-failed", error.to_string()));
            }
        };
        door.tls = Some((config, name));
        let begun = Instant::now();
        let dialled = timeout(self.plan.timeout, door.dial()).await;
        let took = begun.elapsed();
        if let Err(why) = dialled.unwrap_or(Err(Trouble::Silence(self.plan.timeout))).map(drop) {
            self.report.step("tls", Outcome::Bad, took, why.to_string());
            let finding = self.tls_failed(&door, &why).await;
            return self.stop(finding);
        }
        let Some(seen) = witness.seen() else {
            self.report.step("tls", Outcome::Bad, took, "the server showed no certificate");
            return self.stop(Finding::broken("tls-failed", "The server showed no certificate."));
        };
        seen.lines().iter().for_each(|line| self.report.exchanged(line));
        let Err(error) = &seen.verdict else {
            self.report.step("tls", Outcome::Good, took, seen.summary());
            return Ok(door);
        };
        if self.plan.insecure {
            self.report.step("tls", Outcome::Poor, took, format!("{error}, and --insecure says to go on"));
            return Ok(door);
        }
        self.report.step("tls", Outcome::Bad, took, error.to_string());
        // The server's clock is asked for without anything that could be a secret.
        let plain = Door { headers: Vec::new(), cookies: Vec::new(), origin: None, ..door };
        let answer = plain.ask(Ask::get("/")).await.ok();
        let date = answer.as_ref().and_then(|answer| httpdate::parse_http_date(answer.header("date")?).ok());
        match seen.explain(&host, date) {
            Some(finding) if witness.has_roots() || finding.cause != "missing-intermediate" => {
                self.stop(finding)
            }
            _ => self.stop(
                Finding::broken(
                    "no-roots",
                    "This machine has no root certificates, so that none can be trusted.",
                )
                .fix("install them (Debian: apt-get install ca-certificates), or give --ca FILE"),
            ),
        }
    }

    /// TLS did not come about. Perhaps there is none.
    async fn tls_failed(&self, door: &Door, why: &Trouble) -> Finding {
        let plain = Door { tls: None, headers: Vec::new(), cookies: Vec::new(), ..door.clone() };
        if let Ok(answer) = plain.ask(Ask::get("/")).await
            && !wants_tls(answer.status, &answer.text())
        {
            let url = format!("http://{}", self.plan.target.authority());
            return Finding::broken("plain-http", "The port speaks HTTP without TLS.")
                .seen(format!("asked without TLS: {}", answer.line()))
                .fix(format!("connect to {url}"))
                .fix("or turn TLS on in the server (sockeye serve --tls-cert … --tls-key …) or in the proxy in front");
        }
        Finding::broken("tls-failed", "TLS cannot be agreed on.")
            .seen(why.to_string())
            .fix("the server must offer TLS 1.2 or 1.3 with a usual cipher, and not ask for a client's certificate")
            .fix("behind a proxy that picks certificates by name, check that it knows this name")
    }
}

/// Whether a server complains, in plain HTTP, that it was not asked with TLS (nginx, Go, Apache).
pub(super) fn wants_tls(status: u16, body: &str) -> bool {
    status == 400
        && ["HTTPS port", "HTTPS server", "SSL-enabled server port"].iter().any(|sign| body.contains(sign))
}
