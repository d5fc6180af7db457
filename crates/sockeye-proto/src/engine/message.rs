//! One outbound message, built once and shared by everybody who receives it.
//!
//! A text message lies in memory exactly as a plain WebSocket wants it, with the header of the frame in front. A
//! broadcast to a thousand WebSockets writes the same bytes a thousand times; long-polling and compression take the
//! part behind the header.
//!
//! ```text
//!   unused  header   packet
//!  ┌───────┬────────┬───┬─────────────┐
//!  │       │ 81 len │ 4 │ payload     │
//!  └───────┴────────┴───┴─────────────┘
//!          ▲ start  ▲ HEAD_ROOM
//! ```

use std::fmt;
use std::io;

use bytes::Bytes;

use super::{Protocol, base64};

/// The longest header of an unmasked frame: two bytes, and eight of length.
const HEAD_ROOM: usize = 10;
/// `FIN` and the opcodes of text and binary.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// One Engine.IO message on its way out. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Bytes,
    /// Where the frame begins in `bytes`; 0 in a binary message, which has no frame in it.
    start: u8,
    binary: bool,
    compress: bool,
}

impl Message {
    /// A text message.
    pub fn text(payload: &str) -> Message {
        let mut builder = MessageBuilder::with_capacity(payload.len());
        builder.push_str(payload);
        builder.finish()
    }

    /// A binary message. Takes the bytes as they are, without a copy.
    pub fn binary(payload: Bytes) -> Message {
        Message { bytes: payload, start: 0, binary: true, compress: true }
    }

    /// The same message, with its wish for compression set. Without it, a message may be compressed.
    pub fn with_compress(self, compress: bool) -> Message {
        Message { compress, ..self }
    }

    /// Whether it may be compressed where the transport does that.
    #[inline]
    pub fn compress(&self) -> bool {
        self.compress
    }

    /// Whether it is binary.
    #[inline]
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// A text message as a whole frame for an uncompressed server-to-client WebSocket. Empty for a binary message:
    /// there the frame is [`Message::head`] followed by [`Message::payload`].
    #[inline]
    pub fn frame(&self) -> Bytes {
        if self.binary { Bytes::new() } else { self.bytes.slice(usize::from(self.start)..) }
    }

    /// [`Message::frame`], borrowed.
    #[inline]
    pub fn frame_bytes(&self) -> &[u8] {
        if self.binary { &[] } else { self.bytes.get(usize::from(self.start)..).unwrap_or_default() }
    }

    /// What stands in front of [`Message::payload`] on an uncompressed WebSocket: the frame's header and, where the
    /// revision has one, the type. Works for text and binary alike.
    #[inline]
    pub fn head(&self, protocol: Protocol) -> MessageHead {
        let mut head = MessageHead::default();
        let typed = !self.binary || protocol == Protocol::V3;
        let len = self.payload_len().saturating_add(usize::from(typed));
        head.push(if self.binary { BINARY } else { TEXT });
        push_len(&mut head, len);
        if typed {
            head.push(if self.binary { 4 } else { b'4' });
        }
        head
    }

    /// The packet as it stands in a WebSocket message before framing: `4` and the payload of a text message; of a
    /// binary one the payload (revision 3 wants a byte `0x04` in front of that).
    #[inline]
    pub fn packet(&self) -> &[u8] {
        let skip = if self.binary { 0 } else { HEAD_ROOM };
        self.bytes.get(skip..).unwrap_or_default()
    }

    /// What the layer above wanted to say: UTF-8 in a text message.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.skipped()..).unwrap_or_default()
    }

    /// [`Message::payload`], shared instead of borrowed.
    #[inline]
    pub fn payload_shared(&self) -> Bytes {
        if self.bytes.len() <= self.skipped() { Bytes::new() } else { self.bytes.slice(self.skipped()..) }
    }

    /// The size by which queues count it: of its payload, in bytes.
    #[inline]
    pub fn payload_len(&self) -> usize {
        self.bytes.len().saturating_sub(self.skipped())
    }

    /// The same message in text, for a peer that said it cannot take binary (`b64=1`): `b<base64>`, in revision 3
    /// `b4<base64>`. A text message is returned as it is.
    ///
    /// The result is a frame and nothing else: its `payload` means nothing to a polling client.
    pub fn to_base64_frame(&self, protocol: Protocol) -> Bytes {
        if !self.binary {
            return self.frame();
        }
        let mut out = Vec::with_capacity(
            base64::encoded_len(self.payload_len()).saturating_add(HEAD_ROOM).saturating_add(2),
        );
        out.resize(HEAD_ROOM, 0);
        out.extend_from_slice(match protocol {
            Protocol::V3 => b"b4",
            Protocol::V4 => b"b",
        });
        base64::encode(self.payload(), &mut out);
        let start = put_header(&mut out, TEXT);
        Bytes::from(out).slice(usize::from(start)..)
    }

    #[inline]
    fn skipped(&self) -> usize {
        if self.binary { 0 } else { HEAD_ROOM + 1 }
    }
}

impl From<&Message> for Message {
    fn from(message: &Message) -> Message {
        message.clone()
    }
}

impl fmt::Debug for Message {
    /// Kind and size only: payloads are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("binary", &self.binary)
            .field("len", &self.payload_len())
            .field("compress", &self.compress)
            .finish()
    }
}

/// Builds a text message in place: room for the frame's header is left in front, so that finishing copies nothing.
///
/// What is written has to be UTF-8; a JSON serializer's output is.
#[derive(Debug)]
pub struct MessageBuilder {
    bytes: Vec<u8>,
}

impl MessageBuilder {
    /// An empty message.
    pub fn new() -> MessageBuilder {
        MessageBuilder::with_capacity(64)
    }

    /// An empty message with room for so many bytes of payload.
    pub fn with_capacity(payload: usize) -> MessageBuilder {
        let mut bytes = Vec::with_capacity(payload.saturating_add(HEAD_ROOM + 1));
        bytes.extend_from_slice(&[0; HEAD_ROOM]);
        bytes.push(b'4');
        MessageBuilder { bytes }
    }

    /// Appends text.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Appends bytes, which have to be (part of) UTF-8.
    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The payload so far.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEAD_ROOM + 1..).unwrap_or_default()
    }

    /// How many bytes of payload there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(HEAD_ROOM + 1)
    }

    /// Whether nothing was written yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes back what was written after the first `len` bytes of payload.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len.saturating_add(HEAD_ROOM + 1));
    }

    /// The message.
    #[inline]
    pub fn finish(mut self) -> Message {
        debug_assert!(core::str::from_utf8(self.payload()).is_ok(), "a text message has to be UTF-8");
        let start = put_header(&mut self.bytes, TEXT);
        Message { bytes: Bytes::from(self.bytes), start, binary: false, compress: true }
    }
}

impl Default for MessageBuilder {
    fn default() -> Self {
        MessageBuilder::new()
    }
}

impl fmt::Write for MessageBuilder {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl io::Write for MessageBuilder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push_bytes(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push_bytes(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The few bytes in front of a payload: see [`Message::head`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageHead {
    bytes: [u8; HEAD_ROOM + 1],
    len: u8,
}

impl MessageHead {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }
}

impl AsRef<[u8]> for MessageHead {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for MessageHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageHead").field(&self.as_slice()).finish()
    }
}

/// The length of an unmasked frame, in its shortest form (RFC 6455, section 5.2).
#[inline]
fn push_len(head: &mut MessageHead, len: usize) {
    if let (Ok(short), true) = (u8::try_from(len), len < 126) {
        head.push(short);
    } else if let Ok(medium) = u16::try_from(len) {
        head.push(126);
        medium.to_be_bytes().into_iter().for_each(|byte| head.push(byte));
    } else {
        head.push(127);
        let long = u64::try_from(len).unwrap_or(u64::MAX);
        long.to_be_bytes().into_iter().for_each(|byte| head.push(byte));
    }
}

/// Writes the header for what follows the head room right in front of it, and tells where the frame begins.
#[inline]
fn put_header(bytes: &mut [u8], opcode: u8) -> u8 {
    let mut head = MessageHead::default();
    head.push(opcode);
    push_len(&mut head, bytes.len().saturating_sub(HEAD_ROOM));
    let start = HEAD_ROOM.saturating_sub(usize::from(head.len));
    if let Some(room) = bytes.get_mut(start..HEAD_ROOM) {
        room.copy_from_slice(head.as_slice());
    }
    u8::try_from(start).unwrap_or(0)
}
