//! A request arrives: whose is it, may it, and what becomes of it.
//!
//! The checks stand in the reference's order, so that a client with several faults gets the answer it expects. What
//! is refused is counted, told to the application, and never echoed. Nothing here touches a WebSocket after its 101,
//! and nothing here reads a packet.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use sockeye_proto::engine::{
    BadRequest, Check, ConnectionError, Content, EncodedPayload, Form, Method as CheckedMethod, Passed,
    Query, SessionFacts, check_request, check_version, jsonp,
};
use sockeye_proto::websocket::deflate::Params;
use sockeye_proto::websocket::handshake::{self, Accept};
use tokio::sync::oneshot;

use crate::alarm::Alarm;
use crate::body::Undelivered;
use crate::config::Initial;
use crate::cors::{self, Origins};
use crate::engine::Engine;
use crate::engine::Place;
use crate::limits;
use crate::mail::{Candidate, Command, PollReply};
use crate::outbox::Shared;
use crate::polling::Polling;
use crate::refused::Cause;
use crate::stream::Stream;
use crate::task::{Start, Task};
use crate::{Application, Body, Handshake, Message, Peer, Refused, Session, Transport, compression};

/// What a request gets, and what is to happen once its stream is ours.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) upgrade: Option<Upgrade>,
}

/// A WebSocket that was told 101.
pub(crate) struct Upgrade {
    deflate: Option<Params>,
    b64: bool,
    /// The session that it opens or wants to take over.
    session: Session,
    /// For one that opens.
    handshake: Option<Arc<Handshake>>,
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Answer { response, upgrade: None }
    }
}

/// The longest id that an application may make.
const MAX_ID: usize = 256;

impl<A: Application> Engine<A> {
    /// Answers a request. `body` is missing where there cannot be one.
    pub(crate) async fn answer<B>(&self, parts: &Parts, body: Option<B>, peer: Peer) -> Answer
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let config = self.config();
        let place = self.place(parts.uri.path());
        let mut answer = match (place, &config.cors) {
            (Place::Elsewhere, _) => return status(StatusCode::NOT_FOUND).into(),
            _ if bad_host(parts) => return empty(StatusCode::BAD_REQUEST).into(),
            (_, Some(cors)) if parts.method == Method::OPTIONS => {
                let mut response = status(StatusCode::NO_CONTENT);
                cors.preflight(&parts.headers, response.headers_mut());
                return response.into();
            }
            (Place::File(name), _) => {
                let found = config.files.as_ref().and_then(|files| files(name, parts));
                found.unwrap_or_else(|| status(StatusCode::NOT_FOUND)).into()
            }
            (Place::Engine, _) => match self.sort(parts, body, peer).await {
                Ok(answer) => answer,
                Err(refused) => self.refuse(parts, refused).into(),
            },
        };
        if let Some(cors) = &config.cors {
            cors.headers(&parts.headers, answer.response.headers_mut());
        }
        if let Some(hook) = &config.headers {
            hook(answer.response.headers_mut(), parts);
        }
        answer
    }

    /// Which of the four kinds of request it is.
    async fn sort<B>(&self, parts: &Parts, body: Option<B>, peer: Peer) -> Result<Answer, Refused>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let common = &self.0.common;
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().map(HeaderValue::as_bytes);
        if origins.next().is_some() {
            return Err(ConnectionError::from(BadRequest::InvalidOrigin).into());
        }
        let check = Check {
            query: &query,
            method: match parts.method {
                Method::GET => CheckedMethod::Get,
                Method::POST => CheckedMethod::Post,
                _ => CheckedMethod::Other,
            },
            upgrade: asks_for_websocket(&parts.headers),
            origin,
        };
        let mut found = None;
        let passed = check_request(&common.rules(), check, |sid| {
            let session = common.registry.find(sid)?;
            let facts = SessionFacts { protocol: session.protocol(), transport: session.transport() };
            found = Some(session);
            Some(facts)
        })?;
        if !self.allows_origin(parts, origin) || (query.j.is_some() && self.is_foreign_script(parts)) {
            return Err(Refused::new(ConnectionError::Forbidden, Cause::ForeignOrigin));
        }
        match (passed, found) {
            (Passed::Handshake(transport), _) => self.handshake(parts, &query, transport, peer).await,
            (Passed::Poll, Some(session)) => self.poll(parts, session).await,
            (Passed::Post, Some(session)) => self.post(parts, session, body).await,
            (Passed::Candidate, Some(session)) => self.candidate(parts, &query, session),
            _ => Err(ConnectionError::SessionUnknown.into()),
        }
    }

    /// Whether the page that asks may. Requests without an origin come from no page. See [`crate::cors`].
    fn allows_origin(&self, parts: &Parts, origin: Option<&[u8]>) -> bool {
        let Some(origin) = origin else { return true };
        let config = self.config();
        let allowed = config.origins.as_ref().or(config.cors.as_ref().map(|cors| &cors.origins));
        if let Some(Origins::Any) = allowed {
            return true;
        }
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(parts.uri.authority().map(|authority| authority.as_str()));
        host.is_some_and(|host| cors::same_host(origin, host))
            || allowed.is_some_and(|set| set.contains(origin))
    }

    /// A script element names no origin and may be of any site, and JSONP answers with scripts. Browsers new enough to
    /// say where a request comes from know CORS, so nobody needs JSONP there who may come in at all.
    fn is_foreign_script(&self, parts: &Parts) -> bool {
        let site = parts.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let config = self.config();
        let allowed = config.origins.as_ref().or(config.cors.as_ref().map(|cors| &cors.origins));
        matches!(site, Some(b"cross-site" | b"same-site")) && !matches!(allowed, Some(Origins::Any))
    }

    // ---- a new client -------------------------------------------------------------------------------------------

    async fn handshake(
        &self,
        parts: &Parts,
        query: &Query<'_>,
        transport: Transport,
        peer: Peer,
    ) -> Result<Answer, Refused> {
        let common = &self.0.common;
        let config = self.config();
        let accept = match transport {
            Transport::WebSocket => Some(check_websocket(parts)?),
            Transport::Polling => None,
        };
        let client = config.client_ip.as_ref().and_then(|find| find(parts, &peer));
        let ip: Option<IpAddr> = client.or(peer.remote.map(|addr| addr.ip()));
        let place = common.admit(limits::counted(ip, config)).map_err(Refused::busy)?;

        let handshake = Arc::new(Handshake::new(parts, &peer, client));
        if let Some(allow) = &config.allow_request
            && let Err(message) = allow(handshake.clone()).await
        {
            let mut refused = Refused::new(ConnectionError::Forbidden, Cause::NotAllowed);
            if !message.is_empty() {
                refused.message = message;
            }
            return Err(refused);
        }
        check_version(&common.rules(), query.protocol)?;
        let id = match &config.generate_id {
            Some(generate) => generate(handshake.clone()).await.map_err(|_| id_failure())?,
            None => random_id().map_err(|_| id_failure())?,
        };
        let legal = !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !legal {
            return Err(id_failure());
        }
        let jsonp = query.j.as_deref().filter(|_| transport == Transport::Polling);
        place.keep();
        let shared =
            Shared::new(id.into(), common.clone(), handshake.clone(), query.protocol, transport, jsonp);
        let session = Session(Arc::new(shared));
        if !common.registry.insert(&session) {
            // The id names somebody else, whose entry must stay.
            session.0.disown();
            return Err(id_failure());
        }
        // The hooks may have taken their time. Looked at after the session can be found, so that either this sees the
        // server going down, or that sees the session.
        if common.draining.load(Relaxed) {
            session.0.leave();
            return Err(Refused::busy(Cause::Draining));
        }
        if let Some(initial) = &config.initial_packet {
            let message = match initial {
                Initial::Text(text) => Message::text(text),
                Initial::Binary(bytes) => Message::binary(bytes.clone()),
            };
            let _ = session.send([&message]);
        }

        let mut answer = match accept {
            Some(accept) => self.switching(query, &accept, session, Some(handshake)),
            None => {
                let (reply, answer) = oneshot::channel();
                let form = Form::new(query.protocol, query.b64, jsonp.is_some());
                let start = Start::Polling { polling: Polling::new(form, reply) };
                let task = Task::open(&self.0.application, session.clone(), &handshake, start, Alarm::new());
                tokio::spawn(task);
                let Ok(PollReply::Payload { payload, undelivered }) = answer.await else {
                    return Err(ConnectionError::SessionUnknown.into());
                };
                let mut response = self.payload(parts, &session, payload, undelivered);
                let cookie =
                    config.cookie.as_ref().and_then(|cookie| cookie.header(session.id(), peer.secure));
                if let Some(cookie) = cookie {
                    response.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                response.into()
            }
        };
        if let Some(hook) = &config.initial_headers {
            hook(answer.response.headers_mut(), parts);
        }
        Ok(answer)
    }

    // ---- WebSocket ----------------------------------------------------------------------------------------------

    fn candidate(&self, parts: &Parts, query: &Query<'_>, session: Session) -> Result<Answer, Refused> {
        if !self.config().allow_upgrades {
            let previous = session.transport();
            return Err(ConnectionError::from(BadRequest::TransportMismatch { previous }).into());
        }
        let accept = check_websocket(parts)?;
        Ok(self.switching(query, &accept, session, None))
    }

    /// The 101.
    fn switching(
        &self,
        query: &Query<'_>,
        accept: &Accept<'_>,
        session: Session,
        handshake: Option<Arc<Handshake>>,
    ) -> Answer {
        let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        set(headers, header::SEC_WEBSOCKET_ACCEPT, accept.accept());
        // The first one offered, as the reference does: it has no meaning here, but clients insist on an answer.
        if let Some(protocol) = accept.protocols().first() {
            set(headers, header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let agreed = self.config().deflate.as_ref().and_then(|options| accept.deflate(options));
        let deflate = agreed.map(|(params, value)| {
            set(headers, header::SEC_WEBSOCKET_EXTENSIONS, &value);
            params
        });
        Answer { response, upgrade: Some(Upgrade { deflate, b64: query.b64, session, handshake }) }
    }

    /// The stream of a WebSocket is ours, or will be when `hello` is written. Gives the session's task, to be run, if
    /// it opens one.
    pub(crate) fn begin(
        &self,
        upgrade: Upgrade,
        stream: Stream,
        early: Bytes,
        hello: Bytes,
        alarm: Alarm,
    ) -> Option<Task<A::Link>> {
        let Upgrade { deflate, b64, ref session, ref handshake } = upgrade;
        let candidate = Box::new(Candidate { hello, stream, early, deflate, b64 });
        let task = match handshake {
            Some(handshake) => {
                let start = Start::WebSocket(candidate);
                Some(Task::open(&self.0.application, session.clone(), handshake, start, alarm))
            }
            None if session.0.is_alive() => {
                session.0.command(Command::Candidate(candidate));
                None
            }
            None => None,
        };
        // Held until here, so that a stream that never came takes its session along.
        upgrade.keep();
        task
    }

    // ---- polling ------------------------------------------------------------------------------------------------

    async fn poll(&self, parts: &Parts, session: Session) -> Result<Answer, Refused> {
        let (reply, answer) = oneshot::channel();
        session.0.command_here(Command::Poll(reply));
        match answer.await {
            Ok(PollReply::Payload { payload, undelivered }) => {
                Ok(self.payload(parts, &session, payload, undelivered).into())
            }
            Ok(PollReply::Overlap) => Ok(self.plain_refusal(StatusCode::BAD_REQUEST, Cause::Overlap).into()),
            Ok(PollReply::Mismatch) => {
                let previous = Transport::WebSocket;
                Err(ConnectionError::from(BadRequest::TransportMismatch { previous }).into())
            }
            Ok(PollReply::Gone) | Err(_) => Err(ConnectionError::SessionUnknown.into()),
        }
    }

    /// A poll's answer.
    fn payload(
        &self,
        parts: &Parts,
        session: &Session,
        payload: EncodedPayload,
        undelivered: Option<Undelivered>,
    ) -> Response<Body> {
        let EncodedPayload { body, content, compress, .. } = payload;
        let mut response = status(StatusCode::OK);
        let headers = response.headers_mut();
        no_store(parts, headers);
        let (kind, body) = match (&session.0.jsonp, content) {
            (Some(j), Content::Text) => {
                let script = jsonp::response(j, &String::from_utf8_lossy(&body));
                ("text/plain; charset=UTF-8", script.into_bytes())
            }
            (_, Content::Text) => ("text/plain; charset=UTF-8", body),
            (_, Content::Binary) => ("application/octet-stream", body),
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let body = match &self.config().http_compression {
            Some(options) => {
                cors::vary(headers, header::ACCEPT_ENCODING);
                let fits = compress && body.len() >= options.threshold;
                match fits.then(|| compression::choose(&parts.headers)).flatten() {
                    Some(encoding) => {
                        headers.insert(header::CONTENT_ENCODING, encoding.header());
                        encoding.compress(&body, options.level)
                    }
                    None => body,
                }
            }
            None => body,
        };
        *response.body_mut() = Body::poll(body.into(), undelivered);
        response
    }

    // ---- refusals -----------------------------------------------------------------------------------------------

    /// Tells the client, the application and the counters.
    fn refuse(&self, parts: &Parts, refused: Refused) -> Response<Body> {
        self.0.common.counters.rejected(refused.cause);
        self.0.application.refused(parts, &refused);
        refused.response()
    }

    /// A refusal without words.
    pub(crate) fn plain_refusal(&self, status: StatusCode, cause: Cause) -> Response<Body> {
        self.0.common.counters.rejected(cause);
        empty(status)
    }
}

impl Upgrade {
    /// Whether it opens a session.
    pub(crate) fn opens(&self) -> bool {
        self.handshake.is_some()
    }

    /// The stream came: the session is the task's business now.
    fn keep(mut self) {
        self.handshake = None;
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if self.handshake.is_some() {
            self.session.0.leave();
        }
    }
}

/// Whether the request names no host where it must, or two. hyper leaves this to us (RFC 9112, section 3.2; RFC 6455,
/// section 4.2.1). Two hosts are how a proxy and we would disagree on whose request it is. A plain request without any
/// passes: in-process callers have no host to name.
fn bad_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => true,
        (None, None) => parts.version == Version::HTTP_11 && asks_for_websocket(&parts.headers),
        _ => false,
    }
}

/// Whether it is a request for a WebSocket. Others may ask for other upgrades (`h2c`), which are not offered.
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(header::UPGRADE).iter().any(|value| {
        let mut names = value.as_bytes().split(|&byte| byte == b',');
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    })
}

fn check_websocket(parts: &Parts) -> Result<Accept<'_>, Refused> {
    let version = match parts.version {
        http::Version::HTTP_09 => (0, 9),
        http::Version::HTTP_10 => (1, 0),
        http::Version::HTTP_11 => (1, 1),
        _ => (2, 0),
    };
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    handshake::check_request(parts.method.as_str(), version, headers).map_err(Refused::websocket)
}

/// 120 bits from the system, in the alphabet of URLs.
fn random_id() -> Result<String, getrandom::Error> {
    use base64::Engine as _;
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

fn id_failure() -> Refused {
    ConnectionError::from(BadRequest::IdGeneration).into()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Session data is for nobody's cache. Old Internet Explorers took the bodies for pages and looked for attacks in them.
pub(crate) fn no_store(parts: &Parts, headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    if agent.contains(";MSIE") || agent.contains("Trident/") {
        headers.insert("x-xss-protection", HeaderValue::from_static("0"));
    }
}

pub(crate) fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// An answer that says nothing, and ends the connection: the rest of the request may still be on its way.
pub(crate) fn empty(code: StatusCode) -> Response<Body> {
    let mut response = status(code);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
