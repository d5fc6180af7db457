//! From what was seen to the cause and what mends it. Where an answer could have several causes, the likely ones are
//! tried, by asking once more with one thing changed.

use std::time::Duration;

use super::network::wants_tls;
use super::report::Finding;
use super::speech::{First, Speech, Word, first, is_unknown_session};
use super::walk::{Plan, Walk, uri};
use super::websocket::{Frame, NoSocket, WebSocket};
use super::wire::{Answer, Ask, Door, Trouble};
use crate::options::Parser;

/// What lets WebSockets through the proxies that people have.
const NGINX: &str = "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                     proxy_set_header Connection \"upgrade\";";

/// The first request got no answer that is one.
pub(super) async fn no_answer(plan: &Plan, door: &Door, trouble: &Trouble) -> Finding {
    if !plan.target.tls && tls_answers(plan, door).await {
        return tls_expected(plan).seen(format!("asked without TLS: {trouble}"));
    }
    match trouble {
        Trouble::Silence(_) => {
            Finding::broken("no-answer", "The server takes the connection and says nothing.")
                .seen(trouble.to_string())
                .fix("look whether the server hangs (a blocked event loop, a full backlog), or waits for TLS")
                .fix("a proxy in front may wait for a server behind it: look into its log")
                .fix("give it longer: --timeout 30")
        }
        Trouble::NotHttp => Finding::broken("not-http", "What listens on this port does not speak HTTP.")
            .seen(trouble.to_string())
            .fix("name the port of the Socket.IO server"),
        _ => Finding::broken("no-answer", "The server closes the connection without an answer.")
            .seen(trouble.to_string())
            .fix("look into the log of the server, or of the proxy in front of it"),
    }
}

/// Polling is turned off; a WebSocket may still do.
pub(super) fn no_polling(answer: &Answer) -> Finding {
    Finding::degraded("polling-disabled", "The server is one of Engine.IO, but takes no HTTP long-polling.")
        .seen(answer.line())
        .fix("clients: transports: [\"websocket\"]")
        .fix("or server: transports: [\"polling\", \"websocket\"], which is the default")
}

/// The first request was answered, but with no session.
pub(super) async fn handshake(walk: &mut Walk<'_>, door: &Door, answer: &Answer) -> Finding {
    if let Some(finding) = by_status(answer) {
        return finding;
    }
    // Cheap to find out, and certain: one thing changed, and it works.
    let bare = Door { origin: None, ..door.clone() };
    if let Some(origin) = &walk.plan.origin
        && opens(walk, &bare, &walk.plan.target.path.clone(), walk.plan.eio).await
    {
        return origin_refused(origin)
            .seen(format!("with Origin: {}", answer.line()))
            .seen("without Origin: a session");
    }
    let other = if walk.plan.eio == 4 { 3 } else { 4 };
    let path = walk.plan.target.path.clone();
    if Speech::new(other, Parser::Json).opened_by(&answer.body) || opens(walk, door, &path, other).await {
        return other_version(other).seen(format!("with EIO={}: {}", walk.plan.eio, answer.line()));
    }
    if !walk.plan.target.tls && wants_tls(answer.status, &answer.text()) {
        return tls_expected(walk.plan).seen(answer.line());
    }
    match first(&answer.body, walk.speech.engine) {
        First::Refused { code: 4, message } => {
            return forbidden(&message).seen(answer.line());
        }
        First::Refused { code, message } => {
            return Finding::broken(
                "handshake-refused",
                format!("Engine.IO refuses: {message} (code {code})."),
            )
            .seen(answer.line())
            .fix("a middleware of the server (allowRequest, io.engine.use) refuses: look into its log")
            .fix("give what it asks for: --header, --query");
        }
        _ => {}
    }
    if answer.status == 403 {
        return forbidden("HTTP 403").seen(answer.line());
    }
    for path in elsewhere(walk.plan) {
        if opens(walk, door, &path, walk.plan.eio).await || opens(walk, door, &path, other).await {
            return wrong_path(walk.plan, &path)
                .seen(answer.line())
                .seen(format!("{path} answers as Engine.IO"));
        }
    }
    if let Some(finding) = plain_websocket(walk, door).await {
        return finding.seen(answer.line());
    }
    if let Ok(old) = walk.ask(door, Ask::get(format!("{}1/", walk.plan.target.path))).await
        && old.status == 200
        && old.text().split(':').count() == 4
        && old.text().contains("websocket")
    {
        return Finding::broken("protocol-0.9", "The server is Socket.IO 0.7 to 0.9, from before Engine.IO.")
            .seen(old.line())
            .fix("use a client of that time (socket.io-client 0.9), or bring the server to Socket.IO 4");
    }
    Finding::broken("not-socketio", "The server answers, but not as Socket.IO.")
        .seen(format!("GET {}: {}", walk.shown(&walk.uri("polling", None)), answer.line()))
        .fix("if Socket.IO is served under another path, name it: --path /…/socket.io/ (the server's option path)")
        .fix("if a proxy is in front: let it pass /socket.io/ on to the Socket.IO server, unchanged")
        .fix("see whether Socket.IO is attached to the server that listens: new Server(httpServer), not only app.listen()")
}

/// Statuses that speak for themselves.
fn by_status(answer: &Answer) -> Option<Finding> {
    let line = answer.line();
    if answer.held {
        return Some(held("the handshake").seen(line));
    }
    let finding = match answer.status {
        300..=399 => {
            let to = answer.header("location").unwrap_or("nowhere");
            Finding::broken("redirect", "The server sends clients elsewhere, and Socket.IO clients do not follow.")
                .seen(format!("Location: {to}"))
                .fix(format!("connect to where it leads ({}) directly", place(to)))
                .fix("or exempt the path of Socket.IO from the redirect")
        }
        401 | 407 => Finding::broken("unauthorized", "Something in front of Socket.IO wants credentials over HTTP.")
            .fix("give them: --header 'Authorization: …' (clients: extraHeaders)")
            .fix("or exempt the path of Socket.IO, and check a token in a middleware: io.use(…) with auth"),
        429 => Finding::broken("too-many-requests", "Too many requests from this address.")
            .fix("wait; if it is your own limit, let it count sessions, for polling makes many requests"),
        503 if matches!(first(&answer.body, sockeye_proto::engine::Protocol::V4), First::Refused { .. }) => {
            Finding::broken("too-many-requests", "The server takes no more sessions at the moment.")
                .fix("wait, or raise its limit (sockeye serve --max-connections, --max-connections-per-ip)")
        }
        502..=504 => Finding::broken("gateway", "The proxy in front gets no answer from the server behind it.")
            .fix("start the server behind it; compare host and port in the proxy's configuration with where it listens")
            .fix("in containers: the server must listen on 0.0.0.0, and be on the proxy's network"),
        _ => return None,
    };
    Some(finding.seen(line))
}

/// Whether a handshake works there.
async fn opens(walk: &mut Walk<'_>, door: &Door, path: &str, eio: u8) -> bool {
    let query = walk.plan.target.query.clone();
    match walk.ask(door, Ask::get(uri(path, eio, "polling", None, &query))).await {
        Ok(answer) => answer.status == 200 && Speech::new(eio, Parser::Json).opened_by(&answer.body),
        Err(_) => false,
    }
}

impl Speech {
    fn opened_by(self, body: &[u8]) -> bool {
        matches!(first(body, self.engine), First::Open(_))
    }
}

/// Where Socket.IO often is when it is not where it should be.
fn elsewhere(plan: &Plan) -> Vec<String> {
    let given = plan.target.path.trim_end_matches('/');
    let namespace = plan.target.namespace.trim_end_matches('/');
    let mut all = vec![
        "/socket.io/".to_owned(),
        format!("{namespace}/socket.io/"),
        format!("{namespace}/"),
        // A server that was told not to add the slash.
        given.to_owned(),
        "/engine.io/".to_owned(),
        "/ws/socket.io/".to_owned(),
        "/api/socket.io/".to_owned(),
    ];
    all.retain(|path| *path != plan.target.path && path.starts_with('/') && path != "/");
    let mut kept: Vec<String> = Vec::new();
    all.into_iter().for_each(|path| {
        if !kept.contains(&path) {
            kept.push(path);
        }
    });
    kept
}

fn wrong_path(plan: &Plan, path: &str) -> Finding {
    let found =
        Finding::broken("wrong-path", format!("Socket.IO is not at {}, but at {path}.", plan.target.path));
    if !path.ends_with('/') {
        return found.fix(format!("client: path: {path:?}, addTrailingSlash: false"));
    }
    let command = format!("sockeye doctor {} --path {path}", plan.target.origin());
    let found = found.fix(format!("client: path: {path:?}; here: {command}"));
    match plan.target.namespace.as_str() {
        "/" => found,
        namespace => found
            .fix(format!("the path of the URL ({namespace}) is the namespace, not the path of Socket.IO")),
    }
}

fn other_version(server: u8) -> Finding {
    if server == 3 {
        Finding::broken("protocol-eio3", "The server speaks Engine.IO 3: it is Socket.IO 1 or 2, and clients of 3 and 4 cannot talk to it.")
            .seen("with EIO=3: a session")
            .fix("use a client of its generation: socket.io-client 2, or sockeye … --eio 3")
            .fix("or bring the server to Socket.IO 4 (allowEIO3: true lets old clients in as well)")
    } else {
        Finding::broken("protocol-eio4", "The server speaks Engine.IO 4 only: it is Socket.IO 3 or 4, and clients of 1 and 2 cannot talk to it.")
            .seen("with EIO=4: a session")
            .fix("use a client of its generation: socket.io-client 4; here: leave --eio 3 out")
            .fix("or let old clients in: allowEIO3: true (Node), no --no-eio3 (sockeye serve)")
    }
}

fn origin_refused(origin: &str) -> Finding {
    Finding::broken("origin-refused", format!("The server refuses pages of {origin}."))
        .fix(format!("allow it: cors: {{ origin: {origin:?} }} (Node), cors_allowed_origins=[{origin:?}] (Python), sockeye serve --cors {origin}"))
        .fix("if a proxy answers 403, look at its rules (a web application firewall, a list of referers)")
}

/// The answer came, and a browser would keep it from the page.
pub(super) fn cors(origin: &str, seen: &str) -> Finding {
    Finding::broken("cors", format!("Browsers keep the answers from pages of {origin}: the server does not allow that origin (CORS)."))
        .seen(seen)
        .fix(format!("allow it: cors: {{ origin: {origin:?} }} (Node), cors_allowed_origins=[{origin:?}] (Python), sockeye serve --cors {origin}"))
        .fix("if both the server and a proxy add the header, let only one of them do it")
        .fix("transports: [\"websocket\"] needs no CORS")
}

fn forbidden(message: &str) -> Finding {
    Finding::broken("forbidden", format!("The server forbids the connection: {message}."))
        .fix("a check before the handshake (allowRequest, a firewall) says no: look into its log")
        .fix("if it looks at the origin, give one: --origin https://…; if at a token: --header or --query")
}

/// Whether a WebSocket opens there that is none of Engine.IO.
async fn plain_websocket(walk: &mut Walk<'_>, door: &Door) -> Option<Finding> {
    let given = walk.plan.target.path.clone();
    let mut paths = vec![given, walk.plan.target.namespace.clone()];
    paths.dedup();
    for path in paths {
        walk.report.exchanged(format!("GET {path} (upgrade)"));
        let Ok(mut socket) = WebSocket::open(door, path.clone()).await else { continue };
        let word = socket.next(Duration::from_millis(500)).await;
        let said = match &word {
            Frame::Text(text) if text.starts_with("0{") => None,
            Frame::Text(text) => Some(format!("it says {}", super::escaped(text, 60))),
            Frame::Binary(bytes) => Some(format!("it says {} bytes", bytes.len())),
            Frame::Silence => Some("it says nothing".to_owned()),
            Frame::Closed(_) | Frame::Pong => Some("it closes".to_owned()),
        };
        socket.close().await;
        if let Some(said) = said {
            return Some(
                Finding::broken("plain-websocket", "The server speaks plain WebSocket, without Socket.IO.")
                    .seen(format!("a WebSocket opens at {path}, and {said}"))
                    .fix("use a WebSocket client for it (new WebSocket(…), websocat): a Socket.IO client cannot talk to it")
                    .fix("or put Socket.IO into the server: it is a protocol of its own on top of WebSocket"),
            );
        }
    }
    None
}

async fn tls_answers(plan: &Plan, door: &Door) -> bool {
    use tokio_rustls::rustls::pki_types::ServerName;
    let Ok(name) = ServerName::try_from(plan.target.host.clone()) else { return false };
    let Ok(Ok(config)) = super::certificates::Witness::new(None).map(|witness| witness.config()) else {
        return false;
    };
    let secured = Door { tls: Some((config, name)), ..door.clone() };
    matches!(tokio::time::timeout(plan.timeout, secured.dial()).await, Ok(Ok(_)))
}

fn tls_expected(plan: &Plan) -> Finding {
    Finding::broken("tls-expected", "The port wants TLS.").fix(format!(
        "connect with https: https://{}{}",
        plan.target.authority(),
        plan.target.namespace
    ))
}

/// Some server did not know a session that another had made.
pub(super) fn not_sticky(seen: &str) -> Finding {
    Finding::broken(
        "no-sticky-sessions",
        "Requests of one session reach different servers: the balancer is not sticky, and polling cannot work.",
    )
    .seen(seen)
    .seen("those answered: Session ID unknown")
    .fix("make the balancer sticky: nginx ip_hash or hash $remote_addr; haproxy balance source, or cookie io insert; in a Node cluster @socket.io/sticky")
    .fix("or clients: transports: [\"websocket\"], which needs one connection only")
}

pub(super) fn sticky_by_cookie(seen: &str) -> Finding {
    Finding::degraded(
        "cookie-stickiness",
        "The balancer is sticky by a cookie: clients that keep none lose their sessions.",
    )
    .seen(seen)
    .fix("clients: withCredentials: true (in Node it keeps cookies too, from 4.7 on), and CORS with credentials for other origins")
    .fix("or make the balancer sticky by address, or clients: transports: [\"websocket\"]")
}

/// A request after the handshake got something else than it should.
pub(super) fn second_request(seen: &str) -> Finding {
    Finding::broken(
        "second-request-refused",
        "The handshake works, but a request of the same session does not.",
    )
    .seen(seen)
    .fix(
        "let the proxy pass POST requests to the path of Socket.IO, with their bodies and queries, unchanged",
    )
    .fix("look for a firewall that takes small POST bodies (text/plain) for an attack")
}

fn held(what: &str) -> Finding {
    Finding::broken("responses-held-back", format!("The answer to {what} is held back on the way."))
        .fix("turn buffering off for the path of Socket.IO: nginx proxy_buffering off; in others: flush at once")
        .fix("look for a virus scanner or a compression in between that waits for more to come")
}

/// Answers come, but late.
pub(super) fn slow(took: Duration) -> Finding {
    held("a request that has nothing to wait for").degraded_only().seen(format!("an answer took {took:.1?}"))
}

/// The namespace said nothing over polling; perhaps it did over WebSocket.
pub(super) fn silent(plan: &Plan, by_websocket: bool) -> Finding {
    if by_websocket {
        return held("polling requests")
            .seen("the namespace answers over WebSocket at once, and not over polling");
    }
    Finding::broken("namespace-silent", format!("The namespace {} neither accepts nor refuses.", plan.target.namespace))
        .seen(format!("no answer within {:?}", plan.timeout))
        .fix("a middleware of the server (io.use) never calls next(): look for one that waits for a database or another server")
        .fix("give it longer: --timeout 30")
}

/// The namespace refused, and said why.
pub(super) fn namespace(plan: &Plan, json: &str) -> Finding {
    let namespace = &plan.target.namespace;
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let message = value.get("message").unwrap_or(&value);
    let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    if message == "Invalid namespace" || message == "Unable to connect" {
        return Finding::broken("namespace-unknown", format!("The server has no namespace {namespace}."))
            .seen(format!("it answered {json}"))
            .fix(format!("make it on the server: io.of({namespace:?})"))
            .fix("or take the path out of the URL: it names the namespace, and not where Socket.IO is served (--path)");
    }
    let found =
        Finding::broken("namespace-refused", format!("The namespace {namespace} refuses: {message}."));
    let found = match value.get("data").filter(|data| !data.is_null()) {
        Some(data) => found.seen(format!("with data {data}")),
        None => found.seen(format!("it answered {json}")),
    };
    match plan.auth {
        None => found.fix("a middleware (io.use) wants to know who connects: give --auth '{\"token\":\"…\"}' (clients: auth)"),
        Some(_) => found.fix("a middleware (io.use) does not take what --auth says: see whether the token is the right one, and not too old"),
    }
}

/// The session ended when the namespace was asked for: perhaps packets are written another way.
pub(super) async fn ended(walk: &mut Walk<'_>, door: &Door) -> Finding {
    let other = match walk.plan.parser {
        Parser::Json => Parser::Msgpack,
        Parser::Msgpack => Parser::Json,
    };
    let (name, flag) = match other {
        Parser::Json => ("the default parser", "no --parser"),
        Parser::Msgpack => ("socket.io-msgpack-parser", "--parser msgpack"),
    };
    if joins(walk, door, Speech { parser: other, ..walk.speech }).await {
        return Finding::broken("parser-mismatch", format!("The server writes its packets with {name}."))
            .seen("it ended the session over our CONNECT, and took one that was written so")
            .fix(format!("give clients the same parser (option parser); here: {flag}"));
    }
    Finding::broken("namespace-refused", "The server ends the session when the namespace is asked for.")
        .fix("look into its log: an error in a connection handler, a parser of its own, or a server that restarts")
        .fix("if it comes and goes, requests may reach different servers: the balancer must be sticky")
}

/// Whether a WebSocket gets in that speaks so.
async fn joins(walk: &mut Walk<'_>, door: &Door, speech: Speech) -> bool {
    let namespace = walk.plan.target.namespace.clone();
    let Some(message) = speech.connect(&namespace, walk.plan.auth.as_deref()) else { return false };
    let address = walk.uri("websocket", None);
    let Ok(mut socket) = WebSocket::open(door, address).await else { return false };
    match message.is_binary() {
        true => socket.binary(message.payload()).await,
        false => socket.text(&String::from_utf8_lossy(message.packet())).await,
    }
    let begun = std::time::Instant::now();
    loop {
        let word = match socket.next(walk.plan.timeout.saturating_sub(begun.elapsed())).await {
            Frame::Text(text) => speech.hear_text(&text, &namespace),
            Frame::Binary(bytes) => speech.hear_binary(&bytes, &namespace),
            Frame::Pong => Word::Other,
            Frame::Silence | Frame::Closed(_) => return false,
        };
        match word {
            Word::Joined | Word::Refused(_) => return true,
            Word::Ended => return false,
            Word::Ping | Word::Other => {}
        }
    }
}

pub(super) fn no_upgrade_offered(seen: &str) -> Finding {
    Finding::degraded("upgrade-not-offered", "The server does not offer WebSocket: clients stay with polling.")
        .seen(seen)
        .fix("server: transports: [\"polling\", \"websocket\"]; Python: serve with a worker that can do WebSockets (ASGI, gevent-websocket)")
}

/// In one line, what came instead of a WebSocket.
pub(super) fn no_socket_line(why: &NoSocket) -> String {
    match why {
        NoSocket::Trouble(trouble) => trouble.to_string(),
        NoSocket::Answer(answer) => format!("{} instead of 101", answer.line()),
        NoSocket::Fault(answer, fault) => format!("HTTP {}, but {fault}", answer.status),
    }
}

/// No upgrade came about, though polling works.
pub(super) fn upgrade(why: &NoSocket, plan: &Plan, only: bool) -> Finding {
    let line = no_socket_line(why);
    if let NoSocket::Answer(answer) = why {
        if is_unknown_session(answer.status, &answer.body) {
            return not_sticky(&line).degraded_only();
        }
        if answer.status == 403
            && let Some(origin) = &plan.origin
        {
            return origin_refused(origin).seen(line);
        }
    }
    let what = if only {
        "WebSockets do not get through."
    } else {
        "Polling works, but the upgrade to WebSocket does not get through."
    };
    let found = match only {
        true => Finding::broken("upgrade-blocked", what),
        false => Finding::degraded("upgrade-blocked", what),
    };
    found
        .seen(line)
        .fix("a proxy in between takes the Upgrade header away, or does not speak WebSocket: let it through")
        .fix(NGINX)
        .fix("Apache: mod_proxy_wstunnel, ProxyPass /socket.io/ http://… upgrade=websocket; AWS: an application load balancer")
}

/// A 101, and then not what should follow.
pub(super) fn after_101(silence: bool, seen: &str, only: bool) -> Finding {
    let (cause, what) = match silence {
        true => (
            "upgrade-buffered",
            "The upgrade to WebSocket is answered, but nothing comes through: what is in between holds it back.",
        ),
        false => ("upgrade-failed", "The upgrade to WebSocket is answered, and then broken off."),
    };
    let found = if only { Finding::broken(cause, what) } else { Finding::degraded(cause, what) };
    let found = found.seen(seen);
    match silence {
        true => found
            .fix("a proxy in between answers the upgrade and treats the rest as an ordinary answer: turn its buffering off, and WebSockets on")
            .fix(NGINX),
        false => found.fix("look into the log of the server and of the proxy for why the connection ended"),
    }
}

/// A WebSocket from the start does not come about.
pub(super) async fn websocket(walk: &mut Walk<'_>, door: &Door, why: &NoSocket, only: bool) -> Finding {
    let NoSocket::Answer(answer) = why else {
        return match why {
            NoSocket::Trouble(trouble) if only => no_answer(walk.plan, door, trouble).await,
            _ => upgrade(why, walk.plan, only),
        };
    };
    if let First::Refused { code: 0, .. } = first(&answer.body, walk.speech.engine) {
        return no_upgrade_offered(&answer.line());
    }
    // A refusal of an upgrade is told in plain text, and often in few words. Over polling the server says more.
    if only
        && answer.status != 403
        && let Ok(polled) = walk.ask(door, Ask::get(walk.uri("polling", None))).await
        && !matches!(first(&polled.body, walk.speech.engine), First::Open(_) | First::Refused { code: 0, .. })
    {
        return Box::pin(handshake(walk, door, &polled)).await;
    }
    upgrade(why, walk.plan, only)
}

/// An idle connection did not live to see a heartbeat.
pub(super) fn idle(after: Duration, interval: Duration, how: &str) -> Finding {
    Finding::degraded("idle-cut", "Idle connections are cut before the server's next heartbeat.")
        .seen(format!("after {:.1} s of a heartbeat interval of {:.1} s: {how}", after.as_secs_f64(), interval.as_secs_f64()))
        .fix("let the proxy wait longer than a heartbeat and its answer: nginx proxy_read_timeout 60s, haproxy timeout tunnel 1h and timeout server 60s, AWS idle timeout 60 s")
        .fix(format!("or let the server's heartbeat be shorter: pingInterval {}, sockeye serve --ping-interval {}", after.as_millis() / 2, (after.as_secs_f64() / 2.0).max(1.0).round()))
}

/// A place from a header of a stranger, for a sentence.
fn place(location: &str) -> String {
    super::escaped(location.split('?').next().unwrap_or_default(), 200)
}
