//! The suites of `cargo xtask test`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Options, Totals};
use crate::process::{self, watch};
use crate::setup;

/// One group of tests that is run by one runner.
pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether `--reference` has a meaning for it.
    pub(super) has_reference: bool,
    pub(super) run: fn(&Options) -> Totals,
}

/// The quick and the basic first: who reads along learns of a broken codec before a browser starts.
pub(super) const ALL: &[Suite] = &[
    Suite {
        name: "cargo",
        about: "every Rust test of the workspace, doc tests included",
        has_reference: false,
        run: cargo,
    },
    Suite {
        name: "js",
        about: "the browser client, at npm socket.io and at Sockeye, beside the official client",
        has_reference: true,
        run: javascript,
    },
    Suite {
        name: "clients",
        about: "npm socket.io-client 4, 3, 2 and 1.7",
        has_reference: true,
        run: clients,
    },
    Suite {
        name: "protocol",
        about: "Engine.IO 4 and Socket.IO 5, request by request",
        has_reference: true,
        run: protocol,
    },
    Suite {
        name: "cluster",
        about: "npm socket.io servers and ours on one Redis: every operation, emitters, recovery, outages, deaths",
        has_reference: true,
        run: cluster,
    },
    Suite { name: "wire", about: "hostile bytes on raw sockets", has_reference: true, run: wire },
    Suite { name: "python", about: "PyPI python-socketio's client", has_reference: true, run: python },
    Suite {
        name: "rust-client",
        about: "our Rust client at npm socket.io 4 and 2 and at PyPI python-socketio",
        has_reference: false,
        run: rust_client,
    },
    Suite {
        name: "binary",
        about: "the sockeye program: flags, refusals, signals",
        has_reference: false,
        run: binary,
    },
    Suite {
        name: "browser",
        about: "the demo page in headless Chromium, two tabs",
        has_reference: false,
        run: browser,
    },
];

/// Long enough for a cold build of everything on two cores.
const BUILD: Duration = Duration::from_secs(60 * 60);
const SUITE: Duration = Duration::from_secs(15 * 60);

fn cargo(options: &Options) -> Totals {
    if let Err(why) = setup::redis() {
        return Totals::broken(why);
    }
    // Built first: a compiler error is then told apart from a failing test.
    let mut build = process::cargo();
    build.args(["test", "--workspace", "--no-run", "--locked"]);
    if let process::Ending::Bad(how) = watch(&mut build, BUILD, |_| {}) {
        return Totals::broken(format!("cargo: the tests do not build: {how}"));
    }
    let mut command = process::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--locked"]);
    command.args(options.filter.as_slice());
    let mut totals = Totals::default();
    let ending = watch(&mut command, BUILD, |line| totals.cargo_line(line));
    totals.ended("cargo", ending)
}

/// Starts npm socket.io's server by itself, and ours beside it.
fn javascript(options: &Options) -> Totals {
    let directory = process::root().join("js");
    if let Err(why) = setup::npm(&directory) {
        return Totals::broken(why);
    }
    let servers = match servers(options) {
        Ok(servers) => servers,
        Err(why) => return Totals::broken(why),
    };
    let mut command = Command::new("npm");
    command.args(["test", "--silent", "--"]).arg("--test-reporter=spec");
    if let Some(filter) = &options.filter {
        command.arg(format!("--test-name-pattern={filter}"));
    }
    servers.tell(&mut command);
    let mut totals = Totals::default();
    let ending = watch(command.current_dir(directory), SUITE, |line| totals.node_line(line));
    totals.ended("js", ending)
}

fn clients(options: &Options) -> Totals {
    node("clients", options)
}

fn protocol(options: &Options) -> Totals {
    node("protocol", options)
}

fn cluster(options: &Options) -> Totals {
    if let Err(why) = setup::redis().and_then(|()| setup::haproxy()) {
        return Totals::broken(why);
    }
    node("cluster", options)
}

fn wire(options: &Options) -> Totals {
    node("wire", options)
}

fn binary(options: &Options) -> Totals {
    if !process::exists("haproxy")
        && let Err(why) = setup::debian("haproxy", &["haproxy"])
    {
        return Totals::broken(why);
    }
    node("binary", options)
}

fn browser(options: &Options) -> Totals {
    if !process::exists("chromium")
        && let Err(why) = setup::debian("chromium", &["chromium"])
    {
        return Totals::broken(why);
    }
    node("browser", options)
}

/// Runs Node's test runner over one folder of `conformance/`.
fn node(folder: &str, options: &Options) -> Totals {
    let directory = process::root().join("conformance");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory.join(folder))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Totals::nothing(format!("{folder}: conformance/{folder} holds no test"));
    }
    if let Err(why) = setup::npm(&directory) {
        return Totals::broken(why);
    }
    let servers = match servers(options) {
        Ok(servers) => servers,
        Err(why) => return Totals::broken(why),
    };
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=spec", "--test-concurrency=2"]);
    // A failed scenario leaves its clients connected; newer runners end all the same.
    if process::output(Command::new("node").arg("--help"))
        .is_ok_and(|help| help.contains("--test-force-exit"))
    {
        command.arg("--test-force-exit");
    }
    if let Some(filter) = &options.filter {
        command.arg(format!("--test-name-pattern={filter}"));
    }
    command.args(files).current_dir(directory);
    servers.tell(&mut command);
    let mut totals = Totals::default();
    let ending = watch(&mut command, SUITE, |line| totals.node_line(line));
    totals.ended(folder, ending)
}

fn python(options: &Options) -> Totals {
    let directory = process::root().join("conformance/python");
    if !directory.exists() {
        return Totals::nothing("python: conformance/python does not exist".to_owned());
    }
    let environment = process::root().join("conformance/.cache/python");
    let interpreter = match setup::python(&environment, &directory.join("requirements.txt")) {
        Ok(interpreter) => interpreter,
        Err(why) => return Totals::broken(why),
    };
    if options.reference
        && let Err(why) = setup::npm(&process::root().join("conformance"))
    {
        return Totals::broken(why);
    }
    let servers = match servers(options) {
        Ok(servers) => servers,
        Err(why) => return Totals::broken(why),
    };
    let mut command = Command::new(interpreter);
    command.args(["-B", "run.py"]).args(options.filter.as_slice()).current_dir(directory);
    servers.tell(&mut command);
    let mut totals = Totals::default();
    let ending = watch(&mut command, SUITE, |line| totals.own_line(line));
    totals.ended("python", ending)
}

/// The servers are started by the tests, which are left out of `cargo test --workspace` for that.
fn rust_client(options: &Options) -> Totals {
    let conformance = process::root().join("conformance");
    let installed = setup::npm(&conformance).and_then(|()| {
        setup::python(&conformance.join(".cache/python"), &conformance.join("python/requirements.txt"))
    });
    if let Err(why) = installed {
        return Totals::broken(why);
    }
    let mut command = process::cargo();
    command.args([
        "test",
        "--locked",
        "--package",
        "sockeye-client",
        "--test",
        "peers",
        "--no-fail-fast",
        "--",
    ]);
    // Every test starts servers of its own.
    command.arg("--test-threads=2").args(options.filter.as_slice());
    let mut totals = Totals::default();
    let ending = watch(&mut command, SUITE, |line| totals.cargo_line(line));
    totals.ended("rust-client", ending)
}

/// The programs that the tests start for themselves, each on a free port, and end by closing its standard input.
struct Servers {
    /// The fixture of conformance/CONTRACT.md.
    fixture: PathBuf,
    /// What users start.
    binary: PathBuf,
    reference: bool,
}

impl Servers {
    fn tell(&self, command: &mut Command) {
        if self.reference {
            command.env_remove("FIXTURE");
        } else {
            command.env("FIXTURE", &self.fixture);
        }
        command.env("SOCKEYE", &self.binary).env("ARTIFACTS", process::target().join("conformance"));
    }
}

/// Builds them, unless the reference is asked for, which needs no building.
fn servers(options: &Options) -> Result<Servers, String> {
    let built = process::target().join("debug");
    let servers = Servers {
        fixture: built.join("conformance-server"),
        binary: built.join("sockeye"),
        reference: options.reference,
    };
    if !options.reference {
        let mut command = process::cargo();
        command.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "conformance-server",
            "--package",
            "sockeye-cli",
        ]);
        if let process::Ending::Bad(how) = watch(&mut command, BUILD, |_| {}) {
            return Err(format!("the servers do not build: {how}"));
        }
    }
    Ok(servers)
}
