//! The one task that drives a client: it does what the machine says, and tells it what came of that.
//!
//! It never runs the application's code under the machine's lock, and reads nothing from the network while handlers
//! are at their bound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::client::{AckId, Output, SocketId, Unanswered};
use sockeye_proto::engine::Protocol;
use sockeye_proto::socket::Arguments;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::ack::AckSender;
use crate::core::Core;
use crate::error::{CallError, ConnectError, EmitError};
use crate::guard::{Guarded, guarded};
use crate::handler::{BoxFuture, Call, Started};
use crate::notice::Notice;
use crate::socket::Socket;
use crate::sync::lock;
use crate::traffic::Tap;
use crate::wire::{Report, Settings, Wires};

/// Handlers of one client that may be waiting at once; beyond, nothing is read from the network.
const RUNNING: usize = 1024;
/// What the network may be ahead of the machine.
const REPORTS: usize = 64;

/// Time since the client was made.
#[derive(Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// `None` when the time is up.
pub(crate) async fn timeout<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(time, future).await.ok()
}

/// Starts the task. Whatever ends it, everybody who waits is told.
pub(crate) fn start(core: Arc<Core>, settings: Arc<Settings>) {
    tokio::spawn(async move {
        let last = Last(Arc::clone(&core));
        if Guarded::new(Driver::new(core, settings).run()).await.is_err() {
            tracing::error!("a defect of this client: its driver panicked, and it is closed");
        }
        drop(last);
    });
}

/// Also when the runtime goes away under it.
struct Last(Arc<Core>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.over();
    }
}

struct Driver {
    core: Arc<Core>,
    wires: Wires,
    reports: mpsc::Receiver<(u32, Report)>,
    tap: Option<Tap>,
    protocol: Protocol,
    connection: u32,
    running: Arc<Semaphore>,
    /// Events that wait for a handler's place, in order, and what came after them.
    backlog: VecDeque<Output>,
    /// Why the last attempt failed.
    failed: ConnectError,
}

impl Driver {
    fn new(core: Arc<Core>, settings: Arc<Settings>) -> Driver {
        let (sender, reports) = mpsc::channel(REPORTS);
        Driver {
            core,
            tap: settings.tap.clone(),
            protocol: settings.protocol,
            wires: Wires::new(settings, sender),
            reports,
            connection: 0,
            running: Arc::new(Semaphore::new(RUNNING)),
            backlog: VecDeque::new(),
            failed: ConnectError::Closed,
        }
    }

    async fn run(mut self) {
        loop {
            while let Some(output) = self.core.poll() {
                match output {
                    Output::Wire { connection, wire } => {
                        self.connection = connection;
                        if let Some(tap) = &self.tap {
                            tap.ordered(&wire, self.protocol);
                        }
                        self.wires.act(connection, wire);
                    }
                    output => self.backlog.push_back(output),
                }
            }
            if self.hand_out() {
                return;
            }
            if self.core.take_cut() {
                self.cut();
                continue;
            }
            let patience = self.core.patience();
            let running = Arc::clone(&self.running);
            tokio::select! {
                biased;
                () = self.core.wake.notified() => {}
                () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {
                    self.core.feed(|machine, now| machine.timer(now));
                }
                place = running.acquire_owned(), if !self.backlog.is_empty() => drop(place),
                report = self.reports.recv(), if self.backlog.is_empty() => {
                    let Some((connection, report)) = report else { return };
                    self.report(connection, report);
                    // All that is here already makes one turn.
                    for _ in 0..REPORTS {
                        let Ok((connection, report)) = self.reports.try_recv() else { break };
                        self.report(connection, report);
                    }
                }
            }
        }
    }

    fn report(&mut self, connection: u32, report: Report) {
        // What an earlier connection still brings is nobody's.
        if let Some(tap) = self.tap.as_ref().filter(|_| connection == self.connection) {
            tap.reported(&report);
        }
        self.core.feed(|machine, now| match report {
            Report::Polled(body, content) => machine.polled(connection, &body, content, now),
            Report::Posted => machine.posted(connection, now),
            Report::Failed(post, why) => machine.request_failed(connection, post, why, now),
            Report::Opened => machine.websocket_opened(connection, now),
            Report::Text(text) => machine.websocket_text(connection, &text, now),
            Report::Binary(bytes) => machine.websocket_binary(connection, &bytes, now),
            Report::Written => machine.written(connection, now),
            Report::Gone(why) => machine.websocket_closed(connection, why, now),
        });
    }

    fn cut(&mut self) {
        self.wires.abandon();
        let connection = self.connection;
        let why = "cut by the application";
        self.core.feed(|machine, now| {
            machine.request_failed(connection, false, why.to_owned(), now);
            machine.websocket_closed(connection, Some(why.to_owned()), now);
        });
    }

    /// Hands out what the machine has said, as far as handlers have room. Whether that was the end.
    fn hand_out(&mut self) -> bool {
        while let Some(output) = self.backlog.pop_front() {
            match output {
                Output::Event { socket, name, args, ack } => {
                    let Ok(place) = Arc::clone(&self.running).try_acquire_owned() else {
                        self.backlog.push_front(Output::Event { socket, name, args, ack });
                        return false;
                    };
                    self.event(socket, &name, &args, ack, place);
                }
                Output::Closed if self.core.look(|machine| machine.is_closed()) => {
                    self.core.tell(|| Notice::Closed);
                    return true;
                }
                output => self.happened(output),
            }
        }
        false
    }

    fn event(
        &self,
        socket: SocketId,
        name: &str,
        args: &Arguments<'_>,
        ack: Option<AckId>,
        place: OwnedSemaphorePermit,
    ) {
        let Some(socket) = self.socket(socket) else { return };
        let mut ack = ack.map(|id| AckSender::new(Arc::clone(&self.core), id));
        let listeners = lock(&socket.room().listeners).of(name);
        if listeners.is_empty() {
            tracing::debug!(event = ?name, namespace = socket.namespace(), "nobody listens to this event");
        }
        let place = Arc::new(place);
        for listener in listeners {
            let call = Call::new(&socket, name, args, ack.take(), &self.core.states);
            match guarded(|| listener.call(call)) {
                Ok(Started::Running(future)) => start_handler(listener.name, future, &place),
                Ok(Started::Mismatch(mismatch, back)) => {
                    tracing::warn!(event = ?name, handler = listener.name, %mismatch, "an event does not fit its handler");
                    ack = back;
                }
                Err(_) => tracing::error!(event = ?name, handler = listener.name, "a handler panicked"),
            }
        }
    }

    fn happened(&mut self, output: Output) {
        let core = &Arc::clone(&self.core);
        let namespace =
            |socket: SocketId| core.look(|machine| machine.namespace(socket).unwrap_or_default().to_owned());
        match output {
            // Both are dealt with before.
            Output::Wire { .. } | Output::Event { .. } => {}
            Output::AuthWanted { socket, ticket } => {
                let ask = core.find(socket).and_then(|room| lock(&room.auth).clone());
                let core = Arc::clone(core);
                tokio::spawn(async move {
                    let answer = async {
                        match ask {
                            Some(ask) => ask().await,
                            None => Ok(None),
                        }
                    };
                    let auth = Guarded::new(answer).await.unwrap_or_else(|_| Err("auth panicked".to_owned()));
                    core.feed(|machine, now| machine.authorize(socket, ticket, auth, now));
                });
            }
            Output::Opened { transport } => core.tell(|| Notice::Opened(transport)),
            Output::Upgraded => core.tell(|| Notice::Upgraded),
            Output::UpgradeFailed(failure) => {
                tracing::debug!(%failure, "the upgrade failed, polling goes on");
                core.tell(|| Notice::UpgradeFailed(failure));
            }
            Output::Pinged => core.tell(|| Notice::Pinged),
            Output::ConnectFailed(reason) => {
                let error = ConnectError::Failed(reason.clone());
                tracing::debug!(%error, "an attempt to connect failed");
                core.tell(|| Notice::ConnectFailed(reason));
                self.failed = error.clone();
                for room in core.active() {
                    self.turned(&room, &error);
                }
                core.failed(&error, !core.look(|machine| machine.reconnects()));
            }
            Output::Lost(reason) => {
                tracing::debug!(%reason, "the connection is lost");
                core.tell(|| Notice::Lost(reason));
            }
            Output::Waiting(delay) => core.tell(|| Notice::Waiting(delay)),
            Output::Reconnecting { attempt } => core.tell(|| Notice::Reconnecting(attempt)),
            Output::Reconnected { attempt } => core.tell(|| Notice::Reconnected(attempt)),
            Output::GaveUp => {
                core.tell(|| Notice::GaveUp);
                core.failed(&self.failed, true);
            }
            Output::Closed => core.tell(|| Notice::Closed),
            Output::Connected { socket, recovered } => {
                core.joined(socket, &Ok(()));
                let id = core.look(|machine| machine.id(socket).unwrap_or_default().to_owned());
                core.tell(|| Notice::Connected { namespace: namespace(socket), id, recovered });
                if let Some(socket) = self.socket(socket) {
                    socket.set_recovered(recovered);
                    let handlers = lock(&socket.room().listeners).connected.clone();
                    for (_, handler) in handlers {
                        self.run_handler("on_connect", || handler(socket.clone()));
                    }
                }
            }
            Output::Refused { socket, refused } => {
                let refused = crate::Refused::from(refused);
                let error = ConnectError::Refused(refused.clone());
                core.joined(socket, &Err(error.clone()));
                core.tell(|| Notice::Refused { namespace: namespace(socket), refused });
                self.turned(&socket, &error);
            }
            Output::Disconnected { socket, reason, active } => {
                core.tell(|| Notice::Disconnected {
                    namespace: namespace(socket),
                    reason: reason.clone(),
                    active,
                });
                if let Some(socket) = self.socket(socket) {
                    let handlers = lock(&socket.room().listeners).disconnected.clone();
                    for (_, handler) in handlers {
                        self.run_handler("on_disconnect", || handler(socket.clone(), reason.clone()));
                    }
                }
            }
            Output::Answer { socket, call, args } => core.answered(socket, call, Ok(args.into_payload())),
            Output::Unanswered { socket, call, why } => core.answered(
                socket,
                call,
                Err(match why {
                    Unanswered::TimedOut => CallError::TimedOut,
                    Unanswered::Dropped | Unanswered::Unsent => CallError::NotSent(EmitError::Full),
                    _ => CallError::Disconnected,
                }),
            ),
            Output::Dropped { socket, payload } => {
                let namespace = namespace(socket);
                tracing::warn!(%namespace, "an event was dropped: it did not fit the buffer, or nobody acknowledged it");
                core.tell(|| Notice::Dropped { namespace, payload });
            }
        }
    }

    fn turned(&self, socket: &SocketId, error: &ConnectError) {
        if let Some(socket) = self.socket(*socket) {
            let handlers = lock(&socket.room().listeners).turned.clone();
            for (_, handler) in handlers {
                self.run_handler("on_connect_error", || handler(socket.clone(), error.clone()));
            }
        }
    }

    fn run_handler(&self, name: &'static str, handler: impl FnOnce() -> BoxFuture<()>) {
        match guarded(handler) {
            // These come as often as connections do, so that they need no place.
            Ok(future) => start_handler(name, future, &()),
            Err(_) => tracing::error!(handler = name, "a handler panicked"),
        }
    }

    /// The socket for a handler, unless the application has let go of all it had.
    fn socket(&self, id: SocketId) -> Option<Socket> {
        let held = lock(&self.core.held).upgrade()?;
        Some(Socket::new(held, self.core.find(id)?))
    }
}

/// Polls a handler once; if it waits, it goes on in a task of its own, and `kept` with it.
fn start_handler<K: Clone + Send + 'static>(name: &'static str, future: BoxFuture<()>, kept: &K) {
    let mut future = Box::pin(Guarded::new(future));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let ended = move |result: Result<(), _>| {
        if result.is_err() {
            tracing::error!(handler = name, "a handler panicked");
        }
    };
    match future.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(result) => ended(result),
        std::task::Poll::Pending => {
            let kept = kept.clone();
            tokio::spawn(async move {
                // The first poll in the task brings its waker.
                ended(future.await);
                drop(kept);
            });
        }
    }
}
