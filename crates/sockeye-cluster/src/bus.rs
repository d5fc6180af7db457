//! [`Bus`]: what carries messages between servers. Channels and reconnection, nothing else.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::cluster::Message;
use sockeye_proto::cluster::streams::Session;
use tokio::sync::watch;

use crate::error::BusError;
use crate::inbox::{Inbox, Position};
use crate::state::State;

/// What a bus will have done. It begins when the method is called, not when this is polled; dropping this only means
/// that nobody waits.
pub type BusFuture<T> = Pin<Box<dyn Future<Output = Result<T, BusError>> + Send>>;

/// Carries messages between the servers of a cluster: one for each server, for all its namespaces.
///
/// Object-safe, and held as one `Arc<dyn Bus>`. No method may block: what takes time is done by tasks of the bus's own,
/// on the runtime in which the bus was made (the server may be built outside of any).
///
/// What a bus must do:
///
/// * Carry messages of one server everywhere in the order in which they were published.
/// * Come back by itself after its connection was lost, subscribe again to what is open, and deliver nothing twice.
///   Local delivery does not depend on it: while it is [down](State::Down), [`publish`](Self::publish) keeps a bounded
///   number of messages or refuses them, as its documentation says.
/// * Hand in every message it can read, also its own echoes and those for others: the node sorts them out. Count what
///   it cannot read with [`Inbox::refused`] and go on.
///
/// What it must never do: look inside a payload, answer a question itself, or tell a namespace's secrets to a log.
pub trait Bus: Send + Sync + 'static {
    /// This server's name on the bus: the `uid` of its messages, the same for as long as the bus lives, in all
    /// namespaces. In the form its wire has: [`hex`](crate::hex), or [`short`](crate::short) for the classic kind.
    fn name(&self) -> Arc<str>;

    /// Called once, before anything else. The bus keeps the inbox and feeds it. Not necessarily called inside of a
    /// runtime.
    fn start(&self, inbox: Inbox);

    /// A namespace exists on this server from now on: subscribe. Done when the subscriptions are confirmed, so that
    /// whatever is published later anywhere arrives here.
    ///
    /// # Errors
    /// When the namespace has a name that cannot be carried, or the bus is closed. Not for being down: then it is
    /// done when the bus is up again.
    fn open(&self, namespace: &str) -> BusFuture<()>;

    /// A namespace is gone from this server: unsubscribe.
    fn close(&self, namespace: &str);

    /// Takes a message for all other servers that have its namespace. Called under locks of the server's: it must not
    /// hand anything to the inbox before it has returned.
    ///
    /// # Errors
    /// When it is not taken: too much waits already, the bus is down, or its wire has no words for this message
    /// ([`BusError::Unsayable`]). Nothing was sent then.
    fn publish(&self, message: &Message) -> Result<(), BusError>;

    /// Takes an answer for the server that asked: the [`Asker`] is as it came in with the question.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    fn respond(&self, asker: &Asker, message: &Message) -> Result<(), BusError>;

    /// Who else has this namespace, as far as the bus knows. Not asked where servers tell it themselves, by
    /// [`heartbeat`](Self::heartbeat).
    fn peers(&self, namespace: &str) -> BusFuture<Peers>;

    /// How servers on this bus notice each other, if it is by what they say. The bus then calls [`Inbox::opened`] and
    /// [`Inbox::tick`]. Default: they do not.
    fn heartbeat(&self) -> Option<Heartbeat> {
        None
    }

    /// Whether the bus is up, now and later.
    fn state(&self) -> watch::Receiver<State>;

    /// Whether the bus wants to hear of [`rooms`](Self::rooms). Asked once. Default `false`: then nothing is noted.
    fn wants_rooms(&self) -> bool {
        false
    }

    /// Rooms of this server got their first member or lost their last, in this order. Called while the rooms are
    /// locked: only take note of it. Own rooms of sockets are among them.
    fn rooms(&self, namespace: &str, changes: &[RoomChange]) {
        let _ = (namespace, changes);
    }

    /// Done when everything that [`rooms`](Self::rooms) has told so far of this namespace is subscribed to. Default:
    /// it is already.
    fn settled(&self, namespace: &str) -> BusFuture<()> {
        let _ = namespace;
        Box::pin(ready(Ok(())))
    }

    /// The log, where the bus has one that numbers and keeps broadcasts: then clients can be recovered by any server.
    fn log(&self) -> Option<&dyn Log> {
        None
    }

    /// The server goes down. What was taken is sent if it can be, then everything is let go of. Afterwards all methods
    /// refuse with [`BusError::Closed`].
    fn shutdown(&self) -> BusFuture<()>;
}

impl fmt::Debug for dyn Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bus({})", self.name())
    }
}

/// A bus's log: it gives every broadcast that wants no answers a [`Position`], and keeps it for a while.
///
/// Each such message that [`Bus::publish`] took comes back to its own server as well, once and in its place among all
/// others: by [`Inbox::logged`], or by [`Inbox::unlogged`] if it could not be written.
pub trait Log: Send + Sync {
    /// Keeps a session whose connection was lost, for `window`. Done when any server could find it. A
    /// [`restore`](Self::restore) that is called on the same bus later finds it in any case.
    fn persist(&self, session: Session, window: Duration) -> BusFuture<()>;

    /// Takes a session out, whatever becomes of it: a secret is good once. `None` if there is none. `offset` is what
    /// the client sends, unchecked; without one there is nothing to go on from.
    ///
    /// What was missed is all of this namespace behind the offset that [means](crate::Options::mean) the session's
    /// rooms and is not volatile, in order. If the offset, or anything behind it, is not there any more, or there is
    /// more than `most` bytes of it: `None`, never a part.
    fn restore(
        &self,
        namespace: &str,
        secret: &str,
        offset: &str,
        most: usize,
    ) -> BusFuture<Option<Restored>>;
}

/// A session taken out of a log.
#[derive(Debug, Clone)]
pub struct Restored {
    /// As it was lost.
    pub session: Session,
    /// What it missed, in order.
    pub missed: Vec<Missed>,
    /// Up to where the log was read: everything after it comes through the inbox, or has come already.
    pub until: Position,
}

/// A broadcast that somebody missed.
#[derive(Debug, Clone)]
pub struct Missed {
    /// Its place in the log.
    pub at: Position,
    /// The event.
    pub payload: sockeye_proto::socket::Payload,
}

/// Who else has a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peers {
    /// So many servers, this one included.
    Count(usize),
    /// The other servers by name, this one not.
    Named(Vec<Arc<str>>),
}

impl Peers {
    /// How many others there are.
    pub fn others(&self) -> usize {
        match self {
            Peers::Count(all) => all.saturating_sub(1),
            Peers::Named(names) => names.len(),
        }
    }
}

/// How servers notice each other by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who has said nothing for so long says that it is there. Node's servers: 5 s.
    pub interval: Duration,
    /// Who was not heard for so long is gone. Node's servers: 10 s.
    pub timeout: Duration,
}

/// Who asked, and so where an answer goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// Its name, where it told.
    pub name: Option<Arc<str>>,
    /// Whatever the bus wants to remember of the question, such as its dialect. Handed back as it was.
    pub mark: u32,
}

/// Something that happened to a room of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomChange {
    /// It has a member now.
    Opened(Arc<str>),
    /// It has none any more.
    Closed(Arc<str>),
}
