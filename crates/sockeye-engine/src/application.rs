//! What the engine asks of whoever sits on top of it.
//!
//! The engine brings messages and endings; it never learns what they mean.

use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;
use tokio::time::Instant;

use crate::{Handshake, Reason, Refused, Session, Transport};

/// Whoever receives the sessions. One per [`Engine`](crate::Engine).
pub trait Application: Send + Sync + 'static {
    /// What is kept for one session.
    type Link: Link;

    /// A session has opened: the handshake was accepted and the open packet is the first thing the peer
    /// gets. Called on the session's own task, inside a turn. Messages sent from here follow the open
    /// packet (and the initial packet, if one is configured).
    fn open(&self, session: &Session, handshake: &Arc<Handshake>) -> Self::Link;

    /// A request was refused. `request` is its head; it may carry secrets, so do not log it whole.
    fn refused(&self, request: &Parts, refused: &Refused) {
        let _ = (request, refused);
    }
}

/// The application's end of one session. Owned by the session's task, so nothing in it needs a lock.
///
/// On polling, a method may be called in the task of the request that brought what it is about, never in two at once.
/// Every method runs inside a turn (see [`turn`](crate::turn())) and must not block. A panic in one closes
/// this session with [`Reason::ServerError`] and touches no other.
pub trait Link: Send + 'static {
    /// An application message arrived. They come in order, one at a time.
    fn received(&mut self, message: Incoming<'_>) -> Flow;

    /// Called after [`Session::poke`], and after a [`Flow::Pause`] that came while the outbox was at least half full, as
    /// soon as it is less. Answer `Continue` to go on reading.
    fn woken(&mut self) -> Flow {
        Flow::Continue
    }

    /// The moment given by [`Link::deadline`] has come.
    fn timer(&mut self) -> Flow {
        Flow::Continue
    }

    /// When [`Link::timer`] wants to be called. Asked after every other call; keep it cheap.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The session moved to another transport. Nothing was lost or reordered.
    fn upgraded(&mut self, transport: Transport) {
        let _ = transport;
    }

    /// The session is over. Called exactly once, last.
    fn closed(self, reason: &Reason)
    where
        Self: Sized;
}

/// An application message as it arrived, without any transport framing.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// Valid UTF-8. Borrowed straight from the read buffer where possible.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

/// What a [`Link`] wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    Continue,
    /// Deliver nothing more, and read nothing more from the peer, until [`Link::woken`] says `Continue`.
    /// The peer's silence is not held against it meanwhile: its pongs are among what is not read.
    ///
    /// Not needed because of a full outbox: while much is waiting for the peer, the engine reads nothing from it by
    /// itself.
    Pause,
    /// Close the session after what is queued has been sent.
    Close(Reason),
}
