//! What happens before there is a session: refusals, origins, limits, headers.
#![allow(missing_docs)]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye_engine::{
    Body, Cause, Config, Cookie, Cors, Engine, HttpCompression, Message, Origins, Peer, Reason, Transport,
};
use support::*;

const POLL: &str = "/socket.io/?EIO=4&transport=polling";
const WS: &str = "/socket.io/?EIO=4&transport=websocket";

async fn request(server: &Server, head: &str) -> Reply {
    let mut http = server.http().await;
    http.send(&format!("{head}\r\n\r\n")).await;
    http.reply().await
}

#[tokio::test]
async fn refusals_in_the_order_of_the_reference() {
    let setup = Setup::new().config(|config| {
        config.allow_eio3 = false;
        config.allow_request = Some(Arc::new(|handshake| {
            let allowed = handshake.query_value("no").is_none();
            Box::pin(async move { if allowed { Ok(()) } else { Err("not you".to_owned()) } })
        }));
    });
    let mut server = setup.start().await;
    for (method, query, status, code, message, cause) in [
        ("GET", "", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4&transport=", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4&transport=__proto__", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4&transport=constructor&sid=x", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4&transport=webtransport", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4&transport=polling&transport=x", 400, 0, "Transport unknown", Cause::TransportUnknown),
        ("GET", "EIO=4&transport=polling&sid=__proto__", 400, 1, "Session ID unknown", Cause::SessionUnknown),
        ("GET", "EIO=4&transport=polling&sid=%0d%0a%00", 400, 1, "Session ID unknown", Cause::SessionUnknown),
        ("PUT", "EIO=4&transport=polling&sid=x", 400, 1, "Session ID unknown", Cause::SessionUnknown),
        ("POST", "EIO=4&transport=polling", 400, 2, "Bad handshake method", Cause::BadMethod),
        ("OPTIONS", "EIO=4&transport=polling", 400, 2, "Bad handshake method", Cause::BadMethod),
        ("POST", "EIO=3&transport=websocket&no", 400, 2, "Bad handshake method", Cause::BadMethod),
        ("GET", "EIO=4&transport=websocket&no", 400, 3, "Bad request", Cause::TransportHandshake),
        ("GET", "EIO=3&transport=polling&no", 403, 4, "not you", Cause::NotAllowed),
        (
            "GET",
            "EIO=3&transport=polling",
            400,
            5,
            "Unsupported protocol version",
            Cause::ProtocolUnsupported,
        ),
        (
            "GET",
            "EIO=5&transport=polling",
            400,
            5,
            "Unsupported protocol version",
            Cause::ProtocolUnsupported,
        ),
        ("GET", "transport=polling", 400, 5, "Unsupported protocol version", Cause::ProtocolUnsupported),
        (
            "GET",
            "EIO=4&EIO=x&transport=polling",
            400,
            5,
            "Unsupported protocol version",
            Cause::ProtocolUnsupported,
        ),
    ] {
        let reply = request(
            &server,
            &format!("{method} /socket.io/?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: 0"),
        )
        .await;
        assert_eq!(reply.status, status, "{method} {query}");
        assert_eq!(reply.text(), format!(r#"{{"code":{code},"message":"{message}"}}"#), "{method} {query}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let Heard::Refused(refused) = server.heard().await else { panic!("not told of {query}") };
        assert_eq!((refused.code, refused.cause), (Some(code), cause), "{method} {query}");
    }
    // Forbidden is 403 on an upgrade as well.
    let reply = Ws::connect(server.addr, &format!("{WS}&no"), "").await.err().unwrap();
    assert_eq!((reply.status, reply.text()), (403, r#"{"code":4,"message":"not you"}"#));
    // The last of several wins.
    assert_eq!(
        server.get("/socket.io/?EIO=3&EIO=4&transport=x&transport=polling&sid=x&sid=").await.status,
        200
    );
    let rejected = server.engine.stats().rejected.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(rejected, 20);
}

#[tokio::test]
async fn the_path_is_matched_exactly() {
    let server = start().await;
    for (path, mine) in [
        ("/socket.io/", true),
        ("/socket.io", false),
        ("/socket.iofoo/", false),
        ("/socket.io/anything", false),
        ("/socket.io/../socket.io/", false),
        ("//socket.io/", false),
        ("/socket.io//", false),
        ("/socket.io/;x", false),
        ("/socket%2eio/", false),
        ("/Socket.io/", false),
        ("/", false),
    ] {
        let reply = server.get(&format!("{path}?EIO=4&transport=polling")).await;
        assert_eq!(reply.status, if mine { 200 } else { 404 }, "{path}");
    }
    let server = Setup::new().config(|config| config.add_trailing_slash = false).start().await;
    for (path, mine) in
        [("/socket.io", true), ("/socket.io/", true), ("/socket.iofoo", false), ("/socket.i", false)]
    {
        let reply = server.get(&format!("{path}?EIO=4&transport=polling")).await;
        assert_eq!(reply.status, if mine { 200 } else { 404 }, "{path}");
    }
    let server = Setup::new().config(|config| config.path = "/a/b/".into()).start().await;
    assert_eq!(server.get("/a/b/?EIO=4&transport=polling").await.status, 200);
    assert_eq!(server.get("/a/b?EIO=4&transport=polling").await.status, 404);
}

#[tokio::test]
async fn files_right_below_the_path() {
    let setup = Setup::new().config(|config| {
        config.files = Some(Arc::new(|name, _| {
            (name == "socket.io.js").then(|| http::Response::new(Body::new("bundle")))
        }));
    });
    let server = setup.start().await;
    assert_eq!(server.get("/socket.io/socket.io.js").await.text(), "bundle");
    for path in
        ["/socket.io/other.js", "/socket.io/a/socket.io.js", "/socket.io/../socket.io.js", "/socket.io"]
    {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get(POLL).await.status, 200);
}

#[tokio::test]
async fn transports_can_be_switched_off() {
    let server = Setup::new().config(|config| config.transports = vec![Transport::WebSocket]).start().await;
    assert_eq!(server.get(POLL).await.text(), r#"{"code":0,"message":"Transport unknown"}"#);
    server.still_serves().await;
    let server = Setup::new().config(|config| config.transports = vec![Transport::Polling]).start().await;
    assert!(server.get(POLL).await.text().contains(r#""upgrades":[]"#));
    assert_eq!(Ws::connect(server.addr, WS, "").await.err().unwrap().status, 400);
}

#[tokio::test]
async fn pages_of_other_sites() {
    // With no setting a page may connect to its own host only; with one, to where it is allowed.
    type Change = fn(&mut Config);
    let own: Change = |_| {};
    let listed: Change = |config| config.cors = Some(Cors::new(Origins::list(["https://good.example"])));
    let any: Change = |config| config.cors = Some(Cors::any());
    let separate: Change = |config| {
        config.cors = Some(Cors::any());
        config.origins = Some(Origins::matching(|origin| origin.ends_with(".good.example")));
    };
    for (change, origin, allowed) in [
        (own, "", true),
        (own, "http://localhost", true),
        // Behind a proxy that ends TLS the server cannot know the scheme, so it is not compared.
        (own, "https://localhost", true),
        (own, "http://localhost:3000", false),
        (own, "https://evil.example", false),
        (own, "null", false),
        (listed, "", true),
        (listed, "http://localhost", true),
        (listed, "https://good.example", true),
        (listed, "HTTPS://GOOD.EXAMPLE:443", true),
        (listed, "https://good.example.evil.com", false),
        (listed, "http://good.example", false),
        (listed, "null", false),
        (any, "https://evil.example", true),
        (any, "null", true),
        (separate, "https://a.good.example", true),
        (separate, "https://evil.example", false),
    ] {
        let server = Setup::new().config(change).start().await;
        let header = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let head = format!("GET {POLL} HTTP/1.1\r\nHost: localhost\r\n{header}");
        let reply = request(&server, head.trim_end()).await;
        let expected = if allowed { 200 } else { 403 };
        assert_eq!(reply.status, expected, "polling from {origin:?}");
        let status = match Ws::connect(server.addr, WS, &header).await {
            Ok(_) => 200,
            Err(reply) => reply.status,
        };
        assert_eq!(status, expected, "WebSocket from {origin:?}");
        // On a session that is there, too.
        let id = server.open_polling().await;
        let head = format!(
            "POST {POLL}&sid={id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n{header}\r\n4a"
        );
        let mut http = server.http().await;
        http.send(&head).await;
        assert_eq!(http.reply().await.status, expected, "POST from {origin:?}");
    }
}

#[tokio::test]
async fn two_origins_or_none_that_is_text() {
    let server = start().await;
    let reply =
        request(&server, &format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nOrigin: http://b"))
            .await;
    assert_eq!((reply.status, reply.text()), (400, r#"{"code":3,"message":"Bad request"}"#));
}

#[tokio::test]
async fn cors() {
    let setup = Setup::new().config(|config| {
        let mut cors = Cors::new(Origins::list(["https://good.example"])).credentials(true);
        cors.exposed_headers = Some("x-one".into());
        cors.max_age = Some(std::time::Duration::from_secs(60));
        config.cors = Some(cors);
    });
    let server = setup.start().await;
    let preflight = request(
        &server,
        &format!("OPTIONS {POLL} HTTP/1.1\r\nHost: a\r\nOrigin: https://good.example\r\nAccess-Control-Request-Headers: x-two"),
    )
    .await;
    assert_eq!((preflight.status, preflight.text()), (204, ""));
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://good.example"));
    assert_eq!(preflight.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET,HEAD,PUT,PATCH,POST,DELETE"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("x-two"));
    assert_eq!(preflight.header("access-control-max-age"), Some("60"));
    assert_eq!(preflight.all("vary"), ["origin", "access-control-request-headers"]);

    let origin = "Origin: https://good.example";
    // On answers, on refusals, and on the 101.
    for target in [POLL, "/socket.io/?EIO=4&transport=x"] {
        let reply = request(&server, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n{origin}")).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://good.example"), "{target}");
        assert_eq!(reply.header("access-control-expose-headers"), Some("x-one"), "{target}");
        assert!(reply.all("vary").contains(&"origin"), "{target}");
    }
    let ws = Ws::connect(server.addr, WS, &format!("{origin}\r\n")).await.unwrap();
    assert_eq!(ws.head.header("access-control-allow-origin"), Some("https://good.example"));
    let refused =
        request(&server, &format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);

    let server = Setup::new().config(|config| config.cors = Some(Cors::any())).start().await;
    let reply =
        request(&server, &format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nOrigin: https://x.example")).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let reply = request(&start().await, &format!("GET {POLL} HTTP/1.1\r\nHost: a")).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn contradictions_are_found_at_start() {
    struct Nobody;
    impl sockeye_engine::Application for Nobody {
        type Link = Nothing;
        fn open(&self, _: &sockeye_engine::Session, _: &Arc<sockeye_engine::Handshake>) -> Nothing {
            Nothing
        }
    }
    struct Nothing;
    impl sockeye_engine::Link for Nothing {
        fn received(&mut self, _: sockeye_engine::Incoming<'_>) -> sockeye_engine::Flow {
            sockeye_engine::Flow::Continue
        }
        fn closed(self, _: &Reason) {}
    }
    let changes: [fn(&mut Config); 6] = [
        |config| config.cors = Some(Cors::any().credentials(true)),
        |config| config.cors = Some(Cors::new(Origins::list(["not an origin"]))),
        |config| config.cookie = Some(Cookie::named("a;b")),
        |config| config.path = "relative".into(),
        |config| config.transports = Vec::new(),
        |config| config.ping_interval = std::time::Duration::ZERO,
    ];
    for change in changes {
        let mut config = Config::default();
        change(&mut config);
        assert!(Engine::new(config, Nobody).is_err());
    }
}

#[tokio::test]
async fn the_cookie_comes_with_a_polling_handshake_only() {
    let server = Setup::new().config(|config| config.cookie = Some(Cookie::named("route"))).start().await;
    let reply = server.get(POLL).await;
    let id = sid(&reply.text()[1..]);
    assert_eq!(
        reply.header("set-cookie"),
        Some(format!("route={id}; Path=/; HttpOnly; SameSite=Lax").as_str())
    );
    assert_eq!(server.post(&format!("{POLL}&sid={id}"), "4a").await.header("set-cookie"), None);
    assert_eq!(server.get(&format!("{POLL}&sid={id}")).await.header("set-cookie"), None);
    let ws = Ws::connect(server.addr, WS, "").await.unwrap();
    assert_eq!(ws.head.header("set-cookie"), None);
}

#[tokio::test]
async fn header_hooks() {
    let first = Arc::new(AtomicUsize::new(0));
    let counter = first.clone();
    let setup = Setup::new().config(move |config| {
        config.initial_headers = Some(Arc::new(move |headers, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            headers.append("set-cookie", "a=1".parse().unwrap());
            headers.append("set-cookie", "b=2".parse().unwrap());
        }));
        config.headers = Some(Arc::new(|headers, parts| {
            let method = parts.method.as_str().parse().unwrap();
            headers.insert("x-method", method);
        }));
    });
    let server = setup.start().await;
    let reply = server.get(POLL).await;
    assert_eq!(reply.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(reply.header("x-method"), Some("GET"));
    let id = sid(&reply.text()[1..]);
    let reply = server.post(&format!("{POLL}&sid={id}"), "4a").await;
    assert_eq!(reply.header("x-method"), Some("POST"));
    assert_eq!(reply.header("set-cookie"), None);
    let ws = Ws::connect(server.addr, WS, "").await.unwrap();
    assert_eq!(ws.head.all("set-cookie"), ["a=1", "b=2"]);
    let ws = Ws::connect(server.addr, &format!("{WS}&sid={id}"), "").await.unwrap();
    assert_eq!(ws.head.header("x-method"), Some("GET"));
    assert_eq!(first.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn ids_of_the_applications_own() {
    let setup = Setup::new().config(|config| {
        config.generate_id = Some(Arc::new(|handshake| {
            let id = handshake.query_value("id").map(|id| id.into_owned());
            Box::pin(async move { id.ok_or_else(|| "no id".to_owned()) })
        }));
    });
    let mut server = setup.start().await;
    assert_eq!(sid(&server.get(&format!("{POLL}&id=mine")).await.text()[1..]), "mine");
    let session = server.opened().await;
    assert_eq!(session.id(), "mine");
    assert!(!format!("{session:?}").contains("mine"), "the id is a secret");
    for (id, why) in
        [("&id=mine", "taken"), ("", "refused"), ("&id=", "empty"), ("&id=a%20b", "not visible ASCII")]
    {
        let reply = server.get(&format!("{POLL}{id}")).await;
        assert_eq!((reply.status, reply.text()), (400, r#"{"code":3,"message":"Bad request"}"#), "{why}");
        assert!(
            matches!(server.heard().await, Heard::Refused(refused) if refused.cause == Cause::IdGeneration)
        );
    }
    // The session whose id was asked for again is still the one that has it.
    assert_eq!(server.post(&format!("{POLL}&sid=mine"), "4hello").await.text(), "ok");
    assert_eq!(server.get(&format!("{POLL}&sid=mine")).await.text(), "4hello");
    let stats = server.engine.stats();
    assert_eq!((stats.sessions, stats.unsettled), (1, 1));
}

#[tokio::test]
async fn ids_are_random() {
    let server = start().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let id = server.open_polling().await;
        assert!(
            id.len() == 20 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{id}"
        );
        assert!(seen.insert(id));
    }
}

#[tokio::test]
async fn limits() {
    let from = |last: u8| Peer::new(([203, 0, 113, last], 1).into());
    let handshake = |engine: Engine<App>, peer: Peer| async move {
        let request = http::Request::get(POLL).body(Body::empty()).unwrap();
        engine.handle(request, peer).await
    };
    let server = Setup::new()
        .config(|config| {
            config.max_unsettled_per_ip = 2;
            config.max_unsettled = 5;
            config.max_sessions_per_ip = Some(3);
            config.max_sessions = Some(6);
        })
        .engine();
    let mut server = server;
    let engine = server.engine.clone();
    for status in [200, 200, 503] {
        let response = handshake(engine.clone(), from(1)).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
    }
    let (one, two) = (server.opened().await, server.opened().await);
    assert!(matches!(server.heard().await, Heard::Refused(r) if r.cause == Cause::UnsettledForAddress));
    one.settle();
    one.settle();
    two.settle();
    assert_eq!(engine.stats().unsettled, 0);
    assert_eq!(handshake(engine.clone(), from(1)).await.status(), 200);
    server.opened().await.settle();
    assert_eq!(handshake(engine.clone(), from(1)).await.status(), 503);
    assert!(matches!(server.heard().await, Heard::Refused(r) if r.cause == Cause::FullForAddress));
    // Other addresses are not concerned, until there are too many in all.
    for (last, status) in [(2, 200), (3, 200), (4, 200), (5, 503)] {
        assert_eq!(handshake(engine.clone(), from(last)).await.status(), status, "{last}");
    }
    for _ in 0..3 {
        server.opened().await;
    }
    assert!(matches!(server.heard().await, Heard::Refused(r) if r.cause == Cause::Full));
    one.abort(Reason::ForcedClose);
    two.abort(Reason::ForcedClose);
    server.closed().await;
    server.closed().await;
    assert_eq!(engine.sessions(), 4);
    assert_eq!(handshake(engine.clone(), from(1)).await.status(), 200);
    server.opened().await;
    assert_eq!(handshake(engine.clone(), from(6)).await.status(), 200);
    server.opened().await;
    assert_eq!(engine.stats().unsettled, 5);
    engine.drain(std::time::Duration::ZERO).await;
    server.is_empty().await;
}

#[tokio::test]
async fn a_handshake_flood_from_one_address() {
    let server = Setup::new()
        .config(|config| {
            config.handshake_rate = Some((1, 3));
            config.client_ip =
                Some(Arc::new(|parts, _| parts.headers.get("x-real-ip")?.to_str().ok()?.parse().ok()));
        })
        .start()
        .await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(
            request(&server, &format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nX-Real-IP: 10.0.0.1")).await.status,
        );
    }
    assert_eq!(answers, [200, 200, 200, 503, 503, 503]);
    let other = request(&server, &format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nX-Real-IP: 10.0.0.2")).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn poll_answers_are_compressed() {
    let mut server = Setup::new()
        .config(|config| config.http_compression = Some(HttpCompression { threshold: 100, level: 6 }))
        .start()
        .await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let long = "x".repeat(500);
    let get = |accept: &'static str| {
        let head = format!("GET {POLL}&sid={id} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}");
        let server = &server;
        async move { request(server, &head).await }
    };
    for (accept, message, encoding) in [
        ("gzip, deflate", Message::text(&long), Some("gzip")),
        ("deflate", Message::text(&long), Some("deflate")),
        ("gzip;q=0", Message::text(&long), None),
        ("gzip", Message::text("short"), None),
        ("gzip", Message::text(&long).with_compress(false), None),
    ] {
        session.send([&message]).unwrap();
        let reply = get(accept).await;
        assert_eq!(reply.header("content-encoding"), encoding, "{accept}");
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
        let mut body = Vec::new();
        match encoding {
            Some("gzip") => {
                flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut body).map(drop).unwrap()
            }
            Some(_) => {
                flate2::read::ZlibDecoder::new(&reply.body[..]).read_to_end(&mut body).map(drop).unwrap()
            }
            None => body = reply.body,
        }
        assert_eq!(body, message.packet(), "{accept}");
    }
}

#[tokio::test]
async fn heads_have_limits() {
    let server = start().await;
    let many = "X-A: b\r\n".repeat(101);
    let reply = request(&server, format!("GET {POLL} HTTP/1.1\r\nHost: a\r\n{many}").trim_end()).await;
    assert_eq!(reply.status, 431);
    let long = "x".repeat(17 * 1024);
    let reply = request(&server, &format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nX-Long: {long}")).await;
    assert_eq!(reply.status, 431);
    for broken in
        ["GET / HTTP/1.1\r\nA : b", "GET / HTTP/1.1\r\nA: b\0", "GET / HTTP/1.1\r\nHost: a\r\n folded: b"]
    {
        assert_eq!(request(&server, broken).await.status, 400, "{broken:?}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn hosts() {
    let server = start().await;
    let websocket = UPGRADE.replace("Host: localhost\r\n", "");
    for (head, status) in [
        (format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nHost: b"), 400),
        (format!("GET {WS} HTTP/1.1\r\nHost: a\r\n{UPGRADE}").trim_end().to_owned(), 400),
        (format!("GET {WS} HTTP/1.1\r\n{websocket}").trim_end().to_owned(), 400),
        (format!("GET {WS} HTTP/1.0\r\n{UPGRADE}").trim_end().to_owned(), 400),
    ] {
        assert_eq!(request(&server, &head).await.status, status, "{head}");
    }
    server.still_serves().await;
}
