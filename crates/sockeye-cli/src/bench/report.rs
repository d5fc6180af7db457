//! What came of a run: for people, for machines, for a README.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::args::Scenario;
use super::assertion::{Assertion, Metric};
use super::process::Usage;
use super::tally::Tally;

/// Everything that was measured.
pub(super) struct Report {
    pub(super) scenario: Scenario,
    pub(super) url: String,
    /// What the load was, for people.
    pub(super) load: String,
    /// The same for machines.
    pub(super) parameters: Value,
    pub(super) connections: usize,
    pub(super) tally: Tally,
    pub(super) elapsed: Duration,
    /// Processor time of this process in that time.
    pub(super) own: Duration,
    pub(super) threads: usize,
    pub(super) server: Option<Server>,
    /// The mean rate that an open loop was to have.
    pub(super) asked_rate: Option<f64>,
    pub(super) shows_series: bool,
    pub(super) is_interrupted: bool,
    pub(super) assertions: Vec<Assertion>,
}

/// The server's processes over the run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Server {
    /// Before the first connection of the load.
    pub(super) before: Usage,
    /// When measuring began, and when it ended.
    pub(super) start: Usage,
    pub(super) end: Usage,
    pub(super) peak: u64,
}

impl Server {
    fn cpu(&self) -> Duration {
        self.end.cpu().saturating_sub(self.start.cpu())
    }
}

impl Report {
    fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64().max(1e-9)
    }

    fn rate(&self) -> f64 {
        self.tally.done as f64 / self.seconds()
    }

    fn each(&self, time: Duration) -> Option<f64> {
        (self.tally.done > 0).then(|| time.as_nanos() as f64 / self.tally.done as f64)
    }

    fn extra(&self, name: &str) -> u64 {
        self.tally.extras.get(name).copied().unwrap_or_default()
    }

    fn errors(&self) -> u64 {
        self.tally.faults.values().sum::<u64>() + self.extra("lost") + self.extra("repeated")
    }

    fn busiest(&self) -> f64 {
        self.tally.busiest.as_secs_f64() / self.seconds()
    }

    fn memory_per_connection(&self) -> Option<f64> {
        let server = self.server.filter(|_| self.connections > 0)?;
        let with_all = match self.scenario {
            Scenario::Connect => server.end,
            // These have no moment at which all are there and nothing else has happened.
            Scenario::Churn | Scenario::ReconnectStorm => return None,
            _ => server.start,
        };
        Some((with_all.resident as f64 - server.before.resident as f64) / self.connections as f64)
    }

    /// A figure in its own unit; `None` if this run has no such figure.
    fn value(&self, metric: Metric) -> Option<f64> {
        let at = |histogram: &Histogram<u64>, quantile: f64| {
            (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64)
        };
        let latency = &self.tally.latency;
        match metric {
            Metric::P50 => at(latency, 0.5),
            Metric::P90 => at(latency, 0.9),
            Metric::P95 => at(latency, 0.95),
            Metric::P99 => at(latency, 0.99),
            Metric::P999 => at(latency, 0.999),
            Metric::Max => at(latency, 1.0),
            Metric::Mean => (!latency.is_empty()).then(|| latency.mean()),
            Metric::ConnectP99 => at(&self.tally.connect, 0.99),
            Metric::LastP99 => at(&self.tally.last, 0.99),
            Metric::Errors => Some(self.errors() as f64),
            Metric::ErrorRate => {
                let all = self.errors() + self.tally.done;
                Some(if all == 0 { 0.0 } else { self.errors() as f64 / all as f64 })
            }
            Metric::Rate => Some(self.rate()),
            Metric::Memory => self.server.map(|server| server.peak as f64),
            Metric::MemoryPerConnection => self.memory_per_connection(),
            Metric::Cpu => self.server.map(|server| server.cpu().as_secs_f64() / self.seconds()),
            Metric::CpuPerMessage => self.server.and_then(|server| self.each(server.cpu())),
        }
    }

    /// Each condition, its figure, and whether it holds. A figure that was not measured does not.
    fn verdicts(&self) -> Vec<(&Assertion, Option<f64>, bool)> {
        self.assertions
            .iter()
            .map(|assertion| {
                let value = self.value(assertion.metric);
                (assertion, value, value.is_some_and(|value| assertion.holds(value)))
            })
            .collect()
    }

    /// Whether every condition holds.
    pub(super) fn holds(&self) -> bool {
        self.verdicts().iter().all(|(.., holds)| *holds)
    }

    /// What a reader of the figures should know first.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.busiest() > 0.9 {
            warnings.push(format!(
                "the generator was the bottleneck: its busiest thread used {:.0} % of a processor; more --threads, or another machine",
                self.busiest() * 100.0
            ));
        }
        if let (Some(rate), false) = (self.asked_rate, self.is_interrupted)
            && self.rate() < rate * 0.98
            && self.tally.done > 0
        {
            warnings.push(format!("{} a second were asked for", count(rate)));
        }
        let late = self.tally.lag.value_at_quantile(0.99);
        if !self.tally.lag.is_empty()
            && late > 1_000_000
            && late * 10 > self.tally.latency.value_at_quantile(0.99)
        {
            warnings.push(format!(
                "the generator was late: one event in a hundred left {} after it was due; the latencies contain it",
                time(late as f64)
            ));
        }
        for (name, what) in [
            ("lost", "deliveries never came"),
            ("repeated", "deliveries came twice or out of order"),
            ("held_back", "times an event was due and every client had its --in-flight under way"),
        ] {
            if self.extra(name) > 0 {
                warnings.push(format!("{} {what}", count(self.extra(name) as f64)));
            }
        }
        if self.is_interrupted {
            warnings.push("interrupted: this is what was measured until then".to_owned());
        }
        warnings
    }

    /// The report as pairs, for text and Markdown.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        let counts = self.scenario.counts();
        rows.push((
            "measured",
            format!(
                "{:.1} s, {} {counts}, {}/s",
                self.seconds(),
                count(self.tally.done as f64),
                count(self.rate())
            ),
        ));
        let distribution = |histogram: &Histogram<u64>| {
            let at = |quantile: f64| time(histogram.value_at_quantile(quantile) as f64);
            format!(
                "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                time(histogram.max() as f64)
            )
        };
        for (name, histogram) in [
            ("latency", &self.tally.latency),
            ("last delivery", &self.tally.last),
            ("connecting", &self.tally.connect),
        ] {
            let is_repeated = name == "connecting" && self.scenario == Scenario::Connect;
            if !histogram.is_empty() && !is_repeated {
                rows.push((name, distribution(histogram)));
            }
        }
        let mut errors = match self.errors() {
            0 => "none".to_owned(),
            errors => count(errors as f64),
        };
        for (why, times) in self.tally.faults.iter().take(5) {
            let _ = write!(errors, "; {times} × {why}");
        }
        rows.push(("errors", errors));
        if self.scenario == Scenario::SlowConsumer {
            rows.push((
                "slow clients",
                format!(
                    "{} closed by the server, {} left open; {} messages were read from them in the end",
                    self.extra("slow_closed"),
                    self.extra("slow_open"),
                    count(self.extra("slow_received") as f64)
                ),
            ));
        }
        let mut own = match self.each(self.own) {
            Some(each) => format!("{} of processor each, ", time(each)),
            None => String::new(),
        };
        let _ = write!(
            own,
            "{:.2} processors, {} thread{}, the busiest {:.0} %",
            self.own.as_secs_f64() / self.seconds(),
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            self.busiest() * 100.0
        );
        if !self.tally.lag.is_empty() {
            let _ = write!(own, "; sent late p99 {}", time(self.tally.lag.value_at_quantile(0.99) as f64));
        }
        rows.push(("generator", own));
        if let Some(server) = self.server {
            let mut line = match self.each(server.cpu()) {
                Some(each) => format!("{} of processor each, ", time(each)),
                None => String::new(),
            };
            let system = server.end.system.saturating_sub(server.start.system).as_secs_f64();
            let _ = write!(
                line,
                "{:.2} processors ({:.2} in the kernel); {} resident, {} at most",
                server.cpu().as_secs_f64() / self.seconds(),
                system / self.seconds(),
                bytes(server.end.resident as f64),
                bytes(server.peak as f64)
            );
            if let Some(each) = self.memory_per_connection() {
                let _ = write!(line, ", {} per connection", bytes(each));
            }
            rows.push(("server", line));
        }
        rows
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = format!("{} {} · {}\n", self.scenario, self.url, self.load);
        for (name, value) in self.rows() {
            let _ = writeln!(out, "  {name:<14}{value}");
        }
        for (from, to, done, p50, p99) in self.series() {
            let _ = writeln!(out, "  {from:>5.1}–{to:<5.1} s  {done}/s, p50 {p50}, p99 {p99}");
        }
        for warning in self.warnings() {
            let _ = writeln!(out, "  warning       {warning}");
        }
        for (assertion, value, holds) in self.verdicts() {
            let _ = writeln!(out, "  assert        {}", verdict(assertion, value, holds));
        }
        out
    }

    /// A table, and what is to be said below it.
    pub(super) fn markdown(&self) -> String {
        let mut out = format!("**{}**, {}\n\n| | |\n|---|---|\n", self.scenario, self.load);
        for (name, value) in self.rows() {
            let _ = writeln!(out, "| {name} | {} |", value.replace('|', "\\|"));
        }
        let series = self.series();
        if !series.is_empty() {
            let _ =
                writeln!(out, "\n| seconds | {}/s | p50 | p99 |\n|---|---|---|---|", self.scenario.counts());
            for (from, to, done, p50, p99) in series {
                let _ = writeln!(out, "| {from:.1}–{to:.1} | {done} | {p50} | {p99} |");
            }
        }
        let verdicts = self.verdicts();
        let notes = self
            .warnings()
            .into_iter()
            .chain(verdicts.into_iter().map(|(assertion, value, holds)| verdict(assertion, value, holds)));
        for (at, note) in notes.enumerate() {
            let _ = writeln!(out, "{}- {note}", if at == 0 { "\n" } else { "" });
        }
        out
    }

    /// Intervals of a ramp: from, to, rate, p50, p99.
    fn series(&self) -> Vec<(f64, f64, String, String, String)> {
        if !self.shows_series {
            return Vec::new();
        }
        let step = self.tally.series.seconds();
        self.tally
            .series
            .intervals
            .iter()
            .enumerate()
            .filter(|(_, interval)| !interval.is_empty())
            .map(|(at, interval)| {
                let from = at as f64 * step;
                (
                    from,
                    from + step,
                    count(interval.len() as f64 / step),
                    time(interval.value_at_quantile(0.5) as f64),
                    time(interval.value_at_quantile(0.99) as f64),
                )
            })
            .collect()
    }

    /// For machines: times in microseconds, memory in bytes, processor time in seconds.
    pub(super) fn json(&self) -> String {
        let verdicts: Vec<Value> = self
            .verdicts()
            .into_iter()
            .map(|(assertion, value, holds)| json!({"condition": assertion.to_string(), "value": value, "holds": holds}))
            .collect();
        let step = self.tally.series.seconds();
        let series: Vec<Value> = self
            .tally
            .series
            .intervals
            .iter()
            .enumerate()
            .map(|(at, interval)| {
                json!({
                    "from_s": at as f64 * step,
                    "rate": interval.len() as f64 / step,
                    "p50_us": microseconds(interval.value_at_quantile(0.5)),
                    "p99_us": microseconds(interval.value_at_quantile(0.99)),
                })
            })
            .collect();
        let server = self.server.map(|server| {
            json!({
                "cpu_s": server.cpu().as_secs_f64(),
                "cpu_system_s": server.end.system.saturating_sub(server.start.system).as_secs_f64(),
                "cpu_share": server.cpu().as_secs_f64() / self.seconds(),
                "cpu_us_each": self.each(server.cpu()).map(|each| each / 1e3),
                "resident_before": server.before.resident,
                "resident_start": server.start.resident,
                "resident_end": server.end.resident,
                "resident_peak": server.peak,
                "resident_per_connection": self.memory_per_connection(),
            })
        });
        let report = json!({
            "scenario": self.scenario.to_string(),
            "url": self.url,
            "parameters": self.parameters,
            "connections": self.connections,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "counts": self.scenario.counts(),
            "done": self.tally.done,
            "rate": self.rate(),
            "latency_us": distribution(&self.tally.latency),
            "last_delivery_us": distribution(&self.tally.last),
            "connect_us": distribution(&self.tally.connect),
            "errors": self.errors(),
            "failures": self.tally.faults,
            "extras": self.tally.extras,
            "generator": {
                "cpu_s": self.own.as_secs_f64(),
                "cpu_share": self.own.as_secs_f64() / self.seconds(),
                "cpu_us_each": self.each(self.own).map(|each| each / 1e3),
                "threads": self.threads,
                "busiest_thread": self.busiest(),
                "lag_us": distribution(&self.tally.lag),
            },
            "server": server,
            "series": series,
            "asserts": verdicts,
            "warnings": self.warnings(),
            "interrupted": self.is_interrupted,
        });
        format!("{report}\n")
    }
}

fn verdict(assertion: &Assertion, value: Option<f64>, holds: bool) -> String {
    match (value, holds) {
        (Some(value), true) => format!("{assertion} holds: {}", assertion.shown(value)),
        (Some(value), false) => format!("{assertion} DOES NOT HOLD: {}", assertion.shown(value)),
        (None, _) => format!("{assertion} DOES NOT HOLD: nothing of the kind was measured"),
    }
}

fn distribution(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let at = |quantile: f64| microseconds(histogram.value_at_quantile(quantile));
    json!({
        "count": histogram.len(),
        "mean": histogram.mean() / 1e3,
        "p50": at(0.5),
        "p90": at(0.9),
        "p95": at(0.95),
        "p99": at(0.99),
        "p999": at(0.999),
        "max": microseconds(histogram.max()),
    })
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

/// Nanoseconds as people read them.
pub(super) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        value if value < 1e3 => format!("{value:.0} ns"),
        value if value < 1e6 => format!("{} µs", three(value / 1e3)),
        value if value < 1e9 => format!("{} ms", three(value / 1e6)),
        value => format!("{} s", three(value / 1e9)),
    }
}

/// Bytes as people read them.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes.abs() {
        size if size < 1024.0 => format!("{bytes:.0} B"),
        size if size < 1_048_576.0 => format!("{} KiB", three(bytes / 1024.0)),
        size if size < 1_073_741_824.0 => format!("{} MiB", three(bytes / 1_048_576.0)),
        _ => format!("{} GiB", three(bytes / 1_073_741_824.0)),
    }
}

/// Three digits that say something.
fn three(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A count with its thousands apart.
fn count(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        assert_eq!(time(950.0), "950 ns");
        assert_eq!(time(1_234_567.0), "1.23 ms");
        assert_eq!(bytes(3_221_225.0), "3.07 MiB");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(count(12.5), "12.5");
    }
}
