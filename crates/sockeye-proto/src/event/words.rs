//! What handlers of both ends take from an event and give back.

use std::fmt;
use std::ops::Deref;

use crate::socket::Payload;

/// The first argument of the event, read as a `T`; further arguments are ignored.
///
/// `T` is anything serde can read, binary included wherever it sits inside ([`bytes::Bytes`], or `Vec<u8>` through
/// `serde_bytes`). [`serde_json::Value`] takes whatever comes.
///
/// ```
/// use sockeye_proto::event::Data;
///
/// async fn length(Data(text): Data<String>) -> usize {
///     text.len()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data<T>(pub T);

impl<T> Deref for Data<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The arguments as they came: the JSON text of the array, and the attachments its placeholders count.
///
/// To look later ([`Payload::event_arguments`]), to store, or to pass on without reading.
#[derive(Clone)]
pub struct RawArgs(pub Payload);

impl RawArgs {
    /// The payload, to pass on: the event's name and its arguments.
    pub fn into_payload(self) -> Payload {
        self.0
    }

    /// The arguments alone, to answer with (`AckSender::send_payload`). Attachments are shared, not copied.
    pub fn to_answer(&self) -> Payload {
        self.0.event_arguments().to_answer()
    }
}

impl Deref for RawArgs {
    type Target = Payload;
    fn deref(&self) -> &Payload {
        &self.0
    }
}

impl fmt::Debug for RawArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawArgs(…)")
    }
}

/// The event's name. Useful where one function hears many events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName(pub String);

impl Deref for EventName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An answer of any serialisable type: `Ack(value)`.
///
/// Binary anywhere inside ([`bytes::Bytes`], `serde_bytes`) travels as attachments. For several arguments return
/// [`Args((a, b))`](crate::socket::Args) instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack<T>(pub T);
