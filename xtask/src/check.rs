//! `cargo xtask check`: everything that can be said about the code without running it.

mod direction;
mod hygiene;
mod licences;
mod manifests;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::process::{self, Ending};

/// What a step found.
pub(crate) enum Finding {
    /// All is well; the text says what was looked at.
    Good(String),
    /// Nothing could be said, and why.
    Skipped(String),
    /// What is wrong, one line each.
    Bad(Vec<String>),
}

type Step = (&'static str, &'static str, fn() -> Finding);

/// In the order in which a person wants to hear: the cheap ones first.
const STEPS: &[Step] = &[
    ("format", "cargo fmt --check", format),
    ("hygiene", "no machine paths, registry hosts, secrets or junk in the repository", hygiene::check),
    ("lock", "Cargo.lock fits the manifests", manifests::lock),
    ("direction", "who may depend on whom", direction::check),
    ("licences", "the whole tree, Rust and npm", licences::check),
    ("size", "how many crates a default `sockeye` brings", direction::size),
    ("vectors", "every captured file is listed in the index, and the other way round", hygiene::vectors),
    ("clippy", "every target of the workspace, warnings denied", clippy),
    ("features", "the crates with each feature, and with none", manifests::features),
    ("docs", "cargo doc, warnings denied", docs),
    ("wasm", "sockeye-proto for wasm32-unknown-unknown", wasm),
    ("js", "the browser client: types, and dist is current", javascript),
];

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut only = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => {
                STEPS.iter().for_each(|(name, about, _)| println!("{name:10} {about}"));
                return ExitCode::SUCCESS;
            }
            "--only" => {
                match arguments.next().filter(|name| STEPS.iter().any(|step| step.0 == name.as_str())) {
                    Some(name) => only.push(name.clone()),
                    None => return usage("--only needs the name of a step"),
                }
            }
            other => return usage(&format!("unknown argument `{other}`")),
        }
    }
    let (mut good, mut bad, mut skipped) = (0, 0, 0);
    for (name, _, step) in STEPS {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("check {name}: ...");
        let start = Instant::now();
        let finding = step();
        let took = start.elapsed().as_secs_f32();
        match finding {
            Finding::Good(what) => {
                good += 1;
                println!("check {name}: ok, {what} ({took:.1} s)");
            }
            Finding::Skipped(why) => {
                skipped += 1;
                println!("check {name}: skipped, {why}");
            }
            Finding::Bad(lines) => {
                bad += 1;
                lines.iter().for_each(|line| println!("    {line}"));
                println!("check {name}: FAILED ({took:.1} s)");
            }
        }
    }
    println!("checks: {good} passed, {bad} failed, {skipped} skipped");
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(complaint: &str) -> ExitCode {
    eprintln!("xtask check: {complaint}; `--list` shows the steps");
    ExitCode::from(2)
}

const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs a command whose exit code is the answer.
fn judge(command: &mut Command, good: &str) -> Finding {
    match process::watch(command, LIMIT, |_| {}) {
        Ending::Good => Finding::Good(good.to_owned()),
        Ending::Bad(how) => Finding::Bad(vec![how]),
    }
}

fn format() -> Finding {
    judge(process::cargo().args(["fmt", "--all", "--check"]), "formatted")
}

fn clippy() -> Finding {
    let mut command = process::cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    judge(&mut command, "no warnings")
}

fn docs() -> Finding {
    let mut command = process::cargo();
    // A program's own documentation is its help text.
    command.args(["doc", "--workspace", "--lib", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
    judge(&mut command, "no warnings")
}

/// The rules must build where there is no operating system: it shows that they own no socket, clock or dice.
fn wasm() -> Finding {
    const TARGET: &str = "wasm32-unknown-unknown";
    let libraries =
        process::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    if !libraries.is_ok_and(|path| std::path::Path::new(path.trim()).is_dir()) {
        return Finding::Skipped(format!("this toolchain has no {TARGET} (`rustup target add {TARGET}`)"));
    }
    let mut command = process::cargo();
    command.args(["check", "--package", "sockeye-proto", "--target", TARGET, "--locked"]);
    judge(&mut command, "builds")
}

fn javascript() -> Finding {
    let directory = process::root().join("js");
    if !directory.join("package.json").exists() {
        return Finding::Skipped("js/package.json does not exist".to_owned());
    }
    if let Err(why) = crate::setup::npm(&directory) {
        return Finding::Bad(vec![why]);
    }
    judge(Command::new("npm").args(["run", "--silent", "check"]).current_dir(directory), "current")
}
