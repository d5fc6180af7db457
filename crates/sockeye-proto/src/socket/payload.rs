//! Arguments on their way out: encoded once, into the one internal form.

use bytes::Bytes;
use serde::Serialize;

use super::{Arguments, EncodeError};

/// The arguments of an event or an acknowledgement, ready for every dialect.
///
/// It holds the JSON text of the whole array, in which binary values are placeholders numbered in the order of
/// their appearance, and the binary values beside it. All dialects are made from it; see
/// [`encode`](super::encode).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    text: String,
    attachments: Vec<Bytes>,
}

impl Payload {
    /// An event: its name and its arguments. `args` is one argument, unless it is [`Args`](super::Args) around a
    /// tuple (several) or `()` (none). Values that serialize as bytes become attachments.
    ///
    /// # Errors
    /// When the name is reserved or the arguments cannot be written; see [`EncodeError`].
    pub fn event(name: &str, args: &(impl Serialize + ?Sized)) -> Result<Payload, EncodeError> {
        todo!("{name} {}", std::any::type_name_of_val(args))
    }

    /// An acknowledgement: the arguments alone, counted as in [`Payload::event`].
    ///
    /// # Errors
    /// When the arguments cannot be written; see [`EncodeError`].
    pub fn args(args: &(impl Serialize + ?Sized)) -> Result<Payload, EncodeError> {
        todo!("{}", std::any::type_name_of_val(args))
    }

    /// From parts that came from elsewhere, such as another node: checks the text as if a peer had sent it,
    /// except for its size. `event` says whether the first element is an event name. Attachments may be given in
    /// any order of placeholders; they are put in order of appearance.
    ///
    /// # Errors
    /// When the text is not an array in JSON, or its placeholders do not match the attachments.
    pub fn from_parts(text: String, attachments: Vec<Bytes>, event: bool) -> Result<Payload, super::Violation> {
        todo!("{text} {} {event}", attachments.len())
    }

    /// The same with one more argument at the end: the offset that connection state recovery appends.
    #[must_use]
    pub fn with_offset(&self, offset: &str) -> Payload {
        todo!("{offset}")
    }

    /// The JSON text of the whole array.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The binary values, in the order of their placeholders.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Bytes held: text and attachments.
    pub fn size(&self) -> usize {
        self.attachments.iter().fold(self.text.len(), |sum, bytes| sum.saturating_add(bytes.len()))
    }

    /// The arguments of an event, for reading: what `Payload::event` was given.
    pub fn event_arguments(&self) -> Arguments<'_> {
        todo!()
    }

    /// The arguments of an acknowledgement, for reading: what `Payload::args` was given.
    pub fn ack_arguments(&self) -> Arguments<'_> {
        todo!()
    }

    /// For parts that are known to be in the internal form.
    pub(super) fn trusted(text: String, attachments: Vec<Bytes>) -> Payload {
        Payload { text, attachments }
    }
}
