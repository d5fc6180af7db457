//! What the servers of a cluster tell each other, in the words of every adapter of Node's that runs on Redis.
//!
//! One meaning, several spellings. A [`Message`] is what is meant; [`adapter`] spells it as the sharded and streams
//! adapters do (and all others that build on Node's `ClusterAdapter`), [`classic`] as `@socket.io/redis-adapter` does
//! and as its ancestors did, [`streams`] as the entries of a stream. The modules also know the names of the channels.
//! Emitters, processes without a server, say the same things under the name [`EMITTER`].
//!
//! Arguments stay what they are everywhere in this crate: a [`Payload`](crate::socket::Payload), whose JSON text is
//! copied and never parsed into values.
//!
//! Whoever can publish on the bus can say anything, so nothing here believes anything: sizes, nesting and counts are
//! limited ([`Limits`]), lengths are compared with the bytes that are there, and what does not fit is a [`Refused`]
//! for the driver to count and to forget. What older servers are known to leave out is filled in; text that is not
//! UTF-8 is mended.
//!
//! This module never decides whom a message concerns: echoes (a [`Message::from`] that is one's own), foreign
//! namespaces and answers to questions that nobody asked are for the layer above. It holds nothing between messages.

pub mod adapter;
pub mod classic;
mod message;
mod raw;
mod read;
mod refused;
pub mod sharded;
pub mod streams;
mod tree;
mod write;

pub use message::{Body, EMITTER, Flags, Handshake, Message, Options, SocketDescription};
pub use refused::{Limits, Refused, Unsayable};
