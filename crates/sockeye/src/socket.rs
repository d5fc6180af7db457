//! [`Socket`]: one client in one namespace.
//!
//! The handle is one pointer. What it points to holds the way to the client only while the socket is connected: when
//! it has left, a handle kept by the application pins an id, the handshake and what the application put there itself,
//! but no session, no outbox, no handlers and no waiting acks.

mod life;
mod sending;

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_engine::{Handshake, Protocol, Reason, Session, Transport};
use sockeye_proto::socket::{Dialect, Payload};
use tokio::time::Instant;

use crate::ack::{CallError, Waiter, Waiting};
use crate::cluster::BusError;
use crate::data::Data;
use crate::emit::Flags;
use crate::gate::Gate;
use crate::handler::{DisconnectHandler, Disconnector, Handler, Listener};
use crate::listeners::{ListenerId, Listeners, Registered};
use crate::namespace::{Namespace, Tenancy};
use crate::operator::{IntoRooms, Operator};
use crate::rate::{Bucket, EventRate};
use crate::recovery::{Given, RecoveryFailure};
use crate::run::{Serial, Ties, Work};
use crate::server::Server;
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

pub use sending::Emitter;

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
    pub(crate) ties: Arc<Ties>,
    pub(crate) work: Work,
    pub(crate) serial: Mutex<Serial>,
    /// Boxed where there is any: most sockets have none.
    data: Mutex<Option<Box<Data>>>,
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
    /// The offset of everything before it came in, where the bus has a log.
    pub(crate) since: OnceLock<Arc<str>>,
}

enum Phase {
    /// The verdict on its CONNECT is out. What is emitted and joined meanwhile waits.
    Connecting(Box<Connecting>),
    Connected {
        member: Arc<Member>,
        tenancy: Tenancy,
        leaving: Option<Box<Reason>>,
    },
    Gone(Option<Box<Reason>>),
}

struct Connecting {
    early: Vec<Early>,
    bytes: usize,
    rooms: Vec<Arc<str>>,
    tenancy: Tenancy,
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
    /// Only with recovery.
    pub(crate) given: Option<Box<Mutex<Given>>>,
}

impl Member {
    /// What it was given of the log. Only with recovery, and only under the store's lock.
    pub(crate) fn given(&self) -> Option<MutexGuard<'_, Given>> {
        self.given.as_ref().map(|given| lock(given))
    }
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
    pub(crate) ties: Arc<Ties>,
}

impl Socket {
    pub(crate) fn new(birth: Birth) -> Self {
        let Birth { id, namespace, handshake, auth, recovery, data, rooms, tenancy, ties } = birth;
        Self(Arc::new(Inner {
            id,
            namespace,
            handshake,
            auth,
            recovery,
            phase: Mutex::new(Phase::Connecting(Box::new(Connecting {
                early: Vec::new(),
                bytes: 0,
                rooms,
                tenancy,
            }))),
            has: AtomicU8::new(0),
            extra: Mutex::default(),
            gate: Gate::default(),
            ties,
            work: Work::default(),
            serial: Mutex::default(),
            data: Mutex::new((!data.is_empty()).then(|| Box::new(data))),
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
            Phase::Gone(reason) => reason.as_deref().cloned(),
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

/// Rooms and audiences.
impl Socket {
    /// Joins rooms, at once. A room exists while somebody is in it. No effect after the socket has left.
    pub fn join(&self, rooms: impl IntoRooms) {
        let rooms: Vec<Arc<str>> = rooms.into_rooms().into_iter().collect();
        let connected = match &mut *lock(&self.0.phase) {
            Phase::Connecting(connecting) => {
                for room in &rooms {
                    if !connecting.rooms.contains(room) {
                        connecting.rooms.push(Arc::clone(room));
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

    /// Joins rooms at once, and waits until what other servers say to them arrives here. Only some buses have channels for
    /// rooms (Redis sharded); with others, and without any, there is nothing to wait for.
    ///
    /// # Errors
    /// When the bus does not subscribe. The rooms are joined on this server all the same.
    pub async fn join_confirmed(&self, rooms: impl IntoRooms) -> Result<(), BusError> {
        self.join(rooms);
        let place = &self.0.namespace.place;
        match &place.watcher {
            Some(bus) => bus.settled(&place.name).await,
            None => Ok(()),
        }
    }

    /// Leaves rooms, at once.
    pub fn leave(&self, rooms: impl IntoRooms) {
        let rooms: Vec<Arc<str>> = rooms.into_rooms().into_iter().collect();
        let connected = match &mut *lock(&self.0.phase) {
            Phase::Connecting(connecting) => {
                connecting.rooms.retain(|room| !rooms.contains(room));
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
        if let Phase::Connecting(connecting) = &*lock(&self.0.phase) {
            return connecting.rooms.clone();
        }
        self.0.namespace.place.rooms_of(&self.0.id)
    }

    /// Whether this socket is in a room.
    pub fn is_in(&self, room: &str) -> bool {
        if let Phase::Connecting(connecting) = &*lock(&self.0.phase) {
            return connecting.rooms.iter().any(|one| **one == *room);
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
        // Under the lock that `release` takes, so that a socket that has left holds on to nothing.
        if matches!(&*lock(&self.0.phase), Phase::Gone(_)) {
            return add(&mut Listeners::default());
        }
        let id = add(extra.listeners.get_or_insert_default());
        self.0.has.fetch_or(what, Ordering::Release);
        if what == HAS_OUTGOING {
            self.0.namespace.place.outgoing_added();
        }
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
        lock(&self.0.data).get_or_insert_default().insert(value)
    }

    /// The value of this type.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        lock(&self.0.data).as_ref()?.find::<T>()
    }

    /// Takes out the value of this type.
    pub fn remove_data<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        lock(&self.0.data).as_mut()?.remove::<T>()
    }

    /// Sets what other nodes see of this socket in [`fetch_sockets`](crate::Operator::fetch_sockets): any
    /// serialisable value. Goes over to the socket that recovers it.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn set_info(&self, info: impl Serialize) -> Result<(), serde_json::Error> {
        let json = serde_json::to_string(&info)?;
        lock(&self.0.data).get_or_insert_default().info = Some(json.into());
        Ok(())
    }

    /// What [`set_info`](Self::set_info) set, as JSON text.
    pub fn info_json(&self) -> Option<Arc<str>> {
        lock(&self.0.data).as_ref()?.info.clone()
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
