//! The client: everything between an application and a network, as one machine without either.
//!
//! A driver holds a [`Client`], does what it says ([`Output::Wire`]), tells it what came of that, and passes the rest
//! of its [`Output`]s to the application. Its methods sort into four kinds:
//!
//! | kind | examples |
//! |---|---|
//! | what the application wants | [`Client::connect`], [`Client::emit`], [`Client::answer`], [`Client::close`] |
//! | what the network did | [`Client::polled`], [`Client::websocket_text`], … each with the number of its connection |
//! | time | [`Client::deadline`], [`Client::timer`] |
//! | what follows | [`Client::poll`], to be drained after each call of the other kinds |
//!
//! A report about a connection that is over does nothing, so a driver need not be careful to stop its tasks in order.
//!
//! ```
//! use std::time::Duration;
//! use sockeye_proto::client::{Client, Config, Output, Wire};
//!
//! let now = Duration::ZERO;
//! let mut client = Client::new(Config::default(), 4 /* a random number */);
//! let chat = client.socket("/chat", Default::default());
//! client.connect(chat, now);
//! let Some(Output::Wire { connection, wire: Wire::Get { query } }) = client.poll() else { panic!() };
//! assert_eq!(query, "EIO=4&transport=polling");
//!
//! let body = br#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
//! client.polled(connection, body, sockeye_proto::engine::Content::Text, now);
//! let posted = std::iter::from_fn(|| client.poll()).find_map(|output| match output {
//!     Output::Wire { wire: Wire::Post { payload, .. }, .. } => Some(payload.body),
//!     _ => None,
//! });
//! assert_eq!(posted.as_deref(), Some(&b"40/chat,"[..]));
//! ```
//!
//! | noun | file |
//! |---|---|
//! | the machine: sockets over one connection, and reconnecting | `machine.rs` |
//! | what it says, and how it is configured | `output.rs`, `config.rs` |
//! | one namespace: buffering, acknowledgements, retries, recovery | `socket.rs` |
//! | one Engine.IO connection: handshake, polling turns, upgrade, heartbeat | `session.rs` |
//! | the server's first words, distrusted | `opening.rs` |
//! | the delays between attempts | `backoff.rs` |
//! | why it ended | `reason.rs` |
//!
//! This room never opens a connection, reads a clock or rolls dice, and no server can make it spin, overflow, keep
//! more than its caps, or call what it was not asked to.

mod backoff;
mod config;
mod machine;
mod opening;
mod output;
mod reason;
mod session;
mod socket;

pub use backoff::{Backoff, Reconnection};
pub use config::Config;
pub use machine::Client;
pub use output::Output;
pub use reason::{Failure, Reason, Step};
pub use session::{Frame, Transports, Wire};
pub use socket::{
    AckId, Auth, Call, Cap, Emit, EmitError, Refused, SocketId, SocketOptions, Ticket, Unanswered, WhenFull,
};
