//! Dialects: the built-in ones, and how an application brings its own.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::{EncodeError, Encoded, Limits, Packet, PacketOut, Violation};

/// The Socket.IO protocol a session speaks. It follows from the Engine.IO protocol: 4 over EIO 3, 5 over EIO 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Socket.IO 1.0.3 to 2.x. The main namespace is joined implicitly, a CONNECT carries no payload, refusals
    /// are bare values, and everything is written in ASCII (`protocols.md` §1.3 tells why).
    V4,
    /// Socket.IO 3 and 4.
    V5,
}

/// How a session's packets are written: protocol generation and parser.
#[derive(Debug, Clone)]
pub enum Dialect {
    /// The default parser: JSON text, binary values as attachments.
    Json(Protocol),
    /// `socket.io-msgpack-parser`: each packet one binary message.
    Msgpack(Protocol),
    /// A parser of the application.
    Custom(Arc<dyn Parser>),
}

/// A packet parser. The built-in ones are [`Json`] and [`Msgpack`]; an application may bring its own.
pub trait Parser: Debug + Send + Sync + 'static {
    /// The decoding side of one session. It may keep state between messages.
    fn decoder(&self, limits: Arc<Limits>) -> Box<dyn PacketDecoder>;

    /// One packet as messages.
    ///
    /// # Errors
    /// When the packet cannot be said in this dialect; the emit that asked for it gets the error.
    fn encode(&self, packet: &PacketOut<'_>) -> Result<Encoded, EncodeError>;
}

/// The decoding side of a [`Parser`], for one session.
pub trait PacketDecoder: Debug + Send {
    /// A text message. `None` if the packet goes on in the next message.
    ///
    /// # Errors
    /// A violation closes the session.
    fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation>;

    /// A binary message.
    ///
    /// # Errors
    /// A violation closes the session.
    fn binary(&mut self, data: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation>;

    /// True while a packet is unfinished.
    fn is_pending(&self) -> bool {
        false
    }
}

/// The default parser.
#[derive(Debug, Clone, Copy)]
pub struct Json(pub Protocol);

/// The msgpack parser.
#[derive(Debug, Clone, Copy)]
pub struct Msgpack(pub Protocol);
