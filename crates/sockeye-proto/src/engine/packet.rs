//! One packet, and the outfits in which it travels.
//!
//! | | text frame | binary frame | element of a text payload | element of a binary payload |
//! |---|---|---|---|---|
//! | revision 4 | `4hello` | the bytes | `4hello`, `b<base64>` | – |
//! | revision 3 | `4hello`, `b4<base64>` | `0x04` + the bytes | `4hello`, `b4<base64>` | `4hello`, `0x04` + the bytes |
//!
//! Strict where the reference is lenient: base64 of the standard alphabet only (padding optional), type digits
//! `0`–`6` only, also in the binary outfits.

use std::borrow::Cow;

use super::{Protocol, base64};

/// The type of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `0`, the handshake, from the server.
    Open,
    /// `1`, the end, from either side.
    Close,
    /// `2`, heartbeat; from the client in revision 4 only as `2probe`.
    Ping,
    /// `3`, heartbeat.
    Pong,
    /// `4`, what the layer above says.
    Message,
    /// `5`, completes an upgrade, from the client.
    Upgrade,
    /// `6`, releases a poll, from the server.
    Noop,
}

impl Kind {
    /// The type's character in text.
    pub fn as_char(self) -> char {
        char::from(self.digit())
    }

    /// The type's ASCII digit.
    pub fn digit(self) -> u8 {
        match self {
            Kind::Open => b'0',
            Kind::Close => b'1',
            Kind::Ping => b'2',
            Kind::Pong => b'3',
            Kind::Message => b'4',
            Kind::Upgrade => b'5',
            Kind::Noop => b'6',
        }
    }

    fn from_digit(digit: u8) -> Option<Kind> {
        Some(match digit {
            b'0' => Kind::Open,
            b'1' => Kind::Close,
            b'2' => Kind::Ping,
            b'3' => Kind::Pong,
            b'4' => Kind::Message,
            b'5' => Kind::Upgrade,
            b'6' => Kind::Noop,
            _ => return None,
        })
    }
}

/// A packet that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its type.
    pub kind: Kind,
    /// What follows the type.
    pub data: Data<'a>,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text; empty where there is none.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Packet<'a> {
    /// A text packet.
    pub fn text(kind: Kind, data: &'a str) -> Packet<'a> {
        Packet { kind, data: Data::Text(Cow::Borrowed(data)) }
    }

    /// A binary message.
    pub fn binary(data: &'a [u8]) -> Packet<'a> {
        Packet { kind: Kind::Message, data: Data::Binary(Cow::Borrowed(data)) }
    }

    /// The packet with its text read as the oldest revision 3 clients meant it: see [`undouble`].
    pub fn undoubled(self) -> Packet<'a> {
        match &self.data {
            Data::Text(text) => match undouble(text) {
                Some(text) => Packet { kind: self.kind, data: Data::Text(Cow::Owned(text)) },
                None => self,
            },
            Data::Binary(_) => self,
        }
    }

    /// Whether this is the `2probe` that opens a probe.
    pub(super) fn is_probe(&self) -> bool {
        self.kind == Kind::Ping && matches!(&self.data, Data::Text(text) if text == "probe")
    }
}

/// Bytes that are no packet. Every one of them ends the session with `parse error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DecodeError {
    /// Nothing at all where a packet had to be.
    #[error("empty packet")]
    Empty,
    /// The type is none of the seven.
    #[error("unknown packet type")]
    UnknownType,
    /// Not base64 of the standard alphabet.
    #[error("invalid base64")]
    Base64,
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// A counted payload whose count is no number, or does not end where a packet ends.
    #[error("invalid length")]
    Length,
}

/// Reads a text frame, or one element of a text payload. Linear; borrows unless it has to undo base64.
#[inline]
pub fn decode_text(text: &str, protocol: Protocol) -> Result<Packet<'_>, DecodeError> {
    let mut rest = text.chars();
    let first = rest.next().ok_or(DecodeError::Empty)?;
    let rest = rest.as_str();
    if first == 'b' {
        return decode_base64(rest, protocol);
    }
    let kind = u8::try_from(first).ok().and_then(Kind::from_digit).ok_or(DecodeError::UnknownType)?;
    Ok(Packet::text(kind, rest))
}

/// Reads a binary frame, or one binary element of a binary payload.
#[inline]
pub fn decode_binary(bytes: &[u8], protocol: Protocol) -> Result<Packet<'_>, DecodeError> {
    match protocol {
        Protocol::V4 => Ok(Packet::binary(bytes)),
        Protocol::V3 => {
            let (&first, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
            let kind = first.checked_add(b'0').and_then(Kind::from_digit).ok_or(DecodeError::UnknownType)?;
            Ok(Packet { kind, data: Data::Binary(Cow::Borrowed(rest)) })
        }
    }
}

#[cold]
fn decode_base64(text: &str, protocol: Protocol) -> Result<Packet<'_>, DecodeError> {
    let (kind, digits) = match protocol {
        Protocol::V4 => (Kind::Message, text),
        Protocol::V3 => {
            let mut rest = text.chars();
            let first = rest.next().ok_or(DecodeError::Empty)?;
            let kind = u8::try_from(first).ok().and_then(Kind::from_digit).ok_or(DecodeError::UnknownType)?;
            (kind, rest.as_str())
        }
    };
    let bytes = base64::decode(digits).ok_or(DecodeError::Base64)?;
    Ok(Packet { kind, data: Data::Binary(Cow::Owned(bytes)) })
}

/// Undoes the double UTF-8 of Socket.IO 1.x clients.
///
/// These write text as UTF-8, take the bytes for characters, and write those as UTF-8 again. So: a text whose
/// characters are all ≤ U+00FF, with at least one ≥ U+0080, and which taken as bytes is valid UTF-8, was most likely
/// written that way, and the inner text is returned. `None` means the text stands as it is.
///
/// A newer client that really says `Ã©` is misread by this; hence it is for revision 3 only and can be left out.
pub fn undouble(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes = text.chars().map(u8::try_from).collect::<Result<Vec<u8>, _>>().ok()?;
    String::from_utf8(bytes).ok()
}
