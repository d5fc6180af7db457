//! [`TestClient`]: one socket, seen from its other end.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use sockeye_proto::socket::{Arguments, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::received::{Answer, Received};
use crate::server::Connect;
use crate::wire::{self, Letter, Wire};

/// A client's socket in one namespace.
///
/// Sends at once, in order, without waiting. What it receives is kept until the test asks for it, in order.
/// Dropping a client, and all others of its connection, breaks the connection.
pub struct TestClient {
    wire: Wire,
    namespace: String,
    inbox: mpsc::UnboundedReceiver<Letter>,
    ahead: VecDeque<Received>,
    ended: Option<Ended>,
    sid: String,
    recovery: Option<Recovery>,
    /// How it was made, to do it again.
    how: Connect,
}

/// What a client of connection state recovery remembers.
#[derive(Clone)]
pub(crate) struct Recovery {
    pub(crate) pid: String,
    pub(crate) offset: Option<String>,
}

/// How a socket's life ended, as its client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The server said DISCONNECT to this socket; the connection may still be there.
    ByServer,
    /// The server closed the connection, properly.
    Closed {
        /// The code of the WebSocket close frame.
        code: Option<u16>,
        /// Its text.
        reason: String,
    },
    /// The connection broke without a word.
    Lost,
    /// The test closed or cut it.
    ByUs,
    /// The server sent something that is against the protocol. A bug in Sockeye.
    Broken(String),
}

/// The server's no to a CONNECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What a JavaScript client finds in `err.message`.
    pub message: String,
    /// What it finds in `err.data`.
    pub data: Option<serde_json::Value>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl TestClient {
    pub(crate) async fn join(wire: Wire, how: Connect) -> Result<Self, Refused> {
        let namespace = how.namespace_name().to_owned();
        let mut inbox = wire.mailbox(&namespace);
        wire.send(wire::connect(&namespace, how.connect_json().as_deref(), wire.dialect()));
        let mut ahead = VecDeque::new();
        let connected = loop {
            match timeout(how.patience, inbox.recv()).await {
                Ok(Some(Letter::Connected(json))) => break json,
                Ok(Some(Letter::Refused(json))) => return Err(refused(&json)),
                // A server may emit from a middleware, before it has answered.
                Ok(Some(Letter::Event { name, args, id })) => {
                    ahead.push_back(received(&wire, &namespace, name, args, id))
                }
                Ok(Some(Letter::Ended(ended))) => panic!("no answer to CONNECT {namespace}: {ended:?}"),
                Ok(None) | Err(_) => panic!("no answer to CONNECT {namespace} within {:?}", how.patience),
            }
        };
        let connected: serde_json::Value = serde_json::from_str(&connected).unwrap_or_default();
        let text = |key| connected.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        let recovery = text("pid").map(|pid| Recovery { pid, offset: how.offset() });
        let sid = text("sid").unwrap_or_default();
        let mut client = Self { wire, namespace, inbox, ahead, ended: None, sid, recovery, how };
        for at in 0..client.ahead.len() {
            let args = client.ahead[at].args.clone();
            client.note_offset(&args);
        }
        Ok(client)
    }

    /// The socket's id, the same as [`sockeye::Socket::id`].
    pub fn id(&self) -> &str {
        &self.sid
    }

    /// Sends an event: one argument, several in [`sockeye::Args`], none with `()`. Binary anywhere inside travels as
    /// attachments.
    ///
    /// # Panics
    /// When the arguments cannot be serialised, or the name is reserved.
    #[track_caller]
    pub fn emit(&self, name: &str, args: impl Serialize) {
        self.wire.send(wire::event(&self.namespace, None, name, &args, self.wire.dialect()));
    }

    /// Sends an event and waits for the answer. Sent at once; await the result, or several of them in any order.
    ///
    /// # Panics
    /// As [`emit`](Self::emit); when awaited and no answer comes in time.
    #[track_caller]
    pub fn call(&self, name: &str, args: impl Serialize) -> Call {
        let (id, answer) = self.wire.expect_answer(&self.namespace);
        self.wire.send(wire::event(&self.namespace, Some(id), name, &args, self.wire.dialect()));
        Call { name: name.to_owned(), answer, patience: self.how.patience, at: Location::caller() }
    }

    /// Sends one Engine.IO text message as it is (`42["name"]`), however wrong.
    pub fn send_raw(&self, message: impl Into<String>) {
        self.wire.send_text(message.into());
    }

    /// Waits for the next event, which must be `name`.
    ///
    /// # Panics
    /// When another event comes, or none in time, or the socket ends.
    #[track_caller]
    pub fn expect<'c>(&'c mut self, name: &'c str) -> impl Future<Output = Received> + 'c {
        let at = Location::caller();
        async move {
            match self.next().await {
                Next::Event(event) if event.name == name => event,
                Next::Event(other) => panic!("expected `{name}` but received {other:?} (at {at})"),
                Next::Ended => panic!("expected `{name}` but the socket ended: {:?} (at {at})", self.ended),
                Next::Nothing => {
                    panic!("expected `{name}` but nothing came within {:?} (at {at})", self.how.patience)
                }
            }
        }
    }

    /// Waits for the event `name` and forgets what comes before it.
    ///
    /// # Panics
    /// When it does not come in time, or the socket ends.
    #[track_caller]
    pub fn skip_to<'c>(&'c mut self, name: &'c str) -> impl Future<Output = Received> + 'c {
        let at = Location::caller();
        async move {
            let mut skipped = Vec::new();
            loop {
                match self.next().await {
                    Next::Event(event) if event.name == name => return event,
                    Next::Event(other) => skipped.push(other),
                    Next::Ended | Next::Nothing => {
                        panic!(
                            "waited for `{name}` but received only {skipped:?}; {:?} (at {at})",
                            self.ended
                        )
                    }
                }
            }
        }
    }

    /// Lets everything run that can, and checks that nothing more has come. Needs virtual time.
    ///
    /// # Panics
    /// When an event has come, or the socket has ended.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        async move {
            crate::settle().await;
            self.take_letters();
            if let Some(event) = self.ahead.front() {
                panic!("expected nothing but received {event:?} (at {at})");
            }
            if let Some(ended) = &self.ended {
                panic!("expected nothing but the socket ended: {ended:?} (at {at})");
            }
        }
    }

    /// All events that have come by now.
    pub async fn drain(&mut self) -> Vec<Received> {
        crate::settle().await;
        self.take_letters();
        self.ahead.drain(..).collect()
    }

    /// Waits for the end of this socket and says what it was like. Events that came before are kept.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn expect_disconnect(&mut self) -> impl Future<Output = Ended> + '_ {
        let at = Location::caller();
        async move {
            while self.ended.is_none() {
                match timeout(self.how.patience, self.inbox.recv()).await {
                    Ok(Some(letter)) => self.take(letter),
                    Ok(None) | Err(_) => {
                        panic!("the socket is still there after {:?} (at {at})", self.how.patience)
                    }
                }
            }
            self.ended.clone().unwrap_or(Ended::Lost)
        }
    }

    /// Whether the socket has not ended, as far as what has come by now tells.
    pub fn is_connected(&mut self) -> bool {
        self.take_letters();
        self.ended.is_none()
    }

    /// Leaves the namespace: sends DISCONNECT. Other sockets of the connection stay.
    pub fn disconnect(&mut self) {
        self.wire.send(wire::disconnect(&self.namespace, self.wire.dialect()));
        self.ended = Some(Ended::ByUs);
    }

    /// Closes the whole connection properly, as a page that is left does.
    pub fn close(&mut self) {
        self.wire.close();
        self.ended = Some(Ended::ByUs);
    }

    /// Breaks the whole connection without a word, as a tunnel does to a train.
    pub fn cut(&mut self) {
        self.wire.cut();
        self.ended = Some(Ended::ByUs);
    }

    /// Connects anew, with the same settings, over a new connection. Where the server offers connection state
    /// recovery the client asks for it, as a real one does; see [`recovered_from`](Self::recovered_from).
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn reconnect(&self) -> TestClient {
        self.how.clone().recovering(self.recovery.clone()).await
    }

    /// Whether the server took this socket for a continuation of `before`: it has the same id.
    pub fn recovered_from(&self, before: &TestClient) -> bool {
        self.sid == before.sid
    }

    /// Joins another namespace (or this one again) over the same connection.
    ///
    /// ```
    /// # use sockeye::Server;
    /// # use sockeye_testkit::{TestServer, run};
    /// # let io = Server::builder().namespace("/admin", |ns| ns).build().unwrap();
    /// # run(async {
    /// let server = TestServer::new(io);
    /// let client = server.connect().await;
    /// let admin = client.join_namespace("/admin").await;
    /// assert_ne!(client.id(), admin.id());
    /// # });
    /// ```
    pub fn join_namespace(&self, namespace: &str) -> Connect {
        self.how.clone().namespace(namespace).no_auth().over(self.wire.clone())
    }

    /// What the next letters say, in order, until an event, the end, or too long a silence.
    async fn next(&mut self) -> Next {
        loop {
            if let Some(event) = self.ahead.pop_front() {
                return Next::Event(event);
            }
            if self.ended.is_some() {
                return Next::Ended;
            }
            match timeout(self.how.patience, self.inbox.recv()).await {
                Ok(Some(letter)) => self.take(letter),
                Ok(None) => return Next::Ended,
                Err(_) => return Next::Nothing,
            }
        }
    }

    fn take_letters(&mut self) {
        while let Ok(letter) = self.inbox.try_recv() {
            self.take(letter);
        }
    }

    fn take(&mut self, letter: Letter) {
        match letter {
            Letter::Event { name, args, id } => {
                self.note_offset(&args);
                let event = received(&self.wire, &self.namespace, name, args, id);
                self.ahead.push_back(event);
            }
            Letter::Ended(ended) => self.ended = Some(ended),
            Letter::Connected(_) | Letter::Refused(_) => {
                self.ended = Some(Ended::Broken("two answers to one CONNECT".to_owned()));
            }
        }
    }

    /// The last argument of every event is the offset, if it is a string: so do the JavaScript clients.
    fn note_offset(&mut self, args: &Arguments<'_>) {
        let Some(recovery) = &mut self.recovery else { return };
        if let Ok(args) = args.args::<Vec<Value>>()
            && let Some(Value::String(offset)) = args.last()
        {
            recovery.offset = Some(offset.clone());
        }
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("namespace", &self.namespace)
            .field("id", &self.sid)
            .finish_non_exhaustive()
    }
}

enum Next {
    Event(Received),
    Ended,
    Nothing,
}

/// A call that has been sent; await it for the answer.
#[must_use = "await it for the answer, or use `emit`"]
pub struct Call {
    name: String,
    answer: oneshot::Receiver<Arguments<'static>>,
    patience: Duration,
    at: &'static Location<'static>,
}

impl Call {
    /// Checks that the server leaves this unanswered, for now. Needs virtual time.
    ///
    /// # Panics
    /// When an answer has come.
    #[track_caller]
    pub fn expect_no_answer(&mut self) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        async move {
            crate::settle().await;
            if let Ok(args) = self.answer.try_recv() {
                panic!("expected no answer to `{}` but received {} (at {at})", self.name, args.text());
            }
        }
    }
}

impl IntoFuture for Call {
    type Output = Received;
    type IntoFuture = Pin<Box<dyn Future<Output = Received> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { name, answer, patience, at } = self;
            match timeout(patience, answer).await {
                Ok(Ok(args)) => Received { name, args, answer: None },
                Ok(Err(_)) => panic!("the socket ended before `{name}` was answered (at {at})"),
                Err(_) => panic!("no answer to `{name}` within {patience:?} (at {at})"),
            }
        })
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("name", &self.name).finish_non_exhaustive()
    }
}

fn received(
    wire: &Wire,
    namespace: &str,
    name: String,
    args: Arguments<'static>,
    id: Option<u64>,
) -> Received {
    let answer = id.map(|id| Answer { wire: wire.clone(), namespace: namespace.to_owned(), id });
    Received { name, args, answer }
}

fn refused(json: &str) -> Refused {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let message = value.get("message").and_then(serde_json::Value::as_str).unwrap_or_default();
    Refused { message: message.to_owned(), data: value.get("data").cloned() }
}
