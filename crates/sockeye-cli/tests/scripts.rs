//! `sockeye emit` and `sockeye listen` as scripts use them: output, exit codes, signals; and what packages bring along.

mod support;

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, ChildStdout, Output, Stdio};

use serde_json::{Value, json};
use support::{file, serve, sockeye};

fn run(arguments: &[&str]) -> Output {
    sockeye().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A `sockeye listen` that is connected.
struct Listening {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Listening {
    fn start(arguments: &[&str]) -> Listening {
        let mut child = sockeye()
            .arg("listen")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("connected to") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it was connected");
        }
        // What it says later must not block it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Listening { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn emit_prints_the_answer() {
    let url = serve();
    let directory = tempfile::tempdir().unwrap();
    let bytes = format!("@{}", file(&directory, "bytes", &[0, 255]).display());
    let arguments = ["-7", "word", "two words", r#"{"a":[null]}"#, "\"7\"", &bytes];
    let wanted = json!([-7, "word", "two words", { "a": [null] }, "7", { "$base64": "AP8=" }]);
    for how in [
        &[][..],
        &["--transport", "polling"],
        &["--transport", "websocket"],
        &["--parser", "msgpack"],
        &["--eio", "3"],
    ] {
        let output = run(&[&["emit", &url, "echo"], &arguments[..], &["--ack"], how].concat());
        assert_eq!(output.status.code(), Some(0), "{how:?} {}", stderr(&output));
        assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap(), wanted, "{how:?}");
        assert_eq!(stdout(&output).lines().count(), 1);
    }
    let output = run(&["emit", &format!("{url}/token"), "whoami", "--ack", "--auth", r#"{"token":"t"}"#]);
    assert_eq!(stdout(&output), "[{\"token\":\"t\"}]\n");
}

#[test]
fn emit_says_how_it_ended() {
    let url = serve();
    let output = run(&["emit", &url, "silence", "--ack", "--timeout", "0.5"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(4), String::new()), "{}", stderr(&output));
    let output = run(&["emit", &format!("{url}/refusing"), "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not you, with data [7]"), "{}", stderr(&output));
    let output = run(&["emit", "http://127.0.0.1:1", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("sockeye doctor http://127.0.0.1:1"), "{}", stderr(&output));
    for slip in [
        &["emit", &url][..],
        &["emit", &url, "x", "{"],
        &["emit", &url, "x", "@/no/such/file"],
        &["emit", "ftp://x", "x"],
        &["emit", &url, "connect"],
    ] {
        let output = run(slip);
        assert_eq!(output.status.code(), Some(2), "{slip:?} {}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{slip:?} {}", stderr(&output));
    }
}

#[test]
fn listen_prints_lines_of_json() {
    let url = serve();
    let mut listening = Listening::start(&[&url, "--json", "--count", "3"]);
    for word in ["\"one\"", "{\"two\":2}", "3"] {
        assert_eq!(run(&["emit", &url, "shout", word]).status.code(), Some(0));
    }
    let line: Value = serde_json::from_str(&listening.line()).unwrap();
    assert_eq!(
        (&line["event"], &line["args"][0], &line["namespace"]),
        (&json!("shouted"), &json!("one"), &json!("/"))
    );
    assert!(line["time"].as_u64().unwrap() > 1_600_000_000_000);
    let line: Value = serde_json::from_str(&listening.line()).unwrap();
    assert_eq!(line["args"][0], json!({ "two": 2 }));
    assert!(!listening.line().is_empty());
    assert_eq!(listening.code(), Some(0), "after three");
}

#[test]
fn listen_chooses_and_prints_for_people() {
    let url = serve();
    let mut listening = Listening::start(&[&url, "shou*", "--count", "1"]);
    run(&["emit", &url, "bytes"]);
    run(&["emit", &url, "shout", "a b"]);
    assert!(listening.line().starts_with("shouted \"a b\""));
    assert_eq!(listening.code(), Some(0));
}

#[test]
fn listen_ends_as_it_is_told() {
    let url = serve();
    for signal in ["INT", "TERM"] {
        let listening = Listening::start(&[&url]);
        listening.signal(signal);
        assert_eq!(listening.code(), Some(130), "{signal}");
    }
    let mut listening = Listening::start(&[&url]);
    // The reader goes, as `head -1` does.
    run(&["emit", &url, "shout", "1"]);
    assert!(listening.line().starts_with("shouted 1"));
    let Listening { mut child, lines } = listening;
    drop(lines);
    run(&["emit", &url, "shout", "2"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    assert_eq!(run(&["listen", &url, "--timeout", "0.3"]).status.code(), Some(0));
    assert_eq!(run(&["listen", &url, "--timeout", "0.3", "--count", "1"]).status.code(), Some(4));
    assert_eq!(run(&["listen", &format!("{url}/refusing")]).status.code(), Some(1));
    let output = run(&["listen", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("sockeye doctor"), "{}", stderr(&output));
    let patient =
        run(&["listen", "http://127.0.0.1:1", "--wait", "--timeout", "0.3", "--count", "1", "--quiet"]);
    assert_eq!((patient.status.code(), stderr(&patient)), (Some(4), String::new()));
}

#[test]
fn completions_and_man_pages() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef sockeye"),
        ("fish", "complete -c sockeye"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains(sign), "{shell}");
        assert!(stdout(&output).contains("doctor"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("man1");
    assert_eq!(run(&["man", below.to_str().unwrap()]).status.code(), Some(0));
    for name in [
        "sockeye.1",
        "sockeye-serve.1",
        "sockeye-doctor.1",
        "sockeye-connect.1",
        "sockeye-emit.1",
        "sockeye-listen.1",
    ] {
        let mut page = String::new();
        std::fs::File::open(below.join(name)).unwrap().read_to_string(&mut page).unwrap();
        assert!(page.contains(".TH"), "{name}");
    }
}

#[test]
fn every_help_has_examples() {
    for command in ["serve", "connect", "emit", "listen", "doctor", "completions", "man"] {
        let output = run(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("Example"), "{command}");
        assert!(!stdout(&output).contains('\u{1b}'), "no colours where there is no terminal");
    }
}
