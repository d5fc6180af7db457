//! The session machine as conversations in virtual time.
//!
//! ```text
//! > GET                      a poll comes; also `GET aborts`
//! > POST 4a␞4b               a whole POST; in steps: `POST …`, then `POST … 4a`, `POST aborts`, `POST too big`
//! > WS                       a WebSocket with this session's sid comes
//! > ws 2probe                a text frame on it; also `ws closes`, `ws breaks`
//! ! say a                    the application queues a message; also `close`, `abort`, `lost`, `excuse`
//! ~ 25s                      time passes (also `ms`)
//! < GET: 4a␞4b               the answer to the poll
//! < POST: ok                 … to the POST; also `cut`
//! < ws 3probe                a text frame of ours; also `ws closed`
//! = a                        the application hears a message
//! = upgraded
//! = closed: ping timeout     (and the description of a transport error)
//! ```
//!
//! A script is compared with the whole transcript, so what is not in it must not happen.

use std::collections::VecDeque;
use std::time::Duration;

use sockeye_proto::engine::{
    Admission, Control, Data, Fault, Form, Kind, Lane, Message, Outlet, Output, Packet, Payload, PollAnswer,
    Protocol, Reason, Received, Session, Timing, decode_text, encode_close, encode_payload,
};

// ---- revision 4: heartbeat ------------------------------------------------------------------------------------------

#[test]
fn v4_websocket_heartbeat() {
    check(
        "v4 websocket",
        "< ws 0{}
         > ws 4hi
         = hi
         ! say there
         < ws 4there
         ~ 24999ms
         ~ 1ms
         < ws 2
         ~ 19999ms
         > ws 3
         ~ 24999ms
         ~ 1ms
         < ws 2
         ~ 20s
         < ws closed
         = closed: ping timeout",
    );
}

#[test]
fn v4_a_packet_extends_the_wait_for_the_pong_once() {
    check(
        "v4 websocket",
        "< ws 0{}
         ~ 25s
         < ws 2
         ~ 19s
         > ws 4busy
         = busy
         ~ 19s
         > ws 4busy
         = busy
         ~ 999ms
         ~ 1ms
         < ws closed
         = closed: ping timeout",
    );
    // A new ping, a new extension.
    check(
        "v4 websocket",
        "< ws 0{}
         ~ 25s
         < ws 2
         ~ 19s
         > ws 4busy
         = busy
         ~ 19s
         > ws 3
         ~ 25s
         < ws 2
         ~ 19s
         > ws 4busy
         = busy
         ~ 19s
         > ws 3
         ~ 24s",
    );
}

#[test]
fn v4_a_pong_unasked_changes_nothing() {
    check(
        "v4 websocket",
        "< ws 0{}
         ~ 24s
         > ws 3
         > ws 3
         ~ 1s
         < ws 2",
    );
}

#[test]
fn v4_a_ping_from_the_client_closes() {
    check(
        "v4 websocket",
        "< ws 0{}
         > ws 2
         < ws closed
         = closed: transport error: invalid heartbeat direction",
    );
    check(
        "v4 websocket",
        "< ws 0{}
         > ws 2probe
         < ws closed
         = closed: transport error: invalid heartbeat direction",
    );
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > POST 4a␞2␞4b
         = a
         < GET: 1
         < POST: ok
         = closed: transport error: invalid heartbeat direction",
    );
}

#[test]
fn v4_polling_heartbeat() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         ~ 25s
         < GET: 2
         > GET
         > POST 3
         < POST: ok
         ~ 25s
         < GET: 2
         ~ 20s
         = closed: ping timeout",
    );
}

#[test]
fn v4_a_ping_waits_for_the_poll_and_the_clock_does_not() {
    check(
        "v4 polling",
        "< GET: 0{}
         ~ 25s
         ! say a
         ~ 19s
         > GET
         < GET: 2␞4a
         ~ 1s
         = closed: ping timeout",
    );
    // A client that never polls is gone as soon as one that never answers.
    check("v4 polling", "< GET: 0{}\n~ 44999ms\n~ 1ms\n= closed: ping timeout");
}

#[test]
fn silence_is_excused_while_we_do_not_read() {
    check(
        "v4 websocket",
        "< ws 0{}
         ~ 25s
         < ws 2
         ~ 19s
         ! excuse
         ~ 19s
         > ws 3
         ~ 6s",
    );
    check(
        "v4 websocket",
        "< ws 0{}\n~ 25s\n< ws 2\n~ 19s\n! excuse\n~ 20s\n< ws closed\n= closed: ping timeout",
    );
}

// ---- revision 3: heartbeat ------------------------------------------------------------------------------------------

#[test]
fn v3_the_client_pings() {
    check(
        "v3 websocket",
        "< ws 0{}
         ~ 25s
         > ws 2
         < ws 3
         ~ 44999ms
         > ws 2probe
         < ws 3
         ~ 44999ms
         > ws 4x
         = x
         ~ 44999ms
         ~ 1ms
         < ws closed
         = closed: ping timeout",
    );
}

#[test]
fn v3_polling_heartbeat() {
    check(
        "v3 polling",
        "< GET: 3:0{}
         > GET
         > POST 1:2
         < GET: 1:3
         < POST: ok
         > POST 1:2
         < POST: ok
         ! say a
         > GET
         < GET: 1:32:4a
         ~ 45s
         = closed: ping timeout",
    );
}

#[test]
fn v3_a_pong_from_the_client_closes() {
    check(
        "v3 websocket",
        "< ws 0{}
         > ws 3
         < ws closed
         = closed: transport error: invalid heartbeat direction",
    );
}

/// The reference forgets the timeout of an upgraded revision 3 session.
#[test]
fn v3_silence_after_the_upgrade_is_noticed() {
    check(
        "v3 polling",
        "< GET: 3:0{}
         > WS
         > ws 2probe
         < ws 3probe
         > ws 5
         = upgraded
         ~ 45s
         < ws closed
         = closed: ping timeout",
    );
}

/// The reference forgets a ping that is out while the upgrade completes.
#[test]
fn v4_silence_after_an_upgrade_with_a_ping_out_is_noticed() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         ~ 24s
         > WS
         ~ 1s
         < GET: 2
         > ws 2probe
         < ws 3probe
         > ws 5
         = upgraded
         ~ 20s
         < ws closed
         = closed: ping timeout",
    );
}

#[test]
fn v4_a_ping_that_found_no_poll_goes_over_the_new_websocket() {
    check(
        "v4 polling",
        "< GET: 0{}
         ~ 20s
         > WS
         > ws 2probe
         < ws 3probe
         ~ 5s
         > ws 5
         = upgraded
         < ws 2
         > ws 3
         ~ 25s
         < ws 2",
    );
}

// ---- polling --------------------------------------------------------------------------------------------------------

#[test]
fn polling_both_ways() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > POST 4a␞4b
         = a
         = b
         < POST: ok
         ! say c
         < GET: 4c
         ! say d
         ! say e
         > GET
         < GET: 4d␞4e",
    );
}

#[test]
fn initial_packet_goes_with_the_open_packet() {
    let mut sim = Sim::new("v4 polling");
    sim.outbox.push_back("welcome".to_owned());
    sim.settle();
    assert_eq!(sim.transcript, ["< GET: 0{}␞4welcome"]);
}

#[test]
fn two_polls_at_once() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > GET
         < GET 400
         < GET: 1
         = closed: transport error: overlap from client",
    );
}

#[test]
fn two_posts_at_once() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > POST …
         > POST …
         < POST 400
         < GET: 1
         < POST: cut
         = closed: transport error: data request overlap from client",
    );
}

#[test]
fn lost_requests_close() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > GET aborts
         = closed: transport error: poll connection closed prematurely",
    );
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > POST …
         > POST aborts
         < GET: 1
         = closed: transport error: data request connection closed prematurely",
    );
}

#[test]
fn an_abort_of_no_poll_means_nothing() {
    check("v4 polling", "< GET: 0{}\n> GET aborts\n> POST aborts\n> GET\n! say a\n< GET: 4a");
}

#[test]
fn messages_lost_with_their_answer_close() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         ! say a
         < GET: 4a
         ! lost
         = closed: transport error: write error",
    );
}

#[test]
fn a_post_that_is_too_big_leaves_the_session_alone() {
    check(
        "v4 polling",
        "< GET: 0{}
         > POST …
         > POST too big
         > POST 4a
         = a
         < POST: ok",
    );
}

#[test]
fn garbage_in_a_post() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > POST 4a␞9␞4b
         = a
         < GET: 1
         < POST: ok
         = closed: parse error",
    );
    check("v4 polling", "< GET: 0{}\n> POST \n< POST: ok\n= closed: parse error");
}

#[test]
fn packets_that_mean_nothing_from_a_client() {
    check("v4 polling", "< GET: 0{}\n> POST 0␞5␞6␞4a\n= a\n< POST: ok");
    check("v4 websocket", "< ws 0{}\n> ws 0\n> ws 5\n> ws 6\n> ws 4a\n= a");
}

#[test]
fn after_the_end_requests_find_nobody() {
    check(
        "v4 polling",
        "< GET: 0{}\n! abort\n= closed: forced close\n> GET\n< GET gone\n> POST 4a\n< POST gone\n> WS\n< WS gone",
    );
}

// ---- upgrade --------------------------------------------------------------------------------------------------------

#[test]
fn upgrade() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > WS
         ! say a
         < GET: 4a
         > GET
         > ws 2probe
         < GET: 6
         < ws 3probe
         > GET
         < GET: 6
         ! say b
         > ws 5
         = upgraded
         < ws 4b
         > ws 4c
         = c
         > GET
         < GET mismatch
         > POST 4d
         < POST mismatch
         ~ 24999ms
         ~ 1ms
         < ws 2",
    );
}

#[test]
fn messages_use_the_poll_while_a_probe_is_open() {
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         > ws 2probe
         < ws 3probe
         ! say a
         > GET
         < GET: 4a
         > GET
         < GET: 6
         > POST 4b
         = b
         < POST: ok
         > ws 5
         = upgraded",
    );
}

#[test]
fn upgrade_without_a_probe() {
    check("v4 polling", "< GET: 0{}\n> WS\n> ws 5\n= upgraded\n> ws 4a\n= a");
}

#[test]
fn a_poll_that_waits_at_the_upgrade_gets_a_noop() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > WS
         > ws 5
         < GET: 6
         = upgraded
         ! say a
         < ws 4a",
    );
}

#[test]
fn a_post_under_way_at_the_upgrade_is_heard_first() {
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         > ws 2probe
         < ws 3probe
         > POST …
         > ws 5
         = upgraded
         > ws 4second
         ! say out
         < ws 4out
         > POST … 4first
         = first
         < POST: ok
         = second",
    );
    // If it breaks off, nobody knows what was in it.
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         > POST …
         > ws 5
         = upgraded
         > POST aborts
         < ws closed
         = closed: transport error: data request connection closed prematurely",
    );
}

#[test]
fn a_wrong_packet_ends_the_probe_and_nothing_else() {
    for wrong in ["4x", "2", "3probe", "1", "0", "6", "9", "b!"] {
        for before in ["", "> ws 2probe\n< ws 3probe\n"] {
            check(
                "v4 polling",
                &format!(
                    "< GET: 0{{}}
                     > WS
                     {before}> ws {wrong}
                     < ws closed
                     > GET
                     ! say a
                     < GET: 4a
                     > WS
                     > ws 2probe
                     < ws 3probe
                     > ws 5
                     = upgraded"
                ),
            );
        }
    }
}

#[test]
fn a_lost_candidate_ends_the_probe_and_nothing_else() {
    for end in ["closes", "breaks"] {
        check(
            "v4 polling",
            &format!(
                "< GET: 0{{}}\n> WS\n> ws 2probe\n< ws 3probe\n> ws {end}\n> GET\n! say a\n< GET: 4a\n> WS"
            ),
        );
    }
}

#[test]
fn a_probe_is_given_up_in_time() {
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         ~ 9999ms
         > ws 2probe
         < ws 3probe
         ~ 1ms
         < ws closed
         > GET
         ~ 15s
         < GET: 2
         > POST 3
         < POST: ok",
    );
}

#[test]
fn a_second_candidate_is_refused() {
    check("v4 polling", "< GET: 0{}\n> WS\n> WS\n< WS refused\n> ws 2probe\n< ws 3probe\n> ws 5\n= upgraded");
    check("v4 polling", "< GET: 0{}\n> WS\n> ws 5\n= upgraded\n> WS\n< WS refused\n> ws 4a\n= a");
    check("v4 websocket", "< ws 0{}\n> WS\n< WS refused\n> ws 4a\n= a");
}

#[test]
fn the_end_of_the_session_is_the_end_of_the_candidate() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > WS
         > GET aborts
         < ws closed
         = closed: transport error: poll connection closed prematurely",
    );
}

// ---- close ----------------------------------------------------------------------------------------------------------

#[test]
fn close_on_a_websocket() {
    check("v4 websocket", "< ws 0{}\n! close\n< ws closed\n= closed: forced close");
    check("v4 websocket", "< ws 0{}\n! abort\n< ws closed\n= closed: forced close");
    check("v4 websocket", "< ws 0{}\n> ws 1\n< ws closed\n= closed: transport close");
    check("v4 websocket", "< ws 0{}\n> ws closes\n= closed: transport close");
    check("v4 websocket", "< ws 0{}\n> ws breaks\n= closed: transport error: invalid WebSocket frame");
    check("v4 websocket", "< ws 0{}\n> ws 9\n< ws closed\n= closed: parse error");
}

#[test]
fn close_with_a_poll_waiting() {
    for how in ["close", "abort"] {
        check("v4 polling", &format!("< GET: 0{{}}\n> GET\n! {how}\n< GET: 1\n= closed: forced close"));
    }
    check("v3 polling", "< GET: 3:0{}\n> GET\n! close\n< GET: 1:1\n= closed: forced close");
}

#[test]
fn close_without_a_poll_waits_for_the_next() {
    check("v4 polling", "< GET: 0{}\n! close\n~ 29999ms\n> GET\n< GET: 6␞1\n= closed: forced close");
    check("v3 polling", "< GET: 3:0{}\n! close\n> GET\n< GET: 1:61:1\n= closed: forced close");
    check("v4 polling", "< GET: 0{}\n! close\n~ 29999ms\n~ 1ms\n= closed: forced close");
}

#[test]
fn what_was_said_before_the_close_goes_first() {
    check(
        "v4 polling",
        "< GET: 0{}
         ! say bye
         ! close
         > GET
         < GET: 4bye
         > GET
         < GET: 6␞1
         = closed: forced close",
    );
    check("v4 polling", "< GET: 0{}\n! say bye\n! close\n~ 30s\n= closed: forced close");
    check("v4 polling", "< GET: 0{}\n! say bye\n! abort\n= closed: forced close");
}

#[test]
fn nothing_is_heard_after_the_close() {
    check(
        "v4 polling",
        "< GET: 0{}
         ! close
         > POST 4a
         < POST: ok
         > POST 1
         < POST: ok
         = closed: transport close",
    );
}

#[test]
fn the_client_says_goodbye_by_post() {
    check(
        "v4 polling",
        "< GET: 0{}
         > GET
         > POST 4a␞1␞4b
         = a
         < GET: 6
         < POST: ok
         = closed: transport close",
    );
}

#[test]
fn close_during_an_upgrade() {
    // The client is on its way: it is told on the new transport, after what was said.
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         > ws 2probe
         < ws 3probe
         ! say bye
         ! close
         > ws 5
         = upgraded
         < ws 4bye
         < ws closed
         = closed: forced close",
    );
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         ! close
         > ws 5
         = upgraded
         < ws closed
         = closed: forced close",
    );
    check(
        "v4 polling",
        "< GET: 0{}
         > WS
         > ws 2probe
         < ws 3probe
         ! close
         > GET
         < GET: 6␞1
         < ws closed
         = closed: forced close",
    );
}

// ---- the other half: a driver of a few lines ------------------------------------------------------------------------

fn check(kind: &str, script: &str) {
    let script: Vec<&str> = script.lines().map(str::trim_start).filter(|line| !line.is_empty()).collect();
    let mut sim = Sim::new(kind);
    sim.settle();
    for line in &script {
        if let Some(input) = line.strip_prefix(['>', '!', '~']) {
            sim.transcript.push((*line).to_owned());
            sim.input(line.as_bytes()[0], input.strip_prefix(' ').unwrap_or_default());
            sim.settle();
        }
    }
    assert_eq!(sim.transcript, script, "{kind}: left what happened, right the script");
}

struct Sim {
    session: Session,
    now: Duration,
    until: Option<Duration>,
    form: Form,
    outbox: VecDeque<String>,
    /// The lane of the WebSocket there is, if any, and what it may not be read yet.
    websocket: Option<Lane>,
    unread: VecDeque<String>,
    transcript: Vec<String>,
}

impl Sim {
    fn new(kind: &str) -> Sim {
        let (protocol, transport) = kind.split_once(' ').unwrap();
        let protocol = if protocol == "v3" { Protocol::V3 } else { Protocol::V4 };
        // A clock does not begin at nothing.
        let now = Duration::from_millis(123_456_789);
        let websocket = transport == "websocket";
        let session = if websocket { Session::websocket } else { Session::polling };
        Sim {
            session: session(protocol, Timing::default(), now),
            now,
            until: None,
            form: Form::new(protocol, true, false),
            outbox: VecDeque::new(),
            websocket: websocket.then_some(Lane::WebSocket),
            unread: VecDeque::new(),
            transcript: Vec::new(),
        }
    }

    fn input(&mut self, mark: u8, input: &str) {
        let now = self.now;
        let (verb, rest) = input.split_once(' ').unwrap_or((input, ""));
        match (mark, verb, rest) {
            (b'~', _, _) => self.pass(input),
            (b'!', "say", text) => self.outbox.push_back(text.to_owned()),
            (b'!', "close", _) => self.session.close(now),
            (b'!', "abort", _) => self.session.abort(now),
            (b'!', "lost", _) => self.session.handle_messages_lost(now),
            (b'!', "excuse", _) => self.session.excuse_silence(now),
            (b'>', "GET", "aborts") => self.session.handle_poll_lost(now),
            (b'>', "GET", _) => {
                let admission = self.session.handle_poll(now);
                self.admitted("GET", admission);
            }
            (b'>', "POST", "aborts") => self.session.handle_post_failed(Fault::PostLost, now),
            (b'>', "POST", "too big") => self.session.handle_post_refused(now),
            (b'>', "POST", "…") => {
                let admission = self.session.handle_post(now);
                self.admitted("POST", admission);
            }
            (b'>', "POST", body) => match body.strip_prefix("… ") {
                Some(body) => self.body(body),
                None => {
                    let admission = self.session.handle_post(now);
                    if self.admitted("POST", admission) {
                        self.body(body);
                    }
                }
            },
            (b'>', "WS", _) => {
                let admission = self.session.handle_candidate(now);
                if self.admitted("WS", admission) {
                    self.websocket = Some(Lane::Candidate);
                }
            }
            (b'>', "ws", "closes") => self.websocket_lost(None),
            (b'>', "ws", "breaks") => self.websocket_lost(Some(Fault::Frame)),
            (b'>', "ws", text) => self.unread.push_back(text.to_owned()),
            _ => panic!("{input}?"),
        }
    }

    fn pass(&mut self, time: &str) {
        let unit = time.trim_start_matches(|char: char| char.is_ascii_digit());
        let number: u64 = time[..time.len() - unit.len()].parse().unwrap();
        let end = self.now + Duration::from_millis(if unit == "s" { number * 1000 } else { number });
        while let Some(until) = self.until.filter(|until| *until <= end) {
            self.now = self.now.max(until);
            self.session.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn body(&mut self, body: &str) {
        let body = body.replace('␞', "\u{1e}");
        for packet in Payload::text(&body, self.session.protocol()) {
            match packet {
                Ok(packet) => self.packet(Lane::Polling, &packet),
                Err(_) => self.session.handle_undecodable(Lane::Polling, self.now),
            }
            if self.session.is_closed() {
                break;
            }
        }
        self.session.handle_post_done(self.now);
    }

    fn packet(&mut self, lane: Lane, packet: &Packet<'_>) {
        if self.session.handle_packet(lane, packet, self.now) == Received::Deliver {
            assert_eq!(packet.kind, Kind::Message);
            let Data::Text(text) = &packet.data else { panic!("text only") };
            self.transcript.push(format!("= {text}"));
        }
    }

    fn websocket_lost(&mut self, fault: Option<Fault>) {
        let lane = self.websocket.take().expect("a WebSocket");
        self.session.handle_websocket_lost(lane, fault, self.now);
    }

    fn admitted(&mut self, what: &str, admission: Admission) -> bool {
        let words = match admission {
            Admission::Held => return true,
            Admission::Overlap => {
                if what == "WS" {
                    "refused"
                } else {
                    "400"
                }
            }
            Admission::Mismatch => "mismatch",
            Admission::Gone => "gone",
        };
        self.transcript.push(format!("< {what} {words}"));
        false
    }

    /// Drains the machine, then sends what may be sent, reads what may be read, and so on until nothing moves.
    fn settle(&mut self) {
        loop {
            self.drain();
            match (self.session.outlet(), self.outbox.is_empty()) {
                (Outlet::Poll, false) => {
                    let answer = self.session.take_poll().expect("a poll");
                    self.answer(answer);
                }
                (Outlet::WebSocket, false) => {
                    while let Some(text) = self.outbox.pop_front() {
                        self.transcript.push(format!("< ws 4{text}"));
                    }
                }
                _ => {}
            }
            if self.session.is_closing() && self.outbox.is_empty() {
                self.session.handle_drained(self.now);
            }
            self.drain();
            let Some(lane) = self.websocket.filter(|lane| self.session.may_read(*lane)) else { return };
            let Some(text) = self.unread.pop_front() else { return };
            match decode_text(&text, self.session.protocol()) {
                Ok(packet) => self.packet(lane, &packet),
                Err(_) => self.session.handle_undecodable(lane, self.now),
            }
        }
    }

    fn drain(&mut self) {
        loop {
            let line = match self.session.output() {
                Output::AnswerPoll(answer) => {
                    self.answer(answer);
                    continue;
                }
                Output::AnswerPost => "< POST: ok".to_owned(),
                Output::DropPost => "< POST: cut".to_owned(),
                Output::SendProbe => "< ws 3probe".to_owned(),
                Output::Switch => {
                    assert_eq!(self.websocket.replace(Lane::WebSocket), Some(Lane::Candidate));
                    "= upgraded".to_owned()
                }
                Output::Send(Control::Open) => "< ws 0{}".to_owned(),
                Output::Send(control) => format!("< ws {}", control.kind().as_char()),
                Output::CloseCandidate => {
                    assert_eq!(self.websocket.take(), Some(Lane::Candidate));
                    self.unread.clear();
                    "< ws closed".to_owned()
                }
                Output::CloseWebSocket => {
                    assert_eq!(self.websocket.take(), Some(Lane::WebSocket));
                    self.unread.clear();
                    "< ws closed".to_owned()
                }
                Output::Closed(Reason::TransportError(fault)) => {
                    format!("= closed: transport error: {}", fault.as_str())
                }
                Output::Closed(reason) => format!("= closed: {}", reason.as_str()),
                Output::Idle { until } => {
                    assert_eq!(until.is_none(), self.session.is_closed());
                    self.until = until;
                    return;
                }
            };
            self.transcript.push(line);
        }
    }

    fn answer(&mut self, answer: PollAnswer) {
        let payload = match answer {
            PollAnswer::Packets(owed) => {
                let messages: Vec<Message> = self.outbox.drain(..).map(|text| Message::text(&text)).collect();
                let payload =
                    encode_payload(self.form, owed.controls(), "{}", messages.iter(), 1_000_000).unwrap();
                assert_eq!(payload.taken, messages.len());
                payload
            }
            PollAnswer::Noop => encode_payload(self.form, [], "", [].iter(), 0).unwrap(),
            PollAnswer::Close => encode_close(self.form, false),
            PollAnswer::NoopClose => encode_close(self.form, true),
        };
        let body = String::from_utf8(payload.body).unwrap().replace('\u{1e}', "␞");
        self.transcript.push(format!("< GET: {body}"));
    }
}
