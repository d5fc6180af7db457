//! Socket.IO client: typed events, acknowledgements, recovery, every transport, for servers of every current
//! generation.
//!
//! ```no_run
//! use sockeye_client::{Client, Data};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = Client::builder("http://localhost:3000")
//!     .on("said", |Data(text): Data<String>| async move { println!("{text}") })
//!     .connect()
//!     .await?;                                             // the server has accepted, or says why not
//! socket.emit("join", "lobby")?;
//! let length: usize = socket.call("say", "hello").await?;  // waits for the server's answer
//! # Ok(()) }
//! ```
//!
//! # Where things are
//!
//! * [`Client::builder`] says where to and how: transports, reconnection, headers, TLS. [`connect`] is the short way.
//! * [`Socket`] is this client in one namespace: [`emit`](Socket::emit), [`call`](Socket::call), [`on`](Socket::on),
//!   [`events`](Socket::events). [`Client::namespace`] opens more of them over the same connection.
//! * [`extract`] lists what a handler's arguments may be, [`handler`] what it may return.
//! * [`Client::notices`] tells what happens to the connection.
//!
//! # What is guaranteed
//!
//! * What is emitted arrives in order, as a whole, once, or the socket says that it was disconnected; with
//!   [`retries`](SocketBuilder::retries) at least once. While there is no connection events wait, up to a
//!   [`Cap`].
//! * Events of the server start in the order in which they arrived; each handler runs until it first waits before the
//!   next one starts.
//! * Every call ends: with an answer, when its time is up, or when the connection is lost.
//! * A lost connection is opened again by itself, with growing and random delays; what a recovering server kept is
//!   delivered before [`Notice::Connected`].
//! * A panic in a handler ends at that handler. Nothing a server does makes the client keep more than the stated limits,
//!   or panic.
//! * The connection lives as long as somebody holds a [`Client`], a [`Socket`] or a stream of it; then it says goodbye.

mod ack;
#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
mod client;
mod core;
mod driver;
mod error;
pub mod extract;
mod guard;
pub mod handler;
mod listeners;
mod notice;
mod socket;
mod states;
mod stream;
mod sync;
mod target;
mod traffic;
mod wire;

pub use ack::{AckSender, Asked};
pub use builder::Builder;
pub use client::{Client, SocketBuilder, connect};
pub use error::{CallError, ConnectError, EmitError, Missed, Refused, SetupError};
pub use extract::{Args, Data, EventName, Mismatch, MismatchKind, RawArgs};
pub use handler::Ack;
pub use listeners::ListenerId;
pub use notice::{Notice, Notices};
pub use socket::{Emitter, Socket};
pub use states::State;
pub use stream::{Events, Incoming, Received};
pub use target::UrlError;
pub use traffic::Traffic;

#[doc(inline)]
pub use sockeye_macros::ClientEvent as Event;
pub use sockeye_proto::client::{Cap, Failure, Reason, Reconnection, Step, Transports, WhenFull};
pub use sockeye_proto::engine::{Content, Transport};
#[doc(inline)]
pub use sockeye_proto::event::{Event, EventArguments, IntoRefusal, Refusal};
pub use sockeye_proto::socket as proto;
pub use sockeye_proto::socket::{Payload, Value};
pub use sockeye_proto::websocket::deflate::Options as Compression;
