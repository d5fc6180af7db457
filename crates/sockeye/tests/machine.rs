//! The client's machine (`sockeye_proto::client`) against our server, over loopback: every transport and dialect, binary
//! both ways, refusals, and a session taken up again after its connection is cut.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sockeye::{Ack, ConnectionStateRecovery, Data, Refusal, Server, Socket, Transport};
use sockeye_proto::client::{
    Auth, Client, Config, Emit, Frame, Output, SocketId, SocketOptions, Transports, Wire,
};
use sockeye_proto::engine::{Content, Protocol};
use sockeye_proto::socket::{Dialect, Payload, Protocol as SocketProtocol};
use sockeye_proto::websocket::frame::{self, Control};
use sockeye_proto::websocket::handshake::client_key;
use sockeye_proto::websocket::{CloseCode, Event, OpCode, Reader, ReaderConfig, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[tokio::test]
async fn echo_binary_refusal_and_goodbye_by_every_transport_and_dialect() {
    let address = serve().await;
    for transports in [Transports::Polling, Transports::WebSocket, Transports::Upgrade] {
        for config in [
            Config::default(),
            Config { dialect: Dialect::Msgpack(SocketProtocol::V5), ..Config::default() },
            Config::v3(),
        ] {
            let mut driver = Driver::new(address, Config { transports, ..config });
            let main = driver.client.socket("/", SocketOptions::default());
            let refused = driver.client.socket("/refusing", SocketOptions::default());
            driver.client.connect(main, driver.now());
            driver.client.connect(refused, driver.now());
            driver
                .until(|output| matches!(output, Output::Connected { socket, .. } if *socket == main))
                .await;
            let Output::Refused { refused, .. } =
                driver.until(|output| matches!(output, Output::Refused { .. })).await
            else {
                unreachable!()
            };
            assert_eq!(refused.data.as_deref(), Some("[7]"));
            // Servers of that time send the data instead of the message.
            assert_eq!(refused.message, if driver.v3() { "refused" } else { "no" });
            if transports == Transports::Upgrade {
                driver.until(|output| matches!(output, Output::Upgraded)).await;
            }
            for round in 0..3_u8 {
                let sent = Bytes::from(vec![round; 3000]);
                let answer: Bytes = driver.call(main, "echo", &sent).await;
                assert_eq!(answer, sent);
            }
            driver.client.close(driver.now());
            driver.until(|output| matches!(output, Output::Closed)).await;
        }
    }
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_again_with_what_was_missed() {
    let address = serve().await;
    for transports in [Transports::WebSocket, Transports::Upgrade] {
        let mut driver = Driver::new(address, Config { transports, ..Config::default() });
        let auth = Auth::Value(r#"{"token":1}"#.to_owned());
        let main = driver.client.socket("/", SocketOptions { auth, ..SocketOptions::default() });
        driver.client.connect(main, driver.now());
        driver.until(|output| matches!(output, Output::Connected { recovered: false, .. })).await;
        if transports == Transports::Upgrade {
            driver.until(|output| matches!(output, Output::Upgraded)).await;
        }
        // The server hears this, and says its three while nobody listens.
        let count: u32 = driver.call(main, "count me in", &3).await;
        assert_eq!(count, 3);
        driver.cut();
        driver.until(|output| matches!(output, Output::Disconnected { active: true, .. })).await;
        let mut counted = Vec::new();
        let recovered = loop {
            match driver.next().await {
                Output::Event { name, args, .. } if name == "n" => counted.push(args.arg::<u32>().unwrap()),
                Output::Connected { recovered, .. } => break recovered,
                _ => {}
            }
        };
        assert!(recovered);
        assert_eq!(counted, [0, 1, 2]);
    }
}

#[tokio::test]
async fn who_listens_for_it_hears_of_an_upgrade() {
    let (said, mut heard) = mpsc::unbounded_channel();
    let io = Server::builder()
        .on_upgrade(move |socket: &Socket, transport| {
            said.send((socket.id().to_owned(), transport, socket.transport())).unwrap();
        })
        .on("echo", |Data(number): Data<u8>| async move { number })
        .build()
        .unwrap();
    let address = listen(io).await;
    let mut driver = Driver::new(address, Config { transports: Transports::Upgrade, ..Config::default() });
    let main = driver.client.socket("/", SocketOptions::default());
    driver.client.connect(main, driver.now());
    driver.until(|output| matches!(output, Output::Upgraded)).await;
    let _: u8 = driver.call(main, "echo", &7).await;
    let (id, transport, current) = heard.try_recv().unwrap();
    assert_eq!((id.len(), transport, current), (20, Transport::WebSocket, Some(Transport::WebSocket)));
    driver.client.close(driver.now());
    driver.until(|output| matches!(output, Output::Closed)).await;
    assert!(heard.try_recv().is_err());
}

async fn listen(io: Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { io.serve(listener).await });
    address
}

async fn serve() -> SocketAddr {
    async fn echo(Data(bytes): Data<Bytes>) -> Ack<Bytes> {
        Ack(bytes)
    }
    async fn count(socket: Socket, Data(to): Data<u32>) -> Ack<u32> {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            for n in 0..to {
                socket.namespace().emit("n", n).ok();
            }
        });
        Ack(to)
    }
    async fn refuse() -> Result<(), Refusal> {
        Err(Refusal::new("no").data([7]))
    }
    let io = Server::builder()
        .allow_eio3(true)
        .connection_state_recovery(ConnectionStateRecovery::default())
        .on("echo", echo)
        .on("count me in", count)
        .namespace("/refusing", |namespace| namespace.middleware(refuse))
        .build()
        .unwrap();
    listen(io).await
}

// ---- a driver, as small as it can be ---------------------------------------------------------------------------------

enum Report {
    Polled(Vec<u8>, Content),
    Posted,
    Failed(bool, String),
    Opened,
    Text(String),
    Binary(Vec<u8>),
    Written,
    Gone(Option<String>),
}

struct Driver {
    client: Client,
    address: SocketAddr,
    protocol: Protocol,
    began: Instant,
    connection: u32,
    reports: mpsc::UnboundedSender<(u32, Report)>,
    inbox: mpsc::UnboundedReceiver<(u32, Report)>,
    /// What the WebSocket's task writes; dropped, it ends.
    websocket: Option<mpsc::UnboundedSender<Vec<u8>>>,
    heard: Vec<Output>,
}

impl Driver {
    fn new(address: SocketAddr, config: Config) -> Driver {
        let (reports, inbox) = mpsc::unbounded_channel();
        Driver {
            protocol: config.protocol,
            client: Client::new(config, 1),
            address,
            began: Instant::now(),
            connection: 0,
            reports,
            inbox,
            websocket: None,
            heard: Vec::new(),
        }
    }

    fn v3(&self) -> bool {
        self.protocol == Protocol::V3
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &mut self,
        socket: SocketId,
        name: &str,
        args: &impl serde::Serialize,
    ) -> T {
        let how = Emit { ack: true, ..Emit::default() };
        let now = self.now();
        let call = self.client.emit(socket, Payload::event(name, args).unwrap(), how, now).unwrap();
        let answer = self
            .until(
                |output| matches!(output, Output::Answer { call: answered, .. } if Some(*answered) == call),
            )
            .await;
        let Output::Answer { args, .. } = answer else { unreachable!() };
        args.arg().unwrap()
    }

    /// What the application hears next that is such; what it heard before counts.
    async fn until(&mut self, wanted: impl Fn(&Output) -> bool) -> Output {
        if let Some(at) = self.heard.iter().position(&wanted) {
            return self.heard.remove(at);
        }
        loop {
            let output = self.fresh().await;
            if wanted(&output) {
                return output;
            }
            self.heard.push(output);
        }
    }

    async fn next(&mut self) -> Output {
        if self.heard.is_empty() { self.fresh().await } else { self.heard.remove(0) }
    }

    async fn fresh(&mut self) -> Output {
        loop {
            while let Some(output) = self.client.poll() {
                match output {
                    Output::Wire { connection, wire } => self.wire(connection, wire),
                    output => return output,
                }
            }
            let deadline =
                self.client.deadline().map_or(self.began + Duration::from_secs(60), |at| self.began + at);
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => self.client.timer(self.began.elapsed()),
                report = self.inbox.recv() => {
                    let (connection, report) = report.unwrap();
                    let now = self.began.elapsed();
                    match report {
                        Report::Polled(body, content) => self.client.polled(connection, &body, content, now),
                        Report::Posted => self.client.posted(connection, now),
                        Report::Failed(post, why) => self.client.request_failed(connection, post, why, now),
                        Report::Opened => self.client.websocket_opened(connection, now),
                        Report::Text(text) => self.client.websocket_text(connection, &text, now),
                        Report::Binary(bytes) => self.client.websocket_binary(connection, &bytes, now),
                        Report::Written => self.client.written(connection, now),
                        Report::Gone(error) => self.client.websocket_closed(connection, error, now),
                    }
                }
                () = tokio::time::sleep_until(self.began + Duration::from_secs(20)) => {
                    panic!("not what was waited for; heard {:?}", self.heard)
                }
            }
        }
    }

    /// The network goes away.
    fn cut(&mut self) {
        self.websocket = None;
        self.client.websocket_closed(self.connection, Some("cut".to_owned()), self.began.elapsed());
    }

    fn wire(&mut self, connection: u32, wire: Wire) {
        self.connection = connection;
        let (reports, address) = (self.reports.clone(), self.address);
        let tell = move |report| drop(reports.send((connection, report)));
        match wire {
            Wire::Get { query } => {
                tokio::spawn(async move {
                    let request =
                        format!("GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                    match http(address, request.into_bytes()).await {
                        Ok((body, content)) => tell(Report::Polled(body, content)),
                        Err(why) => tell(Report::Failed(false, why)),
                    }
                });
            }
            Wire::Post { query, payload } => {
                tokio::spawn(async move {
                    let kind = match payload.content {
                        Content::Text => "text/plain;charset=UTF-8",
                        Content::Binary => "application/octet-stream",
                    };
                    let length = payload.body.len();
                    let head = format!(
                        "POST /socket.io/?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
                         Content-Length: {length}\r\n\r\n"
                    );
                    match http(address, [head.into_bytes(), payload.body].concat()).await {
                        Ok(_) => tell(Report::Posted),
                        Err(why) => tell(Report::Failed(true, why)),
                    }
                });
            }
            Wire::Dial { query } => {
                let (out, frames) = mpsc::unbounded_channel();
                self.websocket = Some(out);
                tokio::spawn(async move {
                    let gone = websocket(address, &query, frames, &tell).await;
                    tell(Report::Gone(gone));
                });
            }
            Wire::Write(frames) => {
                let mut out = Vec::new();
                let mask = Some([1, 2, 3, 4]);
                for each in &frames {
                    match each {
                        Frame::Packet(text) => {
                            frame::encode(OpCode::Text, false, text.as_bytes(), mask, &mut out)
                        }
                        Frame::Message(message) if message.is_binary() => {
                            let kind: &[u8] = if self.v3() { &[4] } else { &[] };
                            frame::encode(
                                OpCode::Binary,
                                false,
                                &[kind, message.payload()].concat(),
                                mask,
                                &mut out,
                            );
                        }
                        Frame::Message(message) => {
                            frame::encode(OpCode::Text, false, message.packet(), mask, &mut out);
                        }
                    }
                }
                if let Some(websocket) = &self.websocket {
                    websocket.send(out).ok();
                }
            }
            Wire::HangUp => {
                if let Some(websocket) = self.websocket.take() {
                    let goodbye = Control::close(Some(CloseCode::NORMAL), "", Some([1, 2, 3, 4]));
                    websocket.send(goodbye.as_slice().to_vec()).ok();
                }
            }
            Wire::Abandon => self.websocket = None,
        }
    }
}

async fn http(address: SocketAddr, request: Vec<u8>) -> Result<(Vec<u8>, Content), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.write_all(&request).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(!head.contains("transfer-encoding"), "{head}");
    if !head.starts_with("http/1.1 200") {
        return Err(format!("{head}{}", String::from_utf8_lossy(&body)));
    }
    let binary = head.contains("content-type: application/octet-stream");
    Ok((body, if binary { Content::Binary } else { Content::Text }))
}

/// Ends with what went wrong, if anything did.
async fn websocket(
    address: SocketAddr,
    query: &str,
    mut frames: mpsc::UnboundedReceiver<Vec<u8>>,
    tell: &impl Fn(Report),
) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        client_key([7; 16])
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut input = Vec::new();
    let head = loop {
        if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut input).await.unwrap() == 0 {
            return Some("no answer".to_owned());
        }
    };
    if !input.starts_with(b"HTTP/1.1 101") {
        return Some(String::from_utf8_lossy(&input).into_owned());
    }
    input.drain(..head);
    tell(Report::Opened);
    let mut reader = Reader::new(Role::Client, ReaderConfig::default());
    loop {
        let mut rest = &mut input[..];
        while !rest.is_empty() {
            let (used, event) = reader.read(rest).unwrap();
            match event {
                Some(Event::Text(text)) => tell(Report::Text(text.into_owned())),
                Some(Event::Binary(bytes)) => tell(Report::Binary(bytes.into_owned())),
                Some(Event::Close(_)) => return None,
                _ => {}
            }
            rest = &mut rest[used..];
        }
        input.clear();
        tokio::select! {
            read = stream.read_buf(&mut input) => {
                if read.unwrap_or(0) == 0 {
                    return None;
                }
            }
            out = frames.recv() => match out {
                Some(out) => {
                    if stream.write_all(&out).await.is_err() {
                        return Some("broken".to_owned());
                    }
                    tell(Report::Written);
                }
                None => return None,
            }
        }
    }
}
