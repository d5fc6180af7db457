//! Extractors for what the client sent in an event.

use serde::de::DeserializeOwned;
use sockeye_proto::event::{Data, EventName, RawArgs};
use sockeye_proto::socket::Args;

use super::{FromEvent, Mismatch, MismatchKind};
use crate::ack::AckSender;
use crate::handler::Call;

impl<T: DeserializeOwned + Send + 'static> FromEvent for Data<T> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        first(call).map(Data)
    }
}

/// Reads the first argument as a `T`. For `#[derive(Event)]`, which makes the type itself an extractor.
#[doc(hidden)]
pub fn first<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Mismatch> {
    call.args().arg().map_err(|error| Mismatch::read::<T>(call.args(), &error))
}

/// Reads all arguments as a `T`. For `#[derive(Event)]` of a tuple struct.
#[doc(hidden)]
pub fn all<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Mismatch> {
    call.args().args().map_err(|error| Mismatch::read::<T>(call.args(), &error))
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

impl FromEvent for RawArgs {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        Ok(RawArgs(call.args().to_payload()))
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
