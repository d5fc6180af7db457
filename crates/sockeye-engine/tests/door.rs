//! Our own door against hyper's: the same bytes get the same answers, whichever of the two answers them.
#![allow(missing_docs)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sockeye_engine::{Cors, Engine, Message, Origins, Reason, ServeOptions, serve};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

/// Two servers with the same settings, one behind each door. Whoever sends nothing is cut soon.
struct Twins {
    ours: Server,
    hypers: Server,
}

impl Twins {
    async fn start() -> Self {
        let setup = || {
            Setup::new().config(|config| {
                config.cors = Some(Cors::new(Origins::Any));
                config.upload_timeout = Duration::from_millis(300);
                config.max_payload = 2_000;
            })
        };
        let (mut ours, mut hypers) = (setup().engine(), setup().engine());
        let mut options = ServeOptions::default();
        options.head_timeout = Duration::from_millis(400);
        let (engine, settings) = (ours.engine.clone(), options.clone());
        let listener = listen(&mut ours.addr).await;
        tokio::spawn(async move { engine.serve(listener, settings, other, std::future::pending()).await });
        let engine = hypers.engine.clone();
        let service = move |request: http::Request<_>, peer| {
            let engine: Engine<App> = engine.clone();
            async move {
                match engine.wants(request.uri().path()) {
                    true => engine.handle(request, peer).await,
                    false => other(request, peer).await,
                }
            }
        };
        let listener = listen(&mut hypers.addr).await;
        tokio::spawn(serve(listener, options, service, std::future::pending()));
        Twins { ours, hypers }
    }

    /// Says the same to both, `SID` being a session of each, and checks that they answer the same.
    async fn check(&self, request: &[u8]) -> Vec<Said> {
        let (ours, hypers) = tokio::join!(ask(&self.ours, request), ask(&self.hypers, request));
        assert_eq!(ours, hypers, "asked: {:?}", String::from_utf8_lossy(request));
        ours
    }
}

async fn listen(addr: &mut SocketAddr) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    *addr = listener.local_addr().unwrap();
    listener
}

/// What is served beside the engine: whatever was asked for.
async fn other(
    request: http::Request<hyper::body::Incoming>,
    _: sockeye_engine::Peer,
) -> http::Response<sockeye_engine::Body> {
    let text = format!("{} {}", request.method(), request.uri().path());
    http::Response::new(sockeye_engine::Body::new(text))
}

/// Status, headers and body. Without the date, and without `connection`: hyper does not always say that it ends one, but
/// both have to, or this waits for ever.
type Said = (u16, Vec<(String, String)>, String);

/// All that is answered to these bytes until the server ends the connection.
async fn ask(server: &Server, request: &[u8]) -> Vec<Said> {
    let id = server.open_polling().await;
    let request = replace(request, b"SID", id.as_bytes());
    let mut http = server.http().await;
    // A server that has heard enough may be gone before all is said.
    let _ = http.stream.write_all(&request).await;
    let mut said = Vec::new();
    while let Some(reply) = http.try_reply().await {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let text = if text.starts_with("0{") { "an open packet".to_owned() } else { text };
        let mut headers: Vec<_> =
            reply.headers.into_iter().filter(|(name, _)| name != "date" && name != "connection").collect();
        headers.sort();
        said.push((reply.status, headers, text.replace(&id, "SID")));
    }
    said
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Requests as they come, plain and odd.
fn requests() -> Vec<String> {
    let target = format!("{POLL}&sid=SID");
    let post = |lines: &str, body: &str| format!("POST {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
    let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
    let echoed = format!("{}GET {target} HTTP/1.1\r\nHost: a\r\n\r\n", post(&length("4hi"), "4hi"));
    vec![
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        format!("GET {POLL} HTTP/1.0\r\nHost: a\r\n\r\n"),
        format!("HEAD {POLL} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("OPTIONS {POLL} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"),
        format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"),
        format!("GET {POLL}&sid=nobody HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
        format!("GET {POLL} HTTP/1.1\nHost: a\n\n"),
        format!("\r\n\r\nGET {POLL} HTTP/1.1\r\nHost: a\r\n\r\n"),
        "GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET http://a/socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        echoed.clone(),
        format!("{echoed}GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n{echoed}"),
        post(&length("4hi"), "4hiGET / HTTP/1.1\r\n\r\n"),
        post("Content-Length: 3\r\nContent-Length: 3\r\n", "4hi"),
        post("Content-Length: 3\r\nContent-Length: 4\r\n", "4hi"),
        post("Content-Length: 3, 3\r\n", "4hi"),
        post("Content-Length: +3\r\n", "4hi"),
        post("Content-Length: 0\r\n", ""),
        post("Content-Length: 99999999999999999999\r\n", "4hi"),
        post("Transfer-Encoding: chunked\r\n", "3\r\n4hi\r\n0\r\n\r\n"),
        post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "3\r\n4hi\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n", "3\r\n4hi\r\n0\r\n\r\n"),
        post("Content-Length: 3\r\nExpect: 100-continue\r\n", "4hi"),
        post("Content-Length: 3\r\nContent-Encoding: gzip\r\n", "4hi"),
        post("Content-Length: 3\r\nContent-Type: application/octet-stream\r\n", "4hi"),
        post(&length(&"4".repeat(2_001)), &"4".repeat(2_001)),
        post("Content-Length: 10\r\n", "4hi"),
        post("", "4hi"),
        post("Content-Length : 3\r\n", "4hi"),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(99)),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(100)),
        format!("GET {POLL} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(20_000)),
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost".to_owned(),
    ]
}

#[tokio::test]
async fn odd_requests_get_hypers_answers() {
    let twins = Twins::start().await;
    let twins = &twins;
    for request in &requests() {
        let said = twins.check(request.as_bytes()).await;
        println!("{:?}: {:?}", request.lines().next(), said.iter().map(|one| one.0).collect::<Vec<_>>());
    }
    twins.ours.still_serves().await;
}

/// The same for whatever comes of requests that were cut, mixed and scratched.
#[tokio::test]
async fn broken_requests_get_hypers_answers() {
    let twins = std::sync::Arc::new(Twins::start().await);
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just(" ".to_owned()),
        Just("\t".to_owned()),
        Just("\0".to_owned()),
        Just(":".to_owned()),
        Just("0".to_owned()),
        Just(",".to_owned()),
        Just("Content-Length: 1\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Connection: close\r\n".to_owned()),
        Just("é".to_owned()),
        Just("GET / HTTP/1.1\r\n\r\n".to_owned()),
    ];
    let change = (any::<prop::sample::Index>(), 0..4_usize, piece);
    let strategy = (prop::sample::select(requests()), prop::collection::vec(change, 1..4)).prop_map(
        |(request, changes)| {
            let mut bytes = request.into_bytes();
            for (at, cut, piece) in changes {
                let at = at.index(bytes.len() + 1);
                let end = (at + cut).min(bytes.len());
                bytes.splice(at..end, piece.bytes());
            }
            bytes
        },
    );
    let mut runner = TestRunner::deterministic();
    for _ in 0..6 {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..60 {
            let request = strategy.new_tree(&mut runner).unwrap().current();
            let twins = twins.clone();
            asking.spawn(async move { twins.check(&request).await });
        }
        while let Some(asked) = asking.join_next().await {
            asked.unwrap();
        }
    }
    twins.ours.still_serves().await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let target = format!("{POLL}&sid={id}");
    let get = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let post = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n4");
    let mut http = server.http().await;
    http.send(&format!("{post}a{get}{post}b{get}{get}{post}c{get}")).await;
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(http.reply().await.text().to_owned());
    }
    assert_eq!(said, ["ok", "4a", "ok", "4b"]);
    // The next poll waits, and the POST behind it waits for the poll.
    session.send([&Message::text("from outside")]).unwrap();
    for text in ["4from outside", "ok", "4c"] {
        assert_eq!(http.reply().await.text(), text);
    }
}

#[tokio::test]
async fn requests_in_pieces() {
    let server = start().await;
    let id = server.open_polling().await;
    let target = format!("{POLL}&sid={id}");
    let mut http = server.http().await;
    http.stream.set_nodelay(true).unwrap();
    let request = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n4hello");
    for byte in request.bytes() {
        http.stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(http.reply().await.text(), "ok");
    assert_eq!(http.get(&target).await.text(), "4hello");
    // More than is read in one go, on the same connection.
    let long = format!("4{}", "x".repeat(900_000));
    assert_eq!(http.post(&target, &long).await.text(), "ok");
    assert_eq!(http.get(&target).await.text(), long);
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_the_session() {
    let mut server = start().await;
    for sent in ["", "4h"] {
        let id = server.open_polling().await;
        server.opened().await;
        let mut http = server.http().await;
        http.send(&format!("POST {POLL}&sid={id} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n{sent}"))
            .await;
        drop(http);
        assert!(matches!(server.closed().await, Reason::TransportError(_)));
    }
    server.is_empty().await;
}

#[tokio::test]
async fn a_poll_whose_client_leaves_ends_the_session() {
    let mut server = start().await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let mut http = server.http().await;
    http.send(&format!("GET {POLL}&sid={id} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    drop(http);
    server.closed().await;
    server.is_empty().await;
}

/// A6: what comes behind the head is the WebSocket's.
#[tokio::test]
async fn a_frame_behind_the_head_is_heard() {
    let server = start().await;
    let early = [frame(0x81, b"4one"), frame(0x81, b"4two")].concat();
    for cut in [early.len(), 3] {
        let stream = TcpStream::connect(server.addr).await.unwrap();
        let target = "/socket.io/?EIO=4&transport=websocket";
        let mut ws = Ws::over(stream, target, "", &early[..cut]).await.unwrap();
        ws.raw(&early[cut..]).await;
        assert!(ws.text().await.starts_with("0{"));
        assert_eq!((ws.text().await, ws.text().await), ("4one".to_owned(), "4two".to_owned()));
    }
}

#[tokio::test]
async fn an_application_that_panics_says_hello_and_goodbye() {
    let mut server = Setup::new().on_open(|_| panic!("on purpose")).start().await;
    let mut ws = server.ws().await;
    assert_eq!(ws.close_code().await, Some(1011));
    drop(ws);
    server.heard().await;
    server.is_empty().await;
}

#[tokio::test]
async fn stopping_answers_what_has_begun() {
    let mut server = Setup::new().engine();
    let listener = listen(&mut server.addr).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let engine = server.engine.clone();
    let serving = tokio::spawn(async move {
        engine.serve(listener, ServeOptions::default(), nothing, async move { drop(stopped.await) }).await;
    });
    let mut fresh = server.http().await;
    let mut idle = server.http().await;
    idle.get(POLL).await;
    let mut begun = server.http().await;
    begun.send(&format!("GET {POLL} HTTP/1.1\r\nHo")).await;
    // It has been read when a later one on the same thread is answered.
    server.open_polling().await;
    stop.send(()).unwrap();
    assert!(fresh.ends().await && idle.ends().await);
    begun.send("st: a\r\n\r\n").await;
    let reply = begun.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(begun.ends().await);
    serving.await.unwrap();
}

/// Many threads, requests that enter sessions and sessions that send on their own: nothing is lost, nobody waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_are_entered_by_one_at_a_time() {
    let server = start().await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let id = server.open_polling().await;
        let session = server.engine.session(&id).unwrap();
        let target = format!("{POLL}&sid={id}");
        let (mut get, mut post) = (server.http().await, server.http().await);
        let (poll, count) = (target.clone(), 200);
        clients.spawn(async move {
            for n in 0..count {
                assert_eq!(post.post(&target, format!("4{n}")).await.text(), "ok");
            }
        });
        clients.spawn(async move {
            for n in 0..count {
                while session.send([&Message::text(&format!("own {n}"))]).is_err() {}
                tokio::task::yield_now().await;
            }
        });
        clients.spawn(async move {
            let (mut echoed, mut own) = (0, 0);
            while (echoed, own) != (count, count) {
                for packet in get.get(&poll).await.text().split('\x1e') {
                    match packet.strip_prefix("4own ") {
                        Some(n) => {
                            assert_eq!(n, own.to_string());
                            own += 1;
                        }
                        None => {
                            assert_eq!(packet, format!("4{echoed}"));
                            echoed += 1;
                        }
                    }
                }
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

/// Bytes that are nobody's request end the connection, whatever they are.
#[tokio::test]
async fn noise() {
    let server = start().await;
    for noise in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\0\0\0\0", b"\r\n\r\n\r\nhello\r\n\r\n", &[0xff; 40_000]]
    {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let _ = stream.write_all(noise).await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{said:?}");
    }
    server.still_serves().await;
}
