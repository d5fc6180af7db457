//! A cluster of Socket.IO servers on Redis, on the same bytes as Node's servers: a Sockeye server joins an existing
//! cluster, and is joined, without anybody noticing.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye::Server;
//! use sockeye_redis::{Redis, Streams};
//!
//! let redis = Redis::new("redis://10.0.0.5")?;             // or rediss://, redis-cluster://, redis-sentinel://
//! let io = Server::builder().adapter(Streams::new(redis)).build()?;
//! # Ok(()) }
//! ```
//!
//! Three kinds, as Node has them. All servers of a cluster use the same one, and no two clusters of different kinds
//! share a prefix:
//!
//! | | Node's | what goes where | what Redis must be |
//! |---|---|---|---|
//! | [`Classic`] | `@socket.io/redis-adapter`, `createAdapter` | everything by `PUBLISH` | 6 or newer |
//! | [`Sharded`] | `@socket.io/redis-adapter`, `createShardedAdapter` | everything by `SPUBLISH`, broadcasts to one room to who has it | 7 or newer |
//! | [`Streams`] | `@socket.io/redis-streams-adapter` | broadcasts into a stream, which is a log: connections are recovered by any server | 6 or newer |
//!
//! Where Redis is, and how it is reached, says a [`Redis`]: one server, a Redis Cluster, Sentinels, with TLS.
//!
//! Redis is trusted: whoever can publish there can send to every client and disconnect it. A message that cannot be
//! read is counted and skipped all the same.
//!
//! This crate is channels and reconnection. What a message means is known to `sockeye-cluster` and to the hall.

mod backoff;
mod classic;
mod health;
mod lanes;
mod publisher;
mod redis;
mod road;
mod sharded;
mod streams;
mod subscriber;
mod talk;

pub use classic::Classic;
pub use redis::{Redis, UrlError};
pub use sharded::{Mode, Sharded};
pub use sockeye_cluster::{BusError, Emitter, EmitterError, Rooms, State};
pub use streams::Streams;
