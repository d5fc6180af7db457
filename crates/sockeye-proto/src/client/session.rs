//! One Engine.IO connection, from the client's side: handshake, heartbeat, polling turns, upgrade, close.
//!
//! ```text
//!             Open packet                 3probe, and GET and POST at rest
//!   Opening ─────────────► Polling ──► Probing ──► WebSocket        each of them ──► Closed
//!      └──────────────────────(WebSocket first)───────▲
//! ```
//!
//! Application messages flow past it; it keeps only those that have to wait for their turn outward. It never asks for
//! two GETs or two POSTs at once, and never spins, whatever the server answers.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use super::opening::Opening;
use super::{Failure, Reason, Step};
use crate::engine::{
    Control, Data, EncodedPayload, Form, Kind, Message, Packet, PayloadWriter, Protocol, Transport,
    encode_payload,
};

/// Polls that came back at once and brought nothing, before the next ones are spaced out.
const EMPTY_POLLS: u32 = 8;
/// How far apart those are.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// Which transports a client may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transports {
    /// Begin with long-polling, which works everywhere, and move to WebSocket if the server offers it.
    #[default]
    Upgrade,
    /// Long-polling, and nothing else.
    Polling,
    /// WebSocket at once, and nothing else.
    WebSocket,
}

/// What one connection needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) protocol: Protocol,
    pub(super) transports: Transports,
    pub(super) open_timeout: Duration,
    pub(super) upgrade_timeout: Duration,
    pub(super) close_timeout: Duration,
}

/// What the driver has to do on the network.
#[derive(Clone, PartialEq)]
pub enum Wire {
    /// Send a GET with this query (plus its own), and report its answer with
    /// [`Client::polled`](super::Client::polled).
    Get {
        /// `EIO=4&transport=polling…`; holds the session id, so it is not for logs.
        query: String,
    },
    /// Send a POST, and report with [`Client::posted`](super::Client::posted).
    Post {
        /// As above.
        query: String,
        /// The body and its type.
        payload: EncodedPayload,
    },
    /// Open a WebSocket, and report with [`Client::websocket_opened`](super::Client::websocket_opened) or
    /// [`Client::websocket_closed`](super::Client::websocket_closed).
    Dial {
        /// As above.
        query: String,
    },
    /// Write these frames, in order, and report with [`Client::written`](super::Client::written) when they have left.
    Write(Vec<Frame>),
    /// Say goodbye on the WebSocket (an empty close frame) and forget it. Nothing is reported.
    HangUp,
    /// Forget all that is going on for this connection, at once. Nothing is reported.
    Abandon,
}

impl fmt::Debug for Wire {
    /// What, and how much: session ids and payloads are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wire::Get { .. } => f.write_str("Get"),
            Wire::Post { payload, .. } => write!(f, "Post({} bytes)", payload.body.len()),
            Wire::Dial { .. } => f.write_str("Dial"),
            Wire::Write(frames) => f.debug_tuple("Write").field(frames).finish(),
            Wire::HangUp => f.write_str("HangUp"),
            Wire::Abandon => f.write_str("Abandon"),
        }
    }
}

/// One message for a WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A text frame with an Engine.IO packet of ours: `2probe`, `5`, `3`, `2`.
    Packet(&'static str),
    /// A message. As a client's frames are masked, take [`Message::packet`], not its ready-made frame; a binary one
    /// has a byte `0x04` in front in revision 3.
    Message(Message),
}

/// What happened on the connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doing {
    Wire(Wire),
    Opened,
    Upgraded,
    UpgradeFailed(Failure),
    Pinged,
    Closed(Option<Reason>),
}

pub(super) struct Session {
    rules: Rules,
    state: State,
    sid: String,
    /// The largest body the server takes.
    max_payload: usize,
    /// What waits for its turn.
    outbox: VecDeque<Message>,
    outbox_bytes: usize,
    /// A heartbeat packet that has to be said: our ping in revision 3, our pong in revision 4.
    owed: Option<Control>,
    steps: VecDeque<Doing>,
}

enum State {
    /// The first GET is under way, or a WebSocket is being opened or has not said its first packet.
    Opening {
        by: Duration,
    },
    Open {
        carrier: Carrier,
        heartbeat: Heartbeat,
        times: (Duration, Duration),
        ending: Ending,
    },
    Closed,
}

#[derive(Debug, Clone, Copy)]
enum Carrier {
    Polling(Polling),
    Probing {
        polling: Polling,
        candidate: Candidate,
        by: Duration,
    },
    /// How many batches of frames have been handed out and not reported as written.
    WebSocket {
        writing: u32,
    },
}

#[derive(Debug, Clone, Copy)]
struct Polling {
    get: Get,
    posting: bool,
    /// Polls in a row that brought nothing.
    empty: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Get {
    Rest,
    Waiting,
    /// The server answers with nothing, again and again: the next one is not sent before this.
    NotBefore(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Candidate {
    Dialing,
    Asked,
    /// It said `3probe`: polling comes to rest, and nothing is said anywhere until it has.
    Answered,
}

#[derive(Debug, Clone, Copy)]
enum Heartbeat {
    /// Revision 4: the server's next ping is due.
    Expect { by: Duration },
    /// Revision 3: our next ping.
    PingAt(Duration),
    /// Revision 3: the server's pong is due.
    PongBy(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    No,
    /// All that waits leaves first.
    Flushing {
        by: Duration,
    },
    /// Polling only: the close packet is under way.
    Said {
        by: Duration,
    },
}

impl Session {
    /// Begins: the first thing to do is in [`Session::step`].
    pub(super) fn new(rules: Rules, now: Duration) -> Session {
        let mut session = Session {
            rules,
            state: State::Opening { by: now.saturating_add(rules.open_timeout) },
            sid: String::new(),
            max_payload: usize::MAX,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            owed: None,
            steps: VecDeque::new(),
        };
        let wire = match rules.transports {
            Transports::WebSocket => Wire::Dial { query: session.query(Transport::WebSocket) },
            Transports::Upgrade | Transports::Polling => {
                Wire::Get { query: session.query(Transport::Polling) }
            }
        };
        session.wire(wire);
        session
    }

    /// What to do next, until there is nothing left. What was sent in between leaves together.
    pub(super) fn step(&mut self, now: Duration) -> Option<Doing> {
        if self.steps.is_empty() {
            self.go_on(now);
        }
        self.steps.pop_front()
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { ending: Ending::No, .. })
    }

    pub(super) fn sid(&self) -> &str {
        &self.sid
    }

    pub(super) fn transport(&self) -> Transport {
        match (&self.state, self.rules.transports) {
            (State::Open { carrier: Carrier::WebSocket { .. }, .. }, _) => Transport::WebSocket,
            (State::Open { .. }, _) => Transport::Polling,
            (_, Transports::WebSocket) => Transport::WebSocket,
            _ => Transport::Polling,
        }
    }

    /// Tries the move to WebSocket now, whatever the rules and the server's offer said. Whether polling was there to move
    /// away from, and no other try is under way.
    pub(super) fn upgrade(&mut self, now: Duration) -> bool {
        let State::Open { carrier, ending: Ending::No, .. } = &mut self.state else { return false };
        let Carrier::Polling(polling) = *carrier else { return false };
        let by = now.saturating_add(self.rules.upgrade_timeout);
        *carrier = Carrier::Probing { polling, candidate: Candidate::Dialing, by };
        self.wire(Wire::Dial { query: self.query(Transport::WebSocket) });
        true
    }

    /// Bytes that wait for their turn.
    pub(super) fn queued(&self) -> usize {
        self.outbox_bytes
    }

    /// Whether what is sent now would leave now.
    pub(super) fn writable(&self) -> bool {
        let State::Open { carrier, ending: Ending::No, .. } = &self.state else { return false };
        self.outbox.is_empty()
            && match carrier {
                Carrier::Polling(polling) => !polling.posting,
                Carrier::Probing { polling, candidate, .. } => {
                    *candidate != Candidate::Answered && !polling.posting
                }
                Carrier::WebSocket { writing } => *writing == 0,
            }
    }

    /// Queues messages, with nothing in between; they leave with the next [`Session::step`]. Nothing happens unless the
    /// connection is open.
    pub(super) fn send<'m>(&mut self, messages: impl Iterator<Item = &'m Message>) {
        if !self.is_open() {
            return;
        }
        for message in messages {
            self.outbox_bytes = self.outbox_bytes.saturating_add(message.payload_len());
            self.outbox.push_back(message.clone());
        }
    }

    /// Ends the connection when all that waits has left, or at the latest after the close timeout.
    pub(super) fn close(&mut self, now: Duration) {
        match &mut self.state {
            State::Opening { .. } => self.end(Some(Wire::Abandon), None),
            State::Open { carrier, ending: ending @ Ending::No, .. } => {
                *ending = Ending::Flushing { by: now.saturating_add(self.rules.close_timeout) };
                // A probe that has not been answered is not waited for; one that has been is completed.
                if let Carrier::Probing { polling, candidate, .. } = *carrier
                    && candidate != Candidate::Answered
                {
                    *carrier = Carrier::Polling(polling);
                    self.wire(Wire::HangUp);
                }
                self.go_on(now);
            }
            State::Open { .. } | State::Closed => {}
        }
    }

    /// Breaks the connection off, and says why.
    pub(super) fn fail(&mut self, reason: Reason) {
        self.end(Some(Wire::Abandon), Some(reason));
    }

    /// When [`Session::timer`] has to be called at the latest.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let (carrier, heartbeat, ending) = match &self.state {
            State::Opening { by } => return Some(*by),
            State::Open { carrier, heartbeat, ending, .. } => (carrier, heartbeat, ending),
            State::Closed => return None,
        };
        let beat = match heartbeat {
            Heartbeat::Expect { by } | Heartbeat::PingAt(by) | Heartbeat::PongBy(by) => *by,
        };
        let end = match ending {
            Ending::No => None,
            Ending::Flushing { by } | Ending::Said { by } => Some(*by),
        };
        let (polling, probe) = match carrier {
            Carrier::Polling(polling) => (Some(polling), None),
            Carrier::Probing { polling, by, .. } => (Some(polling), Some(*by)),
            Carrier::WebSocket { .. } => (None, None),
        };
        let poll = match polling {
            Some(Polling { get: Get::NotBefore(at), .. }) => Some(*at),
            _ => None,
        };
        [Some(beat), end, probe, poll].into_iter().flatten().min()
    }

    /// Time has passed.
    pub(super) fn timer(&mut self, now: Duration) {
        let timeout = self.rules.open_timeout;
        match &mut self.state {
            State::Opening { by } if *by <= now => {
                let message = format!("no answer within {timeout:?}");
                self.fail(Reason::TransportError(Failure::new(Step::Handshake, message)));
            }
            State::Open { ending: Ending::Flushing { by } | Ending::Said { by }, .. } if *by <= now => {
                self.end(Some(Wire::Abandon), None);
            }
            State::Open { heartbeat, times, .. } => {
                match *heartbeat {
                    Heartbeat::Expect { by } | Heartbeat::PongBy(by) if by <= now => {
                        return self.fail(Reason::PingTimeout);
                    }
                    Heartbeat::PingAt(at) if at <= now => {
                        *heartbeat = Heartbeat::PongBy(now.saturating_add(times.1));
                        self.owed = Some(Control::Ping);
                    }
                    _ => {}
                }
                self.probe_overdue(now);
                self.go_on(now);
            }
            State::Opening { .. } | State::Closed => {}
        }
    }

    /// A packet came in. What it carries for the layer above is handed back.
    pub(super) fn received<'a>(
        &mut self,
        packet: Packet<'a>,
        lane: Transport,
        now: Duration,
    ) -> Option<Data<'a>> {
        let (carrier, heartbeat, times) = match &mut self.state {
            State::Closed => return None,
            State::Opening { .. } => {
                self.opened(&packet, lane, now);
                return None;
            }
            State::Open { carrier, heartbeat, times, .. } => (carrier, heartbeat, times),
        };
        if let (Carrier::Probing { polling, candidate, .. }, Transport::WebSocket) = (&mut *carrier, lane) {
            match (packet.kind, &packet.data) {
                (Kind::Pong, Data::Text(text)) if text == "probe" && *candidate == Candidate::Asked => {
                    *candidate = Candidate::Answered;
                }
                _ => {
                    let polling = *polling;
                    self.probe_failed(polling, "the server answered the probe with something else", true);
                }
            }
            self.go_on(now);
            return None;
        }
        if let Heartbeat::PongBy(by) = heartbeat {
            *by = now.saturating_add(times.1);
        }
        match packet.kind {
            Kind::Message => return Some(packet.data),
            Kind::Ping if self.rules.protocol == Protocol::V4 => {
                *heartbeat = Heartbeat::Expect { by: now.saturating_add(times.0).saturating_add(times.1) };
                // One pong answers any number of pings: a server cannot make us queue them.
                self.owed = Some(Control::Pong);
                self.steps.push_back(Doing::Pinged);
                self.go_on(now);
            }
            Kind::Pong if self.rules.protocol == Protocol::V3 => {
                *heartbeat = Heartbeat::PingAt(now.saturating_add(times.0));
            }
            Kind::Close => self.fail(Reason::TransportClose),
            Kind::Open => self.fail(Reason::ParseError("a second handshake".to_owned())),
            // Stray ones do nothing.
            Kind::Noop | Kind::Ping | Kind::Pong | Kind::Upgrade => {}
        }
        None
    }

    /// A poll was answered, and its packets have been handed in; `empty` if there was nothing among them but noops.
    pub(super) fn polled(&mut self, empty: bool, now: Duration) {
        if let State::Opening { .. } = self.state {
            let failure = Failure::new(Step::Handshake, "the answer holds no handshake");
            return self.fail(Reason::TransportError(failure));
        }
        let State::Open { carrier: Carrier::Polling(polling) | Carrier::Probing { polling, .. }, .. } =
            &mut self.state
        else {
            return;
        };
        polling.empty = if empty { polling.empty.saturating_add(1) } else { 0 };
        polling.get = match polling.empty > EMPTY_POLLS {
            true => Get::NotBefore(now.saturating_add(POLL_PAUSE)),
            false => Get::Rest,
        };
        self.go_on(now);
    }

    /// A POST was taken by the server.
    pub(super) fn posted(&mut self, now: Duration) {
        let State::Open {
            carrier: Carrier::Polling(polling) | Carrier::Probing { polling, .. }, ending, ..
        } = &mut self.state
        else {
            return;
        };
        polling.posting = false;
        if let Ending::Said { .. } = ending {
            return self.end(Some(Wire::Abandon), None);
        }
        self.go_on(now);
    }

    /// A GET or a POST failed.
    pub(super) fn request_failed(&mut self, step: Step, message: String) {
        match self.state {
            State::Opening { .. } => {
                self.fail(Reason::TransportError(Failure::new(Step::Handshake, message)));
            }
            // The server may cut what is left once it has heard the close packet.
            State::Open { ending: Ending::Said { .. }, .. } => self.end(Some(Wire::Abandon), None),
            State::Open { .. } => self.fail(Reason::TransportError(Failure::new(step, message))),
            State::Closed => {}
        }
    }

    /// The WebSocket is open.
    pub(super) fn websocket_opened(&mut self) {
        if let State::Open {
            carrier: Carrier::Probing { candidate: candidate @ Candidate::Dialing, .. },
            ..
        } = &mut self.state
        {
            *candidate = Candidate::Asked;
            self.wire(Wire::Write(vec![Frame::Packet("2probe")]));
        }
    }

    /// The frames of one [`Wire::Write`] have left.
    pub(super) fn written(&mut self, now: Duration) {
        if let State::Open { carrier: Carrier::WebSocket { writing }, .. } = &mut self.state {
            *writing = writing.saturating_sub(1);
            self.go_on(now);
        }
    }

    /// The WebSocket is gone: with an error, or closed in order.
    pub(super) fn websocket_closed(&mut self, error: Option<String>, now: Duration) {
        match &self.state {
            State::Closed => {}
            State::Opening { .. } => {
                let message = error.unwrap_or_else(|| "closed before the handshake".to_owned());
                self.fail(Reason::TransportError(Failure::new(Step::Handshake, message)));
            }
            State::Open { carrier: Carrier::Polling(_), .. } => {}
            State::Open { carrier: Carrier::Probing { polling, .. }, .. } => {
                let polling = *polling;
                self.probe_failed(polling, &error.unwrap_or_else(|| "closed".to_owned()), false);
                self.go_on(now);
            }
            State::Open { ending: Ending::Flushing { .. }, .. } => self.end(Some(Wire::Abandon), None),
            State::Open { carrier: Carrier::WebSocket { .. }, .. } => self.fail(match error {
                Some(message) => Reason::TransportError(Failure::new(Step::WebSocket, message)),
                None => Reason::TransportClose,
            }),
        }
    }

    /// What came is no packet.
    pub(super) fn broken(&mut self, lane: Transport, what: &str, now: Duration) {
        match &self.state {
            State::Open { carrier: Carrier::Probing { polling, .. }, .. } if lane == Transport::WebSocket => {
                let polling = *polling;
                self.probe_failed(polling, what, true);
                self.go_on(now);
            }
            State::Opening { .. } => {
                self.fail(Reason::TransportError(Failure::new(Step::Handshake, what)));
            }
            State::Open { .. } => self.fail(Reason::ParseError(what.to_owned())),
            State::Closed => {}
        }
    }

    fn opened(&mut self, packet: &Packet<'_>, lane: Transport, now: Duration) {
        let opening = match &packet.data {
            Data::Text(text) if packet.kind == Kind::Open => Opening::read(text),
            _ => None,
        };
        let Some(opening) = opening else {
            let failure = Failure::new(Step::Handshake, "the server's first packet is no valid handshake");
            return self.fail(Reason::TransportError(failure));
        };
        self.sid = opening.sid;
        self.max_payload = opening.max_payload;
        let times = (opening.ping_interval, opening.ping_timeout);
        let heartbeat = match self.rules.protocol {
            Protocol::V4 => Heartbeat::Expect { by: now.saturating_add(times.0).saturating_add(times.1) },
            Protocol::V3 => Heartbeat::PingAt(now.saturating_add(times.0)),
        };
        // The poll that brought this is not over: `polled` comes after its packets.
        let polling = Polling { get: Get::Waiting, posting: false, empty: 0 };
        let probing = opening.websocket && self.rules.transports == Transports::Upgrade;
        let carrier = match lane {
            Transport::WebSocket => Carrier::WebSocket { writing: 0 },
            Transport::Polling if probing => Carrier::Probing {
                polling,
                candidate: Candidate::Dialing,
                by: now.saturating_add(self.rules.upgrade_timeout),
            },
            Transport::Polling => Carrier::Polling(polling),
        };
        self.state = State::Open { carrier, heartbeat, times, ending: Ending::No };
        self.steps.push_back(Doing::Opened);
        if let Carrier::Probing { .. } = carrier {
            self.wire(Wire::Dial { query: self.query(Transport::WebSocket) });
        }
    }

    fn probe_overdue(&mut self, now: Duration) {
        if let State::Open { carrier: Carrier::Probing { polling, by, .. }, .. } = &self.state
            && *by <= now
        {
            let polling = *polling;
            self.probe_failed(polling, "not finished in time", true);
        }
    }

    /// Polling goes on as if nothing had been.
    fn probe_failed(&mut self, polling: Polling, why: &str, hang_up: bool) {
        if let State::Open { carrier, .. } = &mut self.state {
            *carrier = Carrier::Polling(polling);
        }
        if hang_up {
            self.wire(Wire::HangUp);
        }
        self.steps.push_back(Doing::UpgradeFailed(Failure::new(Step::Upgrade, why)));
    }

    /// Does whatever can be done now: poll, post, write, complete the upgrade, complete the close.
    fn go_on(&mut self, now: Duration) {
        let State::Open { carrier, ending, .. } = &mut self.state else { return };
        if let Carrier::Probing { polling, candidate: Candidate::Answered, .. } = carrier {
            if polling.get == Get::Waiting || polling.posting {
                return;
            }
            // Polling is at rest. From here on everything goes through the WebSocket, `5` first.
            *carrier = Carrier::WebSocket { writing: 1 };
            self.wire(Wire::Write(vec![Frame::Packet("5")]));
            self.steps.push_back(Doing::Upgraded);
            return self.go_on(now);
        }
        match carrier {
            Carrier::WebSocket { writing } => {
                if self.outbox.is_empty() && self.owed.is_none() {
                    if *writing == 0 && *ending != Ending::No {
                        self.end(Some(Wire::HangUp), None);
                    }
                    return;
                }
                // One batch at a time, and all that gathered meanwhile in the next.
                if *writing > 0 {
                    return;
                }
                *writing = 1;
                let mut frames = Vec::with_capacity(self.outbox.len().saturating_add(1));
                frames.extend(self.owed.take().map(|control| match control {
                    Control::Ping => Frame::Packet("2"),
                    Control::Pong | Control::Open => Frame::Packet("3"),
                }));
                frames.extend(self.outbox.drain(..).map(Frame::Message));
                self.outbox_bytes = 0;
                self.wire(Wire::Write(frames));
            }
            Carrier::Polling(polling) | Carrier::Probing { polling, .. } => {
                let get = match polling.get {
                    Get::Rest => true,
                    Get::NotBefore(at) => at <= now,
                    Get::Waiting => false,
                };
                // One that says goodbye asks for nothing more.
                let get = get && !matches!(ending, Ending::Said { .. });
                if get {
                    polling.get = Get::Waiting;
                }
                let post = !polling.posting;
                if get {
                    self.wire(Wire::Get { query: self.query(Transport::Polling) });
                }
                if post {
                    self.post();
                }
            }
        }
    }

    /// Posts what waits, as much of it as the server takes at once; the close packet when nothing waits any more.
    fn post(&mut self) {
        let form = Form::new(self.rules.protocol, false, false);
        let State::Open {
            carrier: Carrier::Polling(polling) | Carrier::Probing { polling, .. }, ending, ..
        } = &mut self.state
        else {
            return;
        };
        let payload = if self.outbox.is_empty() && self.owed.is_none() {
            let Ending::Flushing { by } = *ending else { return };
            *ending = Ending::Said { by };
            let mut writer = PayloadWriter::new(form, false);
            writer.packet(Kind::Close, "");
            EncodedPayload { content: writer.content(), body: writer.finish(), taken: 0, compress: false }
        } else {
            match encode_payload(form, self.owed.take(), "", self.outbox.iter(), self.max_payload) {
                Ok(payload) => payload,
                Err(_) => {
                    let failure = Failure::new(Step::Post, "a message holds the separator of polling bodies");
                    return self.fail(Reason::TransportError(failure));
                }
            }
        };
        polling.posting = true;
        for message in self.outbox.drain(..payload.taken.min(self.outbox.len())) {
            self.outbox_bytes = self.outbox_bytes.saturating_sub(message.payload_len());
        }
        self.wire(Wire::Post { query: self.query(Transport::Polling), payload });
    }

    fn end(&mut self, last: Option<Wire>, reason: Option<Reason>) {
        if self.is_closed() {
            return;
        }
        self.state = State::Closed;
        self.outbox.clear();
        self.outbox_bytes = 0;
        // What was not begun yet is not begun any more.
        self.steps.retain(|step| !matches!(step, Doing::Wire(_)) || last == Some(Wire::HangUp));
        self.steps.extend(last.map(Doing::Wire));
        self.steps.push_back(Doing::Closed(reason));
    }

    fn wire(&mut self, wire: Wire) {
        self.steps.push_back(Doing::Wire(wire));
    }

    fn query(&self, transport: Transport) -> String {
        let mut query = format!("EIO={}&transport={}", self.rules.protocol.number(), transport.as_str());
        if !self.sid.is_empty() {
            query.push_str("&sid=");
            for &byte in self.sid.as_bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    query.push(char::from(byte));
                } else {
                    query.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        query
    }
}
