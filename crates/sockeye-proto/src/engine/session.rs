//! The life of one session: heartbeat, the two polling slots, upgrade and close, as a value without any I/O.
//!
//! The driver owns the sockets, the requests and the queue of application messages (the outbox). It
//!
//! 1. tells this machine what happened with a `handle_*` method, `now` in hand;
//! 2. drains [`Session::output`] until it says [`Output::Idle`], doing what each output asks;
//! 3. asks [`Session::outlet`] where queued messages may go, and sends them there.
//!
//! No application payload ever enters: the machine says who may speak where, not what is said. It holds no memory
//! besides itself (a few words; see the test `small`), so an idle connection costs nothing here.
//!
//! ```text
//!                 Session::polling                       Session::websocket
//!                        │                                        │
//!                        ▼                                        │
//!                 ┌─────────────┐  candidate    ┌───────────────┐ │
//!                 │   Polling   │ ────────────► │    Probing    │ │
//!                 │ a GET slot, │               │ Attached      │ │
//!                 │ a POST slot │ ◄──────────── │   │ 2probe    │ │
//!                 └─────────────┘  anything     │   ▼           │ │
//!                                  unexpected,  │ Probed: every │ │
//!                                  loss, or     │ GET answered  │ │
//!                                  time is up:  │ at once       │ │
//!                                  the candidate└───────────────┘ │
//!                                  goes, the         │ 5          │
//!                                  session stays     ▼            │
//!                                   ┌─────────┐  no POST running  │
//!                    POST running   │ (5 came)│ ───────────────┐  │
//!                  ┌─────────────── └─────────┘                ▼  ▼
//!                  ▼                                      ┌───────────┐
//!             ┌─────────┐          POST done              │ WebSocket │
//!             │ Leaving │ ──────────────────────────────► │           │
//!             └─────────┘                                 └───────────┘
//!
//!      from everywhere:  Open ──close()──► Closing ──drained──► Closed
//!                          └── loss, fault, silence, abort() ──────┘
//! ```
//!
//! Two axes, and they do not know each other: *where* packets travel (`Transports`) and *whether* the session lives
//! (`Life`, which also holds the heartbeat). Neither can forget the other's timer, because each state owns its own.

use core::time::Duration;

use super::{Kind, Packet, Protocol, Transport};

/// How long an orderly close waits for its last word to be fetched.
///
/// With polling and no GET waiting, the close packet can only leave with the client's next poll; with a WebSocket
/// the outbox has to drain first. After this time the session ends anyway.
pub const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// The three waits of a session. Kept to the millisecond; more than 49 days counts as 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Revision 4: from the open packet, or the last pong, to the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// Revision 4: how long the pong may take. Revision 3: the client may be silent for interval plus this. Default 20 s.
    pub ping_timeout: Duration,
    /// How long an upgrade may take before the candidate is dropped. Default 10 s.
    pub upgrade_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// Where a packet came from, or a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The body of the POST that was admitted.
    Polling,
    /// The WebSocket that carries the session (also a candidate after [`Output::Switch`]).
    WebSocket,
    /// A WebSocket that wants to become the session's, before [`Output::Switch`].
    Candidate,
}

/// What [`Session::handle_packet`] wants done with the packet it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Received {
    /// A message for the application: deliver it.
    Deliver,
    /// The machine has used it, or it means nothing here: go on.
    Done,
}

/// Whether a request (a GET, a POST, a candidate WebSocket) may have the slot it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Admission {
    /// It has the slot: keep it and wait for outputs about it.
    Held,
    /// The slot is taken. GET and POST: answer 400 with an empty body (the session ends). Candidate: accept the
    /// WebSocket and close it with an empty close frame (the session does not mind).
    Overlap,
    /// The session is not on polling any more: 400, code 3 (`TRANSPORT_MISMATCH`). The session does not mind.
    Mismatch,
    /// The session has ended: 400, code 1.
    Gone,
}

/// Where queued application messages may go at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outlet {
    /// Nowhere: keep them.
    Nowhere,
    /// Into the answer of the waiting GET: [`Session::take_poll`] gives it.
    Poll,
    /// Out on the WebSocket.
    WebSocket,
}

/// Control packets that go first into the answer of a GET.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owed {
    /// The open packet, `0{…}`.
    pub open: bool,
    /// A ping, `2`.
    pub ping: bool,
    /// A pong, `3`.
    pub pong: bool,
}

impl Owed {
    /// Whether nothing is owed.
    pub fn is_empty(self) -> bool {
        self == Owed::default()
    }

    /// What is owed, in the order in which it is written.
    pub fn controls(self) -> impl Iterator<Item = Control> {
        [(self.open, Control::Open), (self.ping, Control::Ping), (self.pong, Control::Pong)]
            .into_iter()
            .filter_map(|(owed, control)| owed.then_some(control))
    }
}

/// What a waiting GET is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PollAnswer {
    /// These control packets, then queued messages, as many as fit. A noop (`6`) if that is nothing at all.
    Packets(Owed),
    /// A noop, `6`, and nothing else: queued messages stay queued (they leave on the WebSocket).
    Noop,
    /// A close packet, `1`.
    Close,
    /// A noop and a close packet, `6` and `1`: the session had been closing when this GET came.
    NoopClose,
}

/// A packet the machine itself sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// `0{…}`; the driver knows the [`Open`](super::Open).
    Open,
    /// `2`
    Ping,
    /// `3`
    Pong,
}

impl Control {
    /// The packet type.
    pub fn kind(self) -> Kind {
        match self {
            Control::Open => Kind::Open,
            Control::Ping => Kind::Ping,
            Control::Pong => Kind::Pong,
        }
    }
}

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Answer the GET that was held, and forget it.
    ///
    /// Should the answer carry messages and be lost on its way, say so: [`Session::handle_messages_lost`].
    AnswerPoll(PollAnswer),
    /// Answer the POST that was held: 200, `text/html`, `ok`.
    AnswerPost,
    /// The session ended around a POST that was still being read: cut its connection.
    DropPost,
    /// Send `3probe` on the candidate.
    SendProbe,
    /// The candidate is the session's WebSocket from now on: its lane is [`Lane::WebSocket`]. Before reading on,
    /// look at [`Session::may_read`].
    Switch,
    /// Send this on the WebSocket, before any queued message.
    Send(Control),
    /// Close the candidate with an empty close frame. The session lives on (unless [`Output::Closed`] follows).
    CloseCandidate,
    /// Close the WebSocket with an empty close frame.
    CloseWebSocket,
    /// The session has ended. Said once, and the last thing that is said.
    Closed(Reason),
    /// Nothing more for now. Call [`Session::handle_timeout`] at `until` at the latest.
    ///
    /// `until` is `None` only after [`Output::Closed`]. It may move later with every packet (revision 3 heartbeats
    /// do), so a timer need not be touched while it would fire earlier: firing early is harmless.
    Idle {
        /// When the next thing falls due.
        until: Option<Duration>,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer closed: its connection, or by a close packet.
    TransportClose,
    /// Something broke, or the peer broke a rule of the transport.
    TransportError(Fault),
    /// The peer was silent for too long.
    PingTimeout,
    /// The peer sent what is no packet.
    ParseError,
    /// We closed.
    ForcedClose,
}

impl Reason {
    /// The reference's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::TransportClose => "transport close",
            Reason::TransportError(_) => "transport error",
            Reason::PingTimeout => "ping timeout",
            Reason::ParseError => "parse error",
            Reason::ForcedClose => "forced close",
        }
    }
}

/// What broke, in a [`Reason::TransportError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A GET while a GET was waiting.
    PollOverlap,
    /// A POST while a POST was being read.
    PostOverlap,
    /// The waiting GET was given up by the client.
    PollLost,
    /// A POST broke off in its body.
    PostLost,
    /// A POST of a kind this revision has not (`application/octet-stream` in revision 4).
    InvalidContent,
    /// A ping where only pongs come from the client, or the other way round.
    InvalidHeartbeat,
    /// Bytes could not be written, or an answer that carried messages was lost.
    Write,
    /// The peer broke the WebSocket protocol.
    Frame,
    /// A message above the size limit.
    TooBig,
}

impl Fault {
    /// A fixed description; the reference's words where it has some.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::PollOverlap => "overlap from client",
            Fault::PostOverlap => "data request overlap from client",
            Fault::PollLost => "poll connection closed prematurely",
            Fault::PostLost => "data request connection closed prematurely",
            Fault::InvalidContent => "invalid content",
            Fault::InvalidHeartbeat => "invalid heartbeat direction",
            Fault::Write => "write error",
            Fault::Frame => "invalid WebSocket frame",
            Fault::TooBig => "Max payload size exceeded",
        }
    }
}

/// One session. See the module's head for how it is driven.
///
/// Methods come in four kinds: getters; `handle_*` (something happened); commands ([`close`](Session::close),
/// [`abort`](Session::abort), [`take_poll`](Session::take_poll)); and [`output`](Session::output), to be drained
/// after every one of the others that takes `&mut self`, before the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    transports: Transports,
    life: Life,
    interval: Millis,
    timeout: Millis,
    upgrade_timeout: Millis,
    protocol: Protocol,
    todo: Todo,
}

impl Session {
    /// A session born of a GET without `sid`. That GET is held, and the first outputs answer it with the open packet
    /// and whatever the driver has queued by then (the optional initial packet).
    pub fn polling(protocol: Protocol, timing: Timing, now: Duration) -> Session {
        let mut session = Session::new(protocol, timing, now, Transports::Polling(Slots::default()));
        session.todo.answer = Some(PollAnswer::Packets(Owed { open: true, ..Owed::default() }));
        session
    }

    /// A session born of a WebSocket without `sid`. The first output sends the open packet.
    pub fn websocket(protocol: Protocol, timing: Timing, now: Duration) -> Session {
        let mut session = Session::new(protocol, timing, now, Transports::WebSocket);
        session.todo.set(Todo::OPEN);
        session
    }

    // ---- getters ------------------------------------------------------------------------------------------------

    /// The revision it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What a request with this session's `sid` has to name as its transport.
    pub fn transport(&self) -> Transport {
        match self.transports {
            Transports::Polling(_) | Transports::Probing { .. } => Transport::Polling,
            Transports::Leaving | Transports::WebSocket => Transport::WebSocket,
        }
    }

    /// Whether messages may still be queued: neither closing nor closed.
    #[inline]
    pub fn is_open(&self) -> bool {
        matches!(self.life, Life::Open(_))
    }

    /// Whether an orderly close is waiting for the outbox to drain: see [`Session::handle_drained`].
    #[inline]
    pub fn is_closing(&self) -> bool {
        matches!(self.life, Life::Closing { .. })
    }

    /// Whether it is over.
    #[inline]
    pub fn is_closed(&self) -> bool {
        matches!(self.life, Life::Closed)
    }

    /// Whether a candidate is attached.
    pub fn is_probing(&self) -> bool {
        matches!(self.transports, Transports::Probing { .. })
    }

    /// Where queued messages may go now. Ask after draining the outputs.
    #[inline]
    pub fn outlet(&self) -> Outlet {
        match (&self.life, &self.transports) {
            (Life::Closed | Life::Closing { drained: true, .. }, _) => Outlet::Nowhere,
            (_, Transports::WebSocket | Transports::Leaving) => Outlet::WebSocket,
            (_, Transports::Polling(slots) | Transports::Probing { slots, .. }) if slots.poll => Outlet::Poll,
            _ => Outlet::Nowhere,
        }
    }

    /// Whether this WebSocket may be read at this moment.
    ///
    /// Says no only to a fresh WebSocket whose client has a POST still under way: what the POST carries was said
    /// before what follows on the WebSocket, so the WebSocket waits.
    #[inline]
    pub fn may_read(&self, lane: Lane) -> bool {
        !(matches!(self.transports, Transports::Leaving) && matches!(lane, Lane::WebSocket | Lane::Candidate))
    }

    // ---- requests -----------------------------------------------------------------------------------------------

    /// A GET with this session's `sid` has come.
    pub fn handle_poll(&mut self, now: Duration) -> Admission {
        let _ = now;
        if self.is_closed() {
            return Admission::Gone;
        }
        let unfetched = self.todo.answer.is_some();
        let (slots, probed) = match &mut self.transports {
            Transports::Polling(slots) => (slots, false),
            Transports::Probing { slots, stage, .. } => (slots, *stage == Stage::Probed),
            Transports::Leaving | Transports::WebSocket => return Admission::Mismatch,
        };
        if slots.poll || unfetched {
            self.finish(Reason::TransportError(Fault::PollOverlap));
            return Admission::Overlap;
        }
        if matches!(self.life, Life::Closing { drained: true, .. }) {
            self.todo.answer = Some(PollAnswer::NoopClose);
            self.finish(Reason::ForcedClose);
            return Admission::Held;
        }
        slots.poll = true;
        // The client may complete its upgrade only when no poll of its is under way. So while a probe is open no poll
        // is kept, neither the one that was waiting nor any that follows: the client may have sent the next before
        // our `3probe` reached it, and would hang in it until the next heartbeat.
        if probed || !slots.owed.is_empty() {
            self.answer_poll();
        }
        Admission::Held
    }

    /// The connection of the GET that is held was lost before it was answered.
    pub fn handle_poll_lost(&mut self, now: Duration) {
        let _ = now;
        if let Some(slots) = self.slots()
            && slots.poll
        {
            slots.poll = false;
            self.finish(Reason::TransportError(Fault::PollLost));
        }
    }

    /// An answer that carried application messages did not get through. The session ends: messages do not vanish
    /// silently. (An answer without messages that is lost needs no report.)
    pub fn handle_messages_lost(&mut self, now: Duration) {
        let _ = now;
        self.finish(Reason::TransportError(Fault::Write));
    }

    /// A POST with this session's `sid` has come; its body has yet to be read.
    pub fn handle_post(&mut self, now: Duration) -> Admission {
        let _ = now;
        if self.is_closed() {
            return Admission::Gone;
        }
        match self.slots() {
            None => Admission::Mismatch,
            Some(slots) if slots.post => {
                self.finish(Reason::TransportError(Fault::PostOverlap));
                Admission::Overlap
            }
            Some(slots) => {
                slots.post = true;
                Admission::Held
            }
        }
    }

    /// Every packet of the POST's body was shown to [`Session::handle_packet`], or the first bad one to
    /// [`Session::handle_undecodable`]: it may be answered.
    pub fn handle_post_done(&mut self, now: Duration) {
        let _ = now;
        if self.release_post() {
            self.todo.set(Todo::ANSWER_POST);
        }
    }

    /// The driver has answered the POST itself (413: too big), nothing of it was used, and the session lives on.
    pub fn handle_post_refused(&mut self, now: Duration) {
        let _ = now;
        self.release_post();
    }

    /// The POST cannot be used and the session ends of it: its connection broke off ([`Fault::PostLost`]), or it is
    /// of a kind that is not allowed ([`Fault::InvalidContent`]; the driver answers 400). No output about the POST
    /// follows.
    pub fn handle_post_failed(&mut self, fault: Fault, now: Duration) {
        let _ = now;
        if self.release_post() {
            self.finish(Reason::TransportError(fault));
        }
    }

    /// A WebSocket with this session's `sid` has come, and wants to take over.
    pub fn handle_candidate(&mut self, now: Duration) -> Admission {
        match (&self.life, &self.transports) {
            (Life::Closed, _) => Admission::Gone,
            (Life::Open(_), Transports::Polling(slots)) => {
                let give_up_at = after(now, self.upgrade_timeout);
                self.transports = Transports::Probing { slots: *slots, stage: Stage::Attached, give_up_at };
                Admission::Held
            }
            _ => Admission::Overlap,
        }
    }

    // ---- packets ------------------------------------------------------------------------------------------------

    /// A packet has come on this lane.
    #[inline]
    pub fn handle_packet(&mut self, lane: Lane, packet: &Packet<'_>, now: Duration) -> Received {
        // What nearly every call is: a message on a settled WebSocket, with no pong due.
        if let (Lane::WebSocket, Kind::Message, Transports::WebSocket, Life::Open(Heart::Resting { .. })) =
            (lane, packet.kind, &self.transports, &self.life)
        {
            return Received::Deliver;
        }
        self.sort_packet(lane, packet, now)
    }

    /// Something has come on this lane that is no packet.
    ///
    /// On a POST and on the session's WebSocket this ends the session (`parse error`); on a candidate, the candidate.
    pub fn handle_undecodable(&mut self, lane: Lane, now: Duration) {
        let _ = now;
        match self.use_of(lane) {
            Use::Session => self.finish_from(lane, Reason::ParseError),
            Use::Probe => self.drop_candidate(),
            Use::None => {}
        }
    }

    /// A WebSocket is gone: closed by the peer (`None`), or for a fault. The driver has closed its side; no output
    /// asks for it.
    ///
    /// On the candidate's lane this ends the probe and nothing else.
    pub fn handle_websocket_lost(&mut self, lane: Lane, fault: Option<Fault>, now: Duration) {
        let _ = now;
        match self.use_of(lane) {
            Use::Session if lane == Lane::WebSocket => {
                self.finish(fault.map_or(Reason::TransportClose, Reason::TransportError));
                self.todo.clear(Todo::CLOSE_WEBSOCKET);
            }
            Use::Probe => {
                self.drop_candidate();
                self.todo.clear(Todo::CLOSE_CANDIDATE);
            }
            Use::Session | Use::None => {}
        }
    }

    // ---- time ---------------------------------------------------------------------------------------------------

    /// Time has passed. Harmless if nothing is due.
    ///
    /// If input is waiting as well, feed it first: a packet that came in time must count.
    pub fn handle_timeout(&mut self, now: Duration) {
        let at = nanos(now);
        if matches!(self.transports, Transports::Probing { give_up_at, .. } if at >= give_up_at) {
            self.drop_candidate();
        }
        match self.life {
            Life::Open(Heart::Resting { ping_at }) if at >= ping_at => {
                // The wait begins when the ping is due, not when it gets away: a client that fetches nothing is as
                // silent as one that answers nothing.
                self.life =
                    Life::Open(Heart::Waiting { give_up_at: after(now, self.timeout), extended: false });
                self.send(Control::Ping);
            }
            Life::Open(Heart::Waiting { give_up_at, .. } | Heart::Listening { give_up_at })
                if at >= give_up_at =>
            {
                self.finish(Reason::PingTimeout);
            }
            Life::Closing { by, .. } if at >= by => self.finish(Reason::ForcedClose),
            Life::Open(_) | Life::Closing { .. } | Life::Closed => {}
        }
    }

    /// The driver was not reading until now (the application was busy), so the peer's silence is not the peer's
    /// fault: it gets a whole timeout from here. To be called before [`Session::handle_timeout`].
    pub fn excuse_silence(&mut self, now: Duration) {
        let again = after(now, self.timeout);
        if let Life::Open(Heart::Waiting { give_up_at, .. } | Heart::Listening { give_up_at }) =
            &mut self.life
        {
            *give_up_at = again.max(*give_up_at);
        }
    }

    // ---- commands -----------------------------------------------------------------------------------------------

    /// Gives the waiting GET for queued messages, if there is one: see [`PollAnswer::Packets`].
    pub fn take_poll(&mut self) -> Option<PollAnswer> {
        if self.outlet() != Outlet::Poll {
            return None;
        }
        self.answer_poll();
        self.todo.answer.take()
    }

    /// Closes in order: what is queued goes out first, then the close packet or frame.
    ///
    /// From here on no message is delivered any more. Send what is queued as [`Session::outlet`] allows, and call
    /// [`Session::handle_drained`] as soon as nothing is left (at once, if nothing was queued).
    pub fn close(&mut self, now: Duration) {
        if self.is_open() {
            self.life = Life::Closing { by: nanos(now.saturating_add(CLOSE_WAIT)), drained: false };
        }
    }

    /// The outbox is empty (and, on a WebSocket, handed to the socket). Means something only while closing.
    pub fn handle_drained(&mut self, now: Duration) {
        let _ = now;
        let Life::Closing { drained, .. } = &mut self.life else { return };
        *drained = true;
        match self.slots() {
            // The next poll gets the last word.
            Some(slots) if !slots.poll => {}
            _ => self.finish(Reason::ForcedClose),
        }
    }

    /// Ends the session at once; what is queued is lost.
    pub fn abort(&mut self, now: Duration) {
        let _ = now;
        self.finish(Reason::ForcedClose);
    }

    // ---- outputs ------------------------------------------------------------------------------------------------

    /// The next thing to do. Call until it is [`Output::Idle`].
    #[inline]
    pub fn output(&mut self) -> Output {
        if self.todo.is_empty() { Output::Idle { until: self.deadline() } } else { self.next_todo() }
    }
}

/// What a lane means in the present state.
enum Use {
    Session,
    Probe,
    None,
}

impl Session {
    fn new(protocol: Protocol, timing: Timing, now: Duration, transports: Transports) -> Session {
        // A wait of nothing would have the driver spin.
        let interval = millis(timing.ping_interval).max(1);
        let timeout = millis(timing.ping_timeout).max(1);
        let heart = match protocol {
            Protocol::V4 => Heart::Resting { ping_at: after(now, interval) },
            Protocol::V3 => Heart::Listening { give_up_at: after(now, interval.saturating_add(timeout)) },
        };
        Session {
            transports,
            life: Life::Open(heart),
            interval,
            timeout,
            upgrade_timeout: millis(timing.upgrade_timeout),
            protocol,
            todo: Todo::default(),
        }
    }

    /// The slow half of [`Session::handle_packet`].
    fn sort_packet(&mut self, lane: Lane, packet: &Packet<'_>, now: Duration) -> Received {
        match self.use_of(lane) {
            Use::Session => {
                self.note_life(now);
                self.handle_session_packet(lane, packet, now)
            }
            Use::Probe => {
                self.note_life(now);
                self.handle_probe_packet(packet);
                Received::Done
            }
            Use::None => Received::Done,
        }
    }

    fn handle_session_packet(&mut self, lane: Lane, packet: &Packet<'_>, now: Duration) -> Received {
        match (packet.kind, self.protocol) {
            (Kind::Message, _) if self.is_open() => return Received::Deliver,
            (Kind::Close, _) => {
                // The client has said its last word and wants none: its poll is merely let go.
                if let Some(slots) = self.slots()
                    && slots.poll
                {
                    slots.poll = false;
                    self.todo.answer = Some(PollAnswer::Noop);
                }
                self.finish_from(lane, Reason::TransportClose);
            }
            // Also a `2probe` that strayed here. Its data is not sent back: the reference does not.
            (Kind::Ping, Protocol::V3) => self.send(Control::Pong),
            (Kind::Ping, Protocol::V4) | (Kind::Pong, Protocol::V3) => {
                self.finish_from(lane, Reason::TransportError(Fault::InvalidHeartbeat));
            }
            // A pong that nobody asked for moves nothing: a flood of them must not postpone the next ping.
            (Kind::Pong, Protocol::V4) => {
                if let Life::Open(heart @ Heart::Waiting { .. }) = &mut self.life {
                    *heart = Heart::Resting { ping_at: after(now, self.interval) };
                }
            }
            (Kind::Message | Kind::Open | Kind::Upgrade | Kind::Noop, _) => {}
        }
        Received::Done
    }

    fn handle_probe_packet(&mut self, packet: &Packet<'_>) {
        let Transports::Probing { stage, .. } = &mut self.transports else { return };
        if packet.is_probe() {
            *stage = Stage::Probed;
            self.todo.set(Todo::PROBE);
            self.answer_poll();
        } else if packet.kind == Kind::Upgrade {
            self.upgrade();
        } else {
            self.drop_candidate();
        }
    }

    /// `5`: the candidate becomes the session's WebSocket.
    fn upgrade(&mut self) {
        let Transports::Probing { slots, .. } = self.transports else { return };
        if slots.poll {
            self.todo.answer = Some(PollAnswer::Noop);
        }
        // What had not found a poll yet goes over the WebSocket, or the peer would be found silent for a ping it
        // was never sent.
        self.todo.set_if(slots.owed.ping, Todo::PING);
        self.todo.set_if(slots.owed.pong, Todo::PONG);
        self.todo.set(Todo::SWITCH);
        self.transports = if slots.post { Transports::Leaving } else { Transports::WebSocket };
        if matches!(self.life, Life::Closing { drained: true, .. }) {
            self.finish(Reason::ForcedClose);
        }
    }

    /// Back to polling alone. The client may try again.
    fn drop_candidate(&mut self) {
        if let Transports::Probing { slots, .. } = self.transports {
            self.transports = Transports::Polling(slots);
            self.todo.clear(Todo::PROBE);
            self.todo.set(Todo::CLOSE_CANDIDATE);
        }
    }

    /// Something whole came from the peer.
    fn note_life(&mut self, now: Duration) {
        match &mut self.life {
            // Once per ping: a busy peer whose pong stands behind a long message is alive; a peer that never pongs
            // is at fault however much it says.
            Life::Open(Heart::Waiting { give_up_at, extended: extended @ false }) => {
                *extended = true;
                *give_up_at = after(now, self.timeout).max(*give_up_at);
            }
            Life::Open(Heart::Listening { give_up_at }) => {
                *give_up_at = after(now, self.interval.saturating_add(self.timeout)).max(*give_up_at);
            }
            Life::Open(_) | Life::Closing { .. } | Life::Closed => {}
        }
    }

    fn send(&mut self, control: Control) {
        if let Some(slots) = self.slots() {
            match control {
                Control::Open => slots.owed.open = true,
                Control::Ping => slots.owed.ping = true,
                Control::Pong => slots.owed.pong = true,
            }
            self.answer_poll();
        } else {
            self.todo.set(match control {
                Control::Open => Todo::OPEN,
                Control::Ping => Todo::PING,
                Control::Pong => Todo::PONG,
            });
        }
    }

    /// Answers the waiting GET, if there is one, with what is owed.
    fn answer_poll(&mut self) {
        if let Some(slots) = self.slots()
            && slots.poll
        {
            slots.poll = false;
            let owed = core::mem::take(&mut slots.owed);
            self.todo.answer = Some(PollAnswer::Packets(owed));
        }
    }

    /// Frees the slot of the POST; whether there was one.
    fn release_post(&mut self) -> bool {
        if matches!(self.transports, Transports::Leaving) {
            self.transports = Transports::WebSocket;
            return true;
        }
        self.slots().is_some_and(|slots| core::mem::take(&mut slots.post))
    }

    /// Ends the session because of a packet. If a POST brought it, that POST did nothing wrong as a request.
    fn finish_from(&mut self, lane: Lane, reason: Reason) {
        if lane == Lane::Polling && self.release_post() {
            self.todo.set(Todo::ANSWER_POST);
        }
        self.finish(reason);
    }

    /// Ends the session: every open end is tied up once, and nothing more is said.
    fn finish(&mut self, reason: Reason) {
        if self.is_closed() {
            return;
        }
        self.life = Life::Closed;
        self.todo.clear(Todo::OPEN | Todo::PROBE | Todo::PING | Todo::PONG);
        self.todo.reason = Some(reason);
        match self.transports {
            Transports::Polling(slots) | Transports::Probing { slots, .. } => {
                if slots.poll {
                    self.todo.answer = Some(PollAnswer::Close);
                }
                self.todo.set_if(slots.post, Todo::DROP_POST);
                self.todo.set_if(self.is_probing(), Todo::CLOSE_CANDIDATE);
                self.transports = Transports::Polling(Slots::default());
            }
            Transports::Leaving | Transports::WebSocket => {
                self.todo.set_if(matches!(self.transports, Transports::Leaving), Todo::DROP_POST);
                self.todo.set(Todo::CLOSE_WEBSOCKET);
                self.transports = Transports::WebSocket;
            }
        }
    }

    fn use_of(&self, lane: Lane) -> Use {
        match (&self.life, lane, &self.transports) {
            (Life::Closed, _, _) => Use::None,
            (_, Lane::Candidate, Transports::Probing { .. }) => Use::Probe,
            (_, Lane::Polling, Transports::Polling(_) | Transports::Probing { .. } | Transports::Leaving)
            | (_, Lane::WebSocket, Transports::Leaving | Transports::WebSocket) => Use::Session,
            _ => Use::None,
        }
    }

    fn slots(&mut self) -> Option<&mut Slots> {
        match &mut self.transports {
            Transports::Polling(slots) | Transports::Probing { slots, .. } => Some(slots),
            Transports::Leaving | Transports::WebSocket => None,
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let life = match self.life {
            Life::Open(Heart::Resting { ping_at }) => ping_at,
            Life::Open(Heart::Waiting { give_up_at, .. } | Heart::Listening { give_up_at }) => give_up_at,
            Life::Closing { by, .. } => by,
            Life::Closed => return None,
        };
        let probe = match self.transports {
            Transports::Probing { give_up_at, .. } => give_up_at,
            _ => Nanos::MAX,
        };
        Some(Duration::from_nanos(life.min(probe)))
    }

    /// Answers first, then what is sent (the switch before what needs it), then the ends.
    #[cold]
    fn next_todo(&mut self) -> Output {
        if let Some(answer) = self.todo.answer.take() {
            return Output::AnswerPoll(answer);
        }
        for (bit, output) in [
            (Todo::ANSWER_POST, Output::AnswerPost),
            (Todo::DROP_POST, Output::DropPost),
            (Todo::OPEN, Output::Send(Control::Open)),
            (Todo::PROBE, Output::SendProbe),
            (Todo::SWITCH, Output::Switch),
            (Todo::PING, Output::Send(Control::Ping)),
            (Todo::PONG, Output::Send(Control::Pong)),
            (Todo::CLOSE_CANDIDATE, Output::CloseCandidate),
            (Todo::CLOSE_WEBSOCKET, Output::CloseWebSocket),
        ] {
            if self.todo.take(bit) {
                return output;
            }
        }
        match self.todo.reason.take() {
            Some(reason) => Output::Closed(reason),
            None => Output::Idle { until: self.deadline() },
        }
    }
}

/// Where packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Transports {
    Polling(Slots),
    Probing {
        slots: Slots,
        stage: Stage,
        give_up_at: Nanos,
    },
    /// `5` came while a POST was still under way.
    Leaving,
    WebSocket,
}

/// How far a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Attached,
    Probed,
}

/// The two requests of long-polling, and what the next answer starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Slots {
    /// A GET is held.
    poll: bool,
    /// A POST is held.
    post: bool,
    owed: Owed,
}

/// Whether the session lives, and until when without a sign of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Open(Heart),
    Closing { by: Nanos, drained: bool },
    Closed,
}

/// The heartbeat. Every state has its deadline, so no input can leave a session without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Heart {
    /// Revision 4: the next ping goes out then.
    Resting { ping_at: Nanos },
    /// Revision 4: a pong is awaited.
    Waiting { give_up_at: Nanos, extended: bool },
    /// Revision 3: the client pings.
    Listening { give_up_at: Nanos },
}

/// What has to be done, waiting to be drained. Each thing once, so that nothing here can grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Todo {
    answer: Option<PollAnswer>,
    reason: Option<Reason>,
    bits: u16,
}

impl Todo {
    const ANSWER_POST: u16 = 1;
    const DROP_POST: u16 = 1 << 1;
    const OPEN: u16 = 1 << 2;
    const PROBE: u16 = 1 << 3;
    const SWITCH: u16 = 1 << 4;
    const PING: u16 = 1 << 5;
    const PONG: u16 = 1 << 6;
    const CLOSE_CANDIDATE: u16 = 1 << 7;
    const CLOSE_WEBSOCKET: u16 = 1 << 8;

    fn is_empty(&self) -> bool {
        self.bits == 0 && self.answer.is_none() && self.reason.is_none()
    }

    fn set(&mut self, bits: u16) {
        self.bits |= bits;
    }

    fn set_if(&mut self, so: bool, bits: u16) {
        if so {
            self.set(bits);
        }
    }

    fn clear(&mut self, bits: u16) {
        self.bits &= !bits;
    }

    fn take(&mut self, bit: u16) -> bool {
        let was = self.bits & bit != 0;
        self.clear(bit);
        was
    }
}

/// Nanoseconds since the caller's epoch: half the size of a `Duration`, and good for five centuries.
type Nanos = u64;
type Millis = u32;

fn nanos(at: Duration) -> Nanos {
    Nanos::try_from(at.as_nanos()).unwrap_or(Nanos::MAX)
}

fn millis(wait: Duration) -> Millis {
    Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX)
}

fn after(now: Duration, wait: Millis) -> Nanos {
    nanos(now.saturating_add(Duration::from_millis(u64::from(wait))))
}

#[cfg(test)]
mod model;
