//! `sockeye connect` through a real pseudo-terminal, as somebody types at it; and as a script pipes lines in.

#![cfg(unix)]

mod support;

use std::io::Write as _;
use std::process::Stdio;

use rexpect::session::{PtySession, spawn_command};
use support::{serve, sockeye};

const TAB: &str = "\t";

struct Prompt {
    pty: PtySession,
    _state: tempfile::TempDir,
}

impl Prompt {
    fn open(arguments: &[&str]) -> Prompt {
        Prompt::remembering(arguments, tempfile::tempdir().unwrap())
    }

    fn remembering(arguments: &[&str], state: tempfile::TempDir) -> Prompt {
        let mut command = sockeye();
        command.arg("connect").args(arguments).env("XDG_STATE_HOME", state.path()).env("TERM", "xterm");
        command.env_remove("NO_COLOR");
        let pty = spawn_command(command, Some(10_000)).unwrap();
        let mut prompt = Prompt { pty, _state: state };
        prompt.see("> ");
        prompt
    }

    fn see(&mut self, text: &str) {
        // What comes is read byte by byte, each a character.
        let bytes: String = text.bytes().map(char::from).collect();
        if let Err(error) = self.pty.exp_string(&bytes) {
            panic!("{text:?} did not come: {error}");
        }
    }

    fn say(&mut self, line: &str) {
        self.pty.send_line(line).unwrap();
    }

    /// Types without ending the line.
    fn keys(&mut self, keys: &str) {
        self.pty.send(keys).unwrap();
        self.pty.flush().unwrap();
    }

    fn leave(mut self) -> tempfile::TempDir {
        self.pty.send_control('d').unwrap();
        self.pty.exp_eof().unwrap();
        self._state
    }
}

#[test]
fn a_conversation() {
    let url = serve();
    let mut prompt = Prompt::open(&[&url]);
    prompt.say("call echo 1 two {\"three\":3}");
    prompt.see("= 1 \"two\" {\"three\":3}");
    prompt.see("ms)");
    prompt.say("emit shout \"hello all\"");
    prompt.see("shouted");
    prompt.see("\"hello all\"");
    // An event that wants an answer gets one.
    prompt.say("emit \"ask me\" \"how are you?\"");
    prompt.see("question");
    prompt.see("#1 asks for an answer");
    prompt.say("answer #1 fine");
    prompt.see("answered");
    prompt.see("\"fine\"");
    prompt.say("emit bytes");
    prompt.see("{\"$base64\":\"AQL/\"}");
    // Slips are told, and the conversation goes on.
    prompt.say("emit x {");
    prompt.see("begins like JSON");
    prompt.say("nonsense");
    prompt.see("there is no command");
    prompt.say(".stats");
    prompt.see("transport");
    prompt.say("call echo still");
    prompt.see("= \"still\"");
    prompt.leave();
}

#[test]
fn events_do_not_break_the_line_that_is_typed() {
    let url = serve();
    let mut prompt = Prompt::open(&[&url]);
    prompt.keys("call echo \"half ");
    prompt.see("half ");
    // Somebody else, meanwhile.
    assert!(sockeye().args(["emit", &url, "shout", "meanwhile"]).status().unwrap().success());
    prompt.see("\"meanwhile\"");
    // The line is there again, and can be ended.
    prompt.see("call echo \"half ");
    prompt.say("done\"");
    prompt.see("= \"half done\"");
    prompt.leave();
}

#[test]
fn namespaces_and_patterns() {
    let url = serve();
    let mut prompt = Prompt::open(&[&url]);
    prompt.say(".ns other");
    prompt.see("/other> ");
    prompt.say("call where");
    prompt.see("= \"other\"");
    prompt.say(".ns refusing");
    prompt.see("not you, with data [7]");
    prompt.say(".ns");
    prompt.see("* /other");
    prompt.say(".ns /");
    prompt.see("/> ");
    prompt.say("off shout*");
    prompt.say("emit shout hidden");
    prompt.say("on shout*");
    prompt.say("emit shout seen");
    prompt.see("\"seen\"");
    prompt.leave();
}

#[test]
fn frames_upgrade_and_cut() {
    let url = serve();
    let mut prompt = Prompt::open(&[&url, "--transport", "polling"]);
    prompt.say(".raw on");
    prompt.see("every frame is shown");
    prompt.say("call echo 5");
    prompt.see("→ POST · 4 message 20[\"echo\",5] · / EVENT \"echo\" asks for ack 0");
    prompt.see("← poll · 4 message 30[5] · / ACK 0");
    prompt.see("= 5");
    prompt.say(".upgrade");
    prompt.see("→ text frame · 2 ping probe");
    prompt.see("← text frame · 3 pong probe");
    prompt.see("* upgraded to WebSocket");
    prompt.say(".raw off");
    prompt.see("frames are not shown any more");
    prompt.say(".drop");
    prompt.see("connection lost");
    prompt.see("connected to / as");
    prompt.say("call echo back");
    prompt.see("= \"back\"");
    prompt.leave();
}

#[test]
fn completion_and_history() {
    let url = serve();
    let mut prompt = Prompt::open(&[&url]);
    prompt.keys(&format!("ca{TAB}"));
    prompt.see("call ");
    prompt.say("echo 1");
    prompt.see("= 1");
    prompt.say("emit shout heard");
    prompt.see("\"heard\"");
    // Names that came are known, too.
    prompt.keys(&format!("emit shoute{TAB}"));
    prompt.see("shouted ");
    // Ctrl-C throws away what was typed, ahead as well.
    prompt.pty.send_control('c').unwrap();
    prompt.see("/> ");
    prompt.say("call echo \"for later\"");
    prompt.see("= \"for later\"");
    let state = prompt.leave();
    let history = std::fs::read_to_string(state.path().join("sockeye/history")).unwrap();
    assert!(history.contains("for later"), "{history}");
    let mut prompt = Prompt::remembering(&[&url], state);
    // Up, and the line of last time is there.
    prompt.keys("\u{1b}[A");
    prompt.see("for later");
    prompt.say("");
    prompt.see("= \"for later\"");
    prompt.leave();
}

#[test]
fn lines_from_a_pipe() {
    let url = serve();
    let mut child = sockeye()
        .args(["connect", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"call echo 1\ncall echo two\n.ns other\ncall where\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let answers: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("= ")?.split(" (").next()).collect();
    assert_eq!(answers, ["1", "\"two\"", "\"other\""]);
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal");
    let output = sockeye().args(["connect", "http://127.0.0.1:1"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
