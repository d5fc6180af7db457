//! The machine, and what is known beside it: shared by the handles and the driver.
//!
//! The handles feed the machine directly, under a lock that is held for moments, and wake the driver: so an `emit` says
//! at once whether it was taken, and events leave in the order of the calls without a queue in between that would need
//! a bound of its own. Nothing waits or runs the application's code under this lock.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sockeye_proto::client::{self as machine, AckId, Auth, Call, Emit, Output, SocketId, SocketOptions};
use sockeye_proto::engine::Transport;
use sockeye_proto::socket::Payload;
use tokio::sync::{Notify, broadcast, oneshot};

use crate::client::Held;
use crate::driver::Clock;
use crate::error::{CallError, ConnectError, EmitError};
use crate::handler::BoxFuture;
use crate::listeners::Listeners;
use crate::notice::Notice;
use crate::states::States;
use crate::sync::lock;

pub(crate) struct Core {
    inner: Mutex<Inner>,
    pub(crate) wake: Notify,
    clock: Clock,
    pub(crate) states: States,
    pub(crate) notices: Mutex<Option<broadcast::Sender<Notice>>>,
    /// The handles of the application. When the last is gone, the client closes.
    pub(crate) held: Mutex<Weak<Held>>,
}

struct Inner {
    machine: machine::Client,
    rooms: HashMap<SocketId, Arc<Room>>,
    calls: HashMap<(SocketId, Call), oneshot::Sender<Result<Payload, CallError>>>,
    /// Who waits for a namespace to accept.
    joins: Vec<(SocketId, Join)>,
    /// Who waits for the end.
    ends: Vec<oneshot::Sender<()>>,
    cut: bool,
    over: bool,
}

struct Join {
    /// Whether a failed attempt is no reason to give up.
    patient: bool,
    done: oneshot::Sender<Result<(), ConnectError>>,
}

/// One namespace, as the application sees it.
pub(crate) struct Room {
    pub(crate) id: SocketId,
    pub(crate) namespace: String,
    pub(crate) listeners: Mutex<Listeners>,
    pub(crate) auth: Mutex<Option<AskAuth>>,
    pub(crate) recovered: AtomicBool,
}

/// Asked on every attempt; JSON text, or why there is none.
pub(crate) type AskAuth = Arc<dyn Fn() -> BoxFuture<Result<Option<String>, String>> + Send + Sync>;

impl Core {
    pub(crate) fn new(machine: machine::Client, states: States) -> Arc<Core> {
        let (notices, _) = broadcast::channel(256);
        Arc::new(Core {
            inner: Mutex::new(Inner {
                machine,
                rooms: HashMap::new(),
                calls: HashMap::new(),
                joins: Vec::new(),
                ends: Vec::new(),
                cut: false,
                over: false,
            }),
            wake: Notify::new(),
            clock: Clock::new(),
            states,
            notices: Mutex::new(Some(notices)),
            held: Mutex::new(Weak::new()),
        })
    }

    /// Feeds the machine; what follows is the driver's to do.
    pub(crate) fn feed<T>(&self, feed: impl FnOnce(&mut machine::Client, Duration) -> T) -> T {
        let fed = feed(&mut lock(&self.inner).machine, self.clock.now());
        self.wake.notify_one();
        fed
    }

    /// Looks at the machine.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&machine::Client) -> T) -> T {
        look(&lock(&self.inner).machine)
    }

    pub(crate) fn poll(&self) -> Option<Output> {
        lock(&self.inner).machine.poll()
    }

    /// How long until the machine wants to know the time.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let deadline = lock(&self.inner).machine.deadline()?;
        Some(deadline.saturating_sub(self.clock.now()))
    }

    pub(crate) fn room(
        &self,
        namespace: &str,
        options: SocketOptions,
        auth: Option<AskAuth>,
        listeners: Listeners,
    ) -> Arc<Room> {
        let mut inner = lock(&self.inner);
        let id = inner.machine.socket(namespace, options);
        let namespace = inner.machine.namespace(id).unwrap_or(namespace).to_owned();
        let room = inner.rooms.entry(id).or_insert_with(|| {
            Arc::new(Room {
                id,
                namespace,
                listeners: Mutex::new(Listeners::default()),
                auth: Mutex::new(auth),
                recovered: AtomicBool::new(false),
            })
        });
        lock(&room.listeners).append(listeners);
        Arc::clone(room)
    }

    pub(crate) fn find(&self, socket: SocketId) -> Option<Arc<Room>> {
        lock(&self.inner).rooms.get(&socket).cloned()
    }

    /// The sockets that want to be connected.
    pub(crate) fn active(&self) -> Vec<SocketId> {
        let inner = lock(&self.inner);
        inner.rooms.keys().copied().filter(|socket| inner.machine.is_active(*socket)).collect()
    }

    /// Connects, and tells when that has been answered.
    pub(crate) fn join(
        &self,
        socket: SocketId,
        patient: bool,
    ) -> oneshot::Receiver<Result<(), ConnectError>> {
        let (done, answer) = oneshot::channel();
        let mut inner = lock(&self.inner);
        if inner.over {
            done.send(Err(ConnectError::Closed)).ok();
        } else if inner.machine.id(socket).is_some() {
            done.send(Ok(())).ok();
        } else {
            inner.joins.push((socket, Join { patient, done }));
            let now = self.clock.now();
            inner.machine.connect(socket, now);
        }
        drop(inner);
        self.wake.notify_one();
        answer
    }

    /// Who waited for this socket hears what came of it.
    pub(crate) fn joined(&self, socket: SocketId, outcome: &Result<(), ConnectError>) {
        let mut inner = lock(&self.inner);
        let (done, rest): (Vec<_>, Vec<_>) = inner.joins.drain(..).partition(|(whose, _)| *whose == socket);
        inner.joins = rest;
        for (_, join) in done {
            join.done.send(outcome.clone()).ok();
        }
    }

    /// An attempt failed, or (`all`) there will be no more: who is not patient gives up. Sockets that nobody else wants
    /// stop trying.
    pub(crate) fn failed(&self, error: &ConnectError, all: bool) {
        let mut inner = lock(&self.inner);
        let (done, rest): (Vec<_>, Vec<_>) =
            inner.joins.drain(..).partition(|(_, join)| all || !join.patient);
        inner.joins = rest;
        let now = self.clock.now();
        for (socket, join) in done {
            if !join.patient {
                inner.machine.disconnect(socket, now);
            }
            join.done.send(Err(error.clone())).ok();
        }
    }

    pub(crate) fn emit(&self, room: &Room, payload: Payload, how: Emit) -> Result<(), EmitError> {
        let listeners: Vec<_> =
            lock(&room.listeners).outgoing.iter().map(|(_, heard)| Arc::clone(heard)).collect();
        for heard in listeners {
            heard(&payload);
        }
        let sent = self.feed(|machine, now| machine.emit(room.id, payload, how, now));
        refine(sent).map(drop)
    }

    pub(crate) fn call(
        &self,
        room: &Room,
        payload: Payload,
        how: Emit,
    ) -> Result<(Call, oneshot::Receiver<Result<Payload, CallError>>), EmitError> {
        let listeners: Vec<_> =
            lock(&room.listeners).outgoing.iter().map(|(_, heard)| Arc::clone(heard)).collect();
        for heard in listeners {
            heard(&payload);
        }
        let (sender, receiver) = oneshot::channel();
        let mut inner = lock(&self.inner);
        let now = self.clock.now();
        let sent = refine(inner.machine.emit(room.id, payload, Emit { ack: true, ..how }, now));
        let call = sent.and_then(|call| call.ok_or(EmitError::Closed));
        if let Ok(call) = call {
            inner.calls.insert((room.id, call), sender);
        }
        drop(inner);
        self.wake.notify_one();
        call.map(|call| (call, receiver))
    }

    pub(crate) fn answered(&self, socket: SocketId, call: Call, answer: Result<Payload, CallError>) {
        let waiting = lock(&self.inner).calls.remove(&(socket, call));
        if let Some(waiting) = waiting {
            // Who asked may have stopped waiting.
            waiting.send(answer).ok();
        }
    }

    pub(crate) fn forget(&self, socket: SocketId, call: Call) {
        let mut inner = lock(&self.inner);
        if inner.calls.remove(&(socket, call)).is_some() {
            inner.machine.forget(socket, call);
        }
    }

    pub(crate) fn answer(&self, id: AckId, payload: &Payload) -> Result<(), EmitError> {
        self.feed(|machine, now| machine.answer(id, payload, now)).map(drop).map_err(EmitError::from)
    }

    pub(crate) fn set_auth(&self, socket: SocketId, auth: Auth) {
        self.feed(|machine, _| machine.set_auth(socket, auth));
    }

    pub(crate) fn transport(&self) -> Option<Transport> {
        self.look(machine::Client::transport)
    }

    /// Cuts the connection as a broken network does.
    pub(crate) fn cut(&self) {
        lock(&self.inner).cut = true;
        self.wake.notify_one();
    }

    pub(crate) fn take_cut(&self) -> bool {
        std::mem::take(&mut lock(&self.inner).cut)
    }

    /// Ends everything in order.
    pub(crate) fn close(&self) {
        self.feed(machine::Client::close);
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.inner).over
    }

    /// Resolves when it has ended.
    pub(crate) fn closed(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = lock(&self.inner);
        if !inner.over {
            inner.ends.push(sender);
        }
        receiver
    }

    /// The driver has ended, for whatever reason: nobody waits for it any more.
    pub(crate) fn over(&self) {
        let mut inner = lock(&self.inner);
        inner.over = true;
        let now = self.clock.now();
        inner.machine.close(now);
        while inner.machine.poll().is_some() {}
        inner.ends.clear();
        for (_, join) in inner.joins.drain(..) {
            join.done.send(Err(ConnectError::Closed)).ok();
        }
        for (_, waiting) in inner.calls.drain() {
            waiting.send(Err(CallError::Disconnected)).ok();
        }
        let rooms: Vec<_> = inner.rooms.values().cloned().collect();
        drop(inner);
        // Streams are at their end when their listener goes, and handlers that have captured a socket keep it no longer.
        // Dropped without a lock: what they hold may come back here.
        let listeners: Vec<_> =
            rooms.iter().map(|room| std::mem::take(&mut *lock(&room.listeners))).collect();
        drop(listeners);
        *lock(&self.notices) = None;
    }

    pub(crate) fn tell(&self, notice: impl FnOnce() -> Notice) {
        if let Some(notices) = &*lock(&self.notices)
            && notices.receiver_count() > 0
        {
            notices.send(notice()).ok();
        }
    }
}

/// A volatile event that would not have left right now is lost, as it may be.
fn refine(sent: Result<Option<Call>, machine::EmitError>) -> Result<Option<Call>, EmitError> {
    match sent {
        Ok(call) => Ok(call),
        Err(machine::EmitError::NotWritable) => Ok(None),
        Err(machine::EmitError::Encode(error)) => Err(EmitError::Encode(error)),
        Err(machine::EmitError::Full) => Err(EmitError::Full),
        Err(_) => Err(EmitError::Closed),
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|machine| machine.fmt(f))
    }
}
