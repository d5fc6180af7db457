//! The order of the last things: no handler of a socket starts once its disconnect handlers have.
//!
//! Handlers start on the session's task, a socket may be sent away from anywhere. Whoever sends it away while a handler
//! is being started (extracted and polled once) leaves the rest to the starter, which does it right after. Two atomic
//! operations per event, and nobody waits.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::socket::Socket;

/// One socket's gate: two flags, and how many starts are under way above them.
#[derive(Default)]
pub(crate) struct Gate(AtomicU32);

/// Somebody has sent the socket away.
const LEAVING: u32 = 1;
/// Somebody has taken over to carry it out.
const TAKEN: u32 = 2;
/// One start under way.
const START: u32 = 4;

thread_local! {
    /// The socket for which this thread is starting a handler, as an address.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

impl Gate {
    /// Somebody sends the socket away. True: carry it out now. False: a starter does, in a moment.
    pub(crate) fn leave(&self, socket: &Socket) -> bool {
        // A handler that sends its own client away has started already; it need not wait for itself.
        let own = u32::from(INSIDE.get() == address(socket));
        let decided = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            let others = state / START > own;
            Some(state | LEAVING | if others { 0 } else { TAKEN })
        });
        let before = decided.unwrap_or_else(|state| state);
        before & TAKEN == 0 && before / START <= own
    }

    /// Whether the departure is being carried out, or has been.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire) & TAKEN != 0
    }
}

/// Starts something of a socket's, unless it has been sent away.
pub(crate) fn start(socket: &Socket, start: impl FnOnce()) {
    let gate = &socket.0.gate;
    let before = gate.0.fetch_add(START, Ordering::AcqRel);
    let outer = INSIDE.replace(address(socket));
    if before & LEAVING == 0 {
        // Cannot unwind: what is the application's is caught further in.
        start();
    }
    INSIDE.set(outer);
    let before = gate.0.fetch_sub(START, Ordering::AcqRel);
    if before / START == 1 && before & (LEAVING | TAKEN) == LEAVING {
        // Somebody may come in and out again meanwhile; only one takes it.
        if gate.0.fetch_or(TAKEN, Ordering::AcqRel) & TAKEN == 0 {
            socket.carry_out_departure();
        }
    }
}

fn address(socket: &Socket) -> usize {
    std::sync::Arc::as_ptr(&socket.0).addr()
}
