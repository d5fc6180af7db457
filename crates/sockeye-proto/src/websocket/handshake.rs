//! The HTTP upgrade (RFC 6455 §4), over plain strings: any HTTP library fits in front.

use super::deflate;

/// The value of `Sec-WebSocket-Accept` for a client's key.
pub fn accept_key(key: &str) -> String {
    let _ = key;
    todo!()
}

/// A request that may be upgraded.
#[derive(Clone, Debug)]
pub struct Accept<'a> {
    accept: String,
    protocols: Vec<&'a str>,
    extensions: Vec<&'a str>,
}

impl<'a> Accept<'a> {
    /// The value of the response's `Sec-WebSocket-Accept`. The response is a 101 with this, `Upgrade: websocket`,
    /// `Connection: Upgrade` and whatever [`deflate`](Self::deflate) and [`protocols`](Self::protocols) led to.
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// The subprotocols the client offers, in its order of preference. Answer with one of them or none.
    pub fn protocols(&self) -> &[&'a str] {
        &self.protocols
    }

    /// Our choice of compression, see [`deflate::negotiate`].
    pub fn deflate(&self, options: &deflate::Options) -> Option<(deflate::Params, String)> {
        deflate::negotiate(self.extensions.iter().copied(), options)
    }
}

/// Why a request was not upgraded. Each has a status and a fixed text; nothing of the request is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not a GET: 405.
    #[error("WebSocket handshakes are GET requests")]
    Method,
    /// HTTP/1.0 or older: 400.
    #[error("WebSocket needs HTTP/1.1")]
    HttpVersion,
    /// No `Upgrade: websocket`: 400.
    #[error("Invalid Upgrade header")]
    Upgrade,
    /// `Connection` does not name `upgrade`: 400.
    #[error("Invalid Connection header")]
    Connection,
    /// `Sec-WebSocket-Key` missing, repeated, or not 16 bytes in base64: 400.
    #[error("Missing or invalid Sec-WebSocket-Key header")]
    Key,
    /// `Sec-WebSocket-Version` missing, repeated, or one we do not speak: 426.
    #[error("Missing or unsupported Sec-WebSocket-Version header")]
    Version,
}

impl Refusal {
    /// The HTTP status to answer with: 400, 405 or 426.
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Version => 426,
            _ => 400,
        }
    }

    /// A header the answer must carry: `Allow` with 405, `Sec-WebSocket-Version` with 426.
    pub const fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Method => Some(("allow", "GET")),
            Self::Version => Some(("sec-websocket-version", "13")),
            _ => None,
        }
    }

    /// The body to answer with, as text/plain.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Method => "WebSocket handshakes are GET requests",
            Self::HttpVersion => "WebSocket needs HTTP/1.1",
            Self::Upgrade => "Invalid Upgrade header",
            Self::Connection => "Invalid Connection header",
            Self::Key => "Missing or invalid Sec-WebSocket-Key header",
            Self::Version => "Missing or unsupported Sec-WebSocket-Version header",
        }
    }
}

/// A server's look at an upgrade request.
///
/// `http`: the request's HTTP version, major and minor. `headers`: all of them, names in any case, values as they
/// came; with the `http` crate `headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))`.
pub fn check_request<'a>(
    method: &str,
    http: (u8, u8),
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Accept<'a>, Refusal> {
    let _ = (method, http, headers.into_iter().count());
    todo!()
}
