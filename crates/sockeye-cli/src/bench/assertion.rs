//! `--assert 'p99<20ms'`: what must hold for the run to count as passed, read before it starts.

use std::fmt;
use std::str::FromStr;

/// One condition on one figure of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assertion {
    text: String,
    pub(super) metric: Metric,
    comparison: Comparison,
    /// In the metric's unit: nanoseconds, bytes, a second's count, a share.
    limit: f64,
}

/// What can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    P50,
    P90,
    P95,
    P99,
    P999,
    Max,
    Mean,
    /// Of making connections.
    ConnectP99,
    /// Of a broadcast's last delivery.
    LastP99,
    /// Failed connections, and messages that were lost or came twice.
    Errors,
    /// The same as a share of what was done.
    ErrorRate,
    /// What was done in a second.
    Rate,
    /// The server's resident memory at its highest.
    Memory,
    /// Its growth over the ramp, for each connection.
    MemoryPerConnection,
    /// Processors the server used.
    Cpu,
    /// The server's processor time for each thing done.
    CpuPerMessage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Time,
    Bytes,
    Count,
    Share,
}

const METRICS: &[(&str, Metric, Unit)] = &[
    ("p50", Metric::P50, Unit::Time),
    ("p90", Metric::P90, Unit::Time),
    ("p95", Metric::P95, Unit::Time),
    ("p99", Metric::P99, Unit::Time),
    ("p999", Metric::P999, Unit::Time),
    ("max", Metric::Max, Unit::Time),
    ("mean", Metric::Mean, Unit::Time),
    ("connect_p99", Metric::ConnectP99, Unit::Time),
    ("last_p99", Metric::LastP99, Unit::Time),
    ("errors", Metric::Errors, Unit::Count),
    ("error_rate", Metric::ErrorRate, Unit::Share),
    ("rate", Metric::Rate, Unit::Count),
    ("memory", Metric::Memory, Unit::Bytes),
    ("memory_per_connection", Metric::MemoryPerConnection, Unit::Bytes),
    ("cpu", Metric::Cpu, Unit::Share),
    ("cpu_per_message", Metric::CpuPerMessage, Unit::Time),
];

const UNITS: &[(&str, Unit, f64)] = &[
    ("ns", Unit::Time, 1.0),
    ("us", Unit::Time, 1e3),
    ("µs", Unit::Time, 1e3),
    ("ms", Unit::Time, 1e6),
    ("s", Unit::Time, 1e9),
    ("B", Unit::Bytes, 1.0),
    ("KB", Unit::Bytes, 1e3),
    ("MB", Unit::Bytes, 1e6),
    ("GB", Unit::Bytes, 1e9),
    ("KiB", Unit::Bytes, 1024.0),
    ("MiB", Unit::Bytes, 1_048_576.0),
    ("GiB", Unit::Bytes, 1_073_741_824.0),
    ("", Unit::Count, 1.0),
    ("/s", Unit::Count, 1.0),
    ("k", Unit::Count, 1e3),
    ("k/s", Unit::Count, 1e3),
    ("M", Unit::Count, 1e6),
    ("", Unit::Share, 1.0),
    ("%", Unit::Share, 0.01),
];

impl Assertion {
    pub(super) fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::More => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Equal => value == self.limit,
        }
    }

    /// Whether it can only be answered with `--pid`.
    pub(super) fn needs_server(&self) -> bool {
        matches!(
            self.metric,
            Metric::Memory | Metric::MemoryPerConnection | Metric::Cpu | Metric::CpuPerMessage
        )
    }

    /// A value in the unit people read.
    pub(super) fn shown(&self, value: f64) -> String {
        match METRICS.iter().find(|(_, metric, _)| *metric == self.metric).map(|(_, _, unit)| *unit) {
            Some(Unit::Time) => super::report::time(value),
            Some(Unit::Bytes) => super::report::bytes(value),
            _ if value.fract() == 0.0 => format!("{value}"),
            _ => format!("{value:.4}"),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |what: String| format!("{what}; write for instance p99<20ms, errors==0 or rate>=5k/s");
        let at = text.find(['<', '>', '=']).ok_or_else(|| bad("no comparison".to_owned()))?;
        let (name, rest) = text.split_at(at);
        let (comparison, rest) = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("==", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
        ]
        .iter()
        .find_map(|(sign, comparison)| rest.strip_prefix(sign).map(|rest| (*comparison, rest.trim())))
        .ok_or_else(|| bad("no comparison".to_owned()))?;
        let name = name.trim();
        let (_, metric, unit) = METRICS.iter().find(|(known, ..)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = METRICS.iter().map(|(known, ..)| *known).collect();
            format!("{name:?} is not measured; one of {}", known.join(", "))
        })?;
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad(format!("{number:?} is not a number")))?;
        let (_, _, factor) = UNITS
            .iter()
            .find(|(known, of, _)| of == unit && *known == suffix.trim())
            .ok_or_else(|| bad(format!("{:?} is not a unit of {name}", suffix.trim())))?;
        Ok(Self { text: text.to_owned(), metric: *metric, comparison, limit: number * factor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_with_their_units() {
        for (text, metric, holds, fails) in [
            ("p99<20ms", Metric::P99, 19.9e6, 20e6),
            ("p50 <= 150us", Metric::P50, 150e3, 151e3),
            ("errors==0", Metric::Errors, 0.0, 1.0),
            ("error_rate<1%", Metric::ErrorRate, 0.009, 0.01),
            ("rate>=5k/s", Metric::Rate, 5000.0, 4999.0),
            ("memory<100MiB", Metric::Memory, 1e8, 1.1e8),
            ("cpu<0.5", Metric::Cpu, 0.4, 0.5),
        ] {
            let assertion: Assertion = text.parse().unwrap();
            assert_eq!(assertion.metric, metric, "{text}");
            assert!(assertion.holds(holds) && !assertion.holds(fails), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (text, reason) in [
            ("p99", "no comparison"),
            ("p42<1ms", "not measured"),
            ("p99<20", "not a unit"),
            ("p99<20MB", "not a unit"),
            ("errors<ms", "not a number"),
        ] {
            let error = text.parse::<Assertion>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
