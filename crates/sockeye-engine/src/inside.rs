//! A session on polling, which a request may enter: it runs the session's round where it is, instead of waking the
//! session's task and waiting for its answer.
//!
//! Only one is inside at a time, and nobody waits for it to leave: who finds the session taken leaves what it brought in
//! the session's mail. Whatever is waited for inside is waited for by the task, whoever looked. A session on WebSocket is
//! its task's alone, and none of this is left of it.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::mail::Command;
use crate::task::{Core, run};
use crate::{Link, turn};

/// A session that can be entered.
pub(crate) trait Enter: Send + Sync {
    /// Brings a request in and runs a round of the session, or gives it back, because somebody is inside. `waker` is
    /// the task's.
    fn enter(&self, command: Command, waker: &Waker) -> Result<(), Command>;
}

/// See the module.
pub(crate) struct Inside<L: Link> {
    seat: Mutex<Seat<L>>,
    /// The task came while somebody else was inside.
    missed: AtomicBool,
}

struct Seat<L: Link> {
    core: Option<Core<L>>,
    /// The session is over, and the task does not know.
    over: bool,
    /// When the task will be woken by its alarm at the latest.
    alarm: Instant,
}

/// How a visit of the task ended.
#[allow(clippy::large_enum_variant, reason = "taken apart at once, and never kept")]
pub(crate) enum Visited<L: Link> {
    /// The session waits, or is over.
    Done(Poll<()>),
    /// It is on WebSocket now, and the task's alone.
    Taken(Core<L>),
}

impl<L: Link> Inside<L> {
    pub(crate) fn new(core: Core<L>) -> Self {
        // No alarm is set before the task has run.
        let seat = Seat { core: Some(core), over: false, alarm: Instant::now() };
        Inside { seat: Mutex::new(seat), missed: AtomicBool::new(false) }
    }

    /// The task has been woken.
    pub(crate) fn visit(&self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Visited<L> {
        let Some(mut guard) = self.sit().or_else(|| {
            self.missed.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            self.sit()
        }) else {
            return Visited::Done(Poll::Pending);
        };
        let seat = &mut *guard;
        let Some(core) = seat.core.as_mut().filter(|_| !seat.over) else {
            return Visited::Done(Poll::Ready(()));
        };
        let done = run(core, alarm, cx);
        if let Poll::Pending = done
            && core.is_on_websocket()
            && let Some(core) = seat.core.take()
        {
            return Visited::Taken(core);
        }
        seat.alarm = alarm.set_for();
        Visited::Done(done)
    }

    /// The task is going away, and takes the session along.
    pub(crate) fn leave(&self) -> Option<Core<L>> {
        self.seat.lock().unwrap_or_else(std::sync::PoisonError::into_inner).core.take()
    }

    fn sit(&self) -> Option<MutexGuard<'_, Seat<L>>> {
        match self.seat.try_lock() {
            Ok(seat) => Some(seat),
            Err(TryLockError::Poisoned(seat)) => Some(seat.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<L: Link> Enter for Inside<L> {
    fn enter(&self, command: Command, waker: &Waker) -> Result<(), Command> {
        let Some(mut guard) = self.sit() else { return Err(command) };
        let seat = &mut *guard;
        let Some(core) = seat.core.as_mut().filter(|_| !seat.over) else { return Err(command) };
        let due = turn(|| core.step(Some(command), &mut Context::from_waker(waker)));
        seat.over = due.is_none();
        let news = due.is_none_or(|due| due < seat.alarm) || core.is_on_websocket();
        drop(guard);
        fence(Ordering::SeqCst);
        if self.missed.swap(false, Ordering::SeqCst) || news {
            waker.wake_by_ref();
        }
        Ok(())
    }
}
