//! The only fan-out: one encoded packet into many outboxes.
//!
//! Per recipient it costs a reference count and the outbox's own lock. It is concrete code: no adapter, no
//! listener and no trait object is asked per recipient, unless somebody listens to outgoing events at all.
//!
//! What a broadcast costs beside its recipients matters as much, because most rooms are small and the smallest is a
//! socket's own. So an event that nobody but its clients wants to see ([`event`]) is written once, straight from its
//! value, and leaves nothing behind; payload and [`Broadcast`] are for other servers, listeners, recovery, and dialects
//! that few speak.

use std::cell::OnceCell;
use std::sync::Arc;

use serde::Serialize;
use sockeye_engine::{SendError, turn};
use sockeye_proto::broadcast::Broadcast;
use sockeye_proto::socket::{
    Dialect, EncodeError, Encoded, Out, PacketOut, Payload, Protocol, encode, encode_event,
};

use crate::emit::{EmitError, Flags};
use crate::namespace::Place;
use crate::rooms::{Audience, Roll};
use crate::server::Core;
use crate::socket::{Member, Socket};
use crate::stats::{Counters, count};
use crate::sync::lock;

/// Sends an event to an audience on this node, straight from its value where nobody else wants to see it.
pub(crate) fn event(
    core: &Core,
    place: &Arc<Place>,
    audience: &Audience,
    (name, args): (&str, &impl Serialize),
    flags: Flags,
) -> Result<(), EmitError> {
    if core.recovery.is_some() || place.has_outgoing() {
        broadcast(core, place, audience, Payload::event(name, args)?, flags);
        return Ok(());
    }
    // What nearly everybody speaks. Written first, so that a refusal comes before anything has been sent.
    let packet = encode_event(&place.name, None, name, args, &Dialect::Json(Protocol::V5), flags.compress)?;
    let others = OnceCell::new();
    let other = || Ok(Broadcast::new(Arc::clone(&place.name), Payload::event(name, args)?, flags.compress));
    let counters = &core.counters;
    walk(&place.roll(audience), |member| match &member.dialect {
        Dialect::Json(Protocol::V5) => drop(put(counters, member, &packet, flags.volatile)),
        dialect => match others.get_or_init(other).as_ref().and_then(|other| other.encoded(dialect)) {
            Ok(packet) => drop(put(counters, member, packet, flags.volatile)),
            Err(error) => unspeakable(error),
        },
    });
    Ok(())
}

/// Sends an event that exists already to an audience on this node.
pub(crate) fn broadcast(
    core: &Core,
    place: &Arc<Place>,
    audience: &Audience,
    payload: Payload,
    flags: Flags,
) {
    let Some(recovery) = &core.recovery else {
        let roll = place.roll(audience);
        tell_outgoing(place, &roll, &payload);
        if let Some(only) = roll.only() {
            let body = Out::Event { id: None, payload: &payload };
            let packet = PacketOut { namespace: &place.name, body, compress: flags.compress };
            match encode(&packet, &only.dialect) {
                Ok(packet) => drop(put(&core.counters, only, &packet, flags.volatile)),
                Err(error) => unspeakable(&error),
            }
            return;
        }
        let broadcast = Broadcast::new(Arc::clone(&place.name), payload, flags.compress);
        fan_out(&core.counters, &roll, &broadcast, flags.volatile, |_, _| {});
        return;
    };
    if place.has_outgoing() {
        // Before the lock: what they do may well lead back here.
        tell_outgoing(place, &place.roll(audience), &payload);
    }
    turn(|| {
        // Held until the packet is in every outbox: the order of offsets must be the order everybody hears.
        let mut store = lock(&recovery.store);
        let (broadcast, number) = if flags.volatile {
            (
                Arc::new(Broadcast::new(
                    Arc::clone(&place.name),
                    marked(payload, || store.now()),
                    flags.compress,
                )),
                None,
            )
        } else {
            let payload = payload.with_offset(&store.offset(store.next()));
            let bytes = payload.size();
            let broadcast = Arc::new(Broadcast::new(Arc::clone(&place.name), payload, flags.compress));
            let kept = Arc::clone(&broadcast);
            let number = store.store(recovery.now(), &place.name, audience.clone(), kept, bytes);
            (broadcast, Some(number))
        };
        // Asked under the lock: whoever leaves between packet and rooms finds it in the store.
        let roll = place.roll(audience);
        fan_out(&core.counters, &roll, &broadcast, flags.volatile, |member, taken| {
            if let Some(number) = number {
                note(member, number, taken);
            }
        });
    });
}

/// Remembers what a socket was given of the log. Under the log's lock.
fn note(member: &Member, number: u64, taken: bool) {
    let Some(mut given) = member.given() else { return };
    if taken {
        given.note(number);
    } else {
        given.note_refused(number);
    }
}

/// An event whose last argument the official client would take for an offset gets the one that is true now.
fn marked(payload: Payload, now: impl FnOnce() -> String) -> Payload {
    if payload.text().ends_with("\"]") { payload.with_offset(&now()) } else { payload }
}

/// Puts one packet in the outbox of everybody on the roll, and tells `sent` of each whether it got in.
pub(crate) fn fan_out(
    counters: &Counters,
    roll: &Roll<Member>,
    broadcast: &Broadcast,
    volatile: bool,
    mut sent: impl FnMut(&Arc<Member>, bool),
) {
    walk(roll, |member| match broadcast.encoded(&member.dialect) {
        Ok(packet) => sent(member, put(counters, member, packet, volatile)),
        Err(error) => unspeakable(error),
    });
}

/// Each member is written to when it is visited, while what that touches is in the cache; or when the turn ends that is
/// running. Very many make a turn of their own, whose end is shared by all workers.
fn walk(roll: &Roll<Member>, visit: impl FnMut(&Arc<Member>)) {
    if turn::is_shared(roll.at_most()) {
        turn(|| roll.for_each(visit));
    } else {
        roll.for_each(visit);
    }
}

/// Only a parser of the application's own refuses, and then for everybody who speaks it.
fn unspeakable(error: &EncodeError) {
    tracing::error!(%error, "a broadcast cannot be said in a custom dialect");
}

fn put(counters: &Counters, member: &Member, packet: &Encoded, volatile: bool) -> bool {
    if volatile {
        let sent = member.session.send_volatile(packet.messages());
        if !sent {
            count(&counters.volatile_dropped);
        }
        return sent;
    }
    let sent = match packet.attachments() {
        [] => member.session.send_one(packet.first()),
        _ => member.session.send(packet.messages()),
    };
    match sent {
        Ok(()) => true,
        // Whoever emitted cannot be asked what to drop, and a gap must not go unnoticed: the client starts anew.
        Err(SendError::Full) => {
            count(&counters.slow_consumers);
            member.session.overflow();
            false
        }
        Err(SendError::Closed) => false,
    }
}

pub(crate) fn tell_outgoing(place: &Place, roll: &Roll<Member>, payload: &Payload) {
    if !place.has_outgoing() {
        return;
    }
    roll.for_each(|member| {
        if let Some(socket) = member.socket.upgrade() {
            Socket(socket).tell_outgoing(payload);
        }
    });
}

/// An event for one socket where recovery is on: it is stored as a broadcast to the socket's own room.
pub(crate) fn direct(
    socket: &Socket,
    member: &Arc<Member>,
    payload: &Payload,
    flags: Flags,
) -> Result<(), EmitError> {
    let core = &socket.server().0;
    let Some(recovery) = &core.recovery else { return Ok(()) };
    let place = &socket.0.namespace.place;
    // The outermost turn writes when it ends, which must be after the lock: writing may take a while.
    turn(|| {
        let mut store = lock(&recovery.store);
        let stored = !flags.volatile;
        let payload = match stored {
            true => payload.with_offset(&store.offset(store.next())),
            false => marked(payload.clone(), || store.now()),
        };
        let bytes = payload.size();
        let broadcast = Arc::new(Broadcast::new(Arc::clone(&place.name), payload, flags.compress));
        let packet = broadcast.encoded(&member.dialect).map_err(Clone::clone)?;
        let sent = socket.put(member, packet.clone(), flags);
        // Where the connection is lost and nobody has noticed yet, the packet waits for the client to come back.
        if !stored || !matches!(sent, Ok(()) | Err(EmitError::Closed)) {
            return sent;
        }
        let number = store.store(recovery.now(), &place.name, own(socket), Arc::clone(&broadcast), bytes);
        note(member, number, sent.is_ok());
        Ok(())
    })
}

fn own(socket: &Socket) -> Audience {
    Audience { rooms: smallvec::smallvec![Arc::clone(&socket.0.id)], except: smallvec::SmallVec::new() }
}
