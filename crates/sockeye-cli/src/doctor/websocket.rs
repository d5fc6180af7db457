//! A WebSocket, by hand: what it takes to see what a proxy does to one.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sockeye_proto::websocket::{Event, OpCode, Reader, ReaderConfig, Role, frame, handshake};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::wire::{Answer, Ask, Door, Trouble};

/// An open WebSocket.
pub(super) struct WebSocket {
    stream: TokioIo<Upgraded>,
    reader: Reader,
    /// Received and not read yet.
    input: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoSocket {
    /// No answer at all.
    Trouble(Trouble),
    /// Something else than a 101.
    Answer(Answer),
    /// A 101 that is none.
    Fault(Answer, handshake::ResponseFault),
}

/// What comes in.
#[derive(Debug)]
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Pong,
    /// The other side ends it, with this code and reason, or without a word.
    Closed(Option<String>),
    /// Nothing, for as long as was waited.
    Silence,
}

impl WebSocket {
    /// Asks for an upgrade over a fresh connection.
    pub(super) async fn open(door: &Door, uri: String) -> Result<WebSocket, NoSocket> {
        let mut random = [0; 16];
        // Only there so that caches do not answer: a poor key does no harm.
        let _ = getrandom::fill(&mut random);
        let key = handshake::client_key(random);
        let header = |name: &'static str, value: &str| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        let headers = [
            header("connection", "Upgrade"),
            header("upgrade", "websocket"),
            header("sec-websocket-version", "13"),
            header("sec-websocket-key", &key),
        ];
        let ask = Ask {
            method: Method::GET,
            uri,
            headers: headers.into_iter().flatten().collect(),
            body: Vec::new(),
        };
        let mut answer = door.ask(ask).await.map_err(NoSocket::Trouble)?;
        let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        match handshake::check_response(answer.status, headers, &key, &[], None).map(drop) {
            Ok(()) => {}
            Err(handshake::ResponseFault::Status(_)) => return Err(NoSocket::Answer(answer)),
            Err(fault) => return Err(NoSocket::Fault(answer, fault)),
        }
        match answer.upgraded.take() {
            Some(stream) => Ok(WebSocket {
                stream,
                reader: Reader::new(Role::Client, ReaderConfig::default()),
                input: Vec::new(),
            }),
            None => Err(NoSocket::Trouble(Trouble::Closed)),
        }
    }

    pub(super) async fn text(&mut self, text: &str) {
        let mut out = Vec::new();
        frame::encode(OpCode::Text, false, text.as_bytes(), Some(MASK), &mut out);
        self.write(&out).await;
    }

    pub(super) async fn binary(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        frame::encode(OpCode::Binary, false, bytes, Some(MASK), &mut out);
        self.write(&out).await;
    }

    /// A ping of the WebSocket protocol, which every server answers by itself.
    pub(super) async fn ping(&mut self) {
        self.write(frame::Control::ping(b"doctor", Some(MASK)).as_slice()).await;
    }

    /// Says goodbye; whether the server answers is its own affair.
    pub(super) async fn close(mut self) {
        self.write(frame::Control::close(None, "", Some(MASK)).as_slice()).await;
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    /// The next thing that comes in.
    pub(super) async fn next(&mut self, wait: Duration) -> Frame {
        timeout(wait, self.receive()).await.unwrap_or(Frame::Silence)
    }

    async fn receive(&mut self) -> Frame {
        loop {
            match self.read_one() {
                Ok(Some(frame)) => return frame,
                Ok(None) => {}
                Err(violation) => return Frame::Closed(Some(format!("it breaks the protocol: {violation}"))),
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Frame::Closed(None),
                Err(error) => return Frame::Closed(Some(error.to_string())),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// `None`: more has to come in first.
    fn read_one(&mut self) -> Result<Option<Frame>, sockeye_proto::websocket::Violation> {
        while !self.input.is_empty() {
            let (taken, event) = self.reader.read(&mut self.input)?;
            let frame = match event {
                Some(Event::Text(text)) => Some(Frame::Text(text.into_owned())),
                Some(Event::Binary(bytes)) => Some(Frame::Binary(bytes.into_owned())),
                Some(Event::Pong(_)) => Some(Frame::Pong),
                Some(Event::Close(None)) => Some(Frame::Closed(None)),
                Some(Event::Close(Some(close))) => Some(Frame::Closed(Some(
                    format!("{} {}", close.code.get(), close.reason).trim().to_owned(),
                ))),
                // Nobody waits so long here that a ping would have to be answered.
                Some(Event::Ping(_)) | None => None,
            };
            self.input.drain(..taken);
            if frame.is_some() {
                return Ok(frame);
            }
        }
        Ok(None)
    }

    /// A connection that is over shows when it is read from.
    async fn write(&mut self, bytes: &[u8]) {
        let send = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let _ = timeout(Duration::from_secs(5), send).await;
    }
}

/// Masking protects proxies from scripts of web pages (RFC 6455, 10.3); there are none here.
const MASK: [u8; 4] = [0x5e, 0x1d, 0x0c, 0x7a];
