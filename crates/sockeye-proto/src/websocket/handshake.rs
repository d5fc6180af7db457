//! The HTTP upgrade (RFC 6455 §4), over plain strings: any HTTP library fits in front.
//!
//! Version 8 (the drafts hybi-08 to -12) frames like 13 and is accepted too; its origin comes in
//! `Sec-WebSocket-Origin`. Nothing of a request is ever echoed into a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

use super::deflate;

/// A server's look at an upgrade request.
///
/// `http`: the request's HTTP version, major and minor. `headers`: all of them, names in any case, values as they
/// came; with the `http` crate `headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))`.
///
/// Offers of subprotocols and extensions that make no sense are ignored, not refused.
pub fn check_request<'a>(
    method: &str,
    http: (u8, u8),
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Accept<'a>, Refusal> {
    if method != "GET" {
        return Err(Refusal::Method);
    }
    if http < (1, 1) {
        return Err(Refusal::HttpVersion);
    }
    let (mut upgrade, mut connection) = (false, false);
    let (mut key, mut version) = (Once::Missing, Once::Missing);
    let (mut protocols, mut extensions) = (Vec::new(), Vec::new());
    for (name, value) in headers {
        // What is not text is treated as if it were empty: no value we look for is outside of ASCII.
        let value = std::str::from_utf8(value).unwrap_or("");
        if name.eq_ignore_ascii_case("upgrade") {
            upgrade |= has_token(value, "websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            connection |= has_token(value, "upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            key.set(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-version") {
            version.set(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            protocols.extend(tokens(value).filter(|token| is_token(token)));
        } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            extensions.push(value);
        }
    }
    if !upgrade {
        return Err(Refusal::Upgrade);
    }
    if !connection {
        return Err(Refusal::Connection);
    }
    if !matches!(version, Once::One("13" | "8")) {
        return Err(Refusal::Version);
    }
    match key {
        Once::One(key) if is_key(key) => Ok(Accept { accept: accept_key(key), protocols, extensions }),
        _ => Err(Refusal::Key),
    }
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

    /// The subprotocols the client offers, in its order of preference. Answer with one of them or with none; the
    /// reference answers with the first.
    pub fn protocols(&self) -> &[&'a str] {
        &self.protocols
    }

    /// Our choice of compression, see [`deflate::negotiate`].
    pub fn deflate(&self, options: &deflate::Options) -> Option<(deflate::Params, String)> {
        deflate::negotiate(self.extensions.iter().copied(), options)
    }
}

/// Why a request was not upgraded. Each has a status and a fixed text.
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
            Self::HttpVersion | Self::Upgrade | Self::Connection | Self::Key => 400,
        }
    }

    /// A header the answer must carry: `Allow` with 405, `Sec-WebSocket-Version` with 426.
    pub const fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Method => Some(("allow", "GET")),
            Self::Version => Some(("sec-websocket-version", "13")),
            Self::HttpVersion | Self::Upgrade | Self::Connection | Self::Key => None,
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

/// The value of `Sec-WebSocket-Accept` for a client's key.
pub fn accept_key(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.digest().bytes())
}

/// A client's `Sec-WebSocket-Key` from 16 fresh random bytes.
pub fn client_key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

/// What a client learns from the server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established<'a> {
    /// The subprotocol the server chose.
    pub protocol: Option<&'a str>,
    /// The compression agreed on, for [`ReaderConfig::deflate`](super::ReaderConfig::deflate).
    pub deflate: Option<deflate::Params>,
}

/// A client's look at the answer to its upgrade request.
///
/// `key` is what was sent, `protocols` the subprotocols and `deflate` the options of [`deflate::offer`] if they
/// were.
pub fn check_response<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    key: &str,
    protocols: &[&str],
    deflate: Option<&deflate::Options>,
) -> Result<Established<'a>, ResponseFault> {
    if status != 101 {
        return Err(ResponseFault::Status(status));
    }
    let (mut upgrade, mut connection) = (false, false);
    let (mut accept, mut protocol) = (Once::Missing, Once::Missing);
    let mut extensions = Vec::new();
    for (name, value) in headers {
        let value = std::str::from_utf8(value).unwrap_or("");
        if name.eq_ignore_ascii_case("upgrade") {
            upgrade |= has_token(value, "websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            connection |= has_token(value, "upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
            accept.set(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            protocol.set(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            extensions.push(value);
        }
    }
    if !upgrade || !connection {
        return Err(ResponseFault::Upgrade);
    }
    if !matches!(accept, Once::One(accept) if accept == accept_key(key)) {
        return Err(ResponseFault::Accept);
    }
    let protocol = match protocol {
        Once::Missing => None,
        Once::One(protocol) if protocols.contains(&protocol) => Some(protocol),
        Once::One(_) | Once::More => return Err(ResponseFault::Protocol),
    };
    let deflate = deflate::accept_response(extensions, deflate).map_err(|_| ResponseFault::Extension)?;
    Ok(Established { protocol, deflate })
}

/// Why a client does not take the server's answer for an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// Not a 101; the HTTP status that came instead.
    #[error("HTTP status {0} instead of 101")]
    Status(u16),
    /// `Upgrade: websocket` or `Connection: upgrade` is missing.
    #[error("no upgrade to websocket")]
    Upgrade,
    /// `Sec-WebSocket-Accept` is not the answer to our key.
    #[error("wrong Sec-WebSocket-Accept")]
    Accept,
    /// A subprotocol that was not offered.
    #[error("subprotocol that was not offered")]
    Protocol,
    /// An extension that was not offered, or not on these terms.
    #[error("extension that was not offered")]
    Extension,
}

/// A header that may come once.
#[derive(Clone, Copy)]
enum Once<'a> {
    Missing,
    One(&'a str),
    More,
}

impl<'a> Once<'a> {
    fn set(&mut self, value: &'a str) {
        *self = match self {
            Self::Missing => Self::One(trim(value)),
            Self::One(_) | Self::More => Self::More,
        };
    }
}

/// 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    let digits = key.strip_suffix("==").unwrap_or("");
    digits.len() == 22
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn has_token(list: &str, token: &str) -> bool {
    tokens(list).any(|candidate| candidate.eq_ignore_ascii_case(token))
}

fn tokens(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(trim)
}

fn is_token(text: &str) -> bool {
    let special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
