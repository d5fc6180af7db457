//! The wires: HTTP, sockets, tasks and timers under a Socket.IO server.
//!
//! An [`Engine`] takes HTTP requests (or raw streams) and makes [`Session`]s of them. An [`Application`] is told
//! of each and keeps a [`Link`] for it, which hears the messages in order. Everything that goes out is put in the
//! session's outbox through its handle, from any thread.
//!
//! One task owns one session across its transports: it reads, keeps time, and calls the link. The rules of the
//! protocol are in `sockeye-proto`; what waits, is here. The engine never knows a room, the meaning of a
//! namespace, or the name of an event.
//!
//! | I want to change… | go to |
//! |---|---|
//! | which request is refused, and how | `service.rs`, `refused.rs`; `upload.rs` for a POST's body |
//! | what a session does when it is woken | `task.rs`, `life.rs`; `polling.rs` for GET, POST and upgrade |
//! | when and how bytes leave | `outbox.rs`, `turn.rs`; `frames.rs` for compression |
//! | how many may come | `limits.rs` |
//! | headers, cookies, origins, compression | `cors.rs`, `cookie.rs`, `compression.rs` |
//! | our own accept loop | `serve.rs`; `door.rs` for what it answers without hyper, `head.rs` for what that is |

mod alarm;
mod application;
mod body;
mod common;
mod compression;
mod config;
mod cookie;
mod cors;
mod door;
mod engine;
mod frames;
mod handshake;
mod head;
mod inside;
mod life;
mod limits;
mod mail;
mod outbox;
mod patient;
mod peer;
mod polling;
mod queue;
mod reason;
mod refused;
mod registry;
mod reply;
mod serve;
mod service;
mod session;
mod stats;
mod stream;
mod task;
pub mod turn;
mod upload;

pub use application::{Application, Flow, Incoming, Link};
pub use body::Body;
pub use config::{
    AllowRequest, ClientIp, Config, ConfigError, Files, GenerateId, HeadersHook, HookFuture, HttpCompression,
    Initial,
};
pub use cookie::{Cookie, SameSite};
pub use cors::{Cors, Origins};
pub use engine::Engine;
pub use handshake::Handshake;
pub use peer::Peer;
pub use reason::Reason;
pub use refused::{Cause, Refused};
pub use serve::{Listener, ServeOptions, serve};
pub use session::{SendError, Session};
pub use stats::Stats;
pub use turn::turn;

/// The body of a request, as hyper brings it.
pub use hyper::body::Incoming as RequestBody;
pub use sockeye_proto::engine::{Message, Protocol, Transport};
pub use sockeye_proto::websocket::deflate::Options as DeflateOptions;
