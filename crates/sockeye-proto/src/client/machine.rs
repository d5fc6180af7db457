//! The machine a driver holds: sockets over one connection, and connecting again.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;

use super::session::{Doing, Rules, Session};
use super::socket::{Asker, Early, InLine, News, Recovery, Socket, State, Waiting};
use super::{
    AckId, Auth, Backoff, Call, Config, Emit, EmitError, Output, Reason, Refused, SocketId, SocketOptions,
    Step, Ticket, Unanswered,
};
use crate::engine::{self, Content, Data, Packet as EnginePacket, Transport};
use crate::socket::{Body, Decoder, EncodeError, Limits, Out, Packet, PacketOut, Payload, encode};

/// How long a packet may wait for its attachments.
const ATTACHMENTS: Duration = Duration::from_secs(30);

/// The machine. See [the module](super).
pub struct Client {
    config: Config,
    limits: Arc<Limits>,
    backoff: Backoff,
    sockets: Vec<Socket>,
    link: Link,
    connection: u32,
    /// Attempts since the last connection that opened.
    attempt: u32,
    decoder: Decoder,
    /// When the attachments of an unfinished packet have to be here.
    attachments_by: Option<Duration>,
    /// Revision 4 of the protocol only.
    main: Main,
    tickets: u64,
    closed: bool,
    outputs: VecDeque<Output>,
}

/// The main namespace in revision 4 of the protocol, into which the server lets its clients without being asked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Main {
    Awaited,
    /// The server has let us in, whether or not the application wants that by now.
    Welcomed,
    /// Somebody left it; from then on it is a namespace like others.
    Left,
}

enum Link {
    Down,
    Waiting {
        until: Duration,
    },
    /// Boxed: a client that waits keeps nothing of it.
    Up {
        session: Box<Session>,
        opened: Option<Duration>,
    },
}

impl fmt::Debug for Client {
    /// Where it stands. Session ids, tokens and payloads are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .field("attempt", &self.attempt)
            .field("transport", &self.transport())
            .field("queued", &self.queued())
            .field("sockets", &self.sockets.iter().map(|socket| &socket.namespace).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that wants nothing yet. `random` must differ between clients: it spreads their attempts to reconnect.
    pub fn new(config: Config, random: u64) -> Client {
        let limits = Arc::new(config.limits.clone());
        Client {
            backoff: Backoff::new(config.reconnection.unwrap_or_default(), random),
            decoder: Decoder::new(config.dialect.clone(), limits.clone()),
            config,
            limits,
            sockets: Vec::new(),
            link: Link::Down,
            connection: 0,
            attempt: 0,
            attachments_by: None,
            main: Main::Awaited,
            tickets: 0,
            closed: false,
            outputs: VecDeque::new(),
        }
    }

    /// The next thing that follows. To be asked until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Client::timer`] has to be called at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let link = match &self.link {
            Link::Down => None,
            Link::Waiting { until } => Some(*until),
            Link::Up { session, .. } => session.deadline(),
        };
        let acks = self.sockets.iter().filter_map(Socket::deadline).min();
        [link, acks, self.attachments_by].into_iter().flatten().min()
    }

    // ---- what the application wants -------------------------------------------------------------------------------------

    /// The socket of a namespace, made if there is none. An existing one keeps its options. It does not connect yet.
    pub fn socket(&mut self, namespace: &str, options: SocketOptions) -> SocketId {
        let namespace =
            if namespace.starts_with('/') { namespace.to_owned() } else { format!("/{namespace}") };
        let at = self.sockets.iter().position(|socket| socket.namespace == namespace);
        SocketId(at.unwrap_or_else(|| {
            self.sockets.push(Socket::new(namespace, options));
            self.sockets.len().saturating_sub(1)
        }))
    }

    /// Connects a socket, and keeps it connected from then on. Does nothing if that is so already.
    pub fn connect(&mut self, socket: SocketId, now: Duration) {
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        if self.closed {
            return;
        }
        match entry.state {
            State::Inactive => entry.state = State::Away,
            // Its CONNECT is still to be answered, and the answer will do.
            State::Leaving => entry.state = State::Joining { early: Vec::new(), bytes: 0 },
            State::Away | State::Asking(_) | State::Joining { .. } | State::Joined { .. } => {}
        }
        match &self.link {
            Link::Down => self.begin(now),
            Link::Up { session, .. } if session.is_open() => self.join(socket, now),
            // When that is over.
            Link::Up { .. } | Link::Waiting { .. } => {}
        }
        self.pump(now);
    }

    /// Leaves a namespace, and stays away until [`Client::connect`]. What waits to be sent goes on waiting. When no
    /// socket is left, the connection ends in order.
    pub fn disconnect(&mut self, socket: SocketId, now: Duration) {
        self.leave(socket, now);
        self.rest(now);
        self.pump(now);
    }

    /// Ends everything in order: sockets leave, what was sent leaves, and [`Output::Closed`] follows. What waited for
    /// a connection is dropped, and said to be.
    pub fn close(&mut self, now: Duration) {
        if self.closed {
            return;
        }
        self.closed = true;
        for at in 0..self.sockets.len() {
            self.leave(SocketId(at), now);
            let mut news = Vec::new();
            if let Some(socket) = self.sockets.get_mut(at) {
                for waiting in socket.take_waiting() {
                    news.push(News::Dropped(waiting.payload));
                }
                socket.cut(&mut news);
                while let Some(entry) = socket.leave_line() {
                    news.extend(entry.call.map(|call| News::Unanswered(call, Unanswered::Disconnected)));
                    news.push(News::Dropped(entry.payload));
                }
            }
            self.tell(SocketId(at), news);
        }
        if let Link::Down | Link::Waiting { .. } = self.link {
            self.link = Link::Down;
            self.outputs.push_back(Output::Closed);
        }
        self.rest(now);
        self.pump(now);
    }

    /// Sends an event, or keeps it until that can be done. The payload is made by [`Payload::event`]. If an answer is
    /// asked for, the call that is returned ends in [`Output::Answer`] or [`Output::Unanswered`].
    ///
    /// # Errors
    /// When the event was not taken.
    pub fn emit(
        &mut self,
        socket: SocketId,
        payload: Payload,
        how: Emit,
        now: Duration,
    ) -> Result<Option<Call>, EmitError> {
        // After a sleep the connection may be dead, and nobody has noticed: what is emitted then has to wait.
        self.timer(now);
        let Some(entry) = self.sockets.get_mut(socket.0) else { return Err(EmitError::UnknownSocket) };
        if self.closed {
            return Err(EmitError::Closed);
        }
        let session = match &mut self.link {
            Link::Up { session, .. } if session.is_open() && entry.is_joined() => Some(session),
            _ => None,
        };
        if how.volatile && !session.as_ref().is_some_and(|session| session.writable()) {
            return Err(EmitError::NotWritable);
        }
        let mut news = Vec::new();
        let call = how.ack.then(|| entry.call());
        if entry.options.retries > 0 && !how.volatile {
            let compress = how.compress;
            let timeout = how.timeout;
            entry.line_up(InLine { payload, call, timeout, compress, tries: 0, pending: None }, &mut news);
            self.tell(socket, news);
            self.drain(socket, now);
            self.pump(now);
            return Ok(call);
        }
        let timeout = how.timeout.or(entry.options.ack_timeout);
        let Some(session) = session else {
            let ack = call.map(|call| entry.expect(Asker::Call(call), timeout, now));
            entry.wait(Waiting { payload, ack, compress: how.compress }, &mut news);
            self.tell(socket, news);
            return Ok(call);
        };
        if session.queued() > 0 && session.queued().saturating_add(payload.size()) > self.config.outbox {
            return Err(EmitError::Full);
        }
        let id = call.map(|call| entry.expect(Asker::Call(call), timeout, now));
        let out = PacketOut {
            namespace: &entry.namespace,
            body: Out::Event { id, payload: &payload },
            compress: how.compress,
        };
        match encode(&out, &self.config.dialect) {
            Ok(encoded) => session.send(encoded.messages()),
            Err(error) => {
                id.and_then(|id| entry.settle(id));
                return Err(error.into());
            }
        }
        self.pump(now);
        Ok(call)
    }

    /// Answers an event, with a payload made by [`Payload::args`]. Whether that was sent: not if the connection on
    /// which it was asked is over.
    ///
    /// # Errors
    /// When the dialect cannot say it.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up, so that nothing is answered twice")]
    pub fn answer(&mut self, ack: AckId, payload: &Payload, now: Duration) -> Result<bool, EncodeError> {
        let asked = self
            .sockets
            .get(ack.socket.0)
            .is_some_and(|socket| socket.is_joined() && socket.joined == ack.joined);
        if asked {
            self.send(ack.socket, Out::Ack { id: ack.id, payload })?;
            self.pump(now);
        }
        Ok(asked)
    }

    /// The answer to [`Output::AuthWanted`]: JSON text of an object, or nothing; or a reason why there is none, which
    /// then is the socket's refusal. One that comes too late, for a connection that is over, does nothing.
    pub fn authorize(
        &mut self,
        socket: SocketId,
        ticket: Ticket,
        auth: Result<Option<String>, String>,
        now: Duration,
    ) {
        if self.sockets.get(socket.0).is_none_or(|entry| entry.state != State::Asking(ticket)) {
            return;
        }
        match auth {
            Ok(auth) => self.send_connect(socket, auth.as_deref(), now),
            Err(message) => self.refused(socket, Refused { message, data: None }, now),
        }
        self.pump(now);
    }

    /// Changes what is sent with the next CONNECT.
    pub fn set_auth(&mut self, socket: SocketId, auth: Auth) {
        if let Some(entry) = self.sockets.get_mut(socket.0) {
            entry.options.auth = auth;
        }
    }

    /// Nobody waits for the answer to a call any more: it is not told. If its event has not left yet it never will, except
    /// from the line of retries, where it keeps its place.
    pub fn forget(&mut self, socket: SocketId, call: Call) {
        if let Some(entry) = self.sockets.get_mut(socket.0) {
            entry.forget(call);
        }
    }

    /// Tries to move from polling to WebSocket now, even if the configuration or the server's offer kept it from that:
    /// [`Output::Upgraded`](super::Output::Upgraded) or [`Output::UpgradeFailed`](super::Output::UpgradeFailed)
    /// follows. `false`: there is no polling connection, or a try is under way.
    pub fn upgrade(&mut self, now: Duration) -> bool {
        let Link::Up { session, .. } = &mut self.link else { return false };
        let begun = session.upgrade(now);
        self.pump(now);
        begun
    }

    /// Whether [`Client::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether another attempt follows one that failed.
    pub fn reconnects(&self) -> bool {
        self.config.reconnection.is_some()
    }

    /// The server's name for a socket, while it is connected.
    pub fn id(&self, socket: SocketId) -> Option<&str> {
        match &self.sockets.get(socket.0)?.state {
            State::Joined { sid } => Some(sid),
            _ => None,
        }
    }

    /// The namespace of a socket.
    pub fn namespace(&self, socket: SocketId) -> Option<&str> {
        Some(&self.sockets.get(socket.0)?.namespace)
    }

    /// Whether a socket is connected, or will connect by itself.
    pub fn is_active(&self, socket: SocketId) -> bool {
        self.sockets.get(socket.0).is_some_and(Socket::is_active)
    }

    /// The transport of the connection, if there is one.
    pub fn transport(&self) -> Option<Transport> {
        match &self.link {
            Link::Up { session, .. } => Some(session.transport()),
            _ => None,
        }
    }

    /// Bytes that wait for the network.
    pub fn queued(&self) -> usize {
        match &self.link {
            Link::Up { session, .. } => session.queued(),
            _ => 0,
        }
    }

    // ---- what the network did -------------------------------------------------------------------------------------------

    /// A GET was answered, with status 200.
    pub fn polled(&mut self, connection: u32, body: &[u8], content: Content, now: Duration) {
        let mut empty = true;
        for packet in engine::Payload::body(body, content, self.config.protocol) {
            if !self.is_current(connection) {
                return;
            }
            match packet {
                Ok(packet) => {
                    empty &= packet.kind == engine::Kind::Noop;
                    self.packet(packet, Transport::Polling, now);
                }
                Err(error) => self.broken(Transport::Polling, &error.to_string(), now),
            }
        }
        self.with(connection, now, |session| session.polled(empty, now));
    }

    /// A POST was answered, with status 200.
    pub fn posted(&mut self, connection: u32, now: Duration) {
        self.with(connection, now, |session| session.posted(now));
    }

    /// A GET (`post` is false) or a POST failed, or was answered with another status. The message is for people.
    pub fn request_failed(&mut self, connection: u32, post: bool, message: String, now: Duration) {
        let step = if post { Step::Post } else { Step::Poll };
        self.with(connection, now, |session| session.request_failed(step, message));
    }

    /// The WebSocket that was dialed is open.
    pub fn websocket_opened(&mut self, connection: u32, now: Duration) {
        self.with(connection, now, Session::websocket_opened);
    }

    /// A text message came on the WebSocket.
    pub fn websocket_text(&mut self, connection: u32, text: &str, now: Duration) {
        if self.is_current(connection) {
            match engine::decode_text(text, self.config.protocol) {
                Ok(packet) => self.packet(packet, Transport::WebSocket, now),
                Err(error) => self.broken(Transport::WebSocket, &error.to_string(), now),
            }
        }
    }

    /// A binary message came on the WebSocket.
    pub fn websocket_binary(&mut self, connection: u32, bytes: &[u8], now: Duration) {
        if self.is_current(connection) {
            match engine::decode_binary(bytes, self.config.protocol) {
                Ok(packet) => self.packet(packet, Transport::WebSocket, now),
                Err(error) => self.broken(Transport::WebSocket, &error.to_string(), now),
            }
        }
    }

    /// The frames of one [`Wire::Write`](super::Wire::Write) have left.
    pub fn written(&mut self, connection: u32, now: Duration) {
        self.with(connection, now, |session| session.written(now));
    }

    /// The WebSocket could not be opened, broke (`error` says how), or was closed by the server.
    pub fn websocket_closed(&mut self, connection: u32, error: Option<String>, now: Duration) {
        self.with(connection, now, |session| session.websocket_closed(error, now));
    }

    // ---- time ---------------------------------------------------------------------------------------------------------------

    /// Time has passed. Too early a call does no harm.
    pub fn timer(&mut self, now: Duration) {
        match &mut self.link {
            Link::Waiting { until } if *until <= now => {
                self.attempt = self.attempt.saturating_add(1);
                self.outputs.push_back(Output::Reconnecting { attempt: self.attempt });
                self.begin(now);
            }
            Link::Up { session, .. } => {
                if self.attachments_by.is_some_and(|by| by <= now) {
                    session.fail(Reason::ParseError("a packet without all of its attachments".to_owned()));
                } else {
                    session.timer(now);
                }
            }
            Link::Waiting { .. } | Link::Down => {}
        }
        self.pump(now);
        for at in 0..self.sockets.len() {
            let mut news = Vec::new();
            if let Some(socket) = self.sockets.get_mut(at) {
                socket.timer(now, &mut news);
            }
            self.tell(SocketId(at), news);
            self.drain(SocketId(at), now);
        }
        self.pump(now);
    }

    // ---- inside -------------------------------------------------------------------------------------------------------------

    fn is_current(&self, connection: u32) -> bool {
        connection == self.connection
            && matches!(&self.link, Link::Up { session, .. } if !session.is_closed())
    }

    fn with(&mut self, connection: u32, now: Duration, tell: impl FnOnce(&mut Session)) {
        if self.is_current(connection)
            && let Link::Up { session, .. } = &mut self.link
        {
            tell(session);
            self.pump(now);
        }
    }

    fn begin(&mut self, now: Duration) {
        let config = &self.config;
        let rules = Rules {
            protocol: config.protocol,
            transports: config.transports,
            open_timeout: config.open_timeout,
            upgrade_timeout: config.upgrade_timeout,
            close_timeout: config.close_timeout,
        };
        self.connection = self.connection.wrapping_add(1);
        self.decoder = Decoder::new(config.dialect.clone(), self.limits.clone());
        self.attachments_by = None;
        self.main = Main::Awaited;
        self.link = Link::Up { session: Box::new(Session::new(rules, now)), opened: None };
    }

    /// Hands on what the session wants, and draws the consequences.
    fn pump(&mut self, now: Duration) {
        while let Link::Up { session, opened } = &mut self.link
            && let Some(doing) = session.step(now)
        {
            match doing {
                Doing::Wire(wire) => {
                    self.outputs.push_back(Output::Wire { connection: self.connection, wire })
                }
                Doing::Opened => {
                    *opened = Some(now);
                    let transport = session.transport();
                    self.outputs.push_back(Output::Opened { transport });
                    if self.attempt > 0 {
                        self.outputs.push_back(Output::Reconnected { attempt: self.attempt });
                        self.attempt = 0;
                    }
                    for at in 0..self.sockets.len() {
                        self.join(SocketId(at), now);
                    }
                }
                Doing::Upgraded => self.outputs.push_back(Output::Upgraded),
                Doing::UpgradeFailed(failure) => self.outputs.push_back(Output::UpgradeFailed(failure)),
                // A body full of pings is one for the application: it does not take more memory than it came in.
                Doing::Pinged if self.outputs.back() == Some(&Output::Pinged) => {}
                Doing::Pinged => self.outputs.push_back(Output::Pinged),
                Doing::Closed(reason) => {
                    let opened = *opened;
                    self.over(opened, reason, now);
                }
            }
        }
    }

    /// The connection is over: without a reason if we wanted that.
    fn over(&mut self, opened: Option<Duration>, reason: Option<Reason>, now: Duration) {
        self.link = Link::Down;
        self.attachments_by = None;
        let plan = self.config.reconnection;
        if let (Some(opened), Some(plan)) = (opened, plan)
            && now.saturating_sub(opened) >= plan.stable
        {
            self.backoff.settle();
        }
        for at in 0..self.sockets.len() {
            let Some(socket) = self.sockets.get_mut(at) else { continue };
            let mut news = Vec::new();
            match socket.state {
                State::Inactive => {}
                State::Leaving => socket.state = State::Inactive,
                State::Away | State::Asking(_) | State::Joining { .. } => socket.state = State::Away,
                State::Joined { .. } => {
                    socket.state = State::Away;
                    self.outputs.push_back(Output::Disconnected {
                        socket: SocketId(at),
                        reason: reason.clone().unwrap_or(Reason::ClientDisconnect),
                        active: plan.is_some(),
                    });
                }
            }
            socket.cut(&mut news);
            self.tell(SocketId(at), news);
        }
        let wanted = self.sockets.iter().any(Socket::is_active);
        let Some(reason) = reason else {
            self.outputs.push_back(Output::Closed);
            // Somebody wanted to connect again while this was coming to its end.
            if wanted {
                self.begin(now);
            }
            return;
        };
        self.outputs.push_back(match opened {
            Some(_) => Output::Lost(reason),
            None => Output::ConnectFailed(reason),
        });
        if !wanted {
            // It broke while it was to end anyway.
            self.outputs.push_back(Output::Closed);
            return;
        }
        let Some(plan) = plan else { return };
        if plan.attempts.is_some_and(|attempts| self.attempt >= attempts) {
            self.attempt = 0;
            self.outputs.push_back(Output::GaveUp);
            return;
        }
        let delay = self.backoff.delay();
        self.link = Link::Waiting { until: now.saturating_add(delay) };
        self.outputs.push_back(Output::Waiting(delay));
    }

    fn join(&mut self, socket: SocketId, now: Duration) {
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        if entry.state != State::Away {
            return;
        }
        match entry.options.auth.clone() {
            Auth::None => self.send_connect(socket, None, now),
            Auth::Value(auth) => self.send_connect(socket, Some(&auth), now),
            Auth::Ask => {
                self.tickets = self.tickets.wrapping_add(1);
                let ticket = Ticket(self.tickets);
                entry.state = State::Asking(ticket);
                self.outputs.push_back(Output::AuthWanted { socket, ticket });
            }
        }
    }

    fn send_connect(&mut self, socket: SocketId, auth: Option<&str>, now: Duration) {
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        let data = match entry.connect_data(auth) {
            Ok(data) => data,
            Err(_) => {
                let message = "auth is not JSON text of an object".to_owned();
                return self.refused(socket, Refused { message, data: None }, now);
            }
        };
        entry.state = State::Joining { early: Vec::new(), bytes: 0 };
        if self.config.protocol == engine::Protocol::V3 && entry.namespace == "/" {
            match self.main {
                Main::Awaited => return,
                Main::Welcomed => return self.accepted(socket, None, now),
                Main::Left => {}
            }
        }
        if let Err(error) = self.send(socket, Out::Connect(data.as_deref())) {
            self.refused(socket, Refused { message: error.to_string(), data: None }, now);
        }
    }

    fn send(&mut self, socket: SocketId, body: Out<'_>) -> Result<(), EncodeError> {
        let (Some(entry), Link::Up { session, .. }) = (self.sockets.get(socket.0), &mut self.link) else {
            return Ok(());
        };
        let out = PacketOut { namespace: &entry.namespace, body, compress: true };
        let encoded = encode(&out, &self.config.dialect)?;
        session.send(encoded.messages());
        Ok(())
    }

    fn packet(&mut self, packet: EnginePacket<'_>, lane: Transport, now: Duration) {
        let Link::Up { session, .. } = &mut self.link else { return };
        let data = session.received(packet, lane, now);
        self.pump(now);
        let decoded = match data {
            None => return,
            Some(Data::Text(text)) => self.decoder.text(&text).map(|packet| packet.map(Packet::into_owned)),
            Some(Data::Binary(bytes)) => self.decoder.binary(bytes),
        };
        match decoded {
            Ok(Some(packet)) => {
                self.attachments_by = None;
                self.understood(packet, now);
            }
            Ok(None) => {
                self.attachments_by.get_or_insert(now.saturating_add(ATTACHMENTS));
            }
            Err(violation) => self.violated(violation.to_string()),
        }
        self.pump(now);
    }

    fn violated(&mut self, what: String) {
        if let Link::Up { session, .. } = &mut self.link {
            session.fail(Reason::ParseError(what));
        }
    }

    fn broken(&mut self, lane: Transport, what: &str, now: Duration) {
        if let Link::Up { session, .. } = &mut self.link {
            session.broken(lane, what, now);
        }
        self.pump(now);
    }

    /// One packet of the server. Packets for namespaces we have not asked for are nobody's, as are answers to
    /// questions that were not asked.
    fn understood(&mut self, packet: Packet<'static>, now: Duration) {
        if packet.namespace == "/" {
            match packet.body {
                Body::Connect { .. } => self.main = Main::Welcomed,
                Body::Disconnect => self.main = Main::Left,
                _ => {}
            }
        }
        let Some(at) = self.sockets.iter().position(|socket| socket.namespace == packet.namespace) else {
            return;
        };
        let socket = SocketId(at);
        let Some(entry) = self.sockets.get_mut(at) else { return };
        match (packet.body, &mut entry.state) {
            (Body::Connect { auth, .. }, State::Joining { .. }) => self.accepted(socket, auth, now),
            (Body::Connect { .. }, State::Leaving) => {
                entry.state = State::Inactive;
                if packet.namespace == "/" {
                    self.main = Main::Left;
                }
                // A DISCONNECT can be said in every dialect that said CONNECT.
                let _ = self.send(socket, Out::Disconnect);
            }
            (Body::ConnectError(_), State::Leaving) => entry.state = State::Inactive,
            (Body::ConnectError(error), State::Joining { .. } | State::Joined { .. }) => {
                let refused = refusal(error);
                self.refused(socket, refused, now);
            }
            (Body::Disconnect, State::Joined { .. }) => {
                self.left(socket, Reason::ServerDisconnect);
                self.rest(now);
            }
            (Body::Event { id, name, args }, State::Joined { .. }) => {
                let early = Early { name: name.into_owned(), args, id };
                self.deliver(socket, early);
            }
            (Body::Event { id, name, args }, State::Joining { early, bytes }) => {
                let attached =
                    args.attachments().iter().fold(0_usize, |sum, each| sum.saturating_add(each.len()));
                *bytes = bytes.saturating_add(args.text().len()).saturating_add(attached);
                early.push(Early { name: name.into_owned(), args, id });
                if early.len() > self.config.early_events || *bytes > self.config.early_bytes {
                    // With the same offset it would happen again.
                    entry.recovery = None;
                    self.violated("too much before the answer to CONNECT".to_owned());
                }
            }
            (Body::Ack { id, args }, State::Joined { .. }) => match entry.settle(id) {
                Some(Asker::Call(call)) => self.outputs.push_back(Output::Answer { socket, call, args }),
                Some(Asker::Line) => {
                    if let Some(call) = entry.leave_line().and_then(|entry| entry.call) {
                        self.outputs.push_back(Output::Answer { socket, call, args });
                    }
                    self.drain(socket, now);
                }
                None => {}
            },
            _ => {}
        }
    }

    /// The namespace accepted.
    fn accepted(&mut self, socket: SocketId, data: Option<Cow<'static, str>>, now: Duration) {
        let Link::Up { session, .. } = &self.link else { return };
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        let welcome = match self.config.protocol {
            engine::Protocol::V4 => data.and_then(|data| serde_json::from_str::<Welcome>(&data).ok()),
            engine::Protocol::V3 => {
                let sid = match entry.namespace.as_str() {
                    "/" => session.sid().to_owned(),
                    namespace => format!("{namespace}#{}", session.sid()),
                };
                Some(Welcome { sid, pid: None, offset: None })
            }
        };
        let Some(welcome) = welcome else {
            let message =
                "the server answers without a sid: it is older than socket.io 3, and needs Config::v3";
            return self.refused(socket, Refused { message: message.to_owned(), data: None }, now);
        };
        let recovered = match (&entry.recovery, &welcome.pid) {
            (Some(before), Some(pid)) => before.pid == *pid,
            _ => false,
        };
        if !recovered {
            // A new session begins: an offset of the old one would be unknown to it.
            entry.recovery = welcome.pid.map(|pid| Recovery { pid, offset: None });
        }
        if let Some(recovery) = &mut entry.recovery
            && recovery.offset.is_none()
        {
            // Sockeye says where a session begins, so that it can be recovered before its first event.
            recovery.offset = welcome.offset;
        }
        entry.joined = entry.joined.wrapping_add(1);
        let before = std::mem::replace(&mut entry.state, State::Joined { sid: welcome.sid });
        let waiting = entry.take_waiting();
        if let State::Joining { early, .. } = before {
            for early in early {
                self.deliver(socket, early);
            }
        }
        for waiting in waiting {
            self.send_waiting(socket, waiting);
        }
        self.drain(socket, now);
        self.pump(now);
        self.outputs.push_back(Output::Connected { socket, recovered });
    }

    fn send_waiting(&mut self, socket: SocketId, waiting: Waiting) {
        let (Some(entry), Link::Up { session, .. }) = (self.sockets.get_mut(socket.0), &mut self.link) else {
            return;
        };
        let out = PacketOut {
            namespace: &entry.namespace,
            body: Out::Event { id: waiting.ack, payload: &waiting.payload },
            compress: waiting.compress,
        };
        match encode(&out, &self.config.dialect) {
            Ok(encoded) => session.send(encoded.messages()),
            Err(_) => {
                let mut news = Vec::new();
                if let Some(Asker::Call(call)) = waiting.ack.and_then(|id| entry.settle(id)) {
                    news.push(News::Unanswered(call, Unanswered::Unsent));
                }
                news.push(News::Dropped(waiting.payload));
                self.tell(socket, news);
            }
        }
    }

    /// Sends the head of the line of `retries`, unless it is on its way.
    fn drain(&mut self, socket: SocketId, now: Duration) {
        while let Some(entry) = self.sockets.get_mut(socket.0)
            && let Link::Up { session, .. } = &mut self.link
            && session.is_open()
            && let Some((payload, id, compress)) = entry.next_try(now)
        {
            let out = PacketOut {
                namespace: &entry.namespace,
                body: Out::Event { id: Some(id), payload: &payload },
                compress,
            };
            match encode(&out, &self.config.dialect) {
                Ok(encoded) => session.send(encoded.messages()),
                Err(_) => {
                    entry.settle(id);
                    let call = entry.leave_line().and_then(|entry| entry.call);
                    let mut news: Vec<News> =
                        call.map(|call| News::Unanswered(call, Unanswered::Unsent)).into_iter().collect();
                    news.push(News::Dropped(payload));
                    self.tell(socket, news);
                }
            }
        }
    }

    fn deliver(&mut self, socket: SocketId, event: Early) {
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        entry.saw(&event.args, event.id);
        let ack = event.id.map(|id| AckId { socket, joined: entry.joined, id });
        self.outputs.push_back(Output::Event { socket, name: event.name, args: event.args, ack });
    }

    fn refused(&mut self, socket: SocketId, refused: Refused, now: Duration) {
        self.left(socket, Reason::ServerDisconnect);
        self.outputs.push_back(Output::Refused { socket, refused });
        self.rest(now);
    }

    /// The application does not want this socket to be connected any more.
    fn leave(&mut self, socket: SocketId, now: Duration) {
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        match entry.state {
            State::Inactive | State::Leaving => {}
            // The server would close the whole connection over a DISCONNECT before it has let us in.
            State::Joining { .. } => entry.state = State::Leaving,
            State::Away | State::Asking(_) => entry.state = State::Inactive,
            State::Joined { .. } => {
                if entry.namespace == "/" {
                    self.main = Main::Left;
                }
                let _ = self.send(socket, Out::Disconnect);
                self.pump(now);
                self.left(socket, Reason::ClientDisconnect);
            }
        }
    }

    /// A socket is out of its namespace, and stays away.
    fn left(&mut self, socket: SocketId, reason: Reason) {
        let Some(entry) = self.sockets.get_mut(socket.0) else { return };
        let was = std::mem::replace(&mut entry.state, State::Inactive);
        // No server keeps a session that was left in order.
        entry.recovery = None;
        if let State::Joined { .. } = was {
            self.outputs.push_back(Output::Disconnected { socket, reason, active: false });
        }
        let mut news = Vec::new();
        entry.cut(&mut news);
        self.tell(socket, news);
    }

    /// Ends the connection if no socket needs it any more.
    fn rest(&mut self, now: Duration) {
        if self.sockets.iter().any(Socket::is_active) {
            return;
        }
        match &mut self.link {
            Link::Up { session, .. } => session.close(now),
            Link::Waiting { .. } => {
                self.link = Link::Down;
                self.attempt = 0;
                self.outputs.push_back(Output::Closed);
            }
            Link::Down => {}
        }
    }

    fn tell(&mut self, socket: SocketId, news: Vec<News>) {
        self.outputs.extend(news.into_iter().map(|news| match news {
            News::Unanswered(call, why) => Output::Unanswered { socket, call, why },
            News::Dropped(payload) => Output::Dropped { socket, payload },
        }));
    }
}

/// What an accepting server says.
#[derive(Deserialize)]
struct Welcome {
    sid: String,
    #[serde(default)]
    pid: Option<String>,
    #[serde(default)]
    offset: Option<String>,
}

/// A refusal, whatever it looks like: an object with a message, a string, or (revision 4) anything.
fn refusal(error: Option<Cow<'static, str>>) -> Refused {
    let error = error.unwrap_or(Cow::Borrowed("null"));
    match serde_json::from_str(&error) {
        Ok(serde_json::Value::String(message)) => Refused { message, data: None },
        Ok(serde_json::Value::Object(mut object))
            if object.get("message").is_some_and(|it| it.is_string()) =>
        {
            Refused {
                message: object.get("message").and_then(|it| it.as_str()).unwrap_or_default().to_owned(),
                data: object.remove("data").map(|data| data.to_string()),
            }
        }
        _ => Refused { message: "refused".to_owned(), data: Some(error.into_owned()) },
    }
}
