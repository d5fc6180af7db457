//! One WebSocket: the handshake through hyper, then our own frames on the bare stream.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use sockeye_proto::client::Frame;
use sockeye_proto::engine::Protocol;
use sockeye_proto::websocket::deflate::{Deflater, Params};
use sockeye_proto::websocket::frame::{self, Control, OpCode};
use sockeye_proto::websocket::handshake::{check_response, client_key};
use sockeye_proto::websocket::{CloseCode, Event, Reader, ReaderConfig, Role, deflate};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::polling::refusal;
use super::stream::Stream;
use super::{Report, Reports, Settings};
use crate::guard::Guarded;

/// What the client says. Its end is the goodbye.
pub(super) enum Order {
    Write(Vec<Frame>),
}

/// What is read at once.
const READ: usize = 16 * 1024;

/// Opens a WebSocket and lives its life. Ends with what went wrong, if anything did.
pub(super) async fn run(
    settings: &Settings,
    query: &str,
    connection: u32,
    orders: mpsc::UnboundedReceiver<Order>,
    reports: &Reports,
) -> Option<String> {
    let (stream, early, params) = match open(settings, query).await {
        Ok(opened) => opened,
        Err(why) => return Some(why),
    };
    reports.send((connection, Report::Opened)).await.ok()?;
    let (mut input, mut output) = tokio::io::split(stream);
    // Only the latest ping is answered.
    let (pinged, pings) = watch::channel(None);
    let writing = AtomicBool::new(false);
    let mut writer = Writer::new(settings, params);
    let hear = async {
        let ended = hear(settings, params, early, &mut input, &pinged, connection, reports).await;
        // Kept until here: the writer takes its end for one of the connection.
        drop(pinged);
        ended
    };
    let ended = tokio::select! {
        biased;
        ended = hear => ended,
        failed = writer.run(&mut output, orders, pings, &writing, connection, reports) => match failed {
            Some(why) => Ended::Broken(why),
            None => Ended::Finished,
        },
    };
    let (goodbye, gone) = match ended {
        Ended::Finished => (Some(CloseCode::NORMAL), None),
        Ended::Closed(code) => (code, explained(code)),
        Ended::Violation(code, why) => (Some(code), Some(why)),
        Ended::End => return Some("the connection ended without a goodbye".to_owned()),
        Ended::Broken(why) => return Some(why),
    };
    // In the middle of a frame nothing else can be said.
    if !writing.load(Ordering::Relaxed) {
        let goodbye = Control::close(goodbye, "", Some(key()));
        let say = async {
            output.write_all(goodbye.as_slice()).await?;
            output.flush().await?;
            output.shutdown().await
        };
        // The other side may be gone already, and this is politeness.
        tokio::time::timeout(settings.close_timeout, say).await.ok();
    }
    gone
}

enum Ended {
    /// We have said all we wanted to.
    Finished,
    /// The server said goodbye.
    Closed(Option<CloseCode>),
    Violation(CloseCode, String),
    /// The stream ended.
    End,
    Broken(String),
}

/// A goodbye that explains itself as an end in order needs no words.
fn explained(code: Option<CloseCode>) -> Option<String> {
    match code {
        None | Some(CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::RESTART) => None,
        Some(CloseCode::TOO_BIG) => Some("the server closed: a message was larger than it takes".to_owned()),
        Some(code) => Some(format!("the server closed with code {}", code.get())),
    }
}

/// The handshake. Gives the stream, what came with the answer already, and the compression agreed on.
async fn open(settings: &Settings, query: &str) -> Result<(Stream, Bytes, Option<Params>), String> {
    let stream = settings.dialer.dial().await?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends when the stream is handed out, or with it.
    let driver = tokio::spawn(Guarded::new(connection.with_upgrades()));
    let exchange = async {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| format!("no randomness: {error}"))?;
        let websocket_key = client_key(random);
        let mut request = Request::builder()
            .uri(settings.path_and_query(query))
            .header(header::HOST, settings.target.authority())
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &websocket_key)
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        if let Some(options) = &settings.deflate
            && let Ok(offer) = HeaderValue::from_str(&deflate::offer(options))
        {
            request.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, offer);
        }
        settings.put_headers(request.headers_mut());
        let mut response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        settings.learn(response.headers());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let body = Limited::new(response.body_mut(), 4096).collect().await;
            return Err(refusal(status, &body.map(|body| body.to_bytes()).unwrap_or_default()));
        }
        let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let established = check_response(101, headers, &websocket_key, &[], settings.deflate.as_ref())
            .map_err(|fault| fault.to_string())?;
        let params = established.deflate;
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| error.to_string())?;
        match upgraded.downcast::<TokioIo<Stream>>() {
            Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf, params)),
            Err(_) => Err("a defect of this client: not the stream that was opened".to_owned()),
        }
    };
    let opened = match tokio::time::timeout(settings.request_timeout, exchange).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no answer to the WebSocket handshake within {:?}", settings.request_timeout)),
    };
    if opened.is_err() {
        driver.abort();
    }
    opened
}

/// Reads until something ends it. Waits while the reports do.
async fn hear(
    settings: &Settings,
    params: Option<Params>,
    early: Bytes,
    input: &mut (impl AsyncRead + Unpin),
    pinged: &watch::Sender<Option<Vec<u8>>>,
    connection: u32,
    reports: &Reports,
) -> Ended {
    let config =
        ReaderConfig { max_message: settings.max_message, deflate: params, ..ReaderConfig::default() };
    let mut reader = Reader::new(Role::Client, config);
    let mut buffer = Vec::from(early);
    loop {
        let mut rest = buffer.as_mut_slice();
        while !rest.is_empty() {
            let (taken, event) = match reader.read(rest) {
                Ok(read) => read,
                Err(violation) => {
                    let code = violation.close_code();
                    return Ended::Violation(
                        code,
                        format!("the server breaks the WebSocket protocol: {violation}"),
                    );
                }
            };
            let report = match event {
                Some(Event::Text(text)) => Some(Report::Text(text.into_owned())),
                Some(Event::Binary(bytes)) => Some(Report::Binary(bytes.into_owned())),
                Some(Event::Ping(payload)) => {
                    pinged.send_replace(Some(payload.into_owned()));
                    None
                }
                Some(Event::Close(close)) => return Ended::Closed(close.map(|close| close.code)),
                Some(Event::Pong(_)) | None => None,
            };
            if let Some(report) = report
                && reports.send((connection, report)).await.is_err()
            {
                return Ended::Finished;
            }
            rest = rest.get_mut(taken..).unwrap_or_default();
        }
        buffer.clear();
        buffer.reserve(READ);
        match input.read_buf(&mut buffer).await {
            Ok(0) => return Ended::End,
            Ok(_) => {}
            Err(error) => return Ended::Broken(format!("reading: {error}")),
        }
    }
}

/// Frames on their way out.
struct Writer<'s> {
    settings: &'s Settings,
    deflater: Option<Deflater>,
    out: Vec<u8>,
    deflated: Vec<u8>,
}

impl<'s> Writer<'s> {
    fn new(settings: &'s Settings, params: Option<Params>) -> Writer<'s> {
        let level = settings.deflate.map_or(6, |options| options.level);
        let deflater = params.map(|params| Deflater::new(params.outgoing(Role::Client), level));
        Writer { settings, deflater, out: Vec::new(), deflated: Vec::new() }
    }

    /// Writes what it is told to, and answers pings, until there is nothing more to say (`None`) or something
    /// breaks. `writing` is true while a frame may be half written.
    async fn run(
        &mut self,
        output: &mut (impl AsyncWrite + Unpin),
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut pings: watch::Receiver<Option<Vec<u8>>>,
        writing: &AtomicBool,
        connection: u32,
        reports: &Reports,
    ) -> Option<String> {
        loop {
            self.out.clear();
            let is_batch = tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Write(frames)) => {
                        frames.iter().for_each(|frame| self.encode(frame));
                        true
                    }
                    None => return None,
                },
                Ok(()) = pings.changed() => {
                    let payload = pings.borrow_and_update().clone().unwrap_or_default();
                    self.out.extend_from_slice(Control::pong(&payload, Some(key())).as_slice());
                    false
                }
            };
            writing.store(true, Ordering::Relaxed);
            let written = async {
                output.write_all(&self.out).await?;
                output.flush().await
            };
            if let Err(error) = written.await {
                return Some(format!("writing: {error}"));
            }
            writing.store(false, Ordering::Relaxed);
            if is_batch {
                reports.send((connection, Report::Written)).await.ok();
            }
            // One large message must not be kept for ever.
            if self.out.capacity() > 256 * 1024 {
                self.out = Vec::new();
            }
        }
    }

    fn encode(&mut self, what: &Frame) {
        let (opcode, payload, compress) = match what {
            Frame::Packet(text) => (OpCode::Text, Cow::Borrowed(text.as_bytes()), false),
            Frame::Message(message) if message.is_binary() => {
                let payload = match self.settings.protocol {
                    Protocol::V4 => Cow::Borrowed(message.payload()),
                    Protocol::V3 => Cow::Owned([&[4], message.payload()].concat()),
                };
                (OpCode::Binary, payload, message.compress())
            }
            Frame::Message(message) => (OpCode::Text, Cow::Borrowed(message.packet()), message.compress()),
        };
        let wanted = compress && self.settings.deflate.is_some_and(|options| options.wants(payload.len()));
        match &mut self.deflater {
            Some(deflater) if wanted => {
                self.deflated.clear();
                deflater.deflate(&payload, &mut self.deflated);
                frame::encode(opcode, true, &self.deflated, Some(key()), &mut self.out);
            }
            _ => frame::encode(opcode, false, &payload, Some(key()), &mut self.out),
        }
    }
}

/// A fresh masking key. It has to be unpredictable for who chooses the payload (RFC 6455, section 10.3).
fn key() -> [u8; 4] {
    let mut key = [0; 4];
    // Without randomness no handshake was possible, so this does not happen; a key of zeros is still a key.
    getrandom::fill(&mut key).ok();
    key
}
