//! Socket.IO in Rust: a server that every current Socket.IO client connects to.
//!
//! ```
//! use sockeye::{Data, Server, Socket};
//!
//! async fn say(socket: Socket, Data(text): Data<String>) -> usize {
//!     socket.broadcast().emit("said", &text).ok();     // to everybody else
//!     text.len()                                       // answers the client's ack
//! }
//!
//! let io = Server::builder().on("say", say).build()?;
//! // axum: Router::new().layer(io.layer())   without a framework: io.serve(listener).await
//! # Ok::<(), sockeye::BuildError>(())
//! ```
//!
//! # Where things are
//!
//! * [`Server::builder`] says what the server does: [handlers](handler::Handler) with [extractors](extract),
//!   [middlewares](handler::Middleware), [layers](mod@layer), [namespaces](NamespaceBuilder), settings.
//! * [`Socket`] is one client in one namespace; [`Namespace`] and [`Server`] reach many; [`Operator`] says which.
//! * A [bus](cluster) joins servers to a cluster.
//! * The feature `client` puts the browser client into the program: it is served as `/socket.io/socket.io.min.js` and so
//!   on, as the original server does.
//!
//! # What is guaranteed
//!
//! * Events of a socket start in the order in which they arrived; each runs until it first waits before the next one
//!   starts ([`NamespaceBuilder::on_serial`] makes the next wait for the end).
//! * What is emitted to a socket arrives in order, without repetition, and as a whole: where something would be lost,
//!   the client sees a disconnect instead. Only volatile events may be dropped.
//! * A broadcast reaches each socket in its audience once, as the rooms were when it was sent.
//! * Each socket has exactly one connect and one disconnect, with a reason; no handler starts after it.
//! * An answer reaches who asked for it, once, in time, or not at all.
//! * Nothing a client does makes the server keep more than the stated limits, or panic.
//! * A panic in a handler ends at its socket.

mod ack;
mod asking;
mod builder;
#[cfg(feature = "client")]
mod client;
pub mod cluster;
mod connect;
mod data;
mod deliver;
mod describe;
mod dispatch;
mod dynamic;
mod emit;
pub mod extract;
mod found;
mod gate;
pub mod handler;
mod id;
pub mod layer;
mod link;
mod listeners;
mod local;
mod logged;
mod namespace;
mod operator;
mod rate;
mod recovery;
mod rooms;
mod rules;
mod run;
mod server;
mod service;
mod socket;
mod state;
mod stats;
mod sync;

pub use ack::{AckSender, Asked, CallError};
pub use asking::{Answers, Asking, SocketId};
pub use builder::{BuildError, ConnectionStateRecovery, ServerBuilder};
pub use dynamic::NamespaceMatch;
pub use emit::EmitError;
pub use extract::{Args, Auth, Data, EventName, Mismatch, MismatchKind, RawArgs, SocketData};
pub use found::{FoundSocket, RemoteSocket};
pub use handler::{Ack, Outcome};
pub use listeners::ListenerId;
pub use namespace::Namespace;
pub use operator::{IntoRooms, Operator};
pub use rate::{EventRate, Excess};
pub use recovery::RecoveryFailure;
pub use rooms::{Audience, RoomEvent};
pub use rules::NamespaceBuilder;
pub use server::{ExpiredSession, Server};
pub use service::{Answering, EitherBody, NotFound, SocketIoLayer, SocketIoService};
pub use socket::{Emitter, Socket};
pub use state::{State, States};
pub use stats::Stats;

pub use sockeye_engine as engine;
pub use sockeye_engine::{Cors, Handshake, Origins, Peer, Protocol, Reason, ServeOptions, Transport};
pub use sockeye_macros::{Event, handler};
pub use sockeye_proto::event::{Event, EventArguments, IntoRefusal, Refusal};
pub use sockeye_proto::socket as proto;
