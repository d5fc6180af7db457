//! What a handler's arguments may be.
//!
//! | argument | gives |
//! |---|---|
//! | [`Socket`] | the socket that heard it |
//! | [`State<T>`] | what the application gave the builder |
//! | [`Data<T>`] | the first (often only) argument, as a `T` |
//! | [`Args<T>`] | all arguments, as a tuple `T` |
//! | [`RawArgs`] | the arguments as they came: JSON text and attachments |
//! | a type with `#[derive(Event)]` | the event |
//! | [`EventName`] | the event's name, for catch-all handlers |
//! | [`AckSender`] | the duty to answer, now or later |
//! | `Option<X>` | `None` where `X` is not there |
//! | `Result<X, Mismatch>` | and why |
//!
//! Where one argument does not fit ([`Mismatch`]) the function is not called, and the log says why.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use sockeye_proto::event::{Event, read};

pub use sockeye_proto::event::{Data, EventName, Mismatch, MismatchKind, RawArgs};
pub use sockeye_proto::socket::Args;

use crate::ack::AckSender;
use crate::handler::Call;
use crate::socket::Socket;
use crate::states::State;

/// An argument of an event handler.
///
/// `Via` only tells the two kinds apart, extractors and typed events; an extractor of your own leaves it out.
///
/// ```
/// use sockeye_client::extract::{FromEvent, Mismatch};
/// use sockeye_client::handler::Call;
///
/// /// The length of what the server sent, in bytes of JSON.
/// struct Size(usize);
///
/// impl FromEvent for Size {
///     fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
///         Ok(Size(call.args().text().len()))
///     }
/// }
///
/// async fn measure(Size(bytes): Size) -> usize {
///     bytes
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of an event handler",
    label = "not an extractor for events",
    note = "for the event's payload write `Data<{Self}>`, or derive `Event` and `Deserialize` for the type",
    note = "for something the application gave the client write `State<{Self}>`"
)]
pub trait FromEvent<Via = Extractor>: Sized + Send + 'static {
    /// The event this argument belongs to, if it is a typed one (`#[derive(Event)]`).
    const EVENT: Option<&'static str> = None;

    /// Takes the value from an incoming event.
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch>;
}

/// Marks what takes something from an event.
#[derive(Debug)]
pub struct Extractor(());

/// Marks what is the event.
#[derive(Debug)]
pub struct Typed(());

/// Marks what may be missing.
#[derive(Debug)]
pub struct Maybe<Via>(PhantomData<Via>);

impl<E: Event + DeserializeOwned + Send + 'static> FromEvent<Typed> for E {
    const EVENT: Option<&'static str> = Some(E::NAME);
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        read(call.args())
    }
}

impl FromEvent for Socket {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        Ok(call.socket().clone())
    }
}

impl<T: Send + Sync + 'static> FromEvent for State<T> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        call.states().find().map(State).ok_or_else(|| Mismatch::new::<T>(MismatchKind::NoState))
    }
}

impl<T: DeserializeOwned + Send + 'static> FromEvent for Data<T> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        call.args().arg().map(Data).map_err(|error| Mismatch::read::<T>(call.args(), &error))
    }
}

impl<T: DeserializeOwned + Send + 'static> FromEvent for Args<T> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        call.args().args().map(Args).map_err(|error| Mismatch::read::<T>(call.args(), &error))
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

/// Takes over the duty to answer. A mismatch where the server awaits no answer; `Option<AckSender>` allows that.
impl FromEvent for AckSender {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        call.take_ack().ok_or_else(|| Mismatch::new::<AckSender>(MismatchKind::NoAck))
    }
}

/// `None` where it is not there; what is there and does not fit is still a mismatch.
impl<X: FromEvent<Via>, Via> FromEvent<Maybe<Via>> for Option<X> {
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        match X::from_event(call) {
            Ok(value) => Ok(Some(value)),
            Err(mismatch) if mismatch.is_absent() => Ok(None),
            Err(mismatch) => Err(mismatch),
        }
    }
}

/// Never a mismatch: the handler decides.
impl<X: FromEvent<Via>, Via> FromEvent<Maybe<Via>> for Result<X, Mismatch> {
    const EVENT: Option<&'static str> = X::EVENT;
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
        Ok(X::from_event(call))
    }
}
