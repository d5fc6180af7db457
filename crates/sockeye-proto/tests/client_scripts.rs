//! The client machine as conversations in virtual time.
//!
//! ```text
//! ! connect /            the application wants something; also `emit / …`, `call / …`, `forget /`, `answer …`,
//!                        `volatile / …`, `disconnect /`, `auth …`, `close`
//! < GET                  what the client does on the network; also `POST …`, `DIAL`, `ws …`, `HANGUP`, `ABANDON`
//! > GET 0{…}             what comes of it: the answer to the poll; also `GET fails`
//! > POST ok              also `POST fails`
//! > ws opens             also `ws 3probe`, `ws closes`, `ws breaks`
//! ~ 25s                  time passes (also `ms`)
//! = connected /          what the application hears
//! ```
//!
//! A script is compared with the whole transcript, so what is not in it must not happen. Frames are reported as written
//! at once. `{}` stands for the usual handshake, with an upgrade in `{up}`.

use std::collections::BTreeMap;
use std::time::Duration;

use sockeye_proto::client::{
    AckId, Auth, Call, Cap, Client, Config, Emit, Frame, Output, Reconnection, SocketId, SocketOptions,
    Ticket, Transports, WhenFull, Wire,
};
use sockeye_proto::engine::Content;
use sockeye_proto::socket::Payload;

const OPEN: &str = r#"{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}"#;
const OPEN_UP: &str =
    r#"{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}"#;

// ---- connecting -----------------------------------------------------------------------------------------------------

#[test]
fn polling_connect_emit_and_close() {
    check(
        polling(),
        plain(),
        r#"! connect /
        < GET
        > GET 0{}
        = opened polling
        < POST 40
        < GET
        > POST ok
        > GET 40{"sid":"a"}
        = connected /
        < GET
        ! emit / 1
        < POST 42["e","1"]
        ! emit / 2
        ! emit / 3
        > POST ok
        < POST 42["e","2"]|42["e","3"]
        > GET 2
        = pinged
        < GET
        > POST ok
        < POST 3
        ! close
        = disconnected / io client disconnect, inactive
        > POST ok
        < POST 41
        > POST ok
        < POST 1
        > POST ok
        < ABANDON
        = closed"#,
    );
}

#[test]
fn websocket_first() {
    check(
        websocket(),
        plain(),
        r#"! connect /chat
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40/chat,
        > ws 40/chat,{"sid":"a"}
        = connected /chat
        > ws 42/chat,7["q",1]
        = event /chat ["q",1], asks
        ! answer "yes"
        < ws 43/chat,7["yes"]
        > ws 2
        = pinged
        < ws 3
        ! disconnect /chat
        < ws 41/chat,
        = disconnected /chat io client disconnect, inactive
        < HANGUP
        = closed"#,
    );
}

#[test]
fn upgrade_waits_for_get_and_post_and_says_nothing_meanwhile() {
    check(
        Config::default(),
        plain(),
        r#"! connect /
        < GET
        > GET 0{up}
        = opened polling
        < DIAL
        < POST 40
        < GET
        > ws opens
        < ws 2probe
        > POST ok
        > GET 40{"sid":"a"}
        = connected /
        < GET
        ! emit / before
        < POST 42["e","before"]
        > ws 3probe
        ! emit / meanwhile
        > POST ok
        > GET 6
        < ws 5
        = upgraded
        < ws 42["e","meanwhile"]
        ! emit / after
        < ws 42["e","after"]"#,
    );
}

#[test]
fn a_probe_that_fails_leaves_polling_alone() {
    for failure in ["> ws breaks", "> ws closes", "~ 10s"] {
        let (hang_up, why) = match failure {
            "~ 10s" => ("\n        < HANGUP", "not finished in time"),
            "> ws closes" => ("", "closed"),
            _ => ("", "reset"),
        };
        check(
            Config::default(),
            plain(),
            &format!(
                r#"! connect /
        < GET
        > GET 0{{up}}
        = opened polling
        < DIAL
        < POST 40
        < GET
        > POST ok
        {failure}{hang_up}
        = upgrade failed: upgrade to WebSocket: {why}
        > GET 40{{"sid":"a"}}
        = connected /
        < GET
        ! emit / 1
        < POST 42["e","1"]"#
            ),
        );
    }
}

#[test]
fn an_answered_probe_that_dies_gives_polling_back() {
    check(
        Config::default(),
        plain(),
        r#"! connect /
        < GET
        > GET 0{up}
        = opened polling
        < DIAL
        < POST 40
        < GET
        > ws opens
        < ws 2probe
        > POST ok
        > ws 3probe
        > GET 40{"sid":"a"}
        = connected /
        < ws 5
        = upgraded"#,
    );
    check(
        Config::default(),
        plain(),
        r#"! connect /
        < GET
        > GET 0{up}
        = opened polling
        < DIAL
        < POST 40
        < GET
        > ws opens
        < ws 2probe
        > ws 3probe
        > ws closes
        = upgrade failed: upgrade to WebSocket: closed
        > POST ok
        > GET 40{"sid":"a"}
        = connected /
        < GET"#,
    );
}

#[test]
fn refusal_with_data_leaves_the_other_namespace_alone() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        ! connect /admin
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40|40/admin,
        > ws 44/admin,{"message":"no","data":{"code":7}}
        = refused /admin no {"code":7}
        > ws 40{"sid":"a"}
        = connected /
        ! connect /admin
        < ws 40/admin,
        > ws 40/admin,{"sid":"b"}
        = connected /admin"#,
    );
}

#[test]
fn auth_is_asked_for_on_every_attempt() {
    let options = SocketOptions { auth: Auth::Ask, ..plain() };
    check(
        websocket(),
        options,
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        = auth wanted /
        ! auth {"token":1}
        < ws 40{"token":1}
        > ws closes
        < ABANDON
        = lost: transport close
        = waiting
        ~ 2s
        = reconnecting 1
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        = reconnected 1
        = auth wanted /
        ! auth {"token":2}
        < ws 40{"token":2}"#,
    );
}

#[test]
fn leaving_before_the_answer_leaves_after_it() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /
        ! connect /b
        < ws 40/b,
        ! disconnect /b
        > ws 40/b,{"sid":"b"}
        < ws 41/b,
        ! connect /b
        < ws 40/b,
        ! disconnect /b
        ! connect /b
        > ws 40/b,{"sid":"c"}
        = connected /b"#,
    );
}

// ---- away, and back -------------------------------------------------------------------------------------------------

#[test]
fn what_is_emitted_while_away_is_sent_before_connected() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        ! emit / 1
        ! volatile / lost
        = not writable right now
        ! call / 2
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        ! emit / 3
        > ws 40{"sid":"a"}
        < ws 42["e","1"]|420["e","2"]|42["e","3"]
        = connected /
        > ws 430["ok"]
        = answer ["ok"]
        > ws 430["again"]
        > ws 4399["never asked"]"#,
    );
}

#[test]
fn a_loss_answers_what_was_sent_and_keeps_what_was_not() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /
        ! call / sent
        < ws 420["e","sent"]
        > ws breaks
        < ABANDON
        = disconnected / transport error: WebSocket: reset, active
        = unanswered: socket has been disconnected
        = lost: transport error: WebSocket: reset
        = waiting
        ! call / kept
        ~ 2s
        = reconnecting 1
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        = reconnected 1
        < ws 40
        > ws 40{"sid":"b"}
        < ws 421["e","kept"]
        = connected /
        > ws 431[]
        = answer []"#,
    );
}

#[test]
fn silence_is_noticed_before_anything_is_sent_into_it() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /
        ~ 44999ms
        ~ 1ms
        < ABANDON
        = disconnected / ping timeout, active
        = lost: ping timeout
        = waiting"#,
    );
}

#[test]
fn an_ack_timeout_takes_the_event_out_of_the_buffer() {
    let options = SocketOptions { ack_timeout: Some(Duration::from_secs(5)), ..plain() };
    check(
        websocket(),
        options,
        r#"! connect /
        < DIAL
        ! call / 1
        ~ 5s
        = unanswered: operation has timed out
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /"#,
    );
}

#[test]
fn a_call_that_is_given_up_is_not_sent_any_more_and_its_answer_is_nobodys() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        ! call / 1
        ! call / 2
        ! forget /
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        < ws 420["e","1"]
        = connected /
        > ws 430["x"]
        = answer ["x"]
        ! call / 3
        < ws 422["e","3"]
        ! forget /
        > ws 432["late"]
        ! call / 4
        < ws 423["e","4"]
        > ws 433[]
        = answer []"#,
    );
}

#[test]
fn a_call_that_is_given_up_keeps_its_place_in_the_line_of_retries() {
    let options = SocketOptions { retries: 2, ..plain() };
    check(
        websocket(),
        options,
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /
        ! call / 1
        < ws 420["e","1"]
        ! call / 2
        ! forget /
        > ws 430["one"]
        = answer ["one"]
        < ws 421["e","2"]
        > ws 431["two"]"#,
    );
}

#[test]
fn a_full_buffer_says_what_it_drops() {
    for (when_full, dropped, sent) in
        [(WhenFull::DropOldest, "1", ["2", "3"]), (WhenFull::DropNewest, "3", ["1", "2"])]
    {
        let options = SocketOptions { cap: Cap { packets: 2, when_full, ..Cap::default() }, ..plain() };
        check(
            websocket(),
            options,
            &format!(
                r#"! connect /
        < DIAL
        ! emit / 1
        ! emit / 2
        ! emit / 3
        = dropped ["e","{dropped}"]
        > ws opens
        > ws 0{{}}
        = opened websocket
        < ws 40
        > ws 40{{"sid":"a"}}
        < ws 42["e","{}"]|42["e","{}"]
        = connected /"#,
                sent[0], sent[1]
            ),
        );
    }
}

#[test]
fn retries_go_one_at_a_time_and_start_again_after_a_loss() {
    let options = SocketOptions { retries: 2, ack_timeout: Some(Duration::from_secs(1)), ..plain() };
    check(
        websocket(),
        options,
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        ! emit / 1
        ! call / 2
        > ws 40{"sid":"a"}
        < ws 420["e","1"]
        = connected /
        ~ 1s
        < ws 421["e","1"]
        > ws 430[]
        > ws closes
        < ABANDON
        = disconnected / transport close, active
        = lost: transport close
        = waiting
        ~ 2s
        = reconnecting 1
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        = reconnected 1
        < ws 40
        > ws 40{"sid":"b"}
        < ws 422["e","1"]
        = connected /
        > ws 432[]
        < ws 423["e","2"]
        ~ 1s
        < ws 424["e","2"]
        ~ 1s
        < ws 425["e","2"]
        ~ 1s
        = unanswered: operation has timed out
        = dropped ["e","2"]"#,
    );
}

#[test]
fn a_session_is_taken_up_again() {
    check(
        websocket(),
        SocketOptions { auth: Auth::Value(r#"{"token":1}"#.into()), ..plain() },
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40{"token":1}
        > ws 40{"sid":"a","pid":"p"}
        = connected /
        > ws 42["n",1,"off.1"]
        = event / ["n",1,"off.1"]
        > ws 423["asks","not an offset"]
        = event / ["asks","not an offset"], asks
        > ws closes
        < ABANDON
        = disconnected / transport close, active
        = lost: transport close
        = waiting
        ~ 2s
        = reconnecting 1
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        = reconnected 1
        < ws 40{"offset":"off.1","pid":"p","token":1}
        > ws 42["n",2,"off.2"]
        > ws 40{"sid":"a","pid":"p"}
        = event / ["n",2,"off.2"]
        = connected /, recovered
        ! answer "too late"
        = not sent"#,
    );
}

#[test]
fn attempts_end_where_the_plan_ends() {
    let plan = Reconnection { attempts: Some(1), ..Reconnection::default() };
    check(
        Config { reconnection: Some(plan), ..polling() },
        plain(),
        r#"! connect /
        < GET
        > GET fails
        < ABANDON
        = connect failed: transport error: handshake: status 502
        = waiting
        ~ 2s
        = reconnecting 1
        < GET
        ~ 20s
        < ABANDON
        = connect failed: transport error: handshake: no answer within 20s
        = gave up
        ! connect /
        < GET"#,
    );
}

#[test]
fn a_server_disconnect_is_final() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /
        > ws 41
        = disconnected / io server disconnect, inactive
        < HANGUP
        = closed"#,
    );
}

// ---- revision 3 -----------------------------------------------------------------------------------------------------

#[test]
fn v3_main_namespace_is_implicit_and_the_client_pings() {
    check(
        Config { transports: Transports::WebSocket, ..Config::v3() },
        plain(),
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        > ws 40
        = connected /
        ! connect /b
        < ws 40/b,
        > ws 40/b
        = connected /b
        ~ 25s
        < ws 2
        > ws 3
        ~ 25s
        < ws 2
        ~ 20s
        < ABANDON
        = disconnected / ping timeout, active
        = disconnected /b ping timeout, active
        = lost: ping timeout
        = waiting"#,
    );
}

// ---- hostile servers (threats O) ------------------------------------------------------------------------------------

#[test]
fn a_handshake_of_nonsense_numbers_gets_the_protocols_own() {
    for (interval, timeout) in [("0", "0"), ("-1", "-1"), ("\"x\"", "null"), ("null", "[]")] {
        check(
            websocket(),
            plain(),
            &format!(
                r#"! connect /
        < DIAL
        > ws opens
        > ws 0{{"sid":"s","upgrades":"x","pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":0}}
        = opened websocket
        < ws 40
        > ws 40{{"sid":"a"}}
        = connected /
        ~ 44999ms
        ~ 1ms
        < ABANDON
        = disconnected / ping timeout, active
        = lost: ping timeout
        = waiting"#
            ),
        );
    }
}

#[test]
fn a_handshake_without_a_usable_id_is_none() {
    for bad in ["{ }", r#"{"sid":""}"#, r#"{"sid":7}"#, r#"{"sid":"\u0000"}"#, "[", ""] {
        check(
            websocket(),
            plain(),
            &format!(
                r#"! connect /
        < DIAL
        > ws opens
        > ws 0{bad}
        < ABANDON
        = connect failed: transport error: handshake: the server's first packet is no valid handshake
        = waiting"#
            ),
        );
    }
}

#[test]
fn a_server_that_answers_every_poll_with_nothing_is_asked_less_often() {
    let mut script = String::from(
        r#"! connect /
        < GET
        > GET 0{}
        = opened polling
        < POST 40
        < GET
        > POST ok"#,
    );
    for _ in 0..8 {
        script.push_str("\n> GET 6\n< GET");
    }
    script.push_str("\n> GET 6\n~ 99ms\n~ 1ms\n< GET\n> GET 6\n~ 100ms\n< GET");
    check(polling(), plain(), &script);
}

#[test]
fn broken_packets_end_the_connection() {
    for bad in ["9", "", "4x", r#"42["connect"]"#, r#"451-["a",{"_placeholder":true,"num":3}]"#] {
        let mut driver = Driver::new(websocket(), plain());
        for step in ["! connect /", "> ws opens", "> ws 0{}", r#"> ws 40{"sid":"a"}"#, &format!("> ws {bad}")]
        {
            driver.step(step);
        }
        let heard = driver.heard.join("\n");
        assert!(heard.contains("= disconnected / parse error"), "{bad:?}:\n{heard}");
    }
}

#[test]
fn a_packet_without_its_attachments_ends_the_connection() {
    check(
        websocket(),
        plain(),
        r#"! connect /
        < DIAL
        > ws opens
        > ws 0{}
        = opened websocket
        < ws 40
        > ws 40{"sid":"a"}
        = connected /
        > ws 451-["a",{"_placeholder":true,"num":0}]
        ~ 30s
        < ABANDON
        = disconnected / parse error: a packet without all of its attachments, active
        = lost: parse error: a packet without all of its attachments
        = waiting"#,
    );
}

#[test]
fn reports_about_a_connection_that_is_over_do_nothing() {
    let now = Duration::ZERO;
    let mut client = Client::new(websocket(), 1);
    let socket = client.socket("/", plain());
    client.connect(socket, now);
    while client.poll().is_some() {}
    client.websocket_closed(1, None, now);
    while client.poll().is_some() {}
    client.timer(Duration::from_secs(10));
    while client.poll().is_some() {}
    client.websocket_text(1, r#"0{"sid":"old"}"#, now);
    client.websocket_closed(1, None, now);
    client.posted(1, now);
    client.polled(1, b"1", Content::Text, now);
    assert_eq!(client.poll(), None);
}

// ---- the driver of the scripts --------------------------------------------------------------------------------------

fn plain() -> SocketOptions {
    SocketOptions::default()
}

fn polling() -> Config {
    Config { transports: Transports::Polling, ..Config::default() }
}

fn websocket() -> Config {
    Config { transports: Transports::WebSocket, ..Config::default() }
}

#[track_caller]
fn check(config: Config, options: SocketOptions, script: &str) {
    let script: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut driver = Driver::new(config, options);
    for line in &script {
        if !line.starts_with(['<', '=']) {
            driver.step(line);
        }
    }
    assert_eq!(driver.heard.join("\n"), script.join("\n"));
}

struct Driver {
    client: Client,
    options: SocketOptions,
    now: Duration,
    connection: u32,
    heard: Vec<String>,
    names: BTreeMap<SocketId, String>,
    ack: Option<AckId>,
    /// The last.
    call: Option<Call>,
    ticket: Option<(SocketId, Ticket)>,
}

impl Driver {
    fn new(config: Config, options: SocketOptions) -> Driver {
        Driver {
            client: Client::new(config, 4),
            options,
            now: Duration::ZERO,
            connection: 0,
            heard: Vec::new(),
            names: BTreeMap::new(),
            ack: None,
            call: None,
            ticket: None,
        }
    }

    fn step(&mut self, line: &str) {
        self.heard.push(line.to_owned());
        let (kind, rest) = line.split_once(' ').unwrap();
        match kind {
            "!" => self.wish(rest),
            ">" => self.report(rest),
            "~" => {
                let time = match rest.strip_suffix("ms") {
                    Some(ms) => Duration::from_millis(ms.parse().unwrap()),
                    None => Duration::from_secs(rest.strip_suffix('s').unwrap().parse().unwrap()),
                };
                let until = self.now + time;
                while let Some(next) = self.client.deadline()
                    && next <= until
                {
                    assert!(next >= self.now, "a deadline in the past: the driver would spin");
                    self.now = next;
                    self.client.timer(next);
                    self.drain();
                }
                self.now = until;
                // Too early a call does no harm.
                self.client.timer(until);
            }
            _ => panic!("{line}"),
        }
        self.drain();
    }

    fn wish(&mut self, wish: &str) {
        let now = self.now;
        let (verb, rest) = wish.split_once(' ').unwrap_or((wish, ""));
        let (namespace, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut socket = || {
            let id = self.client.socket(namespace, self.options.clone());
            self.names.insert(id, namespace.to_owned());
            id
        };
        match verb {
            "connect" => {
                let socket = socket();
                self.client.connect(socket, now);
            }
            "disconnect" => {
                let socket = socket();
                self.client.disconnect(socket, now);
            }
            "emit" | "call" | "volatile" => {
                let socket = socket();
                let how = Emit { ack: verb == "call", volatile: verb == "volatile", ..Emit::default() };
                match self.client.emit(socket, Payload::event("e", text).unwrap(), how, now) {
                    Ok(call) => self.call = call.or(self.call),
                    Err(error) => self.heard.push(format!("= {error}")),
                }
            }
            "forget" => {
                let socket = socket();
                self.client.forget(socket, self.call.take().unwrap());
            }
            "answer" => {
                let value: String = serde_json::from_str(rest).unwrap();
                let sent = self
                    .client
                    .answer(self.ack.take().unwrap(), &Payload::args(&value).unwrap(), now)
                    .unwrap();
                if !sent {
                    self.heard.push("= not sent".into());
                }
            }
            "auth" => {
                let (socket, ticket) = self.ticket.take().unwrap();
                self.client.authorize(socket, ticket, Ok(Some(rest.to_owned())), now);
            }
            "close" => self.client.close(now),
            _ => panic!("{wish}"),
        }
    }

    fn report(&mut self, what: &str) {
        let (now, connection) = (self.now, self.connection);
        let (lane, text) = what.split_once(' ').unwrap();
        let text = match text {
            "0{}" => format!("0{OPEN}"),
            "0{up}" => format!("0{OPEN_UP}"),
            _ => text.to_owned(),
        };
        match (lane, text.as_str()) {
            ("GET", "fails") => self.client.request_failed(connection, false, "status 502".into(), now),
            ("GET", body) => {
                self.client.polled(connection, body.replace('|', "\x1e").as_bytes(), Content::Text, now);
            }
            ("POST", "ok") => self.client.posted(connection, now),
            ("POST", _) => self.client.request_failed(connection, true, "status 502".into(), now),
            ("ws", "opens") => self.client.websocket_opened(connection, now),
            ("ws", "closes") => self.client.websocket_closed(connection, None, now),
            ("ws", "breaks") => self.client.websocket_closed(connection, Some("reset".into()), now),
            ("ws", text) => self.client.websocket_text(connection, text, now),
            _ => panic!("{what}"),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll() {
            let name = |id: &SocketId| self.names[id].clone();
            let line = match output {
                Output::Wire { connection, wire } => {
                    self.connection = connection;
                    match wire {
                        Wire::Get { .. } => "< GET".to_owned(),
                        Wire::Post { payload, .. } => {
                            format!(
                                "< POST {}",
                                String::from_utf8(payload.body).unwrap().replace('\x1e', "|")
                            )
                        }
                        Wire::Dial { .. } => "< DIAL".to_owned(),
                        Wire::Write(frames) => {
                            self.client.written(connection, self.now);
                            let frames = frames.iter().map(|frame| match frame {
                                Frame::Packet(text) => (*text).to_owned(),
                                Frame::Message(message) => {
                                    String::from_utf8_lossy(message.packet()).into_owned()
                                }
                            });
                            format!("< ws {}", frames.collect::<Vec<_>>().join("|"))
                        }
                        Wire::HangUp => "< HANGUP".to_owned(),
                        Wire::Abandon => "< ABANDON".to_owned(),
                    }
                }
                Output::AuthWanted { socket, ticket } => {
                    self.ticket = Some((socket, ticket));
                    format!("= auth wanted {}", name(&socket))
                }
                Output::Opened { transport } => format!("= opened {}", transport.as_str()),
                Output::Upgraded => "= upgraded".to_owned(),
                Output::UpgradeFailed(failure) => format!("= upgrade failed: {failure}"),
                Output::Pinged => "= pinged".to_owned(),
                Output::ConnectFailed(reason) => format!("= connect failed: {reason}"),
                Output::Lost(reason) => format!("= lost: {reason}"),
                Output::Waiting(delay) => {
                    assert!(
                        delay >= Duration::from_millis(500) && delay <= Duration::from_secs(2),
                        "{delay:?}"
                    );
                    "= waiting".to_owned()
                }
                Output::Reconnecting { attempt } => format!("= reconnecting {attempt}"),
                Output::Reconnected { attempt } => format!("= reconnected {attempt}"),
                Output::GaveUp => "= gave up".to_owned(),
                Output::Closed => "= closed".to_owned(),
                Output::Connected { socket, recovered } => {
                    format!("= connected {}{}", name(&socket), if recovered { ", recovered" } else { "" })
                }
                Output::Refused { socket, refused } => {
                    format!(
                        "= refused {} {refused} {}",
                        name(&socket),
                        refused.data.as_deref().unwrap_or_default()
                    )
                }
                Output::Disconnected { socket, reason, active } => {
                    format!(
                        "= disconnected {} {reason}, {}active",
                        name(&socket),
                        if active { "" } else { "in" }
                    )
                }
                Output::Event { socket, args, ack, .. } => {
                    let asks = if ack.is_some() { ", asks" } else { "" };
                    self.ack = ack.or(self.ack.take());
                    format!("= event {} {}{asks}", name(&socket), args.text())
                }
                Output::Answer { args, .. } => format!("= answer {}", args.text()),
                Output::Unanswered { why, .. } => format!("= unanswered: {why}"),
                Output::Dropped { payload, .. } => format!("= dropped {}", payload.text()),
            };
            self.heard.push(line);
        }
    }
}
