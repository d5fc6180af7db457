//! From packets to messages.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::{Dialect, EncodeError, Payload, Protocol, json, msgpack, write};
use crate::engine::{Message, MessageBuilder};

/// A packet to send.
#[derive(Debug, Clone, Copy)]
pub struct PacketOut<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// Its type, and what that type carries.
    pub body: Out<'a>,
    /// Whether a transport may compress it. The reference's default is true.
    pub compress: bool,
}

/// The types of packet, outward. Binary types follow from the payload's attachments.
#[derive(Debug, Clone, Copy)]
pub enum Out<'a> {
    /// Type 0, with JSON text of an object: a server's `{"sid":…}`, or a client's `auth`. In protocol 4 a CONNECT
    /// carries nothing, and the text is left out.
    Connect(Option<&'a str>),
    /// Type 1.
    Disconnect,
    /// Type 2 or 5.
    Event {
        /// Asks for an acknowledgement; 0 to 2^53−1.
        id: Option<u64>,
        /// Made by [`Payload::event`].
        payload: &'a Payload,
    },
    /// Type 3 or 6.
    Ack {
        /// The id of the event that is answered.
        id: u64,
        /// Made by [`Payload::args`].
        payload: &'a Payload,
    },
    /// Type 4. Protocol 5 sends `{"message":…,"data":…}`; protocol 4 sends `data` alone, or else the message.
    ConnectError {
        /// What a JavaScript client finds in `err.message`.
        message: &'a str,
        /// JSON text for `err.data`.
        data: Option<&'a str>,
    },
}

/// A packet as ready messages: one, and then its attachments. Cloning it copies no payload.
#[derive(Debug, Clone)]
pub struct Encoded {
    first: Message,
    attachments: Option<Arc<[Message]>>,
}

impl Encoded {
    /// A packet that is one message.
    pub fn single(message: Message) -> Encoded {
        Encoded { first: message, attachments: None }
    }

    /// A packet and the messages that follow it.
    pub fn with_attachments(first: Message, attachments: Vec<Message>) -> Encoded {
        Encoded { first, attachments: (!attachments.is_empty()).then(|| attachments.into()) }
    }

    /// The message, if it is one.
    ///
    /// # Errors
    /// The packet itself, if attachments follow.
    pub fn into_single(self) -> Result<Message, Encoded> {
        if self.attachments.is_none() { Ok(self.first) } else { Err(self) }
    }

    /// The first message.
    pub fn first(&self) -> &Message {
        &self.first
    }

    /// The messages that must follow the first, with nothing in between.
    pub fn attachments(&self) -> &[Message] {
        self.attachments.as_deref().unwrap_or(&[])
    }

    /// All messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> + Clone {
        std::iter::once(&self.first).chain(self.attachments())
    }
}

/// Any packet, in any dialect.
///
/// # Errors
/// [`EncodeError::Json`] if a text of the packet is not what its place needs and the dialect has to look into it;
/// a [custom parser](Dialect::Custom) may refuse anything.
pub fn encode(packet: &PacketOut<'_>, dialect: &Dialect) -> Result<Encoded, EncodeError> {
    match dialect {
        Dialect::Json(protocol) => Ok(json_packet(packet, *protocol)),
        Dialect::Msgpack(protocol) => msgpack::encode(packet, *protocol),
        Dialect::Custom(parser) => parser.encode(packet),
    }
}

/// An event for one receiver, serialized straight into its message: without a [`Payload`] in between where
/// the dialect is JSON.
///
/// # Errors
/// As [`Payload::event`].
pub fn encode_event(
    namespace: &str,
    id: Option<u64>,
    name: &str,
    args: &(impl Serialize + ?Sized),
    dialect: &Dialect,
    compress: bool,
) -> Result<Encoded, EncodeError> {
    match dialect {
        Dialect::Json(protocol) => straight(namespace, id, Some(name), args, *protocol, compress),
        _ => {
            let payload = &Payload::event(name, args)?;
            encode(&PacketOut { namespace, body: Out::Event { id, payload }, compress }, dialect)
        }
    }
}

/// An acknowledgement, serialized straight into its message: without a [`Payload`] in between where the
/// dialect is JSON.
///
/// # Errors
/// As [`Payload::args`].
pub fn encode_ack(
    namespace: &str,
    id: u64,
    args: &(impl Serialize + ?Sized),
    dialect: &Dialect,
    compress: bool,
) -> Result<Encoded, EncodeError> {
    match dialect {
        Dialect::Json(protocol) => straight(namespace, Some(id), None, args, *protocol, compress),
        _ => {
            let payload = &Payload::args(args)?;
            encode(&PacketOut { namespace, body: Out::Ack { id, payload }, compress }, dialect)
        }
    }
}

/// A server's answer to a CONNECT: `0{"sid":…}`, with `pid` when connection state recovery is on. Protocol 4
/// answers without either.
///
/// # Errors
/// Only a [custom parser](Dialect::Custom) refuses a packet.
pub fn connected(
    namespace: &str,
    sid: &str,
    pid: Option<&str>,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    let capacity = 32_usize.saturating_add(sid.len()).saturating_add(pid.map_or(0, str::len));
    let mut data = String::with_capacity(capacity);
    data.push_str("{\"sid\":");
    push_string(&mut data, sid);
    if let Some(pid) = pid {
        data.push_str(",\"pid\":");
        push_string(&mut data, pid);
    }
    data.push('}');
    encode(&PacketOut { namespace, body: Out::Connect(Some(&data)), compress: true }, dialect)
}

/// A server's refusal of a CONNECT. `data` is JSON text.
///
/// # Errors
/// As [`encode`], for `data`.
pub fn connection_refused(
    namespace: &str,
    message: &str,
    data: Option<&str>,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    encode(&PacketOut { namespace, body: Out::ConnectError { message, data }, compress: true }, dialect)
}

/// A DISCONNECT.
///
/// # Errors
/// Only a [custom parser](Dialect::Custom) refuses a packet.
pub fn disconnected(namespace: &str, dialect: &Dialect) -> Result<Encoded, EncodeError> {
    encode(&PacketOut { namespace, body: Out::Disconnect, compress: true }, dialect)
}

/// What a CONNECT_ERROR carries, as JSON text.
pub(super) fn refusal(message: &str, data: Option<&str>, protocol: Protocol) -> String {
    let mut text = String::new();
    match (protocol, data) {
        (Protocol::V5, data) => {
            text.push_str("{\"message\":");
            push_string(&mut text, message);
            if let Some(data) = data {
                text.push_str(",\"data\":");
                text.push_str(data);
            }
            text.push('}');
        }
        // `err.data || err.message` in JavaScript, hence its idea of what is false.
        (Protocol::V4, Some(data)) if !matches!(data.trim(), "" | "null" | "false" | "0" | "\"\"") => {
            text.push_str(data);
        }
        (Protocol::V4, _) => push_string(&mut text, message),
    }
    text
}

fn json_packet(packet: &PacketOut<'_>, protocol: Protocol) -> Encoded {
    let namespace = packet.namespace;
    let refusal_text;
    let none: &[Bytes] = &[];
    let (kind, id, text, attachments) = match packet.body {
        Out::Connect(data) => {
            (b'0', None, data.filter(|_| protocol == Protocol::V5).unwrap_or_default(), none)
        }
        Out::Disconnect => (b'1', None, "", none),
        Out::Event { id, payload } => (b'2', id, payload.text(), payload.attachments()),
        Out::Ack { id, payload } => (b'3', Some(id), payload.text(), payload.attachments()),
        Out::ConnectError { message, data } => {
            refusal_text = refusal(message, data, protocol);
            (b'4', None, refusal_text.as_str(), none)
        }
    };
    // Exactly as much as it takes (where nothing has to be escaped): a vector that is full becomes `Bytes` for free.
    let header = header_len(attachments.len(), namespace, id);
    let mut message = MessageBuilder::with_capacity(text.len().saturating_add(header));
    push_header(&mut message, kind, attachments.len(), namespace, id);
    match protocol {
        Protocol::V5 => message.push_str(text),
        Protocol::V4 => {
            // Writing into memory does not fail.
            let _ = json::write_ascii(text, &mut message);
        }
    }
    finish(message, attachments.iter().cloned(), packet.compress)
}

/// Serializes into the message itself. Only attachments make a second copy of the text necessary: their number
/// stands before it.
fn straight(
    namespace: &str,
    id: Option<u64>,
    name: Option<&str>,
    args: &(impl Serialize + ?Sized),
    protocol: Protocol,
    compress: bool,
) -> Result<Encoded, EncodeError> {
    let kind = if name.is_some() { b'2' } else { b'3' };
    let ascii = protocol == Protocol::V4;
    let mut message = MessageBuilder::with_capacity(namespace.len().saturating_add(96));
    push_header(&mut message, kind, 0, namespace, id);
    let header = message.len();
    let attachments = write::array(&mut message, name, args, ascii)?;
    if !attachments.is_empty() {
        let text = message.payload().get(header..).unwrap_or_default();
        let mut whole = MessageBuilder::with_capacity(message.len().saturating_add(24));
        push_header(&mut whole, kind, attachments.len(), namespace, id);
        whole.push_bytes(text);
        message = whole;
    }
    Ok(finish(message, attachments.into_iter(), compress))
}

fn push_header(message: &mut MessageBuilder, kind: u8, attachments: usize, namespace: &str, id: Option<u64>) {
    if attachments == 0 {
        message.push_bytes(&[kind]);
    } else {
        // Events and acknowledgements are 2 and 3, their binary forms 5 and 6.
        message.push_bytes(&[kind.saturating_add(3)]);
        message.push_str(itoa::Buffer::new().format(attachments));
        message.push_str("-");
    }
    if namespace != "/" {
        message.push_str(namespace);
        message.push_str(",");
    }
    if let Some(id) = id {
        message.push_str(itoa::Buffer::new().format(id));
    }
}

/// What [`push_header`] takes.
fn header_len(attachments: usize, namespace: &str, id: Option<u64>) -> usize {
    let digits =
        |number: u64| usize::try_from(number.checked_ilog10().unwrap_or(0)).unwrap_or(0).saturating_add(1);
    let count = if attachments == 0 { 0 } else { digits(attachments as u64).saturating_add(1) };
    let namespace = if namespace == "/" { 0 } else { namespace.len().saturating_add(1) };
    1_usize.saturating_add(count).saturating_add(namespace).saturating_add(id.map_or(0, digits))
}

fn finish(message: MessageBuilder, attachments: impl Iterator<Item = Bytes>, compress: bool) -> Encoded {
    let attachments = attachments.map(|bytes| Message::binary(bytes).with_compress(compress)).collect();
    Encoded::with_attachments(message.finish().with_compress(compress), attachments)
}

/// A string as JSON. Ids and messages are plain in practice; whatever they hold, the result is JSON.
fn push_string(text: &mut String, value: &str) {
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}
