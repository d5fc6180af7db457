//! The handle of a session that everybody else holds: the way into its outbox.

use std::borrow::Borrow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::outbox::Shared;
use crate::{Message, Protocol, Reason, Transport};

/// A client's session, across its transports. Cheap to clone; all clones are the same session.
///
/// Its [`id`](Session::id) is a secret of the client's: with it one can speak in its name. It is never printed.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Shared>);

/// Why messages were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// The outbox has no room for them ([`Config::max_queue`](crate::Config::max_queue)). Nothing was taken.
    #[error("the outbox is full")]
    Full,
    /// The session is closing or closed.
    #[error("the session is closed")]
    Closed,
}

impl Session {
    /// The session id: a bearer secret. Do not log it, do not show it to other clients.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The protocol revision, fixed at the handshake.
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// The transport in use now.
    pub fn transport(&self) -> Transport {
        self.0.transport()
    }

    /// The address of the connection that opened the session.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.handshake.remote_addr()
    }

    /// Whether messages are still taken.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Queues messages: all or none, next to each other, after everything queued before.
    ///
    /// Outside of a [`turn`](crate::turn()) they are written at once if nothing is waiting and the socket takes them. They count
    /// against [`Config::max_queue`](crate::Config::max_queue) until they have left.
    pub fn send<'a, I>(&self, batch: I) -> Result<(), SendError>
    where
        I: IntoIterator<Item = &'a Message, IntoIter: Clone>,
    {
        self.0.send(self, batch.into_iter())
    }

    /// The same for one message: nearly all packets are. What is given away is queued as it is, what is lent only if it
    /// cannot be written at once.
    pub fn send_one(&self, message: impl Borrow<Message> + Into<Message>) -> Result<(), SendError> {
        self.0.send_one(self, message)
    }

    /// Like [`send`](Self::send), but only if they can leave right now: nothing is queued, and the socket takes
    /// more or a poll is waiting. Otherwise they are dropped and counted; the answer says whether they went.
    pub fn send_volatile<'a, I>(&self, batch: I) -> bool
    where
        I: IntoIterator<Item = &'a Message, IntoIter: Clone>,
    {
        self.0.send_volatile(self, batch.into_iter())
    }

    /// Whether [`send_volatile`](Self::send_volatile) would send.
    pub fn writable(&self) -> bool {
        self.0.writable()
    }

    /// Waits until `bytes` more have room in the outbox, or it is empty, or the session closes. Cancel safe.
    pub async fn ready(&self, bytes: usize) -> Result<(), SendError> {
        std::future::poll_fn(|cx| self.0.poll_ready(bytes, cx)).await
    }

    /// Bytes waiting in the outbox.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }

    /// Has [`Link::woken`](crate::Link::woken) called, soon, on the session's task. Many pokes may become one call.
    pub fn poke(&self) {
        self.0.poke();
    }

    /// Says that the application has accepted this client, so that it no longer counts against
    /// [`Config::max_unsettled`](crate::Config::max_unsettled).
    pub fn settle(&self) {
        self.0.settle();
    }

    /// Closes the session after what is queued has been sent. Nothing more is taken or delivered from now on.
    pub fn close(&self, reason: Reason) {
        self.0.close(reason, false);
    }

    /// Closes the session at once and drops what is queued.
    pub fn abort(&self, reason: Reason) {
        self.0.close(reason, true);
    }

    /// Closes the session because the client does not take what must be sent to it: [`Reason::SlowConsumer`].
    /// For callers of [`send`](Self::send) who got [`SendError::Full`] and may not drop.
    pub fn overflow(&self) {
        self.0.overflow();
    }

    /// The answer to a poll never reached the connection.
    pub(crate) fn poll_lost(&self) {
        self.0.close(Reason::TransportError("poll connection closed prematurely"), true);
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("transport", &self.transport())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
