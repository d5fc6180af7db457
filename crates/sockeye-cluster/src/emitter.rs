//! [`Emitter`]: for a process without a server, to send to the clients of a cluster.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sockeye_proto::cluster::{Body, EMITTER, Flags, Message, Options};
use sockeye_proto::socket::{EncodeError, Payload};

use crate::bus::BusFuture;
use crate::error::BusError;

/// Where an emitter's messages go out: the publishing half of a bus, without a subscription.
pub trait Outlet: Send + Sync + 'static {
    /// Publishes a message. Done when the broker has it.
    fn publish(&self, message: &Message) -> BusFuture<()>;
}

/// Sends to the clients of a cluster from a process that is not one of its servers: a script, a worker, a cron job.
///
/// Every modifier gives a new one; nothing is sent before a verb is used. Every verb is done when the broker has the
/// message; nobody answers.
///
/// ```
/// # async fn f(emitter: sockeye_cluster::Emitter) -> Result<(), sockeye_cluster::EmitterError> {
/// emitter.of("/news").to(["sports", "politics"]).except("muted").emit("headline", "salmon return").await?;
/// emitter.to("sleepers").disconnect_sockets(true).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "an emitter does nothing until a verb is used, such as `emit`"]
pub struct Emitter {
    outlet: Arc<dyn Outlet>,
    namespace: Arc<str>,
    options: Options,
}

/// Why an emitter did not send.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitterError {
    /// The name is reserved or the arguments cannot be written. Nothing was sent: a server could not read it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The broker did not take it.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Emitter {
    /// One that speaks through `outlet`, to the main namespace.
    pub fn new(outlet: Arc<dyn Outlet>) -> Self {
        Self { outlet, namespace: "/".into(), options: Options::default() }
    }

    /// Another namespace, with or without its slash, and nothing else said yet.
    pub fn of(&self, namespace: &str) -> Self {
        let namespace = if namespace.starts_with('/') { namespace.into() } else { format!("/{namespace}") };
        Self { outlet: Arc::clone(&self.outlet), namespace: namespace.into(), options: Options::default() }
    }

    /// Only who is in one of these rooms. A socket's id is a room.
    pub fn to(&self, rooms: impl Rooms) -> Self {
        self.with(|options| options.rooms.extend(rooms.names()))
    }

    /// Nobody who is in one of these rooms.
    pub fn except(&self, rooms: impl Rooms) -> Self {
        self.with(|options| options.except.extend(rooms.names()))
    }

    /// Drop it for whoever cannot take it right now.
    pub fn volatile(&self) -> Self {
        self.with(|options| options.flags.volatile = true)
    }

    /// Whether transports may compress it. Default `true`.
    pub fn compress(&self, yes: bool) -> Self {
        self.with(|options| options.flags.compress = Some(yes))
    }

    /// Sends an event to them. `args` is one argument, unless it is [`Args`](sockeye_proto::socket::Args) around a
    /// tuple (several) or `()` (none).
    ///
    /// # Errors
    /// See [`EmitterError`].
    pub async fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitterError> {
        let payload = Payload::event(name, &args)?;
        self.say(Body::Broadcast { payload, options: self.options.clone(), request: None }).await
    }

    /// Has them join rooms.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn sockets_join(&self, rooms: impl Rooms) -> Result<(), EmitterError> {
        let rooms = rooms.names();
        self.say(Body::Join { options: self.audience(), rooms }).await
    }

    /// Has them leave rooms.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn sockets_leave(&self, rooms: impl Rooms) -> Result<(), EmitterError> {
        let rooms = rooms.names();
        self.say(Body::Leave { options: self.audience(), rooms }).await
    }

    /// Disconnects them; with `close`, their whole sessions.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), EmitterError> {
        self.say(Body::Disconnect { options: self.audience(), close }).await
    }

    /// Sends an event to the servers themselves. No answer can be asked for.
    ///
    /// # Errors
    /// See [`EmitterError`].
    pub async fn server_side_emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitterError> {
        let payload = Payload::event(name, &args)?;
        self.say(Body::ServerEvent { payload, request: None }).await
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut next = self.clone();
        change(&mut next.options);
        next
    }

    fn audience(&self) -> Options {
        Options { flags: Flags::default(), ..self.options.clone() }
    }

    async fn say(&self, body: Body) -> Result<(), EmitterError> {
        let message = Message { from: Some(EMITTER.into()), namespace: Arc::clone(&self.namespace), body };
        Ok(self.outlet.publish(&message).await?)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("namespace", &self.namespace)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One room or several: `"a"`, `["a", "b"]`, `vec![…]`.
pub trait Rooms {
    /// The names.
    fn names(self) -> Vec<Arc<str>>;
}

impl Rooms for &str {
    fn names(self) -> Vec<Arc<str>> {
        vec![self.into()]
    }
}

impl Rooms for String {
    fn names(self) -> Vec<Arc<str>> {
        vec![self.into()]
    }
}

impl Rooms for Arc<str> {
    fn names(self) -> Vec<Arc<str>> {
        vec![self]
    }
}

impl<R: Rooms, const N: usize> Rooms for [R; N] {
    fn names(self) -> Vec<Arc<str>> {
        self.into_iter().flat_map(R::names).collect()
    }
}

impl<R: Rooms> Rooms for Vec<R> {
    fn names(self) -> Vec<Arc<str>> {
        self.into_iter().flat_map(R::names).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Message>>);

    impl Outlet for Heard {
        fn publish(&self, message: &Message) -> BusFuture<()> {
            self.0.lock().unwrap().push(message.clone());
            Box::pin(ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn says_what_it_was_told_to_and_forgets_nothing() {
        let heard = Arc::new(Heard::default());
        let emitter = Emitter::new(heard.clone());
        emitter.to("a").to(["b"]).except("c").volatile().compress(false).emit("e", 1).await.unwrap();
        emitter.of("x").to("a").volatile().sockets_join(["r", "s"]).await.unwrap();
        emitter.of("/x").sockets_leave("r").await.unwrap();
        emitter.disconnect_sockets(true).await.unwrap();
        emitter.server_side_emit("s", ()).await.unwrap();
        let said: Vec<Message> = std::mem::take(&mut *heard.0.lock().unwrap());
        assert!(said.iter().all(|message| message.from.as_deref() == Some("emitter")));
        let spaces: Vec<&str> = said.iter().map(|message| &*message.namespace).collect();
        assert_eq!(spaces, ["/", "/x", "/x", "/", "/"]);
        let Body::Broadcast { payload, options, request: None } = &said[0].body else { panic!() };
        assert_eq!(payload.text(), r#"["e",1]"#);
        assert_eq!((options.rooms.join(","), options.except.join(",")), ("a,b".to_owned(), "c".to_owned()));
        assert_eq!((options.flags.volatile, options.flags.compress), (true, Some(false)));
        let Body::Join { options, rooms } = &said[1].body else { panic!() };
        assert_eq!((rooms.join(","), options.flags), ("r,s".to_owned(), Flags::default()));
    }

    #[tokio::test]
    async fn reserved_names_are_refused_before_anybody_hears_them() {
        let heard = Arc::new(Heard::default());
        let emitter = Emitter::new(heard.clone());
        for name in
            ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
        {
            assert!(matches!(emitter.emit(name, ()).await, Err(EmitterError::Encode(_))), "{name}");
            assert!(
                matches!(emitter.server_side_emit(name, ()).await, Err(EmitterError::Encode(_))),
                "{name}"
            );
        }
        assert!(heard.0.lock().unwrap().is_empty());
    }
}
