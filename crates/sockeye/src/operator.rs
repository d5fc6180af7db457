//! [`Operator`]: whom a broadcast is for, and what is done with them.

use std::collections::HashMap;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use sockeye_proto::socket::{Payload, ReadError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ack::{CallError, Collector, TIMEOUT};
use crate::adapter::{AdapterError, Answer, Request, SocketDescription};
use crate::cluster::{self, AskedNodes, AskedSockets, PATIENCE};
use crate::deliver;
use crate::emit::{EmitError, Flags};
use crate::event::{Event, Travelling};
use crate::namespace::Namespace;
use crate::rooms::Audience;
use crate::socket::Socket;
use crate::sync::lock;

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
            Err(error) => Asking { state: Err(error.into()), timeout: TIMEOUT, answer: PhantomData },
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
        let collector: Arc<dyn Collector> = gathered.clone();
        let sockets =
            cluster::ask_local(core, place, &self.audience, payload, self.flags.compress, collector);
        let state = Waiting { namespace: self.namespace.clone(), gathered, sockets, nodes };
        Asking { state: Ok(Box::new(state)), timeout, answer: PhantomData }
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
            let there = core.cluster.fetch(core, &place.name, self.audience, timeout).await?;
            found.extend(there.into_iter().map(|description| {
                FoundSocket::Remote(RemoteSocket { namespace: self.namespace.clone(), description })
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

/// A broadcast that wants answers and has been sent; await it for them.
///
/// Dropping it forgets the question, and answers that come later are ignored.
#[must_use = "the event was sent; await this for the answers, or use `emit`"]
pub struct Asking<R> {
    state: Result<Box<Waiting>, EmitError>,
    timeout: Duration,
    answer: PhantomData<fn() -> R>,
}

struct Waiting {
    namespace: Namespace,
    gathered: Arc<Gathered>,
    sockets: AskedSockets,
    nodes: Option<AskedNodes>,
}

type LocalAnswer = (Arc<str>, Result<Payload, CallError>);

/// What the sockets of this node answered.
#[derive(Default)]
struct Gathered {
    answers: Mutex<Vec<LocalAnswer>>,
    news: Notify,
}

impl Collector for Gathered {
    fn answered(&self, socket: &Arc<str>, answer: Result<Payload, CallError>) {
        lock(&self.answers).push((Arc::clone(socket), answer));
        self.news.notify_one();
    }
}

/// The answers to a broadcast.
#[derive(Debug)]
pub struct Answers<R> {
    /// Who answered what, in order of arrival. The id is `None` only for sockets on a node that does not tell.
    pub answers: Vec<(SocketId, Result<R, ReadError>)>,
    /// Sockets of this node that did not answer: gone, or too slow.
    pub silent: Vec<Arc<str>>,
    /// How many sockets of other nodes did not answer, as far as their nodes said.
    pub silent_elsewhere: usize,
    /// How many nodes did not even say how many sockets they asked.
    pub silent_nodes: usize,
    /// Why nothing was sent at all.
    pub error: Option<EmitError>,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketId(pub Option<Arc<str>>);

impl std::fmt::Display for SocketId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("?"))
    }
}

impl<R> Answers<R> {
    /// How many did not answer, as far as is known.
    pub fn missing(&self) -> usize {
        self.silent.len() + self.silent_elsewhere
    }

    /// Whether everybody answered.
    pub fn is_complete(&self) -> bool {
        self.missing() == 0 && self.silent_nodes == 0 && self.error.is_none()
    }

    /// The answers that fit, without who gave them.
    pub fn into_values(self) -> Vec<R> {
        self.answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect()
    }
}

impl<R> Asking<R> {
    /// How long to wait from the moment this is awaited. Default 60 s, or what the operator was told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<R: DeserializeOwned + Send + 'static> IntoFuture for Asking<R> {
    type Output = Answers<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Answers<R>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.state {
                Ok(waiting) => waiting.gather(self.timeout).await,
                Err(error) => Answers {
                    answers: Vec::new(),
                    silent: Vec::new(),
                    silent_elsewhere: 0,
                    silent_nodes: 0,
                    error: Some(error),
                },
            }
        })
    }
}

impl<R> std::fmt::Debug for Asking<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Waiting {
    async fn gather<R: DeserializeOwned>(self, timeout: Duration) -> Answers<R> {
        let Waiting { namespace, gathered, sockets, mut nodes } = self;
        let until = Instant::now() + timeout;
        let mut answers = Vec::new();
        let mut nodes_out = 0;
        if nodes.is_some() {
            let server = &namespace.server.0;
            match tokio::time::timeout_at(until, server.cluster.server_count(namespace.name())).await {
                Ok(Ok(count)) => nodes_out = count.saturating_sub(1),
                Ok(Err(error)) => tracing::warn!(%error, "how many servers there are is not known"),
                Err(_) => nodes_out = 1,
            }
        }
        // Counts and answers of one node may overtake each other, so both are simply added up.
        let (mut expected_elsewhere, mut heard_elsewhere) = (0_usize, 0_usize);
        let all = async {
            loop {
                let here = lock(&gathered.answers).len();
                let done_here = here >= sockets.asked.len();
                if done_here && nodes_out == 0 && heard_elsewhere >= expected_elsewhere {
                    return;
                }
                let elsewhere = async {
                    match nodes.as_mut() {
                        Some(nodes) => nodes.answers.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = gathered.news.notified() => {}
                    answer = elsewhere => match answer {
                        Some(Answer::ClientCount(count)) => {
                            nodes_out = nodes_out.saturating_sub(1);
                            expected_elsewhere += count;
                        }
                        Some(Answer::Ack { socket, payload }) => {
                            heard_elsewhere += 1;
                            answers.push((SocketId(socket), payload.ack_arguments().arg::<R>()));
                        }
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        };
        // Whether the time was up or all answered: what came is what there is.
        let _ = tokio::time::timeout_at(until, all).await;
        let mut silent: HashMap<Arc<str>, ()> =
            sockets.asked.iter().map(|(id, _)| (Arc::clone(id), ())).collect();
        for (socket, answer) in std::mem::take(&mut *lock(&gathered.answers)) {
            if let Ok(payload) = answer {
                silent.remove(&socket);
                answers.push((SocketId(Some(socket)), payload.ack_arguments().arg::<R>()));
            }
        }
        let silent =
            sockets.asked.iter().map(|(id, _)| id).filter(|id| silent.contains_key(*id)).cloned().collect();
        let silent_elsewhere = expected_elsewhere.saturating_sub(heard_elsewhere);
        Answers { answers, silent, silent_elsewhere, silent_nodes: nodes_out, error: None }
    }
}

/// A socket found by [`fetch_sockets`](Operator::fetch_sockets).
#[derive(Debug, Clone)]
pub enum FoundSocket {
    /// On this node: the socket itself.
    Local(Socket),
    /// On another.
    Remote(RemoteSocket),
}

impl FoundSocket {
    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Self::Local(socket) => socket.id(),
            Self::Remote(socket) => socket.id(),
        }
    }

    /// The rooms, its own included: now for a local socket, as of the answer for a remote one.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        match self {
            Self::Local(socket) => socket.rooms(),
            Self::Remote(socket) => socket.description.rooms.clone(),
        }
    }

    /// What [`Socket::set_info`] set, as JSON text.
    pub fn info_json(&self) -> Option<Arc<str>> {
        match self {
            Self::Local(socket) => socket.info_json(),
            Self::Remote(socket) => socket.description.info.clone(),
        }
    }

    /// The same, read as a `T`; `None` if nothing was set.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn info<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.info_json().map(|json| serde_json::from_str(&json)).transpose()
    }

    /// What is known about it everywhere.
    pub fn description(&self) -> SocketDescription {
        match self {
            Self::Local(socket) => cluster::describe(socket),
            Self::Remote(socket) => socket.description.clone(),
        }
    }

    /// Sends it an event, wherever it is.
    ///
    /// # Errors
    /// When the event could not be sent; for a remote socket only when its arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        match self {
            Self::Local(socket) => socket.emit(name, args),
            Self::Remote(socket) => socket.emit(name, args),
        }
    }

    /// Has it join rooms.
    pub fn join(&self, rooms: impl IntoRooms) {
        match self {
            Self::Local(socket) => socket.join(rooms),
            Self::Remote(socket) => socket.operator().sockets_join(rooms),
        }
    }

    /// Has it leave rooms.
    pub fn leave(&self, rooms: impl IntoRooms) {
        match self {
            Self::Local(socket) => socket.leave(rooms),
            Self::Remote(socket) => socket.operator().sockets_leave(rooms),
        }
    }

    /// Disconnects it; with `close`, its whole session.
    pub fn disconnect(&self, close: bool) {
        match self {
            Self::Local(socket) if close => socket.close(),
            Self::Local(socket) => {
                socket.disconnect();
            }
            Self::Remote(socket) => socket.operator().disconnect_sockets(close),
        }
    }
}

/// A socket on another node.
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    namespace: Namespace,
    description: SocketDescription,
}

impl RemoteSocket {
    /// The id.
    pub fn id(&self) -> &str {
        &self.description.id
    }

    /// What its node told about it.
    pub fn description(&self) -> &SocketDescription {
        &self.description
    }

    /// The operator for this one socket.
    pub fn operator(&self) -> Operator {
        Operator::new(self.namespace.clone()).to(&self.description.id)
    }

    /// Sends it an event.
    ///
    /// # Errors
    /// When the arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.operator().emit(name, args)
    }

    /// Sends it an event and waits for its answer.
    ///
    /// # Errors
    /// When it could not be sent, or no answer came in time.
    pub async fn call<R: DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
        args: impl Serialize,
        timeout: Duration,
    ) -> Result<R, CallError> {
        let answers = self.operator().timeout(timeout).call::<R>(name, args).await;
        if let Some(error) = answers.error {
            return Err(error.into());
        }
        match answers.answers.into_iter().next() {
            Some((_, answer)) => answer.map_err(CallError::Answer),
            None => Err(CallError::TimedOut),
        }
    }
}
