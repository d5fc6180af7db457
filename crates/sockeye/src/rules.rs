//! What a namespace does with its sockets: middlewares, handlers, layers, listeners. Written by the builder, then
//! only read, and shared by all children of a dynamic namespace.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sockeye_engine::Transport;
use sockeye_proto::socket::Payload;

use crate::handler::{
    ConnectHandler, Connector, DisconnectHandler, Disconnector, Gate, Handler, Listener, Middleware,
};
use crate::layer::{Layer, Layers};
use crate::listeners::{Outgoing, Registered};
use crate::rooms::RoomEvent;
use crate::socket::Socket;
use crate::state::{Needs, States};

pub(crate) type RoomListener = Arc<dyn Fn(&RoomEvent) + Send + Sync>;
pub(crate) type UpgradeListener = Arc<dyn Fn(&Socket, Transport) + Send + Sync>;

/// The rules of a namespace.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) gates: Vec<Gate>,
    pub(crate) connect: Vec<Connector>,
    pub(crate) disconnecting: Vec<Disconnector>,
    pub(crate) disconnect: Vec<Disconnector>,
    pub(crate) events: HashMap<String, Vec<Registered>>,
    pub(crate) any: Vec<Registered>,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) layers: Layers,
    pub(crate) rooms: Vec<RoomListener>,
    pub(crate) upgrade: Vec<UpgradeListener>,
}

impl Rules {
    /// The first handler that asks for a state the application did not give, and that state.
    pub(crate) fn missing(&self, states: &States) -> Option<(&'static str, &'static str)> {
        let listeners = self.events.values().flatten().chain(&self.any);
        let listeners = listeners.map(|one| (one.listener.name(), one.listener.needs()));
        let gates = self.gates.iter().map(|one| (one.name(), one.needs()));
        let connect = self.connect.iter().map(|one| (one.name(), one.needs()));
        let leaving = self.disconnecting.iter().chain(&self.disconnect).map(|one| (one.name(), one.needs()));
        let mut all = gates.chain(connect).chain(listeners).chain(leaving);
        all.find_map(|(name, needs): (&'static str, &Needs)| Some((name, states.missing(needs)?.name)))
    }
}

/// Builds a namespace: what every socket in it goes through and listens to.
///
/// ```
/// use sockeye::{Data, Refusal, Server, Socket};
///
/// async fn only_staff(socket: Socket) -> Result<(), Refusal> {
///     match socket.handshake().query_value("staff").as_deref() {
///         Some("yes") => Ok(()),
///         _ => Err(Refusal::new("staff only")),
///     }
/// }
///
/// async fn kick(socket: Socket, Data(id): Data<String>) {
///     if let Some(other) = socket.namespace().socket(&id) {
///         other.disconnect();
///     }
/// }
///
/// let server = Server::builder()
///     .namespace("/admin", |admin| admin.middleware(only_staff).on("kick", kick))
///     .build()?;
/// # Ok::<(), sockeye::BuildError>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct NamespaceBuilder {
    pub(crate) rules: Rules,
}

impl NamespaceBuilder {
    /// Adds a handler for an event. Several for one event all run, in this order; the first whose arguments fit is
    /// the one that may answer.
    pub fn on<M: 'static>(mut self, name: impl Into<String>, handler: impl Handler<M>) -> Self {
        self.rules.events.entry(name.into()).or_default().push(Registered::new(Listener::new(handler)));
        self
    }

    /// Adds a handler for an event that, for each socket, starts only when the last serial handler has ended.
    /// (Others start in order of arrival and then go on beside each other.)
    pub fn on_serial<M: 'static>(mut self, name: impl Into<String>, handler: impl Handler<M>) -> Self {
        let registered = Registered::new(Listener::new(handler)).serial();
        self.rules.events.entry(name.into()).or_default().push(registered);
        self
    }

    /// Adds a handler for a typed event, under the event's own name: one of its arguments is a type with
    /// `#[derive(Event)]`. A handler without such an argument does not compile.
    ///
    /// ```
    /// use sockeye::{Event, Server};
    ///
    /// #[derive(serde::Deserialize, Event)]
    /// struct Guess { number: u32 }
    ///
    /// async fn guess(guess: Guess) -> bool { guess.number == 42 }
    ///
    /// let server = Server::builder().on_event(guess).build()?;   // the same as .on("guess", guess)
    /// # Ok::<(), sockeye::BuildError>(())
    /// ```
    ///
    /// ```compile_fail
    /// async fn guess(number: sockeye::Data<u32>) -> bool { number.0 == 42 }
    ///
    /// let server = sockeye::Server::builder().on_event(guess).build();
    /// ```
    pub fn on_event<M: 'static, H: Handler<M>>(self, handler: H) -> Self {
        self.on(event_name::<M, H>(), handler)
    }

    /// Adds a listener for all events. It runs before those for the event and cannot answer.
    pub fn on_any<M: 'static>(mut self, handler: impl Handler<M>) -> Self {
        self.rules.any.push(Registered::new(Listener::new(handler)));
        self
    }

    /// Adds a listener for everything that is sent to a socket of the namespace, broadcasts included, acks not. It
    /// runs for each recipient before the packet is sent, on whatever thread sends it: be quick.
    pub fn on_any_outgoing(mut self, listener: impl Fn(&Socket, &Payload) + Send + Sync + 'static) -> Self {
        self.rules.outgoing.push(Arc::new(listener));
        self
    }

    /// Adds a connect middleware: an async function that lets a socket in or refuses it. They run one after another
    /// in this order, also for sockets that are being recovered (unless the server is told otherwise). A middleware
    /// that still waits when the connection is lost is dropped where it waits.
    pub fn middleware<M: 'static>(mut self, middleware: impl Middleware<M>) -> Self {
        self.rules.gates.push(Gate::new(middleware));
        self
    }

    /// Adds a function called when a socket has joined: the client has been told, and its events come after this
    /// function has first waited or ended.
    pub fn on_connect<M: 'static>(mut self, handler: impl ConnectHandler<M>) -> Self {
        self.rules.connect.push(Connector::new(handler));
        self
    }

    /// Adds a function called before a socket leaves: its rooms are still there.
    pub fn on_disconnecting<M: 'static>(mut self, handler: impl DisconnectHandler<M>) -> Self {
        self.rules.disconnecting.push(Disconnector::new(handler));
        self
    }

    /// Adds a function called when a socket has left.
    pub fn on_disconnect<M: 'static>(mut self, handler: impl DisconnectHandler<M>) -> Self {
        self.rules.disconnect.push(Disconnector::new(handler));
        self
    }

    /// Adds a layer around every incoming event, inside of those that are there.
    pub fn layer<M: 'static>(mut self, layer: impl Layer<M>) -> Self {
        self.rules.layers.push(layer);
        self
    }

    /// Adds a listener for rooms that come and go, and who joins and leaves. It runs on whatever thread did that,
    /// one event at a time, in order.
    pub fn on_room(mut self, listener: impl Fn(&RoomEvent) + Send + Sync + 'static) -> Self {
        self.rules.rooms.push(Arc::new(listener));
        self
    }

    /// Adds a listener for sockets of the namespace whose session moves to another transport, as from polling to
    /// WebSocket. A socket that joins later has missed it: [`Socket::transport`] tells. It runs on the session's task:
    /// be quick.
    pub fn on_upgrade(mut self, listener: impl Fn(&Socket, Transport) + Send + Sync + 'static) -> Self {
        self.rules.upgrade.push(Arc::new(listener));
        self
    }
}

/// The name of the typed event among the arguments of `H`, at compile time.
pub(crate) const fn event_name<M, H: Handler<M>>() -> &'static str {
    const {
        match H::EVENT {
            Some(name) => name,
            None => panic!("no argument of this handler is a typed event: use `.on(\"name\", handler)`"),
        }
    }
}

impl fmt::Debug for NamespaceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceBuilder").field("events", &self.rules.events.len()).finish_non_exhaustive()
    }
}
