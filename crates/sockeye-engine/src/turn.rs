//! Turns: sending much, writing once.

use std::cell::{Cell, RefCell};

use tokio::runtime::Handle;

use crate::Session;

thread_local! {
    static TURN: Turn = const { Turn { depth: Cell::new(0), dirty: RefCell::new(Vec::new()) } };
}

/// Whether a turn is running on this thread.
pub(crate) fn is_running() -> bool {
    TURN.with(|turn| turn.depth.get() > 0)
}

/// Has the running turn flush this session's outbox when it ends.
pub(crate) fn remember(session: Session) {
    TURN.with(|turn| turn.dirty.borrow_mut().push(session));
}

/// The turn that is running on this thread.
struct Turn {
    depth: Cell<u32>,
    dirty: RefCell<Vec<Session>>,
}

impl Turn {
    fn end(&self) {
        self.depth.set(self.depth.get() - 1);
        if self.depth.get() > 0 {
            return;
        }
        let mut dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        if is_shared(dirty.len()) {
            share(&mut dirty);
        }
        flush(dirty.drain(..));
        // Kept for the next turn, unless a broadcast to very many made it large.
        if dirty.capacity() <= 1024 {
            *self.dirty.borrow_mut() = dirty;
        }
    }
}

fn flush(sessions: impl Iterator<Item = Session>) {
    for session in sessions {
        session.0.lock().end_turn(&session.0);
    }
}

/// How many sessions one worker flushes in a row: about a millisecond or two of writing.
const SHARE: usize = 512;

/// Whether the end of a [turn](turn()) that sends to so many sessions would be shared by the workers of the runtime.
/// Whoever sends to that many should do it in a turn; for fewer, each is best written to at once.
pub fn is_shared(sessions: usize) -> bool {
    sessions >= 4 * SHARE && Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
}

/// Hands the greater part of a very large turn to whichever workers are free, in portions; the first stays. A broadcast
/// to ten thousand so takes all cores, and does not keep this one from other sessions until it is done. What else is
/// sent to these sessions meanwhile goes behind what waits there, as always.
fn share(dirty: &mut Vec<Session>) {
    let Ok(runtime) = Handle::try_current() else { return };
    while dirty.len() > SHARE {
        let portion = dirty.split_off(dirty.len().saturating_sub(SHARE).max(SHARE));
        runtime.spawn(async move { flush(portion.into_iter()) });
    }
}

/// Runs `f`; whatever it sends to any session is written once per session when it is done.
///
/// A handler that emits three events, or a broadcast from inside a handler, so costs one write per recipient. Every
/// call of a [`Link`](crate::Link) already is a turn. Turns nest; the outermost one writes.
pub fn turn<R>(f: impl FnOnce() -> R) -> R {
    /// Ends the turn even if `f` panics: what was sent before stays sent.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            TURN.with(Turn::end);
        }
    }
    TURN.with(|turn| turn.depth.set(turn.depth.get() + 1));
    let _end = End;
    f()
}
