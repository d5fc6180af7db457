//! Frames on the way out: headers and control frames, built on the stack.
//!
//! A server's data frame is [`header`] followed by the payload as it is: one frame can be built once and shared
//! by every recipient. A client must mask each frame with a fresh unpredictable key: [`encode`].

use super::close::CloseCode;
use super::mask;

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// The next piece of a fragmented message.
    Continuation = 0,
    /// A text message or its first piece.
    Text = 1,
    /// A binary message or its first piece.
    Binary = 2,
    /// Goodbye.
    Close = 8,
    /// Are you there?
    Ping = 9,
    /// I am.
    Pong = 10,
}

impl OpCode {
    /// The opcode of this number, or `None` for a reserved one.
    pub const fn new(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping or pong: at most 125 bytes, never fragmented, allowed between the pieces of a message.
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// Longest frame header: two bytes, a 64-bit length, a masking key.
pub const MAX_HEADER: usize = 14;

/// Longest payload of a control frame.
pub const MAX_CONTROL: usize = 125;

/// The bytes in front of a payload: 2 to 14 of them, inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl Header {
    /// The bytes to write.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// The header of a frame with `len` bytes of payload, the length in its shortest form.
///
/// `fin`: this frame ends its message. `rsv1`: the message is compressed (set on its first frame only).
/// `mask`: the key the payload is (or will be) masked with: `Some` from a client, `None` from a server.
pub fn header(opcode: OpCode, fin: bool, rsv1: bool, len: u64, mask: Option<[u8; 4]>) -> Header {
    let first = (u8::from(fin) << 7) | (u8::from(rsv1) << 6) | opcode as u8;
    let masked = u8::from(mask.is_some()) << 7;
    // Constant positions throughout: the compiler sees that all of them are inside.
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = first;
    let unmasked = match len {
        0..=125 => {
            bytes[1] = masked | len as u8;
            2
        }
        126..=0xFFFF => {
            bytes[1] = masked | 126;
            bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = masked | 127;
            bytes[2..10].copy_from_slice(&len.to_be_bytes());
            10
        }
    };
    let len = match (mask, unmasked) {
        (None, len) => len,
        (Some(key), 2) => {
            bytes[2..6].copy_from_slice(&key);
            6
        }
        (Some(key), 4) => {
            bytes[4..8].copy_from_slice(&key);
            8
        }
        (Some(key), _) => {
            bytes[10..14].copy_from_slice(&key);
            14
        }
    };
    Header { bytes, len }
}

/// How many bytes [`header`] takes without a mask: 2, 4 or 10.
pub const fn header_len(payload: u64) -> usize {
    match payload {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

/// Appends one whole frame to `out`, masking the payload on the way if there is a key.
pub fn encode(opcode: OpCode, rsv1: bool, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let header = header(opcode, true, rsv1, payload.len() as u64, mask);
    out.reserve(payload.len().saturating_add(MAX_HEADER));
    out.extend_from_slice(header.as_slice());
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(masked)) = (mask, out.get_mut(start..)) {
        mask::apply(masked, key);
    }
}

/// A whole control frame, inline: ping, pong or close.
#[derive(Clone, Copy)]
pub struct Control {
    bytes: [u8; MAX_CONTROL + 6],
    len: u8,
}

impl Control {
    /// A ping. Bytes of `payload` past 125 are left out, a control frame cannot carry them.
    pub fn ping(payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        Self::new(OpCode::Ping, &[], payload, mask)
    }

    /// The answer to a ping: the same payload.
    pub fn pong(payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        Self::new(OpCode::Pong, &[], payload, mask)
    }

    /// A close frame; without `code` the body is empty and `reason` unused. The reason is cut at the last
    /// character that fits in 123 bytes.
    pub fn close(code: Option<CloseCode>, reason: &str, mask: Option<[u8; 4]>) -> Self {
        let Some(code) = code else { return Self::new(OpCode::Close, &[], &[], mask) };
        let fits = (0..=MAX_CONTROL - 2).rev().find_map(|end| reason.get(..end.min(reason.len())));
        Self::new(OpCode::Close, &code.get().to_be_bytes(), fits.unwrap_or("").as_bytes(), mask)
    }

    /// The bytes to write.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn new(opcode: OpCode, code: &[u8], rest: &[u8], mask: Option<[u8; 4]>) -> Self {
        let len = code.len().saturating_add(rest.len()).min(MAX_CONTROL);
        let head = header(opcode, true, false, len as u64, mask);
        let start = head.as_slice().len();
        let end = start.saturating_add(len);
        let mut frame = Self { bytes: [0; MAX_CONTROL + 6], len: end as u8 };
        for (to, from) in frame.bytes.iter_mut().zip(head.as_slice().iter().chain(code).chain(rest)) {
            *to = *from;
        }
        if let (Some(key), Some(payload)) = (mask, frame.bytes.get_mut(start..end)) {
            mask::apply(payload, key);
        }
        frame
    }
}

impl AsRef<[u8]> for Control {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Control").field(&self.as_slice()).finish()
    }
}
