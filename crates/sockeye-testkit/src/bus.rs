//! [`TestBus`]: joins servers in one process to a cluster, and can be slow, cut, deaf or hostile.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye::cluster::{
    Asker, Body, Bus, BusError, BusFuture, Inbox, Log, Message, Missed, Peers, Position, Restored, Session,
    State,
};
use sockeye_proto::cluster::Limits;
use sockeye_proto::cluster::streams::{self, Fields};
use tokio::sync::watch;
use tokio::time::Instant;

/// A bus in memory.
///
/// Everything is carried by tasks, as a network would, in order for each receiver, and every server hears its own
/// messages as well, as on Redis.
///
/// ```
/// use sockeye::Server;
/// use sockeye_testkit::{TestBus, TestServer, settle};
///
/// # fn main() -> Result<(), sockeye::BuildError> {
/// let bus = TestBus::new();
/// let one = TestServer::new(Server::builder().adapter(bus.node("one")).build()?);
/// let two = TestServer::new(Server::builder().adapter(bus.node("two")).build()?);
///
/// sockeye_testkit::run(async {
///     let mut anna = one.connect().await;
///     two.io().emit("hello", 1).unwrap();
///     assert_eq!(anna.expect("hello").await.data::<u32>(), 1);
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct TestBus(Arc<Mutex<Wire>>);

/// One server's end of a [`TestBus`]. Cheap to clone: keep one to make trouble.
#[derive(Clone)]
pub struct TestBusNode {
    bus: TestBus,
    name: Arc<str>,
    state: Arc<watch::Sender<State>>,
    log: Option<TestLog>,
}

#[derive(Clone)]
struct TestLog {
    bus: TestBus,
    state: Arc<watch::Sender<State>>,
}

#[derive(Default)]
struct Wire {
    nodes: BTreeMap<Arc<str>, End>,
    /// Nobody tells who answers, and who is there is only a number: the classic Redis adapter.
    counting: bool,
    logging: bool,
    log: Vec<(Position, Message)>,
    sessions: HashMap<Arc<str>, (Session, Instant)>,
    offset: u64,
}

#[derive(Default)]
struct End {
    inbox: Option<Inbox>,
    namespaces: HashSet<Arc<str>>,
    queue: VecDeque<Parcel>,
    carrying: bool,
    delay: Duration,
    dead: bool,
    deaf: bool,
    cut: bool,
    twice: bool,
}

#[derive(Clone)]
struct Parcel {
    message: Message,
    at: Option<Position>,
    ready: Instant,
}

/// How many entries a log of a [`TestBus`] keeps.
const LOG: usize = 10_000;

impl TestBus {
    /// One on which servers know each other by name.
    pub fn new() -> Self {
        Self::default()
    }

    /// One on which servers know how many they are and no more, and nobody tells who answers.
    pub fn counting() -> Self {
        let bus = Self::default();
        bus.wire().counting = true;
        bus
    }

    /// One with a log: clients are recovered by any server.
    pub fn logging() -> Self {
        let bus = Self::default();
        bus.wire().logging = true;
        bus
    }

    /// The end for one more server. The name is for error messages and must be unique.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn node(&self, name: &str) -> TestBusNode {
        let name: Arc<str> = name.into();
        let mut wire = self.wire();
        assert!(!wire.nodes.contains_key(&name), "there is a server called {name} already");
        wire.nodes.insert(Arc::clone(&name), End::default());
        let state = Arc::new(watch::Sender::new(State::Up));
        let log = wire.logging.then(|| TestLog { bus: self.clone(), state: Arc::clone(&state) });
        TestBusNode { bus: self.clone(), name, state, log }
    }

    /// Puts a message on the bus that comes from nobody here: from an emitter, or from somebody with bad intentions.
    pub fn inject(&self, message: &Message) {
        let everybody: Vec<_> = self.wire().nodes.keys().cloned().collect();
        let respelled = self.wire().logging.then(|| respelled(message)).flatten();
        let message = respelled.as_ref().unwrap_or(message);
        let at = self.place(message);
        for name in everybody {
            self.send(&name, message, at.clone());
        }
    }

    /// The log has lost entries that a server has not read yet.
    pub fn gap(&self) {
        let inboxes: Vec<_> = self.wire().nodes.values().filter_map(|end| end.inbox.clone()).collect();
        inboxes.iter().for_each(|inbox| inbox.gap(None));
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a message in the log, if it gets one.
    fn place(&self, message: &Message) -> Option<Position> {
        let mut wire = self.wire();
        let durable = matches!(
            message.body,
            Body::Broadcast { request: None, .. }
                | Body::Join { .. }
                | Body::Leave { .. }
                | Body::Disconnect { .. }
        );
        if !wire.logging || !durable {
            return None;
        }
        wire.offset += 1;
        let at = Position { order: wire.offset.into(), offset: format!("{}-0", wire.offset).into() };
        wire.log.push((at.clone(), message.clone()));
        if wire.log.len() > LOG {
            wire.log.remove(0);
        }
        Some(at)
    }

    fn send(&self, to: &str, message: &Message, at: Option<Position>) {
        let mut wire = self.wire();
        let counting = wire.counting;
        let Some(end) = wire.nodes.get_mut(to) else { return };
        if end.dead || end.deaf || end.cut || !end.namespaces.contains(&message.namespace) {
            return;
        }
        let mut message = message.clone();
        if counting && is_answer(&message.body) {
            message.from = None;
        }
        let parcel = Parcel { message, at, ready: Instant::now() + end.delay };
        let copies = if end.twice { 2 } else { 1 };
        end.queue.extend(std::iter::repeat_n(parcel, copies));
        if !std::mem::replace(&mut end.carrying, true) {
            tokio::spawn(carry(self.clone(), to.into()));
        }
    }

    fn end<R>(&self, name: &str, with: impl FnOnce(&mut End) -> R) -> R {
        with(self.wire().nodes.entry(name.into()).or_default())
    }
}

/// As it comes out of a Redis stream: the same, and not always in the same words.
fn respelled(message: &Message) -> Option<Message> {
    let fields = Fields::of(message, false).ok()?;
    let pairs = fields.pairs().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    streams::decode(pairs, &Limits::default()).ok()?
}

/// Brings a server what waits for it, in order.
async fn carry(bus: TestBus, to: Arc<str>) {
    loop {
        let (parcel, inbox) = {
            let mut wire = bus.wire();
            let Some(end) = wire.nodes.get_mut(&to) else { return };
            match (end.queue.pop_front(), &end.inbox) {
                (Some(parcel), Some(inbox)) => (parcel, inbox.clone()),
                _ => {
                    end.carrying = false;
                    return;
                }
            }
        };
        tokio::time::sleep_until(parcel.ready).await;
        match parcel.at {
            Some(at) => inbox.logged(parcel.message, at),
            None => inbox.message(parcel.message),
        }
    }
}

fn is_answer(body: &Body) -> bool {
    matches!(
        body,
        Body::Sockets { .. }
            | Body::Rooms { .. }
            | Body::ServerEventAck { .. }
            | Body::ClientCount { .. }
            | Body::ClientAck { .. }
    )
}

/// Trouble.
impl TestBusNode {
    /// Everything arrives here so much later.
    pub fn delay(&self, delay: Duration) {
        self.bus.end(&self.name, |end| end.delay = delay);
    }

    /// The server is killed: it hears and says nothing more, and is still counted until [`bury`](Self::bury).
    pub fn kill(&self) {
        self.bus.end(&self.name, |end| {
            end.dead = true;
            end.queue.clear();
        });
    }

    /// The others notice that a killed server is gone.
    pub fn bury(&self) {
        self.bus.end(&self.name, |end| end.namespaces.clear());
    }

    /// The bus is down for this server, or up again. What is said meanwhile is lost to it, except for what is logged.
    pub fn cut(&self, cut: bool) {
        self.bus.end(&self.name, |end| end.cut = cut);
        self.state.send_replace(if cut { State::down("cut by the test") } else { State::Up });
    }

    /// Nothing arrives here, and nobody notices.
    pub fn deaf(&self, deaf: bool) {
        self.bus.end(&self.name, |end| end.deaf = deaf);
    }

    /// Everything arrives here twice.
    pub fn twice(&self, twice: bool) {
        self.bus.end(&self.name, |end| end.twice = twice);
    }

    fn ready(&self) -> Result<(), BusError> {
        carried(&self.state)?;
        if self.bus.end(&self.name, |end| end.dead) { Err(BusError::Closed) } else { Ok(()) }
    }
}

fn carried(state: &watch::Sender<State>) -> Result<(), BusError> {
    match &*state.borrow() {
        State::Up => Ok(()),
        State::Closed => Err(BusError::Closed),
        _ => Err(BusError::Down("cut by the test".into())),
    }
}

impl Bus for TestBusNode {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn start(&self, inbox: Inbox) {
        self.bus.end(&self.name, |end| end.inbox = Some(inbox));
    }

    fn open(&self, namespace: &str) -> BusFuture<()> {
        self.bus.end(&self.name, |end| end.namespaces.insert(namespace.into()));
        Box::pin(ready(Ok(())))
    }

    fn close(&self, namespace: &str) {
        self.bus.end(&self.name, |end| end.namespaces.remove(namespace));
    }

    fn publish(&self, message: &Message) -> Result<(), BusError> {
        self.ready()?;
        if matches!(message.body, Body::AllRooms { .. }) && !self.bus.wire().counting {
            return Err(BusError::Unsayable);
        }
        self.bus.inject(message);
        Ok(())
    }

    fn respond(&self, asker: &Asker, message: &Message) -> Result<(), BusError> {
        self.ready()?;
        match &asker.name {
            Some(name) => self.bus.send(name, message, None),
            None => self.bus.inject(message),
        }
        Ok(())
    }

    fn peers(&self, namespace: &str) -> BusFuture<Peers> {
        let peers = self.ready().map(|()| {
            let wire = self.bus.wire();
            let there = wire.nodes.iter().filter(|(_, end)| end.namespaces.contains(namespace));
            if wire.counting {
                Peers::Count(there.count())
            } else {
                Peers::Named(
                    there.map(|(name, _)| Arc::clone(name)).filter(|name| *name != self.name).collect(),
                )
            }
        });
        Box::pin(ready(peers))
    }

    fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    fn log(&self) -> Option<&dyn Log> {
        self.log.as_ref().map(|log| log as &dyn Log)
    }

    fn shutdown(&self) -> BusFuture<()> {
        self.bus.wire().nodes.remove(&self.name);
        self.state.send_replace(State::Closed);
        Box::pin(ready(Ok(())))
    }
}

impl Log for TestLog {
    fn persist(&self, session: Session, window: Duration) -> BusFuture<()> {
        let carried = carried(&self.state);
        if carried.is_ok() {
            let secret = Arc::clone(&session.pid);
            self.bus.wire().sessions.insert(secret, (session, Instant::now() + window));
        }
        Box::pin(ready(carried))
    }

    fn restore(
        &self,
        namespace: &str,
        secret: &str,
        offset: &str,
        most: usize,
    ) -> BusFuture<Option<Restored>> {
        let restored = carried(&self.state).map(|()| self.find(namespace, secret, offset, most));
        Box::pin(async {
            // As over a network: not at once.
            tokio::task::yield_now().await;
            restored
        })
    }
}

impl TestLog {
    fn find(&self, namespace: &str, secret: &str, offset: &str, most: usize) -> Option<Restored> {
        let mut wire = self.bus.wire();
        let (session, expires) = wire.sessions.remove(secret)?;
        let at = wire.log.iter().position(|(at, _)| *at.offset == *offset)?;
        let until = wire.log.last()?.0.clone();
        let missed: Vec<_> = wire
            .log
            .iter()
            .skip(at + 1)
            .filter_map(|(at, message)| match &message.body {
                Body::Broadcast { payload, options, request: None }
                    if *message.namespace == *namespace
                        && !options.flags.volatile
                        && options.mean(&session.rooms) =>
                {
                    Some(Missed { at: at.clone(), payload: payload.clone() })
                }
                _ => None,
            })
            .collect();
        let bytes: usize = missed.iter().map(|missed| missed.payload.size()).sum();
        (expires > Instant::now() && bytes <= most).then_some(Restored { session, missed, until })
    }
}

impl fmt::Debug for TestBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBus").field("nodes", &self.wire().nodes.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TestBusNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBusNode").field("name", &self.name).finish_non_exhaustive()
    }
}
