//! `cargo xtask test`: every test there is, in suites, with one line of totals at the end.

mod results;
mod suites;

use std::process::ExitCode;
use std::time::Instant;

pub(crate) use results::Totals;

/// What the command line asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
    /// The scenarios run against npm socket.io: it shows whether a scenario is right.
    pub(crate) reference: bool,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut options = Options::default();
    let mut only = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => {
                suites::ALL.iter().for_each(|suite| println!("{:10} {}", suite.name, suite.about));
                return ExitCode::SUCCESS;
            }
            "--only" => {
                match arguments.next().filter(|name| suites::ALL.iter().any(|suite| suite.name == **name)) {
                    Some(name) => only.push(name.clone()),
                    None => return usage("--only needs the name of a suite"),
                }
            }
            "--filter" => match arguments.next() {
                Some(filter) => options.filter = Some(filter.clone()),
                None => return usage("--filter needs a text"),
            },
            "--reference" => options.reference = true,
            other => return usage(&format!("unknown argument `{other}`")),
        }
    }
    let mut table = Vec::new();
    let mut sum = Totals::default();
    for suite in suites::ALL {
        let wanted = only.is_empty() || only.iter().any(|name| name == suite.name);
        if !wanted || (options.reference && !suite.has_reference) {
            continue;
        }
        println!("test {}: {} ...", suite.name, suite.about);
        let start = Instant::now();
        let totals = (suite.run)(&options);
        let line = format!(
            "{:10} {:5} passed {:4} failed {:4} skipped {:6.1} s",
            suite.name,
            totals.passed,
            totals.failed,
            totals.skipped,
            start.elapsed().as_secs_f32()
        );
        println!("test {line}");
        table.push(line);
        sum.add(totals);
    }
    println!();
    table.iter().for_each(|line| println!("  {line}"));
    for note in &sum.notes {
        println!("  {note}");
    }
    println!();
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(complaint: &str) -> ExitCode {
    eprintln!("xtask test: {complaint}; `--list` shows the suites");
    ExitCode::from(2)
}
