//! `cargo xtask perf`: what the hot paths cost, in instructions, against what they cost when they were last looked at.
//!
//! Instructions and not time: they are the same on a busy machine. Callgrind counts two runs of `bench/counts`, one
//! with twice the work of the other; the difference is the work. A case that got more than 3 % dearer fails. `--record`
//! writes the figures down as the new measure, in `bench/counts/baseline.txt`, for whoever made it dearer (or cheaper)
//! on purpose. They depend on the compiler, so the file says which it was.

use std::process::{Command, ExitCode};

use crate::process;

/// The cases, and how often each is done: enough that what happens once per thousand is in it, and that chance (tables
/// are laid out by dice) stays small beside it where much is made ready first.
const CASES: [(&str, u64); 14] = [
    ("decode", 4000),
    ("encode", 4000),
    ("dispatch", 4000),
    ("direct", 4000),
    ("own", 4000),
    ("room", 4000),
    ("room-of-100000", 10_000),
    ("room-of-1000000", 40_000),
    ("fanout-10", 10_000),
    ("fanout-100", 10_000),
    ("fanout-1000", 20_000),
    ("fanout-8000", 80_000),
    ("publish", 10_000),
    ("attachment", 1000),
];
const BASELINE: &str = "bench/counts/baseline.txt";
/// In parts of a thousand.
const TOLERANCE: u64 = 30;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let record = match arguments {
        [] => false,
        [only] if only == "--record" => true,
        _ => {
            eprintln!("xtask perf: the only argument is --record");
            return ExitCode::from(2);
        }
    };
    match compare(record) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask perf: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(record: bool) -> Result<bool, String> {
    if !process::exists("valgrind") {
        return Err("valgrind is missing (apt-get install valgrind)".to_owned());
    }
    process::output(process::cargo().args(["build", "--release", "--quiet", "-p", "counts"]))?;
    let compiler = process::output(Command::new("rustc").arg("--version"))?;
    let compiler = compiler.trim();
    let path = process::root().join(BASELINE);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let known = |case: &str| -> Option<u64> {
        before.lines().find_map(|line| line.strip_prefix(case)?.strip_prefix(' ')?.trim().parse().ok())
    };
    if !record && !before.contains(compiler) {
        println!("the baseline is of another compiler than {compiler}: differences may be the compiler's");
    }
    let mut now = format!("# Instructions, by `cargo xtask perf --record`\n# {compiler}\n");
    let mut good = true;
    println!("{:16} {:>8} {:>8}", "case", "before", "now");
    for (case, times) in CASES {
        let cost = cost(case, times)?;
        now.push_str(&format!("{case} {cost}\n"));
        let Some(before) = known(case) else {
            good &= record;
            println!("{case:16} {:>8} {cost:>8}", "–");
            continue;
        };
        let dearer = cost * 1000 > before * (1000 + TOLERANCE);
        good &= record || !dearer;
        let change = (cost as f64 / before as f64 - 1.0) * 100.0;
        println!("{case:16} {before:>8} {cost:>8}  {change:+.1} %{}", if dearer { "  DEARER" } else { "" });
    }
    if record {
        std::fs::write(&path, now).map_err(|error| format!("{BASELINE}: {error}"))?;
    }
    Ok(good)
}

/// Instructions that doing it once more takes.
fn cost(case: &str, times: u64) -> Result<u64, String> {
    let (once, twice) = (count(case, times)?, count(case, 2 * times)?);
    Ok(twice.saturating_sub(once) / times)
}

/// Instructions of a whole run.
fn count(case: &str, times: u64) -> Result<u64, String> {
    let binary = process::target().join("release").join("counts");
    // Callgrind says what it counted on standard error, which only `--log-file` moves.
    let log = std::env::temp_dir().join(format!("counts.{}.{case}", std::process::id()));
    let result = process::output(
        Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--log-file={}", log.display()))
            .arg(binary)
            .arg(case)
            .arg(times.to_string()),
    );
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    result.map_err(|error| format!("{case}: {error}"))?;
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).ok_or(format!("{case}: no count in: {said}"))
}
