//! What a peer can do wrong, and the one table from there to the code it is told.

use super::close::CloseCode;
#[cfg(doc)]
use super::reader::ReaderConfig;

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
    /// More bytes than [`ReaderConfig::max_message`], or a length of 2^53 and more.
    #[error("message too big")]
    TooBig,
    /// More than 1024 empty fragments in a row.
    #[error("too many empty fragments")]
    EmptyFragments,
}

impl Violation {
    /// The code for our close frame: 1002, 1007, 1008 or 1009.
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
            | Self::LongForm
            | Self::BadClose => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_DATA,
            Self::EmptyFragments => CloseCode::POLICY,
            Self::TooBig => CloseCode::TOO_BIG,
        }
    }
}
