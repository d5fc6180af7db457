//! Received bytes to events.

use std::borrow::Cow;

use super::Role;
use super::close::{CloseCode, CloseFrame};
use super::deflate;

/// What a [`Reader`] accepts.
#[derive(Clone, Copy, Debug)]
pub struct ReaderConfig {
    /// Longest message in bytes, all fragments together and after inflation. One of exactly this size passes.
    /// Socket.IO calls it `maxHttpBufferSize`; default 1 000 000. `usize::MAX`: no limit.
    pub max_message: usize,
    /// Refuse frames whose length is not in its shortest form (1002). RFC 6455 demands it of the sender, most
    /// receivers do not care; default `false`: accepted and counted ([`Reader::long_forms`]).
    pub strict_lengths: bool,
    /// What the handshake agreed on; `None` (the default) refuses compressed messages.
    pub deflate: Option<deflate::Params>,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        Self { max_message: 1_000_000, strict_lengths: false, deflate: None }
    }
}

/// What came. Borrowed from the input where a message was whole in it, uncompressed and in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message; valid UTF-8.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// Answer with a pong of the same payload; only the latest ping needs an answer.
    Ping(Cow<'a, [u8]>),
    /// An answer to a ping of ours, or unasked; never an error.
    Pong(Cow<'a, [u8]>),
    /// The peer says goodbye. The last event: what follows is ignored.
    Close(Option<CloseFrame<'a>>),
}

/// The peer broke a rule. The reader is done; see [`close_code`](Self::close_code) for what to tell the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// A client's frame without a mask.
    #[error("frame without a mask")]
    Unmasked,
    /// A server's frame with a mask.
    #[error("masked frame from a server")]
    Masked,
    /// A reserved bit without an extension that gives it a meaning, or RSV1 on anything but a first data frame.
    #[error("reserved bit set")]
    ReservedBit,
    /// Opcodes 3–7 and 11–15.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// A ping, pong or close without FIN.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A ping, pong or close of more than 125 bytes.
    #[error("control frame too long")]
    LongControl,
    /// A continuation without a message to continue.
    #[error("continuation of nothing")]
    OrphanContinuation,
    /// A new data frame before the last message was finished.
    #[error("message inside a message")]
    Interleaved,
    /// A 64-bit length with its top bit set.
    #[error("impossible length")]
    ImpossibleLength,
    /// A length not in its shortest form, where [`ReaderConfig::strict_lengths`] asks for it.
    #[error("length not in its shortest form")]
    LongForm,
    /// A close frame with one byte, or with a code that may not appear on the wire.
    #[error("bad close frame")]
    BadClose,
    /// Text, or the reason of a close frame, that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// Compressed data that does not inflate.
    #[error("data does not inflate")]
    InvalidDeflate,
    /// More bytes than [`ReaderConfig::max_message`].
    #[error("message too big")]
    TooBig,
    /// More than 1024 empty fragments in a row.
    #[error("too many empty fragments")]
    EmptyFragments,
}

impl Violation {
    /// The code for our close frame.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Unmasked
            | Self::Masked
            | Self::ReservedBit
            | Self::ReservedOpcode
            | Self::FragmentedControl
            | Self::LongControl
            | Self::OrphanContinuation
            | Self::Interleaved
            | Self::ImpossibleLength
            | Self::LongForm
            | Self::BadClose => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_DATA,
            Self::EmptyFragments => CloseCode::POLICY,
            Self::TooBig => CloseCode::TOO_BIG,
        }
    }
}

/// Turns received bytes into [`Event`]s.
#[derive(Debug)]
pub struct Reader {
    config: ReaderConfig,
    role: Role,
}

impl Reader {
    /// A reader at the start of a connection, after the handshake.
    pub fn new(role: Role, config: ReaderConfig) -> Self {
        Self { config, role }
    }

    /// Consumes bytes from the front of `input` (unmasking them in place) up to the end of the next event.
    ///
    /// Returns how many bytes were taken, and the event they completed. Call again with the rest until all is
    /// taken; `None` comes only with the whole input taken. What is unfinished is kept inside.
    ///
    /// After a [`Violation`] or a close frame everything is taken and nothing comes any more.
    pub fn read<'a>(&mut self, input: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Violation> {
        let _ = (input, self.config, self.role);
        todo!()
    }

    /// Whether a message or frame has begun and not ended: the caller's deadline for it runs.
    pub fn is_mid_message(&self) -> bool {
        todo!()
    }

    /// How many frames announced their length in more bytes than needed.
    pub fn long_forms(&self) -> u32 {
        todo!()
    }
}
