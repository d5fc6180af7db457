//! One incoming event to those who listen.
//!
//! Order: catch-all listeners, then the namespace's handlers, then the socket's own, each started before the next. The
//! duty to answer goes to the first handler of the event that takes the payload; the others hear the event only.

use sockeye_proto::socket::Arguments;

use crate::ack::AckSender;
use crate::extract::Mismatch;
use crate::gate;
use crate::handler::{Call, Outcome, Running, Started};
use crate::layer::Incoming;
use crate::listeners::Registered;
use crate::run::{self, Part, Together};
use crate::socket::Socket;
use crate::stats::count;
use sockeye_proto::event::Refusal;

/// Starts everybody who listens to an event, unless the socket has been sent away.
pub(crate) fn event(socket: &Socket, id: Option<u64>, name: &str, args: &Arguments<'_>) {
    gate::start(socket, || listeners(socket, id, name, args));
}

fn listeners(socket: &Socket, id: Option<u64>, name: &str, args: &Arguments<'_>) {
    let core = &socket.server().0;
    let rules = &socket.0.namespace.place.rules;
    count(&core.counters.events);
    let ack = id.map(|id| AckSender::new(socket.clone(), id));
    let named = rules.events.get(name).map_or(&[][..], Vec::as_slice);
    let (own_any, own) = socket.own_listeners(name).unwrap_or_default();

    if !rules.layers.is_empty() {
        let serial = named.iter().chain(&own).any(|one| one.serial);
        let listeners: Vec<Registered> =
            rules.any.iter().chain(&own_any).chain(named).chain(&own).cloned().collect();
        let silent = rules.any.len() + own_any.len();
        let running = rules
            .layers
            .run(socket, name, args, ack, move |event, ack| behind_layers(event, ack, &listeners, silent));
        return start(socket, "layer", serial, running);
    }

    for listener in rules.any.iter().chain(&own_any) {
        one(socket, name, args, None, listener);
    }
    let mut ack = ack;
    let mut heard = false;
    for listener in named.iter().chain(&own) {
        // The one before may have sent the client away.
        if heard && !socket.is_connected() {
            return;
        }
        heard = true;
        ack = one(socket, name, args, ack, listener);
    }
    if !heard {
        count(&core.counters.unheard);
    } else if let Some(ack) = ack {
        unfit(ack);
    }
}

/// Starts one listener; hands the ack back if the payload did not fit it.
fn one(
    socket: &Socket,
    name: &str,
    args: &Arguments<'_>,
    ack: Option<AckSender>,
    listener: &Registered,
) -> Option<AckSender> {
    let core = &socket.server().0;
    let called = listener.listener.name();
    let call = Call::new(socket, name, args, ack, &core.states);
    match run::guarded(socket, called, || listener.listener.call(call)) {
        Some(Started::Running(running)) => start(socket, called, listener.serial, running),
        Some(Started::Mismatch(mismatch, ack)) => {
            core.mismatch(called, &mismatch);
            return ack;
        }
        None => {}
    }
    None
}

fn start(socket: &Socket, name: &'static str, serial: bool, running: Running) {
    if serial {
        run::start_serial(socket, name, running);
    } else {
        run::start(socket, name, running);
    }
}

/// What the innermost layer runs: all listeners as one future. The first `silent` listen in and cannot answer.
fn behind_layers(
    event: &Incoming,
    ack: Option<AckSender>,
    listeners: &[Registered],
    silent: usize,
) -> Running {
    let socket = event.socket();
    let core = &socket.server().0;
    let mut ack = ack;
    let mut all = Vec::with_capacity(listeners.len());
    let mut from = 0;
    let mut misfit = false;
    for (at, listener) in listeners.iter().enumerate() {
        let called = listener.listener.name();
        let duty = if at < silent { None } else { ack.take() };
        match listener.listener.call(Call::new(socket, event.name(), event.args(), duty, &core.states)) {
            Started::Running(running) => all.push(Part::Going(running)),
            Started::Mismatch(mismatch, back) => {
                core.mismatch(called, &mismatch);
                if at >= silent {
                    misfit = true;
                    ack = back;
                }
            }
        }
        if at < silent {
            from = all.len();
        }
    }
    if listeners.len() == silent {
        count(&core.counters.unheard);
    }
    if misfit && let Some(ack) = ack {
        unfit(ack);
    }
    if all.len() == from && misfit {
        all.push(Part::Ended(Outcome::Mismatch));
    }
    match all.pop() {
        Some(Part::Going(only)) if all.is_empty() && from == 0 => only,
        last => {
            all.extend(last);
            Running::new(Together { all, from })
        }
    }
}

/// Nobody could read the payload, and a client waits for an answer.
fn unfit(ack: AckSender) {
    if ack.socket().server().0.config.error_acks {
        ack.refuse(&Refusal::new("bad payload"));
    }
}

/// Logged once per handler and kind, so that a client cannot fill the log.
pub(crate) type Complaint = (&'static str, crate::extract::MismatchKind);

/// How a mismatch is logged.
pub(crate) fn complain(handler: &'static str, mismatch: &Mismatch) {
    tracing::warn!(handler, %mismatch, "the payload of an event does not fit; not logged again for this handler");
}
