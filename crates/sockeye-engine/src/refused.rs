//! Why a request was turned away: code, message, status and what the server's own log may say about it.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use sockeye_proto::engine::{BadRequest, ConnectionError};
use sockeye_proto::websocket::handshake::Refusal;

use crate::{Body, limits};

/// A request that was refused. The client is told the code and the message; never anything it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// 0 to 5 as in the Engine.IO protocol. `None` for refusals that have no code there (limits, WebSocket
    /// handshakes that are not one).
    pub code: Option<u8>,
    /// What the client is told.
    pub message: String,
    /// The status of the answer.
    pub status: StatusCode,
    /// Details for the server's side.
    pub cause: Cause,
}

impl Refused {
    pub(crate) fn new(error: ConnectionError, cause: Cause) -> Self {
        Refused {
            code: Some(error.code()),
            message: error.message().to_owned(),
            // 403 on an upgrade as well: a proxy or a log should not take it for a malformed request.
            status: StatusCode::from_u16(error.status(false)).unwrap_or(StatusCode::BAD_REQUEST),
            cause,
        }
    }

    pub(crate) fn busy(cause: Cause) -> Self {
        Refused {
            code: None,
            message: "Service unavailable".to_owned(),
            status: StatusCode::SERVICE_UNAVAILABLE,
            cause,
        }
    }

    pub(crate) fn websocket(refusal: Refusal) -> Self {
        Refused {
            code: None,
            message: refusal.text().to_owned(),
            status: StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
            cause: Cause::WebSocketHandshake,
        }
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
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

/// What was wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Code 0: the transport is missing, unknown or off.
    TransportUnknown,
    /// Code 1: there is no such session.
    SessionUnknown,
    /// Code 2: the method is not one that starts or continues a session.
    BadMethod,
    /// Code 3: the `Origin` header is not text, or there are two.
    InvalidOrigin,
    /// Code 3: the session uses another transport.
    TransportMismatch,
    /// Code 3: the session uses another protocol revision.
    ProtocolMismatch,
    /// Code 3: WebSocket without an upgrade request, or an upgrade request for another transport.
    TransportHandshake,
    /// Code 3: no usable session id could be made.
    IdGeneration,
    /// Code 4, 403: the page's origin is not allowed.
    ForeignOrigin,
    /// Code 4, 403: `allow_request` said no.
    NotAllowed,
    /// Code 5: the protocol revision is off.
    ProtocolUnsupported,
    /// 400, 405 or 426: not a WebSocket handshake.
    WebSocketHandshake,
    /// 415: a compressed body.
    ContentEncoding,
    /// 503: the server is going down.
    Draining,
    /// 503: too many sessions in all.
    Full,
    /// 503: too many sessions from this address.
    FullForAddress,
    /// 503: too many sessions that have not settled, in all.
    Unsettled,
    /// 503: too many sessions from this address that have not settled.
    UnsettledForAddress,
    /// 503: too many handshakes a second from this address.
    TooFast,
    /// 413: the body is larger than the limit.
    TooLarge,
    /// 400: two polls or two posts at once.
    Overlap,
    /// 400: a binary body in revision 4.
    InvalidContent,
    /// 408: the body took too long.
    TooSlow,
}

impl Cause {
    /// All of them, in the order of [`Cause::index`].
    pub(crate) const ALL: [Cause; 23] = [
        Cause::TransportUnknown,
        Cause::SessionUnknown,
        Cause::BadMethod,
        Cause::InvalidOrigin,
        Cause::TransportMismatch,
        Cause::ProtocolMismatch,
        Cause::TransportHandshake,
        Cause::IdGeneration,
        Cause::ForeignOrigin,
        Cause::NotAllowed,
        Cause::ProtocolUnsupported,
        Cause::WebSocketHandshake,
        Cause::ContentEncoding,
        Cause::Draining,
        Cause::Full,
        Cause::FullForAddress,
        Cause::Unsettled,
        Cause::UnsettledForAddress,
        Cause::TooFast,
        Cause::TooLarge,
        Cause::Overlap,
        Cause::InvalidContent,
        Cause::TooSlow,
    ];

    /// The name used in metrics: a closed set of fixed texts.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::TransportUnknown => "transport_unknown",
            Cause::SessionUnknown => "session_unknown",
            Cause::BadMethod => "bad_method",
            Cause::InvalidOrigin => "invalid_origin",
            Cause::TransportMismatch => "transport_mismatch",
            Cause::ProtocolMismatch => "protocol_mismatch",
            Cause::TransportHandshake => "transport_handshake",
            Cause::IdGeneration => "id_generation",
            Cause::ForeignOrigin => "foreign_origin",
            Cause::NotAllowed => "not_allowed",
            Cause::ProtocolUnsupported => "protocol_unsupported",
            Cause::WebSocketHandshake => "websocket_handshake",
            Cause::ContentEncoding => "content_encoding",
            Cause::Draining => "draining",
            Cause::Full => "full",
            Cause::FullForAddress => "full_for_address",
            Cause::Unsettled => "unsettled",
            Cause::UnsettledForAddress => "unsettled_for_address",
            Cause::TooFast => "too_fast",
            Cause::TooLarge => "too_large",
            Cause::Overlap => "overlap",
            Cause::InvalidContent => "invalid_content",
            Cause::TooSlow => "too_slow",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
