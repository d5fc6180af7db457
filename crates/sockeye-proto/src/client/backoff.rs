//! How long to wait before the next attempt to connect.

use core::time::Duration;

/// The plan for reconnecting. Defaults as in the reference: 1 s, at most 5 s, ± half, for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reconnection {
    /// The first delay. At least 1 ms, whatever is given.
    pub min: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// How far a delay may stray from the plan, 0 to 1; anything else means 0.
    pub jitter: f64,
    /// How many attempts before giving up. `None`: never.
    pub attempts: Option<u32>,
    /// How long a connection has to hold until the next delay is the shortest again. Default one minute: a server
    /// that accepts and drops at once would otherwise be asked at the shortest delay for ever.
    pub stable: Duration,
}

impl Default for Reconnection {
    fn default() -> Reconnection {
        Reconnection {
            min: Duration::from_secs(1),
            max: Duration::from_secs(5),
            jitter: 0.5,
            attempts: None,
            stable: Duration::from_secs(60),
        }
    }
}

/// Where a client stands in its [`Reconnection`] plan.
///
/// Two defects of the reference are absent. Its power of two overflows after a thousand attempts, and from then on
/// every other delay is nothing at all; here the doubling ends at the ceiling. And at the ceiling it has no jitter,
/// so that a crowd of clients comes back in step; here the upper half of the spread is cut off and the lower stays.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    plan: Reconnection,
    /// Random numbers, spun out of the one that the driver gave.
    dice: u64,
    /// What the next delay is spread around.
    next: Duration,
}

impl Backoff {
    /// Begins with the shortest delay. `random` must differ between clients.
    pub fn new(plan: Reconnection, random: u64) -> Backoff {
        Backoff { plan, dice: random, next: shortest(&plan) }
    }

    /// The delay before the next attempt: evenly spread over plan ± jitter, where the plan doubles each time.
    pub fn delay(&mut self) -> Duration {
        let plan = self.next.min(self.plan.max);
        // Stops at the ceiling.
        self.next = plan.saturating_mul(2).min(self.plan.max.max(plan));
        let jitter = if self.plan.jitter > 0.0 && self.plan.jitter <= 1.0 { self.plan.jitter } else { 0.0 };
        let middle = plan.as_secs_f64();
        let low = middle * (1.0 - jitter);
        let high = (middle * (1.0 + jitter)).min(self.plan.max.as_secs_f64());
        Duration::try_from_secs_f64(low + self.roll() * (high - low)).unwrap_or(plan)
    }

    /// The connection held long enough to be trusted: the next delay is the shortest again.
    pub fn settle(&mut self) {
        self.next = shortest(&self.plan);
    }

    /// 0 to 1, from the next of a sequence (splitmix64) that begins where the driver said.
    fn roll(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

fn shortest(plan: &Reconnection) -> Duration {
    plan.min.max(Duration::from_millis(1))
}
