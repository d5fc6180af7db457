//! Laws of the client machine under any interleaving of work, waiting and cuts, against a small honest server.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use sockeye_proto::client::{
    Backoff, Call, Client, Config, Emit, Frame, Output, Reconnection, SocketId, SocketOptions, Transports,
    Wire,
};
use sockeye_proto::engine::{self, Content, Data, Kind};
use sockeye_proto::socket::Payload;

#[derive(Debug, Clone)]
enum Move {
    Emit,
    Call,
    Volatile,
    /// The network does so many of the things it was asked to.
    Work(u8),
    /// Polls that wait come back.
    Answer,
    Cut,
    Wait(u16),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let each = prop_oneof![
        4 => Just(Move::Emit),
        2 => Just(Move::Call),
        1 => Just(Move::Volatile),
        6 => (1..6_u8).prop_map(Move::Work),
        4 => Just(Move::Answer),
        1 => Just(Move::Cut),
        2 => (1..4000_u16).prop_map(Move::Wait),
    ];
    proptest::collection::vec(each, 0..120)
}

fn transports() -> impl Strategy<Value = Transports> {
    prop_oneof![Just(Transports::Polling), Just(Transports::WebSocket), Just(Transports::Upgrade)]
}

proptest! {
    #[test]
    fn order_is_kept_and_nothing_doubled_whatever_is_cut(transports in transports(), moves in moves()) {
        let mut world = World::new(transports, SocketOptions::default());
        world.play(&moves);
        world.settle();
        let heard = &world.server.heard;
        prop_assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "{heard:?}");
        // Whatever was emitted after the last cut has arrived.
        let safe: Vec<u32> = (world.safe_from..world.emitted).filter(|n| !world.volatile.contains(n)).collect();
        prop_assert!(safe.iter().all(|n| heard.contains(n)), "{safe:?} of {heard:?}");
        world.check_calls()?;
    }

    #[test]
    fn retries_lose_nothing_and_keep_the_order_of_first_arrival(transports in transports(), moves in moves()) {
        let options = SocketOptions {
            retries: u32::MAX,
            ack_timeout: Some(Duration::from_secs(3)),
            ..SocketOptions::default()
        };
        let mut world = World::new(transports, options);
        world.play(&moves);
        world.settle();
        let mut seen = BTreeSet::new();
        let first: Vec<u32> = world
            .server
            .heard
            .iter()
            .copied()
            .filter(|n| !world.volatile.contains(n) && seen.insert(*n))
            .collect();
        let all: Vec<u32> = (0..world.emitted).filter(|n| !world.volatile.contains(n)).collect();
        prop_assert_eq!(first, all);
        world.check_calls()?;
    }

    #[test]
    fn delays_are_never_nothing_and_never_above_the_ceiling(random: u64, jitter in 0.0..=1.0_f64) {
        let plan = Reconnection { jitter, ..Reconnection::default() };
        let mut backoff = Backoff::new(plan, random);
        let delays: Vec<Duration> = (0..3000).map(|_| backoff.delay()).collect();
        prop_assert!(delays.iter().all(|delay| *delay <= plan.max));
        let least = plan.min.mul_f64(1.0 - jitter).saturating_sub(Duration::from_nanos(10));
        prop_assert!(delays.iter().all(|delay| *delay >= least));
        // Also at the ceiling, and also after a thousand attempts, there is jitter around it.
        if jitter > 0.01 {
            let late: BTreeSet<Duration> = delays[1020..].iter().copied().collect();
            prop_assert!(late.len() > 100);
        }
        let floor = plan.max.mul_f64(1.0 - jitter).saturating_sub(Duration::from_nanos(10));
        prop_assert!(delays[3..].iter().all(|delay| *delay >= floor));
    }

    #[test]
    fn no_noise_makes_it_panic_or_spin(
        transports in transports(),
        noise in proptest::collection::vec((0..6_u8, noise()), 0..40),
    ) {
        let mut client = Client::new(Config { transports, ..Config::default() }, 1);
        let socket = client.socket("/", SocketOptions::default());
        let mut now = Duration::ZERO;
        client.connect(socket, now);
        let mut connection = 0;
        for (kind, text) in noise {
            match kind {
                0 | 1 => client.polled(connection, text.as_bytes(), Content::Text, now),
                2 => client.websocket_opened(connection, now),
                3 => client.websocket_text(connection, &text, now),
                4 => client.websocket_binary(connection, text.as_bytes(), now),
                _ => client.posted(connection, now),
            }
            let mut outputs = 0;
            while let Some(output) = client.poll() {
                outputs += 1;
                prop_assert!(outputs < 1000);
                if let Output::Wire { connection: number, .. } = output {
                    connection = number;
                }
            }
            if let Some(deadline) = client.deadline() {
                prop_assert!(deadline > now, "a deadline that has passed: the driver would spin");
                now += Duration::from_millis(50);
                client.timer(now);
            }
        }
    }
}

fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#"0{"sid":"s","upgrades":["websocket","x"],"pingInterval":0,"pingTimeout":1e300,"maxPayload":-1}"#.to_owned()),
        Just(r#"40{"sid":"a","pid":"p"}"#.to_owned()),
        Just("44{\"message\":1}".to_owned()),
        Just("41".to_owned()),
        Just("1".to_owned()),
        Just("2".to_owned()),
        Just("3probe".to_owned()),
        Just("6\u{1e}6\u{1e}6".to_owned()),
        Just(r#"430["x"]"#.to_owned()),
        Just(r#"427["x","y"]"#.to_owned()),
        "[0-6]{1,3}[\\[{\"a,}\\]]{0,6}",
    ]
}

// ---- a client and a server in one thread ------------------------------------------------------------------------------

struct World {
    client: Client,
    socket: SocketId,
    now: Duration,
    /// What the client asked the network to do, in order, for the connection of this number.
    asked: VecDeque<Wire>,
    connection: u32,
    server: Server,
    emitted: u32,
    volatile: BTreeSet<u32>,
    calls: Vec<Call>,
    ended: Vec<Call>,
    /// From this event on nothing was cut.
    safe_from: u32,
}

/// What the server knows. Everything but `heard` belongs to one connection.
#[derive(Default)]
struct Server {
    heard: Vec<u32>,
    outbox: Vec<String>,
    polling: bool,
    websocket: bool,
    probed: bool,
    opened: bool,
}

impl World {
    fn new(transports: Transports, options: SocketOptions) -> World {
        let mut client = Client::new(Config { transports, ..Config::default() }, 7);
        let socket = client.socket("/", options);
        client.connect(socket, Duration::ZERO);
        let mut world = World {
            client,
            socket,
            now: Duration::ZERO,
            asked: VecDeque::new(),
            connection: 0,
            server: Server::default(),
            emitted: 0,
            volatile: BTreeSet::new(),
            calls: Vec::new(),
            ended: Vec::new(),
            safe_from: 0,
        };
        world.drain();
        world
    }

    fn play(&mut self, moves: &[Move]) {
        for each in moves {
            match each {
                Move::Emit => self.emit(Emit::default()),
                Move::Call => self.emit(Emit { ack: true, ..Emit::default() }),
                Move::Volatile => self.emit(Emit { volatile: true, ..Emit::default() }),
                Move::Work(times) => (0..*times).for_each(|_| self.work()),
                Move::Answer => self.answer(),
                Move::Cut => {
                    let message = Some("cut".to_owned());
                    match self.server.polling {
                        true => self.client.request_failed(self.connection, false, "cut".into(), self.now),
                        false => self.client.websocket_closed(self.connection, message, self.now),
                    }
                    self.safe_from = self.emitted;
                    self.drain();
                }
                Move::Wait(ms) => self.wait(Duration::from_millis((*ms).into())),
            }
        }
    }

    /// No more cuts: everything that can still happen happens.
    fn settle(&mut self) {
        for _ in 0..3000 {
            self.work();
            self.answer();
            if self.asked.is_empty() && self.server.outbox.is_empty() {
                self.wait(Duration::from_millis(10));
            }
        }
    }

    fn emit(&mut self, how: Emit) {
        let payload = Payload::event("e", &self.emitted).unwrap();
        if how.volatile {
            self.volatile.insert(self.emitted);
        }
        self.emitted += 1;
        if let Ok(Some(call)) = self.client.emit(self.socket, payload, how, self.now) {
            self.calls.push(call);
        }
        self.drain();
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.client.deadline()
            && next <= until
        {
            self.now = self.now.max(next);
            self.client.timer(self.now);
            self.drain();
        }
        self.now = until;
        // The server's pings: it is honest, and never silent for long.
        if self.server.opened {
            self.server.outbox.push("2".to_owned());
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll() {
            match output {
                Output::Wire { connection, wire } => {
                    if connection != self.connection {
                        self.connection = connection;
                        let heard = std::mem::take(&mut self.server.heard);
                        self.server = Server { heard, ..Server::default() };
                        self.asked.clear();
                    }
                    match wire {
                        Wire::Abandon => {
                            self.asked.clear();
                            let heard = std::mem::take(&mut self.server.heard);
                            self.server = Server { heard, ..Server::default() };
                        }
                        wire => self.asked.push_back(wire),
                    }
                }
                Output::Answer { call, .. } | Output::Unanswered { call, .. } => self.ended.push(call),
                // A client that loses what it did not give to the network yet loses it for good.
                Output::Lost(_) => self.safe_from = self.emitted,
                _ => {}
            }
        }
    }

    /// The network does the next thing it was asked to.
    fn work(&mut self) {
        let Some(wire) = self.asked.pop_front() else { return };
        match wire {
            Wire::Get { .. } => {
                self.server.polling = true;
                if !self.server.opened {
                    self.open(r#"["websocket"]"#);
                    self.answer();
                }
            }
            Wire::Post { payload, .. } => {
                for packet in engine::Payload::body(&payload.body, payload.content, engine::Protocol::V4) {
                    self.server.packet(&packet.unwrap());
                }
                self.client.posted(self.connection, self.now);
            }
            Wire::Dial { .. } => {
                self.client.websocket_opened(self.connection, self.now);
                if !self.server.opened {
                    self.server.websocket = true;
                    self.open("[]");
                }
            }
            Wire::Write(frames) => {
                for frame in frames {
                    let text = match &frame {
                        Frame::Packet("2probe") => {
                            self.server.probed = true;
                            self.client.websocket_text(self.connection, "3probe", self.now);
                            continue;
                        }
                        Frame::Packet("5") => {
                            assert!(!self.server.polling, "polling had to be at rest");
                            self.server.websocket = true;
                            continue;
                        }
                        Frame::Packet(text) => (*text).to_owned(),
                        Frame::Message(message) => String::from_utf8(message.packet().to_vec()).unwrap(),
                    };
                    assert!(self.server.websocket, "nothing may be said before the upgrade is complete");
                    self.server.packet(&engine::decode_text(&text, engine::Protocol::V4).unwrap());
                }
                self.client.written(self.connection, self.now);
            }
            Wire::HangUp | Wire::Abandon => {}
        }
        self.drain();
    }

    fn open(&mut self, upgrades: &str) {
        self.server.opened = true;
        self.server.outbox.push(format!(
            r#"0{{"sid":"s","upgrades":{upgrades},"pingInterval":25000,"pingTimeout":20000,"maxPayload":40}}"#
        ));
    }

    /// What the server has to say reaches the client.
    fn answer(&mut self) {
        if self.server.websocket {
            for text in std::mem::take(&mut self.server.outbox) {
                self.client.websocket_text(self.connection, &text, self.now);
            }
        } else if self.server.polling && (self.server.probed || !self.server.outbox.is_empty()) {
            self.server.polling = false;
            let mut packets = std::mem::take(&mut self.server.outbox);
            if packets.is_empty() {
                packets.push("6".to_owned());
            }
            self.client.polled(self.connection, packets.join("\x1e").as_bytes(), Content::Text, self.now);
        }
        self.drain();
    }

    /// Every call has ended, once.
    fn check_calls(&self) -> Result<(), TestCaseError> {
        let mut ended = self.ended.clone();
        ended.sort();
        prop_assert_eq!(&ended, &self.calls);
        Ok(())
    }
}

impl Server {
    fn packet(&mut self, packet: &engine::Packet<'_>) {
        let (Kind::Message, Data::Text(text)) = (packet.kind, &packet.data) else { return };
        if text == "0" {
            self.outbox.push(r#"40{"sid":"a"}"#.to_owned());
            return;
        }
        let (id, rest) = text.strip_prefix('2').unwrap().split_once('[').unwrap();
        let (_, number) = rest.strip_suffix(']').unwrap().split_once(',').unwrap();
        self.heard.push(number.parse().unwrap());
        if !id.is_empty() {
            self.outbox.push(format!("43{id}[]"));
        }
    }
}
