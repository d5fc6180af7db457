//! Many packets in the body of one polling request or response.
//!
//! Read lazily, one packet at a time out of the body: half a million two-byte packets cost no list of half a
//! million. Written for as many queued messages as fit a size, whole ones only.
//!
//! | form | looks like |
//! |---|---|
//! | revision 4 | `4hello␞2␞bAQID` |
//! | revision 3, text | `6:4hello1:26:b4AQID` (counted in UTF-16 units) |
//! | revision 3, binary | `00 06 ff 34 68 65 6c 6c 6f  01 04 ff 04 01 02 03` (counted in bytes) |

use super::{Control, DecodeError, Kind, Message, Packet, Protocol, base64, decode_binary, decode_text};

/// Between the packets of a revision 4 payload.
const SEPARATOR: u8 = 0x1e;

/// How a body is to be read, or was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// `text/plain; charset=UTF-8`
    Text,
    /// `application/octet-stream`, in revision 3 only.
    Binary,
}

/// The packets of a body, lazily. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    rest: Rest<'a>,
}

#[derive(Clone, Debug)]
enum Rest<'a> {
    Separated(&'a str),
    Counted(&'a str),
    Framed(&'a [u8]),
    Broken(DecodeError),
    Done,
}

impl<'a> Payload<'a> {
    /// A text payload. An empty one is an error, not an empty list.
    pub fn text(text: &'a str, protocol: Protocol) -> Payload<'a> {
        let rest = match (text.is_empty(), protocol) {
            (true, _) => Rest::Broken(DecodeError::Empty),
            (false, Protocol::V4) => Rest::Separated(text),
            (false, Protocol::V3) => Rest::Counted(text),
        };
        Payload { rest }
    }

    /// A binary payload, which only revision 3 has. An empty one is an empty list.
    pub fn binary(bytes: &'a [u8]) -> Payload<'a> {
        Payload { rest: Rest::Framed(bytes) }
    }

    /// The body of a POST: text unless it was announced as binary. A body that should be text and is not UTF-8 is
    /// an error.
    pub fn body(body: &'a [u8], content: Content, protocol: Protocol) -> Payload<'a> {
        match (content, core::str::from_utf8(body)) {
            (Content::Binary, _) => Payload::binary(body),
            (Content::Text, Ok(text)) => Payload::text(text, protocol),
            (Content::Text, Err(_)) => Payload { rest: Rest::Broken(DecodeError::Utf8) },
        }
    }

    /// How many bytes at the end of the body have not been looked at; `None` when nothing more will come.
    ///
    /// For a driver that has to stop in the middle: a payload of that tail goes on where this one stopped.
    pub fn unread(&self) -> Option<usize> {
        match self.rest {
            Rest::Separated(text) => Some(text.len()),
            Rest::Counted(text) => Some(text.len()).filter(|&len| len > 0),
            Rest::Framed(bytes) => Some(bytes.len()).filter(|&len| len > 0),
            Rest::Broken(_) => Some(0),
            Rest::Done => None,
        }
    }
}

impl<'a> Iterator for Payload<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match core::mem::replace(&mut self.rest, Rest::Done) {
            Rest::Separated(text) => {
                let packet = match memchr::memchr(SEPARATOR, text.as_bytes())
                    .and_then(|at| text.split_at_checked(at))
                {
                    Some((packet, rest)) => {
                        self.rest = Rest::Separated(rest.get(1..).unwrap_or_default());
                        packet
                    }
                    None => text,
                };
                decode_text(packet, Protocol::V4)
            }
            Rest::Counted(text) => match counted(text) {
                Ok(None) => return None,
                Ok(Some((packet, rest))) => {
                    self.rest = Rest::Counted(rest);
                    decode_text(packet, Protocol::V3)
                }
                Err(error) => Err(error),
            },
            Rest::Framed(bytes) => match framed(bytes) {
                Ok(None) => return None,
                Ok(Some((Framed::Text(packet), rest))) => {
                    self.rest = Rest::Framed(rest);
                    decode_text(packet, Protocol::V3)
                }
                Ok(Some((Framed::Binary(packet), rest))) => {
                    self.rest = Rest::Framed(rest);
                    decode_binary(packet, Protocol::V3)
                }
                Err(error) => Err(error),
            },
            Rest::Broken(error) => Err(error),
            Rest::Done => return None,
        };
        if item.is_err() {
            self.rest = Rest::Done;
        }
        Some(item)
    }
}

/// Takes one packet off a counted payload. Empty ones mean nothing and are passed over, as in the reference.
fn counted(mut text: &str) -> Result<Option<(&str, &str)>, DecodeError> {
    while !text.is_empty() {
        let colon = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at_checked(colon).ok_or(DecodeError::Length)?;
        let rest = rest.strip_prefix(':').ok_or(DecodeError::Length)?;
        let units = digits.parse::<usize>().map_err(|_| DecodeError::Length)?;
        let (packet, rest) = split_at_unit(rest, units).ok_or(DecodeError::Length)?;
        if !packet.is_empty() {
            return Ok(Some((packet, rest)));
        }
        text = rest;
    }
    Ok(None)
}

/// Splits after so many UTF-16 units. `None` if there are fewer, or if the place is inside a character.
fn split_at_unit(text: &str, units: usize) -> Option<(&str, &str)> {
    // In ASCII, which is what nearly everybody sends, a unit is a byte.
    if text.as_bytes().get(..units).is_some_and(<[u8]>::is_ascii) {
        return text.split_at_checked(units);
    }
    let mut left = units;
    for (at, char) in text.char_indices() {
        if left == 0 {
            return text.split_at_checked(at);
        }
        left = left.checked_sub(char.len_utf16())?;
    }
    (left == 0).then_some((text, ""))
}

enum Framed<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// Takes one packet off a binary payload: `00` (text) or `01`, the length in decimal, a byte per digit, `ff`, the
/// packet.
fn framed(bytes: &[u8]) -> Result<Option<(Framed<'_>, &[u8])>, DecodeError> {
    let Some((&kind, mut rest)) = bytes.split_first() else { return Ok(None) };
    let mut len: Option<usize> = None;
    loop {
        let (&digit, after) = rest.split_first().ok_or(DecodeError::Length)?;
        rest = after;
        if digit == 0xff {
            break;
        }
        let so_far = len.unwrap_or(0).checked_mul(10).ok_or(DecodeError::Length)?;
        len = so_far.checked_add(usize::from(digit)).filter(|_| digit < 10);
        if len.is_none() {
            return Err(DecodeError::Length);
        }
    }
    let (packet, rest) = len.and_then(|len| rest.split_at_checked(len)).ok_or(DecodeError::Length)?;
    match kind {
        0 => {
            let text = core::str::from_utf8(packet).map_err(|_| DecodeError::Utf8)?;
            Ok(Some((Framed::Text(text), rest)))
        }
        1 => Ok(Some((Framed::Binary(packet), rest))),
        _ => Err(DecodeError::UnknownType),
    }
}

/// The forms in which payloads can be written for a session; fixed by its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Separated text.
    V4,
    /// Counted text, binary as base64.
    V3Text,
    /// Counted text, but framed binary as soon as one packet is binary.
    V3Binary,
}

impl Form {
    /// The form for a client. `b64`: its query said it cannot take binary. `jsonp`: it wants JSONP, which cannot.
    pub fn new(protocol: Protocol, b64: bool, jsonp: bool) -> Form {
        match protocol {
            Protocol::V4 => Form::V4,
            Protocol::V3 if b64 || jsonp => Form::V3Text,
            Protocol::V3 => Form::V3Binary,
        }
    }

    /// At most how many bytes a message takes in a payload of this form.
    pub fn size_of(self, message: &Message) -> usize {
        let len = message.payload_len();
        let packet = match (message.is_binary(), self) {
            (false, _) => len.saturating_add(1),
            (true, Form::V4) => base64::encoded_len(len).saturating_add(1),
            (true, Form::V3Text | Form::V3Binary) => base64::encoded_len(len).saturating_add(2),
        };
        // The separator; or the count's digits and what stands around them.
        packet.saturating_add(match self {
            Form::V4 => 1,
            Form::V3Text | Form::V3Binary => digits(packet).saturating_add(2),
        })
    }
}

/// A payload ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPayload {
    /// The body. UTF-8 if it is text.
    pub body: Vec<u8>,
    /// Which it is.
    pub content: Content,
    /// How many of the messages it carries, from the first on.
    pub taken: usize,
    /// Whether one of the messages it carries allows compression, or it carries none.
    pub compress: bool,
}

/// A text message that a revision 4 payload cannot carry, because the separator is in it. The layer above never
/// writes one (JSON escapes the character); a session that queued one nevertheless cannot go on by polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text message contains the payload separator")]
pub struct Unspeakable;

/// Writes control packets and then as many messages as fit into `limit` bytes; of the messages at least one, whatever
/// its size. Nothing at all becomes a noop.
///
/// `open` is the JSON for [`Control::Open`]. A message that cannot be carried is an error only once it is the first;
/// until then the ones before it are taken.
pub fn encode_payload<'m>(
    form: Form,
    controls: impl IntoIterator<Item = Control>,
    open: &str,
    messages: impl Iterator<Item = &'m Message> + Clone,
    limit: usize,
) -> Result<EncodedPayload, Unspeakable> {
    let selected = select(form, messages.clone(), limit)?;
    let messages = messages.take(selected.taken);
    let mut writer = PayloadWriter::new(form, selected.binary);
    writer.out.reserve(selected.size.saturating_add(8));
    let mut empty = true;
    for control in controls {
        let data = if control == Control::Open { open } else { "" };
        writer.packet(control.kind(), data);
        empty = false;
    }
    for message in messages {
        writer.message(message);
        empty = false;
    }
    if empty {
        writer.packet(Kind::Noop, "");
    }
    let compress = selected.compress || selected.taken == 0;
    let content = writer.content();
    Ok(EncodedPayload { body: writer.out, content, taken: selected.taken, compress })
}

/// The payload `1`, or `6` and `1`: what a poll of a session that ends is answered with.
pub fn encode_close(form: Form, after_noop: bool) -> EncodedPayload {
    let mut writer = PayloadWriter::new(form, false);
    if after_noop {
        writer.packet(Kind::Noop, "");
    }
    writer.packet(Kind::Close, "");
    EncodedPayload { body: writer.out, content: Content::Text, taken: 0, compress: true }
}

#[derive(Default)]
struct Selected {
    taken: usize,
    size: usize,
    binary: bool,
    compress: bool,
}

fn select<'m>(
    form: Form,
    messages: impl Iterator<Item = &'m Message>,
    limit: usize,
) -> Result<Selected, Unspeakable> {
    let mut selected = Selected::default();
    for message in messages {
        let size = selected.size.saturating_add(form.size_of(message));
        if selected.taken > 0 && size > limit {
            break;
        }
        if form == Form::V4 && !message.is_binary() && memchr::memchr(SEPARATOR, message.payload()).is_some()
        {
            if selected.taken > 0 {
                break;
            }
            return Err(Unspeakable);
        }
        selected.taken = selected.taken.saturating_add(1);
        selected.size = size;
        selected.binary |= message.is_binary();
        selected.compress |= message.compress();
    }
    Ok(selected)
}

/// Writes a payload packet by packet. [`encode_payload`] is what a server wants; this is for tests, tools and clients.
#[derive(Debug)]
pub struct PayloadWriter {
    form: Form,
    /// Whether this payload is in the binary form of revision 3.
    framed: bool,
    out: Vec<u8>,
}

impl PayloadWriter {
    /// An empty payload. `binary`: a binary packet will be among the packets.
    pub fn new(form: Form, binary: bool) -> PayloadWriter {
        PayloadWriter { form, framed: binary && form == Form::V3Binary, out: Vec::new() }
    }

    /// Which kind of body this will be.
    pub fn content(&self) -> Content {
        if self.framed { Content::Binary } else { Content::Text }
    }

    /// The payload.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Appends a text packet.
    pub fn packet(&mut self, kind: Kind, data: &str) {
        self.text(kind, data.as_bytes());
    }

    /// Appends a message.
    pub fn message(&mut self, message: &Message) {
        match (message.is_binary(), self.framed) {
            (false, _) => self.text(Kind::Message, message.payload()),
            (true, true) => {
                self.frame(1, message.payload_len().saturating_add(1));
                self.out.push(4);
                self.out.extend_from_slice(message.payload());
            }
            (true, false) => {
                let prefix: &[u8] = if self.form == Form::V4 { b"b" } else { b"b4" };
                self.begin(base64::encoded_len(message.payload_len()).saturating_add(prefix.len()));
                self.out.extend_from_slice(prefix);
                base64::encode(message.payload(), &mut self.out);
            }
        }
    }

    fn text(&mut self, kind: Kind, data: &[u8]) {
        if self.framed {
            self.frame(0, data.len().saturating_add(1));
        } else {
            let units = if self.form == Form::V4 { 0 } else { units(data) };
            self.begin(units.saturating_add(1));
        }
        self.out.push(kind.digit());
        self.out.extend_from_slice(data);
    }

    /// What stands in front of a packet of so many UTF-16 units in text.
    fn begin(&mut self, units: usize) {
        if self.form != Form::V4 {
            self.out.extend_from_slice(itoa::Buffer::new().format(units).as_bytes());
            self.out.push(b':');
        } else if !self.out.is_empty() {
            self.out.push(SEPARATOR);
        }
    }

    fn frame(&mut self, kind: u8, len: usize) {
        self.out.push(kind);
        let mut number = itoa::Buffer::new();
        self.out.extend(number.format(len).bytes().map(|digit| digit.saturating_sub(b'0')));
        self.out.push(0xff);
    }
}

/// How many UTF-16 units this UTF-8 has: one per character, two for those of four bytes.
fn units(text: &[u8]) -> usize {
    text.iter()
        .map(|&byte| usize::from(byte & 0xc0 != 0x80).saturating_add(usize::from(byte >= 0xf0)))
        .fold(0, usize::saturating_add)
}

fn digits(number: usize) -> usize {
    itoa::Buffer::new().format(number).len()
}
