//! Extractors for what the client sent in an event.

use std::fmt;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use sockeye_proto::socket::{Args, Payload, ReadError};

use super::{FromEvent, Mismatch, MismatchKind};
use crate::ack::AckSender;
use crate::handler::Call;

/// The first argument of the event, read as a `T`; further arguments are ignored.
///
/// `T` is anything serde can read, binary included wherever it sits inside ([`bytes::Bytes`], or `Vec<u8>` through
/// `serde_bytes`). [`serde_json::Value`] takes whatever comes.
///
/// ```
/// use sockeye::{Data, Socket};
///
/// async fn say(socket: Socket, Data(text): Data<String>) {
///     socket.broadcast().emit("said", &text).ok();
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

impl<T: DeserializeOwned + Send + 'static> FromEvent for Data<T> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        first(call).map(Data)
    }
}

/// Reads the first argument as a `T`. For `#[derive(Event)]`, which makes the type itself an extractor.
#[doc(hidden)]
pub fn first<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Mismatch> {
    call.args().arg().map_err(|error| mismatch::<T>(call, &error))
}

/// Reads all arguments as a `T`. For `#[derive(Event)]` of a tuple struct.
#[doc(hidden)]
pub fn all<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Mismatch> {
    call.args().args().map_err(|error| mismatch::<T>(call, &error))
}

/// All arguments of the event, read as the tuple `T`; further arguments than the tuple has are ignored, missing ones
/// read as null (`Option` allows that).
///
/// ```
/// use sockeye::Args;
///
/// async fn mv(Args((piece, to)): Args<(String, u8)>) {
///     println!("{piece} to {to}");
/// }
/// ```
impl<T: DeserializeOwned + Send + 'static> FromEvent for Args<T> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        all(call).map(Args)
    }
}

fn mismatch<T>(call: &Call<'_>, error: &ReadError) -> Mismatch {
    if call.args().is_empty() {
        // An argument that is missing reads as null; say what it is.
        return Mismatch::new::<T>(MismatchKind::NoArgument);
    }
    Mismatch::payload::<T>(error.argument, &error.message)
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

    /// The arguments alone, to answer with ([`AckSender::send_payload`]). Attachments are shared, not copied.
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

impl FromEvent for RawArgs {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        Ok(RawArgs(call.args().to_payload()))
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

impl FromEvent for EventName {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        Ok(EventName(call.name().to_owned()))
    }
}

/// Takes over the duty to answer: the handler's return value then answers nothing. A mismatch where the client
/// awaits no answer; `Option<AckSender>` allows that.
impl FromEvent for AckSender {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        call.take_ack().ok_or_else(|| Mismatch::new::<AckSender>(MismatchKind::NoAck))
    }
}
