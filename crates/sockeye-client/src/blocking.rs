//! The client for programs without async: the same socket, whose methods wait.
//!
//! ```no_run
//! use sockeye_client::blocking;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = blocking::connect("http://localhost:3000")?;
//! let length: usize = socket.call("say", "hello")?;
//! for event in socket.received() {
//!     println!("{}", event?.name);
//! }
//! # Ok(()) }
//! ```
//!
//! The connection runs on a thread of its own, and handlers (async functions as ever) run there. A method that waits,
//! called from async code, blocks that code's thread.

use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::event::Event;
use tokio::runtime::Runtime;

use crate::ack::Asked;
use crate::builder::Builder;
use crate::core::Core;
use crate::error::{CallError, ConnectError, EmitError, Missed, SetupError};
use crate::stream::{Events as Typed, Incoming, Received as Unread};

/// Connects to the namespace that a URL names, as [`connect`](crate::connect()) does.
///
/// # Errors
/// When the URL is none, the server cannot be reached, or the namespace refuses.
pub fn connect(url: &str) -> Result<Socket, ConnectError> {
    crate::Client::builder(url).connect_blocking()
}

impl Builder {
    /// Connects, and waits until the namespace of the URL has accepted.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and when no thread can be started.
    pub fn connect_blocking(self) -> Result<Socket, ConnectError> {
        let thread = Thread::start()?;
        let socket = thread.wait(async move { self.connect().await }).unwrap_or(Err(ConnectError::Closed))?;
        thread.core.set(socket.core()).ok();
        Ok(Socket { socket, thread: Arc::new(thread) })
    }
}

/// A [`Socket`](crate::Socket) whose methods wait. Cheap to clone; when the last clone is dropped it says goodbye.
#[derive(Clone)]
pub struct Socket {
    // Dropped before the thread, so that the thread can still say goodbye.
    socket: crate::Socket,
    thread: Arc<Thread>,
}

impl Socket {
    /// The socket underneath: its methods that do not wait (`on`, `id`, `volatile`, …) work here as well.
    pub fn inner(&self) -> &crate::Socket {
        &self.socket
    }

    /// Sends an event, as [`Socket::emit`](crate::Socket::emit) does: it does not wait for the server.
    ///
    /// # Errors
    /// When it was not taken.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.socket.emit(name, args)
    }

    /// Sends a typed event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.socket.emit_event(event)
    }

    /// Sends an event and waits for the answer, for 60 s.
    ///
    /// # Errors
    /// When there is none, or not of this type.
    pub fn call<R: DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
        args: impl Serialize,
    ) -> Result<R, CallError> {
        self.answer(self.socket.call(name, args))
    }

    /// The same, and waits for this long.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_within<R: DeserializeOwned + Send + 'static>(
        &self,
        timeout: Duration,
        name: &str,
        args: impl Serialize,
    ) -> Result<R, CallError> {
        self.answer(self.socket.call(name, args).timeout(timeout))
    }

    /// Sends a typed event and waits for its answer, for 60 s.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_event<E: Event + Serialize>(&self, event: &E) -> Result<E::Ack, CallError>
    where
        E::Ack: DeserializeOwned + Send + 'static,
    {
        self.answer(self.socket.call_event(event))
    }

    /// Every event from now on, unread. The iterator waits for the next; it ends when the client is closed.
    pub fn received(&self) -> Received {
        Received { stream: Some(self.socket.received()), thread: Arc::clone(&self.thread) }
    }

    /// The typed events `E` from now on. The iterator waits for the next; it ends when the client is closed.
    pub fn events<E: Event + DeserializeOwned + Send + 'static>(&self) -> Events<E> {
        Events { stream: Some(self.socket.events()), thread: Arc::clone(&self.thread) }
    }

    /// Connects again, after a refusal or a disconnect.
    ///
    /// # Errors
    /// As [`connect`].
    pub fn connect(&self) -> Result<(), ConnectError> {
        let socket = self.socket.clone();
        self.thread.wait(async move { socket.connect().await }).unwrap_or(Err(ConnectError::Closed))
    }

    /// Connects to another namespace over the same connection.
    ///
    /// # Errors
    /// As [`connect`].
    pub fn namespace(&self, name: &str) -> Result<Socket, ConnectError> {
        let (client, name) = (self.socket.client(), name.to_owned());
        let opened = self.thread.wait(async move { client.connect(&name).await });
        let socket = opened.unwrap_or(Err(ConnectError::Closed))?;
        Ok(Socket { socket, thread: Arc::clone(&self.thread) })
    }

    /// Leaves the namespace, and stays away until [`connect`](Self::connect).
    pub fn disconnect(&self) {
        self.socket.disconnect();
    }

    /// Ends the connection in order, and waits for that.
    pub fn close(&self) {
        let client = self.socket.client();
        self.thread.wait(async move { client.close().await });
    }

    fn answer<R: DeserializeOwned + Send + 'static>(&self, asked: Asked<R>) -> Result<R, CallError> {
        self.thread.wait(asked.into_future()).unwrap_or(Err(CallError::Disconnected))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// Unread events, one after the other: [`Socket::received`].
#[derive(Debug)]
pub struct Received {
    stream: Option<Unread>,
    thread: Arc<Thread>,
}

impl Iterator for Received {
    type Item = Result<Incoming, Missed>;
    fn next(&mut self) -> Option<Self::Item> {
        let mut stream = self.stream.take()?;
        let (next, stream) = self.thread.wait(async move { (stream.next().await, stream) })?;
        self.stream = Some(stream);
        next
    }
}

/// Typed events, one after the other: [`Socket::events`].
#[derive(Debug)]
pub struct Events<E> {
    stream: Option<Typed<E>>,
    thread: Arc<Thread>,
}

impl<E: Event + DeserializeOwned + Send + 'static> Iterator for Events<E> {
    type Item = Result<E, Missed>;
    fn next(&mut self) -> Option<Self::Item> {
        let mut stream = self.stream.take()?;
        let (next, stream) = self.thread.wait(async move { (stream.next().await, stream) })?;
        self.stream = Some(stream);
        next
    }
}

/// The thread a connection runs on.
struct Thread {
    runtime: Option<Runtime>,
    /// What has to come to its end before the thread may.
    core: OnceLock<Arc<Core>>,
}

impl Thread {
    fn start() -> Result<Thread, SetupError> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sockeye-client")
            .enable_all()
            .build()
            .map(|runtime| Thread { runtime: Some(runtime), core: OnceLock::new() })
            .map_err(|error| SetupError::option("thread", error))
    }

    /// Runs a future there, and waits for its end. `None` if it panicked.
    fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        // Not `block_on`, which would panic where somebody calls this from async code.
        let (done, result) = mpsc::sync_channel(1);
        self.runtime.as_ref()?.spawn(async move { done.send(future.await).ok() });
        result.recv().ok()
    }
}

impl Drop for Thread {
    /// The last handle is gone, and the driver is about to say goodbye: that is waited for, for as long as the driver
    /// allows itself.
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            self.wait(async move { core.closed().await.ok() });
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread")
    }
}
