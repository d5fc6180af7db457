//! The query of a request, read as a browser's `URLSearchParams` would.
//!
//! Linear in its length, and holding no more than the text itself; the length is bounded by whoever bounds the head
//! of the request.

use std::borrow::Cow;

use super::Protocol;

/// The keys that mean something to Engine.IO. A repeated key counts with its last value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// `transport`, as it was given. `None` if it was not.
    pub transport: Option<Cow<'a, str>>,
    /// `EIO`: exactly `4` is revision 4; anything else, and nothing, is revision 3.
    pub protocol: Protocol,
    /// `EIO` as it was given, for error contexts.
    pub eio: Option<Cow<'a, str>>,
    /// `sid`. An empty one counts as none.
    pub sid: Option<Cow<'a, str>>,
    /// `b64`: the client cannot take binary. Any value but the empty one says so.
    pub b64: bool,
    /// `j`: the client wants JSONP, even with an empty value. See [`jsonp`](super::jsonp).
    pub j: Option<Cow<'a, str>>,
    /// `t`, the cache buster. Its shape betrays the oldest clients.
    pub t: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads what stands behind the `?` (nothing, if there was none).
    pub fn parse(raw: &'a str) -> Query<'a> {
        let mut query = Query {
            transport: None,
            protocol: Protocol::V3,
            eio: None,
            sid: None,
            b64: false,
            j: None,
            t: None,
        };
        for (key, value) in pairs(raw) {
            match &*key {
                "transport" => query.transport = Some(value),
                "EIO" => query.eio = Some(value),
                "sid" => query.sid = Some(value).filter(|sid| !sid.is_empty()),
                "b64" => query.b64 = !value.is_empty(),
                "j" => query.j = Some(value),
                "t" => query.t = Some(value),
                _ => {}
            }
        }
        if query.eio.as_deref() == Some("4") {
            query.protocol = Protocol::V4;
        }
        query
    }

    /// Whether `t` has the form `<13 digits>-<number>` that only Socket.IO 1.0 to 1.3 sends.
    pub fn has_oldest_timestamp(&self) -> bool {
        let Some((time, count)) = self.t.as_deref().and_then(|t| t.split_once('-')) else { return false };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        time.len() == 13 && digits(time) && digits(count)
    }
}

/// All pairs of a query, or of a form body, in order. Keys and values are decoded: `+` is a space, `%41` is `A`,
/// a `%` that is no escape is itself, and what is not UTF-8 becomes U+FFFD.
pub fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    Cow::Owned(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
