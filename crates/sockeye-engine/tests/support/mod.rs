//! A server with a talkative application, and clients that say exactly what a test wants: raw HTTP and raw frames.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_engine::{
    Application, Body, Config, Engine, Flow, Handshake, Incoming, Link, Message, Peer, Reason, Refused,
    ServeOptions, Session, Transport,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes, shorter than a person waits.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the application of a test heard.
#[derive(Debug)]
pub enum Heard {
    Opened(Session, Arc<Handshake>),
    Text(String),
    Binary(Vec<u8>),
    Upgraded(Transport),
    Woken,
    Timer,
    Closed(Reason),
    Refused(Refused),
}

type React = dyn Fn(&Session, &Incoming<'_>) -> Flow + Send + Sync;

type OnOpen = dyn Fn(&Session) + Send + Sync;

/// Tells the test everything, and answers as `react` says.
pub struct App {
    heard: mpsc::UnboundedSender<Heard>,
    react: Arc<React>,
    on_open: Option<Arc<OnOpen>>,
    woken: Arc<Mutex<Flow>>,
    timer: Option<Duration>,
}

pub struct Echo {
    session: Session,
    heard: mpsc::UnboundedSender<Heard>,
    react: Arc<React>,
    woken: Arc<Mutex<Flow>>,
    deadline: Option<Instant>,
}

impl Application for App {
    type Link = Echo;

    fn open(&self, session: &Session, handshake: &Arc<Handshake>) -> Echo {
        self.heard.send(Heard::Opened(session.clone(), handshake.clone())).ok();
        if let Some(on_open) = &self.on_open {
            on_open(session);
        }
        Echo {
            session: session.clone(),
            heard: self.heard.clone(),
            react: self.react.clone(),
            woken: self.woken.clone(),
            deadline: self.timer.map(|after| Instant::now() + after),
        }
    }

    fn refused(&self, _: &http::request::Parts, refused: &Refused) {
        self.heard.send(Heard::Refused(refused.clone())).ok();
    }
}

impl Link for Echo {
    fn received(&mut self, message: Incoming<'_>) -> Flow {
        let heard = match &message {
            Incoming::Text(text) => Heard::Text(text.to_string()),
            Incoming::Binary(bytes) => Heard::Binary(bytes.to_vec()),
        };
        self.heard.send(heard).ok();
        (self.react)(&self.session, &message)
    }

    fn woken(&mut self) -> Flow {
        self.heard.send(Heard::Woken).ok();
        self.woken.lock().unwrap().clone()
    }

    fn timer(&mut self) -> Flow {
        self.deadline = None;
        self.heard.send(Heard::Timer).ok();
        Flow::Continue
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn upgraded(&mut self, transport: Transport) {
        self.heard.send(Heard::Upgraded(transport)).ok();
    }

    fn closed(self, reason: &Reason) {
        self.heard.send(Heard::Closed(reason.clone())).ok();
    }
}

/// Sends back what came.
pub fn echo(session: &Session, message: &Incoming<'_>) -> Flow {
    let message = match message {
        Incoming::Text(text) => Message::text(text),
        Incoming::Binary(bytes) => Message::binary(bytes.to_vec().into()),
    };
    session.send([&message]).ok();
    Flow::Continue
}

/// A server on a free port.
pub struct Server {
    pub addr: SocketAddr,
    pub engine: Engine<App>,
    heard: mpsc::UnboundedReceiver<Heard>,
    pub woken: Arc<Mutex<Flow>>,
}

pub struct Setup {
    pub config: Config,
    react: Arc<React>,
    on_open: Option<Arc<OnOpen>>,
    timer: Option<Duration>,
}

impl Setup {
    pub fn new() -> Self {
        Setup { config: Config::default(), react: Arc::new(echo), on_open: None, timer: None }
    }

    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub fn react(mut self, react: impl Fn(&Session, &Incoming<'_>) -> Flow + Send + Sync + 'static) -> Self {
        self.react = Arc::new(react);
        self
    }

    pub fn on_open(mut self, on_open: impl Fn(&Session) + Send + Sync + 'static) -> Self {
        self.on_open = Some(Arc::new(on_open));
        self
    }

    pub fn timer(mut self, after: Duration) -> Self {
        self.timer = Some(after);
        self
    }

    /// The engine without a door.
    pub fn engine(self) -> Server {
        let (sender, heard) = mpsc::unbounded_channel();
        let woken = Arc::new(Mutex::new(Flow::Continue));
        let app = App {
            heard: sender,
            react: self.react,
            on_open: self.on_open,
            woken: woken.clone(),
            timer: self.timer,
        };
        let engine = Engine::new(self.config, app).unwrap();
        Server { addr: ([127, 0, 0, 1], 0).into(), engine, heard, woken }
    }

    pub async fn start(self) -> Server {
        let mut server = self.engine();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        server.addr = listener.local_addr().unwrap();
        let engine = server.engine.clone();
        tokio::spawn(async move {
            engine.serve(listener, ServeOptions::default(), nothing, std::future::pending()).await;
        });
        server
    }
}

/// What is served beside an engine: nothing.
pub async fn nothing(_: http::Request<hyper::body::Incoming>, _: Peer) -> http::Response<Body> {
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}

pub async fn start() -> Server {
    Setup::new().start().await
}

impl Server {
    /// The next thing that the application heard.
    pub async fn heard(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("the application heard nothing").unwrap()
    }

    pub fn try_heard(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }

    pub async fn opened(&mut self) -> Session {
        match self.heard().await {
            Heard::Opened(session, _) => session,
            other => panic!("expected a session, heard {other:?}"),
        }
    }

    /// The reason of the next close, whatever comes before it.
    pub async fn closed(&mut self) -> Reason {
        loop {
            if let Heard::Closed(reason) = self.heard().await {
                return reason;
            }
        }
    }

    pub async fn http(&self) -> Http {
        Http::connect(self.addr).await
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.http().await.get(target).await
    }

    pub async fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Reply {
        self.http().await.post(target, body).await
    }

    /// Opens a polling session; gives its id.
    pub async fn open_polling(&self) -> String {
        let reply = self.get("/socket.io/?EIO=4&transport=polling").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        sid(&reply.text()[1..])
    }

    pub async fn ws(&self) -> Ws<TcpStream> {
        let mut ws = self.ws_at("/socket.io/?EIO=4&transport=websocket").await;
        let open = ws.text().await;
        assert!(open.starts_with("0{"), "{open}");
        ws
    }

    pub async fn ws_at(&self, target: &str) -> Ws<TcpStream> {
        Ws::connect(self.addr, target, "").await.unwrap_or_else(|reply| panic!("no WebSocket: {reply:?}"))
    }

    /// Somebody else is still served. The end of every hostile test.
    /// A WebSocket over a pipe that holds `room` bytes.
    pub async fn piped(&self, target: &str, room: usize) -> Ws<DuplexStream> {
        let (client, mut stream) = tokio::io::duplex(room);
        let mut request = http::Request::get(target);
        for line in UPGRADE.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            engine.adopt(stream, parts, Default::default(), Default::default()).await;
        });
        let mut ws = Ws::over(client, target, "", &[]).await.unwrap();
        if !target.contains("sid=") {
            assert!(ws.text().await.starts_with("0{"));
        }
        ws
    }

    pub async fn still_serves(&self) {
        let mut ws = self.ws().await;
        ws.send("4are you there").await;
        assert_eq!(ws.text().await, "4are you there");
    }

    /// Every client has gone: nothing may be left of them.
    pub async fn is_empty(&self) {
        let start = std::time::Instant::now();
        loop {
            let stats = self.engine.stats();
            if (stats.sessions, stats.unsettled, stats.tasks) == (0, 0, 0) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "something is left: {stats:?}");
            tokio::task::yield_now().await;
        }
    }
}

pub fn sid(open: &str) -> String {
    let open: serde_json::Value = serde_json::from_str(open).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// An HTTP connection.
pub struct Http {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Http {
    pub async fn connect(addr: SocketAddr) -> Self {
        Http { stream: TcpStream::connect(addr).await.unwrap(), buffer: Vec::new() }
    }

    pub async fn get(&mut self, target: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        self.reply().await
    }

    pub async fn post(&mut self, target: &str, body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        self.reply().await
    }

    pub async fn send(&mut self, raw: &str) {
        self.stream.write_all(raw.as_bytes()).await.unwrap();
    }

    pub async fn reply(&mut self) -> Reply {
        self.try_reply().await.expect("the connection ended without an answer")
    }

    /// `None` if the connection ends first.
    pub async fn try_reply(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, used)) = parse(&self.buffer) {
                self.buffer.drain(..used);
                return Some(reply);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("no answer");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Whether the server ends the connection.
    pub async fn ends(&mut self) -> bool {
        loop {
            match timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(_)) => {}
                Err(_) => return false,
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let map: HashMap<_, _> = headers.iter().cloned().collect();
    assert!(!map.contains_key("transfer-encoding"), "answers have a length");
    let length = map.get("content-length").map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end..end + length)?.to_vec();
    Some((Reply { status, headers, body }, end + length))
}

/// A WebSocket client that hides nothing.
pub struct Ws<S = TcpStream> {
    pub stream: S,
    pub buffer: Vec<u8>,
    pub head: Reply,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

pub const UPGRADE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Ws<TcpStream> {
    /// Connects; the reply if it is not a 101.
    pub async fn connect(addr: SocketAddr, target: &str, headers: &str) -> Result<Self, Reply> {
        let stream = TcpStream::connect(addr).await.unwrap();
        Ws::over(stream, target, headers, &[]).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// The same over any stream; `early` is sent in one write with the request.
    pub async fn over(mut stream: S, target: &str, headers: &str, early: &[u8]) -> Result<Self, Reply> {
        let head = format!("GET {target} HTTP/1.1\r\n{UPGRADE}{headers}\r\n");
        stream.write_all(&[head.as_bytes(), early].concat()).await.unwrap();
        let mut buffer = Vec::new();
        loop {
            if let Some((head, used)) = parse(&buffer) {
                if head.status != 101 {
                    return Err(head);
                }
                buffer.drain(..used);
                return Ok(Ws { stream, buffer, head });
            }
            let read = timeout(PATIENCE, stream.read_buf(&mut buffer)).await.expect("no answer");
            assert!(read.unwrap() > 0, "the connection ended without an answer");
        }
    }

    pub async fn send(&mut self, text: &str) {
        self.raw(&frame(0x81, text.as_bytes())).await;
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.raw(&frame(0x82, bytes)).await;
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame, or `None` if the stream ends.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, used)) = parse_frame(&self.buffer) {
                self.buffer.drain(..used);
                return Some(frame);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("no frame");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub async fn text(&mut self) -> String {
        let frame = self.frame().await.expect("the stream ended");
        assert_eq!(frame.first, 0x81, "{frame:?}");
        String::from_utf8(frame.payload).unwrap()
    }

    pub async fn binary(&mut self) -> Vec<u8> {
        let frame = self.frame().await.expect("the stream ended");
        assert_eq!(frame.first, 0x82, "{frame:?}");
        frame.payload
    }

    /// The code of the next close frame; frames before it are passed over. Then the stream has to end.
    pub async fn closed(&mut self) -> Option<u16> {
        let code = self.close_code().await;
        assert_eq!(self.frame().await, None, "something came behind a close frame");
        code
    }

    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            let frame = self.frame().await.expect("the stream ended without a close frame");
            if frame.first == 0x88 {
                return frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    }
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        medium @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn parse_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (length, head) = match second {
        126 => (u16::from_be_bytes(*rest.first_chunk()?) as usize, 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    Some((Frame { first, payload }, head + length))
}
