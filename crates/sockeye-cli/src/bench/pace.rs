//! When something is due. An open loop keeps to this whatever the server does, and latency counts from the moment an
//! event was due: a server that stalls cannot make the generator ask less (no coordinated omission).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Events a second, constant or rising (or falling) evenly over the measured time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Rate {
    /// The share of one of `threads`.
    pub(super) fn divided(self, threads: usize) -> Self {
        Self { from: self.from / threads as f64, to: self.to / threads as f64 }
    }

    /// Where the ramp begins, kept up.
    pub(super) fn start(self) -> Self {
        Self { from: self.from, to: self.from }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a rate such as 5000, or a ramp such as 1000..20000".to_owned();
        let number = |text: &str| {
            text.trim().parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e8).ok_or_else(wrong)
        };
        match text.split_once("..") {
            Some((from, to)) => Ok(Self { from: number(from)?, to: number(to)? }),
            None => number(text).map(|rate| Self { from: rate, to: rate }),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else {
            write!(f, "{}..{}", self.from, self.to)
        }
    }
}

/// The moments at which events are due, in nanoseconds of the run's clock.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    rate: Rate,
    /// Seconds in which the rate changes.
    over: f64,
    origin: u64,
    /// Where between two events this schedule stands; several threads thus take turns.
    offset: f64,
    next: u64,
}

impl Schedule {
    /// Starts at `origin`. `turn`: which of how many equal schedules this one is.
    pub(super) fn new(rate: Rate, over: Duration, origin: u64, turn: (usize, usize)) -> Self {
        let over = over.as_secs_f64().max(1e-3);
        let offset = turn.0 as f64 / turn.1.max(1) as f64;
        Self { rate, over, origin, offset, next: 0 }
    }

    /// When the next event is due.
    pub(super) fn due(&self) -> u64 {
        let events = self.next as f64 + self.offset;
        let slope = (self.rate.to - self.rate.from) / self.over;
        // Events until t: from·t + slope·t²/2, solved for t; in the form that does not cancel out for small slopes.
        let root = (self.rate.from * self.rate.from + 2.0 * slope * events).max(0.0).sqrt();
        let seconds = 2.0 * events / (self.rate.from + root);
        self.origin + (seconds * 1e9) as u64
    }

    /// The event that was due has been taken care of.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(rate: &str, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(rate.parse().unwrap(), Duration::from_secs(10), 5, (0, 1));
        std::iter::repeat_with(|| {
            let due = schedule.due();
            schedule.advance();
            due
        })
        .take(count)
        .collect()
    }

    #[test]
    fn a_constant_rate_is_even() {
        assert_eq!(moments("1000", 4), [5, 1_000_005, 2_000_005, 3_000_005]);
    }

    #[test]
    fn a_ramp_has_as_many_events_as_its_mean_rate_says() {
        let moments = moments("100..300", 2001);
        let within = moments.iter().filter(|due| **due < 10_000_000_000).count();
        assert!((1999..=2001).contains(&within), "{within}");
        let gaps: Vec<u64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[1500] < gaps[500] && gaps[500] < gaps[0]);
    }

    #[test]
    fn threads_take_turns() {
        let rate = "1000".parse::<Rate>().unwrap().divided(2);
        let due = |turn| Schedule::new(rate, Duration::from_secs(1), 0, (turn, 2)).due();
        assert_eq!((due(0), due(1)), (0, 1_000_000));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "fast", "0", "-1", "1..", "nan", "inf"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
