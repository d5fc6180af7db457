//! Received arguments: text until somebody asks for a type.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{Payload, ReadError, read};

/// The arguments of a received event or acknowledgement.
///
/// They stay the text they arrived as until a handler asks for a type, and are relayed without ever being read.
/// Binary values are wherever the type asks for bytes (`bytes::Bytes`, `serde_bytes`), at any depth, also behind
/// untagged enums and `flatten`; [`Value`](super::Value) reads whatever there is.
///
/// Lone surrogate escapes (`"\ud800"`, legal in JavaScript) are read as U+FFFD and relayed as they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments<'a> {
    /// The whole array.
    text: Cow<'a, str>,
    /// Where the arguments start: behind the event name and its comma, or behind the bracket.
    start: usize,
    /// There is a name before `start`.
    named: bool,
    /// `text` holds escapes that Rust's strings cannot.
    surrogates: bool,
    /// In the order of their placeholders in `text`.
    attachments: Cow<'a, [Bytes]>,
}
impl<'a> Arguments<'a> {
    pub(super) fn new(
        text: Cow<'a, str>,
        start: usize,
        named: bool,
        surrogates: bool,
        attachments: Cow<'a, [Bytes]>,
    ) -> Arguments<'a> {
        Arguments { text, start, named, surrogates, attachments }
    }

    /// Reads what a handler takes: `()` takes nothing, [`Args<(A, B)>`](super::Args) takes several arguments, and
    /// every other type takes the first. Further arguments are ignored, as in JavaScript. An argument that is
    /// missing reads as null.
    ///
    /// # Errors
    /// When the argument does not fit `T`.
    pub fn arg<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        read::arg(self)
    }

    /// Reads all arguments as a tuple (or any other sequence). Further arguments than the tuple has are ignored;
    /// missing ones read as null, so that trailing `Option`s may be left out by the sender.
    ///
    /// # Errors
    /// When an argument does not fit; the error names it.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        read::args(self)
    }

    /// The JSON text of the whole array, the event name included. Binary values are placeholders, numbered in the
    /// order in which they appear, if there are [attachments](Arguments::attachments); without attachments
    /// such an object is ordinary data.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The binary values, in the order of their placeholders.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// True if there is no argument at all.
    pub fn is_empty(&self) -> bool {
        self.rest().starts_with(']')
    }

    /// The same arguments as something to send: the event again under its own name, or the answer again. The
    /// text is copied, attachments are shared, nothing is re-encoded.
    pub fn to_payload(&self) -> Payload {
        let payload = Payload::trusted(self.text.clone().into_owned(), self.attachments.to_vec());
        if self.named && !self.surrogates { payload.walked(self.start) } else { payload }
    }

    /// The same arguments as an answer: the event's name is left out. The text is copied, attachments are shared.
    pub fn to_answer(&self) -> Payload {
        Payload::trusted(["[", self.rest()].concat(), self.attachments.to_vec())
    }

    /// The same, without a copy if the text is owned already.
    pub fn into_payload(self) -> Payload {
        Payload::trusted(self.text.into_owned(), self.attachments.into_owned())
    }

    /// The same, borrowed from nothing. Copies the text if it was borrowed; attachments are shared.
    pub fn into_owned(self) -> Arguments<'static> {
        Arguments {
            text: Cow::Owned(self.text.into_owned()),
            attachments: Cow::Owned(self.attachments.into_owned()),
            ..self
        }
    }

    /// From the first argument (or the closing bracket) to the end.
    pub(super) fn rest(&self) -> &str {
        self.text.get(self.start..).unwrap_or("]")
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    pub(super) fn has_surrogates(&self) -> bool {
        self.surrogates
    }
}
