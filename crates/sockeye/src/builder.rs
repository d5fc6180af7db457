//! [`ServerBuilder`]: everything that can be said about a server, said once.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Response};
use sockeye_engine::{
    Body, Config as EngineConfig, ConfigError, Cookie, Cors, DeflateOptions, Engine, Handshake,
    HttpCompression, Initial, Origins, Peer, Refused, Transport,
};
use sockeye_proto::socket::{Choice, Limits, Parser, Payload};

use crate::cluster::{Bus, Membership, State};
use crate::dynamic::{NamespaceMatch, Parent};
use crate::handler::{ConnectHandler, DisconnectHandler, Handler, Middleware};
use crate::id;
use crate::layer::Layer;
use crate::link::Hall;
use crate::logged::Logged;
use crate::namespace::{Namespace, Place};
use crate::rate::EventRate;
use crate::recovery::Store;
use crate::rooms::RoomEvent;
use crate::rules::{NamespaceBuilder, Rules};
use crate::server::{
    self, ClusterListener, Config, Core, ExpiredListener, ExpiredSession, Making, NamespaceListener,
    Recovery, RefusedListener, Server,
};
use crate::socket::Socket;
use crate::state::States;

/// Settings of connection state recovery: [`ServerBuilder::connection_state_recovery`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStateRecovery {
    /// How long after its connection was lost a client may come back. Default 2 minutes. The reference's
    /// `maxDisconnectionDuration`.
    pub window: Duration,
    /// Bytes kept for those who may come back, on this node: packets, and their sessions. Default 64 MiB. When there are
    /// more, the oldest packets go, and clients that might need them are not recovered; then the oldest sessions.
    pub max_bytes: usize,
    /// Whether a recovered client passes by the middlewares. Default **`false`**, unlike the reference: whoever was
    /// banned meanwhile stays out.
    pub skip_middlewares: bool,
}

impl Default for ConnectionStateRecovery {
    fn default() -> Self {
        Self { window: Duration::from_secs(120), max_bytes: 64 << 20, skip_middlewares: false }
    }
}

impl ConnectionStateRecovery {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`window`](Self::window).
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// See [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// See [`skip_middlewares`](Self::skip_middlewares).
    #[must_use]
    pub fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }
}

/// Why a server could not be built. Nothing of it runs then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A handler asks for a state that nobody gave.
    #[error(
        "handler `{handler}` of namespace `{namespace}` needs `State<{state}>`: add .state(…) to the builder"
    )]
    MissingState {
        /// The namespace, or the pattern of a dynamic one.
        namespace: String,
        /// The path of the handler's function.
        handler: &'static str,
        /// The name of the type.
        state: &'static str,
    },
    /// An engine setting contradicts another.
    #[error(transparent)]
    Engine(#[from] ConfigError),
    /// A handler is registered for a name that no client can send.
    #[error("`{name}` in namespace `{namespace}` is a reserved event name: use on_connect or on_disconnect")]
    ReservedEvent {
        /// The namespace, or the pattern of a dynamic one.
        namespace: String,
        /// The name.
        name: String,
    },
    /// A namespace has a name that no client can ask for.
    #[error("`{0}` cannot be the name of a namespace: too long, or a comma or control character in it")]
    BadNamespace(String),
    /// A setting that must not be zero is zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// The pattern of a dynamic namespace is too large.
    #[error("the pattern of a dynamic namespace: {0}")]
    Pattern(String),
}

/// Builds a [`Server`]: settings, states, namespaces and their handlers.
///
/// Handlers given here directly are those of the main namespace, `/`. Every setting has a default that suits a public
/// server; each method says which.
///
/// ```
/// use sockeye::{Server, Socket, State};
/// use std::time::Duration;
///
/// struct Motd {
///     text: String,
/// }
///
/// async fn hello(socket: Socket, motd: State<Motd>) {
///     socket.emit("motd", &motd.text).ok();
/// }
///
/// let server = Server::builder()
///     .state(Motd { text: "welcome".into() })
///     .ping_interval(Duration::from_secs(20))
///     .on_connect(hello)
///     .dynamic_namespace("/orders/{id}", |orders| orders.on_connect(hello))
///     .build()?;
/// # Ok::<(), sockeye::BuildError>(())
/// ```
#[must_use]
pub struct ServerBuilder {
    engine: EngineConfig,
    states: States,
    root: NamespaceBuilder,
    namespaces: Vec<(String, NamespaceBuilder)>,
    parents: Vec<(NamespaceMatch, NamespaceBuilder)>,
    bus: Option<Arc<dyn Bus>>,
    share_handshake: bool,
    recovery: Option<ConnectionStateRecovery>,
    connect_timeout: Duration,
    cleanup: bool,
    max_namespaces: usize,
    max_handlers: usize,
    max_acks: usize,
    event_rate: Option<EventRate>,
    error_acks: bool,
    keep_after_panic: bool,
    parser: Choice,
    limits: Option<Limits>,
    #[cfg(feature = "client")]
    serve_client: bool,
    on_new_namespace: Vec<NamespaceListener>,
    on_refused: Vec<RefusedListener>,
    on_expired: Vec<ExpiredListener>,
    on_cluster_state: Vec<ClusterListener>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            engine: EngineConfig::default(),
            states: States::default(),
            root: NamespaceBuilder::default(),
            namespaces: Vec::new(),
            parents: Vec::new(),
            bus: None,
            share_handshake: false,
            recovery: None,
            connect_timeout: Duration::from_secs(45),
            cleanup: true,
            max_namespaces: 128,
            max_handlers: 64,
            max_acks: 10_000,
            event_rate: None,
            error_acks: true,
            keep_after_panic: false,
            parser: Choice::Detect,
            limits: None,
            #[cfg(feature = "client")]
            serve_client: true,
            on_new_namespace: Vec::new(),
            on_refused: Vec::new(),
            on_expired: Vec::new(),
            on_cluster_state: Vec::new(),
        }
    }
}

/// The main namespace. See [`NamespaceBuilder`] for what each does.
impl ServerBuilder {
    /// See [`NamespaceBuilder::on`].
    pub fn on<M: 'static>(self, name: impl Into<String>, handler: impl Handler<M>) -> Self {
        self.main(|root| root.on(name, handler))
    }

    /// See [`NamespaceBuilder::on_serial`].
    pub fn on_serial<M: 'static>(self, name: impl Into<String>, handler: impl Handler<M>) -> Self {
        self.main(|root| root.on_serial(name, handler))
    }

    /// See [`NamespaceBuilder::on_event`].
    pub fn on_event<M: 'static, H: Handler<M>>(self, handler: H) -> Self {
        self.main(|root| root.on_event(handler))
    }

    /// See [`NamespaceBuilder::on_any`].
    pub fn on_any<M: 'static>(self, handler: impl Handler<M>) -> Self {
        self.main(|root| root.on_any(handler))
    }

    /// See [`NamespaceBuilder::on_any_outgoing`].
    pub fn on_any_outgoing(self, listener: impl Fn(&Socket, &Payload) + Send + Sync + 'static) -> Self {
        self.main(|root| root.on_any_outgoing(listener))
    }

    /// See [`NamespaceBuilder::middleware`].
    pub fn middleware<M: 'static>(self, middleware: impl Middleware<M>) -> Self {
        self.main(|root| root.middleware(middleware))
    }

    /// See [`NamespaceBuilder::on_connect`].
    pub fn on_connect<M: 'static>(self, handler: impl ConnectHandler<M>) -> Self {
        self.main(|root| root.on_connect(handler))
    }

    /// See [`NamespaceBuilder::on_disconnecting`].
    pub fn on_disconnecting<M: 'static>(self, handler: impl DisconnectHandler<M>) -> Self {
        self.main(|root| root.on_disconnecting(handler))
    }

    /// See [`NamespaceBuilder::on_disconnect`].
    pub fn on_disconnect<M: 'static>(self, handler: impl DisconnectHandler<M>) -> Self {
        self.main(|root| root.on_disconnect(handler))
    }

    /// See [`NamespaceBuilder::layer`].
    pub fn layer<M: 'static>(self, layer: impl Layer<M>) -> Self {
        self.main(|root| root.layer(layer))
    }

    /// See [`NamespaceBuilder::on_upgrade`].
    pub fn on_upgrade(self, listener: impl Fn(&Socket, Transport) + Send + Sync + 'static) -> Self {
        self.main(|root| root.on_upgrade(listener))
    }

    /// See [`NamespaceBuilder::on_room`].
    pub fn on_room(self, listener: impl Fn(&RoomEvent) + Send + Sync + 'static) -> Self {
        self.main(|root| root.on_room(listener))
    }

    fn main(mut self, change: impl FnOnce(NamespaceBuilder) -> NamespaceBuilder) -> Self {
        self.root = change(self.root);
        self
    }
}

/// Namespaces, states, events of the server.
impl ServerBuilder {
    /// Adds to a namespace, which then exists from the start and for ever.
    pub fn namespace(
        mut self,
        name: impl Into<String>,
        change: impl FnOnce(NamespaceBuilder) -> NamespaceBuilder,
    ) -> Self {
        let name = server::normalise(&name.into()).into_owned();
        if name == "/" {
            return self.main(change);
        }
        let at = self.namespaces.iter().position(|(one, _)| *one == name);
        let before = at.map_or_else(NamespaceBuilder::default, |at| self.namespaces.swap_remove(at).1);
        self.namespaces.push((name, change(before)));
        self
    }

    /// Adds namespaces that come into being when a client asks for them: by pattern (`"/orders/{id}"`), by
    /// [`regex::Regex`], or by an async function ([`NamespaceMatch::when`]). Tried in this order, after the static ones.
    /// All share what is said here, and go when nobody is in them
    /// ([`cleanup_empty_child_namespaces`](Self::cleanup_empty_child_namespaces)).
    pub fn dynamic_namespace(
        mut self,
        names: impl Into<NamespaceMatch>,
        change: impl FnOnce(NamespaceBuilder) -> NamespaceBuilder,
    ) -> Self {
        self.parents.push((names.into(), change(NamespaceBuilder::default())));
        self
    }

    /// Whether children of dynamic namespaces go when nobody is in them any more. Default **`true`**, unlike the
    /// reference, where a client can fill the memory with names.
    pub fn cleanup_empty_child_namespaces(mut self, yes: bool) -> Self {
        self.cleanup = yes;
        self
    }

    /// Lends a value to all handlers that ask for [`State<T>`](crate::State). One per type.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Adds a listener for namespaces that come into being after the start.
    pub fn on_new_namespace(mut self, listener: impl Fn(&Namespace) + Send + Sync + 'static) -> Self {
        self.on_new_namespace.push(Arc::new(listener));
        self
    }

    /// Adds a listener for requests that were refused before there was a session, with code and cause: the
    /// reference's `connection_error`. The request may carry secrets: do not log it whole.
    pub fn on_connection_error(
        mut self,
        listener: impl Fn(&Parts, &Refused) + Send + Sync + 'static,
    ) -> Self {
        self.on_refused.push(Arc::new(listener));
        self
    }

    /// Joins a cluster, over a bus such as those of the crate `sockeye-redis`. Default: this server is alone.
    ///
    /// Give each server a bus of its own. See [`cluster`](crate::cluster).
    pub fn adapter(mut self, bus: impl Bus) -> Self {
        self.bus = Some(Arc::new(bus));
        self
    }

    /// Whether headers, query and auth of a client's handshake are told to other servers that
    /// [fetch](crate::Operator::fetch_sockets) its socket. Default **`false`**, unlike the reference: they hold cookies
    /// and tokens, and whoever can read the bus would read them.
    pub fn share_handshake(mut self, yes: bool) -> Self {
        self.share_handshake = yes;
        self
    }

    /// Adds a listener for the state of the bus to other servers: called once with what it is at the start, and
    /// whenever it changes. [`Server::cluster_state`] tells it on demand.
    pub fn on_cluster_state(mut self, listener: impl Fn(&State) + Send + Sync + 'static) -> Self {
        self.on_cluster_state.push(Arc::new(listener));
        self
    }

    /// Turns connection state recovery on: a client that lost its connection and comes back in time gets its old socket
    /// id, rooms, data, and the events it missed. Default off.
    ///
    /// With a bus that has a log (Redis streams), a client may come back to any server of
    /// the cluster, also after its own has died; every event that wants no answer then goes through the log first, and
    /// [`max_bytes`](ConnectionStateRecovery::max_bytes) is what one client may have missed. With any other bus, and with
    /// none, it is recovered by the server it left, and by no other.
    pub fn connection_state_recovery(mut self, settings: ConnectionStateRecovery) -> Self {
        self.recovery = Some(settings);
        self
    }

    /// Adds a listener for sessions that nobody took up again in time.
    pub fn on_recovery_expired(mut self, listener: impl Fn(&ExpiredSession) + Send + Sync + 'static) -> Self {
        self.on_expired.push(Arc::new(listener));
        self
    }
}

/// Settings of Socket.IO.
impl ServerBuilder {
    /// How long a session may be without having joined a namespace, and how long the middlewares of one CONNECT may
    /// take. Default 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How clients speak: [`Choice::Detect`] (the default) tells JSON and msgpack apart by each session's first packet.
    pub fn parser(mut self, choice: Choice) -> Self {
        self.parser = choice;
        self
    }

    /// A packet parser of the application's own, for all clients.
    pub fn custom_parser(self, parser: impl Parser) -> Self {
        self.parser(Choice::Custom(Arc::new(parser)))
    }

    /// Limits on a single packet. Default [`Limits::for_messages_of`] the [`max_payload`](Self::max_payload).
    pub fn packet_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The greatest number of namespaces of one connection, joined or on the way in. Default 128; further ones are
    /// refused as invalid.
    pub fn max_namespaces_per_connection(mut self, count: usize) -> Self {
        self.max_namespaces = count;
        self
    }

    /// The greatest number of unfinished handlers of one socket. Default 64. While it has as many, the server does not
    /// read from its client; nor while those sockets of the client that have left still have as many, all together.
    pub fn max_handlers_per_socket(mut self, count: usize) -> Self {
        self.max_handlers = count;
        self
    }

    /// The greatest number of answers awaited of one socket. Default 10 000. When there are more, the oldest times
    /// out.
    pub fn max_acks_per_socket(mut self, count: usize) -> Self {
        self.max_acks = count;
        self
    }

    /// A limit on the events each socket may send. Default none.
    pub fn event_rate(mut self, rate: EventRate) -> Self {
        self.event_rate = Some(rate);
        self
    }

    /// Whether a client whose payload fits no handler, and who awaits an answer, gets an error answer
    /// (`{"error":{"message":"bad payload"}}`). Default `true`; without it such a client waits for its own timeout.
    pub fn error_acks(mut self, yes: bool) -> Self {
        self.error_acks = yes;
        self
    }

    /// Whether a socket stays connected when one of its handlers panics. Default `false`: it leaves with the reason
    /// `server error`, since nobody knows what state the handler left behind. Nobody else notices either way.
    pub fn keep_after_panic(mut self, yes: bool) -> Self {
        self.keep_after_panic = yes;
        self
    }
}

/// Settings of Engine.IO: transports, time, size, who may come in.
impl ServerBuilder {
    /// Where clients connect. Default `/socket.io`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.engine.path = path.into();
        self
    }

    /// Whether the path ends with a slash, as every official client asks for by default. Default `true`.
    pub fn add_trailing_slash(mut self, yes: bool) -> Self {
        self.engine.add_trailing_slash = yes;
        self
    }

    /// The transports that may be used. Default polling and WebSocket.
    pub fn transports(mut self, transports: impl Into<Vec<Transport>>) -> Self {
        self.engine.transports = transports.into();
        self
    }

    /// Whether clients may move from polling to WebSocket. Default `true`.
    pub fn allow_upgrades(mut self, yes: bool) -> Self {
        self.engine.allow_upgrades = yes;
        self
    }

    /// Whether clients of Socket.IO 1 and 2 (Engine.IO 3) are served. Default **`true`**, unlike the reference.
    pub fn allow_eio3(mut self, yes: bool) -> Self {
        self.engine.allow_eio3 = yes;
        self
    }

    /// Time between two pings. Default 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// Time to wait for the pong. Default 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// Time in which a move to WebSocket must be complete. Default 10 s.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// Time to receive the body of a POST, or the rest of a WebSocket message. Default 30 s.
    pub fn upload_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upload_timeout = timeout;
        self
    }

    /// Time a client gets to take anything at all while something waits for it; then it is closed as a slow consumer.
    /// Default 30 s.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.engine.stall_timeout = timeout;
        self
    }

    /// The greatest message a client may send, in bytes, on every transport. Default 1 000 000. The reference's
    /// `maxHttpBufferSize`.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.max_payload = bytes;
        self
    }

    /// The greatest number of bytes waiting in one session's outbox. Default 1 MiB. An `emit` beyond it is refused; a
    /// broadcast beyond it closes the client as a slow consumer.
    pub fn max_queue(mut self, bytes: usize) -> Self {
        self.engine.max_queue = bytes;
        self
    }

    /// The greatest number of sessions. Default none.
    pub fn max_sessions(mut self, count: usize) -> Self {
        self.engine.max_sessions = Some(count);
        self
    }

    /// The greatest number of sessions from one address. Default none.
    pub fn max_sessions_per_ip(mut self, count: usize) -> Self {
        self.engine.max_sessions_per_ip = Some(count);
        self
    }

    /// The greatest number of sessions that have not joined a namespace yet, in all (default 10 000) and from one
    /// address (default 64).
    pub fn max_pending(mut self, total: usize, per_ip: usize) -> Self {
        self.engine.max_unsettled = total;
        self.engine.max_unsettled_per_ip = per_ip;
        self
    }

    /// Handshakes per second and burst from one address. Default 100 and 1 000; `None` for no limit.
    pub fn handshake_rate(mut self, rate: Option<(u32, u32)>) -> Self {
        self.engine.handshake_rate = rate;
        self
    }

    /// How to find the client's address behind a proxy that is trusted. Default: the peer's own.
    pub fn client_ip(
        mut self,
        find: impl Fn(&Parts, &Peer) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.engine.client_ip = Some(Arc::new(find));
        self
    }

    /// Cross-origin resource sharing. Default none: pages of other sites may not connect.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.engine.cors = Some(cors);
        self
    }

    /// Which web pages may connect. Default: those that [`cors`](Self::cors) allows, else those of the server's own
    /// host.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.engine.origins = Some(origins);
        self
    }

    /// A cookie with the session id, for sticky load balancers. Default none.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.engine.cookie = Some(cookie);
        self
    }

    /// Sent as a message straight after the open packet. Default none.
    pub fn initial_packet(mut self, packet: Initial) -> Self {
        self.engine.initial_packet = Some(packet);
        self
    }

    /// Compression of poll answers. Default from 1024 bytes on; `None` for never.
    pub fn http_compression(mut self, compression: Option<HttpCompression>) -> Self {
        self.engine.http_compression = compression;
        self
    }

    /// permessage-deflate on WebSocket. Default off: it costs memory and time.
    pub fn per_message_deflate(mut self, options: DeflateOptions) -> Self {
        self.engine.deflate = Some(options);
        self
    }

    /// Asks before a session exists, once; an error's text is what the client is told.
    pub fn allow_request<F, Fut>(mut self, ask: F) -> Self
    where
        F: Fn(Arc<Handshake>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.engine.allow_request = Some(Arc::new(move |handshake| Box::pin(ask(handshake))));
        self
    }

    /// Makes the secret session ids. Default 20 characters from the system's random source.
    pub fn generate_id<F, Fut>(mut self, make: F) -> Self
    where
        F: Fn(Arc<Handshake>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.engine.generate_id = Some(Arc::new(move |handshake| Box::pin(make(handshake))));
        self
    }

    /// May change the headers of a session's first answer.
    pub fn initial_headers(
        mut self,
        change: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.engine.initial_headers = Some(Arc::new(change));
        self
    }

    /// May change the headers of every answer.
    pub fn headers(mut self, change: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static) -> Self {
        self.engine.headers = Some(Arc::new(change));
        self
    }

    /// Answers requests for names right below the path, the client bundle's for instance: gets the name and the
    /// request's head; `None` is 404. CORS headers and those of [`headers`](Self::headers) are added.
    pub fn files(
        mut self,
        find: impl Fn(&str, &Parts) -> Option<Response<Body>> + Send + Sync + 'static,
    ) -> Self {
        self.engine.files = Some(Arc::new(find));
        self
    }

    /// Whether the browser client is served below the path, as `socket.io.js`, `socket.io.min.js`,
    /// `socket.io.esm.min.js`, `socket.io.msgpack.min.js` and `socket.io.websocket.esm.min.js`, each with its source
    /// map. Default `true`; it needs the feature `client`. What [`files`](Self::files) finds goes first.
    #[cfg(feature = "client")]
    pub fn serve_client(mut self, serve: bool) -> Self {
        self.serve_client = serve;
        self
    }

    /// All settings of the engine at once, for those that have no method here.
    pub fn engine(mut self, change: impl FnOnce(&mut EngineConfig)) -> Self {
        change(&mut self.engine);
        self
    }
}

impl ServerBuilder {
    /// Checks everything and builds the server. It needs no runtime yet.
    ///
    /// # Errors
    /// When something contradicts itself or is missing; the error says what.
    pub fn build(self) -> Result<Server, BuildError> {
        for (name, zero) in [
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("max_namespaces_per_connection", self.max_namespaces == 0),
            ("max_handlers_per_socket", self.max_handlers == 0),
            ("max_acks_per_socket", self.max_acks == 0),
            ("connection_state_recovery.window", self.recovery.as_ref().is_some_and(|r| r.window.is_zero())),
        ] {
            if zero {
                return Err(BuildError::Zero(name));
            }
        }
        let limits = self.limits.unwrap_or_else(|| Limits::for_messages_of(self.engine.max_payload));
        check("/", &self.root.rules, &self.states)?;
        for (name, namespace) in &self.namespaces {
            if name.len() > limits.namespace || name.contains(',') || name.chars().any(char::is_control) {
                return Err(BuildError::BadNamespace(name.clone()));
            }
            check(name, &namespace.rules, &self.states)?;
        }
        let mut parents = Vec::with_capacity(self.parents.len());
        for (names, namespace) in self.parents {
            check(&format!("{names:?}"), &namespace.rules, &self.states)?;
            let kind = names.compile().map_err(|error| BuildError::Pattern(error.to_string()))?;
            parents.push(Arc::new(Parent { kind, rules: Arc::new(namespace.rules) }));
        }

        let logs = self.bus.as_ref().is_some_and(|bus| bus.log().is_some());
        let logged = self
            .recovery
            .as_ref()
            .filter(|_| logs)
            .map(|settings| Logged::new(settings.window.min(server::FOR_EVER), settings.max_bytes));
        let recovery = self.recovery.as_ref().filter(|_| !logs).map(|settings| {
            // A dead peer is noticed after a ping and its timeout; what was sent to it until then may be missed too.
            let unnoticed = self.engine.ping_interval.saturating_add(self.engine.ping_timeout);
            let window = settings.window.min(server::FOR_EVER);
            let epoch = id::random().split_off(16);
            Recovery::new(Store::new(
                window,
                window + unnoticed.min(server::FOR_EVER),
                settings.max_bytes,
                epoch,
            ))
        });
        let config = Config {
            connect_timeout: self.connect_timeout.min(server::FOR_EVER),
            cleanup_empty_child_namespaces: self.cleanup,
            max_namespaces: self.max_namespaces,
            max_handlers: self.max_handlers,
            max_acks: self.max_acks,
            max_waiting: 64,
            event_rate: self.event_rate,
            error_acks: self.error_acks,
            keep_after_panic: self.keep_after_panic,
            skip_middlewares: self.recovery.is_some_and(|settings| settings.skip_middlewares),
            parser: self.parser,
            limits: Arc::new(limits),
            on_new_namespace: self.on_new_namespace,
            on_refused: self.on_refused,
            on_expired: self.on_expired,
            on_cluster_state: self.on_cluster_state,
        };
        #[cfg(feature = "client")]
        let engine =
            Engine::new(with_client(self.engine, self.serve_client), Hall { core: Default::default() })?;
        #[cfg(not(feature = "client"))]
        let engine = Engine::new(self.engine, Hall { core: Default::default() })?;
        let cluster = Membership::new(self.bus, self.share_handshake);
        let core = Arc::new(Core::new(Making {
            config,
            states: self.states,
            parents,
            cluster,
            recovery,
            logged,
            engine,
        }));
        // Set once, here: nobody else has the engine yet.
        let _ = core.engine.application().core.set(Arc::downgrade(&core));
        core.cluster.start(&core);
        if core.cluster.node().is_some() {
            core.runtime();
        }
        let server = Server(core);
        for (name, namespace) in std::iter::once(("/".to_owned(), self.root)).chain(self.namespaces) {
            let rules = Arc::new(namespace.rules);
            let (place, _) = server.0.open(&name, || Place::new(Arc::from(name.as_str()), rules, false));
            server.0.cluster.namespace_opened(&place.name);
        }
        Ok(server)
    }
}

/// The engine's settings with the browser client behind the application's own files.
#[cfg(feature = "client")]
fn with_client(mut engine: EngineConfig, serve: bool) -> EngineConfig {
    if serve {
        let own = engine.files.take();
        engine.files = Some(Arc::new(move |name, request| {
            own.as_ref().and_then(|find| find(name, request)).or_else(|| crate::client::answer(name, request))
        }));
    }
    engine
}

fn check(namespace: &str, rules: &Rules, states: &States) -> Result<(), BuildError> {
    if let Some((handler, state)) = rules.missing(states) {
        return Err(BuildError::MissingState { namespace: namespace.to_owned(), handler, state });
    }
    let reserved = |name: &&String| sockeye_proto::socket::RESERVED.contains(&name.as_str());
    match rules.events.keys().find(reserved) {
        Some(name) => Err(BuildError::ReservedEvent { namespace: namespace.to_owned(), name: name.clone() }),
        None => Ok(()),
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("engine", &self.engine).finish_non_exhaustive()
    }
}
