//! The client against our server, in one process: every transport and dialect, both directions.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sockeye::{ConnectionStateRecovery, Server, Socket as Peer};
use sockeye_client::{
    Ack, Args, CallError, Client, ConnectError, Data, Event, EventName, Missed, RawArgs, Reason, Socket,
    Transport, Transports, connect,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
#[event(name = "say", ack = usize)]
struct Say {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
struct Move(String, u8);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
struct Tick;

async fn listen(io: Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { io.serve(listener).await });
    address
}

async fn serve() -> String {
    let io = Server::builder()
        .allow_eio3(true)
        .connection_state_recovery(ConnectionStateRecovery::default())
        .on("echo", |raw: RawArgs, ack: sockeye::AckSender| async move {
            ack.send_payload(raw.to_answer()).unwrap();
        })
        .on("say", |Data(say): Data<Say>| async move { say.text.len() })
        .on("ask me", |peer: Peer, Data(number): Data<u32>| async move {
            let answer: u32 = peer.call("question", number).await.unwrap();
            peer.emit("answered", answer).unwrap();
        })
        .on("play", |peer: Peer| async move {
            peer.emit("say", Say { text: "hello".to_owned() }).unwrap();
            peer.emit("move", Args(("rook", 8))).unwrap();
            peer.emit("move", "not a move").unwrap();
            peer.emit("tick", ()).unwrap();
        })
        .on("never", |_: sockeye::AckSender| async {
            std::future::pending::<()>().await;
        })
        .namespace("/refusing", |namespace| {
            namespace.middleware(|| async { Err::<(), _>(sockeye::Refusal::new("no").data([7])) })
        })
        .namespace("/token", |namespace| {
            namespace.on("whoami", |auth: sockeye::Auth<serde_json::Value>| async move { auth.0 })
        })
        .namespace("/other", |namespace| namespace.on("where", |_: Peer| async { "other" }))
        .build()
        .unwrap();
    format!("http://{}", listen(io).await)
}

#[tokio::test]
async fn echo_by_every_transport_and_dialect() {
    let url = serve().await;
    for transports in [Transports::Polling, Transports::WebSocket, Transports::Upgrade] {
        for dialect in 0..3 {
            let mut builder = Client::builder(&url).transports(transports);
            builder = match dialect {
                1 => builder.msgpack(),
                2 => builder.eio3(),
                _ => builder,
            };
            let socket = builder.connect().await.unwrap();
            assert!(socket.id().is_some());
            for round in 0..20_u8 {
                #[derive(Debug, PartialEq, Serialize, Deserialize)]
                struct Nested {
                    name: String,
                    parts: Vec<Bytes>,
                }
                let sent = Nested {
                    name: "ä😀".to_owned(),
                    parts: vec![Bytes::from(vec![round; 3000]), Bytes::from_static(b"x")],
                };
                let answer: Nested = socket.call("echo", &sent).await.unwrap();
                assert_eq!(answer, sent);
                let Args(two): Args<(u8, String)> = socket.call("echo", Args((round, "b"))).await.unwrap();
                assert_eq!(two, (round, "b".to_owned()));
            }
            let expected =
                if transports == Transports::Polling { Transport::Polling } else { Transport::WebSocket };
            assert_eq!(socket.client().transport(), Some(expected));
            socket.client().close().await;
            assert!(matches!(socket.emit("late", ()), Err(sockeye_client::EmitError::Closed)));
        }
    }
}

#[tokio::test]
async fn the_server_asks_and_handlers_answer() {
    let url = serve().await;
    let (said, mut heard) = mpsc::unbounded_channel();
    let socket = Client::builder(&url)
        .state(7_u32)
        .on("question", |Data(number): Data<u32>, seven: sockeye_client::State<u32>| async move {
            Ack(number * *seven)
        })
        .on("answered", move |Data(number): Data<u32>| {
            let said = said.clone();
            async move { said.send(number).unwrap() }
        })
        .connect()
        .await
        .unwrap();
    socket.emit("ask me", 6).unwrap();
    assert_eq!(heard.recv().await, Some(42));
}

#[tokio::test]
async fn typed_events_travel_both_ways() {
    let url = serve().await;
    let socket = connect(&url).await.unwrap();
    let mut moves = socket.events::<Move>();
    let mut ticks = socket.events::<Tick>();
    let (said, mut heard) = mpsc::unbounded_channel();
    let listener = socket.on_event(move |say: Say, EventName(name): EventName| {
        let said = said.clone();
        async move { said.send((name, say)).unwrap() }
    });
    let mut all = socket.received();
    assert_eq!(socket.call_event(&Say { text: "four".to_owned() }).await, Ok(4));
    socket.emit("play", ()).unwrap();
    assert_eq!(heard.recv().await, Some(("say".to_owned(), Say { text: "hello".to_owned() })));
    assert_eq!(moves.next().await, Some(Ok(Move("rook".to_owned(), 8))));
    assert!(matches!(moves.next().await, Some(Err(Missed::Mismatch(_)))));
    assert_eq!(ticks.next().await, Some(Ok(Tick)));
    let names = async {
        let mut names = Vec::new();
        while names.len() < 4 {
            names.push(all.next().await.unwrap().unwrap().name);
        }
        names
    };
    assert_eq!(names.await, ["say", "move", "move", "tick"]);
    assert!(socket.off(listener) && !socket.off(listener));
    socket.client().close().await;
    assert_eq!(moves.next().await, None, "the stream ends with the client");
    assert!(socket.received().next().await.is_none(), "and one that begins after it at once");
}

#[tokio::test]
async fn a_refusal_comes_with_its_data_and_others_go_on() {
    let url = serve().await;
    let socket = connect(&url).await.unwrap();
    let Err(ConnectError::Refused(refused)) = socket.client().connect("/refusing").await else { panic!() };
    assert_eq!((refused.message.as_str(), refused.data::<[u8; 1]>().unwrap()), ("no", [7]));
    let other = socket.client().connect("/other").await.unwrap();
    let place: String = other.call("where", ()).await.unwrap();
    assert_eq!(place, "other");
    let error = connect(&format!("{url}/nowhere")).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused: Invalid namespace");
}

#[tokio::test]
async fn auth_is_a_value_or_asked_for_each_time() {
    let url = serve().await;
    let auth = serde_json::json!({"token": 1});
    let socket = Client::builder(format!("{url}/token")).auth(&auth).connect().await.unwrap();
    assert_eq!(socket.call::<serde_json::Value>("whoami", ()).await.unwrap()["token"], 1);
    let (asked, mut asks) = mpsc::unbounded_channel();
    let socket = Client::builder(format!("{url}/token"))
        .auth_with(move || {
            let asked = asked.clone();
            async move {
                asked.send(()).unwrap();
                Ok::<_, std::io::Error>(serde_json::json!({"token": 2}))
            }
        })
        .reconnection(quick())
        .connect()
        .await
        .unwrap();
    assert_eq!(socket.call::<serde_json::Value>("whoami", ()).await.unwrap()["token"], 2);
    asks.try_recv().unwrap();
    socket.client().cut();
    asks.recv().await.unwrap();
    let refused = Client::builder(&url).auth("no object").connect().await.unwrap_err();
    assert_eq!(refused.to_string(), "auth: has to be an object: a struct or a map");
    let failing = Client::builder(format!("{url}/token"))
        .auth_with(|| async { Err::<(), _>("the vault is closed") })
        .connect()
        .await
        .unwrap_err();
    assert_eq!(failing.to_string(), "the server refused: the vault is closed");
}

#[tokio::test]
async fn failures_say_where_and_what_to_do() {
    let error = connect("http://127.0.0.1:9").await.unwrap_err().to_string();
    assert!(error.contains("handshake") && error.contains("is the server running"), "{error}");
    let url = serve().await;
    let error = Client::builder(&url).path("/elsewhere/").connect().await.unwrap_err().to_string();
    assert!(error.contains("404") && error.contains(".path("), "{error}");
    let error = connect("localhost").await.unwrap_err().to_string();
    assert!(error.contains("http://"), "{error}");
    let bad = Client::builder(&url).header("a b", "c").connect().await.unwrap_err();
    assert_eq!(bad.to_string(), "header: a b: this name cannot stand in a request");
}

fn quick() -> sockeye_client::Reconnection {
    sockeye_client::Reconnection {
        min: Duration::from_millis(10),
        max: Duration::from_millis(50),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_cut_connection_comes_back_recovered_and_calls_end() {
    let url = serve().await;
    for transports in [Transports::Polling, Transports::WebSocket, Transports::Upgrade] {
        let (said, mut heard) = mpsc::unbounded_channel();
        let gone = said.clone();
        let socket = Client::builder(&url)
            .transports(transports)
            .reconnection(quick())
            .on_connect(move |socket: Socket| {
                let said = said.clone();
                async move { said.send(format!("connected {}", socket.recovered())).unwrap() }
            })
            .on_disconnect(move |_, reason: Reason| {
                let gone = gone.clone();
                async move { gone.send(format!("gone: {}", reason.as_str())).unwrap() }
            })
            .connect()
            .await
            .unwrap();
        assert_eq!(heard.recv().await.unwrap(), "connected false");
        socket.call::<()>("echo", ()).await.unwrap();
        let call = tokio::spawn(socket.call::<()>("never", ()).raw());
        socket.call::<()>("echo", ()).await.unwrap();
        socket.client().cut();
        assert_eq!(heard.recv().await.unwrap(), "gone: transport error");
        assert_eq!(call.await.unwrap(), Err(CallError::Disconnected));
        // It waits for the connection.
        let answer: u8 = socket.call("echo", 9).await.unwrap();
        assert_eq!(answer, 9);
        assert_eq!(heard.recv().await.unwrap(), "connected true");
    }
}

#[tokio::test]
async fn a_call_has_its_time_and_a_panic_its_place() {
    let url = serve().await;
    let socket = Client::builder(&url)
        .on("question", |Data(number): Data<u32>| async move {
            assert_ne!(number, 1, "a panic that belongs here");
            number
        })
        .connect()
        .await
        .unwrap();
    let late = socket.call::<()>("never", ()).timeout(Duration::from_millis(50)).await;
    assert_eq!(late, Err(CallError::TimedOut));
    socket.emit("ask me", 1).unwrap();
    let mut answered = socket.received_as("answered");
    socket.emit("ask me", 2).unwrap();
    let answer = answered.next().await.unwrap().unwrap();
    assert_eq!(answer.payload.event_arguments().arg::<u32>().unwrap(), 2);
    let misfit: Result<String, _> = socket.call("echo", 5).await;
    assert!(matches!(misfit, Err(CallError::Answer(_))));
}

#[tokio::test]
async fn the_last_handle_disconnects() {
    let (said, mut heard) = mpsc::unbounded_channel();
    let io = Server::builder()
        .on_disconnect(move |reason: sockeye::Reason| {
            let said = said.clone();
            async move { said.send(reason.to_string()).unwrap() }
        })
        .build()
        .unwrap();
    let url = format!("http://{}", listen(io).await);
    for transports in [Transports::Polling, Transports::WebSocket] {
        let socket = Client::builder(&url)
            .transports(transports)
            .on("x", |_: Socket| async {})
            .connect()
            .await
            .unwrap();
        let copy = socket.clone();
        let stream = socket.received();
        drop((socket, copy));
        assert!(heard.try_recv().is_err());
        drop(stream);
        assert_eq!(heard.recv().await.unwrap(), "client namespace disconnect");
    }
}

#[tokio::test]
async fn handlers_that_wait_are_bounded_and_everything_is_heard_in_order() {
    const EVENTS: u32 = 3000;
    let io = Server::builder()
        .on("burst", |peer: Peer| async move {
            (0..EVENTS).for_each(|n| peer.emit("n", n).unwrap());
        })
        .build()
        .unwrap();
    let url = format!("http://{}", listen(io).await);
    let open = gate_that_is_shut();
    let gate = open.clone();
    let (said, mut heard) = mpsc::unbounded_channel();
    let socket = Client::builder(&url)
        .transports(Transports::WebSocket)
        .on("n", move |Data(n): Data<u32>| {
            let (said, mut gate) = (said.clone(), gate.subscribe());
            async move {
                said.send(n).unwrap();
                gate.wait_for(|open| *open).await.unwrap();
            }
        })
        .connect()
        .await
        .unwrap();
    socket.emit("burst", ()).unwrap();
    // So many wait at once, and the next is not begun.
    for n in 0..1024 {
        assert_eq!(heard.recv().await, Some(n));
    }
    tokio::time::timeout(Duration::from_millis(100), heard.recv()).await.unwrap_err();
    open.send_replace(true);
    for n in 1024..EVENTS {
        assert_eq!(heard.recv().await, Some(n));
    }
}

fn gate_that_is_shut() -> tokio::sync::watch::Sender<bool> {
    tokio::sync::watch::channel(false).0
}
