//! The Autobahn TestSuite, an outside judge of our WebSocket framing, against `examples/websocket-echo`.
//!
//! It wants Python 2.7 and some twenty old packages, so it is a command of its own and no part of
//! `cargo xtask test`. Everything it installs goes into `.autobahn/` (ignored by git).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::process::{self, Ending};

const HELP: &str = "\
cargo xtask autobahn [PATTERN…]   the Autobahn TestSuite against our WebSocket framing

  PATTERN            cases to run, such as `1.*` `9.3.1` (default: all 517, which takes 15 minutes and more)
  --url URL          judge this server instead of examples/websocket-echo
  --nice             with low priority
";

/// Runs the suite; `arguments` are what followed `cargo xtask autobahn`.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    match judge(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("autobahn: {error}");
            ExitCode::from(2)
        }
    }
}

fn judge(arguments: &[String]) -> Result<bool, String> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{HELP}");
        return Ok(true);
    };
    let home = process::root().join(".autobahn");
    let wstest = install(&home)?;
    let (url, _server) = match &options.url {
        Some(url) => (url.clone(), None),
        None => {
            let (server, url) = Server::start()?;
            (url, Some(server))
        }
    };

    let reports = home.join("reports");
    let _ = std::fs::remove_dir_all(&reports);
    let specification = serde_json::json!({
        "outdir": reports,
        "servers": [{ "agent": AGENT, "url": url }],
        "cases": options.cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let path = home.join("fuzzingclient.json");
    std::fs::write(&path, specification.to_string())
        .map_err(|error| format!("{}: {error}", path.display()))?;

    let mut command = match options.nice {
        true => Command::new("nice"),
        false => Command::new(&wstest),
    };
    if options.nice {
        command.arg("-n").arg("15").arg(&wstest);
    }
    command.arg("-m").arg("fuzzingclient").arg("-s").arg(&path).current_dir(&home);
    let begin = Instant::now();
    if let Ending::Bad(how) = process::watch(&mut command, Duration::from_secs(3 * 3600), |_| {}) {
        return Err(format!("wstest: {how}"));
    }
    report(&reports.join("index.json"), begin.elapsed())
}

const AGENT: &str = "sockeye";

struct Options {
    cases: Vec<String>,
    url: Option<String>,
    nice: bool,
}

impl Options {
    /// `None`: help was asked for.
    fn parse(arguments: &[String]) -> Result<Option<Self>, String> {
        let mut options = Self { cases: Vec::new(), url: None, nice: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--nice" => options.nice = true,
                "--url" => options.url = Some(arguments.next().ok_or("--url needs a URL")?.clone()),
                pattern if pattern.starts_with(|first: char| first.is_ascii_digit() || first == '*') => {
                    options.cases.push(pattern.to_owned());
                }
                other => return Err(format!("there is no option `{other}`\n\n{HELP}")),
            }
        }
        if options.cases.is_empty() {
            options.cases.push("*".into());
        }
        Ok(Some(options))
    }
}

/// Makes sure that `wstest` is there, in a virtual environment below `home`; its path.
fn install(home: &Path) -> Result<PathBuf, String> {
    let environment = home.join("venv");
    let wstest = environment.join("bin/wstest");
    let ready = home.join("ready");
    if ready.is_file() && wstest.is_file() {
        return Ok(wstest);
    }
    let python = python2().ok_or(
        "the TestSuite needs Python 2.7, and there is none: not in ~/.pyenv/versions/2.7*, not as python2.7 in PATH. \
         `pyenv install 2.7.18` builds one; PYTHON2 names one elsewhere.",
    )?;
    println!("autobahn: installing the TestSuite with {} (once, some two minutes)", python.display());
    let _ = std::fs::remove_dir_all(home);
    std::fs::create_dir_all(home).map_err(|error| format!("{}: {error}", home.display()))?;

    let scratch = home.join("virtualenv");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"];
    // 20.15.1 is the last virtualenv that serves Python 2.7.
    step(Command::new(&python).args(pip).arg("--target").arg(&scratch).arg("virtualenv==20.15.1"))?;
    let mut command = Command::new(&python);
    step(command.env("PYTHONPATH", &scratch).args(["-m", "virtualenv", "--quiet"]).arg(&environment))?;

    let python = environment.join("bin/python");
    for (flags, packages) in PACKAGES {
        println!("autobahn: {}", packages.join(", "));
        step(Command::new(&python).args(pip).args(*flags).args(*packages))?;
    }
    // Only makes it faster.
    if let Err(error) = step(Command::new(&python).args(pip).arg("wsaccel==0.6.2")) {
        println!("autobahn: without wsaccel, slower ({error})");
    }
    std::fs::write(&ready, "").map_err(|error| error.to_string())?;
    Ok(wstest)
}

/// What goes in, in this order, each line with its own flags: newest versions that still know Python 2.7 and each
/// other.
const PACKAGES: &[(&[&str], &[&str])] = &[
    // Ready-made wheels that work with the system's OpenSSL 3; Twisted's build needs incremental.
    (&[], &["incremental==16.10.1", "cryptography==3.3.2", "pyOpenSSL==19.1.0"]),
    (&["--no-build-isolation"], &["Twisted==19.10.0"]),
    (
        &[],
        &[
            "zope.interface==4.6.0",
            "txaio==2.1.0",
            "jinja2==2.11.3",
            "markupsafe==1.1.1",
            "Werkzeug==1.0.1",
            "klein==17.10.0",
            "service_identity==18.1.0",
            "unittest2==1.1.0",
            "six==1.16.0",
        ],
    ),
    (&[], &["autobahn==0.10.9"]),
    (&["--no-deps", "--no-build-isolation"], &["autobahntestsuite==25.10.1"]),
];

fn step(command: &mut Command) -> Result<(), String> {
    // A user's own site-packages or index of another Python must not mix in.
    command.env("PYTHONNOUSERSITE", "1");
    process::output(command).map(drop)
}

fn python2() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PYTHON2") {
        return Some(named.into());
    }
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")))?;
    let mut found: Vec<PathBuf> = std::fs::read_dir(pyenv.join("versions"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("2.7"))
        .map(|entry| entry.path().join("bin/python2.7"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop().or_else(|| process::exists("python2.7").then(|| "python2.7".into()))
}

/// The echo server; ends with us.
struct Server(Child);

impl Server {
    fn start() -> Result<(Self, String), String> {
        println!("autobahn: building websocket-echo");
        let build =
            process::cargo().args(["build", "--release", "--quiet", "--package", "websocket-echo"]).status();
        if !build.is_ok_and(|status| status.success()) {
            return Err("websocket-echo does not build".into());
        }
        let program = process::target().join("release/websocket-echo");
        let mut child = Command::new(&program)
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let stdout = child.stdout.take();
        let server = Self(child);
        let mut url = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut url).map_err(|error| error.to_string())?;
        }
        match url.trim() {
            url if url.starts_with("ws://") => Ok((server, url.to_owned())),
            _ => Err("websocket-echo did not start".into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints a table and a closing line; whether every case is OK or informational.
fn report(index: &Path, took: Duration) -> Result<bool, String> {
    let text = std::fs::read_to_string(index).map_err(|error| format!("{}: {error}", index.display()))?;
    let index: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases =
        index.get(AGENT).and_then(|cases| cases.as_object()).ok_or("no results: did the server answer?")?;

    let mut groups: BTreeMap<u32, [usize; VERDICTS.len() + 1]> = BTreeMap::new();
    let mut total = [0; VERDICTS.len() + 1];
    let mut faults = Vec::new();
    for (case, result) in cases {
        let verdict = |field| result.get(field).and_then(|value| value.as_str()).unwrap_or("missing");
        let (behavior, close) = (verdict("behavior"), verdict("behaviorClose"));
        // A case may end well and yet close badly; both count.
        let worst = [behavior, close].map(column).into_iter().max().unwrap_or(VERDICTS.len());
        let group = case.split('.').next().and_then(|group| group.parse().ok()).unwrap_or(0);
        groups.entry(group).or_default()[worst] += 1;
        total[worst] += 1;
        if worst > 1 {
            faults.push(format!("{case}: {behavior}, close {close}"));
        }
    }

    print!("\n{:>6}", "group");
    for verdict in VERDICTS {
        print!(" {verdict:>13}");
    }
    println!(" {:>13}", "other");
    for (group, counts) in &groups {
        print!("{group:>6}");
        for count in counts {
            print!(" {count:>13}");
        }
        println!();
    }
    for fault in &faults {
        println!("{fault}");
    }
    let [ok, informational, ..] = total;
    println!(
        "\nautobahn: {} cases: {ok} OK, {informational} informational, {} not in order, in {} s",
        cases.len(),
        faults.len(),
        took.as_secs()
    );
    Ok(faults.is_empty() && !cases.is_empty())
}

/// From good to bad. What is none of these is worse.
const VERDICTS: [&str; 5] = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED"];

fn column(verdict: &str) -> usize {
    VERDICTS.iter().position(|known| *known == verdict).unwrap_or(VERDICTS.len())
}
