//! What is counted. Every set of names is closed: no label ever comes from a peer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::cluster::NodeStats;

macro_rules! counters {
    ($(#[$doc:meta] $name:ident)*) => {
        /// The hall's counters, shared by everything in one server.
        #[derive(Default)]
        pub(crate) struct Counters {
            /// Handlers and other work of the application that go on in tasks of their own, now.
            pub(crate) tasks: AtomicUsize,
            /// Sockets now, in all namespaces.
            pub(crate) sockets: AtomicUsize,
            /// CONNECTs whose verdict is still out, now.
            pub(crate) connecting: AtomicUsize,
            $(pub(crate) $name: AtomicU64,)*
        }

        /// A snapshot of a server's counters ([`Server::stats`](crate::Server::stats)). Those without "now" only grow.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            /// The engine's counters: sessions, refusals, closes by reason.
            pub engine: sockeye_engine::Stats,
            /// Namespaces now.
            pub namespaces: usize,
            /// Sockets now, in all namespaces.
            pub sockets: usize,
            /// CONNECTs whose verdict is still out, now.
            pub connecting: usize,
            /// Rooms now, in all namespaces, own rooms of sockets included.
            pub rooms: usize,
            /// Acks awaited now, of all sockets.
            pub acks: usize,
            /// Handlers that go on in tasks of their own, now.
            pub tasks: usize,
            /// Sessions kept for connection state recovery now.
            pub recovery_sessions: usize,
            /// Bytes kept for connection state recovery now.
            pub recovery_bytes: usize,
            /// What went between this server and others; all zero if it is alone.
            pub cluster: NodeStats,
            $(#[$doc] pub $name: u64,)*
        }

        impl Counters {
            /// Everything that only needs a look at the counters; the caller fills in the rest.
            pub(crate) fn snapshot(&self, engine: sockeye_engine::Stats) -> Stats {
                Stats {
                    engine,
                    namespaces: 0,
                    sockets: self.sockets.load(Relaxed),
                    connecting: self.connecting.load(Relaxed),
                    rooms: 0,
                    acks: 0,
                    tasks: self.tasks.load(Relaxed),
                    recovery_sessions: 0,
                    recovery_bytes: 0,
                    cluster: NodeStats::default(),
                    $($name: self.$name.load(Relaxed),)*
                }
            }
        }
    };
}

counters! {
    /// Sockets connected.
    connected
    /// CONNECTs refused: unknown namespace, limits, middleware.
    refused
    /// Sockets recovered.
    recovered
    /// CONNECTs that asked for recovery and got a fresh socket.
    not_recovered
    /// Events received.
    events
    /// Events beyond the event rate.
    too_many_events
    /// Events that nobody listens to.
    unheard
    /// Events whose payload did not fit a handler.
    mismatches
    /// Handlers, middlewares and listeners that panicked.
    panics
    /// Acks that answered nothing: late, twice, or never asked for.
    stray_acks
    /// Sessions closed because the client sent what does not decode or has no business there.
    violations
    /// Emits refused because the outbox was full; the caller was told.
    full
    /// Recipients of broadcasts closed as slow consumers.
    slow_consumers
    /// Volatile packets dropped because the recipient was not writable.
    volatile_dropped
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
