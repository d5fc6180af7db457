//! One client before the load: does the server do what the scenario needs, and how exactly does it answer? Blocking and
//! in no hurry, so that it can say what is wrong; what it learns is compared byte for byte from then on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use sockeye_proto::websocket::{Event, Reader, ReaderConfig, Role, handshake};

use super::answer::Answer;
use super::driver::shortened;
use super::target::Target;
use super::words;

/// A message from the server.
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

pub(super) struct Probe {
    stream: Box<dyn Stream>,
    reader: Reader,
    received: VecDeque<Message>,
    patience: Duration,
    prefix: String,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Probe {
    /// Connects and enters the namespace.
    pub(super) fn enter(
        target: &Target,
        tls: Option<Arc<ClientConfig>>,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let mut stream = connect(target, tls, patience)?;
        stream
            .write_all(words::upgrade(target).as_bytes())
            .map_err(|error| tls_or(error, "the request could not be sent"))?;
        let rest = upgraded(stream.as_mut())?;
        let mut probe = Self {
            stream,
            reader: Reader::new(
                Role::Client,
                ReaderConfig { max_message: 64 << 20, ..ReaderConfig::default() },
            ),
            received: VecDeque::new(),
            patience,
            prefix: target.prefix(),
        };
        probe.take(rest)?;
        let open = probe.wait("the opening packet of Engine.IO", |text| Some(text.to_owned()))?;
        ensure!(
            open.starts_with("0{"),
            "this is a WebSocket, but not Socket.IO: its first message is {:?}",
            shortened(&open)
        );
        probe.say(&words::text(&target.connect_packet()))?;
        let entered = probe.wait("the namespace's answer to CONNECT", |text| {
            (text.starts_with("40") || text.starts_with("44")).then(|| text.to_owned())
        })?;
        if entered.starts_with("44") {
            bail!(
                "the server refuses the namespace {}: {} (the URL's path names the namespace; --auth logs in)",
                target.namespace(),
                shortened(&entered)
            );
        }
        Ok(probe)
    }

    /// Sends an event and learns its acknowledgement; `packet` makes it with an id.
    pub(super) fn acknowledgement(
        &mut self,
        event: &str,
        packet: &dyn Fn(&str) -> String,
        attachment: Option<&[u8]>,
        digits: usize,
    ) -> anyhow::Result<Answer> {
        // Twice: what differs between the two answers cannot be expected of the third.
        let first = self.acknowledged(event, packet, attachment, "1000")?;
        let second = self.acknowledged(event, packet, attachment, "1001")?;
        ensure!(first.1 == second.1, "the answers to {event:?} differ in their attachments");
        // Behind `43` or `461-`, and the namespace.
        let at = self.prefix.len() + if first.1.is_some() { 4 } else { 2 };
        let with_same_id = format!("{}1000{}", &second.0[..at], &second.0[at + 4..]);
        Ok(Answer::learned([&first.0, &with_same_id], at, digits, 1, first.1))
    }

    fn acknowledged(
        &mut self,
        event: &str,
        packet: &dyn Fn(&str) -> String,
        attachment: Option<&[u8]>,
        id: &str,
    ) -> anyhow::Result<(String, Option<Vec<u8>>)> {
        let mut bytes = words::text(&packet(id));
        if let Some(attachment) = attachment {
            bytes.extend_from_slice(&words::binary(attachment));
        }
        self.say(&bytes)?;
        let ack = format!("43{}{id}[", self.prefix);
        let with_bytes = format!("{}{id}[", self.prefix);
        let text = self.wait(&format!("an acknowledgement of {event:?}"), |text| {
            let is_ack = text.starts_with(&ack)
                || text.starts_with("46")
                    && text.split_once('-').is_some_and(|(_, rest)| rest.starts_with(&with_bytes));
            is_ack.then(|| text.to_owned())
        })?;
        if !text.starts_with("46") {
            return Ok((text, None));
        }
        ensure!(text.starts_with("461-"), "{event:?} is answered with more than one attachment");
        match self.next("the attachment of an acknowledgement", Instant::now() + self.patience)? {
            Message::Binary(bytes) => Ok((text, Some(bytes))),
            Message::Text(text) => bail!("instead of an attachment came {:?}", shortened(&text)),
        }
    }

    /// Sends an event and learns the packet in which its payload comes back.
    pub(super) fn delivery(
        &mut self,
        event: &str,
        packet: &str,
        payload: &str,
        digits: usize,
    ) -> anyhow::Result<Answer> {
        let first = self.delivered(event, packet, payload)?;
        let second = self.delivered(event, packet, payload)?;
        let at = first.find(payload).context("a delivery without its payload")?;
        Ok(Answer::learned([&first, &second], at, digits, payload.len() - digits + 1, None))
    }

    fn delivered(&mut self, event: &str, packet: &str, payload: &str) -> anyhow::Result<String> {
        self.say(&words::text(packet))?;
        self.wait(&format!("the payload of {event:?} to come back"), |text| {
            (text.starts_with("42") && text.contains(payload)).then(|| text.to_owned())
        })
    }

    /// Sends an event and waits for its acknowledgement, whatever is in it.
    pub(super) fn call(&mut self, event: &str, packet: &dyn Fn(&str) -> String) -> anyhow::Result<()> {
        self.acknowledged(event, packet, None, "1000").map(|_| ())
    }

    fn say(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).context("the connection broke while writing")
    }

    /// The first text that `choose` takes.
    fn wait<T>(&mut self, what: &str, choose: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Message::Text(text) = self.next(what, deadline)? {
                if let Some(chosen) = choose(&text) {
                    return Ok(chosen);
                }
                if text.starts_with("41") {
                    bail!("the server disconnected us while we waited for {what}");
                }
            }
        }
    }

    fn next(&mut self, what: &str, deadline: Instant) -> anyhow::Result<Message> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(message) = self.received.pop_front() {
                return Ok(message);
            }
            // A server that talks all the time, if only of heartbeats, does not keep us here.
            ensure!(Instant::now() < deadline, "waited {:?} in vain for {what}", self.patience);
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the server hung up while we waited for {what}"),
                Ok(count) => self.take(buffer[..count].to_vec())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    bail!("waited {:?} in vain for {what}", self.patience)
                }
                Err(error) => {
                    return Err(
                        anyhow!(error).context(format!("the connection broke while we waited for {what}"))
                    );
                }
            }
        }
    }

    fn take(&mut self, mut bytes: Vec<u8>) -> anyhow::Result<()> {
        let mut input = bytes.as_mut_slice();
        while !input.is_empty() {
            let (taken, event) = self.reader.read(input).context("the server does not speak WebSocket")?;
            match event {
                Some(Event::Text(text)) if text == "2" => {
                    self.stream.write_all(&words::text("3")).context("the connection broke")?;
                }
                Some(Event::Text(text)) => self.received.push_back(Message::Text(text.into_owned())),
                Some(Event::Binary(bytes)) => self.received.push_back(Message::Binary(bytes.into_owned())),
                Some(Event::Ping(payload)) => {
                    self.stream
                        .write_all(words::pong(&payload).as_slice())
                        .context("the connection broke")?;
                }
                Some(Event::Close(_)) => bail!("the server closed the WebSocket"),
                Some(Event::Pong(_)) | None => {}
            }
            input = &mut input[taken..];
        }
        Ok(())
    }
}

/// A blocking connection to the target.
fn connect(
    target: &Target,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
) -> anyhow::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect_timeout(&target.address, patience)
        .with_context(|| format!("no connection to {}: is the server running?", target.address))?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    socket.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(socket)),
        Some(config) => {
            let name = ServerName::try_from(target.host.clone()).context("no name for a certificate")?;
            let session = ClientConnection::new(config, name)?;
            Ok(Box::new(StreamOwned::new(session, socket)))
        }
    }
}

/// Reads the answer to the upgrade; what came behind its head is the connection's first bytes.
fn upgraded(stream: &mut dyn Stream) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => bail!("the server hung up on the request for a WebSocket; is this an HTTP server?"),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_timeout(&error) => {
                bail!("the server does not answer the request for a WebSocket")
            }
            Err(error) => return Err(tls_or(error, "no answer to the request for a WebSocket")),
        };
        bytes.extend_from_slice(&buffer[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&bytes) {
            Ok(httparse::Status::Partial) if bytes.len() < 64 << 10 => {}
            Ok(httparse::Status::Complete(end)) => {
                let status = response.code.unwrap_or_default();
                let headers = response.headers.iter().map(|header| (header.name, header.value));
                if let Err(fault) =
                    handshake::check_response(status, headers, &words::upgrade_key(), &[], None)
                {
                    let body = String::from_utf8_lossy(&bytes[end..]);
                    bail!(
                        "no Socket.IO at this address and path: {fault}, {:?} (--path says where it is served, \
                         `/socket.io/` unless told otherwise)",
                        shortened(&body)
                    );
                }
                return Ok(bytes.split_off(end));
            }
            _ => bail!("the server does not speak HTTP: {:?}", shortened(&String::from_utf8_lossy(&bytes))),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// TLS says what it does not like when the first bytes go through it.
fn tls_or(error: io::Error, what: &'static str) -> anyhow::Error {
    match error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        true => anyhow!(error).context("TLS (--ca names an authority to trust, --insecure trusts anybody)"),
        false => anyhow!(error).context(what),
    }
}
