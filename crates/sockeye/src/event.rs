//! Typed events: a type that knows the name it travels under.

/// An event with a name and, where it is answered, the type of the answer.
///
/// Derive it. The type is then sent with `emit_event` and `call_event`, and is itself an argument of handlers
/// ([`FromEvent`](crate::extract::FromEvent)), registered under its name by `.on_event(handler)`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use sockeye::Event;
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
/// The whole value is the event's one argument: `socket.emit("say", { text: "…" })` in JavaScript. Sending asks for
/// [`serde::Serialize`], hearing for [`serde::de::DeserializeOwned`]; an event that only travels one way needs only
/// one of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    note = "add `#[derive(Event)]` to it, or name the event: `.on(\"name\", …)`, `emit(\"name\", …)`"
)]
pub trait Event {
    /// The name on the wire.
    const NAME: &'static str;
    /// What the other side answers: `()` unless the derive says `ack = Type`.
    type Ack;
}
