//! permessage-deflate (RFC 7692): what is agreed on, and the two directions.
//!
//! A compressed message is one raw deflate stream ended by a sync flush whose last four bytes, `00 00 FF FF`, are
//! not sent. "Context takeover" means that a message may refer to the 32 KiB before it, in earlier messages; it
//! compresses better and costs both sides a window per connection and direction.
//!
//! This module must never inflate past the limit to see how far it would have gone.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::{self, OpCode};
use super::{Role, Violation};

mod negotiate;

pub use negotiate::{ResponseFault, accept_response, negotiate, offer};

/// What we offer or accept, and how we compress.
///
/// State kept per connection is dear (about 40 KiB to inflate, 256 KiB to deflate with context takeover), so by
/// default there is none: every message stands alone. Names follow Node's `ws`, whose default is takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server forgets its window after each message. Default `true`. `false` leaves it to the client.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message. Default `true`. `false` leaves it to the client.
    pub client_no_context_takeover: bool,
    /// The window of the server's messages. Default [`Window::Any`].
    pub server_max_window_bits: Window,
    /// The window of the client's messages. Default [`Window::Any`].
    pub client_max_window_bits: Window,
    /// Messages shorter than this many bytes are sent uncompressed, with and without takeover. Default 1024.
    pub threshold: usize,
    /// 0 (store) to 9 (best). Default 6.
    pub level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Window::Any,
            client_max_window_bits: Window::Any,
            threshold: 1024,
            level: 6,
        }
    }
}

impl Options {
    /// Whether a message of `len` bytes is worth compressing.
    pub const fn wants(&self, len: usize) -> bool {
        len >= self.threshold
    }
}

/// A wish about one direction's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// 15, or what the peer asks for.
    #[default]
    Any,
    /// Exactly this, 9–15 (values outside are brought inside). A server passes over offers that rule it out: that
    /// want the server's window smaller, or do not let it choose the client's.
    Bits(u8),
    /// A server does not let the peer limit this window: offers that do are passed over (server's window) or not
    /// answered (client's).
    Refuse,
}

impl Window {
    fn bits(self) -> Option<u8> {
        match self {
            Self::Bits(bits) => Some(bits.clamp(9, 15)),
            Self::Any | Self::Refuse => None,
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

impl Params {
    /// What the peer sends us.
    pub fn incoming(&self, role: Role) -> Direction {
        match role {
            Role::Server => self.client(),
            Role::Client => self.server(),
        }
    }

    /// What we send. Where it has no takeover, one [`Deflater`] serves any number of connections.
    pub fn outgoing(&self, role: Role) -> Direction {
        match role {
            Role::Server => self.server(),
            Role::Client => self.client(),
        }
    }

    fn server(&self) -> Direction {
        Direction { window_bits: self.server_max_window_bits, takeover: !self.server_no_context_takeover }
    }

    fn client(&self) -> Direction {
        Direction { window_bits: self.client_max_window_bits, takeover: !self.client_no_context_takeover }
    }
}

/// How one direction of a connection is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// Logarithm of the window, 8–15.
    pub window_bits: u8,
    /// Messages may refer to earlier ones.
    pub takeover: bool,
}

impl Default for Direction {
    fn default() -> Self {
        Self { window_bits: 15, takeover: false }
    }
}

/// Compresses the messages of one direction of one connection, or, without context takeover, of any number of
/// connections with the same window: keep one per thread and no connection holds any state.
#[derive(Debug)]
pub struct Deflater {
    zlib: Option<Compress>,
    direction: Direction,
    level: u8,
}

impl Deflater {
    /// `level` is 0–9. Allocates its 256 KiB (less with a smaller window) at the first message.
    pub fn new(direction: Direction, level: u8) -> Self {
        Self { zlib: None, direction, level: level.min(9) }
    }

    /// How it compresses.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The payload of a frame with RSV1 set that carries `message`, appended to `out`.
    ///
    /// With takeover the payloads must reach the peer in the order in which they were made, all of them.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) {
        // zlib has nothing to flush for an empty message; RFC 7692 §7.2.3.6 gives its one byte.
        if message.is_empty() {
            return out.push(0);
        }
        let start = out.len();
        if self.try_deflate(message, out).is_none() {
            // zlib reports errors only for misuse. Still, the peer needs its message: in stored blocks, which
            // no history is needed for, with a compressor that then has none either.
            self.zlib = None;
            out.truncate(start);
            stored(message, out);
        }
    }

    /// A whole server frame that carries `message`. Without context takeover it is made once and shared by all
    /// recipients, and left uncompressed (RSV1 clear) where compression does not pay.
    pub fn frame(&mut self, opcode: OpCode, message: &[u8]) -> Bytes {
        // Header room is left in front, and what of it is not needed is cut off at the end: no copy.
        const ROOM: usize = 10;
        let mut bytes = Vec::with_capacity((message.len() / 4).saturating_add(64));
        bytes.extend_from_slice(&[0; ROOM]);
        self.deflate(message, &mut bytes);
        let compressed = bytes.len().saturating_sub(ROOM) < message.len() || self.direction.takeover;
        if !compressed {
            bytes.truncate(ROOM);
            bytes.extend_from_slice(message);
        }
        let len = bytes.len().saturating_sub(ROOM);
        let header = frame::header(opcode, true, compressed, len as u64, None);
        let start = ROOM.saturating_sub(header.as_slice().len());
        for (to, from) in bytes.iter_mut().skip(start).zip(header.as_slice()) {
            *to = *from;
        }
        Bytes::from(bytes).slice(start..)
    }

    /// Gives the compressor's memory back. With takeover the next message no longer refers to earlier ones,
    /// which the peer need not know.
    pub fn release(&mut self) {
        self.zlib = None;
    }

    fn try_deflate(&mut self, message: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (level, bits) =
            (Compression::new(u32::from(self.level)), self.direction.window_bits.clamp(9, 15));
        let zlib = self.zlib.get_or_insert_with(|| Compress::new_with_window_bits(level, false, bits));
        if !self.direction.takeover {
            zlib.reset();
        }
        let mut rest = message;
        out.reserve((message.len() / 2).clamp(64, 64 * 1024));
        loop {
            let (read, written) = (zlib.total_in(), out.len());
            let status = zlib.compress_vec(rest, out, FlushCompress::Sync).ok()?;
            let taken = usize::try_from(zlib.total_in().checked_sub(read)?).ok()?;
            rest = rest.get(taken..)?;
            // Space left over means that the flush is complete.
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            if taken == 0 && out.len() == written && status == Status::BufError && out.len() < out.capacity()
            {
                break;
            }
            out.reserve(out.len().clamp(256, 256 * 1024));
        }
        out.truncate(out.len().checked_sub(4).filter(|end| out.get(*end..) == Some(&TAIL))?);
        Some(())
    }
}

/// `message` as stored blocks, ended like any compressed message.
fn stored(message: &[u8], out: &mut Vec<u8>) {
    for block in message.chunks(0xFFFF) {
        let len = block.len() as u16;
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.push(0);
}

/// Decompresses the messages of one direction of one connection.
#[derive(Debug)]
pub(super) struct Inflater {
    zlib: Decompress,
    window_bits: u8,
    /// Nothing was fed since the last end of a message or of a deflate stream.
    fresh: bool,
    /// Streams that ended inside this message.
    ends: u16,
}

impl Inflater {
    pub(super) fn new(window_bits: u8) -> Self {
        // A sender held to 8 bits may really use 9, as zlib itself does.
        let window_bits = window_bits.clamp(9, 15);
        Self { zlib: Decompress::new_with_window_bits(false, window_bits), window_bits, fresh: true, ends: 0 }
    }

    /// Inflates a piece of a message onto the end of `out`, which stops at one byte past `limit`: that is
    /// [`Violation::TooBig`].
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Violation> {
        while !piece.is_empty() {
            self.fresh = false;
            make_room(out, piece.len(), limit);
            let (read, written) = (self.zlib.total_in(), out.len());
            let result = self.zlib.decompress_vec(piece, out, FlushDecompress::None);
            // The limit first: how far zlib ran into what follows depends on how the bytes were cut.
            if out.len() > limit {
                return Err(Violation::TooBig);
            }
            let status = result.map_err(|_| Violation::InvalidDeflate)?;
            let taken = self.zlib.total_in().saturating_sub(read) as usize;
            piece = piece.get(taken..).unwrap_or_default();
            match status {
                Status::StreamEnd => self.restart()?,
                _ if taken == 0 && out.len() == written && out.len() < out.capacity() => {
                    return Err(Violation::InvalidDeflate);
                }
                _ => {}
            }
        }
        self.drain(out, limit)
    }

    /// The message is whole: puts back the four bytes that were not sent.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), Violation> {
        // After a stream's end, or without any byte, there is no flush to complete; the four bytes would be
        // taken for the start of a block.
        if !self.fresh {
            self.feed(&TAIL, out, limit)?;
        }
        self.fresh = true;
        self.ends = 0;
        Ok(())
    }

    /// What zlib has read but had no room to write.
    fn drain(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), Violation> {
        while out.len() == out.capacity() && !self.fresh {
            make_room(out, 0, limit);
            let written = out.len();
            let result = self.zlib.decompress_vec(&[], out, FlushDecompress::None);
            if out.len() > limit {
                return Err(Violation::TooBig);
            }
            match result.map_err(|_| Violation::InvalidDeflate)? {
                Status::StreamEnd => self.restart()?,
                _ if out.len() == written => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The sender ended its stream (BFINAL) to flush, and starts anew: legal, RFC 7692 §7.2.3.4. Bounded, as a new
    /// stream costs us far more than the two bytes it costs the peer.
    fn restart(&mut self) -> Result<(), Violation> {
        self.ends = self.ends.saturating_add(1);
        if self.ends > MAX_STREAM_ENDS {
            return Err(Violation::InvalidDeflate);
        }
        self.zlib = Decompress::new_with_window_bits(false, self.window_bits);
        self.fresh = true;
        Ok(())
    }
}

/// Room for at least one more byte: doubling from a first guess, up to the byte that proves `limit` broken.
fn make_room(out: &mut Vec<u8>, piece: usize, limit: usize) {
    if out.len() < out.capacity() {
        return;
    }
    let guess = out.len().max(piece.saturating_mul(4).clamp(64, 16 * 1024));
    let end = out.len().saturating_add(guess).min(limit.saturating_add(1));
    out.reserve_exact(end.saturating_sub(out.len()).max(1));
}

/// What a sync flush ends with, and permessage-deflate leaves out.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// How often a deflate stream may end inside one message.
const MAX_STREAM_ENDS: u16 = 256;
