//! What is refused, and from where on.

use thiserror::Error;

use crate::socket::{self, Violation};

/// A message that is not acted upon: counted and forgotten. The texts hold nothing of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refused {
    /// More bytes than [`Limits::message`].
    #[error("message too large")]
    TooLarge,
    /// Neither JSON nor MessagePack from end to end, or announcing more than is there.
    #[error("neither JSON nor MessagePack")]
    Malformed,
    /// Nested too deeply.
    #[error("nested too deeply")]
    Depth,
    /// A list has more entries than [`Limits`] allows, or a message more binary values.
    #[error("too many entries")]
    TooMany,
    /// This field is missing or is not what it has to be.
    #[error("field `{0}` is missing or of another kind")]
    Field(&'static str),
    /// A type of message that this dialect does not have. Newer servers may say such things; theirs are ignored too.
    #[error("unknown type of message")]
    UnknownType,
    /// A broadcast of something else than an event.
    #[error("not an event")]
    NotAnEvent,
    /// An event or an answer whose arguments no client could be sent.
    #[error("arguments: {0}")]
    Arguments(Violation),
}

/// The dialect has no words for this message. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("this dialect has no such message")]
pub struct Unsayable;

/// What one message of another server may make us hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes. Default 16 MiB.
    pub message: usize,
    /// Arrays and objects inside each other in one list of arguments, the list included. Default 128. The message
    /// around them may add a few.
    pub depth: usize,
    /// Binary values in one message. Default 1000: servers may send each other more than clients accept.
    pub attachments: usize,
    /// Rooms or socket ids in one list. Default 1 000 000.
    pub names: usize,
    /// Sockets described in one message. Default 100 000.
    pub sockets: usize,
}

impl Limits {
    /// Levels that an envelope puts around arguments.
    const ENVELOPE: usize = 8;

    /// For the whole of a message.
    pub(super) fn outer_depth(&self) -> usize {
        self.depth.saturating_add(Limits::ENVELOPE)
    }

    /// For translating a part of a message that may still have so many attachments.
    pub(super) fn translation(&self, attachments: usize) -> socket::Limits {
        socket::Limits {
            attachments,
            attachment_bytes: usize::MAX,
            depth: self.depth,
            event_name: usize::MAX,
            namespace: usize::MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message: 16 << 20, depth: 128, attachments: 1000, names: 1_000_000, sockets: 100_000 }
    }
}

impl From<Violation> for Refused {
    fn from(violation: Violation) -> Refused {
        match violation {
            Violation::Depth => Refused::Depth,
            Violation::TooManyAttachments => Refused::TooMany,
            Violation::Msgpack | Violation::Json => Refused::Malformed,
            other => Refused::Arguments(other),
        }
    }
}
