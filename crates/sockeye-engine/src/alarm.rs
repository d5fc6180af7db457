//! A timer for deadlines that mostly move away before they come.
//!
//! Setting tokio's timer takes a lock. So it is set for the first deadline and left alone while that moves away; when it
//! fires early, it is set anew. Whoever has one may hand it on with whatever it is set to.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// See the module.
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// The timer is set, and has not fired.
    set: bool,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Alarm { sleep: Box::pin(tokio::time::sleep_until(Instant::now())), set: false }
    }

    /// When it rings, if it is set; else a moment that has passed.
    pub(crate) fn set_for(&self) -> Instant {
        self.sleep.deadline()
    }

    /// Ready when `deadline` has come; else the task is woken then, or before. Always called by the same task.
    pub(crate) fn poll(&mut self, deadline: Instant, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let set = self.sleep.deadline();
        if !self.set || deadline < set || set <= now {
            self.set = true;
            self.sleep.as_mut().reset(deadline);
            ready!(self.sleep.as_mut().poll(cx));
            self.set = false;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
