//! The road between the servers of a cluster.
//!
//! Servers tell each other [`Message`]s. A [`Bus`] carries them: it knows channels, subscriptions and how to come back
//! after its connection was lost, and nothing else. The other half, a [`Node`], knows what a question is, who has
//! answered and who is missing; it is the same above every bus, and the hall's own. What a message means to rooms and
//! sockets is the hall's business.
//!
//! To join an application to a cluster you need nothing of this: give the server's builder a bus that somebody wrote
//! (`.adapter(…)`). To write one, implement [`Bus`]. A process without a server sends through an [`Emitter`].
//!
//! This crate never looks inside a payload, never touches a socket, and believes nothing that comes from a bus.

mod bus;
mod emitter;
mod error;
mod inbox;
mod ledger;
mod local;
mod name;
mod node;
mod state;

pub use bus::{Asker, Bus, BusFuture, Heartbeat, Log, Missed, Peers, Restored, RoomChange};
pub use emitter::{Emitter, EmitterError, Outlet, Rooms};
pub use error::{BusError, ClusterError, Incomplete, Missing};
pub use inbox::{Inbox, Position, Receive};
pub use local::{Answering, Local};
pub use name::{hex, short};
pub use node::{Asked, ClientAnswers, Node, NodeStats};
pub use sockeye_proto::cluster::streams::Session;
pub use sockeye_proto::cluster::{Body, Flags, Handshake, Message, Options, Refused, SocketDescription};
pub use state::State;
