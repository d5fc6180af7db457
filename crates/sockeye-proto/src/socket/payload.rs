//! Arguments on their way out: encoded once, into the one internal form.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use super::json::{self, Placeholder};
use super::{Arguments, EncodeError, write};

/// The arguments of an event or an acknowledgement, ready for every dialect.
///
/// It holds the JSON text of the whole array, in which binary values are placeholders numbered in the order of
/// their appearance, and the binary values beside it. All dialects are made from it; see
/// [`encode`](super::encode).
#[derive(Debug, Clone)]
pub struct Payload {
    text: String,
    attachments: Vec<Bytes>,
    /// Where the arguments start behind the event's name, if somebody has looked already and there is nothing else
    /// to know about the text; else 0.
    start: usize,
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.attachments == other.attachments
    }
}

impl Eq for Payload {}

impl Payload {
    /// An event: its name and its arguments. `args` is one argument, unless it is [`Args`](super::Args) around a
    /// tuple (several) or `()` (none). Values that serialize as bytes become attachments.
    ///
    /// # Errors
    /// When the name is reserved or the arguments cannot be written; see [`EncodeError`].
    pub fn event(name: &str, args: &(impl Serialize + ?Sized)) -> Result<Payload, EncodeError> {
        Payload::write(Some(name), args)
    }

    /// An acknowledgement: the arguments alone, counted as in [`Payload::event`].
    ///
    /// # Errors
    /// When the arguments cannot be written; see [`EncodeError`].
    pub fn args(args: &(impl Serialize + ?Sized)) -> Result<Payload, EncodeError> {
        Payload::write(None, args)
    }

    /// From parts that came from elsewhere, such as another node: checks the text as if a peer had sent it,
    /// except for its size. `event` says whether the first element is an event name. Attachments may be given in
    /// any order of placeholders; they are put in order of appearance.
    ///
    /// # Errors
    /// When the text is not an array in JSON, or its placeholders do not match the attachments.
    pub fn from_parts(
        text: String,
        attachments: Vec<Bytes>,
        event: bool,
    ) -> Result<Payload, super::Violation> {
        // Whatever the length of the text, its nesting must stay within what JavaScript peers can walk through.
        const DEPTH: usize = 128;
        let wanted =
            json::Wanted { name: event.then_some(usize::MAX), attachments: attachments.len(), depth: DEPTH };
        let array = json::array(&text, wanted)?;
        let text = canonical_text(&array);
        let attachments = in_order(&array.placeholders, attachments);
        Ok(Payload::trusted(text, attachments))
    }

    /// The same with one more argument at the end: the offset that connection state recovery appends.
    #[must_use]
    pub fn with_offset(&self, offset: &str) -> Payload {
        let mut text = String::with_capacity(self.text.len().saturating_add(offset.len()).saturating_add(3));
        text.push_str(self.text.strip_suffix(']').unwrap_or(&self.text));
        if !text.trim_ascii_end().ends_with('[') {
            text.push(',');
        }
        // A string is always JSON.
        text.push_str(&serde_json::to_string(offset).unwrap_or_default());
        text.push(']');
        Payload::trusted(text, self.attachments.clone())
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

    /// The name of the event, if this is one.
    pub fn name(&self) -> Option<Cow<'_, str>> {
        self.scan(true).map(|array| array.name)
    }

    /// The arguments of an event, for reading: what `Payload::event` was given. Walks through the text.
    pub fn event_arguments(&self) -> Arguments<'_> {
        self.arguments(true)
    }

    /// The arguments of an acknowledgement, for reading: what `Payload::args` was given. Walks through the text.
    pub fn ack_arguments(&self) -> Arguments<'_> {
        self.arguments(false)
    }

    pub(super) fn into_arguments(self, event: bool) -> Arguments<'static> {
        self.arguments(event).into_owned()
    }

    fn arguments(&self, event: bool) -> Arguments<'_> {
        let (start, surrogates) = match self.start {
            start if event && start > 0 => (start, false),
            _ => self.scan(event).map_or((self.text.len(), false), |array| (array.start, array.surrogates)),
        };
        let attachments = Cow::Borrowed(self.attachments.as_slice());
        Arguments::new(Cow::Borrowed(&self.text), start, event, surrogates, attachments)
    }

    fn scan(&self, event: bool) -> Option<json::Array<'_>> {
        let wanted = json::Wanted {
            name: event.then_some(usize::MAX),
            attachments: self.attachments.len(),
            depth: usize::MAX,
        };
        json::array(&self.text, wanted).ok()
    }

    fn write(name: Option<&str>, args: &(impl Serialize + ?Sized)) -> Result<Payload, EncodeError> {
        let mut text = Vec::with_capacity(64);
        let attachments = write::array(&mut text, name, args, false)?;
        let text = String::from_utf8(text).map_err(|error| EncodeError::Serialize(error.to_string()))?;
        Ok(Payload::trusted(text, attachments))
    }

    /// For parts that are known to be in the internal form.
    pub(super) fn trusted(text: String, attachments: Vec<Bytes>) -> Payload {
        Payload { text, attachments, start: 0 }
    }

    /// The same, of an event whose arguments start at `start` and hold no lone surrogates.
    pub(super) fn walked(self, start: usize) -> Payload {
        Payload { start, ..self }
    }
}

/// The text of an array with its placeholders in the one spelling that the rest of this module looks for, and
/// numbered in the order in which they appear. Everything else stays as it was.
pub(super) fn canonical_text(array: &json::Array<'_>) -> String {
    let mut text = String::with_capacity(array.text.len());
    let mut copied = 0;
    for (num, placeholder) in array.placeholders.iter().enumerate() {
        text.push_str(array.text.get(copied..placeholder.start).unwrap_or(""));
        text.push_str(write::PLACEHOLDER);
        text.push_str(itoa::Buffer::new().format(num));
        text.push('}');
        copied = placeholder.end;
    }
    text.push_str(array.text.get(copied..).unwrap_or(""));
    text
}

/// Attachments as they were numbered by the sender, in the order in which their placeholders appear.
pub(super) fn in_order(placeholders: &[Placeholder], attachments: Vec<Bytes>) -> Vec<Bytes> {
    placeholders.iter().filter_map(|placeholder| attachments.get(placeholder.num).cloned()).collect()
}

/// `{"_placeholder":true,"num":…}`.
pub(super) fn push_placeholder(text: &mut Vec<u8>, num: usize) {
    text.extend_from_slice(write::PLACEHOLDER.as_bytes());
    text.extend_from_slice(itoa::Buffer::new().format(num).as_bytes());
    text.push(b'}');
}
