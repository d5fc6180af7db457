//! [`Adapter`]: what joins the servers of a cluster.
//!
//! A small door to a deep room. The hall delivers to its own sockets, keeps the tables of requests and counts answers
//! (`cluster.rs`); an adapter carries [`Request`]s to the other nodes and [`Response`]s
//! back, and brings in what arrives through the [`LocalNode`] it was started with. It never sees a socket, and nothing
//! of it runs per recipient of a broadcast.
//!
//! Connection state recovery is each node's own: a client is recovered by the node it comes back to if that is the one
//! it left. An adapter whose bus numbers and keeps packets can do better; it will be asked through methods with
//! defaults, so that adapters written against this trait stay valid.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::socket::Payload;

use crate::rooms::Audience;

pub use crate::cluster::LocalNode;

/// A future in a box.
pub type AdapterFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, AdapterError>> + Send + 'a>>;

/// Joins the servers of a cluster. Object-safe, one per server, for all its namespaces.
///
/// Methods that return nothing to wait for must not block: an adapter queues, and a task of its own talks to the
/// network. What it cannot take it refuses with an error, which is counted; local delivery does not depend on it.
pub trait Adapter: Send + Sync + 'static {
    /// Called once when the server is built, before anything else. The adapter keeps the node and feeds it.
    fn start(&self, node: LocalNode);

    /// A namespace exists on this node from now on: time to subscribe.
    fn namespace_opened(&self, name: &str) {
        let _ = name;
    }

    /// A namespace is gone from this node.
    fn namespace_closed(&self, name: &str) {
        let _ = name;
    }

    /// Sends a request to all other nodes that have this namespace. Requests of one node arrive everywhere in the
    /// order in which they were published.
    ///
    /// # Errors
    /// When it cannot be sent.
    fn publish(&self, namespace: &str, request: &Request) -> Result<(), AdapterError>;

    /// Sends an answer to the node that asked.
    ///
    /// # Errors
    /// When it cannot be sent.
    fn respond(&self, namespace: &str, to: &NodeId, response: &Response) -> Result<(), AdapterError>;

    /// How many nodes have this namespace, this one included.
    fn server_count<'a>(&'a self, namespace: &'a str) -> AdapterFuture<'a, usize>;

    /// The server goes down: leave the cluster, let go of connections and tasks.
    fn close(&self) -> AdapterFuture<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

/// A cluster of one.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalAdapter;

impl Adapter for LocalAdapter {
    fn start(&self, _: LocalNode) {}

    fn publish(&self, _: &str, _: &Request) -> Result<(), AdapterError> {
        Ok(())
    }

    fn respond(&self, _: &str, _: &NodeId, _: &Response) -> Result<(), AdapterError> {
        Ok(())
    }

    fn server_count<'a>(&'a self, _: &'a str) -> AdapterFuture<'a, usize> {
        Box::pin(ready(Ok(1)))
    }
}

/// Names a node of the cluster. Whatever the adapter uses: 16 hexadecimal digits in the protocol of Node's adapters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub Arc<str>);

/// Names a request that wants answers. Unguessable, so that nobody answers what was not asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub Arc<str>);

/// What one node asks of all others. The numbers are the message types of Node's `ClusterAdapter`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Type 3: deliver an event.
    Broadcast {
        /// To whom.
        audience: Audience,
        /// The event: its name and arguments.
        payload: Payload,
        /// Drop it for whoever cannot take it right now.
        volatile: bool,
        /// Whether transports may compress it.
        compress: bool,
        /// Answers of clients are wanted under this id: one [`Answer::ClientCount`] of every node, and one
        /// [`Answer::Ack`] of every client, for as long as `timeout` says.
        acks: Option<(RequestId, Duration)>,
    },
    /// Type 4: have sockets join rooms.
    Join {
        /// Which sockets.
        audience: Audience,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Type 5: have sockets leave rooms.
    Leave {
        /// Which sockets.
        audience: Audience,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Type 6: disconnect sockets.
    Disconnect {
        /// Which sockets.
        audience: Audience,
        /// Whether their sessions end as well.
        close: bool,
    },
    /// Type 7: describe sockets, with one [`Answer::Sockets`] of every node.
    FetchSockets {
        /// Under this id.
        id: RequestId,
        /// Which sockets.
        audience: Audience,
    },
    /// Type 9: an event for the servers themselves.
    ServerEvent {
        /// The event: its name and arguments.
        payload: Payload,
        /// One [`Answer::ServerEvent`] of every node is wanted under this id.
        id: Option<RequestId>,
    },
}

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct Response {
    /// Which request.
    pub id: RequestId,
    /// The answer.
    pub answer: Answer,
}

/// What a node answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// Type 8.
    Sockets(Vec<SocketDescription>),
    /// Type 10: what a listener answered, the arguments of an ack.
    ServerEvent(Payload),
    /// Type 11: to how many clients the event went.
    ClientCount(usize),
    /// Type 12: what one client answered, the arguments of its ack.
    Ack {
        /// The client's socket; Node's adapters do not say.
        socket: Option<Arc<str>>,
        /// The answer.
        payload: Payload,
    },
}

/// What one node tells another about a socket. No headers and no auth: those are secrets, and stay where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketDescription {
    /// Its id.
    pub id: Arc<str>,
    /// Its rooms, its own included.
    pub rooms: Vec<Arc<str>>,
    /// What the application set with [`Socket::set_info`](crate::Socket::set_info), as JSON text.
    pub info: Option<Arc<str>>,
    /// The client's address.
    pub address: Option<String>,
    /// Whether its connection is encrypted.
    pub secure: bool,
    /// Whether its page is of another site.
    pub xdomain: bool,
    /// When its session began, in milliseconds since 1970.
    pub issued: u64,
}

impl SocketDescription {
    /// A description to be filled in.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            rooms: Vec::new(),
            info: None,
            address: None,
            secure: false,
            xdomain: false,
            issued: 0,
        }
    }
}

/// Why the cluster did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// Not all nodes answered in time.
    #[error("timeout reached: missing {missing} responses")]
    TimedOut {
        /// How many nodes did not answer.
        missing: usize,
        /// What those said that did, for [`server_side_call`](crate::Namespace::server_side_call).
        answers: Vec<Payload>,
    },
    /// The adapter is closed.
    #[error("the adapter is closed")]
    Closed,
    /// Whatever else went wrong, in the adapter's own words.
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl AdapterError {
    /// An error in the adapter's own words.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

impl fmt::Debug for dyn Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adapter")
    }
}
