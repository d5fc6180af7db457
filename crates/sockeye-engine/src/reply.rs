//! An answer as bytes, where we are the HTTP server ourselves: what hyper would write, in one piece.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

use crate::Body;

/// The head of an answer. Whoever writes it says by `close` whether it is the last on its connection.
pub(crate) fn head(response: &Response<Body>, close: bool, out: &mut Vec<u8>) {
    let status = response.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("<none>").as_bytes());
    out.extend_from_slice(b"\r\n");
    let headers = response.headers();
    for (name, value) in headers {
        // How long it is, and where it ends, is not for hooks to say.
        if name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
            continue;
        }
        line(name.as_str(), value.as_bytes(), out);
    }
    if close && !closes(headers) {
        line("connection", b"close", out);
    }
    if !status.is_informational() && status != StatusCode::NO_CONTENT {
        line("content-length", decimal(response.body().bytes().len(), &mut [0; 20]), out);
    }
    if !headers.contains_key(header::DATE) {
        out.extend_from_slice(b"date: ");
        date(out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the answer says that it is the last.
pub(crate) fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|&byte| byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn decimal(mut number: usize, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

/// The date, made once a second and thread.
fn date(out: &mut Vec<u8>) {
    struct Made {
        text: String,
        until: SystemTime,
    }
    thread_local! {
        static MADE: RefCell<Made> =
            const { RefCell::new(Made { text: String::new(), until: SystemTime::UNIX_EPOCH }) };
    }
    MADE.with_borrow_mut(|made| {
        let now = SystemTime::now();
        // A clock that was set back would leave the date standing.
        if now >= made.until || made.until > now + Duration::from_secs(1) {
            made.text = httpdate::fmt_http_date(now);
            let past = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
            made.until = now + Duration::from_nanos(1_000_000_000 - u64::from(past));
        }
        out.extend_from_slice(made.text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response<Body>, close: bool) -> String {
        let mut out = Vec::new();
        head(response, close, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (before, date) = text.split_once("date: ").unwrap();
        assert!(httpdate::parse_http_date(date.trim_end()).is_ok(), "{date:?}");
        before.to_owned()
    }

    #[test]
    fn lengths_and_ends() {
        let mut response = Response::new(Body::new("0123456789ab"));
        response.headers_mut().insert("x-a", header::HeaderValue::from_static("1"));
        response.headers_mut().insert("content-length", header::HeaderValue::from_static("7"));
        response.headers_mut().insert("transfer-encoding", header::HeaderValue::from_static("chunked"));
        assert_eq!(text(&response, false), "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 12\r\n");
        *response.body_mut() = Body::empty();
        assert_eq!(
            text(&response, true),
            "HTTP/1.1 200 OK\r\nx-a: 1\r\nconnection: close\r\ncontent-length: 0\r\n"
        );
        response.headers_mut().insert("connection", header::HeaderValue::from_static("x, Close"));
        *response.status_mut() = StatusCode::NO_CONTENT;
        assert_eq!(text(&response, true), "HTTP/1.1 204 No Content\r\nx-a: 1\r\nconnection: x, Close\r\n");
    }
}
