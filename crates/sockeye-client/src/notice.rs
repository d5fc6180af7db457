//! What happens to the connection, for whoever wants to know.

use std::time::Duration;

use sockeye_proto::client::{Failure, Reason};
use sockeye_proto::engine::Transport;
use sockeye_proto::socket::Payload;
use tokio::sync::broadcast;

use crate::error::Refused;

/// Something that happened to the connection or to one of its sockets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// There is a connection; the sockets connect next.
    Opened(Transport),
    /// From now on everything goes through a WebSocket.
    Upgraded,
    /// The WebSocket could not be used; polling goes on.
    UpgradeFailed(Failure),
    /// The server's heartbeat, already answered.
    Pinged,
    /// An attempt to connect failed.
    ConnectFailed(Reason),
    /// A connection that was open is over.
    Lost(Reason),
    /// The next attempt begins after this.
    Waiting(Duration),
    /// An attempt begins, counted from 1.
    Reconnecting(u32),
    /// That attempt succeeded.
    Reconnected(u32),
    /// There have been as many attempts as the plan has. [`Socket::connect`](crate::Socket::connect) begins anew.
    GaveUp,
    /// The connection was ended by us, and all that had to leave has left.
    Closed,
    /// A namespace accepted.
    Connected {
        /// Which namespace.
        namespace: String,
        /// The server's name for the socket.
        id: String,
        /// Whether the session is the one before, with all that was missed.
        recovered: bool,
    },
    /// A namespace refused. The socket stays away until [`Socket::connect`](crate::Socket::connect).
    Refused {
        /// Which namespace.
        namespace: String,
        /// Why.
        refused: Refused,
    },
    /// A socket that was connected is not any more.
    Disconnected {
        /// Which namespace.
        namespace: String,
        /// Why.
        reason: Reason,
        /// Whether it will connect again by itself.
        active: bool,
    },
    /// An event will not be sent (any more): it gave way in a full buffer, was tried as often as it may be, or the
    /// client was closed over it.
    Dropped {
        /// Which namespace.
        namespace: String,
        /// Its name and arguments.
        payload: Payload,
    },
}

/// A stream of [`Notice`]s. Who reads slowly misses the oldest: 256 are kept.
#[derive(Debug)]
pub struct Notices {
    receiver: broadcast::Receiver<Notice>,
}

impl Notices {
    pub(crate) fn new(receiver: broadcast::Receiver<Notice>) -> Notices {
        Notices { receiver }
    }

    /// The next one; `None` when the client is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            match self.receiver.recv().await {
                Ok(notice) => return Some(notice),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
