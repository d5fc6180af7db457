//! What the threads of a run tell each other: the phase, and a few counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use mio::Waker;

/// Where a run is. Phases only go forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Connections are being made.
    Ramp,
    /// The load is on, and not measured yet.
    Warmup,
    /// The load is measured.
    Measure,
    /// What clients that did not read were left with is counted.
    Drain,
    /// Over.
    Stop,
}

/// One for all threads of a run.
pub(super) struct Shared {
    start: Instant,
    phase: AtomicU8,
    /// Connections that are up and ready for the load.
    pub(super) up: AtomicUsize,
    /// Connections that failed.
    pub(super) failed: AtomicUsize,
    /// Threads that have nothing left to do.
    pub(super) finished: AtomicUsize,
    /// What has been done, for the progress bar.
    pub(super) done: AtomicU64,
    wakers: Vec<Arc<Waker>>,
}

impl Shared {
    pub(super) fn new(wakers: Vec<Arc<Waker>>) -> Self {
        Self {
            start: Instant::now(),
            phase: AtomicU8::new(Phase::Ramp as u8),
            up: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            wakers,
        }
    }

    /// Nanoseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Ramp,
            1 => Phase::Warmup,
            2 => Phase::Measure,
            3 => Phase::Drain,
            _ => Phase::Stop,
        }
    }

    /// Goes on to a phase and tells every thread.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        for thread in 0..self.wakers.len() {
            self.wake(thread);
        }
    }

    pub(super) fn wake(&self, thread: usize) {
        if let Some(waker) = self.wakers.get(thread) {
            // A thread that cannot be woken has ended.
            let _ = waker.wake();
        }
    }
}
