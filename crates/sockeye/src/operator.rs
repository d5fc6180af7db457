//! [`Operator`]: whom a broadcast is for, and what is done with them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use smallvec::SmallVec;
use sockeye_proto::socket::Payload;

use crate::ack::TIMEOUT;
use crate::adapter::{AdapterError, Request};
use crate::asking::{Asking, Gathered};
use crate::cluster::{self, PATIENCE};
use crate::deliver;
use crate::emit::{EmitError, Flags};
use crate::found::{FoundSocket, RemoteSocket};
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
    timeout: Option<Duration>,
}

impl Operator {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            audience: Audience::default(),
            flags: Flags::default(),
            local: false,
            timeout: None,
        }
    }

    pub(crate) fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
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

    /// Sends an event, to local sockets before this returns. It is encoded once per dialect.
    ///
    /// A recipient whose outbox is full is closed as a slow consumer: it would have a gap otherwise.
    ///
    /// # Errors
    /// When the name is reserved or the arguments cannot be written.
    pub fn emit(self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        let payload = Payload::event(name, &args)?;
        self.emit_payload(payload);
        Ok(())
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
        if self.goes_out() {
            let request = Request::Broadcast {
                audience: self.audience.clone(),
                payload: payload.clone(),
                volatile: self.flags.volatile,
                compress: self.flags.compress,
                acks: None,
            };
            core.cluster.publish(core, &place.name, &request);
        }
        deliver::broadcast(core, place, &self.audience, payload, self.flags);
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
        let nodes = self.goes_out().then(|| {
            let asked = core.cluster.ask();
            let request = Request::Broadcast {
                audience: self.audience.clone(),
                payload: payload.clone(),
                volatile: false,
                compress: self.flags.compress,
                acks: Some((asked.id.clone(), timeout)),
            };
            core.cluster.publish(core, &place.name, &request);
            asked
        });
        let gathered = Arc::new(Gathered::default());
        let compress = self.flags.compress;
        let sockets = cluster::ask_local(core, place, &self.audience, payload, compress, gathered.clone());
        Asking::sent(self.namespace, gathered, sockets, nodes, timeout)
    }

    /// The sockets: those of this node as they are, those of others as far as their node tells.
    ///
    /// # Errors
    /// When the adapter fails or a node does not answer in time.
    pub async fn fetch_sockets(self) -> Result<Vec<FoundSocket>, AdapterError> {
        let place = &self.namespace.place;
        let here = place.sockets(&self.audience).into_iter().map(FoundSocket::Local);
        let mut found: Vec<_> = here.collect();
        if self.goes_out() {
            let core = &self.namespace.server.0;
            let timeout = self.timeout.unwrap_or(PATIENCE);
            let there = core.cluster.fetch(&place.name, self.audience, timeout).await?;
            found.extend(there.into_iter().map(|description| {
                FoundSocket::Remote(RemoteSocket::new(self.namespace.clone(), description))
            }));
        }
        Ok(found)
    }

    /// The sockets of this node, in order.
    pub fn local_sockets(self) -> Vec<Socket> {
        self.namespace.place.sockets(&self.audience)
    }

    /// Has them join rooms. At once on this node.
    pub fn sockets_join(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms().into_vec();
        for socket in self.request(|audience| Request::Join { audience, rooms: rooms.clone() }) {
            socket.join(rooms.clone());
        }
    }

    /// Has them leave rooms. At once on this node.
    pub fn sockets_leave(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms().into_vec();
        for socket in self.request(|audience| Request::Leave { audience, rooms: rooms.clone() }) {
            socket.leave(rooms.clone());
        }
    }

    /// Disconnects them; with `close`, their whole sessions. At once on this node.
    pub fn disconnect_sockets(self, close: bool) {
        for socket in self.request(|audience| Request::Disconnect { audience, close }) {
            if close {
                socket.close();
            } else {
                socket.disconnect();
            }
        }
    }

    /// Whether other nodes have to hear of it.
    fn goes_out(&self) -> bool {
        !self.local && !self.namespace.server.0.cluster.is_alone()
    }

    /// Asks the others, and gives the sockets of this node.
    fn request(&self, request: impl FnOnce(Audience) -> Request) -> Vec<Socket> {
        let core = &self.namespace.server.0;
        if self.goes_out() {
            core.cluster.publish(core, self.namespace.name(), &request(self.audience.clone()));
        }
        self.namespace.place.sockets(&self.audience)
    }
}

fn add(to: &mut SmallVec<[Arc<str>; 1]>, rooms: impl IntoRooms) {
    for room in rooms.into_rooms() {
        if !to.contains(&room) {
            to.push(room);
        }
    }
}
