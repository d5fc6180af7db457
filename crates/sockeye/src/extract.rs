//! What a handler's arguments may be.
//!
//! | argument | gives | event | connect | disconnect |
//! |---|---|:-:|:-:|:-:|
//! | [`Socket`] | the socket | ✓ | ✓ | ✓ |
//! | [`Server`] | the server | ✓ | ✓ | ✓ |
//! | [`Namespace`] | the socket's namespace | ✓ | ✓ | ✓ |
//! | [`State<T>`] | what the application gave the builder; checked there | ✓ | ✓ | ✓ |
//! | [`SocketData<T>`] | what was put into the socket's data before | ✓ | ✓ | ✓ |
//! | [`Auth<T>`] | what the client sent with its CONNECT | ✓ | ✓ | ✓ |
//! | `Arc<`[`Handshake`]`>` | headers, query, address of the first request | ✓ | ✓ | ✓ |
//! | [`Data<T>`] | the first (often only) argument, as a `T` | ✓ | | |
//! | [`Args<T>`] | all arguments, as a tuple `T` | ✓ | | |
//! | [`RawArgs`] | the arguments as they came: JSON text and attachments | ✓ | | |
//! | a type with `#[derive(Event)]` | the first argument as this type | ✓ | | |
//! | [`EventName`] | the event's name, for catch-all listeners | ✓ | | |
//! | [`AckSender`] | the duty to answer, now or later | ✓ | | |
//! | [`Reason`] | why it left | | | ✓ |
//! | `Option<X>` | `None` where `X` did not fit or is not there | ✓ | ✓ | ✓ |
//! | `Result<X, Mismatch>` | and why | ✓ | ✓ | ✓ |
//!
//! Extraction happens in the order of the arguments, before the function runs and while the event still lies in the
//! read buffer; `T` is read straight from there. Where one argument does not fit ([`Mismatch`]) the function is not
//! called.
//!
//! An extractor of your own is one function:
//!
//! ```
//! use sockeye::handler::Call;
//! use sockeye::extract::{FromEvent, Mismatch};
//!
//! /// The length of what the client sent, in bytes of JSON.
//! struct Size(usize);
//!
//! impl FromEvent for Size {
//!     fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
//!         Ok(Size(call.args().text().len()))
//!     }
//! }
//!
//! async fn measure(Size(bytes): Size) -> usize {
//!     bytes
//! }
//! ```

#[cfg(doc)]
use crate::{AckSender, Handshake, Namespace, Reason, Server, Socket, State};

mod payload;
mod place;

pub use payload::{all, first};
pub use place::{Auth, SocketData};
#[doc(hidden)]
pub use serde::Deserialize;
pub use sockeye_proto::event::{Data, EventName, Mismatch, MismatchKind, RawArgs};
pub use sockeye_proto::socket::Args;

use crate::handler::{Call, ConnectCall, DisconnectCall};
pub use crate::state::Needs;

/// An argument of an event handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of an event handler",
    label = "not an extractor for events",
    note = "for the event's payload write `Data<{Self}>`, or derive `Event` and `Deserialize` for the type",
    note = "for something the application gave the server write `State<{Self}>`"
)]
pub trait FromEvent: Sized + Send + 'static {
    /// The event this argument belongs to, if it is a typed one (`#[derive(Event)]`).
    const EVENT: Option<&'static str> = None;

    /// Takes the value from an incoming event.
    fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch>;

    /// Says what must be there when the server is built.
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

/// An argument of a connect middleware or an `on_connect` handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a connect middleware or handler",
    label = "not an extractor for connecting sockets",
    note = "for what the client sent with its CONNECT write `Auth<{Self}>`",
    note = "for something the application gave the server write `State<{Self}>`"
)]
pub trait FromConnect: Sized + Send + 'static {
    /// Takes the value from a joining socket.
    fn from_connect(call: &mut ConnectCall<'_>) -> Result<Self, Mismatch>;

    /// Says what must be there when the server is built.
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

/// An argument of a disconnect handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a disconnect handler",
    label = "not an extractor for leaving sockets",
    note = "a disconnect handler takes `Socket`, `Reason`, `Server`, `Namespace`, `State<T>`, `SocketData<T>`, `Handshake`"
)]
pub trait FromDisconnect: Sized + Send + 'static {
    /// Takes the value from a leaving socket.
    fn from_disconnect(call: &mut DisconnectCall<'_>) -> Result<Self, Mismatch>;

    /// Says what must be there when the server is built.
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

macro_rules! wrappers {
    ($trait:ident $method:ident $call:ident $($extra:item)?) => {
        /// `None` where it is not there; what is there and does not fit is still a mismatch.
        impl<X: $trait> $trait for Option<X> {
            $($extra)?
            fn $method(call: &mut $call<'_>) -> Result<Self, Mismatch> {
                match X::$method(call) {
                    Ok(value) => Ok(Some(value)),
                    Err(mismatch) if mismatch.is_absent() => Ok(None),
                    Err(mismatch) => Err(mismatch),
                }
            }
            // No needs: an optional state may be missing.
        }

        /// Never a mismatch: the handler decides.
        impl<X: $trait> $trait for Result<X, Mismatch> {
            $($extra)?
            fn $method(call: &mut $call<'_>) -> Result<Self, Mismatch> {
                Ok(X::$method(call))
            }
        }
    };
}

wrappers!(FromEvent from_event Call const EVENT: Option<&'static str> = X::EVENT;);
wrappers!(FromConnect from_connect ConnectCall);
wrappers!(FromDisconnect from_disconnect DisconnectCall);
