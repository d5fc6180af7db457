//! What is counted. Every set of names is closed: no label ever comes from a peer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::reason::{self, Reason};
use crate::refused::Cause;

/// The counters, shared by everything in one engine.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicUsize,
    pub(crate) unsettled: AtomicUsize,
    pub(crate) tasks: AtomicUsize,
    pub(crate) opened: AtomicU64,
    pub(crate) upgraded: AtomicU64,
    pub(crate) upgrades_failed: AtomicU64,
    pub(crate) volatile_dropped: AtomicU64,
    pub(crate) overflows: AtomicU64,
    pub(crate) compressed: AtomicU64,
    pub(crate) rejected: [AtomicU64; Cause::ALL.len()],
    pub(crate) closed: [AtomicU64; reason::NAMES.len()],
}

impl Counters {
    pub(crate) fn rejected(&self, cause: Cause) {
        self.rejected[cause.index()].fetch_add(1, Relaxed);
    }

    pub(crate) fn closed(&self, reason: &Reason) {
        self.closed[reason.index()].fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            sessions: self.sessions.load(Relaxed),
            unsettled: self.unsettled.load(Relaxed),
            tasks: self.tasks.load(Relaxed),
            opened: self.opened.load(Relaxed),
            upgraded: self.upgraded.load(Relaxed),
            upgrades_failed: self.upgrades_failed.load(Relaxed),
            volatile_dropped: self.volatile_dropped.load(Relaxed),
            overflows: self.overflows.load(Relaxed),
            compressed: self.compressed.load(Relaxed),
            rejected: Cause::ALL.map(|cause| (cause.name(), self.rejected[cause.index()].load(Relaxed))),
            closed: std::array::from_fn(|at| (reason::NAMES[at], self.closed[at].load(Relaxed))),
        }
    }
}

/// A snapshot of an engine's counters. Those without "now" only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions now.
    pub sessions: usize,
    /// Sessions now that the application has not settled.
    pub unsettled: usize,
    /// Tasks of this engine now. Zero when all clients are gone.
    pub tasks: usize,
    /// Sessions opened.
    pub opened: u64,
    /// Upgrades completed.
    pub upgraded: u64,
    /// Upgrades begun and not completed.
    pub upgrades_failed: u64,
    /// Volatile batches dropped because the peer was not writable.
    pub volatile_dropped: u64,
    /// Batches refused because the outbox was full.
    pub overflows: u64,
    /// Messages that were compressed for WebSockets. One that goes to many peers without context takeover is
    /// compressed once for all of them.
    pub compressed: u64,
    /// Requests refused, by cause.
    pub rejected: [(&'static str, u64); 23],
    /// Sessions closed, by reason.
    pub closed: [(&'static str, u64); 12],
}
