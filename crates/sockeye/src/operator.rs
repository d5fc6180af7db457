//! [`Operator`]: whom a broadcast is for, and what is done with them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use smallvec::SmallVec;
use sockeye_proto::socket::Payload;

use crate::ack::TIMEOUT;
use crate::asking::{Asking, Gathered};
use crate::cluster::{self, Body, Incomplete, Node, Options, PATIENCE};
use crate::deliver;
use crate::emit::{EmitError, Flags};
use crate::found::{FoundSocket, RemoteSocket};
use crate::logged;
use crate::namespace::Namespace;
use crate::rooms::Audience;
use crate::socket::Socket;
use sockeye_proto::event::{Event, Travelling};

/// One room or several: `"a"`, `["a", "b"]`, `vec![…]`, `socket.id()`.
pub trait IntoRooms {
    /// The names.
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]>;
}

macro_rules! one_room {
    ($($type:ty)*) => {$(
        impl IntoRooms for $type {
            fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
                smallvec::smallvec![Arc::from(self)]
            }
        }
    )*};
}

one_room!(&str String Arc<str> Box<str>);

impl IntoRooms for &String {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
        self.as_str().into_rooms()
    }
}

impl IntoRooms for &Arc<str> {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
        Arc::clone(self).into_rooms()
    }
}

impl<R: IntoRooms, const N: usize> IntoRooms for [R; N] {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
        self.into_iter().flat_map(R::into_rooms).collect()
    }
}

impl<R: IntoRooms> IntoRooms for Vec<R> {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
        self.into_iter().flat_map(R::into_rooms).collect()
    }
}

impl<R: IntoRooms + Clone> IntoRooms for &[R] {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
        self.iter().cloned().flat_map(R::into_rooms).collect()
    }
}

impl IntoRooms for SmallVec<[Arc<str>; 1]> {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 1]> {
        self
    }
}

/// Some sockets of a namespace, and how to reach them. Every modifier gives a new one; nothing is looked up before a
/// verb is used.
///
/// Rooms add up: whoever is in one of them is meant, once. `except` wins over `to`. A socket id is a room.
///
/// ```
/// # use sockeye::Server;
/// # fn f(io: Server) {
/// io.to(["lobby", "bar"]).except("sleepers").emit("last orders", ()).ok();
/// io.volatile().emit("cursor", (3, 4)).ok();
/// io.to("bar").disconnect_sockets(false);
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an operator does nothing until a verb is used, such as `emit`"]
pub struct Operator {
    namespace: Namespace,
    audience: Audience,
    flags: Flags,
    local: bool,
    /// There is one socket at most: its answer is all there is.
    single: bool,
    timeout: Option<Duration>,
}

impl Operator {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            audience: Audience::default(),
            flags: Flags::default(),
            local: false,
            single: false,
            timeout: None,
        }
    }

    pub(crate) fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn single(mut self) -> Self {
        self.single = true;
        self
    }

    /// Adds rooms.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        add(&mut self.audience.rooms, rooms);
        self
    }

    /// Adds rooms; the same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves out whoever is in one of these rooms.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        add(&mut self.audience.except, rooms);
        self
    }

    /// Only sockets of this node.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Only sockets that can take it right now.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether transports may compress it. Default `true`.
    pub fn compress(mut self, yes: bool) -> Self {
        self.flags.compress = yes;
        self
    }

    /// How long [`call`](Self::call) (default 60 s) and [`fetch_sockets`](Self::fetch_sockets) (default 5 s) wait.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event, to local sockets before this returns. It is encoded once per dialect. Only where clients are
    /// recovered through the log of a bus, it goes there first, and reaches local sockets in its place in the log.
    ///
    /// A recipient whose outbox is full is closed as a slow consumer: it would have a gap otherwise.
    ///
    /// # Errors
    /// When the name is reserved or the arguments cannot be written.
    pub fn emit(self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        if self.others().is_some() || self.namespace.server.0.logged.is_some() {
            self.emit_payload(Payload::event(name, &args)?);
            return Ok(());
        }
        let Self { namespace, audience, flags, .. } = self;
        deliver::event(&namespace.server.0, &namespace.place, &audience, (name, &args), flags)
    }

    /// Sends a typed event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Travelling(event))
    }

    /// Sends an event that exists already, such as one to relay.
    pub fn emit_payload(self, payload: Payload) {
        let core = &self.namespace.server.0;
        let place = &self.namespace.place;
        let Some(node) = self.others() else { return self.deliver(payload) };
        if core.logged.is_none() || self.flags.volatile {
            return self.deliver(self.publish_event(node, payload));
        }
        // It is delivered when it comes back, in its place.
        if let Err(payload) = logged::publish(core, place, payload, self.options()) {
            self.deliver(payload);
        }
    }

    /// Sends an event and gathers the answers: of each socket the first argument it gives, as an `R`.
    ///
    /// The event is sent right here, and reliably whatever the flags. What comes back waits until all have answered
    /// or the time is up, and tells who did not.
    ///
    /// ```
    /// # use sockeye::Server;
    /// # use std::time::Duration;
    /// # async fn f(io: Server) {
    /// let votes = io.to("jury").timeout(Duration::from_secs(10)).call::<bool>("guilty?", ()).await;
    /// for (socket, vote) in &votes.answers {
    ///     println!("{socket}: {vote:?}");
    /// }
    /// println!("{} did not vote", votes.missing());
    /// # }
    /// ```
    pub fn call<R>(self, name: &str, args: impl Serialize) -> Asking<R> {
        match Payload::event(name, &args) {
            Ok(payload) => self.call_payload(payload),
            Err(error) => Asking::failed(error.into()),
        }
    }

    /// Sends a typed event and gathers its answers.
    pub fn call_event<E: Event + Serialize>(self, event: &E) -> Asking<E::Ack> {
        self.call(E::NAME, Travelling(event))
    }

    fn call_payload<R>(self, payload: Payload) -> Asking<R> {
        let core = &self.namespace.server.0;
        let place = &self.namespace.place;
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        let nodes = self.others().map(|node| {
            let mut options = cluster::options(&self.audience, Flags { volatile: false, ..self.flags });
            options.flags.timeout = Some(timeout);
            options.flags.expect_single_response = self.single;
            node.ask(&place.name, payload.clone(), options).inspect_err(|error| unsent(&place.name, error))
        });
        let gathered = Arc::new(Gathered::default());
        let event = (payload, self.flags.compress);
        let sockets = cluster::ask_local(core, place, &self.audience, event, gathered.clone(), |_| {});
        Asking::sent(gathered, sockets, nodes, timeout)
    }

    /// The sockets: those of this server as they are, those of others as far as their servers tell.
    ///
    /// # Errors
    /// When the bus fails or a server does not answer in time. What was found is in the error, and who is missing:
    /// `unwrap_or_else(Incomplete::into_partial)` if that will do.
    pub async fn fetch_sockets(self) -> Result<Vec<FoundSocket>, Incomplete<Vec<FoundSocket>>> {
        let place = &self.namespace.place;
        let here = place.sockets(&self.audience).into_iter().map(FoundSocket::Local);
        let mut found: Vec<_> = here.collect();
        let Some(node) = self.others() else { return Ok(found) };
        let options = self.options();
        let mut add = |there: Vec<_>| {
            found.extend(there.into_iter().map(|description| {
                FoundSocket::Remote(RemoteSocket::new(self.namespace.clone(), description))
            }));
        };
        match node.fetch(&place.name, options, self.timeout.unwrap_or(PATIENCE)).await {
            Ok(there) => {
                add(there);
                Ok(found)
            }
            Err(Incomplete { partial, error, .. }) => {
                add(partial);
                Err(Incomplete::new(found, error))
            }
        }
    }

    /// The sockets of this node, in order.
    pub fn local_sockets(self) -> Vec<Socket> {
        self.namespace.place.sockets(&self.audience)
    }

    /// Has them join rooms. At once on this node.
    pub fn sockets_join(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms().into_vec();
        for socket in self.tell(|options| Body::Join { options, rooms: rooms.clone() }) {
            socket.join(rooms.clone());
        }
    }

    /// Has them leave rooms. At once on this node.
    pub fn sockets_leave(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms().into_vec();
        for socket in self.tell(|options| Body::Leave { options, rooms: rooms.clone() }) {
            socket.leave(rooms.clone());
        }
    }

    /// Disconnects them; with `close`, their whole sessions. At once on this node.
    pub fn disconnect_sockets(self, close: bool) {
        for socket in self.tell(|options| Body::Disconnect { options, close }) {
            if close {
                socket.close();
            } else {
                socket.disconnect();
            }
        }
    }

    /// Through whom others have to hear of it, if they have to.
    fn others(&self) -> Option<&Arc<Node>> {
        self.namespace.server.0.cluster.node().filter(|_| !self.local)
    }

    fn options(&self) -> Options {
        cluster::options(&self.audience, self.flags)
    }

    /// Tells the others of an event; gives it back for our own.
    fn publish_event(&self, node: &Node, payload: Payload) -> Payload {
        let name = &self.namespace.place.name;
        let body = Body::Broadcast { payload, options: self.options(), request: None };
        let message = node.message(name, body);
        if let Err(error) = node.publish(&message) {
            unsent(name, &error);
        }
        match message.body {
            Body::Broadcast { payload, .. } => payload,
            _ => unreachable!("it is the broadcast from above"),
        }
    }

    /// To sockets of this server, now.
    fn deliver(&self, payload: Payload) {
        let core = &self.namespace.server.0;
        let place = &self.namespace.place;
        match &core.logged {
            Some(_) => logged::deliver(core, place, &self.audience, payload, self.flags, None),
            None => deliver::broadcast(core, place, &self.audience, payload, self.flags),
        }
    }

    /// Tells the others what to do, and gives the sockets of this server to do it with.
    fn tell(&self, what: impl FnOnce(Options) -> Body) -> Vec<Socket> {
        if let Some(node) = self.others() {
            let name = &self.namespace.place.name;
            let options = cluster::options(&self.audience, Flags::default());
            if let Err(error) = node.publish(&node.message(name, what(options))) {
                unsent(name, &error);
            }
        }
        self.namespace.place.sockets(&self.audience)
    }
}

fn unsent(namespace: &str, error: &cluster::BusError) {
    tracing::debug!(%error, namespace, "the other servers were not told");
}

fn add(to: &mut SmallVec<[Arc<str>; 1]>, rooms: impl IntoRooms) {
    for room in rooms.into_rooms() {
        if !to.contains(&room) {
            to.push(room);
        }
    }
}
