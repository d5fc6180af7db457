//! A client that speaks the wire by hand, over an in-memory stream, in virtual time.
//!
//! A test is a conversation: `say` what the client sends, `hears` what it must receive. Texts are Engine.IO messages
//! without their leading `4`, so `0` is a CONNECT and `2["a"]` an event. Pings are answered and not shown.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use sockeye::{Peer, Server};
use sockeye_proto::websocket::frame::encode;
use sockeye_proto::websocket::{Event, OpCode, Reader, ReaderConfig, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Closed,
}

pub(crate) struct Client {
    stream: DuplexStream,
    reader: Reader,
    heard: VecDeque<Heard>,
    /// Whether pings are answered.
    pub(crate) alive: bool,
    v3: bool,
}

impl Client {
    /// Opens a session and reads the open packet.
    pub(crate) async fn open(server: &Server) -> Client {
        Self::open_with(server, "EIO=4", 1 << 20).await
    }

    /// The same with a query and a pipe of `buffer` bytes.
    pub(crate) async fn open_with(server: &Server, query: &str, buffer: usize) -> Client {
        let (near, far) = tokio::io::duplex(buffer);
        let request = Request::get(format!("/socket.io/?{query}&transport=websocket"))
            .header("Host", "test.example")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        let server = server.clone();
        tokio::spawn(async move {
            server.attach(far, request.into_parts().0, Bytes::new(), Peer::default()).await;
        });
        let mut stream = near;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let reader = Reader::new(Role::Client, ReaderConfig::default());
        let v3 = query.contains("EIO=3");
        let mut client = Client { stream, reader, heard: VecDeque::new(), alive: true, v3 };
        match client.raw().await {
            Heard::Text(open) if open.starts_with("0{") => {}
            other => panic!("no open packet but {other:?}"),
        }
        client
    }

    /// Opens a session and joins the main namespace; gives the socket's id.
    pub(crate) async fn join(server: &Server) -> (Client, String) {
        Self::join_as(server, "0").await
    }

    /// The same with a CONNECT of the test's own.
    pub(crate) async fn join_as(server: &Server, connect: &str) -> (Client, String) {
        let mut client = Self::open(server).await;
        client.say(connect).await;
        let answer = client.hear().await;
        let sid = sid(&answer);
        (client, sid)
    }

    /// Sends an Engine.IO message.
    pub(crate) async fn say(&mut self, message: &str) {
        self.frame(OpCode::Text, format!("4{message}").as_bytes()).await;
    }

    /// Sends a binary message.
    pub(crate) async fn say_binary(&mut self, bytes: &[u8]) {
        if self.v3 {
            return self.frame(OpCode::Binary, &[&[4], bytes].concat()).await;
        }
        self.frame(OpCode::Binary, bytes).await;
    }

    async fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut frame = Vec::new();
        encode(opcode, false, payload, Some([1, 2, 3, 4]), &mut frame);
        // The server may have gone meanwhile; what it does then is for the test to see.
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next message, as text; binary as `<…>`; the end as `closed`.
    pub(crate) async fn hear(&mut self) -> String {
        match self.next().await {
            Heard::Text(text) => text,
            Heard::Binary(bytes) => format!("<{}>", String::from_utf8_lossy(&bytes)),
            Heard::Closed => "closed".to_owned(),
        }
    }

    /// The next message must be this.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &str) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let heard = self.hear().await;
            assert_eq!(heard, expected, "at {at}");
        }
    }

    /// Nothing may arrive for a second.
    #[track_caller]
    pub(crate) fn hears_nothing(&mut self) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            if let Ok(heard) = tokio::time::timeout(Duration::from_secs(1), self.next()).await {
                panic!("heard {heard:?} at {at}");
            }
        }
    }

    async fn next(&mut self) -> Heard {
        loop {
            match self.raw().await {
                Heard::Text(text) if text == "2" => {
                    if self.alive {
                        self.frame(OpCode::Text, b"3").await;
                    }
                }
                Heard::Text(text) if text.starts_with('4') => return Heard::Text(text[1..].to_owned()),
                Heard::Text(other) => panic!("unexpected engine packet {other}"),
                Heard::Binary(bytes) if self.v3 => return Heard::Binary(bytes[1..].to_vec()),
                other => return other,
            }
        }
    }

    async fn raw(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let mut buffer = vec![0; 64 * 1024];
            let read = match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return Heard::Closed,
                Ok(read) => read,
            };
            let mut rest = &mut buffer[..read];
            loop {
                let (used, event) = self.reader.read(rest).expect("valid frames");
                let heard = match event {
                    Some(Event::Text(text)) => Some(Heard::Text(text.into_owned())),
                    Some(Event::Binary(bytes)) => Some(Heard::Binary(bytes.into_owned())),
                    Some(Event::Close(_)) => Some(Heard::Closed),
                    _ => None,
                };
                self.heard.extend(heard);
                rest = &mut rest[used..];
                if rest.is_empty() {
                    break;
                }
            }
        }
    }

    /// Reads whatever comes until the session is closed.
    pub(crate) async fn hears_the_end(&mut self) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.hear().await {
                end if end == "closed" => return before,
                other => before.push(other),
            }
        }
    }
}

/// The `sid` in the answer to a CONNECT.
pub(crate) fn sid(answer: &str) -> String {
    field(answer, "sid")
}

/// A field of the JSON object in a packet.
pub(crate) fn field(packet: &str, name: &str) -> String {
    let json = &packet[packet.find('{').unwrap_or_else(|| panic!("no object in {packet}"))..];
    let object: serde_json::Value = serde_json::from_str(json).unwrap();
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {packet}")).to_owned()
}

/// Lets everything that can happen now happen, without time passing.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Waits until `condition` holds, a minute of virtual time at most.
#[track_caller]
pub(crate) fn eventually(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        for _ in 0..6_000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never came true, at {at}");
    }
}

/// LIFE of guarantees.md: when all clients are gone, so is everything that was kept for them.
pub(crate) async fn is_empty(server: &Server) {
    let zero = || {
        let stats = server.stats();
        (
            stats.engine.sessions,
            stats.sockets,
            stats.connecting,
            stats.rooms,
            stats.acks,
            stats.tasks,
            stats.engine.tasks,
        ) == (0, 0, 0, 0, 0, 0, 0)
    };
    eventually(zero).await;
}

/// What was said, in order, by whoever holds a clone.
#[derive(Clone, Default)]
pub(crate) struct Log(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
