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
//! ```
//! use sockeye_proto::websocket::{Event, OpCode, Reader, ReaderConfig, Role, Violation, frame};
//!
//! /// An echo: what was read goes back into `output`.
//! fn received(reader: &mut Reader, mut input: &mut [u8], output: &mut Vec<u8>) -> Result<(), Violation> {
//!     while !input.is_empty() {
//!         let (taken, event) = reader.read(input)?;
//!         match event {
//!             Some(Event::Text(text)) => frame::encode(OpCode::Text, false, text.as_bytes(), None, output),
//!             Some(Event::Binary(bytes)) => frame::encode(OpCode::Binary, false, &bytes, None, output),
//!             Some(Event::Ping(payload)) => output.extend_from_slice(frame::Control::pong(&payload, None).as_slice()),
//!             Some(Event::Pong(_) | Event::Close(_)) | None => {}
//!         }
//!         input = &mut input[taken..];
//!     }
//!     Ok(())
//! }
//!
//! let mut reader = Reader::new(Role::Server, ReaderConfig::default());
//! let mut input = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
//! let mut output = Vec::new();
//! received(&mut reader, &mut input, &mut output)?;
//! assert_eq!(output, [0x81, 2, b'h', b'i']);
//! # Ok::<(), Violation>(())
//! ```
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
