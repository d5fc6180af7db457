//! The head of a plain request, read from bytes: what our own door answers itself.
//!
//! A plain request is one that leaves no room for two opinions: `GET`, `POST` or `OPTIONS` for the engine's path in
//! HTTP/1.1, with at most one `Content-Length`, on a connection that stays. Whatever else comes is [`Shape::Odd`] and
//! goes to hyper, with its bytes untouched, for the rest of the connection: this must never answer, mend or guess where
//! a proxy in front may have read something else (request smuggling). The heads are cut by the parser that hyper uses.
//!
//! Nothing here waits, and nothing here knows what a request means.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Uri};

/// What the bytes of a connection begin with.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "taken apart at once, and never kept")]
pub(crate) enum Shape {
    /// The head is not complete.
    Partial,
    /// A plain request.
    Plain(Head),
    /// Anything else, broken or only unusual.
    Odd,
}

/// The head of a plain request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) parts: Parts,
    /// How many bytes it took.
    pub(crate) length: usize,
    /// How many bytes of a body follow.
    pub(crate) body: usize,
}

/// What is taken for plain.
pub(crate) struct Bounds {
    /// The largest head in bytes.
    pub(crate) head: usize,
    /// The largest number of headers.
    pub(crate) headers: usize,
    /// The largest body in bytes. A larger one is refused by hyper's side, which knows how to end such a connection.
    pub(crate) body: usize,
}

/// No plain request has more headers.
const HEADERS: usize = 100;

/// Looks at what a connection begins with. `wants` says which paths are ours. `headers` is filled; an empty one that has
/// been used before saves its making.
pub(crate) fn read(
    bytes: &Bytes,
    bounds: &Bounds,
    headers: HeaderMap,
    wants: impl FnOnce(&str) -> bool,
) -> Shape {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let room = &mut room[..bounds.headers.min(HEADERS)];
    let length = match request.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(length)) if length <= bounds.head => length,
        Ok(httparse::Status::Partial) if bytes.len() <= bounds.head => return Shape::Partial,
        _ => return Shape::Odd,
    };
    match plain(bytes, &request, bounds, headers, wants) {
        Some((parts, body)) => Shape::Plain(Head { parts, length, body }),
        None => Shape::Odd,
    }
}

/// Whether a head of which `seen` bytes have been found incomplete may be complete now. Looking for its end costs less
/// than parsing it once more for each byte that comes.
pub(crate) fn may_be_complete(bytes: &[u8], seen: usize) -> bool {
    let fresh = &bytes[seen.saturating_sub(3).min(bytes.len())..];
    seen == 0
        || fresh.windows(2).any(|two| two == b"\n\n")
        || fresh.windows(3).any(|three| three == b"\n\r\n")
}

/// The request and the length of its body, if it is a plain one.
fn plain(
    bytes: &Bytes,
    request: &httparse::Request<'_, '_>,
    bounds: &Bounds,
    mut headers: HeaderMap,
    wants: impl FnOnce(&str) -> bool,
) -> Option<(Parts, usize)> {
    let method = match request.method? {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "OPTIONS" => Method::OPTIONS,
        _ => return None,
    };
    let target = request.path?;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if request.version? != 1 || !path.starts_with('/') || target.contains('#') || !wants(path) {
        return None;
    }
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes())).ok()?;

    let mut length = None;
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        match name {
            header::CONTENT_LENGTH if length.is_none() => length = Some(number(header.value)?),
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::EXPECT => return None,
            header::CONNECTION if !stays(header.value) => return None,
            header::UPGRADE if method != Method::GET || !header.value.eq_ignore_ascii_case(b"websocket") => {
                return None;
            }
            _ => {}
        }
        headers.append(name, HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).ok()?);
    }
    let body = match (&method, length) {
        (&Method::POST, Some(length)) if length <= bounds.body => length,
        // An answer to a request of unknown end could be taken for the answer to another.
        (&Method::POST, _) => return None,
        (_, None | Some(0)) => 0,
        _ => return None,
    };
    let mut parts = Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.headers) = (method, uri, headers);
    Some((parts, body))
}

/// A length, in digits and nothing else.
fn number(value: &[u8]) -> Option<usize> {
    let digits = !value.is_empty() && value.len() < 16 && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Whether a `Connection` header asks for nothing but staying, or for the upgrade.
fn stays(value: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .all(|option| option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"upgrade"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { head: 1000, headers: 10, body: 100 };

    fn shape(text: &str) -> Shape {
        read(&Bytes::copy_from_slice(text.as_bytes()), &BOUNDS, HeaderMap::new(), |path| path == "/io/")
    }

    #[test]
    fn plain_requests() {
        for (request, body) in [
            ("GET /io/?EIO=4 HTTP/1.1\r\nHost: a\r\n\r\n", 0),
            ("GET /io/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", 0),
            ("OPTIONS /io/ HTTP/1.1\r\n\r\n", 0),
            ("POST /io/ HTTP/1.1\r\ncontent-LENGTH: 12 \r\n\r\nabc", 12),
            ("GET /io/ HTTP/1.1\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n\x01\x02", 0),
        ] {
            let Shape::Plain(head) = shape(request) else { panic!("{request:?}") };
            assert_eq!(head.body, body, "{request:?}");
            assert_eq!(head.length, request.find("\r\n\r\n").unwrap() + 4);
            assert_eq!(head.parts.uri.path(), "/io/");
            assert_eq!(head.parts.version, http::Version::HTTP_11);
        }
        let Shape::Plain(head) = shape("GET /io/ HTTP/1.1\r\nX-A: 1\r\nx-a:2\r\n\r\n") else { panic!() };
        assert_eq!(head.parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn everything_else_is_odd() {
        for request in [
            "PUT /io/ HTTP/1.1\r\n\r\n",
            "HEAD /io/ HTTP/1.1\r\n\r\n",
            "get /io/ HTTP/1.1\r\n\r\n",
            "GET /io/ HTTP/1.0\r\n\r\n",
            "GET /io HTTP/1.1\r\n\r\n",
            "GET http://a/io/ HTTP/1.1\r\n\r\n",
            "GET /io/#x HTTP/1.1\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "GET /io/ HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nConnection: upgrade, close\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nConnection:\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nA : b\r\n\r\n",
            "GET /io/ HTTP/1.1\r\nA: \0\r\n\r\n",
            "POST /io/ HTTP/1.1\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 101\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: \r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 00000000000000000000001\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
            "POST /io/ HTTP/1.1\r\nContent-Length: 1\r\nUpgrade: websocket\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\x16\x03\x01",
        ] {
            assert!(matches!(shape(request), Shape::Odd), "{request:?}");
        }
        let many = format!("GET /io/ HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11));
        assert!(matches!(shape(&many), Shape::Odd));
        for end in ["", "\r\n\r\n"] {
            let long = format!("GET /io/ HTTP/1.1\r\nA: {}{end}", "b".repeat(1000));
            assert!(matches!(shape(&long), Shape::Odd));
        }
    }

    #[test]
    fn an_end_is_found_wherever_it_was_cut() {
        let request = "GET /io/ HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 1..request.len() {
            let end = cut + 1;
            assert!(matches!(shape(&request[..cut]), Shape::Partial), "{cut}");
            assert_eq!(may_be_complete(&request.as_bytes()[..end], cut), end == request.len(), "{cut}");
            assert!(may_be_complete(request.as_bytes(), cut), "{cut}");
        }
        assert!(may_be_complete(b"GET /io/ HTTP/1.1\n\n", 18));
    }
}
