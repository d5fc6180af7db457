//! What is known about the request that opened a session, kept for as long as the session lives.
//!
//! A browser sends half a kilobyte of headers. hyper holds them in buffers of many kilobytes and in a map
//! with an entry per header, so they are copied once into a single allocation of less than their own length: the names
//! that every browser sends are one byte each.
//! Nothing here is ever printed: it holds cookies and tokens.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Peer;

/// The request that opened a session.
pub struct Handshake {
    /// `target`, then for each header: a byte for its name, the length of the value (two bytes), the value. The byte
    /// is the place of the name in [`USUAL`] plus one, or 0: then the length of the name (one byte) and the name follow.
    head: Box<[u8]>,
    target: u16,
    secure: bool,
    remote: Option<SocketAddr>,
    client: Option<IpAddr>,
    issued: SystemTime,
}

impl Handshake {
    /// Copies what is needed out of a request head.
    pub(crate) fn new(parts: &Parts, peer: &Peer, client: Option<IpAddr>) -> Self {
        let path = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        // Heads over 16 KiB never get here through our own door; other hosts may allow more. What does not
        // fit the length fields is left out rather than cut in the middle.
        let path = if path.len() > usize::from(u16::MAX) { "/" } else { path };
        let fits =
            |name: &HeaderName, value: &HeaderValue| name.as_str().len() < 256 && value.len() < 1 << 16;
        let headers = || parts.headers.iter().filter(|(name, value)| fits(name, value));
        let length = headers().map(|(name, value)| 4 + name.as_str().len() + value.len()).sum::<usize>();
        let mut head = Vec::with_capacity(path.len() + length);
        head.extend_from_slice(path.as_bytes());
        for (name, value) in headers() {
            let name = name.as_str();
            match USUAL.iter().position(|usual| *usual == name) {
                Some(at) => head.push(at as u8 + 1),
                None => {
                    head.extend_from_slice(&[0, name.len() as u8]);
                    head.extend_from_slice(name.as_bytes());
                }
            }
            head.extend_from_slice(&(value.len() as u16).to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        Handshake {
            // Copied once more: an allocator that shrinks in place would keep the room of the names.
            head: head.as_slice().into(),
            target: path.len() as u16,
            secure: peer.secure,
            remote: peer.remote,
            client,
            issued: SystemTime::now(),
        }
    }

    /// Path and query, as the client sent them.
    pub fn url(&self) -> &str {
        std::str::from_utf8(&self.head[..usize::from(self.target)]).unwrap_or("/")
    }

    /// The query string without the question mark, as sent; empty if there is none.
    pub fn query_string(&self) -> &str {
        self.url().split_once('?').map_or("", |(_, query)| query)
    }

    /// The query's pairs in order, decoded. Keys may repeat.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        sockeye_proto::engine::pairs(self.query_string())
    }

    /// The last value of a key in the query, decoded: repeated keys count once, the last wins.
    pub fn query_value(&self, key: &str) -> Option<Cow<'_, str>> {
        self.query().filter(|(name, _)| name == key).last().map(|(_, value)| value)
    }

    /// The first value of a header, as bytes. Names are compared without regard to case.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.raw_headers().find(|(one, _)| one.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of a header if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All headers, made anew on every call.
    pub fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in self.raw_headers() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// Names (in lower case) and values, in the order sent.
    pub fn raw_headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.head[usize::from(self.target)..];
        std::iter::from_fn(move || {
            let (&usual, mut after) = rest.split_first()?;
            let name = match usize::from(usual).checked_sub(1) {
                Some(at) => USUAL.get(at)?.as_bytes(),
                None => {
                    let (&length, name) = after.split_first()?;
                    let (name, behind) = name.split_at(usize::from(length));
                    after = behind;
                    name
                }
            };
            let (&length, after) = after.split_first_chunk::<2>()?;
            let (value, after) = after.split_at(usize::from(u16::from_be_bytes(length)));
            rest = after;
            Some((name, value))
        })
    }

    /// The address of the connection's other end. `None` if the host does not know it (a Unix socket).
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The client's address: what [`Config::client_ip`](crate::Config::client_ip) found, else the connection's.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client.or(self.remote.map(|addr| addr.ip()))
    }

    /// Whether the connection is encrypted, as far as this server sees.
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// Whether the request came with an `Origin`, as browsers send it to other sites.
    pub fn xdomain(&self) -> bool {
        self.header_bytes("origin").is_some()
    }

    /// When the request came, by the wall clock.
    pub fn time(&self) -> SystemTime {
        self.issued
    }

    /// When the request came, in milliseconds since 1970.
    pub fn issued(&self) -> u64 {
        self.issued.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
    }
}

/// The names that are kept as one byte: what browsers and their proxies send with a request for a WebSocket.
const USUAL: [&str; 32] = [
    "host",
    "connection",
    "upgrade",
    "origin",
    "user-agent",
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "pragma",
    "cookie",
    "authorization",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-gpc",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "referer",
    "dnt",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "forwarded",
    "via",
    "content-type",
];

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("remote", &self.remote)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(target: &str) -> Handshake {
        let request = http::Request::get(target)
            .header("Host", "a.example")
            .header("X-Two", "1")
            .header("X-Two", "2")
            .header("Cookie", "secret")
            .body(())
            .unwrap();
        Handshake::new(&request.into_parts().0, &Peer::default(), None)
    }

    #[test]
    fn the_copy_says_what_the_request_said() {
        let one = handshake("/socket.io/?EIO=4&a=1&a=2+3%20%zz%C3%A9&b");
        assert_eq!(one.url(), "/socket.io/?EIO=4&a=1&a=2+3%20%zz%C3%A9&b");
        assert_eq!(one.query_value("a").as_deref(), Some("2 3 %zzé"));
        assert_eq!(one.query_value("b").as_deref(), Some(""));
        assert_eq!(one.query_value("c"), None);
        assert_eq!(one.header("host"), Some("a.example"));
        assert_eq!(one.headers().get_all("x-two").iter().count(), 2);
        assert_eq!(one.headers().len(), 4);
        assert!(!one.xdomain());
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", handshake("/?token=hush")).contains("hush"));
        assert!(!format!("{:?}", handshake("/")).contains("secret"));
    }
}
