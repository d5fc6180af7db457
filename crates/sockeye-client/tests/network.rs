//! How the client gets to a server: TLS, proxies, Unix sockets, cookies; and servers that misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use sockeye::{Data, ServeOptions, Server};
use sockeye_client::{Cap, Client, ConnectError, EmitError, Notice, Reason, Transports, WhenFull};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const BOTH: [Transports; 2] = [Transports::Polling, Transports::Upgrade];

fn io() -> Server {
    Server::builder().on("echo", |Data(n): Data<u32>| async move { n }).build().unwrap()
}

async fn listen(io: Server) -> SocketAddr {
    let (listener, address) = bound().await;
    tokio::spawn(async move { io.serve(listener).await });
    address
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

#[tokio::test]
async fn encrypted_and_only_where_the_certificate_is_trusted() {
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let certificate = include_bytes!("../../sockeye-engine/tests/data/localhost.cert.der");
    let key = include_bytes!("../../sockeye-engine/tests/data/localhost.key.der");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(&certificate[..])],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&key[..])),
        )
        .unwrap();
    let mut options = ServeOptions::default();
    options.tls = Some(Arc::new(config));
    let (listener, address) = bound().await;
    tokio::spawn(async move { io().serve_with(listener, options).await });
    let url = format!("https://localhost:{}", address.port());
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    for transports in BOTH {
        let trusting = [
            Client::builder(&url).root_certificate(pem.clone()),
            Client::builder(&url).root_certificate(pem.clone()).only_root_certificates(),
            Client::builder(&url).danger_accept_invalid_certificates(),
        ];
        for builder in trusting {
            let socket = within(builder.transports(transports).connect()).await.unwrap();
            assert_eq!(within(socket.call::<u32>("echo", 7).into_future()).await, Ok(7));
        }
    }
    let error = within(Client::builder(&url).connect()).await.unwrap_err().to_string();
    assert!(error.contains("TLS with localhost") && error.contains(".root_certificate("), "{error}");
}

/// Which requests a proxy was asked for, each carried out.
async fn proxy(socks: bool) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (listener, address) = bound().await;
    let (said, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let said = said.clone();
            tokio::spawn(async move {
                if socks { socks5(stream, &said).await } else { http_connect(stream, &said).await }
            });
        }
    });
    (address, heard)
}

async fn http_connect(mut stream: TcpStream, said: &mpsc::UnboundedSender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    // me:p@ss
    if !head.contains("Proxy-Authorization: Basic bWU6cEBzcw==\r\n") {
        stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        return;
    }
    let asked = head.split(' ').nth(1).unwrap();
    said.send(asked.to_owned()).ok();
    let mut server = TcpStream::connect(asked).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await.unwrap();
    copy_bidirectional(&mut stream, &mut server).await.ok();
}

async fn socks5(mut stream: TcpStream, said: &mpsc::UnboundedSender<String>) {
    let mut methods = [0; 4];
    stream.read_exact(&mut methods).await.unwrap();
    assert_eq!(methods, [5, 2, 0, 2]);
    stream.write_all(&[5, 2]).await.unwrap();
    let mut login = [0; 9];
    stream.read_exact(&mut login).await.unwrap();
    assert_eq!(&login, b"\x01\x02me\x04p@ss");
    stream.write_all(&[1, 0]).await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..4], [5, 1, 0, 3], "the proxy resolves the name");
    let mut name = vec![0; usize::from(head[4])];
    stream.read_exact(&mut name).await.unwrap();
    let port = stream.read_u16().await.unwrap();
    let asked = format!("{}:{port}", String::from_utf8(name).unwrap());
    said.send(asked.clone()).ok();
    let Ok(mut server) = TcpStream::connect(&asked).await else {
        stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        return;
    };
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    copy_bidirectional(&mut stream, &mut server).await.ok();
}

#[tokio::test]
async fn through_proxies_with_their_passwords() {
    let server = listen(io()).await;
    let url = format!("http://localhost:{}", server.port());
    for socks in [false, true] {
        let (address, mut asked) = proxy(socks).await;
        let scheme = if socks { "socks5" } else { "http" };
        for transports in BOTH {
            let builder = Client::builder(&url).proxy(&format!("{scheme}://me:p%40ss@{address}"));
            let socket = within(builder.transports(transports).connect()).await.unwrap();
            assert_eq!(within(socket.call::<u32>("echo", 7).into_future()).await, Ok(7));
            assert_eq!(asked.recv().await.unwrap(), format!("localhost:{}", server.port()));
        }
    }
    let (address, _asked) = proxy(false).await;
    let builder = Client::builder(&url).proxy(&format!("http://{address}"));
    let error = within(builder.connect()).await.unwrap_err().to_string();
    assert!(error.contains("it wants a user and a password (status 407)"), "{error}");
    let (address, _asked) = proxy(true).await;
    let builder = Client::builder("http://localhost:9").proxy(&format!("socks5://me:p%40ss@{address}"));
    let error = within(builder.connect()).await.unwrap_err().to_string();
    assert!(error.contains("it cannot reach the server: connection refused"), "{error}");
    // A server of something else instead of a proxy.
    let builder = Client::builder(&url).proxy(&format!("http://{server}"));
    let error = within(builder.connect()).await.unwrap_err().to_string();
    assert!(error.contains("proxy http://127.0.0.1"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn through_a_unix_socket() {
    let server = listen(io()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut tcp = TcpStream::connect(server).await.unwrap();
                copy_bidirectional(&mut stream, &mut tcp).await.ok();
            });
        }
    });
    for transports in BOTH {
        let builder = Client::builder("http://anything").unix_socket(&path).transports(transports);
        let socket = within(builder.connect()).await.unwrap();
        assert_eq!(within(socket.call::<u32>("echo", 7).into_future()).await, Ok(7));
    }
    let builder = Client::builder("http://anything").unix_socket(directory.path().join("nothing"));
    let error = within(builder.connect()).await.unwrap_err().to_string();
    assert!(error.contains("Unix socket") && error.contains("nothing"), "{error}");
}

/// Answers each connection's first request with what it is told, and keeps the heads.
async fn answering(answers: Vec<String>) -> (String, mpsc::UnboundedReceiver<String>) {
    let (listener, address) = bound().await;
    let (said, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            said.send(String::from_utf8(head).unwrap()).ok();
            stream.write_all(answer.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
        std::future::pending::<()>().await;
    });
    (format!("http://{address}"), heard)
}

fn answer(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn cookies_are_kept_between_requests() {
    let open = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    for keep in [true, false] {
        let opened = answer("Set-Cookie: node=a1; Path=/\r\n", open);
        let (url, mut heads) = answering(vec![opened, answer("", "ok"), answer("", "6")]).await;
        let socket = Client::builder(&url).cookies(keep).transports(Transports::Polling).start().unwrap();
        let first = within(heads.recv()).await.unwrap();
        assert!(first.starts_with("GET /socket.io/?EIO=4&transport=polling&t="), "{first}");
        for _ in 0..2 {
            let head = within(heads.recv()).await.unwrap();
            assert_eq!(head.to_lowercase().contains("cookie: node=a1\r\n"), keep, "{head}");
        }
        drop(socket);
    }
}

#[tokio::test]
async fn servers_that_say_too_much_or_nothing_are_bounded() {
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}", "x".repeat(100_000));
    let (url, _heads) = answering(vec![endless]).await;
    let error = within(Client::builder(&url).max_message(10_000).connect()).await.unwrap_err().to_string();
    assert!(error.contains("longer than 10000 bytes"), "{error}");
    let refusal = r#"{"code":1,"message":"Session ID unknown"}"#;
    let refusal = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{refusal}", refusal.len());
    let (url, _heads) = answering(vec![refusal]).await;
    let error = within(Client::builder(&url).connect()).await.unwrap_err().to_string();
    assert!(error.contains("status 400: Session ID unknown") && error.contains("sticky"), "{error}");
    for transports in [Transports::Polling, Transports::WebSocket] {
        // It accepts, and says nothing.
        let (listener, address) = bound().await;
        let builder = Client::builder(format!("http://{address}"))
            .transports(transports)
            .connect_timeout(Duration::from_millis(200));
        let error = within(builder.connect()).await.unwrap_err().to_string();
        assert!(error.contains("200ms"), "{error}");
        drop(listener);
    }
    let (url, _heads) = answering(vec![
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
                                        Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"
            .to_owned(),
    ])
    .await;
    let error = within(Client::builder(&url).transports(Transports::WebSocket).connect()).await.unwrap_err();
    assert!(error.to_string().contains("wrong Sec-WebSocket-Accept"), "{error}");
}

#[tokio::test]
async fn what_waits_for_a_connection_is_capped_and_told() {
    for (when_full, dropped, kept) in
        [(WhenFull::DropOldest, [0, 1], [2, 3, 4]), (WhenFull::DropNewest, [3, 4], [0, 1, 2])]
    {
        let (listener, address) = bound().await;
        let (said, mut heard) = mpsc::unbounded_channel();
        let io = Server::builder()
            .on("n", move |Data(n): Data<u32>| {
                let said = said.clone();
                async move { said.send(n).unwrap() }
            })
            .on("ready", || async {})
            .build()
            .unwrap();
        let outgoing = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&outgoing);
        let socket = Client::builder(format!("http://{address}"))
            .transports(Transports::WebSocket)
            .buffer(Cap { packets: 3, when_full, ..Cap::default() })
            .on_any_outgoing(move |_| {
                *counted.lock().unwrap() += 1;
            })
            .start()
            .unwrap();
        let mut notices = socket.client().notices();
        for n in 0..5 {
            socket.emit("n", n).unwrap();
        }
        // Not connected: it is lost without a word.
        socket.volatile().emit("n", 9).unwrap();
        assert_eq!(*outgoing.lock().unwrap(), 6);
        let mut gone = Vec::new();
        while gone.len() < 2 {
            if let Some(Notice::Dropped { payload, .. }) = within(notices.next()).await {
                gone.push(payload.event_arguments().arg::<u32>().unwrap());
            }
        }
        assert_eq!(gone, dropped);
        tokio::spawn(async move { io.serve(listener).await });
        for n in kept {
            assert_eq!(within(heard.recv()).await, Some(n));
        }
        within(socket.call::<()>("ready", ()).into_future()).await.unwrap();
        socket.volatile().emit("n", 10).unwrap();
        assert_eq!(within(heard.recv()).await, Some(10), "connected and writable, it leaves");
    }
}

#[tokio::test]
async fn it_waits_for_a_server_if_it_is_told_to_and_gives_up_in_the_end() {
    let (listener, address) = bound().await;
    drop(listener);
    let plan = sockeye_client::Reconnection {
        min: Duration::from_millis(20),
        max: Duration::from_millis(40),
        attempts: Some(2),
        ..Default::default()
    };
    let url = format!("http://{address}");
    let builder = Client::builder(&url).reconnection(plan).wait_for_server(true);
    let error = within(builder.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Failed(Reason::TransportError(_))), "{error}");
    let endless = sockeye_client::Reconnection { attempts: None, ..plan };
    let waiting = Client::builder(&url).reconnection(endless).wait_for_server(true).connect();
    let waiting = tokio::spawn(waiting);
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { io().serve(listener).await });
    let socket = within(waiting).await.unwrap().unwrap();
    assert!(socket.is_connected() && socket.is_active());
    // One that left stays away, and comes back when it is told to.
    socket.disconnect();
    assert!(!socket.is_connected() && !socket.is_active());
    within(socket.connect()).await.unwrap();
    assert_eq!(within(socket.call::<u32>("echo", 7).into_future()).await, Ok(7));
    within(socket.client().close()).await;
    assert_eq!(within(socket.connect()).await, Err(ConnectError::Closed));
    assert_eq!(socket.emit("echo", 1), Err(EmitError::Closed));
}
