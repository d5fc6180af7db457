//! [`Socket`]: one client in one namespace.
//!
//! The handle is one pointer. What it points to holds the way to the client only while the socket is connected: when
//! it has left, a handle kept by the application pins an id, the handshake and what the application put there itself,
//! but no session, no outbox, no handlers and no waiting acks.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_engine::{Handshake, Protocol, Reason, Session, Transport};
use sockeye_proto::socket::{
    Dialect, Encoded, Out, PacketOut, Payload, disconnected, encode, encode_ack, encode_event,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ack::{Asked, CallError, Entry, Waiter, Waiting};
use crate::data::Data;
use crate::deliver;
use crate::emit::{EmitError, Flags};
use crate::event::{Event, Travelling};
use crate::gate::Gate;
use crate::handler::{DisconnectCall, DisconnectHandler, Disconnector, Handler, Listener};
use crate::listeners::{ListenerId, Listeners, Outgoing, Registered};
use crate::namespace::{Namespace, Tenancy};
use crate::operator::{IntoRooms, Operator};
use crate::rate::{Bucket, EventRate};
use crate::recovery::{Given, RecoveryFailure};
use crate::run::{self, Serial, Work};
use crate::server::Server;
use crate::stats::count;
use crate::sync::lock;

/// One client in one namespace. Cheap to clone; all clones are the same socket.
///
/// ```
/// use sockeye::{Data, Socket};
///
/// async fn say(socket: Socket, Data(text): Data<String>) {
///     socket.join("talkers");
///     socket.to("talkers").emit("said", &text).ok();     // everybody in the room but this socket
///     if let Err(error) = socket.emit("thanks", text.len()) {
///         eprintln!("not sent: {error}");                 // full or gone: it tells
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: Arc<str>,
    pub(crate) namespace: Namespace,
    handshake: Arc<Handshake>,
    auth: Arc<str>,
    pub(crate) recovery: Option<Box<Recovery>>,
    phase: Mutex<Phase>,
    /// What `has` says is there is in `extra`: spares events and emits a lock that finds nothing.
    has: AtomicU8,
    extra: Mutex<Extra>,
    pub(crate) gate: Gate,
    pub(crate) work: Work,
    pub(crate) serial: Mutex<Serial>,
    data: Mutex<Data>,
}

const HAS_LISTENERS: u8 = 1;
const HAS_OUTGOING: u8 = 2;

#[derive(Default)]
struct Extra {
    /// Only where events are limited.
    bucket: Option<Bucket>,
    waiting: Waiting,
    listeners: Option<Box<Listeners>>,
}

/// What connection state recovery keeps with a socket.
pub(crate) struct Recovery {
    /// The client's secret.
    pub(crate) pid: Arc<str>,
    pub(crate) recovered: bool,
    pub(crate) failure: Option<RecoveryFailure>,
}

enum Phase {
    /// The verdict on its CONNECT is out. What is emitted and joined meanwhile waits.
    Connecting {
        early: Vec<Early>,
        bytes: usize,
        rooms: Vec<Arc<str>>,
        tenancy: Tenancy,
    },
    Connected {
        member: Arc<Member>,
        tenancy: Tenancy,
        leaving: Option<Reason>,
    },
    Gone(Option<Reason>),
}

/// An emit from a middleware.
pub(crate) struct Early {
    id: Option<u64>,
    payload: Payload,
    flags: Flags,
}

/// The part of a connected socket that broadcasts see.
pub(crate) struct Member {
    pub(crate) session: Session,
    pub(crate) dialect: Dialect,
    pub(crate) socket: Weak<Inner>,
    /// The session's other sockets hear of `close()` through this.
    pub(crate) close_all: Arc<AtomicBool>,
    /// Only with recovery, and only under the store's lock.
    pub(crate) given: Mutex<Given>,
}

/// What a socket is made of when its CONNECT arrives.
pub(crate) struct Birth {
    pub(crate) id: Arc<str>,
    pub(crate) namespace: Namespace,
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) auth: Arc<str>,
    pub(crate) recovery: Option<Box<Recovery>>,
    pub(crate) data: Data,
    pub(crate) rooms: Vec<Arc<str>>,
    pub(crate) tenancy: Tenancy,
}

impl Socket {
    pub(crate) fn new(birth: Birth) -> Self {
        let Birth { id, namespace, handshake, auth, recovery, data, rooms, tenancy } = birth;
        Self(Arc::new(Inner {
            id,
            namespace,
            handshake,
            auth,
            recovery,
            phase: Mutex::new(Phase::Connecting { early: Vec::new(), bytes: 0, rooms, tenancy }),
            has: AtomicU8::new(0),
            extra: Mutex::default(),
            gate: Gate::default(),
            work: Work::default(),
            serial: Mutex::default(),
            data: Mutex::new(data),
        }))
    }

    /// The id: 20 random characters, public, and the name of the socket's own room. Never the id of the Engine.IO
    /// session, which is a secret, except for clients of protocol 2 and 1, which take one for the other.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.0.namespace.server
    }

    /// The request that opened the session: headers, query, addresses, time.
    pub fn handshake(&self) -> &Arc<Handshake> {
        &self.0.handshake
    }

    /// What the client sent in its CONNECT, as JSON text; `{}` when it sent nothing. Secret: never log it.
    pub fn auth_json(&self) -> &str {
        &self.0.auth
    }

    /// The same, read as a `T`.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0.auth)
    }

    /// Whether the socket is in its namespace: from before `on_connect` until after `on_disconnecting`.
    pub fn is_connected(&self) -> bool {
        match &*lock(&self.0.phase) {
            // Sent away while another thread was starting a handler: gone for everybody who asks meanwhile.
            Phase::Connected { leaving: Some(_), .. } => self.0.gate.is_taken(),
            Phase::Connected { leaving: None, .. } => true,
            _ => false,
        }
    }

    /// Why the socket left, once it has.
    pub fn disconnect_reason(&self) -> Option<Reason> {
        match &*lock(&self.0.phase) {
            Phase::Gone(reason) => reason.clone(),
            _ => None,
        }
    }

    /// The transport in use now, while connected.
    pub fn transport(&self) -> Option<Transport> {
        Some(self.member()?.session.transport())
    }

    /// The Engine.IO protocol the client speaks, while connected.
    pub fn protocol(&self) -> Option<Protocol> {
        Some(self.member()?.session.protocol())
    }

    /// Bytes that wait in the session's outbox.
    pub fn queued(&self) -> usize {
        self.member().map_or(0, |member| member.session.queued())
    }

    /// Whether this socket continues one whose connection was lost, with its id, rooms, data and missed packets.
    pub fn recovered(&self) -> bool {
        self.0.recovery.as_ref().is_some_and(|recovery| recovery.recovered)
    }

    /// Why a client that asked to be recovered was not. `None` if it was, or did not ask.
    pub fn recovery_failure(&self) -> Option<RecoveryFailure> {
        self.0.recovery.as_ref().and_then(|recovery| recovery.failure)
    }
}

/// Sending.
impl Socket {
    /// Sends an event to this client: one argument, several in [`Args`](crate::Args), none with `()`. Bytes anywhere
    /// inside travel as binary.
    ///
    /// Never waits: the packet goes to the bounded outbox of the session, in order.
    ///
    /// # Errors
    /// When it could not: the outbox is full, the socket has left, the arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.emit_flagged(name, args, Flags::default())
    }

    /// Like [`emit`](Self::emit), and waits for room in the outbox. Cancel safe: nothing is sent then.
    ///
    /// # Errors
    /// As [`emit`](Self::emit), but never [`EmitError::Full`].
    pub async fn send(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        let payload = Payload::event(name, &args)?;
        loop {
            match self.emit_payload(None, &payload, Flags::default()) {
                Err(EmitError::Full) => {
                    let member = self.member().ok_or(EmitError::Closed)?;
                    // A packet takes a little more than its payload: type, namespace, frame headers.
                    let bytes = payload.size() + self.0.namespace.name().len() + 64;
                    member.session.ready(bytes).await?;
                    // Somebody else may have taken the room meanwhile; whoever is here yields before trying again.
                    if let done @ (Ok(()) | Err(EmitError::Closed | EmitError::Encode(_))) =
                        self.emit_payload(None, &payload, Flags::default())
                    {
                        return done;
                    }
                    tokio::task::yield_now().await;
                }
                done => return done,
            }
        }
    }

    /// Sends an event and asks for an answer: the first argument the client gives to its ack function, as an `R`
    /// (`Args<(A, B)>` for several).
    ///
    /// The event is sent right here; what comes back waits for the answer, for 60 s unless told otherwise.
    ///
    /// ```
    /// # use sockeye::{CallError, Socket};
    /// # use std::time::Duration;
    /// # async fn f(socket: Socket) -> Result<(), CallError> {
    /// let age: u32 = socket.call("how old are you?", ()).timeout(Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    pub fn call<R>(&self, name: &str, args: impl Serialize) -> Asked<R> {
        self.call_flagged(name, args, Flags::default())
    }

    /// Sends a typed event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Travelling(event))
    }

    /// Sends a typed event and asks for its answer.
    pub fn call_event<E: Event + Serialize>(&self, event: &E) -> Asked<E::Ack> {
        self.call(E::NAME, Travelling(event))
    }

    /// The next emit may be lost: it is dropped if the client cannot take it right now.
    pub fn volatile(&self) -> Emitter<'_> {
        Emitter { socket: self, flags: Flags { volatile: true, ..Flags::default() } }
    }

    /// Whether transports may compress the next emit. Default `true`; they then do where compression is on.
    pub fn compress(&self, yes: bool) -> Emitter<'_> {
        Emitter { socket: self, flags: Flags { compress: yes, ..Flags::default() } }
    }

    fn emit_flagged(&self, name: &str, args: impl Serialize, flags: Flags) -> Result<(), EmitError> {
        if self.plain() {
            // The common case skips the payload: straight from the value into the frame.
            let member = self.member();
            if let Some(member) = member {
                let packet = encode_event(
                    self.0.namespace.name(),
                    None,
                    name,
                    &args,
                    &member.dialect,
                    flags.compress,
                )?;
                return self.put(&member, &packet, flags);
            }
        }
        self.emit_payload(None, &Payload::event(name, &args)?, flags)
    }

    /// Whether nobody but the client wants to see what is emitted.
    fn plain(&self) -> bool {
        let namespace = &self.0.namespace;
        namespace.server.0.recovery.is_none() && !namespace.place.has_outgoing() && !self.has(HAS_OUTGOING)
    }

    pub(crate) fn emit_payload(
        &self,
        id: Option<u64>,
        payload: &Payload,
        flags: Flags,
    ) -> Result<(), EmitError> {
        let member = {
            let mut phase = lock(&self.0.phase);
            match &mut *phase {
                Phase::Connected { member, .. } => Arc::clone(member),
                Phase::Connecting { early, bytes, .. } => {
                    *bytes += payload.size();
                    if *bytes > self.0.namespace.server.0.max_queue() {
                        *bytes -= payload.size();
                        return Err(EmitError::Full);
                    }
                    early.push(Early { id, payload: payload.clone(), flags });
                    return Ok(());
                }
                Phase::Gone(_) => return Err(EmitError::Closed),
            }
        };
        self.tell_outgoing(payload);
        self.transmit(&member, id, payload, flags)
    }

    fn transmit(
        &self,
        member: &Arc<Member>,
        id: Option<u64>,
        payload: &Payload,
        flags: Flags,
    ) -> Result<(), EmitError> {
        if id.is_none() && self.0.namespace.server.0.recovery.is_some() {
            return deliver::direct(self, member, payload, flags);
        }
        let packet = PacketOut {
            namespace: self.0.namespace.name(),
            body: Out::Event { id, payload },
            compress: flags.compress,
        };
        let packet = encode(&packet, &member.dialect)?;
        self.put(member, &packet, flags)
    }

    /// Hands a packet to the outbox.
    pub(crate) fn put(&self, member: &Member, packet: &Encoded, flags: Flags) -> Result<(), EmitError> {
        let counters = &self.0.namespace.server.0.counters;
        if flags.volatile {
            if !member.session.send_volatile(packet.messages()) {
                count(&counters.volatile_dropped);
            }
            return Ok(());
        }
        let sent = member.session.send(packet.messages());
        if sent == Err(sockeye_engine::SendError::Full) {
            count(&counters.full);
        }
        Ok(sent?)
    }

    fn call_flagged<R>(&self, name: &str, args: impl Serialize, flags: Flags) -> Asked<R> {
        let payload = match Payload::event(name, &args) {
            Ok(payload) => payload,
            Err(error) => return Asked::failed(EmitError::from(error)),
        };
        let (sender, receiver) = oneshot::channel();
        let id = self.0.namespace.place.next_ack();
        let entry = Entry { socket: Arc::downgrade(&self.0), id };
        if !self.0.expect_ack(id, Waiter::One(sender)) {
            return Asked::failed(CallError::Disconnected);
        }
        match self.emit_payload(Some(id), &payload, flags) {
            Ok(()) => Asked::sent(receiver, entry),
            Err(error) => Asked::failed(error),
        }
    }

    /// Answers an event; says how many bytes that took.
    pub(crate) fn answer(&self, id: u64, args: impl Serialize) -> Result<usize, EmitError> {
        let member = self.member().ok_or(EmitError::Closed)?;
        let packet = encode_ack(self.0.namespace.name(), id, &args, &member.dialect, true)?;
        self.put(&member, &packet, Flags::default())?;
        Ok(packet.messages().map(|message| message.payload().len()).sum())
    }

    pub(crate) fn answer_payload(&self, id: u64, payload: &Payload) -> Result<(), EmitError> {
        let member = self.member().ok_or(EmitError::Closed)?;
        let body = Out::Ack { id, payload };
        let packet =
            encode(&PacketOut { namespace: self.0.namespace.name(), body, compress: true }, &member.dialect)?;
        self.put(&member, &packet, Flags::default())
    }

    pub(crate) fn member(&self) -> Option<Arc<Member>> {
        match &*lock(&self.0.phase) {
            Phase::Connected { member, .. } => Some(Arc::clone(member)),
            _ => None,
        }
    }

    /// Calls the listeners for outgoing events, if there are any.
    pub(crate) fn tell_outgoing(&self, payload: &Payload) {
        let place = &self.0.namespace.place;
        if place.has_outgoing() {
            for listener in &place.rules.outgoing {
                run::guarded(self, "on_any_outgoing", || listener(self, payload));
            }
        }
        if self.has(HAS_OUTGOING) {
            let own: Vec<Outgoing> = match &lock(&self.0.extra).listeners {
                Some(listeners) => listeners.outgoing(),
                None => Vec::new(),
            };
            for listener in own {
                run::guarded(self, "on_any_outgoing", || listener(self, payload));
            }
        }
    }

    fn has(&self, what: u8) -> bool {
        self.0.has.load(Ordering::Acquire) & what != 0
    }
}

/// Rooms and audiences.
impl Socket {
    /// Joins rooms, at once. A room exists while somebody is in it. No effect after the socket has left.
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms: Vec<Arc<str>> = rooms.into_rooms().into_iter().collect();
        let connected = match &mut *lock(&self.0.phase) {
            Phase::Connecting { rooms: early, .. } => {
                for room in &rooms {
                    if !early.contains(room) {
                        early.push(Arc::clone(room));
                    }
                }
                false
            }
            Phase::Connected { .. } => true,
            Phase::Gone(_) => false,
        };
        if connected {
            // The table of rooms does not know sockets that have left, so a join that is too late changes nothing.
            self.0.namespace.place.join(&self.0.id, &rooms);
        }
    }

    /// Leaves rooms, at once.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms: Vec<Arc<str>> = rooms.into_rooms().into_iter().collect();
        let connected = match &mut *lock(&self.0.phase) {
            Phase::Connecting { rooms: early, .. } => {
                early.retain(|room| !rooms.contains(room));
                false
            }
            Phase::Connected { .. } => true,
            Phase::Gone(_) => false,
        };
        if connected {
            self.0.namespace.place.leave(&self.0.id, &rooms);
        }
    }

    /// The rooms this socket is in, its own first; none after it has left.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        if let Phase::Connecting { rooms, .. } = &*lock(&self.0.phase) {
            return rooms.clone();
        }
        self.0.namespace.place.rooms_of(&self.0.id)
    }

    /// Whether this socket is in a room.
    pub fn is_in(&self, room: &str) -> bool {
        if let Phase::Connecting { rooms, .. } = &*lock(&self.0.phase) {
            return rooms.iter().any(|one| **one == *room);
        }
        self.0.namespace.place.is_in(&self.0.id, room)
    }

    /// Everybody else in the namespace.
    pub fn broadcast(&self) -> Operator {
        Operator::new(self.0.namespace.clone()).except(Arc::clone(&self.0.id))
    }

    /// Everybody else in these rooms.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().to(rooms)
    }

    /// Everybody else in these rooms; the same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Operator {
        self.to(rooms)
    }

    /// Everybody else outside of these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().except(rooms)
    }

    /// Everybody else on this node.
    pub fn local(&self) -> Operator {
        self.broadcast().local()
    }
}

/// Listeners of this socket alone. What every socket of a namespace listens to is better said once, to the builder.
impl Socket {
    /// Adds a listener for an event.
    pub fn on<M: 'static>(&self, name: impl Into<String>, handler: impl Handler<M>) -> ListenerId {
        self.listen(|l| l.add(name.into(), Registered::new(Listener::new(handler))), HAS_LISTENERS)
    }

    /// Adds a listener for an event that waits until the last such handler of this socket has ended.
    pub fn on_serial<M: 'static>(&self, name: impl Into<String>, handler: impl Handler<M>) -> ListenerId {
        self.listen(|l| l.add(name.into(), Registered::new(Listener::new(handler)).serial()), HAS_LISTENERS)
    }

    /// Adds a listener for the next event of this name only.
    pub fn once<M: 'static>(&self, name: impl Into<String>, handler: impl Handler<M>) -> ListenerId {
        self.listen(|l| l.add(name.into(), Registered::new(Listener::new(handler)).once()), HAS_LISTENERS)
    }

    /// Adds a listener for all events. It runs before those for the event and cannot answer.
    pub fn on_any<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.listen(|l| l.add_any(Registered::new(Listener::new(handler))), HAS_LISTENERS)
    }

    /// Adds a listener for everything that is sent to this socket, broadcasts included, acks not. It runs before the
    /// packet is sent, on whatever thread sends it: be quick.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Payload) + Send + Sync + 'static,
    ) -> ListenerId {
        self.0.namespace.place.outgoing_added();
        self.listen(|l| l.add_outgoing(Arc::new(listener)), HAS_OUTGOING)
    }

    /// Adds a listener for the moment before this socket leaves, its rooms still there.
    pub fn on_disconnecting<M: 'static>(&self, handler: impl DisconnectHandler<M>) -> ListenerId {
        self.listen(|l| l.add_disconnecting(Disconnector::new(handler)), HAS_LISTENERS)
    }

    /// Adds a listener for the moment after this socket has left.
    pub fn on_disconnect<M: 'static>(&self, handler: impl DisconnectHandler<M>) -> ListenerId {
        self.listen(|l| l.add_disconnect(Disconnector::new(handler)), HAS_LISTENERS)
    }

    /// Removes a listener. False if it is not there (any more).
    pub fn off(&self, listener: ListenerId) -> bool {
        let removed = match &mut lock(&self.0.extra).listeners {
            Some(listeners) => listeners.remove(listener),
            None => return false,
        };
        if removed.outgoing {
            self.0.namespace.place.outgoing_removed(1);
        }
        removed.any
    }

    /// Removes all of this socket's own listeners for an event; says how many there were.
    pub fn off_all(&self, name: &str) -> usize {
        lock(&self.0.extra).listeners.as_mut().map_or(0, |listeners| listeners.remove_all(name))
    }

    fn listen(&self, add: impl FnOnce(&mut Listeners) -> ListenerId, what: u8) -> ListenerId {
        let mut extra = lock(&self.0.extra);
        let id = add(extra.listeners.get_or_insert_default());
        self.0.has.fetch_or(what, Ordering::Release);
        id
    }

    /// This socket's own listeners for an event: those for all events, and those for its name.
    pub(crate) fn own_listeners(&self, name: &str) -> Option<(Vec<Registered>, Vec<Registered>)> {
        if !self.has(HAS_LISTENERS) {
            return None;
        }
        lock(&self.0.extra).listeners.as_mut().map(|listeners| listeners.for_event(name))
    }
}

/// Data the application keeps with a socket.
impl Socket {
    /// Keeps a value with this socket, one per type; gives back the one that was there. Handlers take it as
    /// [`SocketData<T>`](crate::SocketData). It outlives the connection as long as a handle does, and goes over to
    /// the socket that recovers it on the same node.
    pub fn set_data<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        lock(&self.0.data).insert(value)
    }

    /// The value of this type.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        lock(&self.0.data).find::<T>()
    }

    /// Takes out the value of this type.
    pub fn remove_data<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        lock(&self.0.data).remove::<T>()
    }

    /// Sets what other nodes see of this socket in [`fetch_sockets`](crate::Operator::fetch_sockets): any
    /// serialisable value. Goes over to the socket that recovers it.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn set_info(&self, info: impl Serialize) -> Result<(), serde_json::Error> {
        let json = serde_json::to_string(&info)?;
        lock(&self.0.data).info = Some(json.into());
        Ok(())
    }

    /// What [`set_info`](Self::set_info) set, as JSON text.
    pub fn info_json(&self) -> Option<Arc<str>> {
        lock(&self.0.data).info.clone()
    }
}

/// Leaving.
impl Socket {
    /// Takes the socket out of its namespace: the client is told and does not come back by itself. Its session and
    /// its other namespaces go on. Reason: `server namespace disconnect`. False if it had left already.
    ///
    /// All of it has happened when this returns, but for one case: while another thread is just starting a handler of
    /// this socket, rooms and disconnect handlers wait until that handler has first waited or ended.
    pub fn disconnect(&self) -> bool {
        self.depart(Reason::ServerNamespaceDisconnect, true)
    }

    /// The same with a reason of the application's own, which disconnect handlers see. (The protocol has no room to
    /// tell the client.)
    pub fn disconnect_with(&self, reason: impl Into<Arc<str>>) -> bool {
        self.depart(Reason::Custom(reason.into()), true)
    }

    /// Takes all sockets of this client out of their namespaces, each told, and closes the connection: what the
    /// reference calls `disconnect(true)`.
    pub fn close(&self) {
        let member = self.member();
        self.disconnect();
        if let Some(member) = member {
            member.close_all.store(true, Ordering::Release);
            member.session.poke();
        }
    }

    /// Closes the connection below, after what is queued has been sent: the client sees `transport close` and comes
    /// back by itself, here or, behind a load balancer, elsewhere. All its sockets leave with the reason
    /// `forced close`, and can be recovered. The reference's `conn.close()`.
    pub fn close_connection(&self) {
        if let Some(member) = self.member() {
            member.session.close(Reason::ForcedClose);
        }
    }

    /// The one way out. `tell` says whether the client gets a DISCONNECT. Everything here happens once.
    pub(crate) fn depart(&self, reason: Reason, tell: bool) -> bool {
        let member = {
            let mut phase = lock(&self.0.phase);
            match &mut *phase {
                Phase::Connected { leaving: Some(_), .. } | Phase::Gone(_) => return false,
                Phase::Connected { leaving, member, .. } => {
                    *leaving = Some(reason);
                    Arc::clone(member)
                }
                Phase::Connecting { .. } => {
                    // Whoever carries its CONNECT finds it gone and refuses the client.
                    let before = std::mem::replace(&mut *phase, Phase::Gone(Some(reason)));
                    drop(phase);
                    drop(before);
                    self.release();
                    return true;
                }
            }
        };
        if tell && let Ok(packet) = disconnected(&self.0.namespace.place.name, &member.dialect) {
            // A client that cannot take even this finds out when its session ends.
            let _ = member.session.send(packet.messages());
        }
        if self.0.gate.leave(self) {
            self.carry_out_departure();
        }
        if tell {
            // The session may have stopped reading because of this socket.
            member.session.poke();
        }
        true
    }

    /// The rest of [`depart`](Self::depart), by whoever the gate says.
    pub(crate) fn carry_out_departure(&self) {
        let (member, reason) = match &*lock(&self.0.phase) {
            Phase::Connected { member, leaving: Some(reason), .. } => (Arc::clone(member), reason.clone()),
            _ => return,
        };
        let place = &self.0.namespace.place;
        let core = &self.0.namespace.server.0;

        // Rooms are still there and the socket still counts as connected.
        let own = match &mut lock(&self.0.extra).listeners {
            Some(listeners) => listeners.take_disconnect(),
            None => Default::default(),
        };
        for handler in place.rules.disconnecting.iter().chain(&own.disconnecting) {
            self.tell_disconnect(handler, &reason);
        }

        core.lose(self, &member, &reason);
        let (before, tenancy) = {
            let mut phase = lock(&self.0.phase);
            match std::mem::replace(&mut *phase, Phase::Gone(Some(reason.clone()))) {
                Phase::Connected { tenancy, member, .. } => (Some(member), Some(tenancy)),
                _ => (None, None),
            }
        };
        drop(before);
        self.release();
        for handler in place.rules.disconnect.iter().chain(&own.disconnect) {
            self.tell_disconnect(handler, &reason);
        }
        core.counters.sockets.fetch_sub(1, Ordering::Relaxed);
        tracing::debug!(namespace = %place.name, socket = %self.0.id, reason = reason.as_str(), "disconnected");
        drop(tenancy);
    }

    /// Lets go of everything that a handle kept by the application must not hold on to.
    fn release(&self) {
        let extra = std::mem::take(&mut *lock(&self.0.extra));
        let had = self.0.has.swap(0, Ordering::AcqRel);
        if had & HAS_OUTGOING != 0 {
            let outgoing = extra.listeners.as_ref().map_or(0, |listeners| listeners.outgoing().len());
            self.0.namespace.place.outgoing_removed(outgoing);
        }
        extra.waiting.fail(&self.0.id);
        drop(extra.listeners);
        let unstarted = lock(&self.0.serial).close();
        self.0.work.dropped(unstarted.len());
    }

    fn tell_disconnect(&self, handler: &Disconnector, reason: &Reason) {
        let states = &self.0.namespace.server.0.states;
        let name = handler.name();
        match run::guarded(self, name, || handler.call(DisconnectCall::new(self, reason, states))) {
            Some(Ok(future)) => run::detach(self, name, future),
            Some(Err(mismatch)) => self.0.namespace.server.0.mismatch(name, &mismatch),
            None => {}
        }
    }
}

/// The way in: used by whoever carries the CONNECT.
impl Socket {
    /// Takes what was joined so far.
    pub(crate) fn early_rooms(&self) -> Option<Vec<Arc<str>>> {
        match &mut *lock(&self.0.phase) {
            Phase::Connecting { rooms, .. } => Some(std::mem::take(rooms)),
            _ => None,
        }
    }

    /// From connecting to connected. What the middlewares emitted goes out first. False if the socket has left
    /// meanwhile.
    pub(crate) fn enter(&self, member: &Arc<Member>) -> bool {
        loop {
            let waiting = {
                let mut phase = lock(&self.0.phase);
                match std::mem::replace(&mut *phase, Phase::Gone(None)) {
                    Phase::Connecting { early, rooms, tenancy, .. } if early.is_empty() => {
                        *phase = Phase::Connected { member: Arc::clone(member), tenancy, leaving: None };
                        drop(phase);
                        if !rooms.is_empty() {
                            self.0.namespace.place.join(&self.0.id, &rooms);
                        }
                        return true;
                    }
                    Phase::Connecting { early, rooms, tenancy, .. } => {
                        *phase = Phase::Connecting { early: Vec::new(), bytes: 0, rooms, tenancy };
                        early
                    }
                    other => {
                        *phase = other;
                        return false;
                    }
                }
            };
            for Early { id, payload, flags } in waiting {
                self.tell_outgoing(&payload);
                if let Err(EmitError::Full) = self.transmit(member, id, &payload, flags) {
                    // Whoever emitted it was told that it would go.
                    member.session.overflow();
                }
            }
        }
    }

    /// Forgets a socket that never got in.
    pub(crate) fn discard(&self) {
        // Dropped outside of the lock: it may be the last of its namespace.
        let before = std::mem::replace(&mut *lock(&self.0.phase), Phase::Gone(None));
        drop(before);
        self.release();
    }

    pub(crate) fn auth_shared(&self) -> &Arc<str> {
        &self.0.auth
    }

    /// What goes over to the socket that recovers this one.
    pub(crate) fn heritage(&self) -> Data {
        lock(&self.0.data).clone()
    }
}

impl Inner {
    /// Adds a wait for an answer; false if the socket has left.
    pub(crate) fn expect_ack(&self, id: u64, waiter: Waiter) -> bool {
        let limit = self.namespace.server.0.config.max_acks;
        let oldest = {
            let mut extra = lock(&self.extra);
            // Checked under the lock that `release` takes, so that no entry survives it.
            if matches!(&*lock(&self.phase), Phase::Gone(_)) {
                return false;
            }
            extra.waiting.add(id, waiter, limit)
        };
        if let Some(oldest) = oldest {
            oldest.answer(&self.id, Err(CallError::TimedOut));
        }
        true
    }

    /// Whether the rate of events allows one more.
    pub(crate) fn take_token(&self, rate: &EventRate) -> bool {
        let now = Instant::now();
        lock(&self.extra).bucket.get_or_insert_with(|| Bucket::full(now)).take(now, rate)
    }

    /// An answer arrived; false if nobody asked.
    pub(crate) fn acknowledged(&self, id: u64, answer: Payload) -> bool {
        let waiter = lock(&self.extra).waiting.take(id);
        waiter.map(|waiter| waiter.answer(&self.id, Ok(answer))).is_some()
    }

    /// Whether somebody waits for this answer.
    pub(crate) fn forget_ack(&self, id: u64) {
        drop(lock(&self.extra).waiting.take(id));
    }

    pub(crate) fn acks(&self) -> usize {
        lock(&self.extra).waiting.len()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("namespace", &self.0.namespace.name())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

/// A socket and how the next emit goes: [`Socket::volatile`], [`Socket::compress`].
#[derive(Debug, Clone, Copy)]
pub struct Emitter<'a> {
    socket: &'a Socket,
    flags: Flags,
}

impl Emitter<'_> {
    /// See [`Socket::volatile`].
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// See [`Socket::compress`].
    #[must_use]
    pub fn compress(mut self, yes: bool) -> Self {
        self.flags.compress = yes;
        self
    }

    /// See [`Socket::emit`]. A volatile event that was dropped is not an error.
    ///
    /// # Errors
    /// As there.
    pub fn emit(self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.socket.emit_flagged(name, args, self.flags)
    }

    /// See [`Socket::emit_event`].
    ///
    /// # Errors
    /// As there.
    pub fn emit_event<E: Event + Serialize>(self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Travelling(event))
    }

    /// See [`Socket::call`].
    pub fn call<R>(self, name: &str, args: impl Serialize) -> Asked<R> {
        self.socket.call_flagged(name, args, self.flags)
    }

    /// See [`Socket::call_event`].
    pub fn call_event<E: Event + Serialize>(self, event: &E) -> Asked<E::Ack> {
        self.call(E::NAME, Travelling(event))
    }

    /// Everybody else, with these flags.
    pub fn broadcast(self) -> Operator {
        self.socket.broadcast().flags(self.flags)
    }

    /// Everybody else in these rooms, with these flags.
    pub fn to(self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Operator {
        self.to(rooms)
    }

    /// Everybody else outside of these rooms, with these flags.
    pub fn except(self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().except(rooms)
    }
}
