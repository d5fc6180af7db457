//! [`Inbox`]: where a bus hands in what it has read.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, Weak};

use sockeye_proto::cluster::{Message, Refused};

use crate::bus::Asker;

/// The way in for a [`Bus`](crate::Bus). Cheap to clone, and does not keep the server alive.
///
/// Everything is dealt with before a method returns, in the order of the calls, without blocking: local clients have
/// been sent what is for them. So call it from one task, and the order of the wire is the order everybody sees.
#[derive(Clone)]
pub struct Inbox(Weak<dyn Receive>);

impl Inbox {
    /// One that leads to `receiver`, for as long as that lives.
    pub fn new(receiver: Weak<dyn Receive>) -> Self {
        Self(receiver)
    }

    /// A message came, question or answer. It is answered to whoever it says it is from.
    pub fn message(&self, message: Message) {
        let asker = Asker { name: message.from.clone(), mark: 0 };
        self.asked(message, asker);
    }

    /// The same, and an answer goes to `asker`.
    pub fn asked(&self, message: Message, asker: Asker) {
        self.with(|receiver| receiver.message(message, asker));
    }

    /// A message was read from the log. The server's own are handed in as well, in the order in which they were taken.
    pub fn logged(&self, message: Message, at: Position) {
        self.with(|receiver| receiver.logged(message, Some(at)));
    }

    /// A message of this server was taken for the log and could not be written: here it is again, as it was. Local
    /// clients have not seen it yet.
    pub fn unlogged(&self, message: Message) {
        self.with(|receiver| receiver.logged(message, None));
    }

    /// Something came that cannot be read, and was skipped.
    pub fn refused(&self, why: &Refused) {
        self.with(|receiver| receiver.refused(why));
    }

    /// The log goes on later than where it was read last: what lay between is lost to this server's clients, of this
    /// namespace or of all.
    pub fn gap(&self, namespace: Option<&str>) {
        self.with(|receiver| receiver.gap(namespace));
    }

    /// This server can be heard and hears in a namespace: after it was opened, and again after the connection was
    /// lost. Only where there are [heartbeats](crate::Bus::heartbeat).
    pub fn opened(&self, namespace: &str) {
        self.with(|receiver| receiver.opened(namespace));
    }

    /// A second has passed. Only where there are [heartbeats](crate::Bus::heartbeat).
    pub fn tick(&self) {
        self.with(|receiver| receiver.tick());
    }

    /// Whether anybody here is in this room. A message for a single room without anybody need not be decoded.
    pub fn has_room(&self, namespace: &str, room: &str) -> bool {
        self.0.upgrade().is_some_and(|receiver| receiver.has_room(namespace, room))
    }

    fn with(&self, then: impl FnOnce(&dyn Receive)) {
        if let Some(receiver) = self.0.upgrade() {
            then(&*receiver);
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// Who is behind an [`Inbox`]: a server's node, or a test. See the inbox's methods of the same names.
pub trait Receive: Send + Sync {
    /// See [`Inbox::asked`].
    fn message(&self, message: Message, asker: Asker);
    /// See [`Inbox::logged`]; without a position, [`Inbox::unlogged`].
    fn logged(&self, message: Message, at: Option<Position>);
    /// See [`Inbox::refused`].
    fn refused(&self, why: &Refused);
    /// See [`Inbox::gap`].
    fn gap(&self, namespace: Option<&str>);
    /// See [`Inbox::opened`].
    fn opened(&self, namespace: &str) {
        let _ = namespace;
    }
    /// See [`Inbox::tick`].
    fn tick(&self) {}
    /// See [`Inbox::has_room`].
    fn has_room(&self, namespace: &str, room: &str) -> bool;
}

/// A place in a bus's log: what clients remember of it, and how it compares with others.
#[derive(Debug, Clone)]
pub struct Position {
    /// Grows along the log.
    pub order: u128,
    /// What clients are given as their offset, and send back when they want to be recovered.
    pub offset: Arc<str>,
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Position {}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl From<sockeye_proto::cluster::streams::Offset> for Position {
    fn from(offset: sockeye_proto::cluster::streams::Offset) -> Self {
        let order = u128::from(offset.time) << 64 | u128::from(offset.sequence);
        Self { order, offset: offset.to_string().into() }
    }
}
