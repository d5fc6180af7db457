//! The client against servers that are not ours: npm socket.io 4 and 2, PyPI python-socketio.
//!
//! Run by `cargo xtask test --only rust-client`, which installs them. The servers are in `conformance/rust-client`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sockeye_client::{
    Args, Builder, Client, ConnectError, Data, Notice, Reason, Reconnection, Socket, Transport, Transports,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

const ALL: [Transports; 3] = [Transports::Polling, Transports::WebSocket, Transports::Upgrade];

#[tokio::test]
async fn socket_io_4_by_every_transport_and_parser() {
    for flags in [&[][..], &["--msgpack"], &["--deflate"]] {
        let peer = Peer::node(flags).await;
        for transports in ALL {
            let compression = flags.contains(&"--deflate").then(sockeye_client::Compression::default);
            let builder = peer.client().transports(transports).compression(compression);
            let builder = if flags.contains(&"--msgpack") { builder.msgpack() } else { builder };
            conversation(builder, transports).await;
        }
        refusal(peer.client(), flags.contains(&"--msgpack"), "no", Some(r#"{"code":7}"#)).await;
    }
}

#[tokio::test]
async fn socket_io_2_by_every_transport_and_parser() {
    for flags in [&["--generation", "2"][..], &["--generation", "2", "--msgpack"]] {
        let peer = Peer::node(flags).await;
        let msgpack = flags.contains(&"--msgpack");
        for transports in ALL {
            let builder = peer.client().eio3().transports(transports);
            conversation(if msgpack { builder.msgpack() } else { builder }, transports).await;
        }
        // Servers of that time send the data instead of the message.
        refusal(peer.client().eio3(), msgpack, "refused", Some(r#"{"code":7}"#)).await;
    }
}

#[tokio::test]
async fn python_socketio_by_every_transport_and_parser() {
    for flags in [&[][..], &["--msgpack"]] {
        let peer = Peer::python(flags).await;
        let msgpack = flags.contains(&"--msgpack");
        for transports in ALL {
            let builder = peer.client().transports(transports);
            conversation(if msgpack { builder.msgpack() } else { builder }, transports).await;
        }
        refusal(peer.client(), msgpack, "no", Some(r#"{"code":7}"#)).await;
    }
}

/// Everything two ends say to each other, by one transport.
async fn conversation(builder: Builder, transports: Transports) {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Nested {
        text: String,
        parts: Vec<Part>,
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Part {
        n: u32,
        bytes: Bytes,
    }
    let socket = builder
        .on("question", |Args((n, part)): Args<(u32, Part)>| async move {
            Args((n + 1, Part { n: part.n * 2, bytes: part.bytes }))
        })
        .connect()
        .await
        .unwrap();
    if transports == Transports::Upgrade {
        let mut notices = socket.client().notices();
        while socket.client().transport() != Some(Transport::WebSocket) {
            within(notices.next()).await.expect("it is upgraded");
        }
    }
    let part = |n| Part { n, bytes: Bytes::from(vec![u8::try_from(n % 256).unwrap(); 2000]) };
    for n in 0..20 {
        // Calls at once, so that polling bodies hold several packets with their attachments.
        let nested = Nested { text: format!("ä😀\u{2028}{n}"), parts: vec![part(n), part(n + 1)] };
        let (echo, plain, asked) = tokio::join!(
            async { within(socket.call::<Nested>("echo", &nested).into_future()).await },
            async { within(socket.call::<u32>("echo", n).into_future()).await },
            async { within(socket.call::<Args<(u32, Part)>>("ask", Args((n, part(n)))).into_future()).await },
        );
        assert_eq!(echo, Ok(nested));
        assert_eq!(plain, Ok(n));
        let Args((one, two)) = asked.unwrap();
        assert_eq!((one, two.n, two.bytes), (n + 1, n * 2, part(n).bytes));
    }
    let mut received = socket.received_as("n");
    socket.emit("burst", 300).unwrap();
    for expected in 0..300_u32 {
        let event = within(received.next()).await.unwrap().unwrap();
        assert_eq!(event.payload.event_arguments().arg::<u32>(), Ok(expected));
    }
    // Namespaces share the connection, each with its own acknowledgements.
    let custom = within(socket.client().namespace("/custom").connect()).await.unwrap();
    assert_ne!(custom.id(), socket.id());
    let (one, two) = tokio::join!(
        socket.call::<String>("echo", "main").into_future(),
        custom.call::<String>("echo", "custom").into_future()
    );
    assert_eq!((one, two), (Ok("main".to_owned()), Ok("custom".to_owned())));
    // Sent away by the server, and back again.
    let mut notices = socket.client().notices();
    custom.emit("kick", false).unwrap();
    loop {
        if let Some(Notice::Disconnected { namespace, reason, active }) = within(notices.next()).await {
            assert_eq!((namespace.as_str(), reason, active), ("/custom", Reason::ServerDisconnect, false));
            break;
        }
    }
    within(custom.connect()).await.unwrap();
    assert_eq!(within(custom.call::<u8>("echo", 5).into_future()).await, Ok(5));
    within(socket.client().close()).await;
}

async fn refusal(builder: Builder, msgpack: bool, message: &str, data: Option<&str>) {
    let builder = if msgpack { builder.msgpack() } else { builder };
    let socket = builder.connect().await.unwrap();
    match within(socket.client().connect("/refusing")).await {
        Err(ConnectError::Refused(refused)) => {
            assert_eq!((refused.message.as_str(), refused.data.as_deref()), (message, data));
        }
        other => panic!("{other:?}"),
    }
    let Err(ConnectError::Refused(refused)) = within(socket.client().connect("/nowhere")).await else {
        panic!("a namespace that is not there")
    };
    let what = format!("{refused:?}");
    assert!(
        ["Invalid namespace", "Unable to connect", "not a namespace"].iter().any(|text| what.contains(text)),
        "{what}"
    );
    // The connection is none the worse.
    assert_eq!(within(socket.call::<u8>("echo", 1).into_future()).await, Ok(1));
}

#[tokio::test]
async fn what_was_said_about_requests_arrives() {
    #[derive(Debug, Deserialize)]
    struct Who {
        query: std::collections::BTreeMap<String, String>,
        auth: serde_json::Value,
        header: String,
    }
    let peer = Peer::node(&[]).await;
    for transports in ALL {
        let socket = Client::builder(format!("{}/custom?a=1", peer.url))
            .query("b c", "ä&=")
            .header("X-Test", "yes")
            .auth(serde_json::json!({"token": "t"}))
            .transports(transports)
            .connect()
            .await
            .unwrap();
        let who: Who = within(socket.call("who", ()).into_future()).await.unwrap();
        assert_eq!((who.query["a"].as_str(), who.query["b c"].as_str()), ("1", "ä&="));
        assert_eq!((who.auth["token"].as_str(), who.header.as_str()), (Some("t"), "yes"));
    }
}

#[tokio::test]
async fn a_session_is_recovered_after_a_cut() {
    let peer = Peer::node(&["--recovery"]).await;
    for transports in ALL {
        let (said, mut heard) = mpsc::unbounded_channel();
        let (connected, mut connections) = mpsc::unbounded_channel();
        let socket = peer
            .client()
            .transports(transports)
            .reconnection(quick(200))
            .on("n", move |Data(n): Data<u32>| {
                let said = said.clone();
                async move { said.send(n).unwrap() }
            })
            .on_connect(move |socket: Socket| {
                let connected = connected.clone();
                async move { connected.send(socket.recovered()).unwrap() }
            })
            .connect()
            .await
            .unwrap();
        assert_eq!(within(connections.recv()).await, Some(false));
        let id = socket.id();
        // npm's server recovers from the first event on.
        socket.emit("burst", 1).unwrap();
        assert_eq!(within(heard.recv()).await, Some(0));
        within(socket.call::<()>("join", ()).into_future()).await.unwrap();
        socket.emit("to room", Args((100, 50))).unwrap();
        within(socket.call::<u8>("echo", 0).into_future()).await.unwrap();
        socket.client().cut();
        for n in 0..50 {
            assert_eq!(within(heard.recv()).await, Some(n));
        }
        assert_eq!(within(connections.recv()).await, Some(true));
        assert_eq!(socket.id(), id);
    }
}

#[tokio::test]
async fn a_server_is_killed_in_the_middle_and_nothing_is_lost() {
    const EVENTS: u32 = 400;
    for (transports, generation) in [
        (Transports::WebSocket, "4"),
        (Transports::Upgrade, "4"),
        (Transports::Polling, "4"),
        (Transports::Upgrade, "2"),
    ] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let path = log.path().to_str().unwrap().to_owned();
        let flags = ["--generation", generation, "--log", &path];
        let mut peer = Peer::node(&flags).await;
        let builder = peer.client().transports(transports).reconnection(quick(20));
        let builder = if generation == "2" { builder.eio3() } else { builder };
        let socket = builder.retries(1000).ack_timeout(Duration::from_secs(5)).connect().await.unwrap();
        for n in 0..EVENTS {
            socket.emit("log", n).unwrap();
        }
        // Three times in the middle of it.
        for third in 1..=3 {
            while std::fs::read_to_string(&path).unwrap().lines().count() < third * 90 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            peer.child.kill().await.unwrap();
            let port = peer.url.rsplit(':').next().unwrap().to_owned();
            peer = Peer::node(&[&flags[..], &["--port", &port]].concat()).await;
        }
        // In the line of retries, so behind all others.
        let last: u32 = within(socket.call("log", EVENTS).into_future()).await.unwrap();
        assert_eq!(last, EVENTS);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut seen = text.lines().map(|line| line.parse::<u32>().unwrap()).collect::<Vec<_>>();
        let doubled = seen.len();
        // At least once: a double is the one that was under way when the server died, right behind itself.
        seen.dedup();
        assert_eq!(seen, (0..=EVENTS).collect::<Vec<_>>());
        assert!(doubled - seen.len() <= 3, "{} doubles for 3 kills", doubled - seen.len());
    }
}

#[tokio::test]
async fn a_server_that_has_no_websocket_is_polled() {
    let peer = Peer::node(&["--polling"]).await;
    let socket = peer.client().connect().await.unwrap();
    assert_eq!(within(socket.call::<u8>("echo", 1).into_future()).await, Ok(1));
    assert_eq!(socket.client().transport(), Some(Transport::Polling));
    let error = peer.client().transports(Transports::WebSocket).connect().await.unwrap_err().to_string();
    assert!(error.contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn the_wrong_generation_is_named() {
    let peer = Peer::node(&["--generation", "2"]).await;
    let error = within(peer.client().connect()).await.unwrap_err().to_string();
    assert!(error.contains(".eio3()"), "{error}");
    let peer = Peer::node(&[]).await;
    let error = within(peer.client().eio3().connect()).await.unwrap_err().to_string();
    assert!(error.contains("Unsupported protocol version"), "{error}");
}

fn quick(millis: u64) -> Reconnection {
    let min = Duration::from_millis(millis);
    Reconnection { min, max: min * 2, ..Reconnection::default() }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it takes too long")
}

/// A server in a process of its own, which ends with this.
struct Peer {
    child: Child,
    url: String,
}

impl Peer {
    async fn node(flags: &[&str]) -> Peer {
        let mut command = Command::new("node");
        command.arg(conformance().join("rust-client/server.mjs"));
        Peer::start(command, flags).await
    }

    async fn python(flags: &[&str]) -> Peer {
        let mut command = Command::new(conformance().join(".cache/python/bin/python"));
        command.arg("-B").arg(conformance().join("rust-client/server.py"));
        Peer::start(command, flags).await
    }

    async fn start(mut command: Command, flags: &[&str]) -> Peer {
        command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(lines.next_line()).await.unwrap().expect("it says where it listens");
        let port = line.strip_prefix("listening ").expect(&line);
        Peer { child, url: format!("http://127.0.0.1:{port}") }
    }

    fn client(&self) -> Builder {
        Client::builder(&self.url)
    }
}

fn conformance() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance")
}
