//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Longer each time, and never the same for two servers: all lose Redis at the same moment, and must not come back at
/// the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// After a failure: up to 100 ms, and twice as long each time, up to 5 s; at least half of that.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failed.min(16)).min(LONGEST);
        self.failed = self.failed.saturating_add(1);
        let mut dice = [0; 4];
        // Without dice all wait equally long, which is a pity and no harm.
        let _ = getrandom::fill(&mut dice);
        whole / 2 + (whole / 2).mul_f64(f64::from(u32::from_le_bytes(dice)) / f64::from(u32::MAX))
    }

    /// After a success that lasted.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_bounds_and_starts_again() {
        let mut backoff = Backoff::default();
        for attempt in 0..40 {
            let whole = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
            let wait = backoff.next();
            assert!(wait >= whole / 2 && wait <= whole, "{attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
