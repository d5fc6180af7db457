//! Whether a request may pass, and the words with which it is refused.
//!
//! The checks stand in the reference's order, so that a request with several faults gets the answer its client
//! expects. Two steps between them are not pure and belong to the driver: middlewares come before
//! [`check_request`], and the application's own yes or no (`allow_request`) between it and [`check_version`].

use super::{Protocol, Query, Transport};

/// The method of a request, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// Any other one.
    Other,
}

/// What the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether `polling` is among the transports.
    pub polling: bool,
    /// Whether `websocket` is.
    pub websocket: bool,
    /// Whether revision 3 is spoken.
    pub allow_v3: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { polling: true, websocket: true, allow_v3: false }
    }
}

/// What has to be known of a session to judge a request that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Its revision.
    pub protocol: Protocol,
    /// The transport it is on: [`Session::transport`](super::Session::transport).
    pub transport: Transport,
}

/// A request to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// Its query.
    pub query: &'a Query<'a>,
    /// Its method.
    pub method: Method,
    /// Whether it asks for a WebSocket.
    pub upgrade: bool,
    /// Its `Origin` header.
    pub origin: Option<&'a [u8]>,
}

/// What a request that passed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A new client. Next: the application's consent, then [`check_version`].
    Handshake(Transport),
    /// A GET for what the session has to say.
    Poll,
    /// A POST with what the client has to say.
    Post,
    /// A WebSocket that wants to take the session over.
    Candidate,
}

/// Judges a request. `find` looks a session up by its id.
pub fn check_request(
    rules: &Rules,
    check: Check<'_>,
    find: impl FnOnce(&str) -> Option<SessionFacts>,
) -> Result<Passed, ConnectionError> {
    let transport = match check.query.transport.as_deref().and_then(Transport::from_name) {
        Some(Transport::Polling) if rules.polling => Transport::Polling,
        Some(Transport::WebSocket) if rules.websocket => Transport::WebSocket,
        _ => return Err(ConnectionError::TransportUnknown),
    };
    if check.origin.is_some_and(|origin| !origin.iter().all(|&byte| allowed_in_header(byte))) {
        return Err(BadRequest::InvalidOrigin.into());
    }
    match check.query.sid.as_deref() {
        Some(sid) => {
            let session = find(sid).ok_or(ConnectionError::SessionUnknown)?;
            check_session(check, transport, session)
        }
        None => check_handshake(check, transport),
    }
}

fn check_session(
    check: Check<'_>,
    transport: Transport,
    session: SessionFacts,
) -> Result<Passed, ConnectionError> {
    if !check.upgrade && transport != session.transport {
        return Err(BadRequest::TransportMismatch { previous: session.transport }.into());
    }
    if check.query.protocol != session.protocol {
        return Err(BadRequest::ProtocolMismatch { previous: session.protocol }.into());
    }
    match (transport, check.upgrade, check.method) {
        (Transport::WebSocket, true, _) => Ok(Passed::Candidate),
        (Transport::Polling, false, Method::Get) => Ok(Passed::Poll),
        (Transport::Polling, false, Method::Post) => Ok(Passed::Post),
        // The reference answers 500 here. The session is not touched either way.
        (Transport::Polling, false, Method::Other) => Err(ConnectionError::BadMethod),
        // An upgrade to polling, or a plain request to a WebSocket: the reference leaves both hanging.
        (Transport::Polling, true, _) | (Transport::WebSocket, false, _) => {
            Err(BadRequest::TransportHandshake.into())
        }
    }
}

fn check_handshake(check: Check<'_>, transport: Transport) -> Result<Passed, ConnectionError> {
    if check.method != Method::Get {
        return Err(ConnectionError::BadMethod);
    }
    if check.upgrade != (transport == Transport::WebSocket) {
        return Err(BadRequest::TransportHandshake.into());
    }
    Ok(Passed::Handshake(transport))
}

/// The last check of a handshake, after the application has consented; on WebSocket before the 101, unlike the
/// reference, which refuses inside the upgraded stream.
pub fn check_version(rules: &Rules, protocol: Protocol) -> Result<(), ConnectionError> {
    match protocol {
        Protocol::V3 if !rules.allow_v3 => Err(ConnectionError::UnsupportedVersion),
        Protocol::V3 | Protocol::V4 => Ok(()),
    }
}

/// What Node allows in a header's value: tab, and everything from the space on but DEL.
fn allowed_in_header(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A refusal, as `connection_error` events and clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionError {
    /// 0: `transport` is missing, unknown or switched off.
    TransportUnknown,
    /// 1: no session has this `sid`.
    SessionUnknown,
    /// 2: a handshake is a GET.
    BadMethod,
    /// 3
    BadRequest(BadRequest),
    /// 4: the application refused. Its own message may replace ours.
    Forbidden,
    /// 5: revision 3, and the server does not speak it.
    UnsupportedVersion,
}

/// The kinds of code 3, which clients cannot tell apart and `connection_error` listeners can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadRequest {
    /// Control characters in the `Origin` header.
    InvalidOrigin,
    /// The session is on another transport than the request names.
    TransportMismatch {
        /// The one the session is on.
        previous: Transport,
    },
    /// The session speaks another revision than the request names.
    ProtocolMismatch {
        /// The one the session speaks.
        previous: Protocol,
    },
    /// A WebSocket without an upgrade, or an upgrade without a WebSocket.
    TransportHandshake,
    /// The application could not make an id.
    IdGeneration,
    /// A middleware refused.
    Middleware,
}

impl BadRequest {
    /// The `name` in the context of a `connection_error`.
    pub fn name(self) -> &'static str {
        match self {
            BadRequest::InvalidOrigin => "INVALID_ORIGIN",
            BadRequest::TransportMismatch { .. } => "TRANSPORT_MISMATCH",
            BadRequest::ProtocolMismatch { .. } => "PROTOCOL_MISMATCH",
            BadRequest::TransportHandshake => "TRANSPORT_HANDSHAKE_ERROR",
            BadRequest::IdGeneration => "ID_GENERATION_ERROR",
            BadRequest::Middleware => "MIDDLEWARE_FAILURE",
        }
    }
}

impl From<BadRequest> for ConnectionError {
    fn from(kind: BadRequest) -> ConnectionError {
        ConnectionError::BadRequest(kind)
    }
}

impl ConnectionError {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            ConnectionError::TransportUnknown => 0,
            ConnectionError::SessionUnknown => 1,
            ConnectionError::BadMethod => 2,
            ConnectionError::BadRequest(_) => 3,
            ConnectionError::Forbidden => 4,
            ConnectionError::UnsupportedVersion => 5,
        }
    }

    /// The words that go with the number.
    pub fn message(self) -> &'static str {
        match self {
            ConnectionError::TransportUnknown => "Transport unknown",
            ConnectionError::SessionUnknown => "Session ID unknown",
            ConnectionError::BadMethod => "Bad handshake method",
            ConnectionError::BadRequest(_) => "Bad request",
            ConnectionError::Forbidden => "Forbidden",
            ConnectionError::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// The HTTP status: 403 for [`ConnectionError::Forbidden`] on a plain request, 400 for everything else. A
    /// refused WebSocket always gets 400.
    pub fn status(self, upgrade: bool) -> u16 {
        match self {
            ConnectionError::Forbidden if !upgrade => 403,
            _ => 400,
        }
    }

    /// `{"code":…,"message":"…"}`, the body of a refused plain request. `message` replaces the usual words.
    ///
    /// (A refused WebSocket has the bare message as its body, as `text/html`.)
    pub fn to_json(self, message: Option<&str>) -> String {
        let mut number = itoa::Buffer::new();
        let mut json = String::with_capacity(64);
        json.push_str("{\"code\":");
        json.push_str(number.format(self.code()));
        json.push_str(",\"message\":");
        json.push_str(&serde_json::Value::from(message.unwrap_or(self.message())).to_string());
        json.push('}');
        json
    }
}
