//! Whose fault it is: a [`Violation`] is the peer's, an [`EncodeError`] the caller's, a [`ReadError`] a
//! misunderstanding between the two.

use thiserror::Error;

/// The peer broke the protocol. The session that sent it must be closed with the reason `parse error`; nothing of
/// the packet was kept. The texts are fixed and hold nothing of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Violation {
    /// An empty message, or one that starts with something else than a packet type of the dialect.
    #[error("unknown packet type")]
    PacketType,
    /// The number of attachments is not written as `1*DIGIT "-"`, or is 0, or has a leading zero.
    #[error("illegal attachments")]
    AttachmentCount,
    /// More attachments than [`Limits::attachments`](super::Limits::attachments).
    #[error("too many attachments")]
    TooManyAttachments,
    /// The attachments are larger together than [`Limits::attachment_bytes`](super::Limits::attachment_bytes).
    #[error("attachments too large")]
    AttachmentsTooLarge,
    /// A placeholder without a proper index, or one index missing or used twice, or a placeholder with more keys
    /// than its two.
    #[error("illegal placeholder")]
    Placeholder,
    /// Text arrived while attachments were awaited.
    #[error("text between attachments")]
    TextBetweenAttachments,
    /// Binary arrived while no attachment was awaited.
    #[error("unexpected binary")]
    UnexpectedBinary,
    /// The dialect has no such message: text where every packet is binary.
    #[error("unexpected text")]
    UnexpectedText,
    /// The namespace is too long or holds control characters (in a packet other than CONNECT), or does not start
    /// with a slash.
    #[error("illegal namespace")]
    Namespace,
    /// The packet id is not 0 to 2^53−1 in digits, or missing in an acknowledgement, or present where none may be.
    #[error("illegal packet id")]
    Id,
    /// The payload is missing, or is not what this type of packet carries.
    #[error("invalid payload")]
    Payload,
    /// The payload is not JSON.
    #[error("invalid JSON")]
    Json,
    /// Nested deeper than [`Limits::depth`](super::Limits::depth).
    #[error("nested too deeply")]
    Depth,
    /// The event name is reserved, too long, or neither a string nor a number.
    #[error("illegal event name")]
    EventName,
    /// The message is not MessagePack, announces more than it holds, or holds something that has no JSON form.
    #[error("invalid msgpack")]
    Msgpack,
    /// What a custom [`Parser`](super::Parser) refused.
    #[error("{0}")]
    Custom(&'static str),
}

/// The arguments given to an emit or an acknowledgement cannot be sent. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A `Serialize` implementation failed, or wrote something that JSON cannot hold (such as a map whose keys
    /// are not strings).
    #[error("cannot serialize the arguments: {0}")]
    Serialize(String),
    /// The event name is one of [`RESERVED`](super::RESERVED): receivers would drop the connection.
    #[error("{0:?} is a reserved event name")]
    ReservedName(String),
    /// The arguments contain binary values and also an object with `"_placeholder": true`. The receiver would
    /// take that object for one of the attachments, so such a packet is not sent. Without binary values the same
    /// object is ordinary data.
    #[error("an object with \"_placeholder\": true cannot be sent beside binary values")]
    PlaceholderInData,
    /// The JSON text given is not what its place needs.
    #[error("invalid JSON: {0}")]
    Json(&'static str),
    /// What a custom [`Parser`](super::Parser) refused.
    #[error("{0}")]
    Custom(String),
}

/// What arrived does not fit the type it is read as.
///
/// The text names the argument, the expected type and the position, and may quote what was received: it is for
/// the log of the application, never for the peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("argument {argument} cannot be read as {expected}: {message} (at byte {position})")]
#[non_exhaustive]
pub struct ReadError {
    /// Which argument, counted from 0 without the event name.
    pub argument: usize,
    /// The Rust type asked for.
    pub expected: &'static str,
    /// What was wrong.
    pub message: String,
    /// Where in the text of the array (see [`Arguments::text`](super::Arguments::text)), in bytes from its start.
    pub position: usize,
}
