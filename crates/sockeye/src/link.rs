//! One session's end in the hall: which sockets it has, and where its packets go.
//!
//! Owned by the session's task, so nothing here needs a lock. Events start in the order in which they arrive, because
//! they are started right here; what comes for a namespace whose CONNECT has no verdict yet waits behind it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use smallvec::SmallVec;
use sockeye_engine::{
    Application, Flow, Handshake, Incoming, Link, Protocol, Reason, Refused, SendError, Session, Transport,
    turn,
};
use sockeye_proto::engine::pairs;
use sockeye_proto::socket::{
    Arguments, Body, Decoder, Packet, Protocol as Dialects, Violation, connected, connection_refused,
    disconnected,
};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::ack::AckSender;
use crate::connect::{self, Newcomer, Returning, Taken, Verdict, Wish};
use crate::dispatch;
use crate::gate;
use crate::logged;
use crate::rate::Excess;
use crate::recovery::Given;
use crate::run::{self, Ties};
use crate::server::Core;
use crate::socket::{Member, Socket};
use crate::stats::count;
use crate::sync::lock;
use sockeye_proto::event::Refusal;

/// What the engine knows of the hall.
pub(crate) struct Hall {
    /// Weak, because the server holds the engine; set as soon as there is a server.
    pub(crate) core: OnceLock<Weak<Core>>,
}

impl Application for Hall {
    type Link = Visitor;

    fn open(&self, session: &Session, handshake: &Arc<Handshake>) -> Visitor {
        let Some(core) = self.core.get().and_then(Weak::upgrade) else {
            session.abort(Reason::ServerShuttingDown);
            return Visitor(Box::new(None));
        };
        core.remember_runtime();
        Visitor(Box::new(Some(Desk::new(core, session, handshake))))
    }

    fn refused(&self, request: &Parts, refused: &Refused) {
        if let Some(core) = self.core.get().and_then(Weak::upgrade) {
            for listener in &core.config.on_refused {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| listener(request, refused))) {
                    core.panicked("on_connection_error", &*panic);
                }
            }
        }
    }
}

/// A session's link; empty when the server is gone already. Boxed around the option, so that the engine's own option
/// around this costs nothing.
pub(crate) struct Visitor(Box<Option<Desk>>);

/// What a session has in the hall.
pub(crate) struct Desk {
    core: Arc<Core>,
    session: Session,
    handshake: Arc<Handshake>,
    decoder: Decoder,
    seats: SmallVec<[Seat; 1]>,
    /// What its sockets have in common.
    ties: Arc<Ties>,
    /// When a namespace must have been joined.
    join_by: Option<Instant>,
    /// When an unfinished packet must be complete.
    finish_by: Option<Instant>,
}

/// One namespace of a session.
enum Seat {
    Joined(Socket),
    Joining(Box<Joining>),
    /// We sent its socket away; the client may not have heard of it yet.
    Left(Arc<str>),
}

/// A CONNECT without a verdict.
struct Joining {
    name: String,
    slot: Arc<Mutex<Option<Verdict>>>,
    task: Option<AbortHandle>,
    give_up: Instant,
    /// What came for the namespace meanwhile.
    waiting: VecDeque<Packet<'static>>,
    /// How much that is.
    bytes: usize,
    core: Arc<Core>,
}

impl Drop for Joining {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.core.counters.connecting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many bytes may wait for a verdict before the session stops reading.
const WAITING_BYTES: usize = 1 << 20;

/// How long an unfinished packet may take.
const PACKET_PATIENCE: Duration = Duration::from_secs(30);

impl Link for Visitor {
    fn received(&mut self, message: Incoming<'_>) -> Flow {
        match &mut *self.0 {
            Some(desk) => desk.received(message),
            None => Flow::Close(Reason::ServerShuttingDown),
        }
    }

    fn woken(&mut self) -> Flow {
        match &mut *self.0 {
            Some(desk) => desk.woken(),
            None => Flow::Continue,
        }
    }

    fn timer(&mut self) -> Flow {
        match &mut *self.0 {
            Some(desk) => desk.timer(),
            None => Flow::Continue,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.as_ref().as_ref().and_then(Desk::deadline)
    }

    fn upgraded(&mut self, transport: Transport) {
        if let Some(desk) = &*self.0 {
            desk.upgraded(transport);
        }
    }

    fn closed(self, reason: &Reason) {
        if let Some(desk) = *self.0 {
            desk.closed(reason);
        }
    }
}

impl Desk {
    fn new(core: Arc<Core>, session: &Session, handshake: &Arc<Handshake>) -> Self {
        let protocol = match session.protocol() {
            Protocol::V3 => Dialects::V4,
            Protocol::V4 => Dialects::V5,
        };
        let decoder = Decoder::choose(&core.config.parser, protocol, Arc::clone(&core.config.limits));
        let join_by = Instant::now() + core.config.connect_timeout;
        let mut desk = Self {
            core,
            session: session.clone(),
            handshake: Arc::clone(handshake),
            decoder,
            seats: SmallVec::new(),
            ties: Arc::default(),
            join_by: Some(join_by),
            finish_by: None,
        };
        if session.protocol() == Protocol::V3 {
            // These clients never say it: the main namespace is joined by coming here.
            // Its only outcome that is not "go on" would need packets that cannot have come yet.
            let _ = desk.connect("/".to_owned(), no_auth());
        }
        desk
    }

    fn received(&mut self, message: Incoming<'_>) -> Flow {
        let flow = match message {
            Incoming::Text(text) => match self.decoder.text(&text) {
                Ok(packet) => self.decoded(packet),
                Err(violation) => self.violated(violation),
            },
            // By value: what is owned already becomes the attachment without a copy.
            Incoming::Binary(bytes) => match self.decoder.binary(bytes) {
                Ok(packet) => self.decoded(packet),
                Err(violation) => self.violated(violation),
            },
        };
        match flow {
            Flow::Continue => self.flow(),
            other => other,
        }
    }

    fn decoded(&mut self, packet: Option<Packet<'_>>) -> Flow {
        let Some(packet) = packet else {
            // The age of the packet, not of its last part.
            self.finish_by.get_or_insert_with(|| Instant::now() + PACKET_PATIENCE);
            return Flow::Continue;
        };
        self.finish_by = None;
        self.packet(packet)
    }

    fn violated(&mut self, violation: Violation) -> Flow {
        tracing::debug!(%violation, "undecodable packet");
        self.out_of_place()
    }

    /// The client broke the rules: the session ends, and says nothing more.
    fn out_of_place(&mut self) -> Flow {
        count(&self.core.counters.violations);
        Flow::Close(Reason::ForcedClose)
    }

    fn seat(&self, name: &str) -> Option<usize> {
        self.seats.iter().position(|seat| match seat {
            Seat::Joined(socket) => socket.namespace().name() == name,
            Seat::Joining(joining) => joining.name == name,
            Seat::Left(left) => **left == *name,
        })
    }

    fn packet(&mut self, packet: Packet<'_>) -> Flow {
        let seat = self.seat(&packet.namespace);
        if let Body::Connect { auth, query } = packet.body {
            if let Some(at) = seat {
                // One socket per namespace and session, pending or live.
                let free = match &self.seats[at] {
                    Seat::Joined(socket) => !socket.is_connected(),
                    Seat::Joining(_) => false,
                    Seat::Left(_) => true,
                };
                if !free {
                    return self.out_of_place();
                }
                self.seats.swap_remove(at);
            }
            let auth = match (auth, query) {
                (Some(auth), _) if auth != "{}" => Arc::from(&*auth),
                (None, Some(query)) => query_as_json(&query).into(),
                _ => no_auth(),
            };
            let name = packet.namespace.into_owned();
            if self.seats.len() >= self.core.config.max_namespaces {
                self.refuse(&name, "Invalid namespace", None);
                return Flow::Continue;
            }
            return self.connect(name, auth);
        }
        if let Body::InvalidNamespace = packet.body {
            self.refuse(&packet.namespace, "Invalid namespace", None);
            return Flow::Continue;
        }
        let Some(at) = seat else { return self.out_of_place() };
        if let (Body::Event { id, name, args }, Seat::Joined(socket)) = (&packet.body, &self.seats[at]) {
            // What nearly all packets are: no handle is made for it.
            self.event(socket, *id, name, args);
            return Flow::Continue;
        }
        match &mut self.seats[at] {
            Seat::Joining(joining) => {
                if let Body::Event { args, .. } | Body::Ack { args, .. } = &packet.body {
                    joining.bytes +=
                        args.text().len() + args.attachments().iter().map(|bytes| bytes.len()).sum::<usize>();
                }
                joining.waiting.push_back(packet.into_owned());
                Flow::Continue
            }
            Seat::Left(_) => {
                if let Body::Disconnect = packet.body {
                    self.seats.swap_remove(at);
                }
                Flow::Continue
            }
            Seat::Joined(socket) => {
                let socket = socket.clone();
                self.deliver(at, &socket, packet.body)
            }
        }
    }

    /// A packet for a socket that has its verdict. One that we sent away may not have heard of it yet: what it still
    /// says goes nowhere.
    fn deliver(&mut self, at: usize, socket: &Socket, body: Body<'_>) -> Flow {
        match body {
            Body::Event { id, name, args } => self.event(socket, id, &name, &args),
            Body::Ack { id, args } => {
                if !socket.0.acknowledged(id, args.into_payload()) {
                    count(&self.core.counters.stray_acks);
                }
            }
            Body::Disconnect => {
                self.seats.swap_remove(at);
                socket.depart(Reason::ClientNamespaceDisconnect, false);
            }
            Body::ConnectError(_) | Body::Connect { .. } | Body::InvalidNamespace => {
                return self.out_of_place();
            }
        }
        Flow::Continue
    }

    fn event(&self, socket: &Socket, id: Option<u64>, name: &str, args: &Arguments<'_>) {
        if self.may(socket, id) {
            dispatch::event(socket, id, name, args);
        }
    }

    /// Whether a socket may send one more event; sees to those that may not.
    fn may(&self, socket: &Socket, id: Option<u64>) -> bool {
        let Some(rate) = &self.core.config.event_rate else { return true };
        if socket.0.take_token(rate) {
            return true;
        }
        count(&self.core.counters.too_many_events);
        match (rate.excess, id) {
            (Excess::Refuse, Some(id)) => {
                AckSender::new(socket.clone(), id).refuse(&Refusal::new("too many events"))
            }
            (Excess::Disconnect, _) => drop(socket.depart(Reason::Custom("rate limit".into()), true)),
            _ => {}
        }
        false
    }

    fn connect(&mut self, name: String, auth: Arc<str>) -> Flow {
        let wish = Wish {
            core: Arc::clone(&self.core),
            session: self.session.clone(),
            handshake: Arc::clone(&self.handshake),
            name: name.clone(),
            auth,
            ties: Arc::clone(&self.ties),
        };
        let mut verdict = Box::pin(connect::decide(wish));
        match run::poll_once(&mut verdict) {
            Ok(Poll::Ready(verdict)) => return self.settle(&name, verdict, VecDeque::new()),
            Ok(Poll::Pending) => {
                let slot = Arc::new(Mutex::new(None));
                let (given, session) = (Arc::clone(&slot), self.session.clone());
                let task = run::spawn(&self.core, async move {
                    let verdict = verdict.await;
                    *lock(&given) = Some(verdict);
                    session.poke();
                });
                self.core.counters.connecting.fetch_add(1, Ordering::Relaxed);
                let give_up = Instant::now() + self.core.config.connect_timeout;
                let core = Arc::clone(&self.core);
                let joining = Joining { name, slot, task, give_up, waiting: VecDeque::new(), bytes: 0, core };
                self.seats.push(Seat::Joining(Box::new(joining)));
            }
            // `decide` catches what the application does, so this is a bug of ours; the client is told something.
            Err(panic) => {
                self.core.panicked("connect", &*panic);
                self.refuse(&name, "internal error", None);
            }
        }
        Flow::Continue
    }

    fn refuse(&mut self, name: &str, message: &str, data: Option<&str>) {
        count(&self.core.counters.refused);
        match connection_refused(name, message, data, self.decoder.dialect()) {
            Ok(packet) => {
                if self.session.send(packet.messages()) == Err(SendError::Full) {
                    self.session.overflow();
                }
            }
            Err(error) => tracing::error!(%error, "a refusal cannot be said in a custom dialect"),
        }
    }

    /// Carries out a verdict, and then what waited for it.
    fn settle(&mut self, name: &str, verdict: Verdict, waiting: VecDeque<Packet<'static>>) -> Flow {
        let mut newcomer = match verdict {
            Verdict::Admitted(newcomer) => newcomer,
            Verdict::Refused { message, data } => {
                // What a refused client said already was said to nobody.
                self.refuse(name, &message, data.as_deref());
                return Flow::Continue;
            }
        };
        let Some(socket) = self.admit(&mut newcomer) else { return Flow::Continue };
        let at = self.seats.len();
        self.seats.push(Seat::Joined(socket.clone()));
        self.session.settle();
        self.join_by = None;
        for packet in waiting {
            match self.deliver(at, &socket, packet.body) {
                Flow::Continue => {}
                other => return other,
            }
            if !matches!(self.seats.get(at), Some(Seat::Joined(here)) if *here == socket) {
                break;
            }
        }
        Flow::Continue
    }

    /// Lets a socket in: tells the client, opens the rooms to it, sends what it missed. `None` if that came to nothing.
    fn admit(&mut self, newcomer: &mut Newcomer) -> Option<Socket> {
        if !self.session.is_open() {
            return None;
        }
        let socket = newcomer.socket.clone();
        let place = &socket.0.namespace.place;
        let counters = &self.core.counters;
        let Some(rooms) = socket.early_rooms() else {
            // The application changed its mind while a middleware was still deciding.
            self.refuse(&place.name, "disconnected", None);
            return None;
        };
        let member = Arc::new(Member {
            session: self.session.clone(),
            dialect: self.decoder.dialect().clone(),
            socket: Arc::downgrade(&socket.0),
            given: self.core.recovery.is_some().then(Box::default),
        });
        let pid = socket.0.recovery.as_ref().map(|recovery| &*recovery.pid);
        let answer = match connected(&place.name, socket.id(), pid, &member.dialect) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "CONNECT cannot be said in a custom dialect");
                return None;
            }
        };
        let come_in = || {
            // First the answer, then the rooms: no event reaches a client that does not know yet that it is in.
            match self.session.send(answer.messages()) {
                Ok(()) => place.admit(&socket.0.id, &member, &rooms),
                Err(SendError::Full) => {
                    self.session.overflow();
                    false
                }
                Err(SendError::Closed) => false,
            }
        };
        let back = newcomer.lost.is_some();
        let inside = match newcomer.lost.take() {
            None => come_in(),
            Some(Returning::Kept(taken)) => self.resume(&socket, &member, taken, come_in),
            Some(Returning::Logged(comeback)) => {
                let complete = comeback.resume(&socket, &member, &self.session, come_in);
                if !complete {
                    self.session.abort(Reason::ForcedClose);
                }
                complete
            }
        };
        place.tell();
        if !inside {
            return None;
        }
        if let Some(own) = socket.0.recovery.as_ref().filter(|_| self.core.logged.is_some()) {
            logged::note_beginning(&socket, &own.since);
        }
        newcomer.settled();
        counters.sockets.fetch_add(1, Ordering::Relaxed);
        if let (Some(live), Some(own)) = (self.core.live(), &socket.0.recovery) {
            lock(live).insert(Arc::clone(&own.pid), Arc::downgrade(&socket.0));
        }
        let mut entered = false;
        // One start, from the first moment somebody else can send it away: so nobody hears of its end first.
        gate::start(&socket, || {
            entered = socket.enter(&member);
            if entered {
                count(&counters.connected);
                if back {
                    count(&counters.recovered);
                }
                tracing::debug!(namespace = ?place.name, socket = socket.id(), recovered = back, "connected");
                connect::welcome(&socket);
            }
        });
        if !entered {
            // It was sent away in the very moment it came in.
            counters.sockets.fetch_sub(1, Ordering::Relaxed);
            if let (Some(live), Some(own)) = (self.core.live(), &socket.0.recovery) {
                lock(live).remove(&own.pid);
            }
            place.forget(socket.id());
            if let Ok(packet) = disconnected(&place.name, &member.dialect) {
                let _ = self.session.send(packet.messages());
            }
            return None;
        }
        Some(socket)
    }

    /// Sends what a returning client missed and lets it in, as one step for everybody who stores packets. A client
    /// that cannot be given all of it is cut off, and is a new one when it comes again.
    fn resume(
        &self,
        socket: &Socket,
        member: &Arc<Member>,
        taken: Taken,
        come_in: impl FnOnce() -> bool,
    ) -> bool {
        let Some(recovery) = &self.core.recovery else { return false };
        let complete = turn(|| {
            let store = lock(&recovery.store);
            let Some(lost) = taken.lost() else { return false };
            let Ok(missed) = store.missed(lost, socket.id()) else { return false };
            let Some(mut given) = member.given() else { return false };
            *given = Given { refused: 0, ..lost.given };
            for (number, packet) in missed {
                let Ok(packet) = packet.encoded(&member.dialect) else { return false };
                if self.session.send(packet.messages()).is_err() {
                    return false;
                }
                given.note(number);
            }
            drop(given);
            come_in()
        });
        // Good for no second time either way; not under the lock that this needs.
        if complete {
            taken.redeem();
        } else {
            taken.spend();
            self.session.abort(Reason::ForcedClose);
        }
        complete
    }

    fn woken(&mut self) -> Flow {
        if self.ties.close_all.swap(false, Ordering::AcqRel) {
            for seat in std::mem::take(&mut self.seats) {
                if let Seat::Joined(socket) = seat {
                    socket.depart(Reason::ServerNamespaceDisconnect, true);
                }
            }
            return Flow::Close(Reason::ForcedClose);
        }
        self.note_the_gone();
        while let Some((at, verdict)) = self.verdict() {
            let Seat::Joining(mut joining) = self.seats.remove(at) else { continue };
            let waiting = std::mem::take(&mut joining.waiting);
            match self.settle(&joining.name, verdict, waiting) {
                Flow::Continue => {}
                other => return other,
            }
        }
        self.flow()
    }

    /// The first CONNECT whose verdict has come.
    fn verdict(&self) -> Option<(usize, Verdict)> {
        self.seats.iter().enumerate().find_map(|(at, seat)| match seat {
            Seat::Joining(joining) => Some((at, lock(&joining.slot).take()?)),
            _ => None,
        })
    }

    fn upgraded(&self, transport: Transport) {
        for seat in &self.seats {
            if let Seat::Joined(socket) = seat {
                for listener in &socket.0.namespace.place.rules.upgrade {
                    run::guarded(socket, "on_upgrade", || listener(socket, transport));
                }
            }
        }
    }

    fn timer(&mut self) -> Flow {
        let now = Instant::now();
        if self.finish_by.is_some_and(|by| by <= now) {
            return self.out_of_place();
        }
        if self.join_by.is_some_and(|by| by <= now) {
            return Flow::Close(Reason::ForcedServerClose);
        }
        while let Some(at) =
            self.seats.iter().position(|seat| matches!(seat, Seat::Joining(j) if j.give_up <= now))
        {
            if let Seat::Joining(joining) = self.seats.remove(at) {
                self.refuse(&joining.name, "timed out", None);
            }
        }
        self.flow()
    }

    fn deadline(&self) -> Option<Instant> {
        let joining = self.seats.iter().filter_map(|seat| match seat {
            Seat::Joining(joining) => Some(joining.give_up),
            _ => None,
        });
        joining.chain(self.join_by).chain(self.finish_by).min()
    }

    /// Whether to go on reading: not while one of the sockets has too much to do, or those that have left still have, or a
    /// CONNECT keeps too much waiting.
    /// (A client that does not take what it is sent is the engine's to wait for.)
    fn flow(&self) -> Flow {
        let config = &self.core.config;
        let busy = self.seats.iter().any(|seat| match seat {
            Seat::Joined(socket) => {
                socket.0.work.unfinished() >= config.max_handlers && socket.is_connected()
            }
            Seat::Joining(joining) => {
                joining.waiting.len() >= config.max_waiting || joining.bytes >= WAITING_BYTES
            }
            Seat::Left(_) => false,
        });
        if busy || self.ties.too_many(config.max_handlers, &self.session) {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    /// Lets go of sockets that have left by themselves, and keeps in mind where they were.
    fn note_the_gone(&mut self) {
        for seat in &mut self.seats {
            if let Seat::Joined(socket) = seat
                && !socket.is_connected()
            {
                *seat = Seat::Left(Arc::clone(&socket.0.namespace.place.name));
            }
        }
    }

    fn closed(self, reason: &Reason) {
        self.ties.cut();
        for seat in self.seats {
            if let Seat::Joined(socket) = seat {
                socket.depart(reason.clone(), false);
            }
        }
    }
}

/// What a client that says nothing has said. Most do, and share it.
fn no_auth() -> Arc<str> {
    static NOTHING: OnceLock<Arc<str>> = OnceLock::new();
    Arc::clone(NOTHING.get_or_init(|| Arc::from("{}")))
}

/// The query of a namespace, as clients of protocols 2 and 1 send it, in the form that auth has. The last of equal
/// keys wins.
fn query_as_json(query: &str) -> String {
    let object: serde_json::Map<_, _> =
        pairs(query).map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect();
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_an_object() {
        assert_eq!(query_as_json("token=a%20b&x=1&x=2&y"), r#"{"token":"a b","x":"2","y":""}"#);
        assert_eq!(query_as_json(""), "{}");
    }
}
