//! From flags to threads: what is learned from the server, and what each thread is to do with it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use mio::Poll;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};

use super::answer::Answer;
use super::args::{BenchArgs, NODE_HANDLERS, RUST_HANDLERS, Scenario};
use super::driver::{Driver, Terms};
use super::pace::{Rate, Schedule};
use super::polling;
use super::probe::Probe;
use super::scenario::{Board, Churn, Connect, Echo, Fanout, Idle, RoomWords, Rooms, Storm};
use super::shared::Shared;
use super::stream::Route;
use super::tally::Tally;
use super::target::{Target, Ways};
use super::tls;
use super::words::{self, Stamp, Words};

/// The digits of an echo's id, and of a broadcast's number.
const ID: &str = "1000";
const NUMBER: &str = "00000000";

/// What is known before the first thread starts.
pub(super) struct Plan {
    pub(super) scenario: Scenario,
    pub(super) connections: usize,
    pub(super) threads: usize,
    /// Events under way.
    pub(super) in_flight: usize,
    pub(super) slow: usize,
    rate: Option<Rate>,
    duration: Duration,
    timeout: Duration,
    handshakes: usize,
    spread: Duration,
    rooms: usize,
    members: usize,
    targets: Vec<(Route, Target)>,
    learned: Learned,
    board: Arc<Board>,
}

/// What clients say, and what they will hear.
#[derive(Default)]
struct Learned {
    event: Option<Stamp>,
    answer: Option<Answer>,
    room: RoomEvents,
}

/// What is said to rooms, in which only the room differs.
#[derive(Default)]
struct RoomEvents {
    prefix: String,
    join: String,
    publish: String,
    payload: String,
}

impl RoomEvents {
    fn words(&self, room: usize) -> RoomWords {
        let name = format!("bench-{room}");
        let publish = format!("42{}[{},\"{name}\",\"", self.prefix, self.publish);
        RoomWords {
            join: format!("42{}0[{},\"{name}\"]", self.prefix, self.join),
            event: Stamp::frame(&format!("{publish}{}\"]", self.payload), publish.len(), NUMBER, &[]),
        }
    }
}

impl Plan {
    /// Asks the server what it answers.
    pub(super) fn new(args: &BenchArgs) -> anyhow::Result<Self> {
        let ways = Ways { path: &args.path, headers: &args.headers, auth: args.auth.as_deref() };
        let urls = std::iter::once(&args.url).chain(&args.also);
        let targets = urls.map(|url| Target::new(url, &ways)).collect::<anyhow::Result<Vec<_>>>()?;
        let tls = match targets.iter().any(|target| target.secure) {
            true => Some(tls::config(args.ca.as_deref(), args.insecure)?),
            false => None,
        };
        let mut learned = Learned::default();
        for (at, target) in targets.iter().enumerate() {
            let tls = tls.clone().filter(|_| target.secure);
            let mut probe = Probe::enter(target, tls, args.timeout)
                .with_context(|| format!("{} cannot be measured", target.host_header()))?;
            if at == 0 {
                learned = learn(args, target, &mut probe).with_context(|| needed(args.scenario))?;
            }
        }
        let targets = targets
            .into_iter()
            .map(|target| {
                let tls = match (&tls, target.secure) {
                    (Some(config), true) => {
                        let name = ServerName::try_from(target.host.clone());
                        Some((config.clone(), name.context("no name for a certificate")?))
                    }
                    _ => None,
                };
                // Only loopback has addresses to spare.
                let spare = target.address.is_ipv4() && target.address.ip().is_loopback();
                let sources = if spare && cfg!(target_os = "linux") { args.sources } else { 0 };
                Ok((Route { address: target.address, tls, sources }, target))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;

        let connections = match args.scenario {
            Scenario::Rooms => args.rooms as usize * args.members as usize,
            _ => args.connections as usize,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = if args.scenario == Scenario::Rooms { args.rooms as usize } else { connections };
        let threads = args.threads.map_or((cores / 2).max(1), usize::from).min(most);
        let slow = match args.scenario {
            Scenario::SlowConsumer => {
                args.slow.map_or(connections.div_ceil(10), |slow| slow as usize).min(connections - 1)
            }
            _ => 0,
        };
        let default_in_flight = if args.rate.is_some() { 1000 } else { 1 };
        Ok(Self {
            scenario: args.scenario,
            connections,
            threads,
            in_flight: args.in_flight.map_or(default_in_flight, |in_flight| in_flight as usize),
            slow,
            rate: args.rate,
            duration: args.duration,
            timeout: args.timeout,
            handshakes: match args.scenario {
                // These are about nothing else.
                Scenario::Churn | Scenario::ReconnectStorm => connections,
                _ => (args.handshakes as usize).div_ceil(threads),
            },
            spread: args.spread,
            rooms: args.rooms as usize,
            members: args.members as usize,
            targets,
            learned,
            board: Arc::new(Board::new(threads)),
        })
    }

    /// How many sockets are open at a time.
    pub(super) fn sockets(&self) -> u64 {
        self.connections as u64 * if self.scenario == Scenario::Polling { 2 } else { 1 }
    }

    /// How many connections must be up before the load begins.
    pub(super) fn expected(&self) -> usize {
        if self.scenario == Scenario::Churn { 0 } else { self.connections }
    }

    /// Events (or connections) a second that an open loop asks for, at its mean.
    pub(super) fn asked_rate(&self) -> Option<f64> {
        match self.scenario {
            Scenario::Echo | Scenario::Polling | Scenario::Binary | Scenario::Churn => {
                self.rate.map(|rate| (rate.from + rate.to) / 2.0)
            }
            _ => None,
        }
    }

    /// The load, for people.
    pub(super) fn describe(&self, args: &BenchArgs) -> String {
        let mut text = format!("{} clients", self.connections);
        if self.scenario == Scenario::Rooms {
            text.push_str(&format!(" in {} rooms of {}", self.rooms, self.members));
        }
        if self.slow > 0 {
            text.push_str(&format!(", {} of them slow", self.slow));
        }
        match (self.scenario, self.rate) {
            (Scenario::Idle | Scenario::ReconnectStorm, _) => {}
            (Scenario::Connect, None) => text.push_str(&format!(", {} at a time", args.handshakes)),
            (Scenario::Churn, None) => text.push_str(", closed loop"),
            (_, Some(rate)) => text.push_str(&format!(", open loop at {rate}/s")),
            (_, None) => text.push_str(&format!(", closed loop, {} under way", self.in_flight)),
        }
        if self.learned.event.is_some() || self.scenario == Scenario::Rooms {
            text.push_str(&format!(", {} B of payload", args.payload));
        }
        text
    }

    /// The same for machines.
    pub(super) fn parameters(&self, args: &BenchArgs) -> Value {
        json!({
            "connections": self.connections,
            "threads": self.threads,
            "in_flight": self.in_flight,
            "rate": self.rate.map(|rate| rate.to_string()),
            "payload": args.payload,
            "duration_s": self.duration.as_secs_f64(),
            "warmup_s": args.warmup.as_secs_f64(),
            "slow": self.slow,
            "rooms": (self.scenario == Scenario::Rooms).then_some(self.rooms),
            "members": (self.scenario == Scenario::Rooms).then_some(self.members),
        })
    }

    /// What one thread does, to be called in it.
    pub(super) fn thread(&self, at: usize, poll: Poll, shared: Arc<Shared>) -> std::io::Result<Tally> {
        let tally = Tally::new((self.duration / 60).max(Duration::from_secs(1)));
        let turn = (at, self.threads);
        let (first, count) = self.share(at);
        let open = self.rate.map(|rate| (rate.divided(self.threads), self.duration));
        let event = || self.learned.event.clone().unwrap_or_else(|| unreachable!("learned by the probe"));

        if self.scenario == Scenario::Polling {
            let answer = self.learned.answer.clone();
            let terms = polling::Terms {
                targets: self.targets.clone(),
                event: event(),
                answer: answer.unwrap_or_else(|| unreachable!("learned by the probe")),
                count,
                first,
                handshakes: self.handshakes,
                patience: self.timeout,
                in_flight: self.in_flight,
                rate: open,
                turn,
            };
            return polling::Driver::new(poll, terms, shared, tally)?.run();
        }

        let slow = self.slow / self.threads + usize::from(at >= self.threads - self.slow % self.threads);
        let slow_from = count - slow.min(count - usize::from(at == 0));
        let terms = Terms {
            routes: self.targets.iter().map(|(route, target)| (route.clone(), Words::new(target))).collect(),
            answer: self.learned.answer.clone(),
            count,
            first,
            handshakes: self.handshakes,
            patience: self.timeout,
            is_open: self.rate.is_some() && matches!(self.scenario, Scenario::Connect | Scenario::Churn),
            slow_from,
        };
        // Connections begin at once or as the schedule says; churn's begin with the load.
        let mut schedule = self
            .rate
            .map(|rate| Schedule::new(rate.divided(self.threads), self.duration, shared.now(), turn));
        let starts = std::iter::from_fn(|| match (self.scenario, &mut schedule) {
            (Scenario::Churn, _) => None,
            (Scenario::Connect, Some(schedule)) => {
                let due = schedule.due();
                schedule.advance();
                Some(due)
            }
            _ => Some(0),
        });
        match self.scenario {
            Scenario::Connect => Driver::new(poll, Connect, terms, shared, tally, starts)?.run(),
            Scenario::Idle => Driver::new(poll, Idle, terms, shared, tally, starts)?.run(),
            Scenario::Echo | Scenario::Binary | Scenario::Polling => {
                let echo = match open {
                    Some((rate, over)) => Echo::open(event(), self.in_flight, rate, over, turn),
                    None => Echo::closed(event(), self.in_flight),
                };
                Driver::new(poll, echo, terms, shared, tally, starts)?.run()
            }
            Scenario::Churn => {
                Driver::new(poll, Churn::new(event(), open, turn), terms, shared, tally, starts)?.run()
            }
            Scenario::ReconnectStorm => {
                Driver::new(poll, Storm::new(self.spread), terms, shared, tally, starts)?.run()
            }
            Scenario::Broadcast | Scenario::SlowConsumer => {
                // One thread publishes, at the whole rate.
                let open = self.rate.map(|rate| (rate, self.duration));
                let fanout = Fanout::new(event(), self.board.clone(), at, self.in_flight, open, slow_from);
                Driver::new(poll, fanout, terms, shared, tally, starts)?.run()
            }
            Scenario::Rooms => {
                let rooms = first / self.members..(first + count) / self.members;
                let rooms = Rooms::new(
                    rooms.map(|room| self.learned.room.words(room)),
                    self.members,
                    format!("43{}0[", self.learned.room.prefix),
                    self.in_flight.div_ceil(self.threads),
                    open,
                    turn,
                );
                Driver::new(poll, rooms, terms, shared, tally, starts)?.run()
            }
        }
    }

    /// The first connection of a thread, and how many it has. A room is never divided.
    fn share(&self, at: usize) -> (usize, usize) {
        let unit = if self.scenario == Scenario::Rooms { self.members } else { 1 };
        let units = self.connections / unit;
        let (from, to) = (units * at / self.threads, units * (at + 1) / self.threads);
        (from * unit, (to - from) * unit)
    }
}

/// Lets the probe find out how the server answers what the scenario says.
fn learn(args: &BenchArgs, target: &Target, probe: &mut Probe) -> anyhow::Result<Learned> {
    let prefix = target.prefix();
    let filling = args.payload as usize;
    let quoted = |name: &str| Value::from(name).to_string();
    let mut learned = Learned::default();
    match args.scenario {
        Scenario::Connect | Scenario::Idle | Scenario::ReconnectStorm => {}
        Scenario::Binary => {
            let bytes = vec![0x5a; filling];
            let packet = |id: &str| {
                let event = quoted(&args.echo_event);
                format!("451-{prefix}{id}[{event},{{\"_placeholder\":true,\"num\":0}}]")
            };
            learned.answer =
                Some(probe.acknowledgement(&args.echo_event, &packet, Some(&bytes), ID.len())?);
            let at = "451-".len() + prefix.len();
            learned.event = Some(Stamp::frame(&packet(ID), at, ID, &words::binary(&bytes)));
        }
        Scenario::Echo | Scenario::Polling | Scenario::Churn => {
            let event = quoted(&args.echo_event);
            let (packet, at) = match args.no_ack {
                false => {
                    let payload = "x".repeat(filling);
                    let packet = |id: &str| format!("42{prefix}{id}[{event},\"{payload}\"]");
                    learned.answer =
                        Some(probe.acknowledgement(&args.echo_event, &packet, None, ID.len())?);
                    (packet(ID), 2 + prefix.len())
                }
                true => {
                    let payload = format!("{ID}{}", "x".repeat(filling - ID.len()));
                    let head = format!("42{prefix}[{event},\"");
                    let packet = format!("{head}{payload}\"]");
                    learned.answer = Some(probe.delivery(&args.echo_event, &packet, &payload, ID.len())?);
                    (packet, head.len())
                }
            };
            learned.event = Some(match args.scenario {
                Scenario::Polling => Stamp::plain(&packet, at, ID),
                _ => Stamp::frame(&packet, at, ID, &[]),
            });
        }
        Scenario::Broadcast | Scenario::SlowConsumer => {
            let payload = format!("{NUMBER}{}", "x".repeat(filling - NUMBER.len()));
            let head = format!("42{prefix}[{},\"", quoted(&args.publish_event));
            let packet = format!("{head}{payload}\"]");
            learned.answer = Some(probe.delivery(&args.publish_event, &packet, &payload, NUMBER.len())?);
            learned.event = Some(Stamp::frame(&packet, head.len(), NUMBER, &[]));
        }
        Scenario::Rooms => {
            let payload = format!("{NUMBER}{}", "x".repeat(filling - NUMBER.len()));
            let join = |id: &str| format!("42{prefix}{id}[{},\"bench-probe\"]", quoted(&args.join_event));
            probe.call(&args.join_event, &join)?;
            let event = quoted(&args.publish_room_event);
            let packet = format!("42{prefix}[{event},\"bench-probe\",\"{payload}\"]");
            learned.answer =
                Some(probe.delivery(&args.publish_room_event, &packet, &payload, NUMBER.len())?);
            learned.room = RoomEvents { prefix, join: quoted(&args.join_event), publish: event, payload };
        }
    }
    Ok(learned)
}

/// What to do about a server that does not answer.
fn needed(scenario: Scenario) -> String {
    let events = match scenario {
        Scenario::Broadcast | Scenario::SlowConsumer => "`publish` (--publish-event)",
        Scenario::Rooms => {
            "`join` with an acknowledgement (--join-event) and `publish_room` (--publish-room-event)"
        }
        _ => {
            "`echo` (--echo-event names any event that is acknowledged; --no-ack one that comes back as an event)"
        }
    };
    format!(
        "the server does not answer as the scenario {scenario} needs. It needs handlers of {events}, in the namespace \
         that the URL's path names; `sockeye serve --bench` has them in /bench. On Node:\n\n{NODE_HANDLERS}\nOn \
         Sockeye:\n\n{RUST_HANDLERS}\nWhat happened"
    )
}
