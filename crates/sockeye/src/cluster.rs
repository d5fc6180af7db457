//! Joining servers to a cluster.
//!
//! Give the builder a [`Bus`] ([`adapter`](crate::ServerBuilder::adapter)), such as one of the crate `sockeye-redis`, and
//! everything that is said to a namespace, a room or a socket reaches it on whichever server it is. What this server
//! does for its own clients never waits for the bus and goes on while the bus is down.
//!
//! In here is what the hall has of it: its [`Node`], and the questions that go to sockets of this server.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use sockeye_proto::broadcast::Broadcast;
use sockeye_proto::socket::Payload;
use tokio::sync::watch;

pub use sockeye_cluster::*;

use crate::ack::{Collector, Waiter};
use crate::deliver;
use crate::emit;
use crate::local::Here;
use crate::namespace::Place;
use crate::rooms::{Audience, RoomEvent};
use crate::server::Core;
use crate::sync::lock;

/// This server's part in a cluster, if it is in one.
pub(crate) struct Membership {
    bus: Option<Arc<dyn Bus>>,
    node: OnceLock<Arc<Node>>,
    open: Mutex<HashMap<Arc<str>, Opening>>,
    /// Whether headers, query and auth of clients may leave this process.
    share_handshake: bool,
}

/// A namespace that the bus knows of.
struct Opening {
    /// How often it was opened more than closed: a child may come back before its end has been told.
    times: usize,
    /// Until the bus has subscribed. Whoever waits for it first drives it.
    ready: Arc<tokio::sync::Mutex<Option<BusFuture<()>>>>,
}

/// How long other servers have for questions about sockets and for events of servers, unless told otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a client waits at the door of a namespace that the bus has not subscribed to yet.
const OPENING: Duration = Duration::from_secs(2);

impl Membership {
    pub(crate) fn new(bus: Option<Arc<dyn Bus>>, share_handshake: bool) -> Self {
        Self { bus, node: OnceLock::new(), open: Mutex::default(), share_handshake }
    }

    /// Joins, once there is a server to join.
    pub(crate) fn start(&self, core: &Arc<Core>) {
        if let Some(bus) = &self.bus {
            let here = Arc::new(Here::new(Arc::downgrade(core)));
            // Once, by the builder.
            let _ = self.node.set(Node::start(Arc::clone(bus), here));
        }
    }

    /// The node. `None` if this server is alone.
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }

    pub(crate) fn shares_handshakes(&self) -> bool {
        self.share_handshake
    }

    /// Who wants to hear of rooms that get their first member or lose their last.
    pub(crate) fn room_watcher(&self) -> Option<Arc<dyn Bus>> {
        self.bus.as_ref().filter(|bus| bus.wants_rooms()).cloned()
    }

    pub(crate) fn namespace_opened(&self, name: &Arc<str>) {
        let Some(node) = self.node() else { return };
        let mut open = lock(&self.open);
        if let Some(opening) = open.get_mut(name) {
            opening.times += 1;
            return;
        }
        // Under the lock, so that the bus hears of beginnings and ends in the order in which they were.
        let ready = Arc::new(tokio::sync::Mutex::new(Some(node.open(name))));
        open.insert(Arc::clone(name), Opening { times: 1, ready });
    }

    pub(crate) fn namespace_closed(&self, name: &str) {
        let Some(node) = self.node() else { return };
        let mut open = lock(&self.open);
        let Some(opening) = open.get_mut(name) else { return };
        opening.times -= 1;
        if opening.times == 0 {
            open.remove(name);
            node.close(name);
        }
    }

    /// Until a namespace is subscribed to, so that nobody in it misses what other servers say. Not for long: a bus that
    /// is down keeps nobody out.
    pub(crate) async fn opened(&self, name: &str) {
        if self.bus.is_none() {
            return;
        }
        let Some(ready) = lock(&self.open).get(name).map(|opening| Arc::clone(&opening.ready)) else {
            return;
        };
        let subscribed = async {
            let mut ready = ready.lock().await;
            if let Some(opening) = ready.as_mut() {
                if let Err(error) = opening.await {
                    tracing::warn!(%error, namespace = ?name, "not subscribed");
                }
                *ready = None;
            }
        };
        if tokio::time::timeout(OPENING, subscribed).await.is_err() {
            tracing::debug!(namespace = ?name, "not subscribed yet");
        }
    }

    pub(crate) async fn shutdown(&self) {
        let Some(node) = self.node() else { return };
        if let Err(error) = node.shutdown().await {
            tracing::warn!(%error, "the bus did not shut down");
        }
    }
}

/// Tells the log, and `listeners`, whenever the state of the bus changes. Holds no handle of the server.
pub(crate) async fn watch_state(mut state: watch::Receiver<State>, tell: impl Fn(&State)) {
    loop {
        let now = state.borrow_and_update().clone();
        match &now {
            State::Down { cause, .. } => tracing::warn!(%cause, "the bus is down"),
            State::Up => tracing::info!("the bus is up"),
            _ => {}
        }
        tell(&now);
        if now == State::Closed || state.changed().await.is_err() {
            return;
        }
    }
}

/// What of a room's events a bus wants to know.
pub(crate) fn room_change(event: &RoomEvent) -> Option<RoomChange> {
    match event {
        RoomEvent::Created { room } => Some(RoomChange::Opened(Arc::clone(room))),
        RoomEvent::Deleted { room } => Some(RoomChange::Closed(Arc::clone(room))),
        _ => None,
    }
}

/// Whom something is for, in the words of the cluster.
pub(crate) fn options(audience: &Audience, flags: emit::Flags) -> Options {
    let flags =
        Flags { volatile: flags.volatile, compress: (!flags.compress).then_some(false), ..Flags::default() };
    Options { rooms: audience.rooms.to_vec(), except: audience.except.to_vec(), flags }
}

/// The same, the other way.
pub(crate) fn audience(options: &Options) -> Audience {
    // Rooms come from elsewhere: said twice, a room must not be looked at twice.
    fn distinct(rooms: &[Arc<str>]) -> smallvec::SmallVec<[Arc<str>; 1]> {
        match rooms {
            [] | [_] => rooms.iter().cloned().collect(),
            _ => {
                let mut seen = HashSet::with_capacity(rooms.len());
                rooms.iter().filter(|room| seen.insert(&***room)).cloned().collect()
            }
        }
    }
    Audience { rooms: distinct(&options.rooms), except: distinct(&options.except) }
}

/// How something is to be delivered.
pub(crate) fn flags(options: &Options) -> emit::Flags {
    emit::Flags { volatile: options.flags.volatile, compress: options.flags.compress.unwrap_or(true) }
}

/// Sends an event that wants answers to the audience on this server. `expect` hears how many they are before any of
/// them can answer.
pub(crate) fn ask_local(
    core: &Arc<Core>,
    place: &Arc<Place>,
    audience: &Audience,
    (payload, compress): (Payload, bool),
    collector: Arc<dyn Collector>,
    expect: impl FnOnce(usize),
) -> AskedSockets {
    let id = place.next_ack();
    let roll = place.roll(audience);
    deliver::tell_outgoing(place, &roll, &payload);
    let mut asked = Vec::with_capacity(roll.at_most());
    // Everybody waits before anybody can answer.
    roll.for_each(|member| {
        if let Some(socket) = member.socket.upgrade()
            && socket.expect_ack(id, Waiter::Many(Arc::clone(&collector)))
        {
            asked.push(socket);
        }
    });
    expect(asked.len());
    let broadcast = Broadcast::asking(Arc::clone(&place.name), payload, compress, id);
    deliver::fan_out(&core.counters, &roll, &broadcast, false, |_, _| {});
    AskedSockets {
        id,
        asked: asked.iter().map(|socket| (Arc::clone(&socket.id), Arc::downgrade(socket))).collect(),
    }
}

/// The sockets that were asked; forgets their debts when dropped.
pub(crate) struct AskedSockets {
    id: u64,
    pub(crate) asked: Vec<(Arc<str>, Weak<crate::socket::Inner>)>,
}

impl Drop for AskedSockets {
    fn drop(&mut self) {
        for (_, socket) in &self.asked {
            if let Some(socket) = socket.upgrade() {
                socket.forget_ack(self.id);
            }
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("node", &self.node()).finish_non_exhaustive()
    }
}
