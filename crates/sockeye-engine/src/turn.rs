//! Turns: sending much, writing once.

use std::cell::{Cell, RefCell};

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
        for session in dirty.drain(..) {
            session.0.lock().end_turn(&session.0);
        }
        // Kept for the next turn, unless a broadcast to very many made it large.
        if dirty.capacity() <= 1024 {
            *self.dirty.borrow_mut() = dirty;
        }
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
