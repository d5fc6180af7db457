//! `cargo xtask perf`: what the hot paths cost, in instructions, against what they cost when they were last looked at.
//!
//! Instructions and not time: they are the same on a busy machine. Callgrind counts two runs of `bench/counts`, one
//! with twice the work of the other; the difference is the work. A case that got more than 3 % dearer fails. `--record`
//! writes the figures down as the new measure, in `bench/counts/baseline.txt`, for whoever made it dearer (or cheaper)
//! on purpose. They depend on the compiler, so the file says which it was.

use std::process::{Command, ExitCode};

use crate::process;

const CASES: [&str; 8] =
    ["decode", "encode", "dispatch", "direct", "own", "room", "room-of-100000", "fanout"];
/// Enough that what happens once per thousand is in it.
const TIMES: u64 = 4000;
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
    println!("{:15} {:>8} {:>8}", "case", "before", "now");
    for case in CASES {
        let cost = cost(case)?;
        now.push_str(&format!("{case} {cost}\n"));
        let Some(before) = known(case) else {
            good &= record;
            println!("{case:15} {:>8} {cost:>8}", "–");
            continue;
        };
        let dearer = cost * 1000 > before * (1000 + TOLERANCE);
        good &= record || !dearer;
        let change = (cost as f64 / before as f64 - 1.0) * 100.0;
        println!("{case:15} {before:>8} {cost:>8}  {change:+.1} %{}", if dearer { "  DEARER" } else { "" });
    }
    if record {
        std::fs::write(&path, now).map_err(|error| format!("{BASELINE}: {error}"))?;
    }
    Ok(good)
}

/// Instructions that doing it once more takes.
fn cost(case: &str) -> Result<u64, String> {
    let (once, twice) = (count(case, TIMES)?, count(case, 2 * TIMES)?);
    Ok(twice.saturating_sub(once) / TIMES)
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
