//! [`Namespace`]: a part of a server with its own sockets, rooms, middlewares and handlers.
//!
//! What a namespace does is fixed when the server is built ([`NamespaceBuilder`]); who is in it is the [`Place`].
//! Children of a dynamic namespace share its rules and live as long as somebody is in them.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use smallvec::SmallVec;
use sockeye_proto::socket::{Arguments, Payload};

use crate::asking::Asking;
use crate::cluster::{self, Body, Bus, ClusterError, Incomplete, PATIENCE, RoomChange};
use crate::emit::EmitError;
use crate::found::FoundSocket;
use crate::logged::Space;
use crate::operator::{IntoRooms, Operator};
use crate::rooms::{Audience, Roll, RoomEvent, Rooms};
use crate::rules::Rules;
use crate::server::{Core, Server};
use crate::socket::{Member, Socket};
use crate::sync::{lock, write};
use sockeye_proto::event::Event;

/// A handle of a namespace. Cheap to clone.
///
/// ```
/// # use sockeye::Server;
/// # fn f(server: Server) {
/// let news = server.of("/news");
/// news.emit("headline", "salmon return").ok();
/// news.to("sports").emit("score", (2, 1)).ok();
/// # }
/// ```
#[derive(Clone)]
pub struct Namespace {
    pub(crate) server: Server,
    pub(crate) place: Arc<Place>,
}

impl Namespace {
    /// The name, with its slash; `/` for the main namespace.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The connected socket with this id, if it is on this node.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        let member = lock(&self.place.rooms).member(id).cloned()?;
        member.socket.upgrade().map(Socket)
    }

    /// The connected sockets of this node, in order of connecting.
    pub fn sockets(&self) -> Vec<Socket> {
        self.place.sockets(&Audience::default())
    }

    /// How many sockets are connected on this node.
    pub fn len(&self) -> usize {
        lock(&self.place.rooms).len()
    }

    /// Whether no socket is connected on this node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rooms of this node, own rooms of sockets included, in no particular order.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        lock(&self.place.rooms).all_rooms()
    }

    /// The connected sockets of a room on this node, in order of joining.
    pub fn sockets_in(&self, rooms: impl IntoRooms) -> Vec<Socket> {
        self.place.sockets(&Audience { rooms: rooms.into_rooms(), except: Default::default() })
    }

    /// The whole namespace, for the modifiers and verbs of [`Operator`].
    pub fn all(&self) -> Operator {
        Operator::new(self.clone())
    }

    /// Sends an event to everybody in the namespace, on all nodes.
    ///
    /// # Errors
    /// When the arguments cannot be written. Slow clients are closed, not reported here.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.all().emit(name, args)
    }

    /// Sends a typed event to everybody.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.all().emit_event(event)
    }

    /// Sends an event to everybody and gathers their answers.
    pub fn call<R>(&self, name: &str, args: impl Serialize) -> Asking<R> {
        self.all().call(name, args)
    }

    /// Who is in any of these rooms.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.all().to(rooms)
    }

    /// Who is in any of these rooms; the same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Operator {
        self.all().to(rooms)
    }

    /// Who is in none of these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.all().except(rooms)
    }

    /// Everybody on this node.
    pub fn local(&self) -> Operator {
        self.all().local()
    }

    /// Everybody who can take it right now.
    pub fn volatile(&self) -> Operator {
        self.all().volatile()
    }

    /// Whether transports may compress what follows.
    pub fn compress(&self, yes: bool) -> Operator {
        self.all().compress(yes)
    }

    /// How long `call` and `fetch_sockets` wait.
    pub fn timeout(&self, timeout: Duration) -> Operator {
        self.all().timeout(timeout)
    }

    /// The sockets of the namespace, on all nodes.
    ///
    /// # Errors
    /// As [`Operator::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Vec<FoundSocket>, Incomplete<Vec<FoundSocket>>> {
        self.all().fetch_sockets().await
    }

    /// The rooms of the whole cluster, each once, own rooms of sockets included.
    ///
    /// # Errors
    /// When the bus fails or a server does not answer in time. What came is in the error.
    pub async fn all_rooms(&self) -> Result<HashSet<Arc<str>>, Incomplete<HashSet<Arc<str>>>> {
        let here = self.rooms();
        let Some(node) = self.server.0.cluster.node() else { return Ok(here.into_iter().collect()) };
        let whole = |mut there: HashSet<Arc<str>>| {
            there.extend(here);
            there
        };
        match node.rooms(&self.place.name, PATIENCE).await {
            Ok(there) => Ok(whole(there)),
            Err(error) => Err(error.map(whole)),
        }
    }

    /// How many servers have this namespace, this one included.
    ///
    /// # Errors
    /// When the bus does not know.
    pub async fn server_count(&self) -> Result<usize, cluster::BusError> {
        match self.server.0.cluster.node() {
            Some(node) => node.count(&self.place.name).await,
            None => Ok(1),
        }
    }

    /// Has everybody join rooms, on all nodes.
    pub fn sockets_join(&self, rooms: impl IntoRooms) {
        self.all().sockets_join(rooms);
    }

    /// Has everybody leave rooms, on all nodes.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) {
        self.all().sockets_leave(rooms);
    }

    /// Disconnects everybody, on all nodes; with `close` their whole sessions.
    pub fn disconnect_sockets(&self, close: bool) {
        self.all().disconnect_sockets(close);
    }

    /// Sends an event to the other servers: their [`on_server_event`](Self::on_server_event) listeners hear it.
    ///
    /// # Errors
    /// When the arguments cannot be written or the bus refuses.
    pub fn server_side_emit(&self, name: &str, args: impl Serialize) -> Result<(), ClusterError> {
        let payload = Payload::event(name, &args)?;
        if let Some(node) = self.server.0.cluster.node() {
            node.publish(&node.message(&self.place.name, Body::ServerEvent { payload, request: None }))?;
        }
        Ok(())
    }

    /// The same, and gathers one answer of each other server, for 5 s. An answer without arguments is that of a server
    /// where nobody listens, or has nothing to say.
    ///
    /// # Errors
    /// When the arguments cannot be written, the bus refuses, or a server does not answer in time. The error has the
    /// answers that came, and who is missing.
    pub async fn server_side_call(
        &self,
        name: &str,
        args: impl Serialize,
    ) -> Result<Vec<Payload>, Incomplete<Vec<Payload>>> {
        let payload = Payload::event(name, &args).map_err(|error| Incomplete::new(Vec::new(), error))?;
        match self.server.0.cluster.node() {
            Some(node) => node.call(&self.place.name, payload, PATIENCE).await,
            None => Ok(Vec::new()),
        }
    }

    /// Listens to what other servers send with [`server_side_emit`](Self::server_side_emit). What the listener returns
    /// is the answer where one is awaited: `None` leaves that to another listener.
    pub fn on_server_event(
        &self,
        name: impl Into<String>,
        listener: impl Fn(&Arguments<'_>) -> Option<Payload> + Send + Sync + 'static,
    ) {
        lock(&self.place.server_listeners).push((name.into(), Arc::new(listener)));
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .field("sockets", &self.len())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.place, &other.place)
    }
}

impl Eq for Namespace {}

type ServerListener = Arc<dyn Fn(&Arguments<'_>) -> Option<Payload> + Send + Sync>;

/// Who is in a namespace, on this node.
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    pub(crate) rules: Arc<Rules>,
    /// A child of a dynamic namespace: goes when nobody is left.
    dynamic: bool,
    /// Sockets connected or connecting. Counted up under the read lock of the table of namespaces, so that a
    /// namespace about to be removed under its write lock cannot be entered any more.
    tenants: AtomicUsize,
    pub(crate) rooms: Mutex<Rooms<Member>>,
    /// Room events that have happened and not been told. Filled under the lock of `rooms`, so in order.
    told: Mutex<VecDeque<RoomEvent>>,
    /// How far the log of a bus has come here.
    pub(crate) space: Mutex<Space>,
    /// A bus that has channels for rooms.
    pub(crate) watcher: Option<Arc<dyn Bus>>,
    telling: Mutex<()>,
    acks: AtomicU64,
    /// Listeners of outgoing events, the namespace's and those of its sockets.
    outgoing: AtomicUsize,
    server_listeners: Mutex<Vec<(String, ServerListener)>>,
}

impl Place {
    pub(crate) fn new(name: Arc<str>, rules: Arc<Rules>, dynamic: bool) -> Self {
        let outgoing = AtomicUsize::new(rules.outgoing.len());
        Self {
            name,
            rules,
            dynamic,
            tenants: AtomicUsize::new(0),
            rooms: Mutex::default(),
            told: Mutex::default(),
            space: Mutex::default(),
            watcher: None,
            telling: Mutex::default(),
            acks: AtomicU64::new(0),
            outgoing,
            server_listeners: Mutex::default(),
        }
    }

    /// A number for an event that wants an answer. One count for the namespace, as in the reference, so that a
    /// broadcast can have the same number for all; whom an answer reaches is decided by each socket's own table.
    pub(crate) fn next_ack(&self) -> u64 {
        self.acks.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        self.outgoing.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn outgoing_added(&self) {
        self.outgoing.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn outgoing_removed(&self, count: usize) {
        self.outgoing.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn roll(&self, audience: &Audience) -> Roll<Member> {
        lock(&self.rooms).roll(audience)
    }

    /// The sockets of an audience, in order.
    pub(crate) fn sockets(&self, audience: &Audience) -> Vec<Socket> {
        let roll = self.roll(audience);
        let mut sockets = Vec::with_capacity(roll.at_most());
        roll.for_each(|member| sockets.extend(member.socket.upgrade().map(Socket)));
        sockets
    }

    /// Lets a socket in, with the rooms it asked for already. False if its id is taken. The caller tells.
    pub(crate) fn admit(&self, id: &Arc<str>, member: &Arc<Member>, rooms: &[Arc<str>]) -> bool {
        self.change(|table, tell| {
            let added = table.add(id, Arc::clone(member), &mut *tell);
            if added {
                for room in rooms {
                    table.join(id, room, &mut *tell);
                }
            }
            added
        })
    }

    pub(crate) fn join(&self, id: &str, rooms: &[Arc<str>]) {
        self.change(|table, tell| {
            for room in rooms {
                table.join(id, room, &mut *tell);
            }
        });
        self.tell();
    }

    pub(crate) fn leave(&self, id: &str, rooms: &[Arc<str>]) {
        self.change(|table, tell| {
            for room in rooms {
                table.leave(id, room, &mut *tell);
            }
        });
        self.tell();
    }

    /// Takes a socket out of all its rooms.
    pub(crate) fn forget(&self, id: &str) {
        self.forget_quietly(id);
        self.tell();
    }

    /// The same, and leaves the telling to the caller, who holds a lock.
    pub(crate) fn forget_quietly(&self, id: &str) {
        self.change(|table, tell| table.remove(id, tell));
    }

    pub(crate) fn rooms_of(&self, id: &str) -> Vec<Arc<str>> {
        lock(&self.rooms).rooms_of(id)
    }

    pub(crate) fn is_in(&self, id: &str, room: &str) -> bool {
        lock(&self.rooms).is_in(id, room)
    }

    /// Changes the rooms and notes what happened, in order.
    fn change<R>(&self, change: impl FnOnce(&mut Rooms<Member>, &mut dyn FnMut(RoomEvent)) -> R) -> R {
        let mut rooms = lock(&self.rooms);
        if let Some(bus) = &self.watcher {
            return self.change_watched(&mut rooms, &**bus, change);
        }
        if self.rules.rooms.is_empty() {
            return change(&mut rooms, &mut |_| {});
        }
        let mut told = lock(&self.told);
        change(&mut rooms, &mut |event| told.push_back(event))
    }

    /// The same where the bus has to hear of it, in order as well: so before the rooms are free again.
    fn change_watched<R>(
        &self,
        rooms: &mut Rooms<Member>,
        bus: &dyn Bus,
        change: impl FnOnce(&mut Rooms<Member>, &mut dyn FnMut(RoomEvent)) -> R,
    ) -> R {
        let mut changes: SmallVec<[RoomChange; 4]> = SmallVec::new();
        let mut told = (!self.rules.rooms.is_empty()).then(|| lock(&self.told));
        let changed = change(rooms, &mut |event| {
            changes.extend(cluster::room_change(&event));
            if let Some(told) = &mut told {
                told.push_back(event);
            }
        });
        if !changes.is_empty() {
            bus.rooms(&self.name, &changes);
        }
        changed
    }

    /// Tells the listeners what happened to the rooms. Call it without a lock: they are the application's.
    pub(crate) fn tell(&self) {
        if self.rules.rooms.is_empty() {
            return;
        }
        // One thread tells at a time; whoever finds it taken has left its events in the queue, and the other looks
        // again after letting go.
        while !lock(&self.told).is_empty() {
            let Ok(_telling) = self.telling.try_lock() else { break };
            loop {
                let next = lock(&self.told).pop_front();
                let Some(event) = next else { break };
                for listener in &self.rules.rooms {
                    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(&event)));
                    if let Err(panic) = told {
                        tracing::error!(panic = crate::run::message(&*panic), "a room listener panicked");
                    }
                }
            }
        }
    }

    /// An event of another server; the first answer of a listener.
    pub(crate) fn server_event(&self, name: &str, arguments: &Arguments<'_>) -> Option<Payload> {
        let listeners: Vec<ServerListener> = lock(&self.server_listeners)
            .iter()
            .filter(|(one, _)| one == name)
            .map(|(_, listener)| Arc::clone(listener))
            .collect();
        let mut answer = None;
        for listener in listeners {
            let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(arguments)));
            match said {
                Ok(said) => answer = answer.or(said),
                Err(panic) => {
                    tracing::error!(panic = crate::run::message(&*panic), "a server listener panicked")
                }
            }
        }
        answer
    }

    /// Counts somebody in. Call while the table of namespaces is locked.
    pub(crate) fn enter(self: &Arc<Self>, core: &Arc<Core>) -> Tenancy {
        self.tenants.fetch_add(1, Ordering::AcqRel);
        Tenancy { place: Arc::clone(self), core: Arc::clone(core) }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.dynamic && self.tenants.load(Ordering::Acquire) == 0
    }
}

/// Somebody is in a namespace or on the way in. The last one out of a dynamic child closes the door.
pub(crate) struct Tenancy {
    place: Arc<Place>,
    core: Arc<Core>,
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        let before = self.place.tenants.fetch_sub(1, Ordering::AcqRel);
        if before > 1 || !self.place.dynamic || !self.core.config.cleanup_empty_child_namespaces {
            return;
        }
        {
            let mut namespaces = write(&self.core.namespaces);
            // Somebody may have come in between the count and the lock.
            if !self.place.is_abandoned() {
                return;
            }
            match namespaces.get(&self.place.name) {
                Some(place) if Arc::ptr_eq(place, &self.place) => drop(namespaces.remove(&self.place.name)),
                _ => return,
            }
        }
        self.core.cluster.namespace_closed(&self.place.name);
    }
}
