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

use super::{Data, Kind, Packet, Protocol, Transport};

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
        todo!()
    }

    /// The connection of the GET that is held was lost before it was answered.
    pub fn handle_poll_lost(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// An answer that carried application messages did not get through. The session ends: messages do not vanish
    /// silently. (An answer without messages that is lost needs no report.)
    pub fn handle_messages_lost(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// A POST with this session's `sid` has come; its body has yet to be read.
    pub fn handle_post(&mut self, now: Duration) -> Admission {
        let _ = now;
        todo!()
    }

    /// Every packet of the POST's body was shown to [`Session::handle_packet`], or the first bad one to
    /// [`Session::handle_undecodable`]: it may be answered.
    pub fn handle_post_done(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// The driver has answered the POST itself (413: too big), nothing of it was used, and the session lives on.
    pub fn handle_post_refused(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// The POST cannot be used and the session ends of it: its connection broke off ([`Fault::PostLost`]), or it is
    /// of a kind that is not allowed ([`Fault::InvalidContent`]; the driver answers 400). No output about the POST
    /// follows.
    pub fn handle_post_failed(&mut self, fault: Fault, now: Duration) {
        let _ = (fault, now);
        todo!()
    }

    /// A WebSocket with this session's `sid` has come, and wants to take over.
    pub fn handle_candidate(&mut self, now: Duration) -> Admission {
        let _ = now;
        todo!()
    }

    // ---- packets ------------------------------------------------------------------------------------------------

    /// A packet has come on this lane.
    #[inline]
    pub fn handle_packet(&mut self, lane: Lane, packet: &Packet<'_>, now: Duration) -> Received {
        let _ = (lane, packet, now);
        todo!()
    }

    /// Something has come on this lane that is no packet.
    ///
    /// On a POST and on the session's WebSocket this ends the session (`parse error`); on a candidate, the candidate.
    pub fn handle_undecodable(&mut self, lane: Lane, now: Duration) {
        let _ = (lane, now);
        todo!()
    }

    /// A WebSocket is gone: closed by the peer (`None`), or for a fault. The driver has closed its side; no output
    /// asks for it.
    ///
    /// On the candidate's lane this ends the probe and nothing else.
    pub fn handle_websocket_lost(&mut self, lane: Lane, fault: Option<Fault>, now: Duration) {
        let _ = (lane, fault, now);
        todo!()
    }

    // ---- time ---------------------------------------------------------------------------------------------------

    /// Time has passed. Harmless if nothing is due.
    ///
    /// If input is waiting as well, feed it first: a packet that came in time must count.
    pub fn handle_timeout(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// The driver was not reading until now (the application was busy), so the peer's silence is not the peer's
    /// fault: it gets a whole timeout from here. To be called before [`Session::handle_timeout`].
    pub fn excuse_silence(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    // ---- commands -----------------------------------------------------------------------------------------------

    /// Gives the waiting GET for queued messages, if there is one: see [`PollAnswer::Packets`].
    pub fn take_poll(&mut self) -> Option<PollAnswer> {
        todo!()
    }

    /// Closes in order: what is queued goes out first, then the close packet or frame.
    ///
    /// From here on no message is delivered any more. Send what is queued as [`Session::outlet`] allows, and call
    /// [`Session::handle_drained`] as soon as nothing is left (at once, if nothing was queued).
    pub fn close(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// The outbox is empty (and, on a WebSocket, handed to the socket). Means something only while closing.
    pub fn handle_drained(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    /// Ends the session at once; what is queued is lost.
    pub fn abort(&mut self, now: Duration) {
        let _ = now;
        todo!()
    }

    // ---- outputs ------------------------------------------------------------------------------------------------

    /// The next thing to do. Call until it is [`Output::Idle`].
    pub fn output(&mut self) -> Output {
        todo!()
    }
}

impl Session {
    fn new(protocol: Protocol, timing: Timing, now: Duration, transports: Transports) -> Session {
        let _ = (protocol, timing, now, transports);
        todo!()
    }
}

/// Where packets travel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Life {
    Open(Heart),
    Closing { by: Nanos, drained: bool },
    Closed,
}

/// The heartbeat. Every state has its deadline, so no input can leave a session without one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Heart {
    /// Revision 4: the next ping goes out then.
    Resting { ping_at: Nanos },
    /// Revision 4: a pong is awaited.
    Waiting { give_up_at: Nanos, extended: bool },
    /// Revision 3: the client pings.
    Listening { give_up_at: Nanos },
}

/// Nanoseconds since the caller's epoch: half the size of a `Duration`, and good for five centuries.
type Nanos = u64;
type Millis = u32;

/// What has to be done, waiting to be drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Todo {
    answer: Option<PollAnswer>,
    reason: Option<Reason>,
    bits: u8,
}

impl Todo {
    const OPEN: u8 = 1;

    fn set(&mut self, bit: u8) {
        self.bits |= bit;
    }
}
