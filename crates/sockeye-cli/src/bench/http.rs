//! Answers to requests of long-polling, as they come out of a keep-alive connection.

use std::borrow::Cow;

/// One whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) body: Cow<'a, [u8]>,
    /// How many bytes it was, head and body.
    pub(super) taken: usize,
    /// The server will hang up after it.
    pub(super) closes: bool,
}

/// The answer at the beginning of `bytes`; `None` while it is not whole.
pub(super) fn response(bytes: &[u8]) -> Result<Option<Response<'_>>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let end = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) if bytes.len() < 64 << 10 => return Ok(None),
        _ => return Err("not HTTP"),
    };
    let (mut length, mut chunked, mut closes) = (None, false, false);
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            length = Some(text.trim().parse::<usize>().map_err(|_| "a Content-Length that is no number")?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = header.value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let status = parsed.code.unwrap_or_default();
    let rest = &bytes[end..];
    let (body, length) = match length {
        _ if chunked => match unchunked(rest)? {
            Some((body, length)) => (Cow::Owned(body), length),
            None => return Ok(None),
        },
        Some(length) if length > LONGEST => return Err("an answer of more than 64 MiB"),
        Some(length) => match rest.get(..length) {
            Some(body) => (Cow::Borrowed(body), length),
            None => return Ok(None),
        },
        None => return Err("an answer without Content-Length"),
    };
    Ok(Some(Response { status, body, taken: end + length, closes }))
}

const LONGEST: usize = 64 << 20;

/// A body in chunks (RFC 9112 §7.1), put together; and how long it was on the wire. Trailers are not expected.
fn unchunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete((head, size))) => {
                let size = usize::try_from(size).ok().filter(|size| *size <= LONGEST);
                let size = size.ok_or("an answer of more than 64 MiB")?;
                let Some(chunk) = bytes.get(at + head..at + head + size + 2) else { return Ok(None) };
                at += head + size + 2;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return Ok(Some((body, at)));
                }
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("chunks that are none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_everywhere(bytes: &str, body: &str, closes: bool) {
        for end in 0..bytes.len() {
            assert_eq!(response(&bytes.as_bytes()[..end]), Ok(None), "cut at {end}");
        }
        let whole = Response { status: 200, body: body.as_bytes().into(), taken: bytes.len(), closes };
        let more = format!("{bytes}HTTP/1.1 200");
        assert_eq!(response(more.as_bytes()), Ok(Some(whole)));
    }

    #[test]
    fn a_counted_body() {
        cut_everywhere("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n43[1]", "43[1]", false);
    }

    #[test]
    fn a_body_in_chunks() {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n2\r\n43\r\n3\r\n[1]\r\n0\r\n\r\n";
        cut_everywhere(answer, "43[1]", true);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(response(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(response(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
