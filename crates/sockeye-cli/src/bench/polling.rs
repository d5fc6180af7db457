//! Echo over long-polling: each session keeps two connections, one for the poll that waits and one for what it says.
//!
//! A driver of its own, since nothing here is a frame and a session is two sockets; the rest is as in `driver.rs`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::answer::Answer;
use super::driver::{WAKE, shortened};
use super::http;
use super::pace::{Rate, Schedule};
use super::scenario::{FIRST_ID, MOST_IN_FLIGHT};
use super::shared::{Phase, Shared};
use super::stream::{Route, Stream};
use super::tally::Tally;
use super::target::Target;
use super::timer::Timer;
use super::words::Stamp;

const TIMER: Token = Token(usize::MAX - 1);
/// Between the packets of one body.
const SEPARATOR: u8 = 0x1e;

/// What a thread of sessions is to do.
pub(super) struct Terms {
    pub(super) targets: Vec<(Route, Target)>,
    pub(super) event: Stamp,
    pub(super) answer: Answer,
    pub(super) count: usize,
    pub(super) first: usize,
    pub(super) handshakes: usize,
    pub(super) patience: Duration,
    pub(super) in_flight: usize,
    /// An open loop, and over which time its rate changes.
    pub(super) rate: Option<(Rate, Duration)>,
    pub(super) turn: (usize, usize),
}

/// One of a session's two connections.
#[derive(Default)]
struct Wire {
    stream: Option<Stream>,
    is_connected: bool,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// A request is under way.
    is_waiting: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Joining,
    Ready,
    Over,
}

struct Session {
    stage: Stage,
    /// The poll, and what is said.
    wires: [Wire; 2],
    poll: Vec<u8>,
    post: Vec<u8>,
    /// Packets that wait for the POST before them to be answered.
    pending: Vec<u8>,
    due: Vec<u64>,
    free: Vec<usize>,
    begun: u64,
}

pub(super) struct Driver {
    terms: Terms,
    sessions: Vec<Session>,
    poll: Poll,
    timer: Timer,
    shared: Arc<Shared>,
    tally: Tally,
    phase: Phase,
    schedule: Option<Schedule>,
    next: usize,
    opened: usize,
    under_way: usize,
    is_blocked: bool,
    buffer: Vec<u8>,
}

const GET: usize = 0;
const POST: usize = 1;

impl Driver {
    pub(super) fn new(poll: Poll, terms: Terms, shared: Arc<Shared>, tally: Tally) -> io::Result<Self> {
        let timer = Timer::new(poll.registry(), TIMER)?;
        Ok(Self {
            sessions: Vec::with_capacity(terms.count),
            terms,
            poll,
            timer,
            shared,
            tally,
            phase: Phase::Ramp,
            schedule: None,
            next: 0,
            opened: 0,
            under_way: 0,
            is_blocked: false,
            buffer: vec![0; 256 << 10],
        })
    }

    /// Until the phase is [`Phase::Stop`].
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        let mut told = 0;
        loop {
            let now = self.shared.now();
            let phase = self.shared.phase();
            if phase != self.phase {
                self.enter(phase, now);
            }
            if phase == Phase::Stop {
                return Ok(self.tally);
            }
            while self.opened < self.terms.count && self.under_way < self.terms.handshakes {
                self.open(now);
            }
            self.give_up_late(now);
            let next = self.due(now);
            if self.tally.done != told {
                self.shared.done.fetch_add(self.tally.done.wrapping_sub(told), Ordering::Relaxed);
                told = self.tally.done;
            }
            let wait = self.timer.until(next, self.shared.now())?;
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let token = event.token();
                if token != WAKE && token != TIMER {
                    let index = token.0 / 2;
                    if let Err(why) = self.serve(index, token.0 % 2) {
                        self.give_up(index, why);
                    }
                }
            }
        }
    }

    fn enter(&mut self, phase: Phase, now: u64) {
        self.phase = phase;
        if phase == Phase::Measure {
            self.tally.begin(now);
        } else if phase > Phase::Measure {
            self.tally.end();
        }
        self.schedule = match (phase, self.terms.rate) {
            (Phase::Warmup, Some((rate, over))) => {
                Some(Schedule::new(rate.start(), over, now, self.terms.turn))
            }
            (Phase::Measure, Some((rate, over))) => Some(Schedule::new(rate, over, now, self.terms.turn)),
            _ => None,
        };
        if phase == Phase::Warmup && self.terms.rate.is_none() {
            for index in 0..self.sessions.len() {
                for _ in 0..self.terms.in_flight {
                    self.say(index, now);
                }
                self.post(index);
            }
        }
    }

    fn open(&mut self, now: u64) {
        let index = self.opened;
        self.opened += 1;
        self.under_way += 1;
        let target = &self.terms.targets[(self.terms.first + index) % self.terms.targets.len()].1;
        let poll = get(target, None).into_bytes();
        self.sessions.push(Session {
            stage: Stage::Opening,
            wires: Default::default(),
            poll,
            post: Vec::new(),
            pending: Vec::new(),
            due: Vec::new(),
            free: Vec::new(),
            begun: now,
        });
        self.ask(index);
    }

    fn give_up_late(&mut self, now: u64) {
        if self.under_way == 0 {
            return;
        }
        let patience = self.terms.patience.as_nanos() as u64;
        for index in 0..self.sessions.len() {
            let session = &self.sessions[index];
            if matches!(session.stage, Stage::Opening | Stage::Joining) && now > session.begun + patience {
                self.give_up(index, "waited too long for the session".to_owned());
            }
        }
    }

    /// Says in an open loop what is due.
    fn due(&mut self, now: u64) -> Option<u64> {
        loop {
            let due = self.schedule.as_ref()?.due();
            if due > now {
                return Some(due);
            }
            let count = self.sessions.len();
            let start = self.next;
            let Some(index) = (0..count).map(|step| (start + step) % count).find(|&at| self.say(at, due))
            else {
                self.is_blocked = true;
                self.tally.extra("held_back", 1);
                return None;
            };
            self.next = index + 1;
            if !std::mem::take(&mut self.is_blocked) {
                self.tally.lag(now.saturating_sub(due));
            }
            if let Some(schedule) = &mut self.schedule {
                schedule.advance();
            }
            self.post(index);
        }
    }

    /// Puts one event among what a session is going to say.
    fn say(&mut self, index: usize, due: u64) -> bool {
        let session = &mut self.sessions[index];
        if session.stage != Stage::Ready {
            return false;
        }
        let most = self.terms.in_flight.min(MOST_IN_FLIGHT);
        let place = match session.free.pop() {
            Some(place) => place,
            None if session.due.len() < most => {
                session.due.push(0);
                session.due.len() - 1
            }
            None => return false,
        };
        session.due[place] = due;
        separate(&mut session.pending);
        self.terms.event.write(FIRST_ID + place as u64, &mut session.pending);
        true
    }

    /// Sends what a session has to say, unless a POST is under way.
    fn post(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        if session.pending.is_empty() || session.wires[POST].is_waiting {
            return;
        }
        let wire = &mut session.wires[POST];
        wire.out.extend_from_slice(&session.post);
        wire.out.extend_from_slice(format!("{}\r\n\r\n", session.pending.len()).as_bytes());
        wire.out.append(&mut session.pending);
        self.send(index, POST);
    }

    /// Asks for what the server has to say.
    fn ask(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        session.wires[GET].out.extend_from_slice(&session.poll);
        self.send(index, GET);
    }

    fn send(&mut self, index: usize, side: usize) {
        let number = self.terms.first + index;
        let route = &self.terms.targets[number % self.terms.targets.len()].0;
        let wire = &mut self.sessions[index].wires[side];
        wire.is_waiting = true;
        let sent = match &wire.stream {
            Some(_) => wire.flush(),
            // The first request, or the server hung up on an idle connection.
            None => route.connect(number, false).and_then(|mut stream| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(stream.socket(), Token(2 * index + side), interest)?;
                wire.stream = Some(stream);
                wire.is_connected = false;
                Ok(())
            }),
        };
        if let Err(error) = sent {
            self.give_up(index, format!("writing: {error}"));
        }
    }

    fn serve(&mut self, index: usize, side: usize) -> Result<(), String> {
        let Some(session) = self.sessions.get_mut(index) else { return Ok(()) };
        let wire = &mut session.wires[side];
        let Some(stream) = &mut wire.stream else { return Ok(()) };
        if !wire.is_connected {
            wire.is_connected = stream.is_connected().map_err(|error| format!("connecting: {error}"))?;
        }
        stream.flush().map_err(|error| format!("writing: {error}"))?;
        wire.flush().map_err(|error| format!("writing: {error}"))?;
        loop {
            let wire = &mut self.sessions[index].wires[side];
            let Some(stream) = &mut wire.stream else { return Ok(()) };
            match stream.read(&mut self.buffer) {
                Ok(0) if !wire.is_waiting => {
                    wire.stream = None;
                    return Ok(());
                }
                Ok(0) => return Err("the server hung up on a request".to_owned()),
                Ok(count) => {
                    let is_last = count < self.buffer.len() && stream.short_read_is_last();
                    self.receive(index, side, count)?;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
    }

    /// `count` bytes have come into the buffer.
    fn receive(&mut self, index: usize, side: usize, count: usize) -> Result<(), String> {
        let now = self.shared.now();
        let wire = &mut self.sessions[index].wires[side];
        let carried = !wire.input.is_empty();
        let bytes = if carried {
            wire.input.extend_from_slice(&self.buffer[..count]);
            std::mem::take(&mut wire.input)
        } else {
            std::mem::take(&mut self.buffer)
        };
        let input = if carried { bytes.as_slice() } else { &bytes[..count] };
        let result = match http::response(input) {
            Err(what) => Err(format!("the server's answer is {what}")),
            Ok(None) => {
                self.sessions[index].wires[side].input = input.to_vec();
                Ok(())
            }
            // One request, one answer: nothing follows.
            Ok(Some(answer)) if answer.taken < input.len() => Err("an answer nobody asked for".to_owned()),
            Ok(Some(answer)) => {
                let wire = &mut self.sessions[index].wires[side];
                wire.is_waiting = false;
                if answer.closes {
                    wire.stream = None;
                }
                match answer.status {
                    200 => self.answered(index, side, &answer.body, now),
                    status => {
                        let body = shortened(&String::from_utf8_lossy(&answer.body));
                        Err(format!("HTTP {status}: {body}"))
                    }
                }
            }
        };
        if !carried {
            self.buffer = bytes;
        }
        result
    }

    fn answered(&mut self, index: usize, side: usize, body: &[u8], now: u64) -> Result<(), String> {
        if side == GET {
            for packet in body.split(|&byte| byte == SEPARATOR) {
                self.packet(index, packet, now)?;
            }
        }
        // What was said first, as a page does that answers from its handler.
        self.post(index);
        if side == GET {
            self.ask(index);
        }
        Ok(())
    }

    fn packet(&mut self, index: usize, packet: &[u8], now: u64) -> Result<(), String> {
        let number = self.terms.first + index;
        let target = &self.terms.targets[number % self.terms.targets.len()].1;
        let session = &mut self.sessions[index];
        match session.stage {
            Stage::Opening => {
                let open = packet.strip_prefix(b"0").ok_or("the first packet is not the opening one")?;
                let open: serde_json::Value =
                    serde_json::from_slice(open).map_err(|_| "an opening packet that is not JSON")?;
                let sid = open["sid"].as_str().ok_or("an opening packet without sid")?;
                if sid.contains(['\r', '\n', ' ']) {
                    return Err("a session id that no URL can hold".to_owned());
                }
                session.poll = get(target, Some(sid)).into_bytes();
                session.post = post(target, sid).into_bytes();
                session.pending = target.connect_packet().into_bytes();
                session.stage = Stage::Joining;
            }
            Stage::Joining if packet.starts_with(b"40") => {
                session.stage = Stage::Ready;
                self.under_way -= 1;
                self.tally.connect(now - session.begun);
                self.shared.up.fetch_add(1, Ordering::Relaxed);
            }
            Stage::Joining if packet.starts_with(b"44") => {
                let what = shortened(&String::from_utf8_lossy(packet));
                return Err(format!("the namespace refused: {what}"));
            }
            _ if packet == b"2" => {
                separate(&mut session.pending);
                session.pending.push(b'3');
                self.tally.extra("heartbeats", 1);
            }
            _ if packet == b"1" || packet.starts_with(b"41") => {
                return Err("the server disconnected the session".to_owned());
            }
            Stage::Ready => {
                match std::str::from_utf8(packet).ok().and_then(|text| self.terms.answer.number(text)) {
                    Some(number) => self.echoed(index, number, now)?,
                    None => self.tally.extra("other_packets", 1),
                }
            }
            Stage::Joining | Stage::Over => {}
        }
        Ok(())
    }

    fn echoed(&mut self, index: usize, number: u64, now: u64) -> Result<(), String> {
        let session = &mut self.sessions[index];
        let place = number.wrapping_sub(FIRST_ID) as usize;
        let sent = match session.due.get_mut(place) {
            Some(due) if *due != 0 => std::mem::take(due),
            _ => return Err("an answer came twice".to_owned()),
        };
        session.free.push(place);
        self.tally.answer(now.saturating_sub(sent), now);
        if self.terms.rate.is_none() && self.phase <= Phase::Measure {
            self.say(index, now);
        }
        Ok(())
    }

    fn give_up(&mut self, index: usize, why: String) {
        let session = &mut self.sessions[index];
        if session.stage == Stage::Over {
            return;
        }
        if session.stage != Stage::Ready {
            self.under_way -= 1;
        }
        session.stage = Stage::Over;
        session.wires = Default::default();
        self.tally.fault(why);
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wire {
    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.is_connected) else { return Ok(()) };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

fn separate(packets: &mut Vec<u8>) {
    if !packets.is_empty() {
        packets.push(SEPARATOR);
    }
}

fn get(target: &Target, sid: Option<&str>) -> String {
    let path = target.request_path("polling", sid);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n{}\r\n",
        target.host_header(),
        target.headers()
    )
}

/// Up to the number of its Content-Length.
fn post(target: &Target, sid: &str) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n{}Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ",
        target.request_path("polling", Some(sid)),
        target.host_header(),
        target.headers(),
    )
}
