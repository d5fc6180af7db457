//! This client in one namespace.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::client::{Auth, Emit, Reason};
use sockeye_proto::event::{Event, Travelling};
use sockeye_proto::socket::Payload;

use crate::ack::{Asked, Entry};
use crate::client::{Client, Held, auth_json};
use crate::core::Room;
use crate::error::{ConnectError, EmitError, SetupError};
use crate::handler::{Handler, Listener};
use crate::listeners::{ListenerId, Listeners};
use crate::stream::{Events, Received, events, received};
use crate::sync::lock;

/// This client in one namespace. Cheap to clone; all clones are the same socket.
///
/// A handler that needs its socket takes it as an argument: one that has captured it would keep the connection alive.
#[derive(Clone)]
pub struct Socket {
    held: Arc<Held>,
    room: Arc<Room>,
}

impl Socket {
    pub(crate) fn new(held: Arc<Held>, room: Arc<Room>) -> Socket {
        Socket { held, room }
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn core(&self) -> Arc<crate::core::Core> {
        Arc::clone(&self.held.core)
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    // ---- sending --------------------------------------------------------------------------------------------------------

    /// Sends an event: one argument, several in [`Args`](crate::Args), none with `()`. Bytes anywhere inside travel as
    /// binary. While there is no connection it waits, see [`Cap`](crate::Cap).
    ///
    /// # Errors
    /// When it was not taken: the outbox is full, the client is closed, the arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.emit_payload(Payload::event(name, &args)?)
    }

    /// Sends an event whose payload exists already ([`Payload::event`]).
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_payload(&self, payload: Payload) -> Result<(), EmitError> {
        self.held.core.emit(&self.room, payload, Emit::default())
    }

    /// Sends an event and asks for an answer: the first argument the server gives to its ack function, as an `R`
    /// (`Args<(A, B)>` for several).
    ///
    /// ```no_run
    /// # use sockeye_client::{CallError, Socket};
    /// # use std::time::Duration;
    /// # async fn f(socket: Socket) -> Result<(), CallError> {
    /// let age: u32 = socket.call("how old are you?", ()).timeout(Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    pub fn call<R>(&self, name: &str, args: impl Serialize) -> Asked<R> {
        match Payload::event(name, &args) {
            Ok(payload) => self.call_payload(payload),
            Err(error) => Asked::failed(error),
        }
    }

    /// The same with a payload that exists already ([`Payload::event`]).
    pub fn call_payload<R>(&self, payload: Payload) -> Asked<R> {
        self.ask(payload, Emit::default())
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

    /// The next emit may be lost: it is dropped unless it can leave right now.
    pub fn volatile(&self) -> Emitter<'_> {
        Emitter { socket: self, how: Emit { volatile: true, ..Emit::default() } }
    }

    /// Whether the transport may compress the next emit. Default `true`; it then does where compression is on.
    pub fn compress(&self, yes: bool) -> Emitter<'_> {
        Emitter { socket: self, how: Emit { compress: yes, ..Emit::default() } }
    }

    fn ask<R>(&self, payload: Payload, how: Emit) -> Asked<R> {
        let core = &self.held.core;
        match core.call(&self.room, payload, how) {
            Ok((call, receiver)) => {
                Asked::sent(receiver, Entry { core: Arc::clone(core), socket: self.room.id, call })
            }
            Err(error) => Asked::failed(error),
        }
    }

    // ---- hearing --------------------------------------------------------------------------------------------------------

    /// Runs `handler` for each event of this name from now on; see [`extract`](crate::extract) for its arguments and
    /// [`Reply`](crate::handler::Reply) for its result. To miss nothing, add it to the builder.
    pub fn on<M: 'static>(&self, event: &str, handler: impl Handler<M>) -> ListenerId {
        self.listen(Some(event), Listener::new(handler))
    }

    /// The same for the typed event (`#[derive(Event)]`) that is one of its arguments.
    pub fn on_event<M: 'static, H: Handler<M>>(&self, handler: H) -> ListenerId {
        const { assert!(H::EVENT.is_some(), "one argument of the handler has to be a typed event") };
        self.listen(H::EVENT, Listener::new(handler))
    }

    /// Runs `handler` for each event of any name, after those of its own name.
    pub fn on_any<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.listen(None, Listener::new(handler))
    }

    /// Calls `heard` with each event before it leaves (or begins to wait). It must be quick.
    pub fn on_any_outgoing(&self, heard: impl Fn(&Payload) + Send + Sync + 'static) -> ListenerId {
        on_any_outgoing(&mut lock(&self.room.listeners), heard)
    }

    /// Runs `handler` each time the namespace has accepted.
    pub fn on_connect<Fut>(&self, handler: impl Fn(Socket) -> Fut + Send + Sync + 'static) -> ListenerId
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        on_connect(&mut lock(&self.room.listeners), handler)
    }

    /// Runs `handler` each time a connection is over.
    pub fn on_disconnect<Fut>(
        &self,
        handler: impl Fn(Socket, Reason) -> Fut + Send + Sync + 'static,
    ) -> ListenerId
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        on_disconnect(&mut lock(&self.room.listeners), handler)
    }

    /// Runs `handler` each time an attempt to connect fails, or is refused.
    pub fn on_connect_error<Fut>(
        &self,
        handler: impl Fn(Socket, ConnectError) -> Fut + Send + Sync + 'static,
    ) -> ListenerId
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        on_connect_error(&mut lock(&self.room.listeners), handler)
    }

    /// Takes a handler away. Whether it was there.
    pub fn off(&self, listener: ListenerId) -> bool {
        lock(&self.room.listeners).remove(listener)
    }

    /// The typed events `E` from now on, as a stream. What nobody takes for long gives way, see
    /// [`Missed::Lagged`](crate::Missed::Lagged).
    pub fn events<E: Event + DeserializeOwned + Send + 'static>(&self) -> Events<E> {
        events(self)
    }

    /// Every event from now on, unread, as a stream.
    pub fn received(&self) -> Received {
        received(self, None)
    }

    /// The events of one name from now on, unread, as a stream.
    pub fn received_as(&self, name: &str) -> Received {
        received(self, Some(name))
    }

    pub(crate) fn listen(&self, name: Option<&str>, listener: Listener) -> ListenerId {
        let id = lock(&self.room.listeners).add(name, listener);
        if self.held.core.is_over() {
            // Nothing comes any more, and a stream has to know.
            self.off(id);
        }
        id
    }

    // ---- the connection -------------------------------------------------------------------------------------------------

    /// The server's name for this socket, while it is connected.
    pub fn id(&self) -> Option<String> {
        self.held.core.look(|machine| machine.id(self.room.id).map(str::to_owned))
    }

    /// Whether it is connected right now.
    pub fn is_connected(&self) -> bool {
        self.held.core.look(|machine| machine.id(self.room.id).is_some())
    }

    /// Whether it is connected, or will connect by itself.
    pub fn is_active(&self) -> bool {
        self.held.core.look(|machine| machine.is_active(self.room.id))
    }

    /// Whether the session of now is the one before, taken up again with all that was missed.
    pub fn recovered(&self) -> bool {
        self.room.recovered.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn set_recovered(&self, recovered: bool) {
        self.room.recovered.store(recovered, std::sync::atomic::Ordering::Relaxed);
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.room.namespace
    }

    /// The connection it runs over.
    pub fn client(&self) -> Client {
        Client::of(Arc::clone(&self.held))
    }

    /// Connects again, after a refusal, a [`disconnect`](Self::disconnect) or the server's. Resolves when the namespace
    /// has accepted; at once if it is connected.
    ///
    /// # Errors
    /// As [`Builder::connect`](crate::Builder::connect).
    pub async fn connect(&self) -> Result<(), ConnectError> {
        self.join(false).await
    }

    pub(crate) async fn join(&self, patient: bool) -> Result<(), ConnectError> {
        // An error: the driver has ended.
        self.held.core.join(self.room.id, patient).await.unwrap_or(Err(ConnectError::Closed))
    }

    pub(crate) fn start(&self) {
        self.held.core.feed(|machine, now| machine.connect(self.room.id, now));
    }

    /// Leaves the namespace, and stays away until [`connect`](Self::connect). What was sent leaves before. With its last
    /// socket the connection ends.
    pub fn disconnect(&self) {
        self.held.core.feed(|machine, now| machine.disconnect(self.room.id, now));
    }

    /// Changes what is sent with the next CONNECT.
    ///
    /// # Errors
    /// When it is no object.
    pub fn set_auth(&self, auth: impl Serialize) -> Result<(), SetupError> {
        let json = auth_json(&auth).map_err(|why| SetupError::option("auth", why))?;
        *lock(&self.room.auth) = None;
        self.held.core.set_auth(self.room.id, Auth::Value(json));
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("namespace", &self.namespace())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

/// An emit that is not like others: [`Socket::volatile`], [`Socket::compress`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it does nothing before `emit`"]
pub struct Emitter<'s> {
    socket: &'s Socket,
    how: Emit,
}

impl Emitter<'_> {
    /// It may be lost: it is dropped unless it can leave right now.
    pub fn volatile(self) -> Self {
        Self { how: Emit { volatile: true, ..self.how }, ..self }
    }

    /// Whether the transport may compress it.
    pub fn compress(self, yes: bool) -> Self {
        Self { how: Emit { compress: yes, ..self.how }, ..self }
    }

    /// As [`Socket::emit`].
    ///
    /// # Errors
    /// As [`Socket::emit`]. A volatile event that is dropped is none.
    pub fn emit(self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        let payload = Payload::event(name, &args)?;
        self.socket.held.core.emit(&self.socket.room, payload, self.how)
    }

    /// As [`Socket::emit_event`].
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Travelling(event))
    }

    /// As [`Socket::call`]. A volatile one that is dropped ends as not sent.
    pub fn call<R>(self, name: &str, args: impl Serialize) -> Asked<R> {
        match Payload::event(name, &args) {
            Ok(payload) => self.socket.ask(payload, self.how),
            Err(error) => Asked::failed(error),
        }
    }
}

pub(crate) fn on_any_outgoing(
    listeners: &mut Listeners,
    heard: impl Fn(&Payload) + Send + Sync + 'static,
) -> ListenerId {
    let id = listeners.fresh();
    listeners.outgoing.push((id, Arc::new(heard)));
    id
}

pub(crate) fn on_connect<Fut>(
    listeners: &mut Listeners,
    handler: impl Fn(Socket) -> Fut + Send + Sync + 'static,
) -> ListenerId
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let id = listeners.fresh();
    listeners.connected.push((id, Arc::new(move |socket| Box::pin(handler(socket)))));
    id
}

pub(crate) fn on_disconnect<Fut>(
    listeners: &mut Listeners,
    handler: impl Fn(Socket, Reason) -> Fut + Send + Sync + 'static,
) -> ListenerId
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let id = listeners.fresh();
    listeners.disconnected.push((id, Arc::new(move |socket, reason| Box::pin(handler(socket, reason)))));
    id
}

pub(crate) fn on_connect_error<Fut>(
    listeners: &mut Listeners,
    handler: impl Fn(Socket, ConnectError) -> Fut + Send + Sync + 'static,
) -> ListenerId
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let id = listeners.fresh();
    listeners.turned.push((id, Arc::new(move |socket, error| Box::pin(handler(socket, error)))));
    id
}
