//! Every order of arrival, to the end: from each way a session can begin, every input is tried in every state that
//! can be reached, until no new state appears. States that differ only by the date count as one, and the timers are
//! a few milliseconds long, so "every" is a number that a test can visit.
//!
//! The world around the machine is a driver that does what it is told, and a client that may do anything a client
//! can do, except to speak on a WebSocket before it may (that is in the inputs as "wrong packet" as well).
//!
//! What has to hold is in [`World::obey`], [`World::inspect`], [`dies_in_silence`], [`dies_without_pongs`],
//! [`stops_probing`] and [`lives_while_answering`].

use std::collections::{HashSet, VecDeque};

use super::*;

const TIMING: Timing = Timing {
    ping_interval: Duration::from_millis(5),
    ping_timeout: Duration::from_millis(3),
    upgrade_timeout: Duration::from_millis(4),
};
/// States are compared at this date.
const EPOCH: Duration = Duration::from_secs(1_000_000);

#[test]
fn small() {
    // One of these lives in every idle connection.
    assert!(size_of::<Session>() <= 64, "{} bytes", size_of::<Session>());
}

#[test]
fn every_order_of_arrival() {
    for protocol in [Protocol::V4, Protocol::V3] {
        for transport in [Transport::Polling, Transport::WebSocket] {
            explore(protocol, transport);
        }
    }
}

fn explore(protocol: Protocol, transport: Transport) {
    let start = World::new(protocol, transport);
    let mut found = vec![Found { world: start.clone(), from: 0, by: None, depth: 0 }];
    let mut known = HashSet::from([start]);
    let mut queue = VecDeque::from([0]);
    let (mut steps, mut closed) = (0_u64, 0_u64);
    while let Some(at) = queue.pop_front() {
        let world = found[at].world.clone();
        closed += u64::from(world.session.is_closed());
        judge(&found, at, None, || dies_in_silence(world.clone()));
        judge(&found, at, None, || dies_without_pongs(world.clone()));
        judge(&found, at, None, || stops_probing(world.clone()));
        judge(&found, at, None, || lives_while_answering(world.clone()));
        for input in Input::ALL {
            let mut next = world.clone();
            if !next.possible(input) {
                continue;
            }
            steps += 1;
            judge(&found, at, Some(input), || next.step(input));
            next.rebase();
            if !known.contains(&next) {
                known.insert(next.clone());
                queue.push_back(found.len());
                let depth = found[at].depth + 1;
                found.push(Found { world: next, from: at, by: Some(input), depth });
            }
        }
    }
    let deepest = found.iter().map(|found| found.depth).max().unwrap_or(0);
    println!(
        "{protocol:?} from {transport:?}: {} states ({closed} closed), {steps} steps, all within {deepest} inputs",
        found.len()
    );
    let enough = if transport == Transport::Polling { 1_000 } else { 8 };
    assert!(found.len() > enough, "the model explores nothing");
}

struct Found {
    world: World,
    from: usize,
    by: Option<Input>,
    depth: usize,
}

fn path_to(found: &[Found], mut at: usize) -> String {
    let mut inputs = Vec::new();
    while let Some(input) = found[at].by {
        inputs.push(format!("{input:?}"));
        at = found[at].from;
    }
    inputs.reverse();
    inputs.join(" ")
}

/// Runs a check and, should it fail, tells by which inputs one gets there.
fn judge(found: &[Found], at: usize, then: Option<Input>, check: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)) {
        eprintln!("after: {}; then {then:?}", path_to(found, at));
        std::panic::resume_unwind(panic);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Input {
    Poll,
    PollLost,
    MessagesLost,
    Post,
    PostPacket(Wire),
    PostDone,
    PostRefused,
    PostFailed,
    Candidate,
    WebSocket(Wire),
    WebSocketClosed,
    WebSocketFault,
    Say,
    Close,
    Abort,
    /// One millisecond, with the timer if it is due.
    Tick,
    /// One millisecond in which the driver does not get to the timer.
    LateTick,
    /// To the next deadline.
    Wait,
    Excuse,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Probe,
    Upgrade,
    Message,
    Ping,
    Pong,
    Close,
    Noop,
    Garbage,
}

impl Input {
    const ALL: [Input; 33] = {
        use Input::*;
        [
            Poll,
            PollLost,
            MessagesLost,
            Post,
            PostPacket(Wire::Probe),
            PostPacket(Wire::Upgrade),
            PostPacket(Wire::Message),
            PostPacket(Wire::Ping),
            PostPacket(Wire::Pong),
            PostPacket(Wire::Close),
            PostPacket(Wire::Noop),
            PostPacket(Wire::Garbage),
            PostDone,
            PostRefused,
            PostFailed,
            Candidate,
            WebSocket(Wire::Probe),
            WebSocket(Wire::Upgrade),
            WebSocket(Wire::Message),
            WebSocket(Wire::Ping),
            WebSocket(Wire::Pong),
            WebSocket(Wire::Close),
            WebSocket(Wire::Noop),
            WebSocket(Wire::Garbage),
            WebSocketClosed,
            WebSocketFault,
            Say,
            Close,
            Abort,
            Tick,
            LateTick,
            Wait,
            Excuse,
        ]
    };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    session: Session,
    now: Duration,
    /// The driver's books: what it holds for the session.
    poll: bool,
    post: bool,
    websocket: Option<Lane>,
    queued: u8,
    /// Whether the end was told.
    ended: bool,
    /// Whether the client has a ping it has not answered.
    pinged: bool,
}

impl World {
    fn new(protocol: Protocol, transport: Transport) -> World {
        let polling = transport == Transport::Polling;
        let session = if polling { Session::polling } else { Session::websocket };
        let mut world = World {
            session: session(protocol, TIMING, EPOCH),
            now: EPOCH,
            poll: polling,
            post: false,
            websocket: (!polling).then_some(Lane::WebSocket),
            queued: 0,
            ended: false,
            pinged: false,
        };
        world.settle();
        world.rebase();
        world
    }

    /// Moves everything so that it is [`EPOCH`].
    fn rebase(&mut self) {
        let shift = nanos(self.now) as i128 - nanos(EPOCH) as i128;
        // What fell due long ago is due; how long ago makes no difference.
        let move_to = |at: &mut Nanos| *at = (*at as i128 - shift).max(nanos(EPOCH) as i128) as Nanos;
        match &mut self.session.life {
            Life::Open(Heart::Resting { ping_at }) => move_to(ping_at),
            Life::Open(Heart::Waiting { give_up_at, .. } | Heart::Listening { give_up_at }) => {
                move_to(give_up_at)
            }
            Life::Closing { by, .. } => move_to(by),
            Life::Closed => {}
        }
        if let Transports::Probing { give_up_at, .. } = &mut self.session.transports {
            move_to(give_up_at);
        }
        self.now = EPOCH;
    }

    fn possible(&self, input: Input) -> bool {
        match input {
            Input::PollLost => self.poll,
            Input::PostPacket(_) | Input::PostDone | Input::PostRefused | Input::PostFailed => self.post,
            Input::Candidate => true,
            Input::WebSocket(_) => self.websocket.is_some_and(|lane| self.session.may_read(lane)),
            Input::WebSocketClosed | Input::WebSocketFault => self.websocket.is_some(),
            Input::Say => self.queued < 2 && self.session.is_open(),
            // Nothing comes of time after the end; thirty seconds of closing in milliseconds lead nowhere new.
            Input::Tick | Input::LateTick => self.session.is_open(),
            Input::Wait => !self.session.is_closed(),
            _ => true,
        }
    }

    fn step(&mut self, input: Input) {
        let (was_open, was_probing, was_closing) =
            (self.session.is_open(), self.session.is_probing(), self.session.is_closing());
        let now = self.now;
        match input {
            Input::Poll => match self.session.handle_poll(now) {
                Admission::Held => {
                    assert!(!self.poll, "two polls held");
                    self.poll = true;
                }
                Admission::Overlap => assert!(self.poll && self.session.is_closed()),
                Admission::Mismatch => assert_eq!(self.session.transport(), Transport::WebSocket),
                Admission::Gone => assert!(self.ended),
            },
            Input::PollLost => {
                self.poll = false;
                self.session.handle_poll_lost(now);
                assert!(self.session.is_closed());
            }
            Input::MessagesLost => {
                self.session.handle_messages_lost(now);
                assert!(self.session.is_closed());
            }
            Input::Post => match self.session.handle_post(now) {
                Admission::Held => {
                    assert!(!self.post, "two posts held");
                    self.post = true;
                }
                Admission::Overlap => assert!(self.post && self.session.is_closed()),
                Admission::Mismatch => assert_eq!(self.session.transport(), Transport::WebSocket),
                Admission::Gone => assert!(self.ended),
            },
            Input::PostPacket(wire) => self.packet(Lane::Polling, wire),
            Input::PostDone => self.session.handle_post_done(now),
            Input::PostRefused => {
                self.post = false;
                self.session.handle_post_refused(now);
                assert_eq!(self.session.is_open(), was_open);
            }
            Input::PostFailed => {
                self.post = false;
                self.session.handle_post_failed(Fault::PostLost, now);
                assert!(self.session.is_closed());
            }
            Input::Candidate => match self.session.handle_candidate(now) {
                Admission::Held => {
                    assert_eq!(self.websocket, None, "two WebSockets");
                    self.websocket = Some(Lane::Candidate);
                }
                Admission::Gone => assert!(self.ended),
                Admission::Overlap => assert!(self.websocket.is_some() || was_closing),
                Admission::Mismatch => panic!("a candidate names its transport rightly"),
            },
            Input::WebSocket(wire) => {
                let lane = self.websocket.expect("possible");
                self.packet(lane, wire);
            }
            Input::WebSocketClosed | Input::WebSocketFault => {
                let lane = self.websocket.take().expect("possible");
                let fault = (input == Input::WebSocketFault).then_some(Fault::Frame);
                self.session.handle_websocket_lost(lane, fault, now);
                assert_eq!(
                    self.session.is_closed(),
                    lane == Lane::WebSocket,
                    "only the session's own ends it"
                );
            }
            Input::Say => self.queued += 1,
            Input::Close => self.session.close(now),
            Input::Abort => self.session.abort(now),
            Input::Excuse => self.session.excuse_silence(now),
            Input::LateTick => self.now += Duration::from_millis(1),
            Input::Tick => {
                self.now += Duration::from_millis(1);
                self.session.handle_timeout(self.now);
            }
            Input::Wait => {
                self.now = self.session.deadline().expect("a deadline").max(self.now);
                self.session.handle_timeout(self.now);
            }
        }
        // A probe is no danger to the session it probes, whatever comes of it.
        let about_the_probe = matches!(input, Input::Candidate | Input::WebSocket(_)) && was_probing;
        if about_the_probe {
            assert!(!self.session.is_closed() || was_closing, "the probe killed the session");
        }
        self.settle();
        if matches!(input, Input::Tick | Input::Wait) {
            let due = self.session.deadline().is_none_or(|until| until > self.now);
            assert!(due, "the timer would fire again at once");
        }
    }

    fn packet(&mut self, lane: Lane, wire: Wire) {
        let packet = match wire {
            Wire::Probe => Packet::text(Kind::Ping, "probe"),
            Wire::Upgrade => Packet::text(Kind::Upgrade, ""),
            Wire::Message => Packet::text(Kind::Message, "x"),
            Wire::Ping => Packet::text(Kind::Ping, ""),
            Wire::Pong => Packet::text(Kind::Pong, ""),
            Wire::Close => Packet::text(Kind::Close, ""),
            Wire::Noop => Packet::text(Kind::Noop, ""),
            Wire::Garbage => return self.session.handle_undecodable(lane, self.now),
        };
        if wire == Wire::Pong && lane != Lane::Candidate {
            self.pinged = false;
        }
        let open = self.session.is_open();
        let received = self.session.handle_packet(lane, &packet, self.now);
        let deliver = open && wire == Wire::Message && lane != Lane::Candidate;
        assert_eq!(
            received == Received::Deliver,
            deliver,
            "a message of an open session is heard, and nothing else"
        );
    }

    /// What the driver does after every input.
    fn settle(&mut self) {
        self.obey();
        match self.session.outlet() {
            Outlet::Nowhere => assert_eq!(self.session.take_poll(), None),
            Outlet::Poll => {
                assert!(self.poll, "messages into a poll that is not there");
                if self.queued > 0 {
                    let answer = self.session.take_poll().expect("the poll");
                    self.answer(answer);
                }
            }
            Outlet::WebSocket => {
                assert_eq!(
                    self.websocket,
                    Some(Lane::WebSocket),
                    "messages onto a WebSocket that is not there"
                );
                assert_eq!(self.session.take_poll(), None);
                self.queued = 0;
            }
        }
        if self.session.is_closing() && self.queued == 0 {
            self.session.handle_drained(self.now);
        }
        self.obey();
        self.inspect();
    }

    /// Does what the machine says, and sees that it can be done.
    fn obey(&mut self) {
        loop {
            let output = self.session.output();
            assert!(
                !self.ended || matches!(output, Output::Idle { until: None }),
                "{output:?} after the end"
            );
            match output {
                Output::AnswerPoll(answer) => self.answer(answer),
                Output::AnswerPost | Output::DropPost => {
                    assert!(core::mem::take(&mut self.post), "{output:?}")
                }
                Output::SendProbe => assert_eq!(self.websocket, Some(Lane::Candidate)),
                Output::Switch => assert_eq!(self.websocket.replace(Lane::WebSocket), Some(Lane::Candidate)),
                Output::Send(control) => {
                    assert_eq!(self.websocket, Some(Lane::WebSocket));
                    self.pinged |= control == Control::Ping;
                }
                Output::CloseCandidate => assert_eq!(self.websocket.take(), Some(Lane::Candidate)),
                Output::CloseWebSocket => assert_eq!(self.websocket.take(), Some(Lane::WebSocket)),
                Output::Closed(_) => {
                    self.ended = true;
                    self.queued = 0;
                    self.pinged = false;
                }
                Output::Idle { until } => {
                    assert_eq!(until.is_some(), !self.ended, "a deadline as long as it lives");
                    let longest = TIMING.ping_interval + TIMING.ping_timeout;
                    let longest = if self.session.is_closing() { CLOSE_WAIT } else { longest };
                    assert!(until.is_none_or(|until| until <= self.now + longest));
                    return;
                }
            }
        }
    }

    fn answer(&mut self, answer: PollAnswer) {
        assert!(core::mem::take(&mut self.poll), "{answer:?} to no poll");
        if let PollAnswer::Packets(owed) = answer {
            self.pinged |= owed.ping;
            // The body holds one message; what does not fit waits its turn.
            self.queued = self.queued.saturating_sub(1);
        }
    }

    /// What holds whenever nothing is left to do.
    fn inspect(&self) {
        let session = &self.session;
        assert_eq!(session.is_closed(), self.ended, "the end is told");
        if self.ended {
            assert!(!self.poll && !self.post && self.websocket.is_none(), "everything is tied up: {self:?}");
            return;
        }
        match &session.transports {
            Transports::Polling(slots) => {
                assert_eq!((slots.poll, slots.post, None), (self.poll, self.post, self.websocket));
            }
            Transports::Probing { slots, stage, .. } => {
                assert_eq!(
                    (slots.poll, slots.post, Some(Lane::Candidate)),
                    (self.poll, self.post, self.websocket)
                );
                assert!(
                    *stage == Stage::Attached || !self.poll,
                    "a poll is kept from a client that upgrades"
                );
            }
            Transports::Leaving => {
                assert!(self.post && !self.poll);
                assert!(!session.may_read(Lane::WebSocket), "what the POST says was said before");
            }
            Transports::WebSocket => assert!(!self.post && !self.poll && session.may_read(Lane::WebSocket)),
        }
        if self.poll {
            assert_eq!(self.queued, 0, "messages wait beside a poll");
        }
        if let Transports::Polling(slots) | Transports::Probing { slots, .. } = &session.transports {
            assert!(!slots.poll || slots.owed.is_empty(), "a control packet waits beside a poll");
        }
    }
}

/// No session is immortal: from wherever it is, if the client only listens (which includes polling), it is over after
/// interval and timeout.
fn dies_in_silence(mut world: World) {
    let wait = TIMING.ping_interval + TIMING.ping_timeout;
    let end = world.now + if world.session.is_closing() { CLOSE_WAIT } else { wait };
    while !world.ended {
        if world.session.transport() == Transport::Polling && !world.poll {
            world.step(Input::Poll);
        }
        if !world.ended {
            world.step(Input::Wait);
            assert!(world.now <= end, "alive for too long");
        }
    }
}

/// Nor does talk replace the pongs of revision 4: a client that sends one message after the other and never answers a
/// ping is gone after interval and twice the timeout.
fn dies_without_pongs(mut world: World) {
    if world.session.protocol() == Protocol::V3 || !world.session.is_open() {
        return;
    }
    if world.post {
        world.step(Input::PostDone);
    }
    let end = world.now + TIMING.ping_interval + TIMING.ping_timeout * 2;
    while !world.ended {
        if world.session.transport() == Transport::WebSocket {
            world.step(Input::WebSocket(Wire::Message));
        } else {
            world.step(Input::Post);
            world.step(Input::PostPacket(Wire::Message));
            world.step(Input::PostDone);
        }
        world.step(Input::Tick);
        assert!(world.now <= end, "alive without a pong");
    }
}

/// A candidate that does nothing is gone after the upgrade timeout.
fn stops_probing(mut world: World) {
    let end = world.now + TIMING.upgrade_timeout;
    while world.session.is_probing() {
        world.step(Input::Wait);
        assert!(world.now <= end, "probing for too long");
    }
}

/// No session dies of its heartbeat while its client answers: from wherever it is, with a client that keeps a poll
/// open and answers (revision 4) or asks (revision 3) in time.
fn lives_while_answering(mut world: World) {
    if !world.session.is_open() {
        return;
    }
    // A POST that is under way is finished first; a probe is left to its timer.
    if world.post {
        world.step(Input::PostDone);
    }
    let end = world.now + (TIMING.ping_interval + TIMING.ping_timeout) * 4;
    while world.now < end {
        if world.session.transport() == Transport::Polling && !world.poll {
            world.step(Input::Poll);
        }
        let beat = match world.session.protocol() {
            Protocol::V4 => world.pinged.then_some(Wire::Pong),
            Protocol::V3 => Some(Wire::Ping),
        };
        if let Some(beat) = beat {
            if world.session.transport() == Transport::WebSocket {
                world.step(Input::WebSocket(beat));
            } else {
                world.step(Input::Post);
                world.step(Input::PostPacket(beat));
                world.step(Input::PostDone);
            }
            if world.session.transport() == Transport::Polling && !world.poll {
                world.step(Input::Poll);
            }
        }
        // As late as a client may be.
        world.step(Input::Tick);
        assert!(world.session.is_open(), "a client that answers was dropped");
    }
}
