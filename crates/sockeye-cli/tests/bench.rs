//! `sockeye bench` as people start it, against `sockeye serve --bench` and against servers that are none.
//! `conformance/binary/bench.test.mjs` does the same with npm's server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SOCKEYE: &str = env!("CARGO_BIN_EXE_sockeye");

/// A server of our own, ended with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let mut process = Command::new(SOCKEYE)
            .args(["serve", "--bench", "--no-demo", "--port", "0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.unwrap();
                let rest = line.trim().strip_prefix("Socket.IO")?.trim().to_owned();
                rest.trim_start_matches(|c| c != '/').split([':', '/']).find_map(|part| part.parse().ok())
            })
            .expect("the banner names the port");
        // The rest of the banner has a reader, or the server could not write it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/bench", self.port)
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid(&self.process), signal).unwrap();
    }

    /// Runs a scenario that must succeed and returns its report.
    fn report(&self, flags: &[&str]) -> Value {
        report(&bench(&self.url(), flags))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// A short run, as JSON.
fn bench(url: &str, flags: &[&str]) -> Output {
    let short = if flags.contains(&"--duration") { &[][..] } else { &["--duration", "400ms"] };
    Command::new(SOCKEYE)
        .args(["bench", url, "--warmup", "100ms", "--json"])
        .args(short)
        .args(flags)
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

/// What was done without any error.
fn done(report: &Value) -> u64 {
    assert_eq!(report["errors"], 0, "{report}");
    assert_eq!(report["interrupted"], false, "{report}");
    assert!(report["generator"]["cpu_s"].as_f64().unwrap() > 0.0, "{report}");
    report["done"].as_u64().unwrap()
}

/// The error of a run that could not be.
fn refusal(url: &str, flags: &[&str]) -> String {
    let output = bench(url, flags);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(output.stdout.is_empty());
    error
}

#[test]
fn clients_come_and_stay() {
    let server = Server::start(&["--ping-interval", "0.1"]);
    let connect = server.report(&["connect", "-n", "70", "--handshakes", "7"]);
    assert_eq!(done(&connect), 70);
    assert_eq!(connect["latency_us"]["count"], 70);
    let paced = server.report(&["connect", "-n", "40", "--rate", "200"]);
    assert_eq!(done(&paced), 40);
    assert!(paced["elapsed_s"].as_f64().unwrap() > 0.19, "{paced}");
    let idle = server.report(&["idle", "-n", "50"]);
    assert!(done(&idle) >= 50, "each answered at least one of four heartbeats: {idle}");
}

#[test]
fn echoes_in_a_closed_loop() {
    let server = Server::start(&[]);
    let pid = server.process.id().to_string();
    let report = server.report(&["echo", "-n", "20", "-w", "4", "--pid", &pid]);
    assert!(done(&report) > 100, "{report}");
    assert!(report["latency_us"]["p50"].as_f64().unwrap() > 1.0, "{report}");
    if cfg!(target_os = "linux") {
        assert!(report["server"]["resident_peak"].as_u64().unwrap() > 1 << 20, "{report}");
    }
    assert!(done(&server.report(&["echo", "--no-ack", "-n", "5"])) > 20);
    assert!(done(&server.report(&["binary", "-n", "5", "--payload", "70000"])) > 20);
    assert!(done(&server.report(&["polling", "-n", "10", "-w", "3"])) > 20);
    assert!(done(&server.report(&["churn", "-n", "10"])) > 20);
}

#[test]
fn keeps_to_a_schedule_in_an_open_loop() {
    let server = Server::start(&[]);
    for scenario in ["echo", "polling", "binary"] {
        let report = server.report(&[scenario, "-n", "10", "--rate", "500", "--threads", "2"]);
        let done = done(&report);
        // What was due in 0.4 s, and what the warm-up left over.
        assert!((150..=260).contains(&done), "{scenario}: {report}");
        assert!(report["generator"]["lag_us"]["count"].as_u64().unwrap() > 0);
    }
    let ramp = server.report(&["echo", "-n", "10", "--rate", "100..900"]);
    assert!((150..=260).contains(&done(&ramp)), "{ramp}");
    let churn = server.report(&["churn", "-n", "20", "--rate", "100"]);
    assert!((20..=60).contains(&done(&churn)), "{churn}");
}

/// Coordinated omission: while the server stands still, events go on being due, and each of them waits.
#[test]
fn a_stall_is_counted_for_everybody_whom_it_kept_waiting() {
    let server = Server::start(&[]);
    let stalled = |flags: &[&str]| {
        let child = Command::new(SOCKEYE)
            .args(["bench", &server.url(), "echo", "-n", "4", "--json", "--duration", "2s", "--warmup", "0s"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Not for luck: wherever in the run the stall falls, the figures below hold.
        std::thread::sleep(Duration::from_millis(700));
        server.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(600));
        server.signal(Signal::CONT);
        report(&child.wait_with_output().unwrap())
    };
    let open = stalled(&["--rate", "500"]);
    assert!(open["latency_us"]["p90"].as_f64().unwrap() > 100_000.0, "a third of the events waited: {open}");
    let closed = stalled(&[]);
    assert!(closed["latency_us"]["p90"].as_f64().unwrap() < 100_000.0, "one event of each client: {closed}");
    assert!(closed["latency_us"]["max"].as_f64().unwrap() > 400_000.0, "{closed}");
}

#[test]
fn deliveries_are_counted_one_by_one() {
    let server = Server::start(&[]);
    for flags in [
        &["broadcast", "-n", "50", "-w", "4", "--threads", "2"][..],
        &["broadcast", "-n", "50", "--rate", "100"],
        &["rooms", "--rooms", "6", "--members", "5", "-w", "6", "--threads", "2"],
        &["rooms", "--rooms", "6", "--members", "5", "--rate", "200"],
    ] {
        let report = server.report(flags);
        assert!(done(&report) > 100, "{flags:?}: {report}");
        assert!(report["extras"].get("lost").is_none(), "{flags:?}: {report}");
        assert!(report["last_delivery_us"]["count"].as_u64().unwrap() > 5, "{flags:?}: {report}");
    }
}

#[test]
fn clients_that_do_not_read_are_told_apart() {
    let server = Server::start(&["--max-queued", "200000"]);
    let report = server.report(&[
        "slow-consumer",
        "-n",
        "10",
        "--slow",
        "3",
        "-w",
        "1",
        "--payload",
        "50000",
        "--duration",
        "1s",
    ]);
    assert!(done(&report) > 100, "the others went on: {report}");
    assert_eq!(report["extras"]["slow_closed"], 3, "{report}");
}

#[test]
fn a_storm_ends_when_all_are_back() {
    let server = Server::start(&[]);
    let report = server.report(&["reconnect-storm", "-n", "60", "--threads", "2", "--duration", "3s"]);
    assert_eq!(done(&report), 60);
    assert_eq!(report["latency_us"]["count"], 60);
    let spread = server.report(&["reconnect-storm", "-n", "20", "--spread", "300ms", "--duration", "3s"]);
    assert_eq!(done(&spread), 20);
    assert!(spread["elapsed_s"].as_f64().unwrap() > 0.28, "{spread}");
}

#[test]
fn over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key] = ["cert", "key"].map(|what| {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sockeye-engine/tests/data");
        let der = std::fs::read(data.join(format!("localhost.{what}.der"))).unwrap();
        let label = if what == "cert" { "CERTIFICATE" } else { "PRIVATE KEY" };
        let path = directory.path().join(what);
        let text = STANDARD.encode(der);
        std::fs::write(&path, format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let server = Server::start(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = format!("wss://localhost:{}/bench", server.port);
    for scenario in ["echo", "polling", "churn"] {
        assert!(done(&report(&bench(&url, &[scenario, "-n", "5", "--insecure"]))) > 10, "{scenario}");
    }
    assert!(done(&report(&bench(&url, &["binary", "-n", "2", "--payload", "200000", "--insecure"]))) > 2);
    assert!(done(&report(&bench(&url, &["-n", "3", "--ca", &certificate]))) > 10);
    let error = refusal(&url, &["echo"]);
    assert!(error.contains("--insecure"), "{error}");
}

#[test]
fn conditions_decide_the_exit_code() {
    let server = Server::start(&[]);
    let good = bench(
        &server.url(),
        &["-n", "5", "--assert", "errors==0", "--assert", "p99<10s", "--assert", "rate>1"],
    );
    assert_eq!(good.status.code(), Some(0), "{}", report(&good));
    let bad = bench(&server.url(), &["-n", "5", "--assert", "errors==0", "--assert", "p50<1ns"]);
    assert_eq!(bad.status.code(), Some(3));
    let asserts = &report(&bad)["asserts"];
    assert_eq!((&asserts[0]["holds"], &asserts[1]["holds"]), (&true.into(), &false.into()));

    for (flags, says) in [
        (&["--assert", "p99<fast"][..], "not a number"),
        (&["--rate", "0"], "expected a rate"),
        (&["nothing"], "invalid value 'nothing'"),
    ] {
        let output = bench(&server.url(), flags);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{output:?}");
    }
    let error = refusal(&server.url(), &["--assert", "memory<1GB"]);
    assert!(error.contains("--pid"), "{error}");
}

#[test]
fn people_and_markdown() {
    let server = Server::start(&[]);
    let run = |flags: &[&str]| {
        let output = Command::new(SOCKEYE)
            .args(["bench", &server.url(), "--duration", "200ms", "--warmup", "0s", "-n", "3"])
            .args(flags)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "no progress but on terminals: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&["--assert", "errors==0"]);
    for expected in ["  latency ", "  generator ", " of processor each", "errors==0 holds: 0"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let table = run(&["--markdown", "--rate", "100..200"]);
    for expected in ["| latency | p50 ", "|---|---|", "| seconds | answers/s | p50 | p99 |"] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
}

#[test]
fn an_interrupt_prints_what_was_measured() {
    let server = Server::start(&[]);
    let started = Instant::now();
    let child = Command::new(SOCKEYE)
        .args(["bench", &server.url(), "--duration", "60s", "--warmup", "0s", "-n", "3", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The signal is caught from before the first connection on, so it may come at any time after the start; some
    // time is given so that there is something to print.
    std::thread::sleep(Duration::from_millis(1000));
    kill_process(pid(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report = report(&output);
    assert_eq!(report["interrupted"], true);
    assert!(report["done"].as_u64().unwrap() > 0, "{report}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_server_that_goes_is_an_error_not_a_hang() {
    let server = Server::start(&[]);
    let child = Command::new(SOCKEYE)
        .args(["bench", &server.url(), "--duration", "2s", "--warmup", "0s", "-n", "8", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(800));
    drop(server);
    let report = report(&child.wait_with_output().unwrap());
    assert_eq!(report["errors"], 8, "{report}");
}

#[test]
fn says_what_is_wrong_with_a_server() {
    // Nobody there: a port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refusal(&format!("http://{free}"), &[]);
    assert!(error.contains("is the server running?"), "{error}");

    let server = Server::start(&[]);
    let wrong_path = refusal(&server.url(), &["--path", "/elsewhere"]);
    assert!(wrong_path.contains("HTTP status 404") && wrong_path.contains("--path"), "{wrong_path}");
    let wrong_namespace = refusal(&format!("http://127.0.0.1:{}/nowhere", server.port), &[]);
    assert!(wrong_namespace.contains("refuses the namespace /nowhere"), "{wrong_namespace}");
    let unanswered =
        refusal(&server.url(), &["broadcast", "--publish-event", "nobody-listens", "--timeout", "300ms"]);
    for expected in [
        "waited 300ms in vain",
        "nobody-listens",
        "--publish-event",
        "io.on(\"connection\"",
        "async fn publish",
    ] {
        assert!(unanswered.contains(expected), "{expected}: {unanswered}");
    }
}

/// Answers each connection with the same bytes, whatever it says.
fn says(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn what_is_no_socket_io_is_told_apart() {
    let ssh = refusal(&says("SSH-2.0-OpenSSH_9\r\n"), &[]);
    assert!(ssh.contains("does not speak HTTP"), "{ssh}");
    let page = refusal(&says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), &[]);
    assert!(page.contains("HTTP status 200 instead of 101"), "{page}");
    let silent = refusal(&says(""), &["--timeout", "300ms"]);
    assert!(silent.contains("hung up"), "{silent}");
}
