//! [`Server`]: the handle everybody holds, and the one thing behind it.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use serde::Serialize;
use sockeye_engine::{Engine, Peer, Reason};
use sockeye_proto::broadcast::Broadcast;
use sockeye_proto::socket::{Arguments, Choice, Limits, Payload};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::asking::Asking;
use crate::builder::ServerBuilder;
use crate::cluster;
use crate::cluster::{BusError, ClusterError, Incomplete, Membership, NodeStats, State};
use crate::data::Data;
use crate::dispatch::{self, Complaint};
use crate::dynamic::Parent;
use crate::emit::EmitError;
use crate::extract::Mismatch;
use crate::found::FoundSocket;
use crate::link::Hall;
use crate::logged::Logged;
use crate::namespace::{Namespace, Place, Tenancy};
use crate::operator::{IntoRooms, Operator};
use crate::rate::EventRate;
use crate::recovery::{Lost, Store};
use crate::rules::Rules;
use crate::socket::{Member, Socket};
use crate::state::States;
use crate::stats::{Counters, Stats, count};
use crate::sync::{lock, read, write};
use sockeye_proto::event::Event;

/// A Socket.IO server. Cheap to clone; all clones are the same server.
///
/// ```
/// use sockeye::{Data, Server, Socket};
///
/// async fn say(socket: Socket, Data(text): Data<String>) -> usize {
///     socket.broadcast().emit("said", &text).ok();
///     text.len()                                     // answers the client's ack
/// }
///
/// let io = Server::builder().on("say", say).build()?;
/// io.emit("news", "hello everybody").ok();
/// # Ok::<(), sockeye::BuildError>(())
/// ```
///
/// It needs a door: [`layer`](Self::layer) or [`service`](Self::service) inside of axum or hyper,
/// [`serve`](Self::serve) for a listener of its own, [`attach`](Self::attach) for anything else.
#[derive(Clone)]
pub struct Server(pub(crate) Arc<Core>);

/// What is behind the handles.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) states: States,
    pub(crate) namespaces: RwLock<HashMap<Arc<str>, Arc<Place>>>,
    /// The main one, which never goes: found without a lock.
    main: OnceLock<Arc<Place>>,
    pub(crate) parents: Vec<Arc<Parent>>,
    pub(crate) cluster: Membership,
    /// In memory, where there is no bus with a log.
    pub(crate) recovery: Option<Recovery>,
    /// Through the log of a bus.
    pub(crate) logged: Option<Logged>,
    pub(crate) counters: Counters,
    pub(crate) engine: Engine<Hall>,
    runtime: OnceLock<Handle>,
    /// Told whenever the last task of the application's has ended.
    pub(crate) idle: Notify,
    complaints: Mutex<HashSet<Complaint>>,
    closing: watch::Sender<bool>,
}

/// What "for ever" becomes where it is added to a moment: no server runs longer.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The hall's own settings; the engine has its own.
pub(crate) struct Config {
    pub(crate) connect_timeout: Duration,
    pub(crate) cleanup_empty_child_namespaces: bool,
    pub(crate) max_namespaces: usize,
    pub(crate) max_handlers: usize,
    pub(crate) max_acks: usize,
    pub(crate) max_waiting: usize,
    pub(crate) event_rate: Option<EventRate>,
    pub(crate) error_acks: bool,
    pub(crate) keep_after_panic: bool,
    pub(crate) skip_middlewares: bool,
    pub(crate) parser: Choice,
    pub(crate) limits: Arc<Limits>,
    pub(crate) on_new_namespace: Vec<NamespaceListener>,
    pub(crate) on_refused: Vec<RefusedListener>,
    pub(crate) on_expired: Vec<ExpiredListener>,
    pub(crate) on_cluster_state: Vec<ClusterListener>,
}

pub(crate) type ClusterListener = Arc<dyn Fn(&State) + Send + Sync>;
pub(crate) type NamespaceListener = Arc<dyn Fn(&Namespace) + Send + Sync>;
pub(crate) type ExpiredListener = Arc<dyn Fn(&ExpiredSession) + Send + Sync>;
pub(crate) type RefusedListener = Arc<dyn Fn(&Parts, &sockeye_engine::Refused) + Send + Sync>;

/// A session that nobody took up again in time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExpiredSession {
    /// The id its socket had.
    pub id: Arc<str>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The rooms it was in.
    pub rooms: Vec<Arc<str>>,
}

/// Connection state recovery of this node.
pub(crate) struct Recovery {
    pub(crate) store: Mutex<Store<Legacy, Arc<Broadcast>>>,
    /// Sockets that are connected, by their clients' secret.
    pub(crate) live: Mutex<HashMap<Arc<str>, Weak<crate::socket::Inner>>>,
    started: Instant,
    sweeping: AtomicBool,
}

/// What a lost socket leaves to the one that recovers it.
#[derive(Clone)]
pub(crate) struct Legacy {
    pub(crate) id: Arc<str>,
    pub(crate) data: Data,
}

impl Recovery {
    pub(crate) fn new(store: Store<Legacy, Arc<Broadcast>>) -> Self {
        Self {
            store: Mutex::new(store),
            live: Mutex::default(),
            started: Instant::now(),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Monotonic time, as the store counts it.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Server {
    /// Begins a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The path that clients connect to, without a slash at the end: `/socket.io` unless
    /// [set](crate::ServerBuilder::path).
    pub fn path(&self) -> &str {
        self.0.engine.config().path.trim_end_matches('/')
    }

    /// What the builder was given as [`state`](crate::ServerBuilder::state), for code outside of handlers.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.states.find()
    }

    /// The namespace of this name; created if it is not there yet, as a child of the first dynamic namespace that
    /// matches, else as a plain one that clients can join from now on. So never pass a name that a client made up:
    /// [`find`](Self::find) does not create.
    pub fn of(&self, name: &str) -> Namespace {
        let name = normalise(name);
        if let Some(found) = self.find(&name) {
            return found;
        }
        let parent = self.0.parents.iter().find(|parent| parent.matches(&name));
        let (place, new) = match parent {
            Some(parent) => self.0.child(&name, parent),
            None => self.0.open(&name, || Place::new(Arc::from(&*name), Arc::new(Rules::default()), false)),
        };
        let namespace = Namespace { server: self.clone(), place };
        if new {
            self.0.announce(&namespace);
        }
        namespace
    }

    /// The namespace of this name, if it exists now.
    pub fn find(&self, name: &str) -> Option<Namespace> {
        let place = read(&self.0.namespaces).get(&*normalise(name)).cloned()?;
        Some(Namespace { server: self.clone(), place })
    }

    /// The namespaces that exist now.
    pub fn namespaces(&self) -> Vec<Namespace> {
        let places: Vec<_> = read(&self.0.namespaces).values().cloned().collect();
        places.into_iter().map(|place| Namespace { server: self.clone(), place }).collect()
    }

    fn main(&self) -> Namespace {
        let place = self.0.main.get_or_init(|| self.of("/").place);
        Namespace { server: self.clone(), place: Arc::clone(place) }
    }

    /// Sends an event to everybody in the main namespace. For others: [`of`](Self::of).
    ///
    /// # Errors
    /// When the arguments cannot be written. Slow clients are closed, not reported here.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.main().emit(name, args)
    }

    /// Sends a typed event to everybody in the main namespace.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.main().emit_event(event)
    }

    /// Sends an event to everybody in the main namespace and gathers their answers.
    pub fn call<R>(&self, name: &str, args: impl Serialize) -> Asking<R> {
        self.main().call(name, args)
    }

    /// Who is in any of these rooms of the main namespace.
    pub fn to(&self, rooms: impl IntoRooms) -> Operator {
        self.main().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl IntoRooms) -> Operator {
        self.main().to(rooms)
    }

    /// Who is in none of these rooms of the main namespace.
    pub fn except(&self, rooms: impl IntoRooms) -> Operator {
        self.main().except(rooms)
    }

    /// Everybody of the main namespace on this node.
    pub fn local(&self) -> Operator {
        self.main().local()
    }

    /// Everybody of the main namespace who can take it right now.
    pub fn volatile(&self) -> Operator {
        self.main().volatile()
    }

    /// Whether transports may compress what follows.
    pub fn compress(&self, yes: bool) -> Operator {
        self.main().compress(yes)
    }

    /// How long `call` and `fetch_sockets` wait.
    pub fn timeout(&self, timeout: Duration) -> Operator {
        self.main().timeout(timeout)
    }

    /// The sockets of the main namespace, on all nodes.
    ///
    /// # Errors
    /// As [`Operator::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Vec<FoundSocket>, Incomplete<Vec<FoundSocket>>> {
        self.main().fetch_sockets().await
    }

    /// Has everybody in the main namespace join rooms.
    pub fn sockets_join(&self, rooms: impl IntoRooms) {
        self.main().sockets_join(rooms);
    }

    /// Has everybody in the main namespace leave rooms.
    pub fn sockets_leave(&self, rooms: impl IntoRooms) {
        self.main().sockets_leave(rooms);
    }

    /// Disconnects everybody in the main namespace; with `close` their whole sessions.
    pub fn disconnect_sockets(&self, close: bool) {
        self.main().disconnect_sockets(close);
    }

    /// Sends an event to the other servers, in the main namespace.
    ///
    /// # Errors
    /// See [`Namespace::server_side_emit`].
    pub fn server_side_emit(&self, name: &str, args: impl Serialize) -> Result<(), ClusterError> {
        self.main().server_side_emit(name, args)
    }

    /// The same, and gathers their answers.
    ///
    /// # Errors
    /// See [`Namespace::server_side_call`].
    pub async fn server_side_call(
        &self,
        name: &str,
        args: impl Serialize,
    ) -> Result<Vec<Payload>, Incomplete<Vec<Payload>>> {
        self.main().server_side_call(name, args).await
    }

    /// Listens to what other servers send to this one, in the main namespace.
    pub fn on_server_event(
        &self,
        name: impl Into<String>,
        listener: impl Fn(&Arguments<'_>) -> Option<Payload> + Send + Sync + 'static,
    ) {
        self.main().on_server_event(name, listener);
    }

    /// How many servers there are, this one included.
    ///
    /// # Errors
    /// When the bus does not know.
    pub async fn server_count(&self) -> Result<usize, BusError> {
        self.main().server_count().await
    }

    /// The rooms of the main namespace in the whole cluster.
    ///
    /// # Errors
    /// See [`Namespace::all_rooms`].
    pub async fn all_rooms(&self) -> Result<HashSet<Arc<str>>, Incomplete<HashSet<Arc<str>>>> {
        self.main().all_rooms().await
    }

    /// Whether the bus to other servers is up, now and later. `None` if this server is alone.
    ///
    /// A load balancer may still send clients to a server whose bus is down: it serves its own. What it cannot do is
    /// reach the others' clients.
    pub fn cluster_state(&self) -> Option<watch::Receiver<State>> {
        self.0.cluster.node().map(|node| node.state())
    }

    /// Until the namespaces that exist now are subscribed to on the bus; not longer than 2 s for each while the bus is
    /// down. Nothing to wait for if this server is alone.
    pub async fn cluster_joined(&self) {
        for namespace in self.namespaces() {
            self.0.cluster.opened(namespace.name()).await;
        }
    }

    /// Takes over a stream on which the head of a WebSocket upgrade request has been read and nothing was answered:
    /// the door for hosts that are neither hyper nor ours. What was read beyond the head goes into `early`. Returns
    /// when the session has taken the stream over or refused it.
    pub async fn attach<S>(&self, stream: S, request: Parts, early: Bytes, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.0.engine.adopt(stream, request, early, peer).await;
    }

    /// Goes down in order: no new client gets in, every socket leaves with `server shutting down`, what is queued
    /// for the clients is sent, and what is left after `deadline` is cut. The clients see their connection closed
    /// and come back to another server, or to this one when it is up again. Then the bus is shut down.
    ///
    /// Calling it again does no harm.
    pub async fn drain(&self, deadline: Duration) {
        self.0.closing.send_replace(true);
        let until = Instant::now() + deadline.min(FOR_EVER);
        self.0.engine.drain(deadline).await;
        // Handlers may still be writing to a database. Whoever does not come to an end is left behind.
        let _ = tokio::time::timeout_at(until, self.0.handlers_ended()).await;
        self.0.cluster.shutdown().await;
    }

    /// [`drain`](Self::drain) without patience.
    pub async fn close(&self) {
        self.drain(Duration::ZERO).await;
    }

    /// Whether [`drain`](Self::drain) or [`close`](Self::close) has been called.
    pub fn is_closing(&self) -> bool {
        *self.0.closing.borrow()
    }

    /// Done when the server begins to go down.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut closing = self.0.closing.subscribe();
        async move {
            // An error is the end of the server, which is the same.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// What is counted. Walks over all sockets to add up their acks: for metrics, not for every message.
    pub fn stats(&self) -> Stats {
        let core = &self.0;
        let mut stats = core.counters.snapshot(core.engine.stats());
        let places: Vec<_> = read(&core.namespaces).values().cloned().collect();
        stats.namespaces = places.len();
        for place in places {
            stats.rooms += lock(&place.rooms).rooms_len();
            place.roll(&Default::default()).for_each(|member| {
                stats.acks += member.socket.upgrade().map_or(0, |socket| socket.acks());
            });
        }
        stats.cluster = core.cluster.node().map_or_else(NodeStats::default, |node| node.stats());
        if let Some(recovery) = &core.recovery {
            let store = lock(&recovery.store);
            stats.recovery_sessions = store.sessions();
            stats.recovery_bytes = store.bytes();
        }
        stats
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("namespaces", &read(&self.0.namespaces).len()).finish_non_exhaustive()
    }
}

/// What [`Core`] is made of.
pub(crate) struct Making {
    pub(crate) config: Config,
    pub(crate) states: States,
    pub(crate) parents: Vec<Arc<Parent>>,
    pub(crate) cluster: Membership,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) logged: Option<Logged>,
    pub(crate) engine: Engine<Hall>,
}

impl Core {
    pub(crate) fn new(parts: Making) -> Self {
        let Making { config, states, parents, cluster, recovery, logged, engine } = parts;
        Self {
            config,
            states,
            namespaces: RwLock::default(),
            main: OnceLock::new(),
            parents,
            cluster,
            recovery,
            logged,
            counters: Counters::default(),
            engine,
            runtime: OnceLock::new(),
            idle: Notify::new(),
            complaints: Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }

    /// Watches the bus, once there is a runtime to do it in.
    fn watch_cluster(&self, runtime: &Handle) {
        let Some(node) = self.cluster.node() else { return };
        let listeners = self.config.on_cluster_state.clone();
        runtime.spawn(cluster::watch_state(node.state(), move |state| {
            for listener in &listeners {
                let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(state)));
                if let Err(panic) = told {
                    tracing::error!(
                        panic = crate::run::message(&*panic),
                        "a listener of the cluster panicked"
                    );
                }
            }
        }));
    }

    /// The runtime of the sessions, remembered from the first one on.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        if let Ok(current) = Handle::try_current() {
            let runtime = self.runtime.get_or_init(|| {
                self.watch_cluster(&current);
                current
            });
            return Some(runtime.clone());
        }
        self.runtime.get().cloned()
    }

    pub(crate) fn remember_runtime(&self) {
        if self.runtime.get().is_none() {
            self.runtime();
        }
    }

    async fn handlers_ended(&self) {
        loop {
            let mut told = std::pin::pin!(self.idle.notified());
            told.as_mut().enable();
            if self.counters.tasks.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }

    /// The bound of one session's outbox, in bytes.
    pub(crate) fn max_queue(&self) -> usize {
        self.engine.config().max_queue
    }

    /// The namespace of this name and a place in it for one more, if it exists.
    pub(crate) fn enter(self: &Arc<Self>, name: &str) -> Option<(Arc<Place>, Tenancy)> {
        let namespaces = read(&self.namespaces);
        let place = namespaces.get(name)?;
        Some((Arc::clone(place), place.enter(self)))
    }

    /// The child of a dynamic namespace, made if need be, and a place in it.
    pub(crate) fn enter_child(self: &Arc<Self>, name: &str, parent: &Parent) -> (Arc<Place>, Tenancy) {
        loop {
            let (place, new) = self.child(name, parent);
            let entered = self.enter(name);
            if new {
                self.announce(&Namespace { server: Server(Arc::clone(self)), place });
            }
            // Gone again already if another client came and went in between.
            if let Some(entered) = entered {
                return entered;
            }
        }
    }

    fn child(&self, name: &str, parent: &Parent) -> (Arc<Place>, bool) {
        self.open(name, || Place::new(Arc::from(name), Arc::clone(&parent.rules), true))
    }

    /// The namespace of this name, made if need be; and whether it was.
    pub(crate) fn open(&self, name: &str, make: impl FnOnce() -> Place) -> (Arc<Place>, bool) {
        let mut namespaces = write(&self.namespaces);
        // The first of two clients wins.
        if let Some(place) = namespaces.get(name) {
            return (Arc::clone(place), false);
        }
        let mut place = make();
        place.watcher = self.cluster.room_watcher();
        let place = Arc::new(place);
        namespaces.insert(Arc::clone(&place.name), Arc::clone(&place));
        (place, true)
    }

    pub(crate) fn announce(&self, namespace: &Namespace) {
        self.cluster.namespace_opened(&namespace.place.name);
        if namespace.name() == "/" {
            return;
        }
        for listener in &self.config.on_new_namespace {
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(namespace)));
            if let Err(panic) = told {
                self.panicked("on_new_namespace", &*panic);
            }
        }
    }

    /// A handler's arguments did not fit: counted, and logged once.
    pub(crate) fn mismatch(&self, handler: &'static str, mismatch: &Mismatch) {
        count(&self.counters.mismatches);
        if lock(&self.complaints).insert((handler, mismatch.kind())) {
            dispatch::complain(handler, mismatch);
        }
    }

    pub(crate) fn panicked(&self, name: &'static str, panic: &(dyn Any + Send)) {
        count(&self.counters.panics);
        tracing::error!(handler = name, panic = crate::run::message(panic), "panicked");
    }

    /// Connected sockets by their clients' secrets, where clients are recovered.
    pub(crate) fn live(&self) -> Option<&Mutex<HashMap<Arc<str>, Weak<crate::socket::Inner>>>> {
        let memory = self.recovery.as_ref().map(|recovery| &recovery.live);
        memory.or(self.logged.as_ref().map(|logged| &logged.live))
    }

    /// Takes a socket out of its rooms, and keeps what is needed to recover it where its reason allows that.
    pub(crate) fn lose(self: &Arc<Self>, socket: &Socket, member: &Member, reason: &Reason) {
        let place = &socket.0.namespace.place;
        if let (Some(logged), Some(own)) = (&self.logged, &socket.0.recovery) {
            lock(&logged.live).remove(&own.pid);
            if is_recoverable(reason) {
                logged.lose(self, socket, &own.pid, own.since.get());
            }
            return place.forget(socket.id());
        }
        let (Some(recovery), Some(own)) = (&self.recovery, &socket.0.recovery) else {
            return place.forget(socket.id());
        };
        lock(&recovery.live).remove(&own.pid);
        if !is_recoverable(reason) {
            return place.forget(socket.id());
        }
        let gone = {
            // One step for everybody who sends: in the rooms before it, in the store after it.
            let mut store = lock(&recovery.store);
            let rooms =
                place.rooms_of(socket.id()).into_iter().filter(|room| **room != *socket.id()).collect();
            let given = member.given().map_or_else(Default::default, |given| *given);
            let legacy = Legacy { id: Arc::clone(&socket.0.id), data: socket.heritage() };
            let bytes = legacy.data.info.as_ref().map_or(0, |info| info.len());
            let (pid, name) = (Arc::clone(&own.pid), Arc::clone(&place.name));
            let gone = store.lose(recovery.now(), pid, name, given, rooms, (legacy, bytes));
            place.forget_quietly(socket.id());
            gone
        };
        place.tell();
        self.expired(gone);
        self.sweep();
    }

    /// Sees to it that what expires is noticed, for as long as there is something to expire.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let Some(recovery) = &self.recovery else { return };
        if recovery.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(runtime) = self.runtime() else {
            recovery.sweeping.store(false, Ordering::Release);
            return;
        };
        // Holds no handle while it sleeps: a server that is dropped takes its sweeper along.
        let core = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                let pause = {
                    let Some(core) = core.upgrade() else { return };
                    let Some(recovery) = &core.recovery else { return };
                    let (expired, pause) = {
                        let mut store = lock(&recovery.store);
                        let now = recovery.now();
                        let expired = store.sweep(now);
                        let pause =
                            store.deadline().map(|at| at.saturating_sub(now).max(Duration::from_millis(20)));
                        if pause.is_none() {
                            // Under the lock: whoever loses a session next starts a new sweeper.
                            recovery.sweeping.store(false, Ordering::Release);
                        }
                        (expired, pause)
                    };
                    core.expired(expired);
                    pause
                };
                let Some(pause) = pause else { return };
                tokio::time::sleep(pause).await;
            }
        });
    }

    fn expired(&self, sessions: Vec<Lost<Legacy>>) {
        for Lost { namespace, rooms, state, .. } in sessions {
            let session = ExpiredSession { id: state.id, namespace, rooms };
            tracing::debug!(socket = %session.id, "recovery window passed");
            for listener in &self.config.on_expired {
                let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(&session)));
                if let Err(panic) = told {
                    self.panicked("on_recovery_expired", &*panic);
                }
            }
        }
    }
}

/// The reference's list, and ours: a client that was closed for reading too slowly, or by a crash of ours, may come
/// back. One that left, was sent away, or broke the transport's rules may not.
fn is_recoverable(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::TransportClose
            | Reason::TransportError(_)
            | Reason::PingTimeout
            | Reason::ForcedClose
            | Reason::ForcedServerClose
            | Reason::ServerShuttingDown
            | Reason::SlowConsumer
    )
}

/// With its slash; nothing is the main namespace.
pub(crate) fn normalise(name: &str) -> std::borrow::Cow<'_, str> {
    match name {
        "" => "/".into(),
        name if name.starts_with('/') => name.into(),
        name => format!("/{name}").into(),
    }
}
