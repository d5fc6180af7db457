//! The upgrade, from both ends (threats.md A4, A8–A10).

use sockeye_proto::websocket::deflate::Options;
use sockeye_proto::websocket::handshake::{
    Refusal, ResponseFault, accept_key, check_request, check_response, client_key,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

type Headers<'a> = Vec<(&'a str, &'a [u8])>;

fn request<'a>() -> Headers<'a> {
    vec![
        ("Host", b"localhost"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", KEY.as_bytes()),
    ]
}

/// The request with one header replaced by any number of them.
fn with<'a>(name: &'a str, values: &[&'a [u8]]) -> Headers<'a> {
    let mut headers = request();
    headers.retain(|(other, _)| *other != name);
    headers.extend(values.iter().map(|value| (name, *value)));
    headers
}

#[test]
fn good_requests() {
    let good = check_request("GET", (1, 1), request()).expect("good");
    assert_eq!(good.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(good.protocols().is_empty());
    assert_eq!(good.deflate(&Options::default()), None);

    let lower =
        request().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect::<Vec<_>>();
    assert!(check_request("GET", (1, 1), lower.iter().map(|(name, value)| (&**name, *value))).is_ok());
    for headers in [
        with("Upgrade", &[b"WebSocket"]),
        with("Upgrade", &[b"h2c, websocket"]),
        with("Connection", &[b"keep-alive, Upgrade"]),
        with("Connection", &[b"keep-alive", b"upgrade"]),
        with("Sec-WebSocket-Version", &[b"8"]),
        with("Sec-WebSocket-Version", &[b" 13 "]),
    ] {
        assert!(check_request("GET", (1, 1), headers.clone()).is_ok(), "{headers:?}");
    }
}

#[test]
fn refusals() {
    use Refusal::*;
    assert_eq!(check_request("POST", (1, 1), request()).unwrap_err(), Method);
    assert_eq!(check_request("get", (1, 1), request()).unwrap_err(), Method);
    assert_eq!(check_request("GET", (1, 0), request()).unwrap_err(), HttpVersion);
    for (name, values, refusal) in [
        ("Upgrade", &[][..], Upgrade),
        ("Upgrade", &[&b"h2c"[..]][..], Upgrade),
        ("Upgrade", &[b"websockets"], Upgrade),
        ("Connection", &[], Connection),
        ("Connection", &[b"close"], Connection),
        ("Sec-WebSocket-Version", &[], Version),
        ("Sec-WebSocket-Version", &[b""], Version),
        ("Sec-WebSocket-Version", &[b"7"], Version),
        ("Sec-WebSocket-Version", &[b"14"], Version),
        ("Sec-WebSocket-Version", &[b"013"], Version),
        ("Sec-WebSocket-Version", &[b"13", b"13"], Version),
        ("Sec-WebSocket-Key", &[], Key),
        ("Sec-WebSocket-Key", &[b""], Key),
        ("Sec-WebSocket-Key", &[b"dGhlIHNhbXBsZSBub25j"], Key),
        ("Sec-WebSocket-Key", &[b"dGhlIHNhbXBsZSBub25jZQ="], Key),
        ("Sec-WebSocket-Key", &[b"dGhlIHNhbXBsZSBub25jZQ==="], Key),
        ("Sec-WebSocket-Key", &[b"dGhlIHNhbXBsZSBub25jZQAA"], Key),
        ("Sec-WebSocket-Key", &[b"dGhlIHNhbXBsZSBub25jZ*=="], Key),
        ("Sec-WebSocket-Key", &[b"dGhlIHNhbXBsZSBub25j\xC3\xA9=="], Key),
        ("Sec-WebSocket-Key", &[b"\xFF\xFE"], Key),
        ("Sec-WebSocket-Key", &[KEY.as_bytes(), KEY.as_bytes()], Key),
    ] {
        let refused = check_request("GET", (1, 1), with(name, values)).unwrap_err();
        assert_eq!(refused, refusal, "{name}: {values:?}");
    }
    for (refusal, status, header) in [
        (Method, 405, Some(("allow", "GET"))),
        (HttpVersion, 400, None),
        (Upgrade, 400, None),
        (Connection, 400, None),
        (Key, 400, None),
        (Version, 426, Some(("sec-websocket-version", "13"))),
    ] {
        assert_eq!((refusal.status(), refusal.header()), (status, header));
        assert_eq!(refusal.text(), refusal.to_string());
    }
}

#[test]
fn hostile_protocols_and_extensions_are_ignored() {
    let long = vec![b' '; 1_000_000];
    for value in [&b"\xFF\xFE"[..], b"gr\xC3\xBC\xC3\x9Fe", b"\"unterminated", b",,,;;;===", &long] {
        let headers = with("Sec-WebSocket-Protocol", &[value]);
        assert!(check_request("GET", (1, 1), headers).expect("good").protocols().is_empty(), "{value:?}");
        let headers = with("Sec-WebSocket-Extensions", &[value]);
        assert_eq!(check_request("GET", (1, 1), headers).expect("good").deflate(&Options::default()), None);
    }
    let headers = with("Sec-WebSocket-Protocol", &[b"chat, b@d, __proto__", b"superchat"]);
    let good = check_request("GET", (1, 1), headers).expect("good");
    assert_eq!(good.protocols(), ["chat", "__proto__", "superchat"]);
    let headers = with("Sec-WebSocket-Extensions", &[b"\xFF", b"permessage-deflate; client_max_window_bits"]);
    let good = check_request("GET", (1, 1), headers).expect("good");
    assert!(good.deflate(&Options::default()).is_some());
}

fn response<'a>(accept: &'a str) -> Headers<'a> {
    vec![
        ("upgrade", b"websocket"),
        ("connection", b"Upgrade"),
        ("sec-websocket-accept", accept.as_bytes()),
        ("x-powered-by", b"\xFF\xFF"),
    ]
}

#[test]
fn the_clients_side() {
    let key = client_key(*b"the sample nonce");
    assert_eq!(key, KEY);
    let accept = accept_key(&key);
    let check = |status, extra: &[(&'static str, &'static [u8])]| {
        let mut headers = response(&accept);
        for (name, value) in extra {
            headers.retain(|(other, _)| other != name || name.starts_with("sec-websocket-e"));
            headers.push((name, value));
        }
        check_response(status, headers, KEY, &["chat"], Some(&Options::default()))
            .map(|established| (established.protocol.map(str::to_owned), established.deflate.is_some()))
    };
    assert_eq!(check(101, &[]), Ok((None, false)));
    assert_eq!(check(101, &[("sec-websocket-protocol", b"chat")]), Ok((Some("chat".into()), false)));
    let deflate = &b"permessage-deflate; server_no_context_takeover"[..];
    assert_eq!(check(101, &[("sec-websocket-extensions", deflate)]), Ok((None, true)));

    assert_eq!(check(200, &[]), Err(ResponseFault::Status(200)));
    assert_eq!(check(101, &[("upgrade", b"h2c")]), Err(ResponseFault::Upgrade));
    assert_eq!(check(101, &[("connection", b"close")]), Err(ResponseFault::Upgrade));
    assert_eq!(
        check(101, &[("sec-websocket-accept", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=")]),
        Err(ResponseFault::Accept)
    );
    assert_eq!(check(101, &[("sec-websocket-protocol", b"other")]), Err(ResponseFault::Protocol));
    assert_eq!(check(101, &[("sec-websocket-extensions", b"foo")]), Err(ResponseFault::Extension));
    let twice = [("sec-websocket-extensions", deflate); 2];
    assert_eq!(check(101, &twice), Err(ResponseFault::Extension));
}
