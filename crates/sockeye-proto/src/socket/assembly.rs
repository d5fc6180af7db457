//! The text of a packet in the JSON dialects: read as a whole, or as the first part of one with attachments.

use std::borrow::Cow;

use bytes::Bytes;

use super::json::{self, Wanted};
use super::payload::{canonical_text, in_order};
use super::{Arguments, Body, Limits, Packet, Protocol, Violation};

/// The largest integer that JavaScript counts exactly, 2^53−1.
pub(super) const MAX_ID: u64 = (1 << 53) - 1;

/// What a text message turned out to be.
pub(super) enum Read<'a> {
    Packet(Packet<'a>),
    /// The rest of it follows as attachments.
    Announced(Box<Assembly>),
}

/// A packet whose attachments are not all here yet.
#[derive(Debug)]
pub(super) struct Assembly {
    namespace: Box<str>,
    id: Option<u64>,
    /// The name, for an event.
    name: Option<Box<str>>,
    text: String,
    start: usize,
    surrogates: bool,
    placeholders: Vec<json::Placeholder>,
    /// As they come: by number, not yet in the order of their placeholders.
    attachments: Vec<Bytes>,
    bytes: usize,
}

/// Reads a text message:
///
/// ```text
/// packet = type [ count "-" ] [ namespace "," ] [ id ] [ json ]
/// ```
///
/// A namespace may stand without its comma if nothing follows it.
pub(super) fn read<'a>(text: &'a str, protocol: Protocol, limits: &Limits) -> Result<Read<'a>, Violation> {
    let (kind, rest) = text.split_at_checked(1).ok_or(Violation::PacketType)?;
    let is_binary = matches!(kind, "5" | "6");
    let (count, rest) = if is_binary { attachment_count(rest, limits)? } else { (0, rest) };
    let (namespace, rest) = namespace(rest);
    // Servers of socket.io 2 say why with whatever they have, and a number looks like an id.
    let (id, rest) = match (kind, protocol) {
        ("4", Protocol::V4) => (None, rest),
        _ => packet_id(rest)?,
    };

    if kind == "0" {
        if id.is_some() {
            return Err(Violation::Id);
        }
        return connect(namespace, rest, protocol, limits).map(Read::Packet);
    }
    check_namespace(namespace, limits)?;
    let arguments = |named: bool| {
        let name = named.then_some(limits.event_name);
        json::array(rest, Wanted { name, attachments: count, depth: limits.depth })
    };
    let body = match kind {
        "1" if id.is_none() && rest.is_empty() => Body::Disconnect,
        "1" => return Err(Violation::Payload),
        "2" => {
            let array = arguments(true)?;
            let text = Cow::Borrowed(array.text);
            let args = Arguments::new(text, array.start, true, array.surrogates, Cow::Borrowed(&[]));
            Body::Event { id, name: array.name, args }
        }
        "3" => {
            let id = id.ok_or(Violation::Id)?;
            let array = arguments(false)?;
            let text = Cow::Borrowed(array.text);
            let args = Arguments::new(text, array.start, false, array.surrogates, Cow::Borrowed(&[]));
            Body::Ack { id, args }
        }
        "4" if id.is_none() => Body::ConnectError(connect_error(rest, protocol, limits)?),
        "4" => return Err(Violation::Id),
        "5" | "6" => {
            let is_event = kind == "5";
            if !is_event && id.is_none() {
                return Err(Violation::Id);
            }
            let array = arguments(is_event)?;
            return Ok(Read::Announced(Box::new(Assembly {
                namespace: namespace.into(),
                id,
                name: is_event.then(|| array.name.as_ref().into()),
                text: canonical_text(&array),
                start: array.start,
                surrogates: array.surrogates,
                placeholders: array.placeholders,
                attachments: Vec::new(),
                bytes: 0,
            })));
        }
        _ => return Err(Violation::PacketType),
    };
    Ok(Read::Packet(Packet { namespace: Cow::Borrowed(namespace), body }))
}

impl Assembly {
    pub(super) fn attach(&mut self, data: Cow<'_, [u8]>, limits: &Limits) -> Result<(), Violation> {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > limits.attachment_bytes {
            return Err(Violation::AttachmentsTooLarge);
        }
        self.attachments.push(match data {
            Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        });
        Ok(())
    }

    pub(super) fn is_complete(&self) -> bool {
        self.attachments.len() >= self.placeholders.len()
    }

    /// Placeholders were counted and checked when the text came, so nothing can be wrong any more.
    pub(super) fn finish(self) -> Packet<'static> {
        let attachments = in_order(&self.placeholders, self.attachments);
        let (text, named) = (Cow::Owned(self.text), self.name.is_some());
        let args = Arguments::new(text, self.start, named, self.surrogates, Cow::Owned(attachments));
        let body = match self.name {
            Some(name) => Body::Event { id: self.id, name: Cow::Owned(name.into()), args },
            None => Body::Ack { id: self.id.unwrap_or_default(), args },
        };
        Packet { namespace: Cow::Owned(self.namespace.into()), body }
    }
}

/// A CONNECT, whose namespace may be nonsense: that is answered, where everything else closes the session.
pub(super) fn connect<'a>(
    namespace: &'a str,
    payload: &'a str,
    protocol: Protocol,
    limits: &Limits,
) -> Result<Packet<'a>, Violation> {
    let (namespace, query) = match (protocol, namespace.split_once('?')) {
        (Protocol::V4, Some((namespace, query))) => (namespace, Some(Cow::Borrowed(query))),
        // In protocol 5 the question mark is part of the name.
        _ => (namespace, None),
    };
    let auth = match payload {
        "" => None,
        _ if payload.starts_with('{') => Some(Cow::Borrowed(json::value(payload, limits.depth)?)),
        _ => return Err(Violation::Payload),
    };
    Ok(match check_namespace(namespace, limits) {
        Ok(()) => Packet { namespace: Cow::Borrowed(namespace), body: Body::Connect { auth, query } },
        Err(_) => {
            Packet { namespace: Cow::Borrowed(presentable(namespace, limits)), body: Body::InvalidNamespace }
        }
    })
}

/// Refuses names that are too long or contain control characters.
pub(super) fn check_namespace(namespace: &str, limits: &Limits) -> Result<(), Violation> {
    let is_fine = namespace.starts_with('/')
        && namespace.len() <= limits.namespace
        && !namespace.contains(|character: char| character.is_control());
    if is_fine { Ok(()) } else { Err(Violation::Namespace) }
}

/// As much of a bad name as can be said back: control characters would break the framing of a polling body.
fn presentable<'a>(namespace: &'a str, limits: &Limits) -> &'a str {
    let clean = namespace.split(char::is_control).next().unwrap_or("");
    let mut end = clean.len().min(limits.namespace);
    while !clean.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    match clean.get(..end) {
        None | Some("") => "/",
        Some(clean) => clean,
    }
}

/// Protocol 5 wants an object, or a string as an old custom server sends it; in protocol 4 any value will do.
fn connect_error<'a>(
    payload: &'a str,
    protocol: Protocol,
    limits: &Limits,
) -> Result<Option<Cow<'a, str>>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    if protocol == Protocol::V5 && !payload.starts_with(['{', '"']) {
        return Err(Violation::Payload);
    }
    json::value(payload, limits.depth).map(|data| Some(Cow::Borrowed(data)))
}

/// `count "-"`, of digits only: the reference takes `1e0-` and ` 1-` for one, too.
fn attachment_count<'a>(text: &'a str, limits: &Limits) -> Result<(usize, &'a str), Violation> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).ok_or(Violation::AttachmentCount)?;
    let rest = rest.strip_prefix('-').ok_or(Violation::AttachmentCount)?;
    if digits.is_empty() || digits.starts_with('0') {
        return Err(Violation::AttachmentCount);
    }
    // What does not fit is too many for certain.
    match digits.parse() {
        Ok(count) if count <= limits.attachments => Ok((count, rest)),
        _ => Err(Violation::TooManyAttachments),
    }
}

fn namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return ("/", text);
    }
    text.split_once(',').unwrap_or((text, ""))
}

fn packet_id(text: &str) -> Result<(Option<u64>, &str), Violation> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).ok_or(Violation::Id)?;
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(id) if id <= MAX_ID => Ok((Some(id), rest)),
        _ => Err(Violation::Id),
    }
}
