//! `#[derive(Event)]` and `#[handler]` of the crate `sockeye`, which re-exports and documents them.
//!
//! Nothing here knows what an event or a handler *is*: the generated code names the traits of `sockeye` and leaves
//! every decision to the compiler. The only knowledge kept here is which event names are reserved.

use proc_macro::TokenStream;

mod event;
mod handler;

/// Makes a type a typed event: it implements `sockeye::Event`, and is an argument of event handlers wherever it also
/// implements `serde::Deserialize`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use sockeye::{Event, Socket};
///
/// #[derive(Serialize, Deserialize, Event)]
/// #[event(name = "say", ack = u64)]
/// struct Say {
///     text: String,
/// }
///
/// async fn hear(say: Say) -> u64 {
///     say.text.len() as u64
/// }
///
/// async fn ask(socket: Socket) {
///     match socket.call_event(&Say { text: "hello".into() }).await {
///         Ok(length) => println!("the client counted {length}"),
///         Err(error) => println!("no answer: {error}"),
///     }
/// }
///
/// let server = sockeye::Server::builder().on_event(hear).build()?;
/// # Ok::<(), sockeye::BuildError>(())
/// ```
///
/// * `name = "…"`: the event's name. Default: the type's name in snake_case (`UserJoined` is `user_joined`).
/// * `ack = Type`: what the other side answers. Default: `()`.
///
/// A tuple struct of several fields travels as that many arguments, a unit struct as none, everything else as one.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    event::derive(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// `#[derive(Event)]` of the crate `sockeye-client`: the same type, for programs that do not have the server.
#[proc_macro_derive(ClientEvent, attributes(event))]
pub fn derive_client_event(input: TokenStream) -> TokenStream {
    event::derive_client(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the compiler name the argument or result for which a function is not a handler.
///
/// Without it, `.on("say", say)` says only that `say` is no handler. The function itself is left as it is; put the
/// attribute there for good or only while looking.
///
/// ```
/// use sockeye::{Data, Socket};
///
/// #[sockeye::handler]
/// async fn say(socket: Socket, Data(text): Data<String>) -> usize {
///     socket.broadcast().emit("said", &text).ok();
///     text.len()
/// }
/// ```
///
/// ```compile_fail
/// #[sockeye::handler]
/// async fn say(text: Vec<String>) {}   // `Vec<String>` cannot be an argument of an event handler
/// ```
///
/// `#[handler(connect)]` checks an `on_connect` handler or a connect middleware, `#[handler(disconnect)]` an
/// `on_disconnect` or `on_disconnecting` handler.
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::check(attribute.into(), item.into()).into()
}
