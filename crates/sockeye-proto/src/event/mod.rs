//! The words that handlers of both ends are written with, so that one type serves a server and a client.
//!
//! | noun | file |
//! |---|---|
//! | a type that knows the name it travels under | here |
//! | what handlers take from an event, and return | `words.rs` |
//! | an argument that did not fit | `mismatch.rs` |
//! | a "no" that is meant for the other side | `refusal.rs` |
//!
//! Nothing here calls a handler: who may be called with what is said by the crates of either end.

mod mismatch;
mod refusal;
mod words;

use serde::de::value::UnitDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Serialize, Serializer};

use crate::socket::{Args, Arguments};

pub use mismatch::{Mismatch, MismatchKind};
pub use refusal::{IntoRefusal, Refusal};
pub use words::{Ack, Data, EventName, RawArgs};

/// An event with a name and, where it is answered, the type of the answer.
///
/// Derive it. The type is then sent with `emit_event` and `call_event`, and is itself an argument of handlers,
/// registered under its name by `.on_event(handler)`.
///
/// ```text
/// use serde::{Deserialize, Serialize};
/// use sockeye::Event; // or sockeye_client::Event
///
/// #[derive(Serialize, Deserialize, Event)]
/// #[event(name = "say", ack = u64)]
/// struct Say { text: String }
///
/// #[derive(Serialize, Event)]
/// struct UserJoined { name: String }
///
/// assert_eq!(Say::NAME, "say");
/// assert_eq!(UserJoined::NAME, "user_joined"); // the type's name in snake_case, unless given
///
/// async fn say(say: Say) -> u64 {
///     say.text.len() as u64
/// }
/// ```
///
/// How a value travels follows from how it is written:
///
/// | type | in JavaScript |
/// |---|---|
/// | `struct Say { text: String }`, `struct Say(String)`, an enum | `emit("say", value)`: one argument |
/// | `struct Move(String, u8)` | `emit("move", "rook", 8)`: its fields are the arguments |
/// | `struct Ping;` | `emit("ping")`: none |
///
/// Sending asks for [`serde::Serialize`], hearing for [`serde::de::DeserializeOwned`]; an event that only travels one
/// way needs only one of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    note = "add `#[derive(Event)]` to it, or name the event: `.on(\"name\", …)`, `emit(\"name\", …)`"
)]
pub trait Event {
    /// The name on the wire.
    const NAME: &'static str;
    /// What the other side answers: `()` unless the derive says `ack = Type`.
    type Ack;
    /// How its value becomes arguments. The derive sets it; default: as one.
    const ARGUMENTS: EventArguments = EventArguments::One;
}

/// How the value of a typed event becomes arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventArguments {
    /// There are none.
    None,
    /// The value is the argument.
    One,
    /// The value serialises as a sequence; its elements are the arguments.
    Several,
}

/// Reads a typed event out of the arguments it travelled as.
///
/// # Errors
/// When they do not fit, or there are none.
pub fn read<E: Event + DeserializeOwned>(args: &Arguments<'_>) -> Result<E, Mismatch> {
    let read = match E::ARGUMENTS {
        EventArguments::None => {
            let nothing: UnitDeserializer<serde::de::value::Error> = ().into_deserializer();
            return E::deserialize(nothing).map_err(|error| Mismatch::payload::<E>(0, &error.to_string()));
        }
        EventArguments::One => args.arg(),
        EventArguments::Several => args.args(),
    };
    read.map_err(|error| Mismatch::read::<E>(args, &error))
}

/// A typed event as the arguments it travels as.
#[derive(Debug)]
pub struct Travelling<'e, E>(pub &'e E);

impl<E: Event + Serialize> Serialize for Travelling<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match E::ARGUMENTS {
            EventArguments::None => ().serialize(serializer),
            EventArguments::One => self.0.serialize(serializer),
            EventArguments::Several => Args(self.0).serialize(serializer),
        }
    }
}
