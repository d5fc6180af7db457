//! Connection state recovery through the log of a bus: by any server, also after the death of the one that was left.
//!
//! With such a log, an event that wants no answer is published first and delivered here when it comes back, in its place
//! among those of all servers. So the offsets that a client sees only grow, and what it missed is exactly what stands
//! behind the last of them. While the bus is down, events go to the clients of this server directly and without an
//! offset, and are not recovered. Volatile events and those for this server alone are not logged; the former are published all the same.
//!
//! One lock for each namespace makes one step of what belongs together: the place of an event and its way into the
//! outboxes; what a client missed and its way into the rooms. Nothing else is done under it.
//!
//! What it must never do: leave a gap. A client that cannot be given all it missed is a new one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use sockeye_engine::{Session, turn};
use sockeye_proto::broadcast::Broadcast;
use sockeye_proto::cluster::streams;
use sockeye_proto::socket::{Encoded, Payload};
use tokio::time::Instant;

use crate::cluster::{self, Body, Message, Options, Position, Restored};
use crate::connect::Inheritance;
use crate::data::Data;
use crate::deliver;
use crate::describe;
use crate::emit::{EmitError, Flags};
use crate::namespace::Place;
use crate::recovery::RecoveryFailure;
use crate::rooms::Audience;
use crate::server::Core;
use crate::socket::{Inner, Member, Socket};
use crate::sync::lock;

/// What this server keeps for it.
pub(crate) struct Logged {
    window: Duration,
    /// Bytes that one client may have missed.
    most: usize,
    /// Sockets that are connected, by their clients' secret.
    pub(crate) live: Mutex<HashMap<Arc<str>, Weak<Inner>>>,
    left: Mutex<Left>,
}

/// What lost sockets leave behind that cannot travel: it waits for those that come back to this server.
#[derive(Default)]
struct Left {
    by_secret: HashMap<Arc<str>, Legacy>,
    queue: VecDeque<(Instant, Arc<str>)>,
}

struct Legacy {
    data: Data,
    since: Option<Arc<str>>,
    expires: Instant,
}

/// How long the bus has to find a session. Its client waits at the door meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Packets of one namespace that may wait behind events on their way through the log.
const MOST_WAITING: usize = 100_000;

/// The log as a namespace of this server sees it.
#[derive(Default)]
pub(crate) struct Space {
    last: Option<Position>,
    /// What was given to the bus and has not come back, in order.
    flights: VecDeque<Flight>,
    /// Sockets that were given more than has come here yet: up to where.
    ahead: Vec<(Arc<str>, u128)>,
    taps: Vec<Weak<Mutex<Tap>>>,
}

enum Flight {
    Event(Message),
    /// A packet that is not logged and must not overtake what is.
    Packet(Socket, Arc<Member>, Encoded, Flags),
}

/// What comes in while a client is on its way back.
#[derive(Default)]
struct Tap {
    came: Vec<(Position, Audience, Arc<Broadcast>)>,
    bytes: usize,
    most: usize,
    broken: bool,
}

/// Sends an event through the log. Gives it back if the bus does not take it.
pub(crate) fn publish(core: &Core, place: &Place, payload: Payload, options: Options) -> Result<(), Payload> {
    let Some(node) = core.cluster.node() else { return Err(payload) };
    let message = node.message(&place.name, Body::Broadcast { payload, options, request: None });
    // Under the lock, so that the flights have the order of the bus.
    let mut space = lock(&place.space);
    match node.publish(&message) {
        Ok(()) => {
            space.flights.push_back(Flight::Event(message));
            Ok(())
        }
        Err(error) => {
            tracing::debug!(%error, namespace = ?place.name, "not logged");
            match message.body {
                Body::Broadcast { payload, .. } => Err(payload),
                _ => unreachable!("it is the broadcast from above"),
            }
        }
    }
}

/// Delivers an event here: one with a place in the log, or one that has none.
pub(crate) fn deliver(
    core: &Core,
    place: &Place,
    audience: &Audience,
    payload: Payload,
    flags: Flags,
    at: Option<&Position>,
) {
    if place.has_outgoing() {
        // Before the lock: what they do may well lead back here.
        deliver::tell_outgoing(place, &place.roll(audience), &payload);
    }
    turn(|| lock(&place.space).send(core, place, audience, payload, flags, at));
}

/// An event of ours came back from the log, or was not written to it.
pub(crate) fn came_back(core: &Core, place: &Place, message: Message, at: Option<&Position>) {
    let Body::Broadcast { payload, options, request: None } = &message.body else { return };
    let (audience, flags) = (cluster::audience(options), cluster::flags(options));
    if flags.volatile {
        // It was delivered when it was published.
        if let Some(at) = at {
            lock(&place.space).last = Some(at.clone());
        }
        return;
    }
    if place.has_outgoing() {
        deliver::tell_outgoing(place, &place.roll(&audience), payload);
    }
    turn(|| {
        let mut space = lock(&place.space);
        space.landed(&message, at.is_some());
        space.send(core, place, &audience, payload.clone(), flags, at);
        space.release();
    });
}

/// What was on its way may have been lost with what the log has lost.
pub(crate) fn gap(place: &Place) {
    turn(|| {
        let mut space = lock(&place.space);
        space.flights.retain(|flight| matches!(flight, Flight::Packet(..)));
        space.release();
    });
}

/// An event for one socket: a broadcast to its own room.
pub(crate) fn direct(
    socket: &Socket,
    member: &Arc<Member>,
    payload: &Payload,
    flags: Flags,
) -> Result<(), EmitError> {
    let core = &socket.server().0;
    let place = &socket.0.namespace.place;
    if !flags.volatile {
        let own = Audience { rooms: smallvec::smallvec![Arc::clone(&socket.0.id)], ..Audience::default() };
        if publish(core, place, payload.clone(), cluster::options(&own, flags)).is_ok() {
            return Ok(());
        }
    }
    // The outermost turn writes when it ends, which must be after the lock: writing may take a while.
    turn(|| {
        let space = lock(&place.space);
        let payload = space.marked(payload.clone());
        let broadcast = Broadcast::new(Arc::clone(&place.name), payload, flags.compress);
        let packet = broadcast.encoded(&member.dialect).map_err(Clone::clone)?;
        socket.put(member, packet.clone(), flags)
    })
}

/// A packet for one socket that is not logged, behind everything that is on its way.
pub(crate) fn behind(
    socket: &Socket,
    member: &Arc<Member>,
    packet: Encoded,
    flags: Flags,
) -> Result<(), EmitError> {
    turn(|| {
        let mut space = lock(&socket.0.namespace.place.space);
        if space.flights.is_empty() {
            return socket.put(member, packet, flags);
        }
        if space.flights.len() >= MOST_WAITING {
            return Err(EmitError::Full);
        }
        space.flights.push_back(Flight::Packet(socket.clone(), Arc::clone(member), packet, flags));
        Ok(())
    })
}

/// A socket is sent away: what was emitted before that and is still on its way goes first, then what `then` sends.
pub(crate) fn farewell(socket: &Socket, member: &Arc<Member>, then: impl FnOnce()) {
    let place = &socket.0.namespace.place;
    turn(|| {
        let mut space = lock(&place.space);
        if !space.flights.is_empty() {
            let rooms = place.rooms_of(socket.id());
            // Whatever comes back later finds it out of its rooms.
            for flight in &space.flights {
                let sent = match flight {
                    Flight::Event(Message { body: Body::Broadcast { payload, options, .. }, .. })
                        if options.mean(&rooms) =>
                    {
                        let event = Broadcast::new(Arc::clone(&place.name), payload.clone(), true);
                        let packet = event.encoded(&member.dialect);
                        packet
                            .is_ok_and(|packet| socket.put(member, packet.clone(), Flags::default()).is_ok())
                    }
                    Flight::Packet(one, _, packet, flags) if one == socket => {
                        socket.put(member, packet.clone(), *flags).is_ok()
                    }
                    _ => continue,
                };
                if !sent {
                    // It is leaving, and cannot be given more.
                    break;
                }
            }
            space.flights.retain(|flight| !matches!(flight, Flight::Packet(one, ..) if one == socket));
        }
        then();
    });
}

impl Space {
    /// An event of ours is not on its way any more.
    fn landed(&mut self, message: &Message, logged: bool) {
        let same = |flight: &Flight| matches!(flight, Flight::Event(event) if event == message);
        let at = self.flights.iter().position(same);
        // It may have been spelled anew on its way. The log keeps our order, and what is given back is as it was, so then
        // it is the first of them.
        let first = || self.flights.iter().position(|flight| matches!(flight, Flight::Event(_)));
        if let Some(at) = at.or_else(|| first().filter(|_| logged)) {
            self.flights.remove(at);
        }
    }

    /// Sends the packets that wait behind nothing.
    fn release(&mut self) {
        while let Some(Flight::Packet(..)) = self.flights.front() {
            if let Some(Flight::Packet(socket, member, packet, flags)) = self.flights.pop_front()
                && let Err(EmitError::Full) = socket.put(&member, packet, flags)
            {
                // Whoever sent it was told that it would go.
                member.session.overflow();
            }
        }
    }

    fn send(
        &mut self,
        core: &Core,
        place: &Place,
        audience: &Audience,
        payload: Payload,
        flags: Flags,
        at: Option<&Position>,
    ) {
        if let Some(at) = at {
            self.last = Some(at.clone());
        }
        let payload = match at {
            Some(at) if !flags.volatile => payload.with_offset(&at.offset),
            _ => self.marked(payload),
        };
        let broadcast = Arc::new(Broadcast::new(Arc::clone(&place.name), payload, flags.compress));
        let mut audience = std::borrow::Cow::Borrowed(audience);
        if let Some(at) = at {
            if !flags.volatile {
                self.tap(at, &audience, &broadcast);
            }
            self.ahead.retain(|(_, until)| *until >= at.order);
            if !self.ahead.is_empty() {
                let ahead = self.ahead.iter().map(|(id, _)| Arc::clone(id));
                audience.to_mut().except.extend(ahead);
            }
        }
        let roll = place.roll(&audience);
        deliver::fan_out(&core.counters, &roll, &broadcast, flags.volatile, |_, _| {});
    }

    /// An event whose last argument the official client would take for an offset gets the one that is true now.
    fn marked(&self, payload: Payload) -> Payload {
        match &self.last {
            Some(last) if payload.text().ends_with("\"]") => payload.with_offset(&last.offset),
            _ => payload,
        }
    }

    fn tap(&mut self, at: &Position, audience: &Audience, broadcast: &Arc<Broadcast>) {
        self.taps.retain(|tap| {
            let Some(tap) = tap.upgrade() else { return false };
            let mut tap = lock(&tap);
            tap.bytes = tap.bytes.saturating_add(broadcast.payload().size()).saturating_add(256);
            if tap.bytes > tap.most {
                tap.broken = true;
                tap.came = Vec::new();
            } else if !tap.broken {
                tap.came.push((at.clone(), audience.clone(), Arc::clone(broadcast)));
            }
            true
        });
    }
}

impl Logged {
    pub(crate) fn new(window: Duration, most: usize) -> Self {
        Self { window, most, live: Mutex::default(), left: Mutex::default() }
    }

    /// Keeps a socket whose connection was lost for whoever it comes back to.
    pub(crate) fn lose(&self, core: &Core, socket: &Socket, secret: &Arc<str>, since: Option<&Arc<str>>) {
        let data = socket.heritage();
        let session = streams::Session {
            sid: Arc::clone(&socket.0.id),
            pid: Arc::clone(secret),
            rooms: socket.0.namespace.place.rooms_of(socket.id()),
            data: describe::data(data.info.as_deref()),
        };
        self.persist(core, session);
        let now = Instant::now();
        let expires = now + self.window;
        let mut left = lock(&self.left);
        while left.queue.front().is_some_and(|(expires, _)| *expires <= now) {
            let Some((expires, secret)) = left.queue.pop_front() else { break };
            if left.by_secret.get(&secret).is_some_and(|legacy| legacy.expires == expires) {
                left.by_secret.remove(&secret);
            }
        }
        left.queue.push_back((expires, Arc::clone(secret)));
        left.by_secret.insert(Arc::clone(secret), Legacy { data, since: since.cloned(), expires });
    }

    /// Takes a session out of the log, with all that its client missed.
    pub(crate) async fn restore(
        &self,
        core: &Arc<Core>,
        place: &Arc<Place>,
        secret: &str,
        offset: Option<&str>,
    ) -> Result<Comeback, RecoveryFailure> {
        let legacy =
            lock(&self.left).by_secret.remove(secret).filter(|legacy| legacy.expires > Instant::now());
        let (data, since) = legacy.map_or_else(Default::default, |legacy| (legacy.data, legacy.since));
        let offset = offset.or(since.as_deref()).ok_or(RecoveryFailure::BadOffset)?;
        let Some(log) = core.cluster.node().and_then(|node| node.bus().log()) else {
            return Err(RecoveryFailure::Unavailable);
        };
        // From here on nothing that comes in is missed: what the log says later is in the tap.
        let tap = Arc::new(Mutex::new(Tap { most: self.most, ..Tap::default() }));
        lock(&place.space).taps.push(Arc::downgrade(&tap));
        let restored = log.restore(&place.name, secret, offset, self.most);
        match tokio::time::timeout(PATIENCE, restored).await {
            Ok(Ok(Some(restored))) => {
                Ok(Comeback { core: Arc::clone(core), restored: Some(restored), tap, data })
            }
            Ok(Ok(None)) => Err(RecoveryFailure::Unknown),
            Ok(Err(error)) => {
                tracing::debug!(%error, "not recovered");
                Err(RecoveryFailure::Unavailable)
            }
            Err(_) => Err(RecoveryFailure::Unavailable),
        }
    }

    fn persist(&self, core: &Core, session: streams::Session) {
        if let Some(log) = core.cluster.node().and_then(|node| node.bus().log()) {
            // Begun by being called; nobody here could do anything about a failure.
            drop(log.persist(session, self.window));
        }
    }
}

/// A session taken out of the log. Goes back when it is dropped before anybody was told.
pub(crate) struct Comeback {
    core: Arc<Core>,
    restored: Option<Restored>,
    tap: Arc<Mutex<Tap>>,
    data: Data,
}

impl Comeback {
    pub(crate) fn legacy(&self) -> Option<Inheritance> {
        let session = &self.restored.as_ref()?.session;
        let rooms = session.rooms.iter().filter(|room| **room != session.sid).cloned().collect();
        let mut data = self.data.clone();
        // Binary, which a Node server may have put there, has no place in what is JSON here.
        if session.data.attachments().is_empty() {
            let value = session.data.text().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            data.info = value.filter(|value| !value.trim_ascii().is_empty()).map(Arc::from);
        }
        Some(Inheritance { pid: Arc::clone(&session.pid), id: Arc::clone(&session.sid), rooms, data })
    }

    /// Its client was refused: the session cannot be taken up again.
    pub(crate) fn spend(mut self) {
        self.restored = None;
    }

    /// Sends a returning client what it missed and lets it in, as one step for everything that is logged.
    pub(crate) fn resume(
        mut self,
        socket: &Socket,
        member: &Arc<Member>,
        session: &Session,
        come_in: impl FnOnce() -> bool,
    ) -> bool {
        let Some(Restored { session: lost, missed, until }) = self.restored.take() else { return false };
        let place = &socket.0.namespace.place;
        let say = |broadcast: &Broadcast| {
            let packet = broadcast.encoded(&member.dialect).ok();
            packet.is_some_and(|packet| session.send(packet.messages()).is_ok())
        };
        turn(|| {
            let mut space = lock(&place.space);
            let tap = std::mem::take(&mut *lock(&self.tap));
            if tap.broken {
                return false;
            }
            let from_log = missed.into_iter().all(|missed| {
                let payload = missed.payload.with_offset(&missed.at.offset);
                say(&Broadcast::new(Arc::clone(&place.name), payload, true))
            });
            let since = tap.came.iter().filter(|(at, audience, _)| {
                let options = cluster::options(audience, Flags::default());
                *at > until && options.mean(&lost.rooms)
            });
            if !from_log || !since.map(|(_, _, broadcast)| broadcast).all(|broadcast| say(broadcast)) {
                return false;
            }
            if space.last.as_ref().is_none_or(|last| *last < until) {
                space.ahead.push((Arc::clone(&socket.0.id), until.order));
            }
            come_in()
        })
    }
}

impl Drop for Comeback {
    fn drop(&mut self) {
        if let (Some(restored), Some(logged)) = (self.restored.take(), &self.core.logged) {
            logged.persist(&self.core, restored.session);
        }
    }
}

/// From where on a socket that was never sent anything would be recovered. Told when it comes in.
pub(crate) fn note_beginning(socket: &Socket, since: &OnceLock<Arc<str>>) {
    if let Some(last) = &lock(&socket.0.namespace.place.space).last {
        // Once, as it comes in.
        let _ = since.set(Arc::clone(&last.offset));
    }
}
