//! MessagePack packets, translated from and to the internal form: the dialect of `socket.io-msgpack-parser`.
//!
//! A packet is one binary message, a map with the keys `type`, `nsp`, `data` and `id` in any order; other keys are
//! ignored. (In protocol 4 the packets without arguments are JSON text instead.) Binary values stand in `data`.
//!
//! What has no equal in JSON is read as JavaScript would write it in JSON: an undefined member of a map is left
//! out, undefined elsewhere, NaN and the infinities are null, and a date is its ISO string. An extension type that
//! nobody knows is an array of its number and its bytes. Integers stay integers and floats floats (`1.0` is
//! written as a float again, though JavaScript would make it an integer). A packet grows to at most six times its
//! size in text; the encoder always writes the shortest form.
//!
//! Lengths are believed only as far as bytes are there, and nesting is kept on a stack of its own, so neither
//! announcing much nor nesting deeply costs more than the bytes that were sent.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;
use rmp::{Marker, encode as out};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::assembly::{MAX_ID, check_namespace, connect};
use super::encode::refusal;
use super::json::{self, Wanted};
use super::payload::push_placeholder;
pub(crate) use super::write::PLACEHOLDER;
use super::{Arguments, Body, EncodeError, Encoded, Limits, Out, Packet, PacketOut, Protocol, Violation};
use crate::engine::{Message, MessageBuilder};

/// Reads a binary message.
pub(super) fn decode(data: &[u8], protocol: Protocol, limits: &Limits) -> Result<Packet<'static>, Violation> {
    let fields = Fields::read(data)?;
    let kind = fields.kind.ok_or(Violation::PacketType)?;
    let namespace = fields.namespace.ok_or(Violation::Namespace)?;
    let arguments = |named: bool| {
        let (text, attachments) = to_text(fields.data.ok_or(Violation::Payload)?, limits)?;
        let name = named.then_some(limits.event_name);
        let wanted = Wanted { name, attachments: attachments.len(), depth: limits.depth };
        let array = json::array(&text, wanted)?;
        let (name, start, surrogates) = (array.name.into_owned(), array.start, array.surrogates);
        Ok((name, Arguments::new(text.into(), start, named, surrogates, attachments.into())))
    };
    let without_binary = |data| match to_text(data, limits)? {
        (text, attachments) if attachments.is_empty() => Ok(text),
        _ => Err(Violation::Payload),
    };
    if kind == 0 {
        if fields.id.is_some() {
            return Err(Violation::Id);
        }
        let auth = fields.data.map(without_binary).transpose()?;
        let packet = connect(namespace, auth.as_deref().unwrap_or(""), protocol, limits)?;
        return Ok(packet.into_owned());
    }
    check_namespace(namespace, limits)?;
    let body = match (kind, protocol) {
        // Python writes `nil` where JavaScript writes nothing.
        (1, _) if matches!(fields.data, None | Some([0xc0])) && fields.id.is_none() => Body::Disconnect,
        (1, _) => return Err(Violation::Payload),
        (2, _) | (5, Protocol::V4) => {
            let (name, args) = arguments(true)?;
            Body::Event { id: fields.id, name: name.into(), args }
        }
        (3, _) | (6, Protocol::V4) => {
            let id = fields.id.ok_or(Violation::Id)?;
            Body::Ack { id, args: arguments(false)?.1 }
        }
        (4, _) => {
            let data = fields.data.map(without_binary).transpose()?;
            if protocol == Protocol::V5 && !data.as_ref().is_none_or(|data| data.starts_with(['{', '"'])) {
                return Err(Violation::Payload);
            }
            Body::ConnectError(data.map(Cow::Owned))
        }
        _ => return Err(Violation::PacketType),
    };
    Ok(Packet { namespace: Cow::Owned(namespace.to_owned()), body })
}

/// Reads a text message: in protocol 4, a packet without arguments as a JSON object.
pub(super) fn decode_text<'a>(
    text: &'a str,
    protocol: Protocol,
    limits: &Limits,
) -> Result<Packet<'a>, Violation> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        r#type: u8,
        #[serde(borrow)]
        nsp: Cow<'a, str>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }

    if protocol == Protocol::V5 {
        return Err(Violation::UnexpectedText);
    }
    let packet: Shape<'a> = serde_json::from_str(text).map_err(|_| Violation::Json)?;
    let data = packet.data.map_or("", RawValue::get);
    match packet.r#type {
        0 => connect(&packet.nsp, data, protocol, limits).map(Packet::into_owned),
        1 | 4 => {
            check_namespace(&packet.nsp, limits)?;
            let body = match (packet.r#type, data) {
                (1, "") => Body::Disconnect,
                (1, _) => return Err(Violation::Payload),
                (_, "") => Body::ConnectError(None),
                (_, data) => Body::ConnectError(Some(json::value(data, limits.depth)?.into())),
            };
            Ok(Packet { namespace: packet.nsp, body })
        }
        _ => Err(Violation::PacketType),
    }
}

/// Writes a packet.
pub(super) fn encode(packet: &PacketOut<'_>, protocol: Protocol) -> Result<Encoded, EncodeError> {
    let refusal_text;
    let (kind, id, data, attachments): (u8, _, _, &[Bytes]) = match packet.body {
        Out::Connect(data) => (0, None, data.filter(|_| protocol == Protocol::V5), &[]),
        Out::Disconnect => (1, None, None, &[]),
        Out::Event { id, payload } => (2, id, Some(payload.text()), payload.attachments()),
        Out::Ack { id, payload } => (3, Some(id), Some(payload.text()), payload.attachments()),
        Out::ConnectError { message, data } => {
            refusal_text = refusal(message, data, protocol);
            (4, None, Some(refusal_text.as_str()), &[])
        }
    };
    if let (0 | 4, Some(data)) = (kind, data) {
        json::value(data, usize::MAX).map_err(|_| EncodeError::Json("data of a packet"))?;
    }
    if protocol == Protocol::V4 && matches!(kind, 0 | 1 | 4) {
        return Ok(Encoded::single(text_packet(packet, kind, data)));
    }

    let text_len = data.map_or(0, str::len);
    let binary_len = attachments.iter().fold(0_usize, |sum, bytes| sum.saturating_add(bytes.len()));
    let capacity = text_len.saturating_add(binary_len).saturating_add(packet.namespace.len());
    let mut bytes = Vec::with_capacity(capacity.saturating_add(32));
    let keys = 2_u32.saturating_add(u32::from(id.is_some())).saturating_add(u32::from(data.is_some()));
    // Writing into a vector does not fail, here and below.
    let _ = out::write_map_len(&mut bytes, keys);
    let _ = out::write_str(&mut bytes, "type");
    let _ = out::write_uint(&mut bytes, kind.into());
    let _ = out::write_str(&mut bytes, "nsp");
    let _ = out::write_str(&mut bytes, packet.namespace);
    // Absent is absent: JavaScript peers refuse nil for these.
    if let Some(id) = id {
        let _ = out::write_str(&mut bytes, "id");
        let _ = out::write_uint(&mut bytes, id);
    }
    if let Some(data) = data {
        let _ = out::write_str(&mut bytes, "data");
        from_text(data, attachments, &mut bytes);
    }
    Ok(Encoded::single(Message::binary(bytes.into()).with_compress(packet.compress)))
}

fn text_packet(packet: &PacketOut<'_>, kind: u8, data: Option<&str>) -> Message {
    let mut message = MessageBuilder::with_capacity(64);
    // In ASCII, as everything that goes to an EIO 3 client. Writing into memory does not fail.
    let namespace = serde_json::to_string(packet.namespace).unwrap_or_default();
    let _ = write!(message, "{{\"type\":{kind},\"nsp\":");
    let _ = json::write_ascii(&namespace, &mut message);
    if let Some(data) = data {
        message.push_str(",\"data\":");
        let _ = json::write_ascii(data, &mut message);
    }
    message.push_str("}");
    message.finish().with_compress(packet.compress)
}

/// The keys of a packet that mean something.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<u64>,
    namespace: Option<&'a str>,
    id: Option<u64>,
    /// Still MessagePack: what it has to be depends on the type, which may come later.
    data: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(data: &'a [u8]) -> Result<Fields<'a>, Violation> {
        let mut input = Input::strict(data);
        let Item::Map(entries) = input.item()? else { return Err(Violation::PacketType) };
        let mut fields = Fields::default();
        for _ in 0..entries {
            match input.item()? {
                Item::Str("type") => match input.item()? {
                    Item::Integer(kind) => fields.kind = u64::try_from(kind).ok(),
                    _ => return Err(Violation::PacketType),
                },
                Item::Str("nsp") => match input.item()? {
                    Item::Str(namespace) => fields.namespace = Some(namespace),
                    _ => return Err(Violation::Namespace),
                },
                Item::Str("id") => match input.item()? {
                    Item::Undefined => fields.id = None,
                    Item::Integer(id) => {
                        let id = u64::try_from(id).ok().filter(|id| *id <= MAX_ID);
                        fields.id = Some(id.ok_or(Violation::Id)?);
                    }
                    _ => return Err(Violation::Id),
                },
                Item::Str("data") => {
                    let value = input.skip()?;
                    fields.data = (!is_undefined(value)).then_some(value);
                }
                Item::Str(_) | Item::Integer(_) => {
                    input.skip()?;
                }
                _ => return Err(Violation::Msgpack),
            }
        }
        if input.rest.is_empty() { Ok(fields) } else { Err(Violation::Msgpack) }
    }
}

/// One value, or the head of a container.
pub(crate) enum Item<'a> {
    Nil,
    Undefined,
    Bool(bool),
    /// Wide enough for all 64-bit integers of either sign.
    Integer(i128),
    Float(f64),
    Str(&'a str),
    /// A string that is not UTF-8; a strict input has none.
    Broken(&'a [u8]),
    Bin(&'a [u8]),
    /// So many values follow, and so many bytes at least are there.
    Array(usize),
    /// So many keys and values follow, likewise.
    Map(usize),
    /// Milliseconds since 1970; absent if they do not fit.
    Date(Option<i64>),
    Ext(i8, &'a [u8]),
}

pub(crate) struct Input<'a> {
    pub(crate) rest: &'a [u8],
    lossy: bool,
}

impl<'a> Input<'a> {
    fn strict(data: &'a [u8]) -> Input<'a> {
        Input { rest: data, lossy: false }
    }

    /// JavaScript writes half surrogate pairs as if they were characters. Clients may not send that; of other
    /// servers it must be taken.
    pub(crate) fn lossy(data: &'a [u8]) -> Input<'a> {
        Input { rest: data, lossy: true }
    }

    pub(crate) fn item(&mut self) -> Result<Item<'a>, Violation> {
        Ok(match Marker::from_u8(self.number()?) {
            Marker::Null => Item::Nil,
            Marker::True => Item::Bool(true),
            Marker::False => Item::Bool(false),
            Marker::FixPos(value) => Item::Integer(value.into()),
            Marker::FixNeg(value) => Item::Integer(value.into()),
            Marker::U8 => Item::Integer(i128::from(u8::from_be_bytes(self.chunk()?))),
            Marker::U16 => Item::Integer(i128::from(u16::from_be_bytes(self.chunk()?))),
            Marker::U32 => Item::Integer(i128::from(u32::from_be_bytes(self.chunk()?))),
            Marker::U64 => Item::Integer(i128::from(u64::from_be_bytes(self.chunk()?))),
            Marker::I8 => Item::Integer(i128::from(i8::from_be_bytes(self.chunk()?))),
            Marker::I16 => Item::Integer(i128::from(i16::from_be_bytes(self.chunk()?))),
            Marker::I32 => Item::Integer(i128::from(i32::from_be_bytes(self.chunk()?))),
            Marker::I64 => Item::Integer(i128::from(i64::from_be_bytes(self.chunk()?))),
            Marker::F32 => Item::Float(f32::from_be_bytes(self.chunk()?).into()),
            Marker::F64 => Item::Float(f64::from_be_bytes(self.chunk()?)),
            Marker::FixStr(len) => self.str(len.into())?,
            Marker::Str8 => self.len_8().and_then(|len| self.str(len))?,
            Marker::Str16 => self.len_16().and_then(|len| self.str(len))?,
            Marker::Str32 => self.len_32().and_then(|len| self.str(len))?,
            Marker::Bin8 => Item::Bin(self.len_8().and_then(|len| self.take(len))?),
            Marker::Bin16 => Item::Bin(self.len_16().and_then(|len| self.take(len))?),
            Marker::Bin32 => Item::Bin(self.len_32().and_then(|len| self.take(len))?),
            Marker::FixArray(len) => self.array(len.into())?,
            Marker::Array16 => self.len_16().and_then(|len| self.array(len))?,
            Marker::Array32 => self.len_32().and_then(|len| self.array(len))?,
            Marker::FixMap(len) => self.map(len.into())?,
            Marker::Map16 => self.len_16().and_then(|len| self.map(len))?,
            Marker::Map32 => self.len_32().and_then(|len| self.map(len))?,
            Marker::FixExt1 => self.ext(1, true)?,
            Marker::FixExt2 => self.ext(2, true)?,
            Marker::FixExt4 => self.ext(4, true)?,
            Marker::FixExt8 => self.ext(8, true)?,
            Marker::FixExt16 => self.ext(16, true)?,
            Marker::Ext8 => self.len_8().and_then(|len| self.ext(len, false))?,
            Marker::Ext16 => self.len_16().and_then(|len| self.ext(len, false))?,
            Marker::Ext32 => self.len_32().and_then(|len| self.ext(len, false))?,
            Marker::Reserved => return Err(Violation::Msgpack),
        })
    }

    /// Passes over one value, whatever is in it, and returns its bytes.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Violation> {
        let from = self.rest;
        // Every value counted here has at least a byte of its own still to come, so this ends.
        let mut left = 1_usize;
        while left > 0 {
            let inside = match self.item()? {
                Item::Array(len) => len,
                Item::Map(len) => len.saturating_mul(2),
                _ => 0,
            };
            left = left.saturating_sub(1).saturating_add(inside);
        }
        from.get(..from.len().saturating_sub(self.rest.len())).ok_or(Violation::Msgpack)
    }

    fn str(&mut self, len: usize) -> Result<Item<'a>, Violation> {
        let text = self.take(len)?;
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Item::Str(text)),
            Err(_) if self.lossy => Ok(Item::Broken(text)),
            Err(_) => Err(Violation::Msgpack),
        }
    }

    fn array(&self, len: usize) -> Result<Item<'a>, Violation> {
        if len <= self.rest.len() { Ok(Item::Array(len)) } else { Err(Violation::Msgpack) }
    }

    fn map(&self, len: usize) -> Result<Item<'a>, Violation> {
        if len.saturating_mul(2) <= self.rest.len() { Ok(Item::Map(len)) } else { Err(Violation::Msgpack) }
    }

    /// notepack's own types, and the standard timestamp.
    fn ext(&mut self, len: usize, fixed: bool) -> Result<Item<'a>, Violation> {
        let kind = i8::from_be_bytes(self.chunk()?);
        let data = self.take(len)?;
        let seconds =
            |seconds: i64, nanos: u32| seconds.checked_mul(1000)?.checked_add((nanos / 1_000_000).into());
        Ok(match (kind, data, fixed) {
            (0, [_], true) => Item::Undefined,
            (0, data, true) if len == 8 => Item::Date(data.try_into().ok().map(i64::from_be_bytes)),
            (0, data, false) => Item::Bin(data),
            (-1, data, _) if len == 4 => {
                let time = data.try_into().map(u32::from_be_bytes).unwrap_or_default();
                Item::Date(seconds(time.into(), 0))
            }
            (-1, data, _) if len == 8 => {
                let time = data.try_into().map(u64::from_be_bytes).unwrap_or_default();
                let nanos = u32::try_from(time >> 34).unwrap_or_default();
                Item::Date(seconds(i64::try_from(time & 0x3_FFFF_FFFF).unwrap_or_default(), nanos))
            }
            (-1, data, _) if len == 12 => match data.split_first_chunk::<4>() {
                Some((nanos, time)) => {
                    let time = time.try_into().map(i64::from_be_bytes).unwrap_or_default();
                    Item::Date(seconds(time, u32::from_be_bytes(*nanos)))
                }
                None => Item::Date(None),
            },
            (kind, data, _) => Item::Ext(kind, data),
        })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Violation::Msgpack)?;
        self.rest = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(Violation::Msgpack)?;
        self.rest = rest;
        Ok(*chunk)
    }

    fn number(&mut self) -> Result<u8, Violation> {
        self.chunk().map(u8::from_be_bytes)
    }

    fn len_8(&mut self) -> Result<usize, Violation> {
        self.number().map(usize::from)
    }

    fn len_16(&mut self) -> Result<usize, Violation> {
        self.chunk().map(u16::from_be_bytes).map(usize::from)
    }

    fn len_32(&mut self) -> Result<usize, Violation> {
        usize::try_from(u32::from_be_bytes(self.chunk()?)).map_err(|_| Violation::Msgpack)
    }
}

/// notepack writes 0 in it, and reads anything.
fn is_undefined(value: &[u8]) -> bool {
    matches!(value, [0xD4, 0x00, _, ..])
}

/// One MessagePack value as JSON text, with its binary values beside it.
fn to_text(data: &[u8], limits: &Limits) -> Result<(String, Vec<Bytes>), Violation> {
    translate(Input::strict(data), limits)
}

/// The same for what servers tell each other: broken text is mended, never refused.
pub(crate) fn to_text_lossy(data: &[u8], limits: &Limits) -> Result<(String, Vec<Bytes>), Violation> {
    translate(Input::lossy(data), limits)
}

fn translate(mut input: Input<'_>, limits: &Limits) -> Result<(String, Vec<Bytes>), Violation> {
    let mut text = Vec::with_capacity(input.rest.len());
    let mut attachments = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    loop {
        let entering = match input.item()? {
            Item::Array(left) => Some(Open { close: b']', left, first: true }),
            Item::Map(left) => Some(Open { close: b'}', left, first: true }),
            item => {
                scalar(item, &mut text, &mut attachments, limits)?;
                None
            }
        };
        if let Some(container) = entering {
            if open.len() >= limits.depth {
                return Err(Violation::Depth);
            }
            text.push(if container.close == b']' { b'[' } else { b'{' });
            open.push(container);
        }
        // Now up and on to where the next value stands.
        loop {
            let Some(container) = open.last_mut() else {
                let text = String::from_utf8(text).map_err(|_| Violation::Msgpack)?;
                return Ok((text, attachments));
            };
            if container.left == 0 {
                text.push(container.close);
                open.pop();
                continue;
            }
            container.left = container.left.saturating_sub(1);
            let mut key = None;
            if container.close == b'}' {
                key = Some(match input.item()? {
                    Item::Str(key) => Cow::Borrowed(key),
                    Item::Broken(key) => String::from_utf8_lossy(key),
                    Item::Integer(key) => Cow::Owned(key.to_string()),
                    _ => return Err(Violation::Msgpack),
                });
                if is_undefined(input.rest) {
                    input.skip()?;
                    continue;
                }
            }
            if !container.first {
                text.push(b',');
            }
            container.first = false;
            if let Some(key) = key {
                string(&key, &mut text);
                text.push(b':');
            }
            break;
        }
    }
}

struct Open {
    close: u8,
    left: usize,
    first: bool,
}

fn scalar(
    item: Item<'_>,
    text: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    limits: &Limits,
) -> Result<(), Violation> {
    // Writing into a vector does not fail.
    match item {
        Item::Nil | Item::Undefined | Item::Array(_) | Item::Map(_) => text.extend_from_slice(b"null"),
        Item::Bool(true) => text.extend_from_slice(b"true"),
        Item::Bool(false) => text.extend_from_slice(b"false"),
        Item::Integer(value) => text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        // Not finite: null.
        Item::Float(value) => {
            let _ = serde_json::to_writer(text, &value);
        }
        Item::Str(value) => string(value, text),
        Item::Broken(value) => string(&String::from_utf8_lossy(value), text),
        Item::Bin(value) => binary(value, text, attachments, limits)?,
        Item::Date(time) => match time.and_then(iso_date) {
            Some(date) => string(&date, text),
            None => text.extend_from_slice(b"null"),
        },
        Item::Ext(kind, data) => {
            let _ = write!(text, "[{kind},");
            binary(data, text, attachments, limits)?;
            text.push(b']');
        }
    }
    Ok(())
}

fn binary(
    value: &[u8],
    text: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    limits: &Limits,
) -> Result<(), Violation> {
    if attachments.len() >= limits.attachments {
        return Err(Violation::TooManyAttachments);
    }
    push_placeholder(text, attachments.len());
    attachments.push(Bytes::copy_from_slice(value));
    Ok(())
}

fn string(value: &str, text: &mut Vec<u8>) {
    let _ = serde_json::to_writer(text, value);
}

/// What JavaScript's `toISOString` gives; nothing outside of its range of dates.
fn iso_date(millis: i64) -> Option<String> {
    const RANGE: u64 = 8_640_000_000_000_000;
    const DAY: i64 = 86_400_000;
    if millis.unsigned_abs() > RANGE {
        return None;
    }
    let (days, time) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    // Days into years of March to February, counted in eras of 400 of them, so that the leap day comes last.
    let shifted = days.saturating_add(719_468);
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let leaps = (day / 1460).saturating_sub(day / 36_524).saturating_add(day / 146_096);
    let year_of_era = day.saturating_sub(leaps) / 365;
    let before =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day.saturating_sub(before);
    let march_month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day_of_month =
        day_of_year.saturating_sub(march_month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if march_month < 10 { march_month.saturating_add(3) } else { march_month.saturating_sub(9) };
    let year = year_of_era.saturating_add(era.saturating_mul(400)).saturating_add(i64::from(month <= 2));
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    let (hours, minutes) = (time / 3_600_000, time / 60_000 % 60);
    let (seconds, millis) = (time / 1000 % 60, time % 1000);
    Some(format!("{year}-{month:02}-{day_of_month:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z"))
}

/// JSON text in the internal form as MessagePack.
///
/// Containers announce their length, so the text is walked through twice: to count, and to write.
pub(crate) fn from_text(text: &str, attachments: &[Bytes], bytes: &mut Vec<u8>) {
    let tokens = || Tokens { rest: text, binary: !attachments.is_empty() };
    let mut lengths = lengths(tokens()).into_iter();
    for token in tokens() {
        // Writing into a vector does not fail.
        let _ = match token {
            Token::OpenArray => out::write_array_len(bytes, lengths.next().unwrap_or_default()).is_ok(),
            Token::OpenObject => out::write_map_len(bytes, lengths.next().unwrap_or_default() / 2).is_ok(),
            Token::Close => true,
            Token::String(raw) => out::write_str(bytes, &json::unescape(raw)).is_ok(),
            Token::Number(text) => number(text, bytes),
            Token::Bool(value) => out::write_bool(bytes, value).is_ok(),
            Token::Null => out::write_nil(bytes).is_ok(),
            Token::Placeholder(num) => {
                out::write_bin(bytes, attachments.get(num).map_or(&[], AsRef::as_ref)).is_ok()
            }
        };
    }
}

/// How many values each container has, keys included, in the order in which they open.
fn lengths(tokens: Tokens<'_>) -> Vec<u32> {
    let mut lengths: Vec<u32> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for token in tokens {
        if let Token::Close = token {
            open.pop();
            continue;
        }
        if let Some(length) = open.last().and_then(|at| lengths.get_mut(*at)) {
            *length = length.saturating_add(1);
        }
        if let Token::OpenArray | Token::OpenObject = token {
            open.push(lengths.len());
            lengths.push(0);
        }
    }
    lengths
}

fn number(text: &str, bytes: &mut Vec<u8>) -> bool {
    if let Ok(value) = text.parse::<u64>() {
        out::write_uint(bytes, value).is_ok()
    } else if let Ok(value) = text.parse::<i64>() {
        out::write_sint(bytes, value).is_ok()
    } else {
        // Any JSON number parses, at worst as an infinity: JavaScript's view of 1e400.
        out::write_f64(bytes, text.parse().unwrap_or_default()).is_ok()
    }
}

/// The parts of a JSON text that is known to be valid.
struct Tokens<'a> {
    rest: &'a str,
    /// Placeholders are what they look like.
    binary: bool,
}

enum Token<'a> {
    OpenArray,
    OpenObject,
    Close,
    /// Between the quotes; keys, too.
    String(&'a str),
    Number(&'a str),
    Bool(bool),
    Null,
    Placeholder(usize),
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
        let (token, len) = match text.as_bytes().first()? {
            b'[' => (Token::OpenArray, 1),
            b'{' => match text.strip_prefix(PLACEHOLDER).filter(|_| self.binary) {
                Some(num) => {
                    let num = num.split_once('}')?.0;
                    let len = PLACEHOLDER.len().saturating_add(num.len()).saturating_add(1);
                    (Token::Placeholder(num.parse().ok()?), len)
                }
                None => (Token::OpenObject, 1),
            },
            b']' | b'}' => (Token::Close, 1),
            b'"' => {
                let raw = string_inside(text.get(1..)?)?;
                (Token::String(raw), raw.len().saturating_add(2))
            }
            b't' => (Token::Bool(true), 4),
            b'f' => (Token::Bool(false), 5),
            b'n' => (Token::Null, 4),
            _ => {
                let end = text.find([' ', '\t', '\n', '\r', ',', ']', '}']).unwrap_or(text.len());
                (Token::Number(text.get(..end)?), end.max(1))
            }
        };
        self.rest = text.get(len..)?;
        Some(token)
    }
}

/// Up to the closing quote.
pub(crate) fn string_inside(text: &str) -> Option<&str> {
    let mut from = 0_usize;
    loop {
        let found = text.get(from..)?.find(['"', '\\'])?;
        let at = from.saturating_add(found);
        if text.as_bytes().get(at) == Some(&b'"') {
            return text.get(..at);
        }
        from = at.saturating_add(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (millis, date) in [
            (0, Some("1970-01-01T00:00:00.000Z")),
            (-1, Some("1969-12-31T23:59:59.999Z")),
            (951_782_399_999, Some("2000-02-28T23:59:59.999Z")),
            (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
            (1_234_567_890_123, Some("2009-02-13T23:31:30.123Z")),
            (253_402_300_800_000, Some("+010000-01-01T00:00:00.000Z")),
            (-62_167_219_200_001, Some("-000001-12-31T23:59:59.999Z")),
            (8_640_000_000_000_000, Some("+275760-09-13T00:00:00.000Z")),
            (-8_640_000_000_000_000, Some("-271821-04-20T00:00:00.000Z")),
            (8_640_000_000_000_001, None),
            (i64::MIN, None),
        ] {
            assert_eq!(iso_date(millis).as_deref(), date);
        }
    }

    #[test]
    fn announcing_much_costs_nothing() {
        for bomb in [
            &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF][..],
            &[0xDF, 0x7F, 0xFF, 0xFF, 0xFF],
            &[0xC6, 0xFF, 0xFF, 0xFF, 0xFF, 0],
            &[0xDB, 0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            assert_eq!(to_text(bomb, &Limits::default()).unwrap_err(), Violation::Msgpack);
        }
    }
}
