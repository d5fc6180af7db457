//! How many events a client may send.

use std::time::Duration;

use tokio::time::Instant;

/// A limit on the events each socket may send: [`ServerBuilder::event_rate`](crate::ServerBuilder::event_rate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRate {
    /// Events per second in the long run.
    pub per_second: u32,
    /// How many may come at once after a quiet time.
    pub burst: u32,
    /// What happens to those beyond.
    pub excess: Excess,
}

/// What happens to an event beyond the [`EventRate`]. All are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Excess {
    /// It is dropped.
    Drop,
    /// It is dropped, and a client that awaits an answer gets an error answer: `too many events`.
    #[default]
    Refuse,
    /// The socket is disconnected, with the reason `rate limit`.
    Disconnect,
}

impl EventRate {
    /// So many events per second, twice as many at once; beyond, they are refused.
    pub fn per_second(per_second: u32) -> Self {
        Self { per_second, burst: per_second.saturating_mul(2).max(1), excess: Excess::Refuse }
    }

    /// See [`burst`](Self::burst).
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// See [`excess`](Self::excess).
    #[must_use]
    pub fn excess(mut self, excess: Excess) -> Self {
        self.excess = excess;
        self
    }
}

/// A token bucket in whole nanoseconds: the moment at which it will be full again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket(Instant);

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self(now)
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant, rate: &EventRate) -> bool {
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let full_at = self.0.max(now) + each;
        let allowed = full_at.duration_since(now) <= each * rate.burst.max(1);
        if allowed {
            self.0 = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let rate = EventRate::per_second(10).burst(3);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::full(start);
        let mut take = |millis| bucket.take(at(millis), &rate);
        assert_eq!([take(0), take(0), take(0), take(0)], [true, true, true, false]);
        assert_eq!([take(99), take(100), take(150), take(200)], [false, true, false, true]);
        assert_eq!([take(9_000), take(9_000), take(9_000), take(9_000)], [true, true, true, false]);
    }
}
