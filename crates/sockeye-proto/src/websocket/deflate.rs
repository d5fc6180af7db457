//! permessage-deflate (RFC 7692).

use bytes::Bytes;

use super::OpCode;

/// What we offer or accept. Durable state per connection is dear (32 KiB to inflate, about 256 KiB to deflate
/// with context takeover), so the default has none: every message stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server forgets its window after each message. Default `true`.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message. Default `true`.
    pub client_no_context_takeover: bool,
    /// Largest window of the server's messages, 9–15; `None` (default): no wish, 15.
    pub server_max_window_bits: Option<u8>,
    /// Largest window of the client's messages, 9–15; `None` (default): no wish, 15.
    pub client_max_window_bits: Option<u8>,
    /// Messages shorter than this many bytes are sent uncompressed. Default 1024.
    pub threshold: usize,
    /// 0 (store) to 9 (best); default 6.
    pub level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: None,
            client_max_window_bits: None,
            threshold: 1024,
            level: 6,
        }
    }
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The server's messages stand alone.
    pub server_no_context_takeover: bool,
    /// The client's messages stand alone.
    pub client_no_context_takeover: bool,
    /// Window of the server's messages, 9–15.
    pub server_max_window_bits: u8,
    /// Window of the client's messages, 8–15.
    pub client_max_window_bits: u8,
}

/// A server's choice among a client's offers.
///
/// `offers`: the values of all `Sec-WebSocket-Extensions` headers, in order. The first acceptable offer wins;
/// one that is malformed, unknown or asks for the impossible is passed over. Returns what was agreed and the
/// value of the response's `Sec-WebSocket-Extensions`, or `None`: the connection is then uncompressed.
pub fn negotiate<'a>(
    offers: impl IntoIterator<Item = &'a str>,
    options: &Options,
) -> Option<(Params, String)> {
    let _ = (offers.into_iter().count(), options);
    todo!()
}

/// Compresses the messages of one direction of one connection, or, without context takeover, of any number of
/// connections with the same window: keep one per thread and no connection holds any state.
#[derive(Debug)]
pub struct Deflater {}

impl Deflater {
    /// `window_bits` 9–15 and `level` 0–9 (both are clamped); `takeover`: later messages refer to earlier ones.
    /// Allocates nothing yet.
    pub fn new(window_bits: u8, takeover: bool, level: u8) -> Self {
        let _ = (window_bits, takeover, level);
        todo!()
    }

    /// The payload of a frame with RSV1 set that carries `message`, appended to `out`.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let _ = (message, out);
        todo!()
    }

    /// A whole server frame (header with RSV1, payload) that carries `message`. Without context takeover, made
    /// once and shared by all recipients.
    pub fn frame(&mut self, opcode: OpCode, message: &[u8]) -> Bytes {
        let _ = (opcode, message);
        todo!()
    }
}
