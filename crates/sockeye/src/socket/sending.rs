//! What a socket is sent: events, calls, answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use sockeye_proto::socket::{Encoded, Out, PacketOut, Payload, encode, encode_ack, encode_event};
use tokio::sync::oneshot;

use super::{Early, HAS_OUTGOING, Member, Phase, Socket};
use crate::ack::{Asked, CallError, Entry, Waiter};
use crate::deliver;
use crate::emit::{EmitError, Flags};
use crate::listeners::Outgoing;
use crate::logged;
use crate::operator::{IntoRooms, Operator};
use crate::run;
use crate::stats::count;
use crate::sync::lock;
use sockeye_proto::event::{Event, Travelling};

/// Sending.
impl Socket {
    /// Sends an event to this client: one argument, several in [`Args`](crate::Args), none with `()`. Bytes anywhere
    /// inside travel as binary.
    ///
    /// Never waits: the packet goes to the bounded outbox of the session, in order.
    ///
    /// # Errors
    /// When it could not: the outbox is full, the socket has left, the arguments cannot be written.
    pub fn emit(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.emit_flagged(name, args, Flags::default())
    }

    /// Like [`emit`](Self::emit), and waits for room in the outbox. Cancel safe: nothing is sent then.
    ///
    /// # Errors
    /// As [`emit`](Self::emit), but never [`EmitError::Full`].
    pub async fn send(&self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        let payload = Payload::event(name, &args)?;
        // A packet takes a little more than its payload: type, namespace, frame headers.
        let mut bytes = payload.size() + self.0.namespace.name().len() + 64;
        let mut first = true;
        loop {
            match self.emit_once(None, &payload, Flags::default(), first) {
                Err(EmitError::Full) => {
                    let member = self.member().ok_or(EmitError::Closed)?;
                    member.session.ready(bytes).await?;
                    // If it still does not fit, it is larger than that (escapes, many attachments), or somebody else
                    // was faster: wait for more, until there is nothing else. To try again and again would burn a core.
                    bytes = bytes.saturating_mul(2);
                    first = false;
                }
                done => return done,
            }
        }
    }

    /// Sends an event and asks for an answer: the first argument the client gives to its ack function, as an `R`
    /// (`Args<(A, B)>` for several).
    ///
    /// The event is sent right here; what comes back waits for the answer, for 60 s unless told otherwise.
    ///
    /// ```
    /// # use sockeye::{CallError, Socket};
    /// # use std::time::Duration;
    /// # async fn f(socket: Socket) -> Result<(), CallError> {
    /// let age: u32 = socket.call("how old are you?", ()).timeout(Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    pub fn call<R>(&self, name: &str, args: impl Serialize) -> Asked<R> {
        self.call_flagged(name, args, Flags::default())
    }

    /// Sends a typed event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: Event + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Travelling(event))
    }

    /// Sends a typed event and asks for its answer.
    pub fn call_event<E: Event + Serialize>(&self, event: &E) -> Asked<E::Ack> {
        self.call(E::NAME, Travelling(event))
    }

    /// The next emit may be lost: it is dropped if the client cannot take it right now.
    pub fn volatile(&self) -> Emitter<'_> {
        Emitter { socket: self, flags: Flags { volatile: true, ..Flags::default() } }
    }

    /// Whether transports may compress the next emit. Default `true`; they then do where compression is on.
    pub fn compress(&self, yes: bool) -> Emitter<'_> {
        Emitter { socket: self, flags: Flags { compress: yes, ..Flags::default() } }
    }

    fn emit_flagged(&self, name: &str, args: impl Serialize, flags: Flags) -> Result<(), EmitError> {
        if self.plain() {
            // The common case skips the payload: straight from the value into the frame.
            let member = self.member();
            if let Some(member) = member {
                let packet = encode_event(
                    self.0.namespace.name(),
                    None,
                    name,
                    &args,
                    &member.dialect,
                    flags.compress,
                )?;
                return self.put(&member, packet, flags);
            }
        }
        self.emit_payload(None, &Payload::event(name, &args)?, flags)
    }

    /// Whether nobody but the client wants to see what is emitted.
    fn plain(&self) -> bool {
        let namespace = &self.0.namespace;
        let core = &namespace.server.0;
        core.recovery.is_none()
            && core.logged.is_none()
            && !namespace.place.has_outgoing()
            && !self.has(HAS_OUTGOING)
    }

    pub(crate) fn emit_payload(
        &self,
        id: Option<u64>,
        payload: &Payload,
        flags: Flags,
    ) -> Result<(), EmitError> {
        self.emit_once(id, payload, flags, true)
    }

    /// The same; `tell` says whether the listeners for outgoing events have not heard of it yet.
    fn emit_once(
        &self,
        id: Option<u64>,
        payload: &Payload,
        flags: Flags,
        tell: bool,
    ) -> Result<(), EmitError> {
        let member = {
            let mut phase = lock(&self.0.phase);
            match &mut *phase {
                Phase::Connected { member, .. } => Arc::clone(member),
                Phase::Connecting(connecting) => {
                    let bytes = connecting.bytes + payload.size();
                    if bytes > self.0.namespace.server.0.max_queue() {
                        return Err(EmitError::Full);
                    }
                    connecting.bytes = bytes;
                    connecting.early.push(Early { id, payload: payload.clone(), flags });
                    return Ok(());
                }
                Phase::Gone(_) => return Err(EmitError::Closed),
            }
        };
        if tell {
            self.tell_outgoing(payload);
        }
        self.transmit(&member, id, payload, flags)
    }

    pub(super) fn transmit(
        &self,
        member: &Arc<Member>,
        id: Option<u64>,
        payload: &Payload,
        flags: Flags,
    ) -> Result<(), EmitError> {
        let core = &self.0.namespace.server.0;
        if id.is_none() && core.recovery.is_some() {
            return deliver::direct(self, member, payload, flags);
        }
        if id.is_none() && core.logged.is_some() {
            return logged::direct(self, member, payload, flags);
        }
        let packet = PacketOut {
            namespace: self.0.namespace.name(),
            body: Out::Event { id, payload },
            compress: flags.compress,
        };
        let packet = encode(&packet, &member.dialect)?;
        if core.logged.is_some() {
            return logged::behind(self, member, packet, flags);
        }
        self.put(member, packet, flags)
    }

    /// Hands a packet to the outbox.
    pub(crate) fn put(&self, member: &Member, packet: Encoded, flags: Flags) -> Result<(), EmitError> {
        let counters = &self.0.namespace.server.0.counters;
        if flags.volatile {
            if !member.session.send_volatile(packet.messages()) {
                count(&counters.volatile_dropped);
            }
            return Ok(());
        }
        let sent = match packet.into_single() {
            Ok(message) => member.session.send_one(message),
            Err(packet) => member.session.send(packet.messages()),
        };
        if sent == Err(sockeye_engine::SendError::Full) {
            count(&counters.full);
        }
        Ok(sent?)
    }

    fn call_flagged<R>(&self, name: &str, args: impl Serialize, flags: Flags) -> Asked<R> {
        let payload = match Payload::event(name, &args) {
            Ok(payload) => payload,
            Err(error) => return Asked::failed(EmitError::from(error)),
        };
        let (sender, receiver) = oneshot::channel();
        let id = self.0.namespace.place.next_ack();
        let entry = Entry { socket: Arc::downgrade(&self.0), id };
        if !self.0.expect_ack(id, Waiter::One(sender)) {
            return Asked::failed(CallError::Disconnected);
        }
        match self.emit_payload(Some(id), &payload, flags) {
            Ok(()) => Asked::sent(receiver, entry),
            Err(error) => Asked::failed(error),
        }
    }

    /// Answers an event; says how many bytes that took.
    pub(crate) fn answer(&self, id: u64, args: impl Serialize) -> Result<usize, EmitError> {
        let member = self.member().ok_or(EmitError::Closed)?;
        let packet = encode_ack(self.0.namespace.name(), id, &args, &member.dialect, true)?;
        let bytes = packet.messages().map(|message| message.payload().len()).sum();
        self.put(&member, packet, Flags::default())?;
        Ok(bytes)
    }

    pub(crate) fn answer_payload(&self, id: u64, payload: &Payload) -> Result<(), EmitError> {
        let member = self.member().ok_or(EmitError::Closed)?;
        let body = Out::Ack { id, payload };
        let packet =
            encode(&PacketOut { namespace: self.0.namespace.name(), body, compress: true }, &member.dialect)?;
        self.put(&member, packet, Flags::default())
    }

    pub(crate) fn member(&self) -> Option<Arc<Member>> {
        match &*lock(&self.0.phase) {
            Phase::Connected { member, .. } => Some(Arc::clone(member)),
            _ => None,
        }
    }

    /// Calls the listeners for outgoing events, if there are any.
    pub(crate) fn tell_outgoing(&self, payload: &Payload) {
        let place = &self.0.namespace.place;
        if place.has_outgoing() {
            for listener in &place.rules.outgoing {
                run::guarded(self, "on_any_outgoing", || listener(self, payload));
            }
        }
        if self.has(HAS_OUTGOING) {
            let own: Vec<Outgoing> = match &lock(&self.0.extra).listeners {
                Some(listeners) => listeners.outgoing(),
                None => Vec::new(),
            };
            for listener in own {
                run::guarded(self, "on_any_outgoing", || listener(self, payload));
            }
        }
    }

    pub(super) fn has(&self, what: u8) -> bool {
        self.0.has.load(Ordering::Acquire) & what != 0
    }
}

/// A socket and how the next emit goes: [`Socket::volatile`], [`Socket::compress`].
#[derive(Debug, Clone, Copy)]
pub struct Emitter<'a> {
    socket: &'a Socket,
    flags: Flags,
}

impl Emitter<'_> {
    /// See [`Socket::volatile`].
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// See [`Socket::compress`].
    #[must_use]
    pub fn compress(mut self, yes: bool) -> Self {
        self.flags.compress = yes;
        self
    }

    /// See [`Socket::emit`]. A volatile event that was dropped is not an error.
    ///
    /// # Errors
    /// As there.
    pub fn emit(self, name: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.socket.emit_flagged(name, args, self.flags)
    }

    /// See [`Socket::emit_event`].
    ///
    /// # Errors
    /// As there.
    pub fn emit_event<E: Event + Serialize>(self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Travelling(event))
    }

    /// See [`Socket::call`].
    pub fn call<R>(self, name: &str, args: impl Serialize) -> Asked<R> {
        self.socket.call_flagged(name, args, self.flags)
    }

    /// See [`Socket::call_event`].
    pub fn call_event<E: Event + Serialize>(self, event: &E) -> Asked<E::Ack> {
        self.call(E::NAME, Travelling(event))
    }

    /// Everybody else, with these flags.
    pub fn broadcast(self) -> Operator {
        self.socket.broadcast().flags(self.flags)
    }

    /// Everybody else in these rooms, with these flags.
    pub fn to(self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Operator {
        self.to(rooms)
    }

    /// Everybody else outside of these rooms, with these flags.
    pub fn except(self, rooms: impl IntoRooms) -> Operator {
        self.broadcast().except(rooms)
    }
}
