//! [`Node`]: one server's part in a cluster.
//!
//! Thin: what is asked and answered is kept by the [`Ledger`], what is done with it by the [`Local`] server. Here the
//! two are joined to a bus and to a clock.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sockeye_proto::cluster::{Body, Message, Options, Refused, SocketDescription};
use sockeye_proto::socket::Payload;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::bus::{Asker, Bus, BusFuture, Heartbeat, Peers};
use crate::error::{BusError, ClusterError, Incomplete, Missing};
use crate::inbox::{Inbox, Position, Receive};
use crate::ledger::{Gathered, Kind, Ledger, Reply, Taken};
use crate::local::{Answering, Local};
use crate::name;
use crate::state::State;

/// How often a question that waits looks whether those it waits for are still there.
const LOOK: Duration = Duration::from_secs(1);

/// What "for ever" becomes where it is added to a moment.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// One server's part in a cluster: asks the others and gathers what they answer, and answers them.
pub struct Node {
    bus: Arc<dyn Bus>,
    name: Arc<str>,
    local: Arc<dyn Local>,
    ledger: Mutex<Ledger<Arc<Notify>>>,
    heartbeat: Option<Heartbeat>,
    born: Instant,
    counters: Counters,
    unsent: Arc<AtomicU64>,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    received: AtomicU64,
    unreadable: AtomicU64,
    strays: AtomicU64,
    gaps: AtomicU64,
}

/// What a node has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Messages that the bus took.
    pub published: u64,
    /// Messages and answers that the bus did not take.
    pub unsent: u64,
    /// Messages of others.
    pub received: u64,
    /// Things on the bus that nobody could read.
    pub unreadable: u64,
    /// Answers to nothing that was asked, repeated, or too large.
    pub strays: u64,
    /// Times that a log had gone on without us.
    pub gaps: u64,
}

impl Node {
    /// Joins a server to a bus.
    pub fn start(bus: Arc<dyn Bus>, local: Arc<dyn Local>) -> Arc<Self> {
        let node = Arc::new(Self {
            name: bus.name(),
            heartbeat: bus.heartbeat(),
            bus,
            local,
            ledger: Mutex::new(Ledger::new()),
            born: Instant::now(),
            counters: Counters::default(),
            unsent: Arc::default(),
        });
        let receiver: Weak<Self> = Arc::downgrade(&node);
        node.bus.start(Inbox::new(receiver));
        node
    }

    /// This server's name on the bus.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The bus.
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    /// A namespace exists from now on. See [`Bus::open`].
    pub fn open(&self, namespace: &Arc<str>) -> BusFuture<()> {
        self.ledger().opened(namespace);
        self.bus.open(namespace)
    }

    /// A namespace is gone.
    pub fn close(&self, namespace: &str) {
        self.bus.close(namespace);
        self.ledger().closed(namespace);
    }

    /// A message of this server, to be published.
    pub fn message(&self, namespace: &Arc<str>, body: Body) -> Message {
        Message { from: Some(Arc::clone(&self.name)), namespace: Arc::clone(namespace), body }
    }

    /// Tells all others.
    ///
    /// # Errors
    /// When the bus does not take it.
    pub fn publish(&self, message: &Message) -> Result<(), BusError> {
        let published = self.bus.publish(message);
        if published.is_ok() && self.heartbeat.is_some() {
            self.ledger().spoke(self.born.elapsed(), &message.namespace);
        }
        count(if published.is_ok() { &self.counters.published } else { &self.unsent });
        published
    }

    /// How many servers have this namespace, this one included.
    ///
    /// # Errors
    /// When the bus does not know.
    pub async fn count(&self, namespace: &str) -> Result<usize, BusError> {
        Ok(self.peers(namespace).await?.others() + 1)
    }

    /// Descriptions of sockets of the others.
    ///
    /// # Errors
    /// When not all have answered in time. What came is in the error.
    pub async fn fetch(
        &self,
        namespace: &Arc<str>,
        options: Options,
        timeout: Duration,
    ) -> Result<Vec<SocketDescription>, Incomplete<Vec<SocketDescription>>> {
        let ask = |request| Body::FetchSockets { options, request };
        let sockets = |reply| match reply {
            Reply::Sockets(sockets) => sockets,
            _ => Vec::new(),
        };
        self.gather(namespace, Kind::Sockets, timeout, ask, sockets).await
    }

    /// The rooms of the others, each once.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn rooms(
        &self,
        namespace: &Arc<str>,
        timeout: Duration,
    ) -> Result<HashSet<Arc<str>>, Incomplete<HashSet<Arc<str>>>> {
        let rooms = |reply| match reply {
            Reply::Rooms(rooms) => rooms,
            _ => Vec::new(),
        };
        let ask = |request| Body::AllRooms { request };
        match self.gather(namespace, Kind::Rooms, timeout, ask, rooms).await {
            // Only one dialect has words for it; all can describe sockets.
            Err(Incomplete { error: ClusterError::Bus(BusError::Unsayable), .. }) => {}
            Ok(rooms) => return Ok(rooms.into_iter().collect()),
            Err(error) => return Err(error.map(|rooms| rooms.into_iter().collect())),
        }
        let of =
            |sockets: Vec<SocketDescription>| sockets.into_iter().flat_map(|socket| socket.rooms).collect();
        match self.fetch(namespace, Options::default(), timeout).await {
            Ok(sockets) => Ok(of(sockets)),
            Err(error) => Err(error.map(of)),
        }
    }

    /// What the others' listeners answer to an event for servers: one answer each, without arguments where nobody
    /// listens.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn call(
        &self,
        namespace: &Arc<str>,
        payload: Payload,
        timeout: Duration,
    ) -> Result<Vec<Payload>, Incomplete<Vec<Payload>>> {
        let ask = |request| Body::ServerEvent { payload, request: Some(request) };
        let answers = |reply| match reply {
            Reply::ServerEvent(payload) => vec![payload],
            _ => Vec::new(),
        };
        self.gather(namespace, Kind::ServerEvent, timeout, ask, answers).await
    }

    /// Asks clients of the others. The event is sent when this returns.
    ///
    /// # Errors
    /// When the bus does not take it. Nobody was asked then.
    pub fn ask(
        self: &Arc<Self>,
        namespace: &Arc<str>,
        payload: Payload,
        options: Options,
    ) -> Result<Asked, BusError> {
        let single = options.flags.expect_single_response;
        let question = self.question(namespace, Kind::Clients { single });
        let request = Some(Arc::clone(&question.id));
        self.publish(&self.message(namespace, Body::Broadcast { payload, options, request }))?;
        Ok(question)
    }

    /// Whether the bus is up.
    pub fn state(&self) -> watch::Receiver<State> {
        self.bus.state()
    }

    /// What has been counted.
    pub fn stats(&self) -> NodeStats {
        let Counters { published, received, unreadable, strays, gaps } = &self.counters;
        NodeStats {
            published: published.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            received: received.load(Relaxed),
            unreadable: unreadable.load(Relaxed),
            strays: strays.load(Relaxed),
            gaps: gaps.load(Relaxed),
        }
    }

    /// Leaves the cluster.
    ///
    /// # Errors
    /// When the bus could not send all it had taken.
    pub async fn shutdown(&self) -> Result<(), BusError> {
        if self.heartbeat.is_some() {
            let namespaces = self.ledger().quiet(Duration::MAX, Duration::ZERO);
            namespaces.iter().for_each(|namespace| self.mention(namespace, Body::Close));
        }
        self.bus.shutdown().await
    }

    async fn gather<T>(
        &self,
        namespace: &Arc<str>,
        kind: Kind,
        timeout: Duration,
        ask: impl FnOnce(Arc<str>) -> Body,
        each: impl FnMut(Reply) -> Vec<T>,
    ) -> Result<Vec<T>, Incomplete<Vec<T>>> {
        let until = Instant::now() + timeout.min(FOR_EVER);
        let id: Arc<str> = name::hex().into();
        let news = self.open_question(namespace, kind, &id);
        let _entry = Entry { node: self, id: &id };
        if let Err(error) = self.publish(&self.message(namespace, ask(Arc::clone(&id)))) {
            return Err(Incomplete::new(Vec::new(), error));
        }
        let waited = tokio::time::timeout_at(until, self.wait(namespace, &id, &news)).await;
        let Some(Gathered { replies, missing, .. }) = self.ledger().close(&id) else { return Ok(Vec::new()) };
        let came = replies.into_iter().flat_map(each).collect();
        match waited {
            Ok(Err(error)) => Err(Incomplete::new(came, error)),
            Err(_) if missing.is_empty() => {
                Err(Incomplete::new(came, BusError::other("who else is there was not known in time")))
            }
            _ if missing.is_empty() => Ok(came),
            _ => Err(Incomplete::new(came, ClusterError::Silent(missing))),
        }
    }

    fn question(self: &Arc<Self>, namespace: &Arc<str>, kind: Kind) -> Asked {
        let id: Arc<str> = name::hex().into();
        let news = self.open_question(namespace, kind, &id);
        Asked { node: Arc::clone(self), namespace: Arc::clone(namespace), id, news }
    }

    fn open_question(&self, namespace: &Arc<str>, kind: Kind, id: &Arc<str>) -> Arc<Notify> {
        let news = Arc::new(Notify::new());
        self.ledger().ask(self.born.elapsed(), Arc::clone(id), namespace, kind, Arc::clone(&news));
        news
    }

    /// Until all have answered, or those who have not are gone.
    async fn wait(&self, namespace: &str, id: &str, news: &Notify) -> Result<(), BusError> {
        // Asked after the question went out: whoever came meanwhile is waited for, rather than left out unnoticed.
        let peers = self.peers(namespace).await?;
        self.ledger().expect(id, peers);
        loop {
            let look = Instant::now() + LOOK;
            loop {
                if self.ledger().is_done(id) {
                    return Ok(());
                }
                if tokio::time::timeout_at(look, news.notified()).await.is_err() {
                    break;
                }
            }
            // While the bus is down nobody is gone for that.
            if let Ok(peers) = self.peers(namespace).await {
                self.ledger().expect(id, peers);
            }
        }
    }

    async fn peers(&self, namespace: &str) -> Result<Peers, BusError> {
        let Some(heartbeat) = self.heartbeat else { return self.bus.peers(namespace).await };
        let since = self.born.elapsed().saturating_sub(heartbeat.timeout);
        Ok(Peers::Named(self.ledger().alive(namespace, since)))
    }

    /// Tells a namespace something that nobody misses.
    fn mention(&self, namespace: &str, body: Body) {
        let message = self.message(&namespace.into(), body);
        if let Err(error) = self.publish(&message) {
            tracing::debug!(%error, namespace, "no heartbeat");
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<Arc<Notify>>> {
        // Nothing in the ledger can panic half-way.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, from: Option<&Arc<str>>, request: &str, reply: Reply) {
        let taken = self.ledger().reply(from, request, reply);
        match taken {
            Taken::Yes(news) => news.notify_one(),
            Taken::Again | Taken::Stray | Taken::TooMuch => count(&self.counters.strays),
        }
    }

    /// Somebody else says something; in a log, at this place.
    fn hear(&self, message: Message, asker: Asker, at: Option<Position>) {
        count(&self.counters.received);
        let Message { from, namespace, body } = message;
        if let Some(name) = &from {
            self.ledger().heard(self.born.elapsed(), &namespace, name);
        }
        let local = &self.local;
        let respond = |request: &Arc<str>, body: Body| {
            let (bus, unsent) = (Arc::clone(&self.bus), Arc::clone(&self.unsent));
            let (namespace, request, asker) = (Arc::clone(&namespace), Arc::clone(request), asker.clone());
            Answering { bus, unsent, namespace, asker, request }.send(body);
        };
        match body {
            // Whoever is new has to hear of us at once.
            Body::InitialHeartbeat if self.heartbeat.is_some() => {
                self.mention(&namespace, Body::Heartbeat);
            }
            Body::InitialHeartbeat => {}
            Body::Heartbeat => {}
            Body::Close => {
                if let Some(name) = &from {
                    self.ledger().left(&namespace, name);
                }
            }
            Body::Broadcast { payload, options, request: None } => {
                local.broadcast(&namespace, payload, &options, at);
            }
            Body::Broadcast { payload, options, request: Some(request) } => {
                let (bus, unsent) = (Arc::clone(&self.bus), Arc::clone(&self.unsent));
                let answers = Answering { bus, unsent, namespace: Arc::clone(&namespace), asker, request };
                local.ask(&namespace, payload, &options, answers);
            }
            Body::Join { options, rooms } => local.join(&namespace, &options, &rooms),
            Body::Leave { options, rooms } => local.leave(&namespace, &options, &rooms),
            Body::Disconnect { options, close } => local.disconnect(&namespace, &options, close),
            Body::FetchSockets { options, request } => {
                let sockets = local.sockets(&namespace, &options);
                respond(&request, Body::Sockets { request: Arc::clone(&request), sockets });
            }
            Body::ServerEvent { payload, request } => {
                let answer = local.server_event(&namespace, &payload);
                if let Some(request) = request {
                    // Also when nobody listens here: whoever asks would wait for nothing.
                    let answer = answer.unwrap_or_else(nothing);
                    respond(&request, Body::ServerEventAck { request: Arc::clone(&request), answer });
                }
            }
            Body::AllRooms { request } => {
                let rooms = local.rooms(&namespace);
                respond(&request, Body::Rooms { request: Arc::clone(&request), rooms });
            }
            Body::SocketIds { request, rooms } => {
                let ids = local.ids(&namespace, &Options { rooms, ..Options::default() });
                respond(&request, Body::Ids { request: Arc::clone(&request), ids });
            }
            Body::JoinOne { request, socket, room } => {
                if self.done_here(&namespace, &socket, |options| local.join(&namespace, options, &[room])) {
                    respond(&request, Body::Done { request: Arc::clone(&request) });
                }
            }
            Body::LeaveOne { request, socket, room } => {
                if self.done_here(&namespace, &socket, |options| local.leave(&namespace, options, &[room])) {
                    respond(&request, Body::Done { request: Arc::clone(&request) });
                }
            }
            Body::DisconnectOne { request, socket, close } => {
                if self.done_here(&namespace, &socket, |options| local.disconnect(&namespace, options, close))
                {
                    respond(&request, Body::Done { request: Arc::clone(&request) });
                }
            }
            Body::RoomsOf { request, socket } => {
                let options = Options { rooms: vec![socket], ..Options::default() };
                if let Some(found) = local.sockets(&namespace, &options).into_iter().next() {
                    respond(&request, Body::Rooms { request: Arc::clone(&request), rooms: found.rooms });
                }
            }
            Body::Custom { request, .. } => {
                respond(&request, Body::CustomAnswer { request: Arc::clone(&request), data: nothing() });
            }
            Body::Sockets { request, sockets } => {
                self.answer(from.as_ref(), &request, Reply::Sockets(sockets));
            }
            Body::Rooms { request, rooms } => self.answer(from.as_ref(), &request, Reply::Rooms(rooms)),
            Body::ServerEventAck { request, answer } => {
                self.answer(from.as_ref(), &request, Reply::ServerEvent(answer));
            }
            Body::ClientCount { request, count } => {
                self.answer(from.as_ref(), &request, Reply::Count(count));
            }
            Body::ClientAck { request, answer } => self.answer(from.as_ref(), &request, Reply::Ack(answer)),
            // We ask nothing that is answered with these.
            _ => count(&self.counters.strays),
        }
    }

    /// True if it is of this server itself.
    fn is_echo(&self, message: &Message) -> bool {
        message.from.as_ref().is_some_and(|from| *from == self.name)
    }

    fn done_here(&self, namespace: &Arc<str>, socket: &Arc<str>, then: impl FnOnce(&Options)) -> bool {
        let options = Options { rooms: vec![Arc::clone(socket)], ..Options::default() };
        let here = !self.local.ids(namespace, &options).is_empty();
        if here {
            then(&options);
        }
        here
    }
}

impl Receive for Node {
    fn message(&self, message: Message, asker: Asker) {
        if !self.is_echo(&message) {
            self.hear(message, asker, None);
        }
    }

    fn logged(&self, message: Message, at: Option<Position>) {
        if at.is_none() {
            count(&self.unsent);
        }
        if at.is_none() || self.is_echo(&message) {
            return self.local.own(message, at);
        }
        let asker = Asker { name: message.from.clone(), mark: 0 };
        self.hear(message, asker, at);
    }

    fn refused(&self, why: &Refused) {
        count(&self.counters.unreadable);
        tracing::debug!(%why, "skipped something on the bus");
    }

    fn gap(&self, namespace: Option<&str>) {
        count(&self.counters.gaps);
        self.local.gap(namespace);
    }

    fn opened(&self, namespace: &str) {
        if self.heartbeat.is_some() {
            self.mention(namespace, Body::InitialHeartbeat);
        }
    }

    fn tick(&self) {
        let Some(heartbeat) = self.heartbeat else { return };
        let quiet = self.ledger().quiet(self.born.elapsed(), heartbeat.interval);
        for namespace in quiet {
            self.mention(&namespace, Body::Heartbeat);
        }
    }

    fn has_room(&self, namespace: &str, room: &str) -> bool {
        self.local.has_room(namespace, room)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A question to clients that is on its way. Dropping it forgets it, and answers that come later are strays.
pub struct Asked {
    node: Arc<Node>,
    namespace: Arc<str>,
    id: Arc<str>,
    news: Arc<Notify>,
}

/// What other servers' clients answered.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientAnswers {
    /// The arguments of their acknowledgements, in order of arrival.
    pub answers: Vec<Payload>,
    /// How many were asked and did not answer, as far as their servers told.
    pub silent: u64,
    /// Servers that did not even tell how many.
    pub missing: Missing,
}

impl Asked {
    /// Until all have answered, or those who have not are gone.
    ///
    /// # Errors
    /// When the bus cannot tell who is there.
    pub async fn all(&self) -> Result<(), BusError> {
        self.node.wait(&self.namespace, &self.id, &self.news).await
    }

    /// What came so far. Whatever comes later is nobody's.
    pub fn close(self) -> ClientAnswers {
        let Some(gathered) = self.node.ledger().close(&self.id) else { return ClientAnswers::default() };
        let Gathered { replies, missing, silent } = gathered;
        let answers = replies.into_iter().filter_map(|reply| match reply {
            Reply::Ack(answer) => Some(answer),
            _ => None,
        });
        ClientAnswers { answers: answers.collect(), silent, missing }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        drop(self.node.ledger().close(&self.id));
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An open question that must not outlive its asker.
struct Entry<'n> {
    node: &'n Node,
    id: &'n str,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        drop(self.node.ledger().close(self.id));
    }
}

/// An answer without arguments.
fn nothing() -> Payload {
    Payload::args(&()).expect("nothing can always be written")
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
