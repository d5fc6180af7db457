//! One connection and the sockets over it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sockeye_proto::client::{Auth, SocketOptions};
use sockeye_proto::engine::Transport;

use crate::builder::Builder;
use crate::core::{AskAuth, Core};
use crate::error::{ConnectError, SetupError};
use crate::listeners::Listeners;
use crate::notice::Notices;
use crate::socket::Socket;
use crate::sync::lock;

/// Connects to the namespace that a URL names, with nothing but defaults: `http://localhost:3000/chat` is the namespace
/// `/chat` on that server.
///
/// # Errors
/// When the URL is none, the server cannot be reached, or the namespace refuses.
pub async fn connect(url: &str) -> Result<Socket, ConnectError> {
    Client::builder(url).connect().await
}

/// A connection to a server, shared by all [`Socket`]s made from it. Cheap to clone.
///
/// When the last `Client`, [`Socket`] and stream of it is dropped, it says goodbye and ends.
#[derive(Clone)]
pub struct Client {
    held: Arc<Held>,
}

/// What the handles have in common: its end is the client's.
pub(crate) struct Held {
    pub(crate) core: Arc<Core>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Client {
    /// Says where to connect, and how. What is wrong with the URL is said when it is used.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(&url.into())
    }

    pub(crate) fn new(core: Arc<Core>) -> Client {
        let held = Arc::new(Held { core: Arc::clone(&core) });
        *lock(&core.held) = Arc::downgrade(&held);
        Client { held }
    }

    pub(crate) fn of(held: Arc<Held>) -> Client {
        Client { held }
    }

    fn core(&self) -> &Arc<Core> {
        &self.held.core
    }

    /// Prepares a socket in a namespace, over this connection. Of a namespace that is open already it is the same socket,
    /// which keeps its options.
    pub fn namespace(&self, name: &str) -> SocketBuilder {
        SocketBuilder { client: self.clone(), name: name.to_owned(), plan: Plan::default() }
    }

    /// Connects to a namespace over this connection: [`namespace(name).connect()`](SocketBuilder::connect).
    ///
    /// # Errors
    /// When the server cannot be reached, or the namespace refuses.
    pub async fn connect(&self, namespace: &str) -> Result<Socket, ConnectError> {
        self.namespace(namespace).connect().await
    }

    /// What happens to the connection from now on.
    pub fn notices(&self) -> Notices {
        Notices::new(match &*lock(&self.core().notices) {
            Some(notices) => notices.subscribe(),
            None => tokio::sync::broadcast::channel(1).1,
        })
    }

    /// The transport of the connection, if there is one.
    pub fn transport(&self) -> Option<Transport> {
        self.core().transport()
    }

    /// Bytes that wait for the network.
    pub fn queued(&self) -> usize {
        self.core().look(sockeye_proto::client::Client::queued)
    }

    /// Cuts the connection as a broken network does: it is lost, and opened again. To see what an application makes of it.
    pub fn cut(&self) {
        self.core().cut();
    }

    /// Tries to move from polling to WebSocket now, even if [`Builder::transports`] or the server's offer kept it from
    /// that. [`Notice::Upgraded`](crate::Notice::Upgraded) or [`Notice::UpgradeFailed`](crate::Notice::UpgradeFailed)
    /// follows. `false`: there is no polling connection, or a try is under way.
    pub fn upgrade(&self) -> bool {
        self.core().feed(sockeye_proto::client::Client::upgrade)
    }

    /// Ends everything in order: what was sent leaves, sockets leave, and nothing is connected again. Resolves when that
    /// is done, at the latest after [`Builder::close_timeout`]. What waited for a connection is dropped.
    pub async fn close(&self) {
        let closed = self.core().closed();
        self.core().close();
        // An error: the driver has ended, which is what is waited for.
        closed.await.ok();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core().fmt(f)
    }
}

/// What one socket is to be.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) options: SocketOptions,
    pub(crate) auth: Option<AskAuth>,
    pub(crate) patient: bool,
    pub(crate) listeners: Listeners,
    /// What is wrong with it.
    pub(crate) bad: Option<SetupError>,
}

impl Plan {
    pub(crate) fn open(mut self, client: &Client, name: &str) -> Result<(Socket, bool), SetupError> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        if self.auth.is_some() {
            self.options.auth = Auth::Ask;
        }
        let room = client.core().room(name, self.options, self.auth, self.listeners);
        Ok((Socket::new(Arc::clone(&client.held), room), self.patient))
    }

    pub(crate) async fn connect(self, client: &Client, name: &str) -> Result<Socket, ConnectError> {
        let (socket, patient) = self.open(client, name)?;
        socket.join(patient).await?;
        Ok(socket)
    }

    pub(crate) fn set_auth(&mut self, auth: &impl Serialize) {
        match auth_json(auth) {
            Ok(json) => self.options.auth = Auth::Value(json),
            Err(why) => self.bad = Some(SetupError::option("auth", why)),
        }
    }
}

/// JSON text of an object, or why it is none.
pub(crate) fn auth_json(auth: &impl Serialize) -> Result<String, String> {
    let json = serde_json::to_string(auth).map_err(|error| error.to_string())?;
    if json.starts_with('{') { Ok(json) } else { Err("has to be an object: a struct or a map".to_owned()) }
}

/// Gives the same methods to both builders; `$plan` leads to the plan of the socket.
macro_rules! socket_options {
    ($plan:ident) => {
        /// What is sent with every CONNECT: anything that serialises as an object. Servers read it as
        /// `socket.handshake.auth`.
        pub fn auth(mut self, auth: impl serde::Serialize) -> Self {
            self.$plan.set_auth(&auth);
            self
        }

        /// Asked for what is sent, on every attempt: for tokens that expire. An error is the attempt's refusal.
        pub fn auth_with<F, Fut, A, E>(mut self, ask: F) -> Self
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<A, E>> + Send + 'static,
            A: serde::Serialize,
            E: std::fmt::Display,
        {
            self.$plan.auth = Some(std::sync::Arc::new(move || {
                let asked = ask();
                Box::pin(async move {
                    let auth = asked.await.map_err(|error| error.to_string())?;
                    $crate::client::auth_json(&auth).map(Some)
                })
            }));
            self
        }

        /// Events that are not volatile go out one at a time, each again until the server acknowledges it, at most this
        /// often again: at least once. The server has to answer, and to expect doubles. Default 0.
        pub fn retries(mut self, retries: u32) -> Self {
            self.$plan.options.retries = retries;
            self
        }

        /// How long an answer may take before it counts as missing; with retries, each try. Default: as long as the
        /// connection lasts (an awaited call has its own time, see [`Asked::timeout`](crate::Asked::timeout)).
        pub fn ack_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.$plan.options.ack_timeout = Some(timeout);
            self
        }

        /// What may wait while there is no connection, and which event gives way when that is reached. Default: 10 000
        /// events of 16 MiB together; the oldest goes.
        pub fn buffer(mut self, cap: sockeye_proto::client::Cap) -> Self {
            self.$plan.options.cap = cap;
            self
        }

        /// `connect` goes on trying as the [`Reconnection`](crate::Reconnection) plan says, and does not give up when the
        /// first attempt fails. Default `false`.
        pub fn wait_for_server(mut self, wait: bool) -> Self {
            self.$plan.patient = wait;
            self
        }

        /// Runs `handler` for each event of this name; see [`extract`](crate::extract) for its arguments and
        /// [`Reply`](crate::handler::Reply) for its result.
        pub fn on<M: 'static>(mut self, event: &str, handler: impl $crate::handler::Handler<M>) -> Self {
            self.$plan.listeners.add(Some(event), $crate::handler::Listener::new(handler));
            self
        }

        /// The same for the typed event (`#[derive(Event)]`) that is one of its arguments.
        pub fn on_event<M: 'static, H: $crate::handler::Handler<M>>(mut self, handler: H) -> Self {
            const { assert!(H::EVENT.is_some(), "one argument of the handler has to be a typed event") };
            self.$plan.listeners.add(H::EVENT, $crate::handler::Listener::new(handler));
            self
        }

        /// Runs `handler` for each event of any name, after those of its own name.
        pub fn on_any<M: 'static>(mut self, handler: impl $crate::handler::Handler<M>) -> Self {
            self.$plan.listeners.add(None, $crate::handler::Listener::new(handler));
            self
        }

        /// Calls `heard` with each event before it leaves (or begins to wait). It must be quick.
        pub fn on_any_outgoing(
            mut self,
            heard: impl Fn(&sockeye_proto::socket::Payload) + Send + Sync + 'static,
        ) -> Self {
            $crate::socket::on_any_outgoing(&mut self.$plan.listeners, heard);
            self
        }

        /// Runs `handler` each time the namespace has accepted.
        pub fn on_connect<Fut>(
            mut self,
            handler: impl Fn($crate::Socket) -> Fut + Send + Sync + 'static,
        ) -> Self
        where
            Fut: Future<Output = ()> + Send + 'static,
        {
            $crate::socket::on_connect(&mut self.$plan.listeners, handler);
            self
        }

        /// Runs `handler` each time a connection is over.
        pub fn on_disconnect<Fut>(
            mut self,
            handler: impl Fn($crate::Socket, sockeye_proto::client::Reason) -> Fut + Send + Sync + 'static,
        ) -> Self
        where
            Fut: Future<Output = ()> + Send + 'static,
        {
            $crate::socket::on_disconnect(&mut self.$plan.listeners, handler);
            self
        }

        /// Runs `handler` each time an attempt to connect fails, or is refused.
        pub fn on_connect_error<Fut>(
            mut self,
            handler: impl Fn($crate::Socket, $crate::ConnectError) -> Fut + Send + Sync + 'static,
        ) -> Self
        where
            Fut: Future<Output = ()> + Send + 'static,
        {
            $crate::socket::on_connect_error(&mut self.$plan.listeners, handler);
            self
        }
    };
}
pub(crate) use socket_options;

/// A socket that is being prepared: [`Client::namespace`].
#[must_use = "it does nothing before `connect` or `start`"]
pub struct SocketBuilder {
    client: Client,
    name: String,
    plan: Plan,
}

impl SocketBuilder {
    socket_options!(plan);

    /// Connects, and resolves when the namespace has accepted.
    ///
    /// # Errors
    /// When it refuses, with its data; when the server cannot be reached (but see
    /// [`wait_for_server`](Self::wait_for_server)).
    pub async fn connect(self) -> Result<Socket, ConnectError> {
        self.plan.connect(&self.client, &self.name).await
    }

    /// The socket at once; it connects by itself, and again after failures. What is emitted meanwhile waits.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn start(self) -> Result<Socket, SetupError> {
        let (socket, _) = self.plan.open(&self.client, &self.name)?;
        socket.start();
        Ok(socket)
    }
}

impl fmt::Debug for SocketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
