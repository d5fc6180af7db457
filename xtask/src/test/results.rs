//! Counting what other programs' test runners report.

/// How many tests ended how.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// Why something was skipped or could not be run: shown at the end.
    pub(crate) notes: Vec<String>,
}

impl Totals {
    /// One failure: a suite that could not run.
    pub(crate) fn broken(why: String) -> Self {
        Self { failed: 1, notes: vec![format!("FAILED {why}")], ..Self::default() }
    }

    /// One skipped test: a suite that there is nothing to run of.
    pub(crate) fn nothing(why: String) -> Self {
        Self { skipped: 1, notes: vec![format!("skipped: {why}")], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Totals) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.notes.extend(other.notes);
    }

    /// Reads one line of a cargo test run.
    pub(crate) fn cargo_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += before(counts, " passed");
            self.failed += before(counts, " failed");
            self.skipped += before(counts, " ignored");
        } else if let Some(test) = line.strip_prefix("test ") {
            if test.ends_with("... FAILED") {
                self.notes.push(format!("FAILED {}", test.trim_end_matches("... FAILED").trim()));
            } else if let Some((name, reason)) = test.split_once(" ... ignored") {
                let reason = reason.trim_start_matches(',').trim();
                let reason = if reason.is_empty() { "no reason given" } else { reason };
                self.notes.push(format!("skipped {name}: {reason}"));
            }
        }
    }

    /// Reads one line of Node's test runner, in its `spec` form.
    pub(crate) fn node_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some((what, count)) =
            line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")).and_then(|l| l.split_once(' '))
        {
            let Ok(count) = count.trim().parse::<usize>() else { return };
            match what {
                "pass" => self.passed += count,
                "fail" | "cancelled" => self.failed += count,
                "skipped" | "todo" => self.skipped += count,
                _ => {}
            }
        } else if let Some(test) = line.strip_prefix("﹣ ") {
            let note = match test.split_once(" # ") {
                Some((name, reason)) => format!("skipped {}: {reason}", without_time(name)),
                None => format!("skipped {}: no reason given", without_time(test)),
            };
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        } else if let Some(test) = line.strip_prefix("✖ ").filter(|test| test.ends_with("ms)")) {
            // The runner lists failures twice: where they happen, and at its end.
            let note = format!("FAILED {}", without_time(test));
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Reads a line of the form of our own last line, from a runner of ours.
    pub(crate) fn own_line(&mut self, line: &str) {
        if let Some(note) = line.strip_prefix("note: ") {
            self.notes.push(note.to_owned());
        } else if line.contains(" passed, ") && line.ends_with(" skipped") {
            self.passed += before(line, " passed");
            self.failed += before(line, " failed");
            self.skipped += before(line, " skipped");
        }
    }

    /// A runner that ended badly without having reported a failure has failed all the same.
    pub(crate) fn ended(mut self, suite: &str, ending: crate::process::Ending) -> Self {
        match ending {
            crate::process::Ending::Bad(how) if self.failed == 0 => {
                self.failed = 1;
                self.notes.push(format!("FAILED {suite}: {how}"));
            }
            crate::process::Ending::Good if self.passed + self.failed + self.skipped == 0 => {
                self.skipped = 1;
                self.notes.push(format!("skipped {suite}: no test was run"));
            }
            _ => {}
        }
        self
    }
}

/// The number that stands directly before `word`.
fn before(text: &str, word: &str) -> usize {
    let Some(end) = text.find(word) else { return 0 };
    text[..end]
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// `name (12.3ms)` without its time.
fn without_time(test: &str) -> &str {
    test.rsplit_once(" (").map_or(test, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::Totals;
    use crate::process::Ending;

    fn read(lines: &str, reader: fn(&mut Totals, &str)) -> Totals {
        let mut totals = Totals::default();
        lines.lines().for_each(|line| reader(&mut totals, line));
        totals
    }

    #[test]
    fn cargo_results_are_summed_over_binaries() {
        let totals = read(
            "running 3 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... ignored, needs Redis\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.1s\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            Totals::cargo_line,
        );
        assert_eq!((totals.passed, totals.failed, totals.skipped), (13, 1, 1));
        assert_eq!(totals.notes, ["FAILED b::c", "skipped d: needs Redis"]);
    }

    #[test]
    fn node_results_count_cancelled_as_failed() {
        let totals = read(
            "▶ suite\n  ✔ one (3ms)\n  ✖ two (1.2ms)\n  ﹣ three (0.1ms) # no polling\nℹ tests 4\nℹ pass 1\nℹ fail 1\n\
             ℹ cancelled 1\nℹ skipped 1\nℹ todo 0\nℹ duration_ms 12.5\n✖ failing tests:\n✖ two (1.2ms)",
            Totals::node_line,
        );
        assert_eq!((totals.passed, totals.failed, totals.skipped), (1, 2, 1));
        assert_eq!(totals.notes, ["FAILED two", "skipped three: no polling"]);
    }

    #[test]
    fn our_own_form_is_read_back() {
        let totals = read("3 passed, 2 failed, 1 skipped\nnote: FAILED x", Totals::own_line);
        assert_eq!((totals.passed, totals.failed, totals.skipped), (3, 2, 1));
        assert_eq!(totals.notes, ["FAILED x"]);
    }

    #[test]
    fn a_crash_without_a_report_is_a_failure() {
        let crashed = Totals::default().ended("cargo", Ending::Bad("signal 6".to_owned()));
        assert_eq!((crashed.passed, crashed.failed), (0, 1));
        let reported = read("test result: FAILED. 0 passed; 2 failed; 0 ignored", Totals::cargo_line);
        assert_eq!(reported.ended("cargo", Ending::Bad("exit 101".to_owned())).failed, 2);
        assert_eq!(Totals::default().ended("js", Ending::Good).skipped, 1);
    }
}
