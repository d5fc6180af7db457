//! The flags of `sockeye bench`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::assertion::Assertion;
use super::pace::Rate;

/// Measure a Socket.IO server: any of version 4, ours or not.
///
/// A client enters first and learns how the server answers; the load that follows compares bytes and costs a fraction
/// of what any server does. Own processor time is part of every report.
#[derive(Args, Debug)]
#[command(after_help = include_str!("help.txt"), after_long_help = LONG_HELP)]
pub(crate) struct BenchArgs {
    /// Where the server is; the URL's path names the namespace
    #[arg(value_name = "URL")]
    pub(super) url: String,

    /// What the clients do
    #[arg(value_enum, default_value_t = Scenario::Echo, value_name = "SCENARIO", hide_possible_values = true)]
    pub(super) scenario: Scenario,

    /// More nodes of the same cluster, which clients are spread over
    #[arg(long, value_name = "URL")]
    pub(super) also: Vec<String>,

    /// How many clients
    #[arg(long, short = 'n', default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) connections: u32,

    /// Closed loop: events (each client's; of broadcasts, all) under way. Open loop: the most a client may have
    /// [default: 1; with --rate 1000]
    #[arg(long, short = 'w', value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=9000))]
    pub(super) in_flight: Option<u32>,

    /// Open loop: events (or connections) a second, all clients together; FROM..TO rises over the duration
    #[arg(long, value_name = "RATE")]
    pub(super) rate: Option<Rate>,

    /// Bytes of payload in each event
    #[arg(long, default_value_t = 64, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(16..=16_000_000))]
    pub(super) payload: u32,

    /// How long to measure, such as 30s, 500ms or 2m
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub(super) duration: Duration,

    /// How long the load is on before it is measured
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = time)]
    pub(super) warmup: Duration,

    /// How long to wait for a connection or for the first answers
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub(super) timeout: Duration,

    /// rooms: how many
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rooms: u32,

    /// rooms: clients in each; there are as many clients as that makes
    #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) members: u32,

    /// slow-consumer: how many clients do not read [default: a tenth]
    #[arg(long, value_name = "COUNT")]
    pub(super) slow: Option<u32>,

    /// reconnect-storm: over which time the clients come back
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = time)]
    pub(super) spread: Duration,

    /// Connections being made at a time; a reconnect storm makes all at once
    #[arg(long, default_value_t = 64, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) handshakes: u32,

    /// Threads, each with its share of the clients [default: half of the processors]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,

    /// On loopback: addresses of 127/8 that clients come from, each with its own 28,000 ports; 0 leaves it to the
    /// system
    #[arg(long, default_value_t = 16, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(0..=25_000))]
    pub(super) sources: u16,

    /// The server's process: its processor time and memory are reported; repeat it for several
    #[arg(long, value_name = "PID")]
    pub(super) pid: Vec<u32>,

    /// A condition such as 'p99<20ms', errors==0, 'rate>5k/s', 'memory<200MiB' (with --pid); repeat it
    #[arg(long = "assert", value_name = "CONDITION")]
    pub(super) assertions: Vec<Assertion>,

    /// Print one JSON object
    #[arg(long, conflicts_with = "markdown")]
    pub(super) json: bool,

    /// Print a Markdown table
    #[arg(long)]
    pub(super) markdown: bool,

    /// Path that Socket.IO is served under
    #[arg(long, default_value = "/socket.io/", value_name = "PATH")]
    pub(super) path: String,

    /// What to log in with: the JSON object that clients call `auth`
    #[arg(long, value_name = "JSON")]
    pub(super) auth: Option<String>,

    /// A header of every request, as NAME: VALUE; repeat it
    #[arg(long = "header", value_name = "HEADER")]
    pub(super) headers: Vec<String>,

    /// PEM file with the authorities to trust instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) ca: Option<PathBuf>,

    /// Trust any certificate
    #[arg(long)]
    pub(super) insecure: bool,

    /// The event that is answered
    #[arg(long, default_value = "echo", value_name = "EVENT")]
    pub(super) echo_event: String,

    /// The answer is not an acknowledgement but an event that carries the payload
    #[arg(long)]
    pub(super) no_ack: bool,

    /// The event with a payload that all clients get
    #[arg(long, default_value = "publish", value_name = "EVENT")]
    pub(super) publish_event: String,

    /// The event with a room that the sender enters
    #[arg(long, default_value = "join", value_name = "EVENT")]
    pub(super) join_event: String,

    /// The event with a room and a payload that the room's members get
    #[arg(long, default_value = "publish_room", value_name = "EVENT")]
    pub(super) publish_room_event: String,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    Connect,
    Idle,
    Echo,
    Broadcast,
    Rooms,
    Polling,
    Binary,
    Churn,
    ReconnectStorm,
    SlowConsumer,
}

impl Scenario {
    /// What is counted, in the plural.
    pub(super) fn counts(self) -> &'static str {
        match self {
            Self::Connect => "connections",
            Self::Idle => "heartbeats",
            Self::Echo | Self::Polling | Self::Binary => "answers",
            Self::Broadcast | Self::Rooms | Self::SlowConsumer => "deliveries",
            Self::Churn => "cycles",
            Self::ReconnectStorm => "reconnections",
        }
    }

    /// Whether its end is when something has happened, not when a time is over.
    pub(super) fn ends_itself(self) -> bool {
        matches!(self, Self::Connect | Self::ReconnectStorm)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// A handler for everything, to paste.
pub(super) const NODE_HANDLERS: &str = include_str!("handlers.mjs");

/// The same on Sockeye.
pub(super) const RUST_HANDLERS: &str = include_str!("handlers.rs.txt");

const LONG_HELP: &str = concat!(
    include_str!("help.txt"),
    "\nThe handlers that every scenario finds, on Node:\n\n",
    include_str!("handlers.mjs"),
    "\nand on Sockeye:\n\n",
    include_str!("handlers.rs.txt"),
);

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 10s, 500ms or 2m".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|_| wrong())
}
