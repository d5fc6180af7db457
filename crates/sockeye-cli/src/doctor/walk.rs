//! The steps above TLS, in order, and what is left to try when one fails.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method, header};
use sockeye_proto::engine::{self, Kind};

use super::certificates::{Witness, clocks};
use super::refused;
use super::report::{Finding, Outcome, Report};
use super::speech::{First, Opening, Speech, Word, first, is_unknown_session};
use super::websocket::{Frame, WebSocket};
use super::wire::{Answer, Ask, Door, Trouble};
use crate::options::{Parser, Target, Transport};

/// What is to be looked at, and how.
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) auth: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) origin: Option<String>,
    pub(super) transport: Option<Transport>,
    pub(super) eio: u8,
    pub(super) parser: Parser,
    pub(super) insecure: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) heartbeat: bool,
}

/// Walks as far as it goes; everything that is found is in the report.
///
/// # Errors
/// When a file with certificates cannot be read.
pub(super) async fn walk(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let witness = Witness::new(plan.ca.as_deref())?;
    let mut walk = Walk { plan, report, witness, speech: Speech::new(plan.eio, plan.parser) };
    // Whatever stopped it has told so.
    let _ = walk.all().await;
    Ok(())
}

/// The walk goes no further, and the report says why.
pub(super) struct Stop;

pub(super) struct Walk<'a> {
    pub(super) plan: &'a Plan,
    pub(super) report: &'a mut Report,
    pub(super) witness: Arc<Witness>,
    pub(super) speech: Speech,
}

/// How far a session came into its namespace over polling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// It was not tried.
    Untried,
    Joined,
    /// The server, or what stands before it, said nothing.
    Silent,
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<(), Stop> {
        let addresses = self.dns().await?;
        let address = self.tcp(addresses).await?;
        let mut door = self.tls(address).await?;
        let mut inside = Inside::Untried;
        let mut upgraded = true;
        if self.plan.transport != Some(Transport::Websocket)
            && let Some((opening, joined)) = self.handshake(&mut door).await?
            && self.polling(&door, &opening).await
        {
            inside = self.namespace(&door, &opening, joined).await?;
            if inside == Inside::Joined && self.plan.transport.is_none() {
                upgraded = self.upgrade(&door, &opening).await;
            } else if inside == Inside::Joined && self.plan.heartbeat {
                self.poll_heartbeat(&door, &opening).await;
            }
            if self.plan.transport.is_some() || !upgraded {
                self.post(&door, &opening, self.speech.post_kind(Kind::Close)).await.ok();
            }
        }
        match self.plan.transport {
            Some(Transport::Polling) if inside == Inside::Silent => {
                self.stop(refused::silent(self.plan, false))
            }
            Some(Transport::Polling) => Ok(()),
            _ => self.websocket(&door, inside, upgraded).await,
        }
    }

    /// Notes a finding that ends the walk.
    pub(super) fn stop<T>(&mut self, finding: Finding) -> Result<T, Stop> {
        self.report.find(finding);
        Err(Stop)
    }

    /// Path and query of a request.
    pub(super) fn uri(&self, transport: &str, sid: Option<&str>) -> String {
        let target = &self.plan.target;
        uri(&target.path, self.plan.eio, transport, sid, &target.query)
    }

    /// An address without the pairs that the user gave: tokens are among them.
    pub(super) fn shown(&self, uri: &str) -> String {
        match self.plan.target.query.as_str() {
            "" => uri.to_owned(),
            query => uri.replace(query, "&…"),
        }
    }

    /// Asks, and notes the exchange.
    pub(super) async fn ask(&mut self, door: &Door, ask: Ask) -> Result<Answer, Trouble> {
        let shown = self.shown(&ask.uri);
        self.report.exchanged(format!("{} {shown}", ask.method));
        let answer = door.ask(ask).await;
        match &answer {
            Ok(answer) => self.report.exchanged(format!("  {}", answer.line())),
            Err(trouble) => self.report.exchanged(format!("  {trouble}")),
        }
        answer
    }

    async fn post(&mut self, door: &Door, opening: &Opening, body: Vec<u8>) -> Result<Answer, Trouble> {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
        let uri = self.uri("polling", Some(&opening.sid));
        self.ask(door, Ask { method: Method::POST, uri, headers: vec![kind], body }).await
    }

    /// The session, and whether the server has let us in without being asked, as old ones do. `None`: it wants no
    /// polling, and all else is for the WebSocket to find out.
    async fn handshake(&mut self, door: &mut Door) -> Result<Option<(Opening, bool)>, Stop> {
        let begun = Instant::now();
        let ask = Ask::get(self.uri("polling", None));
        let answer = self.ask(door, ask).await;
        let took = begun.elapsed();
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                self.report.step("handshake", Outcome::Bad, took, trouble.to_string());
                let finding = refused::no_answer(self.plan, door, &trouble).await;
                return self.stop(finding);
            }
        };
        let opened = match first(&answer.body, self.speech.engine) {
            First::Open(opening) if answer.status == 200 => opening,
            First::Refused { code: 0, message } => {
                self.report.step(
                    "handshake",
                    Outcome::Poor,
                    took,
                    format!("HTTP {}: {message}", answer.status),
                );
                self.report.find(refused::no_polling(&answer));
                return Ok(None);
            }
            _ => {
                self.report.step("handshake", Outcome::Bad, took, answer.line());
                let finding = refused::handshake(self, door, &answer).await;
                return self.stop(finding);
            }
        };
        door.keep_cookies(&answer);
        let detail = format!("{}: {}", self.speech.version(), opened.summary());
        self.report.step("handshake", Outcome::Good, took, detail);
        self.clock(&answer);
        if let Some(origin) = self.plan.origin.clone() {
            self.cors(&answer, &origin)?;
        }
        let joined = self.speech.hear_body(&answer.body, &self.plan.target.namespace) == Word::Joined;
        Ok(Some((opened, joined)))
    }

    /// Tokens live by the clock: two that differ let them in too early or too late.
    fn clock(&mut self, answer: &Answer) {
        let Some(date) = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok()) else {
            return;
        };
        let skew = date.duration_since(answer.at).unwrap_or_else(|earlier| earlier.duration());
        if skew > Duration::from_secs(60) {
            self.report.find(
                Finding::degraded("clock-skew", format!("Two clocks differ by {} s.", skew.as_secs()))
                    .seen(clocks(date, answer.at))
                    .fix("turn NTP on where the clock is wrong (timedatectl set-ntp true): tokens (exp, nbf, iat) and certificates depend on it"),
            );
        }
    }

    /// Whether a browser would show the answer to a page of this origin.
    fn cors(&mut self, answer: &Answer, origin: &str) -> Result<(), Stop> {
        let begun = Instant::now();
        if origin == self.plan.target.origin() {
            self.report.step(
                "cors",
                Outcome::Skipped,
                Duration::ZERO,
                "the page is of the server's own origin",
            );
            return Ok(());
        }
        let all: Vec<String> = answer
            .headers
            .get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let credentials = answer.header("access-control-allow-credentials") == Some("true");
        match &all[..] {
            [one] if one == origin || one == "*" => {
                let mut detail = format!("pages of {origin} may read the answers");
                if !(credentials && one == origin) {
                    detail.push_str(", but not with credentials (withCredentials: true would fail)");
                }
                self.report.step("cors", Outcome::Good, begun.elapsed(), detail);
                Ok(())
            }
            other => {
                let seen = match other {
                    [] => "no Access-Control-Allow-Origin".to_owned(),
                    _ => format!("Access-Control-Allow-Origin: {}", other.join(" and again ")),
                };
                self.report.step("cors", Outcome::Bad, begun.elapsed(), &seen);
                self.stop(refused::cors(origin, &seen))
            }
        }
    }

    /// Whether requests over connections of their own find their session again.
    async fn polling(&mut self, door: &Door, opening: &Opening) -> bool {
        let begun = Instant::now();
        let (mut known, mut unknown) = (0, 0);
        let mut slowest = Duration::ZERO;
        for _ in 0..TRIES {
            match self.post(door, opening, self.speech.sign_of_life()).await {
                Ok(answer) if answer.status == 200 => {
                    known += 1;
                    slowest = slowest.max(answer.took);
                }
                Ok(answer) if is_unknown_session(answer.status, &answer.body) => unknown += 1,
                other => {
                    let line = other.map_or_else(|trouble| trouble.to_string(), |answer| answer.line());
                    self.report.step("polling", Outcome::Bad, begun.elapsed(), &line);
                    self.report.find(refused::second_request(&line));
                    return false;
                }
            }
        }
        let took = begun.elapsed();
        if unknown > 0 {
            let detail =
                format!("{unknown} of {TRIES} requests went to a server that does not know the session");
            self.report.step("polling", Outcome::Bad, took, &detail);
            self.report.find(refused::not_sticky(&detail));
            return false;
        }
        let cookies: Vec<String> = door.cookies.iter().map(|(name, _)| name.clone()).collect();
        if !cookies.is_empty() && !self.known_without_cookies(door, opening).await {
            let detail = format!("sessions are found again by a cookie only ({})", cookies.join(", "));
            self.report.step("polling", Outcome::Poor, took, &detail);
            self.report.find(refused::sticky_by_cookie(&detail));
            return true;
        }
        if slowest > SLOW {
            self.report.step("polling", Outcome::Poor, took, format!("an answer took {slowest:.1?}"));
            self.report.find(refused::slow(slowest));
            return true;
        }
        let detail = format!("{known} requests over {known} connections, and the session is known to all");
        self.report.step("polling", Outcome::Good, took, detail);
        true
    }

    async fn known_without_cookies(&mut self, door: &Door, opening: &Opening) -> bool {
        let bare = Door { cookies: Vec::new(), ..door.clone() };
        for _ in 0..TRIES {
            if let Ok(answer) = self.post(&bare, opening, self.speech.sign_of_life()).await
                && is_unknown_session(answer.status, &answer.body)
            {
                return false;
            }
        }
        true
    }

    /// Into the namespace, by POST and GET.
    async fn namespace(&mut self, door: &Door, opening: &Opening, joined: bool) -> Result<Inside, Stop> {
        let begun = Instant::now();
        if joined {
            return self.judge_word(door, Word::Joined, begun.elapsed()).await.map(|()| Inside::Joined);
        }
        let namespace = self.plan.target.namespace.clone();
        if let Some(message) = self.speech.connect(&namespace, self.plan.auth.as_deref()) {
            // The message may hold secrets: what was exchanged shows requests without their bodies.
            let body = self.speech.post(&message);
            if let Err(trouble) = self.post(door, opening, body).await {
                self.report.step("namespace", Outcome::Bad, begun.elapsed(), trouble.to_string());
                return self.stop(refused::second_request(&trouble.to_string()));
            }
        }
        let word = loop {
            let ask = Ask::get(self.uri("polling", Some(&opening.sid)));
            let answer = match self.ask(door, ask).await {
                Ok(answer) => answer,
                Err(_) if begun.elapsed() >= self.plan.timeout => break None,
                Err(trouble) => {
                    self.report.step("namespace", Outcome::Bad, begun.elapsed(), trouble.to_string());
                    return self.stop(refused::second_request(&trouble.to_string()));
                }
            };
            if answer.held {
                break None;
            }
            if answer.status != 200 {
                break Some(Word::Ended);
            }
            match self.speech.hear_body(&answer.body, &namespace) {
                Word::Ping => {
                    self.post(door, opening, self.speech.sign_of_life()).await.ok();
                }
                Word::Other if begun.elapsed() >= self.plan.timeout => break None,
                Word::Other => {}
                word => break Some(word),
            }
        };
        let took = begun.elapsed();
        match word {
            None => {
                let detail = format!("no answer within {:?}", self.plan.timeout);
                self.report.step("namespace", Outcome::Bad, took, detail);
                Ok(Inside::Silent)
            }
            Some(word) => self.judge_word(door, word, took).await.map(|()| Inside::Joined),
        }
    }

    async fn judge_word(&mut self, door: &Door, word: Word, took: Duration) -> Result<(), Stop> {
        let namespace = &self.plan.target.namespace;
        match word {
            Word::Refused(json) => {
                self.report.step("namespace", Outcome::Bad, took, format!("{namespace} refused: {json}"));
                self.stop(refused::namespace(self.plan, &json))
            }
            Word::Joined => {
                self.report.step("namespace", Outcome::Good, took, format!("{namespace} accepted"));
                Ok(())
            }
            _ => {
                self.report.step("namespace", Outcome::Bad, took, "the server ended the session");
                let finding = refused::ended(self, door).await;
                self.stop(finding)
            }
        }
    }

    /// From polling to WebSocket; whether it came about. What was found is told here.
    async fn upgrade(&mut self, door: &Door, opening: &Opening) -> bool {
        let begun = Instant::now();
        if !opening.upgrades.iter().any(|upgrade| upgrade == "websocket") {
            self.report.step("upgrade", Outcome::Poor, Duration::ZERO, "the server does not offer it");
            self.report
                .find(refused::no_upgrade_offered(&format!("the handshake offers {:?}", opening.upgrades)));
            return false;
        }
        let uri = self.uri("websocket", Some(&opening.sid));
        let shown = self.shown(&uri);
        self.report.exchanged(format!("GET {shown} (upgrade)"));
        let mut socket = match WebSocket::open(door, uri).await {
            Ok(socket) => socket,
            Err(why) => {
                let line = refused::no_socket_line(&why);
                self.report.exchanged(format!("  {line}"));
                self.report.step("upgrade", Outcome::Bad, begun.elapsed(), &line);
                self.report.find(refused::upgrade(&why, self.plan, false));
                return false;
            }
        };
        socket.text("2probe").await;
        self.report.exchanged("  HTTP 101; > 2probe");
        let frame = socket.next(self.plan.timeout).await;
        self.report.exchanged(format!("  < {frame:?}"));
        let took = begun.elapsed();
        match frame {
            Frame::Text(text) if text.starts_with("3probe") => {
                socket.text("5").await;
                self.report.step("upgrade", Outcome::Good, took, "101, probe answered, upgraded");
                socket.close().await;
                true
            }
            other => {
                let detail = match &other {
                    Frame::Silence => format!("101, and then nothing within {:?}", self.plan.timeout),
                    Frame::Closed(why) => {
                        format!("101, and then closed: {}", why.as_deref().unwrap_or("no reason"))
                    }
                    other => format!("101, and then {other:?} instead of an answer to the probe"),
                };
                self.report.step("upgrade", Outcome::Bad, took, &detail);
                self.report.find(refused::after_101(matches!(other, Frame::Silence), &detail, false));
                socket.close().await;
                false
            }
        }
    }

    /// A WebSocket from the start, as `transports: ["websocket"]` asks for one.
    async fn websocket(&mut self, door: &Door, inside: Inside, upgraded: bool) -> Result<(), Stop> {
        let begun = Instant::now();
        let uri = self.uri("websocket", None);
        let shown = self.shown(&uri);
        self.report.exchanged(format!("GET {shown} (upgrade)"));
        // Without polling this was the last chance; after it, what is wrong with WebSockets may be told already.
        let only = inside != Inside::Joined;
        let told = !upgraded;
        let opened = WebSocket::open(door, uri).await;
        let mut socket = match opened {
            Ok(socket) => socket,
            Err(why) => {
                let line = refused::no_socket_line(&why);
                self.report.step("websocket", Outcome::Bad, begun.elapsed(), &line);
                if inside == Inside::Silent {
                    return self.stop(refused::silent(self.plan, false));
                }
                if !told {
                    let finding = refused::websocket(self, door, &why, only).await;
                    self.report.find(finding);
                }
                return Err(Stop);
            }
        };
        let frame = socket.next(self.plan.timeout).await;
        self.report.exchanged(format!("  HTTP 101; < {frame:?}"));
        let opening = match &frame {
            Frame::Text(text) => match text.strip_prefix('0').map(serde_json::from_str::<Opening>) {
                Some(Ok(opening)) => Ok(opening),
                _ => Err(format!("101, and then {} instead of a handshake", super::escaped(text, 60))),
            },
            Frame::Silence => Err(format!("101, and then nothing within {:?}", self.plan.timeout)),
            Frame::Closed(why) => {
                Err(format!("101, and then closed: {}", why.as_deref().unwrap_or("no reason")))
            }
            _ => Err("101, and then something else than a handshake".to_owned()),
        };
        let opening = match opening {
            Ok(opening) => opening,
            Err(detail) => {
                self.report.step("websocket", Outcome::Bad, begun.elapsed(), &detail);
                if inside == Inside::Silent {
                    return self.stop(refused::silent(self.plan, false));
                }
                if !told {
                    self.report.find(refused::after_101(matches!(frame, Frame::Silence), &detail, only));
                }
                return Err(Stop);
            }
        };
        self.report.step("websocket", Outcome::Good, begun.elapsed(), opening.summary());
        if inside != Inside::Joined {
            self.namespace_by(&mut socket, door, inside).await?;
        }
        self.ping(&mut socket).await;
        if self.plan.heartbeat {
            self.heartbeat(&mut socket, &opening).await;
        }
        socket.close().await;
        Ok(())
    }

    /// Into the namespace, by WebSocket.
    async fn namespace_by(
        &mut self,
        socket: &mut WebSocket,
        door: &Door,
        before: Inside,
    ) -> Result<(), Stop> {
        let begun = Instant::now();
        let namespace = self.plan.target.namespace.clone();
        if let Some(message) = self.speech.connect(&namespace, self.plan.auth.as_deref()) {
            match message.is_binary() {
                false => socket.text(&String::from_utf8_lossy(message.packet())).await,
                true if self.speech.engine == engine::Protocol::V4 => socket.binary(message.payload()).await,
                true => socket.binary(&[&[4], message.payload()].concat()).await,
            }
        }
        loop {
            let left = self.plan.timeout.saturating_sub(begun.elapsed());
            let word = match socket.next(left).await {
                Frame::Text(text) => self.speech.hear_text(&text, &namespace),
                Frame::Binary(bytes) => self.speech.hear_binary(&bytes, &namespace),
                Frame::Pong => Word::Other,
                Frame::Closed(_) => Word::Ended,
                Frame::Silence => {
                    let detail = format!("no answer within {:?}", self.plan.timeout);
                    self.report.step("namespace", Outcome::Bad, begun.elapsed(), detail);
                    return self.stop(refused::silent(self.plan, false));
                }
            };
            match word {
                Word::Ping => socket.text("3").await,
                Word::Other => {}
                word => {
                    self.judge_word(door, word, begun.elapsed()).await?;
                    if before == Inside::Silent {
                        self.report.find(refused::silent(self.plan, true));
                    }
                    return Ok(());
                }
            }
        }
    }

    /// There and back.
    async fn ping(&mut self, socket: &mut WebSocket) {
        let begun = Instant::now();
        socket.ping().await;
        loop {
            let left = self.plan.timeout.saturating_sub(begun.elapsed());
            match socket.next(left).await {
                Frame::Pong => {
                    return self.report.step("ping", Outcome::Good, begun.elapsed(), "there and back");
                }
                Frame::Silence => {
                    return self.report.step(
                        "ping",
                        Outcome::Poor,
                        begun.elapsed(),
                        "no pong of the WebSocket protocol",
                    );
                }
                Frame::Closed(why) => {
                    let why = why.unwrap_or_else(|| "no reason".to_owned());
                    return self.report.step("ping", Outcome::Bad, begun.elapsed(), format!("closed: {why}"));
                }
                _ => {}
            }
        }
    }

    /// A whole heartbeat, and nothing else meanwhile.
    async fn heartbeat(&mut self, socket: &mut WebSocket, opening: &Opening) {
        let begun = Instant::now();
        let interval = Duration::from_millis(opening.ping_interval.min(300_000));
        let mine = self.speech.engine == engine::Protocol::V3;
        let mut asked = false;
        loop {
            let end = if mine && !asked { interval } else { interval + self.plan.timeout };
            match socket.next(end.saturating_sub(begun.elapsed())).await {
                Frame::Silence if mine && !asked => {
                    asked = true;
                    socket.text("2").await;
                }
                Frame::Text(text) if text == "2" || mine && text == "3" => {
                    socket.text("3").await;
                    return self.report.step("heartbeat", Outcome::Good, begun.elapsed(), "came in time");
                }
                Frame::Silence => {
                    self.report.step("heartbeat", Outcome::Bad, begun.elapsed(), "none came");
                    return self.report.find(refused::idle(
                        begun.elapsed(),
                        interval,
                        "and no heartbeat came",
                    ));
                }
                Frame::Closed(why) => {
                    let why = why.unwrap_or_else(|| "without a word".to_owned());
                    self.report.step("heartbeat", Outcome::Bad, begun.elapsed(), format!("closed: {why}"));
                    return self.report.find(refused::idle(begun.elapsed(), interval, &why));
                }
                _ => {}
            }
        }
    }

    /// The same over polling: a GET that is held until the server's ping.
    async fn poll_heartbeat(&mut self, door: &Door, opening: &Opening) {
        let begun = Instant::now();
        let interval = Duration::from_millis(opening.ping_interval.min(300_000));
        let patient = Door { timeout: interval + self.plan.timeout, ..door.clone() };
        let mut why = "and no heartbeat came".to_owned();
        while self.speech.engine == engine::Protocol::V4 && begun.elapsed() < patient.timeout {
            let ask = Ask::get(self.uri("polling", Some(&opening.sid)));
            match self.ask(&patient, ask).await {
                Ok(answer) if answer.status == 200 => {
                    if self.speech.hear_body(&answer.body, &self.plan.target.namespace) == Word::Ping {
                        return self.report.step("heartbeat", Outcome::Good, begun.elapsed(), "came in time");
                    }
                }
                Ok(answer) => {
                    why = answer.line();
                    break;
                }
                Err(trouble) => {
                    why = trouble.to_string();
                    break;
                }
            }
        }
        if self.speech.engine == engine::Protocol::V4 {
            self.report.step("heartbeat", Outcome::Bad, begun.elapsed(), &why);
            self.report.find(refused::idle(begun.elapsed(), interval, &why));
        }
    }
}

/// Path and query of a request to Engine.IO.
pub(super) fn uri(path: &str, eio: u8, transport: &str, sid: Option<&str>, query: &str) -> String {
    // Revision 3 would answer in bytes otherwise, and nothing is gained by them here.
    let b64 = if eio == 3 && transport == "polling" { "&b64=1" } else { "" };
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("{path}?EIO={eio}&transport={transport}{b64}{sid}{query}")
}

/// Enough that a balancer without stickiness shows itself: with two servers at random, 98 times of a hundred.
const TRIES: usize = 6;

/// An answer that has nothing to wait for and takes longer was held back.
const SLOW: Duration = Duration::from_secs(2);
