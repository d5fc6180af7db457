//! The streams adapter: what must not be lost is an entry of a Redis stream, questions and answers are published as in
//! [`adapter`], as MessagePack, on the channels of [`sharded::Channels`](super::sharded::Channels).
//!
//! Here are the entries, the names of several streams, and what connection state recovery keeps beside them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::raw::Raw;
use super::read::{Reader, string};
use super::tree::Tree;
use super::{Body, EMITTER, Limits, Message, Refused, Unsayable, adapter, write};
use crate::engine::base64;
use crate::socket::Payload;

/// Whether a message goes into the stream. All others are published.
pub fn is_durable(message: &Message) -> bool {
    match message.body {
        Body::Broadcast { request: None, .. }
        | Body::Join { .. }
        | Body::Leave { .. }
        | Body::Disconnect { .. } => true,
        // Emitters know nothing else.
        Body::ServerEvent { request: None, .. } => message.from.as_deref() == Some(EMITTER),
        _ => false,
    }
}

/// The fields of an entry, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// `uid`.
    pub from: String,
    /// `nsp`.
    pub namespace: String,
    /// `type`.
    pub kind: String,
    /// `data`, if there is any: JSON, or base64 of MessagePack.
    pub data: Option<String>,
}

impl Fields {
    /// What to add to the stream for a message. With `plain_text`, binary values are spelled out in JSON, and the
    /// receivers' clients get objects instead.
    ///
    /// # Errors
    /// If the protocol has no such message, or it does not say whom it is from.
    pub fn of(message: &Message, plain_text: bool) -> Result<Fields, Unsayable> {
        let (kind, data) = adapter::data(message)?;
        let data =
            data.map(|data| if data.has_binary() && !plain_text { data.to_base64() } else { data.to_json() });
        Ok(Fields {
            from: message.from.as_deref().ok_or(Unsayable)?.to_owned(),
            namespace: message.namespace.to_string(),
            kind: kind.to_string(),
            data,
        })
    }

    /// Names and values, as they are given to `XADD`.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let data = self.data.as_deref().map(|data| ("data", data));
        [("uid", &*self.from), ("nsp", &*self.namespace), ("type", &*self.kind)].into_iter().chain(data)
    }
}

/// Reads an entry. Nothing, if it is not one of a server: it names no namespace.
///
/// # Errors
/// See [`Refused`].
pub fn decode<'a>(
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    limits: &Limits,
) -> Result<Option<Message>, Refused> {
    let (mut from, mut namespace, mut kind, mut data) = (None, None, None, None);
    for (name, value) in fields {
        match name {
            b"uid" => from = Some(value),
            b"nsp" => namespace = Some(value),
            b"type" => kind = Some(value),
            b"data" => data = Some(value),
            _ => {}
        }
    }
    let Some(namespace) = namespace else { return Ok(None) };
    let text = |value: Option<&[u8]>, what| match value {
        Some(value) if value.len() > limits.message => Err(Refused::TooLarge),
        Some(value) => Ok(Arc::<str>::from(String::from_utf8_lossy(value))),
        None => Err(Refused::Field(what)),
    };
    let kind = text(kind, "type")?.parse().map_err(|_| Refused::Field("type"))?;
    let unpacked;
    let data = match data {
        Some(json @ [b'{', ..]) => Some(Raw::message(json, limits)?),
        Some(text) => {
            unpacked = unpack(text, limits)?;
            Some(Raw::msgpack(&unpacked, limits)?)
        }
        None => None,
    };
    Ok(Some(Message {
        from: Some(text(from, "uid")?),
        namespace: text(Some(namespace), "nsp")?,
        body: adapter::body(kind, data, limits)?,
    }))
}

fn unpack(text: &[u8], limits: &Limits) -> Result<Vec<u8>, Refused> {
    if text.len() > base64::encoded_len(limits.message) {
        return Err(Refused::TooLarge);
    }
    std::str::from_utf8(text).ok().and_then(base64::decode).ok_or(Refused::Malformed)
}

/// The stream to which a namespace's messages are added, of `count` streams.
///
/// Where the hash is negative, Node's adapter writes to a stream that it never reads. Every server reads all the
/// streams with proper numbers and goes by the namespace in the entry, so a proper number is right.
pub fn stream_of(name: &str, count: u32, namespace: &str) -> String {
    match hash(namespace).unsigned_abs().checked_rem(count) {
        Some(number) if count > 1 => format!("{name}-{number}"),
        _ => name.to_owned(),
    }
}

/// The streams to be read: all of `count`, and those to which Node's servers write where the hash is negative.
pub fn streams(name: &str, count: u32) -> Vec<String> {
    if count <= 1 {
        return vec![name.to_owned()];
    }
    let proper = (0..count).map(|number| format!("{name}-{number}"));
    proper.chain((1..count).map(|number| format!("{name}--{number}"))).collect()
}

/// The hash that distributes namespaces, over UTF-16 units.
pub fn hash(namespace: &str) -> i32 {
    namespace.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// Where an entry stands in its stream: what clients remember of a recoverable connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    /// Milliseconds since 1970, by the clock of Redis.
    pub time: u64,
    /// Among those of one millisecond.
    pub sequence: u64,
}

impl Offset {
    /// Where to go on reading: the first that may come after it. None after the last of all.
    pub fn next(self) -> Option<Offset> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(Offset { sequence, ..self }),
            None => Some(Offset { time: self.time.checked_add(1)?, sequence: 0 }),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.time, self.sequence)
    }
}

impl FromStr for Offset {
    type Err = Refused;

    /// Digits, a minus and digits, and nothing else: it comes from clients and becomes part of a command.
    fn from_str(text: &str) -> Result<Offset, Refused> {
        let number = |digits: &str| {
            let proper = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| proper).ok_or(Refused::Field("offset"))
        };
        let (time, sequence) = text.split_once('-').ok_or(Refused::Field("offset"))?;
        Ok(Offset { time: number(time)?, sequence: number(sequence)? })
    }
}

/// What is kept of a socket whose connection was lost, so that any server can take it up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The socket's id.
    pub sid: Arc<str>,
    /// The private id by which the client asks for it: the key's name, and a secret.
    pub pid: Arc<str>,
    /// Its rooms.
    pub rooms: Vec<Arc<str>>,
    /// What the application keeps with it: one value, or none.
    pub data: Payload,
}

impl Session {
    /// As the value of a key: base64 of MessagePack.
    pub fn encode(&self) -> String {
        let mut members = vec![
            ("sid", Tree::text(&self.sid)),
            ("pid", Tree::text(&self.pid)),
            ("rooms", write::names(&self.rooms)),
        ];
        members.extend(Tree::first(&self.data).map(|data| ("data", data)));
        Tree::Map(members).to_base64()
    }

    /// Reads the value of such a key.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn decode(value: &[u8], limits: &Limits) -> Result<Session, Refused> {
        let bytes = unpack(value, limits)?;
        let [sid, pid, rooms, data] =
            Raw::msgpack(&bytes, limits)?.fields("session", ["sid", "pid", "rooms", "data"])?;
        let mut reader = Reader::new(limits);
        Ok(Session {
            sid: string(sid, "sid")?,
            pid: string(pid, "pid")?,
            rooms: reader.names(rooms, "rooms")?,
            data: reader.value(data)?,
        })
    }
}
