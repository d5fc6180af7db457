//! A request arrives: whose is it, may it, and what becomes of it.
//!
//! The checks stand in the reference's order, so that a client with several faults gets the answer it expects. What
//! is refused is counted, told to the application, and never echoed. Nothing here touches a WebSocket after its 101,
//! and nothing here reads a packet.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use sockeye_proto::engine::{
    BadRequest, Check, ConnectionError, Content, EncodedPayload, Form, Method as CheckedMethod, Passed,
    Query, SessionFacts, check_request, check_version, jsonp,
};
use sockeye_proto::websocket::deflate::Params;
use sockeye_proto::websocket::handshake::{self, Accept, Refusal};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, timeout_at};

use crate::body::Undelivered;
use crate::config::Initial;
use crate::cors::{self, Origins};
use crate::engine::Engine;
use crate::engine::Place;
use crate::limits;
use crate::outbox::{Candidate, Command, PollReply, PostBody, PostFailure, PostReply, Shared};
use crate::polling::Polling;
use crate::refused::Cause;
use crate::stream::Stream;
use crate::task::{Start, Task};
use crate::{
    Application, Body, Handshake, Message, Peer, Protocol, Refused, Session, Transport, compression,
};

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
        if !self.allows_origin(parts, origin) {
            return Err(Refused::new(ConnectionError::Forbidden, Cause::ForeignOrigin));
        }
        match (passed, found) {
            (Passed::Handshake(transport), _) => self.handshake(parts, &query, transport, peer).await,
            (Passed::Poll, Some(session)) => self.poll(parts, &query, session).await,
            (Passed::Post, Some(session)) => self.post(parts, &query, session, body).await,
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
        let shared =
            Shared::new(id.into(), common.clone(), peer.remote, place.keep(), query.protocol, transport);
        let session = Session(Arc::new(shared));
        if !common.registry.insert(&session) {
            // The id names somebody else, whose entry must stay.
            session.0.disown();
            return Err(id_failure());
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
                let form = Form::new(query.protocol, query.b64, query.j.is_some());
                let start = Start::Polling { polling: Polling::new(form, reply) };
                let task = Task::open(&self.0.application, session.clone(), &handshake, start);
                tokio::spawn(task);
                let Ok(PollReply::Payload { payload, undelivered }) = answer.await else {
                    return Err(ConnectionError::SessionUnknown.into());
                };
                let mut response = self.payload(parts, query, payload, undelivered);
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

    /// The stream of a WebSocket is ours.
    pub(crate) fn begin(&self, upgrade: Upgrade, stream: Stream, early: Bytes) {
        let Upgrade { deflate, b64, ref session, ref handshake } = upgrade;
        let candidate = Box::new(Candidate { stream, early, deflate, b64 });
        match handshake {
            Some(handshake) => {
                let start = Start::WebSocket(candidate);
                let task = Task::open(&self.0.application, session.clone(), handshake, start);
                tokio::spawn(task);
            }
            None if session.0.is_alive() => session.0.command(Command::Candidate(candidate)),
            None => {}
        }
        // Held until here, so that a stream that never came takes its session along.
        upgrade.keep();
    }

    // ---- polling ------------------------------------------------------------------------------------------------

    async fn poll(&self, parts: &Parts, query: &Query<'_>, session: Session) -> Result<Answer, Refused> {
        let (reply, answer) = oneshot::channel();
        session.0.command(Command::Poll(reply));
        match answer.await {
            Ok(PollReply::Payload { payload, undelivered }) => {
                Ok(self.payload(parts, query, payload, undelivered).into())
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
        query: &Query<'_>,
        payload: EncodedPayload,
        undelivered: Option<Undelivered>,
    ) -> Response<Body> {
        let EncodedPayload { body, content, compress, .. } = payload;
        let mut response = status(StatusCode::OK);
        let headers = response.headers_mut();
        no_store(parts, headers);
        let (kind, body) = match (&query.j, content) {
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

    async fn post<B>(
        &self,
        parts: &Parts,
        query: &Query<'_>,
        session: Session,
        body: Option<B>,
    ) -> Result<Answer, Refused>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let headers = &parts.headers;
        let encoded = headers.get(header::CONTENT_ENCODING);
        if encoded.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Ok(self.plain_refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, Cause::ContentEncoding).into());
        }
        let binary = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream");
        let content = if binary { Content::Binary } else { Content::Text };

        let (reply, mut answer) = oneshot::channel();
        let mut guard = PostGuard { session: &session, open: true };
        let mut collect = pin!(collect(self.config(), headers, body));
        // Most bodies are there when their head is: then the session's task is woken once instead of twice.
        let ready = std::future::poll_fn(|cx| std::task::Poll::Ready(collect.as_mut().poll(cx))).await;
        let refuse = |failure: PostFailure, mut guard: PostGuard<'_>| {
            guard.open = false;
            let (status, cause) = match failure {
                PostFailure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Some(Cause::TooLarge)),
                PostFailure::TooSlow => (StatusCode::REQUEST_TIMEOUT, Some(Cause::TooSlow)),
                PostFailure::InvalidContent => (StatusCode::BAD_REQUEST, Some(Cause::InvalidContent)),
                PostFailure::Lost => (StatusCode::BAD_REQUEST, None),
            };
            session.0.command(Command::PostFailed(failure));
            match cause {
                Some(cause) => self.plain_refusal(status, cause),
                None => empty(status),
            }
        };
        if binary && session.protocol() == Protocol::V4 {
            session.0.command(Command::Post { body: None, reply });
            return Ok(refuse(PostFailure::InvalidContent, guard).into());
        }
        let pending = match ready {
            std::task::Poll::Ready(Ok(bytes)) => {
                let body = Some(self.body(query, content, bytes));
                session.0.command(Command::Post { body, reply });
                guard.open = false;
                false
            }
            std::task::Poll::Ready(Err(failure)) => {
                session.0.command(Command::Post { body: None, reply });
                return Ok(refuse(failure, guard).into());
            }
            std::task::Poll::Pending => {
                session.0.command(Command::Post { body: None, reply });
                true
            }
        };
        let early = if pending {
            tokio::select! {
                biased;
                early = &mut answer => Some(early),
                bytes = collect => match bytes {
                    Ok(bytes) => {
                        session.0.command(Command::PostBody(self.body(query, content, bytes)));
                        None
                    }
                    Err(failure) => return Ok(refuse(failure, guard).into()),
                },
            }
        } else {
            None
        };
        guard.open = false;
        let answer = match early {
            Some(early) => early,
            None => answer.await,
        };
        match answer {
            Ok(PostReply::Done) => {
                let mut response = status(StatusCode::OK);
                no_store(parts, response.headers_mut());
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
                *response.body_mut() = Body::new(Bytes::from_static(b"ok"));
                Ok(response.into())
            }
            Ok(PostReply::Overlap) => Ok(self.plain_refusal(StatusCode::BAD_REQUEST, Cause::Overlap).into()),
            Ok(PostReply::Mismatch) => {
                let previous = Transport::WebSocket;
                Err(ConnectionError::from(BadRequest::TransportMismatch { previous }).into())
            }
            // The session ended around it.
            Ok(PostReply::Gone) | Err(_) => Err(ConnectionError::SessionUnknown.into()),
        }
    }

    /// The body in the form in which its packets lie.
    fn body(&self, query: &Query<'_>, content: Content, bytes: Bytes) -> PostBody {
        if content == Content::Binary {
            return PostBody::Binary(bytes);
        }
        match String::from_utf8(bytes.into()) {
            Err(_) => PostBody::Garbage,
            Ok(text) if query.j.is_some() => match jsonp::form_payload(&text) {
                Some(text) => PostBody::Text(text),
                None => PostBody::Nothing,
            },
            Ok(text) => PostBody::Text(text),
        }
    }

    // ---- refusals -----------------------------------------------------------------------------------------------

    /// Tells the client, the application and the counters.
    fn refuse(&self, parts: &Parts, refused: Refused) -> Response<Body> {
        self.0.common.counters.rejected(refused.cause);
        self.0.application.refused(parts, &refused);
        refused.response()
    }

    /// A refusal without words.
    fn plain_refusal(&self, status: StatusCode, cause: Cause) -> Response<Body> {
        self.0.common.counters.rejected(cause);
        empty(status)
    }
}

/// Tells the session when the client goes away in the middle of a body.
struct PostGuard<'a> {
    session: &'a Session,
    open: bool,
}

impl Drop for PostGuard<'_> {
    fn drop(&mut self) {
        if self.open {
            self.session.0.command(Command::PostFailed(PostFailure::Lost));
        }
    }
}

impl Upgrade {
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

/// Reads a body within the limits of size and time.
async fn collect<B: http_body::Body>(
    config: &crate::Config,
    headers: &HeaderMap,
    body: Option<B>,
) -> Result<Bytes, PostFailure> {
    let Some(body) = body else { return Err(PostFailure::Lost) };
    let limit = config.max_payload;
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(PostFailure::TooLarge);
    }
    let start = Instant::now();
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = Vec::new();
    loop {
        let received = first.len() + all.len();
        // Slow at first is fine; after five seconds there is a least rate.
        let rate = Duration::from_secs_f64(received as f64 / f64::from(config.upload_rate.max(1)));
        let deadline = start + (Duration::from_secs(5) + rate).min(config.upload_timeout);
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| PostFailure::TooSlow)?;
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else { return Err(PostFailure::Lost) };
        let Ok(mut data) = frame.into_data() else { continue };
        if received + data.remaining() > limit {
            return Err(PostFailure::TooLarge);
        }
        let bytes = data.copy_to_bytes(data.remaining());
        if received == 0 {
            first = bytes;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&bytes);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
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
fn no_store(parts: &Parts, headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    if agent.contains(";MSIE") || agent.contains("Trident/") {
        headers.insert("x-xss-protection", HeaderValue::from_static("0"));
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// An answer that says nothing, and ends the connection: the rest of the request may still be on its way.
fn empty(code: StatusCode) -> Response<Body> {
    let mut response = status(code);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Refused {
    fn new(error: ConnectionError, cause: Cause) -> Self {
        Refused {
            code: Some(error.code()),
            message: error.message().to_owned(),
            // 403 on an upgrade as well: a proxy or a log should not take it for a malformed request.
            status: StatusCode::from_u16(error.status(false)).unwrap_or(StatusCode::BAD_REQUEST),
            cause,
        }
    }

    fn busy(cause: Cause) -> Self {
        Refused {
            code: None,
            message: "Service unavailable".to_owned(),
            status: StatusCode::SERVICE_UNAVAILABLE,
            cause,
        }
    }

    fn websocket(refusal: Refusal) -> Self {
        Refused {
            code: None,
            message: refusal.text().to_owned(),
            status: StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
            cause: Cause::WebSocketHandshake,
        }
    }

    fn response(&self) -> Response<Body> {
        let mut response = status(self.status);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER.as_secs()));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            _ => {}
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Codes past 5 are nobody's; a refusal without a code of its own goes as a bad request.
        let error = match self.code {
            Some(0) => ConnectionError::TransportUnknown,
            Some(1) => ConnectionError::SessionUnknown,
            Some(2) => ConnectionError::BadMethod,
            Some(4) => ConnectionError::Forbidden,
            Some(5) => ConnectionError::UnsupportedVersion,
            _ => ConnectionError::from(BadRequest::TransportHandshake),
        };
        *response.body_mut() = Body::new(error.to_json(Some(&self.message)));
        response
    }
}

impl From<ConnectionError> for Refused {
    fn from(error: ConnectionError) -> Self {
        let cause = match error {
            ConnectionError::TransportUnknown => Cause::TransportUnknown,
            ConnectionError::SessionUnknown => Cause::SessionUnknown,
            ConnectionError::BadMethod => Cause::BadMethod,
            ConnectionError::BadRequest(BadRequest::InvalidOrigin) => Cause::InvalidOrigin,
            ConnectionError::BadRequest(BadRequest::TransportMismatch { .. }) => Cause::TransportMismatch,
            ConnectionError::BadRequest(BadRequest::ProtocolMismatch { .. }) => Cause::ProtocolMismatch,
            ConnectionError::BadRequest(BadRequest::IdGeneration) => Cause::IdGeneration,
            ConnectionError::BadRequest(_) => Cause::TransportHandshake,
            ConnectionError::Forbidden => Cause::NotAllowed,
            ConnectionError::UnsupportedVersion => Cause::ProtocolUnsupported,
        };
        Refused::new(error, cause)
    }
}
