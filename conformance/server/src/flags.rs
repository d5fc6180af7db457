//! The command line: CONTRACT.md, "Flags".

use std::time::Duration;

use anyhow::{Context, bail};
use sockeye::engine::{Config, Cookie, Cors, DeflateOptions, Origins, Transport};

use crate::cluster::Bus;

/// What the command line asked for.
#[derive(Default)]
pub(crate) struct Flags {
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
    upgrade_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    max_payload: Option<usize>,
    eio3: bool,
    pub(crate) recovery: Option<Duration>,
    deflate: bool,
    transports: Option<Vec<Transport>>,
    cors: Option<String>,
    cookie: Option<String>,
    pub(crate) refuse: Option<String>,
    pub(crate) name: String,
    pub(crate) bus: Bus,
    pub(crate) share_handshake: bool,
}

impl Flags {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut flags = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--ping-interval" => flags.ping_interval = Some(milliseconds(&value()?)?),
                "--ping-timeout" => flags.ping_timeout = Some(milliseconds(&value()?)?),
                "--upgrade-timeout" => flags.upgrade_timeout = Some(milliseconds(&value()?)?),
                "--connect-timeout" => flags.connect_timeout = Some(milliseconds(&value()?)?),
                "--max-payload" => flags.max_payload = Some(value()?.parse()?),
                "--eio3" => flags.eio3 = true,
                "--recovery" => flags.recovery = Some(milliseconds(&value()?)?),
                "--msgpack" => {} // told apart by each client's first packet
                "--deflate" => flags.deflate = true,
                "--transports" => {
                    flags.transports =
                        Some(value()?.split(',').map(transport).collect::<anyhow::Result<_>>()?);
                }
                "--cors" => flags.cors = Some(value()?),
                "--cookie" => flags.cookie = Some(value()?),
                "--refuse" => flags.refuse = Some(value()?),
                "--name" => flags.name = value()?,
                "--redis" => flags.bus.url = value()?,
                "--kind" => flags.bus.kind = value()?,
                "--key" => flags.bus.key = Some(value()?),
                "--mode" => flags.bus.mode = Some(value()?),
                "--specific" => flags.bus.specific = true,
                "--requests-timeout" => drop(value()?), // told with each question
                "--share-handshake" => flags.share_handshake = true,
                other => bail!("unknown flag {other}"),
            }
        }
        Ok(flags)
    }

    /// Sets what concerns the engine, for the echo and the chat alike.
    pub(crate) fn engine(&self, config: &mut Config) {
        config.ping_interval = self.ping_interval.unwrap_or(config.ping_interval);
        config.ping_timeout = self.ping_timeout.unwrap_or(config.ping_timeout);
        config.upgrade_timeout = self.upgrade_timeout.unwrap_or(config.upgrade_timeout);
        config.max_payload = self.max_payload.unwrap_or(config.max_payload);
        config.allow_eio3 = self.eio3;
        // The scenarios open many sessions from one address, as nobody else does.
        config.handshake_rate = None;
        if self.deflate {
            config.deflate = Some(DeflateOptions::default());
        }
        if let Some(transports) = &self.transports {
            config.transports.clone_from(transports);
        }
        if let Some(origin) = &self.cors {
            config.cors = Some(Cors::new(Origins::list([origin.clone()])).credentials(true));
        }
        config.cookie = self.cookie.as_ref().map(Cookie::named);
    }
}

fn milliseconds(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(text.parse().with_context(|| format!("`{text}` is no number of milliseconds"))?))
}

fn transport(name: &str) -> anyhow::Result<Transport> {
    match name {
        "polling" => Ok(Transport::Polling),
        "websocket" => Ok(Transport::WebSocket),
        other => bail!("unknown transport {other}"),
    }
}
