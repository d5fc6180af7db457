//! What one thread has counted. Threads share nothing while they measure; their tallies are added up at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::process;

/// Counts and distributions, times in nanoseconds.
pub(super) struct Tally {
    /// What the scenario counts: answers, deliveries, connections, cycles.
    pub(super) done: u64,
    /// From when an event was due to its answer. Filled when tallies are added up, from the [`Series`]: one record for
    /// each answer is enough.
    pub(super) latency: Histogram<u64>,
    /// From when a broadcast was due to the last of its deliveries.
    pub(super) last: Histogram<u64>,
    /// From the beginning of a connection to its entry into the namespace. Survives [`Self::begin`].
    pub(super) connect: Histogram<u64>,
    /// How much later than due an event was sent though it could have been: the generator's own fault.
    pub(super) lag: Histogram<u64>,
    /// Latencies in the order of time.
    pub(super) series: Series,
    /// What went wrong, and how often. Survives [`Self::begin`].
    pub(super) faults: BTreeMap<String, u64>,
    /// What a scenario counts besides.
    pub(super) extras: BTreeMap<&'static str, u64>,
    /// Processor time: of this thread, later of all together.
    pub(super) busy: Duration,
    /// That of the busiest thread.
    pub(super) busiest: Duration,
    /// The measured time is over.
    is_over: bool,
}

impl Tally {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            done: 0,
            latency: histogram(3),
            last: histogram(3),
            connect: histogram(3),
            lag: histogram(3),
            series: Series::new(interval),
            faults: BTreeMap::new(),
            extras: BTreeMap::new(),
            busy: Duration::ZERO,
            busiest: Duration::ZERO,
            is_over: false,
        }
    }

    /// The measured time begins: what came before was warming up.
    pub(super) fn begin(&mut self, now: u64) {
        let before = std::mem::replace(self, Self::new(Duration::from_nanos(self.series.interval)));
        self.connect = before.connect;
        self.faults = before.faults;
        self.series.origin = now;
        self.busy = process::own_thread();
    }

    /// The measured time is over; what comes now is only waited for.
    pub(super) fn end(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.busy = process::own_thread().saturating_sub(self.busy);
            self.busiest = self.busy;
        }
    }

    /// One answer, so many nanoseconds after it was due.
    pub(super) fn answer(&mut self, nanoseconds: u64, now: u64) {
        if self.is_over {
            return;
        }
        self.done += 1;
        self.series.record(nanoseconds, now);
    }

    /// A connection came about after so many nanoseconds.
    pub(super) fn connect(&mut self, nanoseconds: u64) {
        record(&mut self.connect, nanoseconds);
    }

    /// A broadcast's last delivery came so many nanoseconds after it was due.
    pub(super) fn last(&mut self, nanoseconds: u64) {
        record(&mut self.last, nanoseconds);
    }

    /// An event left so many nanoseconds after it was due.
    pub(super) fn lag(&mut self, nanoseconds: u64) {
        record(&mut self.lag, nanoseconds);
    }

    pub(super) fn fault(&mut self, why: impl Into<String>) {
        // Reasons may carry what a server said. Few different ones are kept, so that a hostile one costs no memory.
        let why: String = why.into();
        let known = self.faults.contains_key(&why) || self.faults.len() < 20;
        *self.faults.entry(if known { why } else { "other".to_owned() }).or_default() += 1;
    }

    pub(super) fn extra(&mut self, name: &'static str, count: u64) {
        *self.extras.entry(name).or_default() += count;
    }

    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        for (mine, theirs) in
            [(&mut self.last, &other.last), (&mut self.connect, &other.connect), (&mut self.lag, &other.lag)]
        {
            // They resize themselves, so there is nothing that does not fit.
            let _ = mine.add(theirs);
        }
        for interval in &other.series.intervals {
            let _ = self.latency.add(interval);
        }
        self.series.add(other.series);
        self.busy += other.busy;
        self.busiest = self.busiest.max(other.busiest);
        for (why, count) in other.faults {
            *self.faults.entry(why).or_default() += count;
        }
        for (name, count) in other.extras {
            self.extra(name, count);
        }
    }
}

fn record(histogram: &mut Histogram<u64>, value: u64) {
    // It grows with what it is given: nothing does not fit.
    let _ = histogram.record(value);
}

/// A histogram that grows with what it is given.
fn histogram(digits: u8) -> Histogram<u64> {
    // Digits from 1 to 5 are always accepted.
    Histogram::new(digits).unwrap_or_else(|_| unreachable!("{digits} digits"))
}

/// One histogram for each interval of the measured time.
pub(super) struct Series {
    interval: u64,
    origin: u64,
    /// When the last of the intervals ends.
    end: u64,
    pub(super) intervals: Vec<Histogram<u64>>,
}

impl Series {
    fn new(interval: Duration) -> Self {
        Self { interval: interval.as_nanos().max(1) as u64, origin: 0, end: 0, intervals: Vec::new() }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.interval as f64 / 1e9
    }

    fn record(&mut self, value: u64, now: u64) {
        while now >= self.end && self.intervals.len() < MOST_INTERVALS {
            self.intervals.push(histogram(3));
            self.end = self.origin + self.interval * self.intervals.len() as u64;
        }
        // A run that nobody ends keeps what comes at last in one piece.
        if let Some(interval) = self.intervals.last_mut() {
            record(interval, value);
        }
    }

    fn add(&mut self, other: Self) {
        while self.intervals.len() < other.intervals.len() {
            self.intervals.push(histogram(3));
        }
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            let _ = mine.add(theirs);
        }
    }
}

const MOST_INTERVALS: usize = 200;
