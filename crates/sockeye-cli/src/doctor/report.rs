//! What the doctor tells: steps as they are done, and findings. Nothing of a server's answer reaches a terminal
//! unescaped.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should.
    Good,
    /// It works, but something about it is worth mending.
    Poor,
    /// It does not work.
    Bad,
    /// There was nothing to look at.
    Skipped,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Clients can connect, but not as they could.
    Degraded,
    /// Clients that begin as this one did cannot connect.
    Broken,
}

/// One step, done.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    name: &'static str,
    outcome: Outcome,
    /// How long it took, in milliseconds.
    ms: f64,
    detail: String,
    /// What was asked and answered, one line each, escaped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exchange: Vec<String>,
}

/// A cause, with what shows it and what mends it.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Its name, for scripts: see `sockeye doctor --help`.
    pub(super) cause: &'static str,
    pub(super) severity: Severity,
    /// One sentence.
    what: String,
    /// What was seen that says so.
    seen: Vec<String>,
    /// What to do about it, most likely first.
    fix: Vec<String>,
}

impl Finding {
    /// Clients cannot connect.
    pub(super) fn broken(cause: &'static str, what: impl Into<String>) -> Finding {
        Finding { cause, severity: Severity::Broken, what: what.into(), seen: Vec::new(), fix: Vec::new() }
    }

    /// Clients can, but not as they could.
    pub(super) fn degraded(cause: &'static str, what: impl Into<String>) -> Finding {
        Finding { severity: Severity::Degraded, ..Finding::broken(cause, what) }
    }

    /// The same, where something else still works.
    pub(super) fn degraded_only(self) -> Finding {
        Finding { severity: Severity::Degraded, ..self }
    }

    /// Adds something that shows it.
    pub(super) fn seen(mut self, what: impl Into<String>) -> Finding {
        self.seen.push(what.into());
        self
    }

    /// Adds something that mends it.
    pub(super) fn fix(mut self, what: impl Into<String>) -> Finding {
        self.fix.push(what.into());
        self
    }
}

/// Everything that was found, told as it is found unless it is to be JSON.
pub(super) struct Report {
    url: String,
    namespace: String,
    path: String,
    steps: Vec<Step>,
    findings: Vec<Finding>,
    exchange: Vec<String>,
    told: Told,
}

/// How it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// For people.
    Text {
        /// With the exchange of every step, not only of the bad ones.
        verbose: bool,
    },
    /// For programs, whole at the end.
    Json,
}

impl Report {
    pub(super) fn new(target: &crate::options::Target, told: Told) -> Report {
        let report = Report {
            url: target.to_string(),
            namespace: target.namespace.clone(),
            path: target.path.clone(),
            steps: Vec::new(),
            findings: Vec::new(),
            exchange: Vec::new(),
            told,
        };
        report.say(&format!(
            "{} {}\n",
            paint(BOLD, target.origin()),
            paint(DIM, format!("namespace {}, path {}", report.namespace, report.path))
        ));
        report
    }

    /// Notes a line of what the current step asked or was answered.
    pub(super) fn exchanged(&mut self, line: impl AsRef<str>) {
        // A step that goes on for ever does not fill our memory.
        if self.exchange.len() < 200 {
            self.exchange.push(escaped(line.as_ref(), 400));
        }
    }

    /// A step is done.
    pub(super) fn step(
        &mut self,
        name: &'static str,
        outcome: Outcome,
        took: Duration,
        detail: impl AsRef<str>,
    ) {
        let step = Step {
            name,
            outcome,
            ms: (took.as_secs_f64() * 1e5).round() / 100.0,
            detail: escaped(detail.as_ref(), 300),
            exchange: std::mem::take(&mut self.exchange),
        };
        let sign = match outcome {
            Outcome::Good => paint(GREEN, "✓"),
            Outcome::Poor => paint(YELLOW, "!"),
            Outcome::Bad => paint(RED, "✗"),
            Outcome::Skipped => paint(DIM, "-"),
        };
        let took = match outcome {
            Outcome::Skipped => String::new(),
            _ => format!("{:.1} ms", step.ms),
        };
        self.say(&format!("  {sign} {:<10} {took:>10}  {}", step.name, step.detail));
        let verbose = matches!(self.told, Told::Text { verbose: true });
        if verbose || outcome == Outcome::Bad {
            for line in &step.exchange {
                self.say(&paint(DIM, format!("      {line}")));
            }
        }
        self.steps.push(step);
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Tells the findings, and how bad it is.
    pub(super) fn finish(mut self) -> Option<Severity> {
        for finding in &mut self.findings {
            finding.what = escaped(&finding.what, 400);
            finding.seen.iter_mut().for_each(|line| *line = escaped(line, 400));
        }
        // The worst first: it is the one to mend.
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let worst = self.findings.first().map(|finding| finding.severity);
        let verdict = match worst {
            None => "healthy",
            Some(Severity::Degraded) => "degraded",
            Some(Severity::Broken) => "broken",
        };
        if self.told == Told::Json {
            let whole = serde_json::json!({
                "url": self.url, "namespace": self.namespace, "path": self.path,
                "verdict": verdict, "steps": self.steps, "findings": self.findings,
            });
            // Whoever has stopped reading needs no complaint.
            let _ = writeln!(std::io::stdout(), "{whole:#}");
            return worst;
        }
        for finding in &self.findings {
            let sign = match finding.severity {
                Severity::Broken => paint(RED, format!("✗ {}", finding.cause)),
                Severity::Degraded => paint(YELLOW, format!("! {}", finding.cause)),
            };
            self.say(&format!("\n{sign}: {}", finding.what));
            finding.seen.iter().for_each(|line| self.say(&format!("  seen  {line}")));
            finding.fix.iter().for_each(|line| self.say(&format!("  {}   {line}", paint(GREEN, "fix"))));
        }
        if worst.is_none() {
            self.say(&paint(
                GREEN,
                "\nNothing is wrong: clients can connect on every transport that was tried.",
            ));
        }
        worst
    }

    fn say(&self, line: &str) {
        if self.told != Told::Json {
            // As above. `anstream` takes the colours out where it is no terminal.
            let _ = writeln!(anstream::stdout(), "{line}");
        }
    }
}

/// Text of a stranger, on one line, without control characters and not endless.
pub(crate) fn escaped(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == longest {
            out.push('…');
            break;
        }
        match character {
            // Beside the controls, what turns the direction of a line around.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(character.escape_unicode());
            }
            character if character.is_control() => out.extend(character.escape_default()),
            character => out.push(character),
        }
    }
    out
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

fn paint(colour: &str, text: impl AsRef<str>) -> String {
    format!("\u{1b}[{colour}m{}\u{1b}[0m", text.as_ref())
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_control_reaches_a_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\r\n\u{9b}\u{202e}ü", 99), "a\\u{1b}[2Jb\\r\\n\\u{9b}\\u{202e}ü");
        assert_eq!(escaped("abcdef", 3), "abc…");
    }
}
