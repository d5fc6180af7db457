//! One connection in memory: a task that frames, answers pings, and sorts packets by namespace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sockeye_proto::engine::{self, Kind};
use sockeye_proto::socket::{
    Arguments, Body, Decoder, Dialect, EncodeError, Encoded, Limits, Out, Packet, PacketOut, encode,
    encode_ack, encode_event,
};
use sockeye_proto::websocket::frame::{self, Control};
use sockeye_proto::websocket::handshake::{check_response, client_key};
use sockeye_proto::websocket::{CloseCode, Event, OpCode, Reader, ReaderConfig, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};

use crate::client::Ended;

/// A handle of the connection. The connection lives until it is cut, closed by either side, or all handles are gone.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Shared>);

struct Shared {
    commands: mpsc::UnboundedSender<Command>,
    dialect: Dialect,
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    mailboxes: HashMap<String, Mailbox>,
    /// Why there will be no more.
    ended: Option<Ended>,
}

struct Mailbox {
    letters: mpsc::UnboundedSender<Letter>,
    calls: HashMap<u64, oneshot::Sender<Arguments<'static>>>,
    next_call: u64,
}

/// What comes for one socket, besides answers.
pub(crate) enum Letter {
    /// JSON text of `{"sid":…}`.
    Connected(String),
    /// JSON text of `{"message":…}`.
    Refused(String),
    Event {
        name: String,
        args: Arguments<'static>,
        id: Option<u64>,
    },
    Ended(Ended),
}

enum Command {
    Send(Encoded),
    Text(String),
    Close,
    Cut,
}

impl Wire {
    /// Shakes hands on `stream` and starts the connection's task. `head` is what the server was given.
    pub(crate) async fn open(mut stream: DuplexStream, dialect: Dialect) -> Result<Self, String> {
        let mut early = response(&mut stream).await?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { commands, dialect, sockets: Mutex::default() });
        let (opened, open) = oneshot::channel();
        let mut limits = Limits::default();
        limits.attachments = usize::MAX;
        let task = Task {
            reader: Reader::new(
                Role::Client,
                ReaderConfig { max_message: usize::MAX, ..ReaderConfig::default() },
            ),
            decoder: Decoder::new(shared.dialect.clone(), Arc::new(limits)),
            shared: Arc::downgrade(&shared),
            opened: Some(opened),
            out: Vec::new(),
            mask: 0,
        };
        tokio::spawn(async move {
            task.run(stream, &mut early, inbox).await;
        });
        open.await.map_err(|_| "the server closed before its handshake".to_owned())?;
        Ok(Self(shared))
    }

    /// What this connection's packets are written in.
    pub(crate) fn dialect(&self) -> &Dialect {
        &self.0.dialect
    }

    /// A mailbox for a namespace. Replaces one that is there.
    pub(crate) fn mailbox(&self, namespace: &str) -> mpsc::UnboundedReceiver<Letter> {
        let (letters, inbox) = mpsc::unbounded_channel();
        let mut sockets = self.sockets();
        if let Some(ended) = &sockets.ended {
            // The receiver is in our hands.
            let _ = letters.send(Letter::Ended(ended.clone()));
        }
        let mailbox = Mailbox { letters, calls: HashMap::new(), next_call: 0 };
        sockets.mailboxes.insert(namespace.to_owned(), mailbox);
        inbox
    }

    /// A place for the answer to a call in `namespace`, and its id.
    pub(crate) fn expect_answer(&self, namespace: &str) -> (u64, oneshot::Receiver<Arguments<'static>>) {
        let (sender, receiver) = oneshot::channel();
        let mut id = 0;
        if let Some(mailbox) = self.sockets().mailboxes.get_mut(namespace) {
            id = mailbox.next_call;
            mailbox.next_call += 1;
            mailbox.calls.insert(id, sender);
        }
        (id, receiver)
    }

    /// Sends a packet, if the connection is still there; one that is gone swallows it, as a real one would.
    #[track_caller]
    pub(crate) fn send(&self, packet: Result<Encoded, EncodeError>) {
        match packet {
            Ok(packet) => drop(self.0.commands.send(Command::Send(packet))),
            Err(error) => panic!("the client cannot send this: {error}"),
        }
    }

    /// Sends one Engine.IO text message, whatever it says.
    pub(crate) fn send_text(&self, text: String) {
        drop(self.0.commands.send(Command::Text(text)));
    }

    /// Says goodbye properly: a WebSocket close frame.
    pub(crate) fn close(&self) {
        drop(self.0.commands.send(Command::Close));
    }

    /// Breaks the connection without a word.
    pub(crate) fn cut(&self) {
        drop(self.0.commands.send(Command::Cut));
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn connect(
    namespace: &str,
    auth: Option<&str>,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    encode(&PacketOut { namespace, body: Out::Connect(auth), compress: true }, dialect)
}

pub(crate) fn disconnect(namespace: &str, dialect: &Dialect) -> Result<Encoded, EncodeError> {
    encode(&PacketOut { namespace, body: Out::Disconnect, compress: true }, dialect)
}

pub(crate) fn event(
    namespace: &str,
    id: Option<u64>,
    name: &str,
    args: &impl Serialize,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    encode_event(namespace, id, name, args, dialect, true)
}

pub(crate) fn ack(
    namespace: &str,
    id: u64,
    args: &impl Serialize,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    encode_ack(namespace, id, args, dialect, true)
}

/// The key of every handshake here: nobody is to be kept from guessing it.
pub(crate) fn key() -> String {
    client_key([7; 16])
}

/// Reads the server's answer to the upgrade, and what came right behind it.
async fn response(stream: &mut DuplexStream) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) => {
                return Err(format!("no answer to the upgrade but {:?}", String::from_utf8_lossy(&bytes)));
            }
            Ok(_) => {}
            Err(error) => return Err(format!("no answer to the upgrade: {error}")),
        }
    };
    let early = bytes.split_off(head);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim().as_bytes()));
    match check_response(status.unwrap_or(0), headers, &key(), &[], None) {
        Ok(_) => Ok(early),
        Err(fault) => {
            Err(format!("the server refused the upgrade: {fault}\n{text}{}", String::from_utf8_lossy(&early)))
        }
    }
}

struct Task {
    reader: Reader,
    decoder: Decoder,
    shared: std::sync::Weak<Shared>,
    /// Told when the Engine.IO handshake has come.
    opened: Option<oneshot::Sender<()>>,
    out: Vec<u8>,
    mask: u32,
}

impl Task {
    async fn run(
        mut self,
        mut stream: DuplexStream,
        early: &mut [u8],
        mut inbox: mpsc::UnboundedReceiver<Command>,
    ) {
        let mut input = vec![0; 16 * 1024];
        let mut ended = self.received(early);
        while ended.is_none() {
            if !self.out.is_empty() {
                let out = std::mem::take(&mut self.out);
                if stream.write_all(&out).await.is_err() {
                    ended = Some(Ended::Lost);
                    break;
                }
            }
            tokio::select! {
                biased;
                read = stream.read(&mut input) => match read {
                    Ok(0) | Err(_) => ended = Some(Ended::Lost),
                    Ok(length) => ended = self.received(&mut input[..length]),
                },
                command = inbox.recv() => match command {
                    Some(Command::Send(packet)) => self.packet(&packet),
                    Some(Command::Text(text)) => self.frame(OpCode::Text, text.as_bytes()),
                    Some(Command::Close) => {
                        let mask = self.next_mask();
                        let goodbye = Control::close(Some(CloseCode::NORMAL), "", mask);
                        self.out.extend_from_slice(goodbye.as_slice());
                        ended = Some(Ended::ByUs);
                    }
                    // All handles gone is what a page that is left looks like.
                    Some(Command::Cut) | None => ended = Some(Ended::ByUs),
                },
            }
        }
        // A goodbye or its echo may be waiting; whether it arrives is the stream's affair now.
        let _ = stream.write_all(&self.out).await;
        drop(stream);
        self.end(ended.unwrap_or(Ended::Lost));
    }

    fn received(&mut self, mut input: &mut [u8]) -> Option<Ended> {
        while !input.is_empty() {
            let (used, event) = match self.reader.read(input) {
                Ok(read) => read,
                Err(violation) => return Some(Ended::Broken(violation.to_string())),
            };
            let ended = match event {
                None | Some(Event::Pong(_)) => None,
                Some(Event::Ping(payload)) => {
                    let mask = next_mask(&mut self.mask);
                    self.out.extend_from_slice(Control::pong(&payload, mask).as_slice());
                    None
                }
                Some(Event::Close(frame)) => {
                    let code = frame.as_ref().map(|frame| frame.code.get());
                    let reason = frame.map(|frame| frame.reason.into_owned()).unwrap_or_default();
                    Some(Ended::Closed { code, reason })
                }
                Some(Event::Text(text)) => {
                    text_message(&text, &mut self.decoder, &self.shared, &mut self.opened).unwrap_or_else(
                        |reply| {
                            let mask = next_mask(&mut self.mask);
                            frame::encode(OpCode::Text, false, reply.as_bytes(), mask, &mut self.out);
                            None
                        },
                    )
                }
                Some(Event::Binary(bytes)) => match self.decoder.binary(bytes) {
                    Ok(packet) => deliver(&self.shared, packet),
                    Err(violation) => Some(Ended::Broken(violation.to_string())),
                },
            };
            if ended.is_some() {
                return ended;
            }
            input = &mut input[used..];
        }
        None
    }

    fn packet(&mut self, packet: &Encoded) {
        for message in packet.messages() {
            if message.is_binary() {
                self.frame(OpCode::Binary, message.payload());
            } else {
                self.frame(OpCode::Text, message.packet());
            }
        }
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mask = self.next_mask();
        frame::encode(opcode, false, payload, mask, &mut self.out);
    }

    fn next_mask(&mut self) -> Option<[u8; 4]> {
        next_mask(&mut self.mask)
    }

    fn end(&self, ended: Ended) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut sockets = shared.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        for mailbox in sockets.mailboxes.values_mut() {
            mailbox.calls.clear();
            // The test may have dropped this client.
            let _ = mailbox.letters.send(Letter::Ended(ended.clone()));
        }
        sockets.ended = Some(ended);
    }
}

/// Masks need not be secret here, only different, so that a server that does not unmask is noticed.
fn next_mask(count: &mut u32) -> Option<[u8; 4]> {
    *count = count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    Some(count.to_be_bytes())
}

/// One Engine.IO message in text. `Err` is the reply it wants.
fn text_message(
    text: &str,
    decoder: &mut Decoder,
    shared: &std::sync::Weak<Shared>,
    opened: &mut Option<oneshot::Sender<()>>,
) -> Result<Option<Ended>, String> {
    let packet = match engine::decode_text(text, engine::Protocol::V4) {
        Ok(packet) => packet,
        Err(error) => return Ok(Some(Ended::Broken(error.to_string()))),
    };
    match packet.kind {
        Kind::Open => {
            if let Some(opened) = opened.take() {
                let _ = opened.send(());
            }
            Ok(None)
        }
        Kind::Ping => Err(text.replacen('2', "3", 1)),
        Kind::Message => Ok(match decoder.text(text.get(1..).unwrap_or_default()) {
            Ok(packet) => deliver(shared, packet),
            Err(violation) => Some(Ended::Broken(violation.to_string())),
        }),
        Kind::Close => Ok(Some(Ended::Closed { code: None, reason: String::new() })),
        _ => Ok(None),
    }
}

fn deliver(shared: &std::sync::Weak<Shared>, packet: Option<Packet<'_>>) -> Option<Ended> {
    let (packet, shared) = (packet?.into_owned(), shared.upgrade()?);
    let mut sockets = shared.sockets.lock().unwrap_or_else(PoisonError::into_inner);
    let mailbox = sockets.mailboxes.get_mut(&*packet.namespace)?;
    let letter = match packet.body {
        Body::Connect { auth, .. } => Letter::Connected(auth.unwrap_or_default().into_owned()),
        Body::ConnectError(error) => Letter::Refused(error.unwrap_or_default().into_owned()),
        Body::Event { id, name, args } => Letter::Event { name: name.into_owned(), args, id },
        Body::Ack { id, args } => {
            if let Some(call) = mailbox.calls.remove(&id) {
                let _ = call.send(args);
            }
            return None;
        }
        Body::Disconnect => {
            mailbox.calls.clear();
            Letter::Ended(Ended::ByServer)
        }
        _ => return Some(Ended::Broken("a packet that only clients send".to_owned())),
    };
    // The test may have dropped this client.
    let _ = mailbox.letters.send(letter);
    None
}
