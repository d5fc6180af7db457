//! The accept loop, other hosts, and other kinds of streams.
#![allow(missing_docs)]

mod support;

use std::time::Duration;

use sockeye_engine::{Body, Message, Peer, Reason, ServeOptions, serve};
use support::*;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

const WS: &str = "/socket.io/?EIO=4&transport=websocket";

/// Our two doors: plain requests answered by ourselves, or all by hyper.
#[derive(Clone, Copy)]
enum Door {
    Ours,
    Hypers,
}

const DOORS: [Door; 2] = [Door::Ours, Door::Hypers];

/// Serves an engine as `options` say; the sender stops it.
async fn started(
    door: Door,
    setup: Setup,
    change: impl FnOnce(&mut ServeOptions),
) -> (Server, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let mut server = setup.engine();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server.addr = listener.local_addr().unwrap();
    let mut options = ServeOptions::default();
    change(&mut options);
    let (stop, stopped) = oneshot::channel::<()>();
    let engine = server.engine.clone();
    let stop_here = async move { drop(stopped.await) };
    let serving = match door {
        Door::Ours => tokio::spawn(async move { engine.serve(listener, options, nothing, stop_here).await }),
        Door::Hypers => {
            let service = move |request, peer| {
                let engine = engine.clone();
                async move { engine.handle(request, peer).await }
            };
            tokio::spawn(serve(listener, options, service, stop_here))
        }
    };
    (server, stop, serving)
}

#[tokio::test]
async fn stopping_lets_requests_finish() {
    for door in DOORS {
        stopping_lets_requests_finish_at(door).await;
    }
}

async fn stopping_lets_requests_finish_at(door: Door) {
    let (mut server, stop, serving) = started(door, Setup::new(), |_| {}).await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    let mut idle = server.http().await;
    idle.get("/").await;
    let mut waiting = server.http().await;
    waiting
        .send(&format!("GET /socket.io/?EIO=4&transport=polling&sid={id} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    while !session.writable() {
        tokio::task::yield_now().await;
    }
    let mut ws = server.ws().await;
    stop.send(()).unwrap();
    assert!(idle.ends().await, "idle connections end at once");
    assert!(!serving.is_finished());
    server.engine.drain(Duration::from_millis(200)).await;
    assert_eq!(waiting.reply().await.text(), "1");
    assert_eq!(ws.close_code().await, Some(1001));
    serving.await.unwrap();
    assert!(TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    for door in DOORS {
        stopping_does_not_wait_for_ever_at(door).await;
    }
}

async fn stopping_does_not_wait_for_ever_at(door: Door) {
    let (server, stop, serving) =
        started(door, Setup::new(), |options| options.grace = Duration::from_millis(50)).await;
    let id = server.open_polling().await;
    let mut waiting = server.http().await;
    waiting
        .send(&format!("GET /socket.io/?EIO=4&transport=polling&sid={id} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(waiting.ends().await);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    for door in DOORS {
        a_head_that_does_not_come_is_not_waited_for_at(door).await;
    }
}

async fn a_head_that_does_not_come_is_not_waited_for_at(door: Door) {
    let (server, _stop, _) =
        started(door, Setup::new(), |options| options.head_timeout = Duration::from_millis(100)).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut http = server.http().await;
        http.send("GET /socket.io/ HTTP/1.1\r\nX-Slow").await;
        slow.push(http);
    }
    server.still_serves().await;
    for mut http in slow {
        assert!(http.ends().await);
    }
}

#[tokio::test]
async fn connections_have_a_bound() {
    for door in DOORS {
        connections_have_a_bound_at(door).await;
    }
}

async fn connections_have_a_bound_at(door: Door) {
    let (server, _stop, _) = started(door, Setup::new(), |options| options.max_connections = Some(2)).await;
    let mut first = server.http().await;
    assert_eq!(first.get("/").await.status, 404);
    let mut second = server.http().await;
    assert_eq!(second.get("/").await.status, 404);
    let mut third = server.http().await;
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The third waits in the kernel until one of the others goes.
    assert!(tokio::time::timeout(Duration::from_millis(100), third.reply()).await.is_err());
    drop(first);
    assert_eq!(third.reply().await.status, 404);
    drop(second);
    // A WebSocket is none of them any more.
    for _ in 0..4 {
        let ws = server.ws().await;
        std::mem::forget(ws);
    }
}

/// H2 for polling: whoever asks and does not read must not make us keep the answer.
#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    for door in DOORS {
        an_answer_that_is_not_taken_is_given_up_at(door).await;
    }
}

async fn an_answer_that_is_not_taken_is_given_up_at(door: Door) {
    let (mut server, _stop, _) =
        started(door, Setup::new(), |options| options.write_timeout = Duration::from_millis(300)).await;
    let id = server.open_polling().await;
    let session = server.opened().await;
    // More than the kernel takes on behalf of a client that does not read.
    session.send([&Message::text(&"x".repeat(64 << 20))]).unwrap();
    let mut http = server.http().await;
    http.send(&format!("GET /socket.io/?EIO=4&transport=polling&sid={id} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    while session.queued() > 0 {
        tokio::task::yield_now().await;
    }
    // Not for luck: this is how long the client takes nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut taken = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut http.stream, &mut taken).await;
    assert!(taken.len() < 64 << 20, "the connection was still there");
    server.still_serves().await;
}

#[tokio::test]
async fn unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut server = Setup::new().engine();
    let engine = server.engine.clone();
    let service = move |request, peer: Peer| {
        assert_eq!(peer, Peer::default());
        let engine = engine.clone();
        async move { engine.handle(request, peer).await }
    };
    tokio::spawn(serve(listener, ServeOptions::default(), service, std::future::pending()));
    let mut ws = Ws::over(UnixStream::connect(&path).await.unwrap(), WS, "", &[]).await.unwrap();
    assert!(ws.text().await.starts_with("0{"));
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    drop(ws);
    assert_eq!(server.closed().await, Reason::TransportClose);
    server.is_empty().await;
}

#[tokio::test]
async fn under_axum() {
    let mut server = Setup::new().engine();
    let engine = server.engine.clone();
    let app = axum::Router::new().route("/hello", axum::routing::get(|| async { "hi" })).fallback(
        move |request: axum::extract::Request| {
            let engine = engine.clone();
            async move { engine.handle(request, Peer::default()).await.map(axum::body::Body::new) }
        },
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server.addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert_eq!(server.get("/hello").await.text(), "hi");
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let mut ws = Ws::over(stream, WS, "", &frame(0x81, b"4early")).await.unwrap();
    assert!(ws.text().await.starts_with("0{"));
    assert_eq!(ws.text().await, "4early");
    let id = server.open_polling().await;
    assert_eq!(
        server.post(&format!("/socket.io/?EIO=4&transport=polling&sid={id}"), "4a").await.text(),
        "ok"
    );
    ws.raw(&frame(0x88, b"")).await;
    assert_eq!(ws.closed().await, None);
}

#[tokio::test]
async fn without_upgrades_there_is_no_session() {
    // A host that says nothing of upgrades: the session must not stay behind.
    let server = Setup::new().engine();
    let mut request = http::Request::get(WS);
    for line in UPGRADE.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let response = server.engine.handle(request.body(Body::empty()).unwrap(), Peer::default()).await;
    assert_eq!(response.status(), 500);
    server.is_empty().await;
}

/// A7: reset at any byte of the handshake.
#[tokio::test]
async fn handshakes_that_break_off() {
    let server = start().await;
    let head = format!("GET {WS} HTTP/1.1\r\n{UPGRADE}\r\n");
    for cut in (0..=head.len()).step_by(7).chain([head.len()]) {
        let mut http = server.http().await;
        http.send(&head[..cut]).await;
        drop(http);
    }
    server.still_serves().await;
    server.is_empty().await;
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};

    use super::*;

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from(&include_bytes!("data/localhost.cert.der")[..])
    }

    fn server_config() -> Arc<ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(&include_bytes!("data/localhost.key.der")[..]);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], PrivateKeyDer::Pkcs8(key))
            .unwrap();
        Arc::new(config)
    }

    async fn connect(server: &Server) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(server.addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    #[tokio::test]
    async fn websocket_over_tls() {
        for door in DOORS {
            websocket_over_tls_at(door).await;
        }
    }

    async fn websocket_over_tls_at(door: Door) {
        let (mut server, _stop, _) =
            started(door, Setup::new(), |options| options.tls = Some(server_config())).await;
        let mut ws = Ws::over(connect(&server).await, WS, "", &frame(0x81, b"4early")).await.unwrap();
        assert!(ws.text().await.starts_with("0{"));
        assert_eq!(ws.text().await, "4early");
        let session = match server.heard().await {
            Heard::Opened(session, handshake) => {
                assert!(handshake.secure());
                session
            }
            other => panic!("{other:?}"),
        };
        for length in [1, 1000, 100_000, 900_000] {
            let text = format!("4{}", "x".repeat(length));
            ws.send(&text).await;
            assert_eq!(ws.text().await, text);
        }
        session.send([&sockeye_engine::Message::text("from outside")]).unwrap();
        assert_eq!(ws.text().await, "4from outside");
        session.close(Reason::ForcedServerClose);
        assert_eq!(ws.close_code().await, Some(1000));
        ws.raw(&frame(0x88, &1000u16.to_be_bytes())).await;
        assert_eq!(ws.frame().await, None);
        drop(ws);
        assert_eq!(server.closed().await, Reason::ForcedServerClose);
        server.is_empty().await;
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_come_is_not_waited_for() {
        for door in DOORS {
            a_handshake_that_does_not_come_is_not_waited_for_at(door).await;
        }
    }

    async fn a_handshake_that_does_not_come_is_not_waited_for_at(door: Door) {
        let (server, _stop, _) = started(door, Setup::new(), |options| {
            options.tls = Some(server_config());
            options.tls_timeout = Duration::from_millis(100);
        })
        .await;
        let mut silent = server.http().await;
        assert!(silent.ends().await);
        let mut plain = server.http().await;
        plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(plain.ends().await);
        connect(&server).await;
    }
}
