//! WebSocket framing (RFC 6455) with permessage-deflate (RFC 7692), for both ends of the wire.
//!
//! Bytes go in, [`Event`]s come out; nothing here owns a socket, a task, a clock or dice. The caller brings
//! what this module must never reach for: masking keys, the key of a client's handshake, deadlines.
//!
//! - [`Reader`]: received bytes to messages and control frames, or a [`Violation`] with its close code.
//! - [`frame`]: the way out. Headers and control frames built on the stack.
//! - [`CloseHandshake`]: who says goodbye, and who may hang up.
//! - [`deflate`]: negotiation, one-off and shared compression, bounded decompression.
//! - [`handshake`]: the HTTP upgrade of both ends, over plain strings.
//!
//! # What is left to the driver
//! - Answer the *latest* ping only: keep at most one pong waiting, replace it when another ping comes.
//! - Stop reading while the peer does not read; a message must be finished within the driver's deadline
//!   (the reader bounds its bytes, never its age).
//! - After a [`Violation`]: send a close frame with [`Violation::close_code`] and end the connection.

mod close;
pub mod deflate;
pub mod frame;
pub mod handshake;
mod mask;
mod reader;
mod violation;

pub use close::{CloseCode, CloseFrame, CloseHandshake};
pub use frame::OpCode;
pub use mask::apply as apply_mask;
pub use reader::{Event, Reader, ReaderConfig};
pub use violation::Violation;

/// Which end of the connection we are.
///
/// A server receives masked frames and sends unmasked ones; a client the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We accepted the connection.
    Server,
    /// We opened the connection.
    Client,
}
