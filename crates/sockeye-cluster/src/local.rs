//! [`Local`]: the server under a node, with its own sockets.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sockeye_proto::cluster::{Body, Message, Options, SocketDescription};
use sockeye_proto::socket::Payload;

use crate::bus::{Asker, Bus};
use crate::inbox::Position;
use crate::node::count;

/// What other servers can have done here. Nothing of it reaches beyond this server, waits, or fails: a namespace that
/// is not there has nobody in it.
pub trait Local: Send + Sync + 'static {
    /// Delivers an event. `at` is its place in the bus's log, if it came from there.
    fn broadcast(&self, namespace: &str, payload: Payload, options: &Options, at: Option<Position>);

    /// Delivers an event whose receivers shall answer: first says how many they are, then passes on what they say
    /// for as long as the options tell.
    fn ask(&self, namespace: &str, payload: Payload, options: &Options, answers: Answering);

    /// Has sockets join rooms.
    fn join(&self, namespace: &str, options: &Options, rooms: &[Arc<str>]);

    /// Has sockets leave rooms.
    fn leave(&self, namespace: &str, options: &Options, rooms: &[Arc<str>]);

    /// Disconnects sockets, and with `close` their sessions.
    fn disconnect(&self, namespace: &str, options: &Options, close: bool);

    /// Describes sockets.
    fn sockets(&self, namespace: &str, options: &Options) -> Vec<SocketDescription>;

    /// The ids of sockets.
    fn ids(&self, namespace: &str, options: &Options) -> Vec<Arc<str>>;

    /// All rooms, own rooms of sockets included.
    fn rooms(&self, namespace: &str) -> Vec<Arc<str>>;

    /// Whether anybody is in a room.
    fn has_room(&self, namespace: &str, room: &str) -> bool;

    /// Hears an event for servers; gives the answer of the listener that has one.
    fn server_event(&self, namespace: &str, payload: &Payload) -> Option<Payload>;

    /// A message of this server came back from the bus's log, in its place there; or could not be written to it, and
    /// is to be done here all the same.
    fn own(&self, message: Message, at: Option<Position>);

    /// What lay in the log between is lost to this server's clients, of one namespace or of all.
    fn gap(&self, namespace: Option<&str>);
}

/// The way back for what clients of this server answer to somebody on another.
#[derive(Clone)]
pub struct Answering {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) unsent: Arc<AtomicU64>,
    pub(crate) namespace: Arc<str>,
    pub(crate) asker: Asker,
    pub(crate) request: Arc<str>,
}

impl Answering {
    /// So many clients have been asked. Say it once and first, also when there are none.
    pub fn count(&self, clients: usize) {
        let count = u64::try_from(clients).unwrap_or(u64::MAX);
        self.send(Body::ClientCount { request: Arc::clone(&self.request), count });
    }

    /// One of them answered.
    pub fn answer(&self, answer: Payload) {
        self.send(Body::ClientAck { request: Arc::clone(&self.request), answer });
    }

    pub(crate) fn send(&self, body: Body) {
        let message = Message { from: Some(self.bus.name()), namespace: Arc::clone(&self.namespace), body };
        if let Err(error) = self.bus.respond(&self.asker, &message) {
            count(&self.unsent);
            tracing::debug!(%error, namespace = ?self.namespace, "not answered");
        }
    }
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").field("asker", &self.asker.name).finish_non_exhaustive()
    }
}
